//! Scalar functions that become another expression.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, OneOrManyWithParens,
    UnaryOperator, Value,
};

use super::{call, cast, string};

/// The time at which the statement is read, as a constant: it is the same wherever it stands in a query.
pub(super) fn now(format: &str, data_type: &str) -> Expr {
    cast(string(&chrono::Utc::now().format(format).to_string()), data_type)
}

pub(super) fn one(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let [only]: [Expr; 1] = args.try_into().map_err(|_| "takes one argument")?;
    Ok(only)
}

pub(super) fn case(condition: Expr, result: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: otherwise.map(Box::new),
    }
}

pub(super) fn if_then(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let mut args = args.into_iter();
    match (args.next(), args.next(), args.next(), args.next()) {
        (Some(condition), Some(result), otherwise, None) => Ok(case(condition, result, otherwise)),
        _ => Err("takes two or three arguments"),
    }
}

/// Written out, so that the comparison is Trino's.
pub(super) fn null_if(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let [value, other]: [Expr; 2] = args.try_into().map_err(|_| "takes two arguments")?;
    let null = Expr::Value(Value::Null.with_empty_span());
    Ok(case(operation(value.clone(), BinaryOperator::Eq, other), null, Some(value)))
}

/// DataFusion's `greatest` passes over NULLs, Trino's is NULL as soon as one argument is.
pub(super) fn null_if_any_null(name: &str, args: Vec<Expr>) -> Result<Expr, &'static str> {
    let any_null = args
        .iter()
        .map(|arg| Expr::IsNull(Box::new(arg.clone())))
        .reduce(|left, right| operation(left, BinaryOperator::Or, right))
        .ok_or("takes at least one argument")?;
    let null = Expr::Value(Value::Null.with_empty_span());
    Ok(case(any_null, null, Some(call(name, args))))
}

pub(super) fn operation(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

pub(super) fn binary(op: BinaryOperator, args: Vec<Expr>) -> Result<Expr, &'static str> {
    let [left, right]: [Expr; 2] = args.try_into().map_err(|_| "takes two arguments")?;
    Ok(operation(left, op, right))
}

/// DataFusion's `concat` passes over NULLs, Trino's and `||` are NULL.
pub(super) fn concat(args: Vec<Expr>) -> Result<Expr, &'static str> {
    if args.len() < 2 {
        return Err("takes at least two arguments");
    }
    args.into_iter()
        .reduce(|left, right| operation(left, BinaryOperator::StringConcat, right))
        .ok_or("takes at least two arguments")
}

/// What Trino takes for blanks when it trims; DataFusion takes only the space.
pub(super) const BLANKS: &str = " \t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f}";

/// Trims blanks, or the characters given.
pub fn trim(name: &str, mut args: Vec<Expr>) -> Result<Expr, &'static str> {
    match args.len() {
        1 => args.push(string(BLANKS)),
        2 => {}
        _ => return Err("takes one or two arguments"),
    }
    Ok(call(name, args))
}

pub(super) fn replace(mut args: Vec<Expr>) -> Result<Expr, &'static str> {
    match args.len() {
        2 => args.push(string("")),
        3 => {}
        _ => return Err("takes two or three arguments"),
    }
    Ok(call("replace", args))
}

/// Trino counts from Monday = 1; DataFusion's `isodow` does too.
pub(super) fn day_of_week(args: Vec<Expr>) -> Result<Expr, &'static str> {
    part("isodow", args)
}

/// DataFusion's second carries the fraction in no type, but rounds nothing: cut it off as Trino does.
pub(super) fn second(args: Vec<Expr>) -> Result<Expr, &'static str> {
    Ok(cast(call("date_part", vec![string("second"), one(args)?]), "bigint"))
}

/// An integer literal, which may be negative, as the rewriting leaves it.
pub fn literal_integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => text.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => literal_integer(expr).map(|value| -value),
        Expr::Nested(inner) => literal_integer(inner),
        _ => None,
    }
}

/// Hours and minutes of an offset become the name of a zone.
pub(super) fn from_unixtime(mut args: Vec<Expr>) -> Result<Expr, &'static str> {
    if args.len() == 3 {
        let (Some(hours), Some(minutes)) = (literal_integer(&args[1]), literal_integer(&args[2])) else {
            return Err("takes literals for hours and minutes here");
        };
        let sign = if hours < 0 || minutes < 0 { '-' } else { '+' };
        args.truncate(1);
        args.push(string(&format!("{sign}{:02}:{:02}", hours.abs(), minutes.abs())));
    }
    Ok(call("athena_from_unixtime", args))
}

pub(super) fn array_sort(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let name = if args.len() == 2 { "athena_array_sort_with" } else { "athena_array_sort" };
    Ok(call(name, args))
}

/// `try(x)`: the expression becomes a lambda, so that the function decides when it is computed.
pub(super) fn attempt(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let parameter = LambdaFunctionParameter { name: Ident::with_quote('"', "__row"), data_type: None };
    let body = Box::new(one(args)?);
    let lambda = LambdaFunction { params: OneOrManyWithParens::One(parameter), body, syntax: LambdaSyntax::Arrow };
    Ok(call("athena_try", vec![cast(string("0"), "integer"), Expr::Lambda(lambda)]))
}

pub fn part(name: &str, args: Vec<Expr>) -> Result<Expr, &'static str> {
    Ok(cast(call("date_part", vec![string(name), one(args)?]), "bigint"))
}
