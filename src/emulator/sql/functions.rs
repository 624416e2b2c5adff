//! The functions there are: Trino's name → what DataFusion is asked to run, with Trino's result type.
//!
//! Nothing reaches DataFusion that is not in [`find`]'s tables: a function of the same name may mean something else
//! there, and a wrong answer is worse than "not registered".

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, OrderByExpr, OrderByOptions, Value,
};

/// Our own DataFusion functions that stand for CAST and TRY_CAST with Trino's rules (`engine/cast.rs`).
pub const CAST: &str = "athena_cast";
pub const TRY_CAST: &str = "athena_try_cast";

/// What becomes of a call.
#[derive(Clone, Copy)]
pub enum Form {
    /// DataFusion's function of this name does the same and gives the same type.
    Call(&'static str),
    /// The same, but its result has to be cast to the Trino type.
    Typed(&'static str, &'static str),
    /// The same, with every argument cast to double first.
    Double(&'static str),
    /// Another expression; an error is a complaint about the arguments.
    Expression(fn(Vec<Expr>) -> Result<Expr, &'static str>),
    /// An aggregate with other arguments, order or filter.
    Aggregate(fn(&mut Function) -> Result<(), &'static str>),
}

use Form::{Aggregate, Call, Double, Expression, Typed};

/// All functions by their name in Athena.
pub const FUNCTIONS: &[(&str, Form)] = &[
    // conditional
    ("coalesce", Call("coalesce")),
    ("nullif", Expression(null_if)),
    ("if", Expression(if_then)),
    ("greatest", Expression(|args| null_if_any_null("greatest", args))),
    ("least", Expression(|args| null_if_any_null("least", args))),
    ("typeof", Call("athena_typeof")),
    // numbers
    ("abs", Call("abs")),
    ("ceil", Call("athena_ceil")),
    ("ceiling", Call("athena_ceil")),
    ("floor", Call("athena_floor")),
    ("round", Call("athena_round")),
    ("power", Double("power")),
    ("pow", Double("power")),
    ("sqrt", Double("sqrt")),
    ("cbrt", Double("cbrt")),
    ("exp", Double("exp")),
    ("ln", Double("ln")),
    ("log2", Double("log2")),
    ("log10", Double("log10")),
    ("sin", Double("sin")),
    ("cos", Double("cos")),
    ("tan", Double("tan")),
    ("asin", Double("asin")),
    ("acos", Double("acos")),
    ("atan", Double("atan")),
    ("atan2", Double("atan2")),
    ("degrees", Double("degrees")),
    ("radians", Double("radians")),
    ("pi", Call("pi")),
    ("is_nan", Double("isnan")),
    ("random", Call("random")),
    ("rand", Call("random")),
    ("mod", Expression(|args| binary(BinaryOperator::Modulo, args))),
    ("nan", Expression(|_| Ok(cast(string("NaN"), "double")))),
    ("infinity", Expression(|_| Ok(cast(string("Infinity"), "double")))),
    // strings
    ("length", Typed("character_length", "bigint")),
    ("lower", Call("lower")),
    ("upper", Call("upper")),
    ("trim", Expression(|args| trim("btrim", args))),
    ("ltrim", Expression(|args| trim("ltrim", args))),
    ("rtrim", Expression(|args| trim("rtrim", args))),
    ("lpad", Call("lpad")),
    ("rpad", Call("rpad")),
    ("reverse", Call("reverse")),
    ("replace", Expression(replace)),
    ("concat", Expression(concat)),
    ("concat_ws", Call("concat_ws")),
    ("starts_with", Call("starts_with")),
    ("ends_with", Call("ends_with")),
    ("strpos", Typed("strpos", "bigint")),
    ("substr", Call("athena_substr")),
    ("substring", Call("athena_substr")),
    ("split", Call("athena_split")),
    ("split_part", Call("athena_split_part")),
    ("chr", Call("chr")),
    ("to_hex", Call("athena_to_hex")),
    ("sha256", Call("sha256")),
    ("sha512", Call("sha512")),
    ("to_utf8", Expression(|args| one(args).map(|text| cast(text, "varbinary")))),
    ("regexp_like", Call("regexp_like")),
    ("regexp_extract", Call("athena_regexp_extract")),
    // dates and times
    ("now", Expression(|_| Ok(now("%Y-%m-%d %H:%M:%S%.3f UTC", "timestamp(3) with time zone")))),
    ("current_timestamp", Expression(|_| Ok(now("%Y-%m-%d %H:%M:%S%.3f UTC", "timestamp(3) with time zone")))),
    ("localtimestamp", Expression(|_| Ok(now("%Y-%m-%d %H:%M:%S%.3f", "timestamp(3)")))),
    ("current_date", Expression(|_| Ok(now("%Y-%m-%d", "date")))),
    ("date", Expression(|args| one(args).map(|value| cast(value, "date")))),
    ("year", Expression(|args| part("year", args))),
    ("quarter", Expression(|args| part("quarter", args))),
    ("month", Expression(|args| part("month", args))),
    ("week", Expression(|args| part("week", args))),
    ("week_of_year", Expression(|args| part("week", args))),
    ("year_of_week", Expression(|args| part("isoyear", args))),
    ("yow", Expression(|args| part("isoyear", args))),
    ("day", Expression(|args| part("day", args))),
    ("day_of_month", Expression(|args| part("day", args))),
    ("day_of_week", Expression(day_of_week)),
    ("dow", Expression(day_of_week)),
    ("day_of_year", Expression(|args| part("doy", args))),
    ("doy", Expression(|args| part("doy", args))),
    ("hour", Expression(|args| part("hour", args))),
    ("minute", Expression(|args| part("minute", args))),
    ("second", Expression(second)),
    ("date_trunc", Call("athena_date_trunc")),
    ("date_add", Call("athena_date_add")),
    ("date_diff", Call("athena_date_diff")),
    ("date_format", Call("athena_date_format")),
    ("date_parse", Call("athena_date_parse")),
    ("last_day_of_month", Call("athena_last_day_of_month")),
    ("from_unixtime", Call("athena_from_unixtime")),
    ("to_unixtime", Call("athena_to_unixtime")),
    // arrays
    ("cardinality", Typed("cardinality", "bigint")),
    ("array_distinct", Call("array_distinct")),
    ("array_join", Call("array_to_string")),
    // aggregates
    ("count", Call("count")),
    ("sum", Call("sum")),
    ("avg", Call("avg")),
    ("min", Call("min")),
    ("max", Call("max")),
    ("count_if", Aggregate(count_if)),
    ("bool_and", Call("bool_and")),
    ("every", Call("bool_and")),
    ("bool_or", Call("bool_or")),
    ("array_agg", Call("array_agg")),
    ("arbitrary", Call("min")),
    ("any_value", Call("min")),
    ("max_by", Aggregate(|call| first_by(call, false))),
    ("min_by", Aggregate(|call| first_by(call, true))),
    ("stddev", Call("stddev")),
    ("stddev_samp", Call("stddev")),
    ("stddev_pop", Call("stddev_pop")),
    ("variance", Call("var_samp")),
    ("var_samp", Call("var_samp")),
    ("var_pop", Call("var_pop")),
    ("corr", Call("corr")),
    ("covar_samp", Call("covar_samp")),
    ("covar_pop", Call("covar_pop")),
    ("approx_distinct", Typed("approx_distinct", "bigint")),
    ("approx_percentile", Call("approx_percentile_cont")),
    ("grouping", Typed("grouping", "bigint")),
    // windows
    ("row_number", Typed("row_number", "bigint")),
    ("rank", Typed("rank", "bigint")),
    ("dense_rank", Typed("dense_rank", "bigint")),
    ("ntile", Typed("ntile", "bigint")),
    ("percent_rank", Call("percent_rank")),
    ("cume_dist", Call("cume_dist")),
    ("lag", Call("lag")),
    ("lead", Call("lead")),
    ("first_value", Call("first_value")),
    ("last_value", Call("last_value")),
    ("nth_value", Call("nth_value")),
];

/// What becomes of the function of this name, given in lower case.
pub fn find(name: &str) -> Option<Form> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, form)| *form)
}

/// A call of a DataFusion function by name.
pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(function(name, args))
}

pub fn cast(value: Expr, data_type: &str) -> Expr {
    call(CAST, vec![value, string(data_type)])
}

pub fn string(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

pub fn part(name: &str, args: Vec<Expr>) -> Result<Expr, &'static str> {
    Ok(cast(call("date_part", vec![string(name), one(args)?]), "bigint"))
}

fn function(name: &str, args: Vec<Expr>) -> Function {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// The time at which the statement is read, as a constant: it is the same wherever it stands in a query.
fn now(format: &str, data_type: &str) -> Expr {
    cast(string(&chrono::Utc::now().format(format).to_string()), data_type)
}

fn one(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let [only]: [Expr; 1] = args.try_into().map_err(|_| "takes one argument")?;
    Ok(only)
}

fn case(condition: Expr, result: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: otherwise.map(Box::new),
    }
}

fn if_then(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let mut args = args.into_iter();
    match (args.next(), args.next(), args.next(), args.next()) {
        (Some(condition), Some(result), otherwise, None) => Ok(case(condition, result, otherwise)),
        _ => Err("takes two or three arguments"),
    }
}

/// Written out, so that the comparison is Trino's.
fn null_if(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let [value, other]: [Expr; 2] = args.try_into().map_err(|_| "takes two arguments")?;
    let null = Expr::Value(Value::Null.with_empty_span());
    Ok(case(operation(value.clone(), BinaryOperator::Eq, other), null, Some(value)))
}

/// DataFusion's `greatest` passes over NULLs, Trino's is NULL as soon as one argument is.
fn null_if_any_null(name: &str, args: Vec<Expr>) -> Result<Expr, &'static str> {
    let any_null = args
        .iter()
        .map(|arg| Expr::IsNull(Box::new(arg.clone())))
        .reduce(|left, right| operation(left, BinaryOperator::Or, right))
        .ok_or("takes at least one argument")?;
    let null = Expr::Value(Value::Null.with_empty_span());
    Ok(case(any_null, null, Some(call(name, args))))
}

fn operation(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

fn binary(op: BinaryOperator, args: Vec<Expr>) -> Result<Expr, &'static str> {
    let [left, right]: [Expr; 2] = args.try_into().map_err(|_| "takes two arguments")?;
    Ok(operation(left, op, right))
}

/// DataFusion's `concat` passes over NULLs, Trino's and `||` are NULL.
fn concat(args: Vec<Expr>) -> Result<Expr, &'static str> {
    if args.len() < 2 {
        return Err("takes at least two arguments");
    }
    args.into_iter()
        .reduce(|left, right| operation(left, BinaryOperator::StringConcat, right))
        .ok_or("takes at least two arguments")
}

/// What Trino takes for blanks when it trims; DataFusion takes only the space.
const BLANKS: &str = " \t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f}";

/// Trims blanks, or the characters given.
pub fn trim(name: &str, mut args: Vec<Expr>) -> Result<Expr, &'static str> {
    match args.len() {
        1 => args.push(string(BLANKS)),
        2 => {}
        _ => return Err("takes one or two arguments"),
    }
    Ok(call(name, args))
}

fn replace(mut args: Vec<Expr>) -> Result<Expr, &'static str> {
    match args.len() {
        2 => args.push(string("")),
        3 => {}
        _ => return Err("takes two or three arguments"),
    }
    Ok(call("replace", args))
}

/// Trino counts from Monday = 1; DataFusion's `isodow` does too.
fn day_of_week(args: Vec<Expr>) -> Result<Expr, &'static str> {
    part("isodow", args)
}

/// DataFusion's second carries the fraction in no type, but rounds nothing: cut it off as Trino does.
fn second(args: Vec<Expr>) -> Result<Expr, &'static str> {
    Ok(cast(call("date_part", vec![string("second"), one(args)?]), "bigint"))
}

fn arguments(call: &mut Function) -> Result<&mut Vec<FunctionArg>, &'static str> {
    match &mut call.args {
        FunctionArguments::List(list) => Ok(&mut list.args),
        _ => Err("takes arguments"),
    }
}

fn argument(arg: FunctionArg) -> Result<Expr, &'static str> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err("takes plain arguments"),
    }
}

fn count_if(call: &mut Function) -> Result<(), &'static str> {
    let args = arguments(call)?;
    if args.len() != 1 {
        return Err("takes one argument");
    }
    let condition = argument(args.remove(0))?;
    args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(case(condition.clone(), condition, None))));
    call.name = ObjectName::from(vec![Ident::new("count")]);
    Ok(())
}

/// `max_by(x, y)`: the `x` of the row with the greatest `y`; rows whose `y` is NULL do not take part.
fn first_by(call: &mut Function, ascending: bool) -> Result<(), &'static str> {
    let args = arguments(call)?;
    if args.len() != 2 {
        return Err("takes two arguments");
    }
    let by = argument(args.remove(1))?;
    if let FunctionArguments::List(list) = &mut call.args {
        use datafusion::sql::sqlparser::ast::FunctionArgumentClause;
        let options = OrderByOptions { asc: Some(ascending), nulls_first: None };
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![OrderByExpr {
            expr: by.clone(),
            options,
            with_fill: None,
        }]));
    }
    let known = Expr::IsNotNull(Box::new(by));
    call.filter = Some(Box::new(match call.filter.take() {
        Some(filter) => operation(*filter, BinaryOperator::And, known),
        None => known,
    }));
    call.name = ObjectName::from(vec![Ident::new("first_value")]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_lists_the_functions() {
        let page = include_str!("../../../docs/emulator.md");
        let section = page.split("## Functions").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
        let rows = section.lines().filter(|line| line.starts_with('|'));
        let listed: BTreeSet<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
        let known: BTreeSet<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, known);
    }
}
