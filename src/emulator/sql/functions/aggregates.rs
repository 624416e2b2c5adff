//! Aggregates that become another aggregate, or a function of one.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident,
    ObjectName, OrderByExpr, OrderByOptions,
};

use super::scalars::{case, operation};
use super::{call as function, cast, string};

pub(super) fn arguments(call: &mut Function) -> Result<&mut Vec<FunctionArg>, &'static str> {
    match &mut call.args {
        FunctionArguments::List(list) => Ok(&mut list.args),
        _ => Err("takes arguments"),
    }
}

pub(super) fn argument(arg: FunctionArg) -> Result<Expr, &'static str> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err("takes plain arguments"),
    }
}

pub(super) fn named(call: &mut Function, name: &str) {
    call.name = ObjectName::from(vec![Ident::new(name)]);
}

pub(super) fn renamed(mut call: Function, name: &str) -> Result<Expr, &'static str> {
    named(&mut call, name);
    Ok(Expr::Function(call))
}

pub(super) fn count_if(mut call: Function) -> Result<Expr, &'static str> {
    let args = arguments(&mut call)?;
    if args.len() != 1 {
        return Err("takes one argument");
    }
    let condition = argument(args.remove(0))?;
    args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(case(condition.clone(), condition, None))));
    renamed(call, "count")
}

/// Lets an aggregate see only the rows for which this holds too.
pub(super) fn also_filtered(call: &mut Function, condition: Expr) {
    call.filter = Some(Box::new(match call.filter.take() {
        Some(filter) => operation(*filter, BinaryOperator::And, condition),
        None => condition,
    }));
}

pub(super) fn ordered_by(call: &mut Function, keys: Vec<OrderByExpr>) {
    if let FunctionArguments::List(list) = &mut call.args {
        list.clauses.push(FunctionArgumentClause::OrderBy(keys));
    }
}

/// `max_by(x, y)`: the `x` of the row with the greatest `y`; rows whose `y` is NULL do not take part.
pub(super) fn first_by(mut call: Function, ascending: bool) -> Result<Expr, &'static str> {
    let args = arguments(&mut call)?;
    if args.len() != 2 {
        return Err("takes two arguments");
    }
    let by = argument(args.remove(1))?;
    let options = OrderByOptions { asc: Some(ascending), nulls_first: None };
    ordered_by(&mut call, vec![OrderByExpr { expr: by.clone(), options, with_fill: None }]);
    also_filtered(&mut call, Expr::IsNotNull(Box::new(by)));
    renamed(call, "first_value")
}

/// Any value that is not NULL: here the first.
pub(super) fn arbitrary(mut call: Function) -> Result<Expr, &'static str> {
    let [value] = exactly(&mut call)?;
    also_filtered(&mut call, Expr::IsNotNull(Box::new(value)));
    renamed(call, "first_value")
}

/// The arguments of a call that takes so many; they stay in the call.
pub(super) fn exactly<const N: usize>(call: &mut Function) -> Result<[Expr; N], &'static str> {
    let args = arguments(call)?.iter().cloned().map(argument).collect::<Result<Vec<_>, _>>()?;
    args.try_into().map_err(|_| "takes another number of arguments")
}

pub(super) fn set_arguments(call: &mut Function, args: Vec<Expr>) -> Result<(), &'static str> {
    *arguments(call)? = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Ok(())
}

/// The same call as `array_agg` of its one argument.
pub(super) fn to_array(mut call: Function, known_only: bool) -> Result<Function, &'static str> {
    let [value] = exactly(&mut call)?;
    if known_only {
        also_filtered(&mut call, Expr::IsNotNull(Box::new(value)));
    }
    named(&mut call, "array_agg");
    Ok(call)
}

/// `map_agg` and its like: all pairs as an array, then a map of it. NULL keys do not take part.
pub(super) fn pairs(mut call: Function, of_entries: &str) -> Result<Expr, &'static str> {
    let [key, value] = exactly(&mut call)?;
    also_filtered(&mut call, Expr::IsNotNull(Box::new(key.clone())));
    set_arguments(&mut call, vec![function("athena_row", vec![key, value])])?;
    named(&mut call, "array_agg");
    Ok(function(of_entries, vec![Expr::Function(call)]))
}

/// `listagg(x, separator) WITHIN GROUP (ORDER BY …)`
pub(super) fn list_aggregate(mut call: Function) -> Result<Expr, &'static str> {
    let mut args = arguments(&mut call)?.drain(..).map(argument).collect::<Result<Vec<_>, _>>()?.into_iter();
    let value = args.next().ok_or("takes one or two arguments")?;
    let separator = args.next().unwrap_or_else(|| string(""));
    if args.next().is_some() {
        return Err("takes one or two arguments");
    }
    let keys = std::mem::take(&mut call.within_group);
    set_arguments(&mut call, vec![value.clone()])?;
    if !keys.is_empty() {
        ordered_by(&mut call, keys);
    }
    also_filtered(&mut call, Expr::IsNotNull(Box::new(value)));
    named(&mut call, "array_agg");
    Ok(function("athena_array_join", vec![Expr::Function(call), separator]))
}

pub(super) fn geometric_mean(mut call: Function) -> Result<Expr, &'static str> {
    let [value] = exactly(&mut call)?;
    set_arguments(&mut call, vec![function("ln", vec![cast(value, "double")])])?;
    named(&mut call, "avg");
    Ok(function("exp", vec![Expr::Function(call)]))
}

/// `max(x)`, or `max(x, n)`: the n greatest as an array.
pub(super) fn extremes(mut call: Function, name: &str, greatest: bool) -> Result<Expr, &'static str> {
    if arguments(&mut call)?.len() != 2 {
        return renamed(call, name);
    }
    let [value, count] = exactly(&mut call)?;
    set_arguments(&mut call, vec![value])?;
    let all = Expr::Function(to_array(call, true)?);
    let sorted = function("athena_array_sort", vec![all]);
    let sorted = if greatest { function("athena_reverse", vec![sorted]) } else { sorted };
    let one = cast(string("1"), "bigint");
    Ok(function("athena_slice", vec![sorted, one, count]))
}

/// One percentile, or an array of them.
pub(super) fn percentiles(mut call: Function) -> Result<Expr, &'static str> {
    let args = arguments(&mut call)?.iter().cloned().map(argument).collect::<Result<Vec<_>, _>>()?;
    let list = match args.as_slice() {
        [_, Expr::Function(list)] if list.name.to_string() == "athena_array" => list.clone(),
        [_, _] => return renamed(call, "approx_percentile_cont"),
        _ => return Err("takes a value and percentages"),
    };
    let FunctionArguments::List(list) = list.args else { return Err("takes a value and percentages") };
    let mut each = Vec::new();
    for percentage in list.args {
        let mut one = call.clone();
        set_arguments(&mut one, vec![args[0].clone(), argument(percentage)?])?;
        each.push(renamed(one, "approx_percentile_cont")?);
    }
    Ok(function("athena_array", each))
}
