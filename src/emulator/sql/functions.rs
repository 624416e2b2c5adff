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
    /// An aggregate with other arguments, order or filter, or a function of one.
    Aggregate(fn(Function) -> Result<Expr, &'static str>),
}

use Form::{Aggregate, Call, Double, Expression, Typed};

/// All functions by their name in Athena.
pub const FUNCTIONS: &[(&str, Form)] = &[
    // conditional
    ("coalesce", Call("coalesce")),
    ("nullif", Expression(null_if)),
    ("if", Expression(if_then)),
    ("try", Expression(attempt)),
    ("greatest", Expression(|args| null_if_any_null("greatest", args))),
    ("least", Expression(|args| null_if_any_null("least", args))),
    ("typeof", Call("athena_typeof")),
    ("uuid", Typed("uuid", "uuid")),
    // numbers
    ("abs", Call("abs")),
    ("ceil", Call("athena_ceil")),
    ("ceiling", Call("athena_ceil")),
    ("floor", Call("athena_floor")),
    ("round", Call("athena_round")),
    ("truncate", Call("athena_truncate")),
    ("sign", Call("athena_sign")),
    ("power", Double("power")),
    ("pow", Double("power")),
    ("sqrt", Double("sqrt")),
    ("cbrt", Double("cbrt")),
    ("exp", Double("exp")),
    ("e", Expression(|_| Ok(call("exp", vec![cast(string("1"), "double")])))),
    ("ln", Double("ln")),
    ("log", Call("athena_log")),
    ("log2", Double("log2")),
    ("log10", Double("log10")),
    ("sin", Double("sin")),
    ("cos", Double("cos")),
    ("tan", Double("tan")),
    ("asin", Double("asin")),
    ("acos", Double("acos")),
    ("atan", Double("atan")),
    ("atan2", Double("atan2")),
    ("sinh", Call("athena_sinh")),
    ("cosh", Call("athena_cosh")),
    ("tanh", Call("athena_tanh")),
    ("degrees", Double("degrees")),
    ("radians", Double("radians")),
    ("pi", Call("pi")),
    ("is_nan", Double("isnan")),
    ("is_finite", Call("athena_is_finite")),
    ("is_infinite", Call("athena_is_infinite")),
    ("random", Call("athena_random")),
    ("rand", Call("athena_random")),
    ("mod", Expression(|args| binary(BinaryOperator::Modulo, args))),
    ("nan", Expression(|_| Ok(cast(string("NaN"), "double")))),
    ("infinity", Expression(|_| Ok(cast(string("Infinity"), "double")))),
    ("from_base", Call("athena_from_base")),
    ("to_base", Call("athena_to_base")),
    ("width_bucket", Call("athena_width_bucket")),
    ("format_number", Call("athena_format_number")),
    ("parse_data_size", Call("athena_parse_data_size")),
    ("bitwise_and", Call("athena_bitwise_and")),
    ("bitwise_or", Call("athena_bitwise_or")),
    ("bitwise_xor", Call("athena_bitwise_xor")),
    ("bitwise_not", Call("athena_bitwise_not")),
    ("bitwise_left_shift", Call("athena_bitwise_left_shift")),
    ("bitwise_right_shift", Call("athena_bitwise_right_shift")),
    ("bitwise_right_shift_arithmetic", Call("athena_bitwise_right_shift_arithmetic")),
    ("bit_count", Call("athena_bit_count")),
    // strings
    ("length", Call("athena_length")),
    ("lower", Call("lower")),
    ("upper", Call("upper")),
    ("trim", Expression(|args| trim("btrim", args))),
    ("ltrim", Expression(|args| trim("ltrim", args))),
    ("rtrim", Expression(|args| trim("rtrim", args))),
    ("lpad", Call("athena_lpad")),
    ("rpad", Call("athena_rpad")),
    ("reverse", Call("athena_reverse")),
    ("replace", Expression(replace)),
    ("concat", Expression(concat)),
    ("concat_ws", Call("concat_ws")),
    ("starts_with", Call("starts_with")),
    ("ends_with", Call("ends_with")),
    ("strpos", Call("athena_strpos")),
    ("strrpos", Call("athena_strrpos")),
    ("substr", Call("athena_substr")),
    ("substring", Call("athena_substr")),
    ("split", Call("athena_split")),
    ("split_part", Call("athena_split_part")),
    ("split_to_map", Call("athena_split_to_map")),
    ("translate", Call("athena_translate")),
    ("chr", Call("chr")),
    ("codepoint", Call("athena_codepoint")),
    ("hamming_distance", Call("athena_hamming_distance")),
    ("levenshtein_distance", Call("athena_levenshtein_distance")),
    ("luhn_check", Call("athena_luhn_check")),
    ("soundex", Call("athena_soundex")),
    ("format", Call("athena_format")),
    // regular expressions
    ("regexp_like", Call("athena_regexp_like")),
    ("regexp_extract", Call("athena_regexp_extract")),
    ("regexp_extract_all", Call("athena_regexp_extract_all")),
    ("regexp_replace", Call("athena_regexp_replace")),
    ("regexp_split", Call("athena_regexp_split")),
    ("regexp_count", Call("athena_regexp_count")),
    ("regexp_position", Call("athena_regexp_position")),
    // binary
    ("to_utf8", Call("athena_to_utf8")),
    ("from_utf8", Call("athena_from_utf8")),
    ("to_hex", Call("athena_to_hex")),
    ("from_hex", Call("athena_from_hex")),
    ("to_base64", Call("athena_to_base64")),
    ("from_base64", Call("athena_from_base64")),
    ("to_base64url", Call("athena_to_base64url")),
    ("from_base64url", Call("athena_from_base64url")),
    ("md5", Call("athena_md5")),
    ("sha1", Call("athena_sha1")),
    ("sha256", Call("athena_sha256")),
    ("sha512", Call("athena_sha512")),
    ("hmac_sha256", Call("athena_hmac_sha256")),
    ("hmac_sha512", Call("athena_hmac_sha512")),
    ("xxhash64", Call("athena_xxhash64")),
    ("crc32", Call("athena_crc32")),
    ("to_big_endian_64", Call("athena_to_big_endian_64")),
    ("from_big_endian_64", Call("athena_from_big_endian_64")),
    ("to_ieee754_64", Call("athena_to_ieee754_64")),
    ("from_ieee754_64", Call("athena_from_ieee754_64")),
    // URLs
    ("url_encode", Call("athena_url_encode")),
    ("url_decode", Call("athena_url_decode")),
    ("url_extract_host", Call("athena_url_extract_host")),
    ("url_extract_path", Call("athena_url_extract_path")),
    ("url_extract_port", Call("athena_url_extract_port")),
    ("url_extract_protocol", Call("athena_url_extract_protocol")),
    ("url_extract_query", Call("athena_url_extract_query")),
    ("url_extract_fragment", Call("athena_url_extract_fragment")),
    ("url_extract_parameter", Call("athena_url_extract_parameter")),
    // JSON
    ("json_parse", Call("athena_json_parse")),
    ("json_format", Call("athena_json_format")),
    ("json_extract", Call("athena_json_extract")),
    ("json_extract_scalar", Call("athena_json_extract_scalar")),
    ("json_size", Call("athena_json_size")),
    ("json_array_length", Call("athena_json_array_length")),
    ("json_array_get", Call("athena_json_array_get")),
    ("json_array_contains", Call("athena_json_array_contains")),
    ("is_json_scalar", Call("athena_is_json_scalar")),
    // dates and times
    ("now", Expression(|_| Ok(now("%Y-%m-%d %H:%M:%S%.3f UTC", "timestamp(3) with time zone")))),
    ("current_timestamp", Expression(|_| Ok(now("%Y-%m-%d %H:%M:%S%.3f UTC", "timestamp(3) with time zone")))),
    ("localtimestamp", Expression(|_| Ok(now("%Y-%m-%d %H:%M:%S%.3f", "timestamp(3)")))),
    ("current_date", Expression(|_| Ok(now("%Y-%m-%d", "date")))),
    ("current_time", Expression(|_| Ok(now("%H:%M:%S%.3f+00:00", "time(3) with time zone")))),
    ("localtime", Expression(|_| Ok(now("%H:%M:%S%.3f", "time(3)")))),
    ("current_timezone", Expression(|_| Ok(string("UTC")))),
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
    ("millisecond", Call("athena_millisecond")),
    ("timezone_hour", Call("athena_timezone_hour")),
    ("timezone_minute", Call("athena_timezone_minute")),
    ("date_trunc", Call("athena_date_trunc")),
    ("date_add", Call("athena_date_add")),
    ("date_diff", Call("athena_date_diff")),
    ("date_format", Call("athena_date_format")),
    ("date_parse", Call("athena_date_parse")),
    ("format_datetime", Call("athena_format_datetime")),
    ("parse_datetime", Call("athena_parse_datetime")),
    ("from_iso8601_timestamp", Call("athena_from_iso8601_timestamp")),
    ("from_iso8601_date", Call("athena_from_iso8601_date")),
    ("to_iso8601", Call("athena_to_iso8601")),
    ("last_day_of_month", Call("athena_last_day_of_month")),
    ("from_unixtime", Expression(from_unixtime)),
    ("to_unixtime", Call("athena_to_unixtime")),
    ("at_timezone", Call("athena_at_timezone")),
    ("with_timezone", Call("athena_with_timezone")),
    ("to_milliseconds", Call("athena_to_milliseconds")),
    ("parse_duration", Call("athena_parse_duration")),
    ("human_readable_seconds", Call("athena_human_readable_seconds")),
    // arrays
    ("cardinality", Call("athena_cardinality")),
    ("element_at", Call("athena_element_at")),
    ("contains", Call("athena_contains")),
    ("array_distinct", Call("athena_array_distinct")),
    ("array_except", Call("athena_array_except")),
    ("array_intersect", Call("athena_array_intersect")),
    ("array_union", Call("athena_array_union")),
    ("array_join", Call("athena_array_join")),
    ("array_max", Call("athena_array_max")),
    ("array_min", Call("athena_array_min")),
    ("array_position", Call("athena_array_position")),
    ("array_remove", Call("athena_array_remove")),
    ("array_sort", Expression(array_sort)),
    ("arrays_overlap", Call("athena_arrays_overlap")),
    ("combinations", Call("athena_combinations")),
    ("flatten", Call("athena_flatten")),
    ("ngrams", Call("athena_ngrams")),
    ("repeat", Call("athena_repeat")),
    ("sequence", Call("athena_sequence")),
    ("shuffle", Call("athena_shuffle")),
    ("slice", Call("athena_slice")),
    ("trim_array", Call("athena_trim_array")),
    ("zip", Call("athena_zip")),
    ("transform", Call("athena_transform")),
    ("filter", Call("athena_filter")),
    ("reduce", Call("athena_reduce")),
    ("zip_with", Call("athena_zip_with")),
    ("any_match", Call("athena_any_match")),
    ("all_match", Call("athena_all_match")),
    ("none_match", Call("athena_none_match")),
    // maps and rows
    ("row", Call("athena_row")),
    ("map", Call("athena_map")),
    ("map_keys", Call("athena_map_keys")),
    ("map_values", Call("athena_map_values")),
    ("map_entries", Call("athena_map_entries")),
    ("map_from_entries", Call("athena_map_from_entries")),
    ("multimap_from_entries", Call("athena_multimap_from_entries")),
    ("map_concat", Call("athena_map_concat")),
    ("map_filter", Call("athena_map_filter")),
    ("map_zip_with", Call("athena_map_zip_with")),
    ("transform_keys", Call("athena_transform_keys")),
    ("transform_values", Call("athena_transform_values")),
    // aggregates
    ("count", Call("count")),
    ("sum", Call("sum")),
    ("avg", Call("avg")),
    ("min", Aggregate(|call| extremes(call, "min", false))),
    ("max", Aggregate(|call| extremes(call, "max", true))),
    ("count_if", Aggregate(count_if)),
    ("bool_and", Aggregate(|call| renamed(call, "bool_and"))),
    ("every", Aggregate(|call| renamed(call, "bool_and"))),
    ("bool_or", Aggregate(|call| renamed(call, "bool_or"))),
    ("bitwise_and_agg", Aggregate(|call| renamed(call, "bit_and"))),
    ("bitwise_or_agg", Aggregate(|call| renamed(call, "bit_or"))),
    ("array_agg", Call("array_agg")),
    (
        "set_agg",
        Aggregate(|call| Ok(self::call("athena_array_distinct", vec![Expr::Function(to_array(call, false)?)]))),
    ),
    ("map_agg", Aggregate(|call| pairs(call, "athena_map_of_entries"))),
    ("multimap_agg", Aggregate(|call| pairs(call, "athena_multimap_from_entries"))),
    ("histogram", Aggregate(|call| Ok(self::call("athena_histogram", vec![Expr::Function(to_array(call, true)?)])))),
    ("listagg", Aggregate(list_aggregate)),
    ("geometric_mean", Aggregate(geometric_mean)),
    ("arbitrary", Aggregate(arbitrary)),
    ("any_value", Aggregate(arbitrary)),
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
    ("regr_slope", Call("regr_slope")),
    ("regr_intercept", Call("regr_intercept")),
    ("approx_distinct", Typed("approx_distinct", "bigint")),
    ("approx_percentile", Aggregate(percentiles)),
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

fn named(call: &mut Function, name: &str) {
    call.name = ObjectName::from(vec![Ident::new(name)]);
}

fn renamed(mut call: Function, name: &str) -> Result<Expr, &'static str> {
    named(&mut call, name);
    Ok(Expr::Function(call))
}

fn count_if(mut call: Function) -> Result<Expr, &'static str> {
    let args = arguments(&mut call)?;
    if args.len() != 1 {
        return Err("takes one argument");
    }
    let condition = argument(args.remove(0))?;
    args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(case(condition.clone(), condition, None))));
    renamed(call, "count")
}

/// Lets an aggregate see only the rows for which this holds too.
fn also_filtered(call: &mut Function, condition: Expr) {
    call.filter = Some(Box::new(match call.filter.take() {
        Some(filter) => operation(*filter, BinaryOperator::And, condition),
        None => condition,
    }));
}

fn ordered_by(call: &mut Function, keys: Vec<OrderByExpr>) {
    if let FunctionArguments::List(list) = &mut call.args {
        list.clauses.push(datafusion::sql::sqlparser::ast::FunctionArgumentClause::OrderBy(keys));
    }
}

/// `max_by(x, y)`: the `x` of the row with the greatest `y`; rows whose `y` is NULL do not take part.
fn first_by(mut call: Function, ascending: bool) -> Result<Expr, &'static str> {
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
fn arbitrary(mut call: Function) -> Result<Expr, &'static str> {
    let [value] = exactly(&mut call)?;
    also_filtered(&mut call, Expr::IsNotNull(Box::new(value)));
    renamed(call, "first_value")
}

/// The arguments of a call that takes so many; they stay in the call.
fn exactly<const N: usize>(call: &mut Function) -> Result<[Expr; N], &'static str> {
    let args = arguments(call)?.iter().cloned().map(argument).collect::<Result<Vec<_>, _>>()?;
    args.try_into().map_err(|_| "takes another number of arguments")
}

fn set_arguments(call: &mut Function, args: Vec<Expr>) -> Result<(), &'static str> {
    *arguments(call)? = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Ok(())
}

/// The same call as `array_agg` of its one argument.
fn to_array(mut call: Function, known_only: bool) -> Result<Function, &'static str> {
    let [value] = exactly(&mut call)?;
    if known_only {
        also_filtered(&mut call, Expr::IsNotNull(Box::new(value)));
    }
    named(&mut call, "array_agg");
    Ok(call)
}

/// `map_agg` and its like: all pairs as an array, then a map of it. NULL keys do not take part.
fn pairs(mut call: Function, of_entries: &str) -> Result<Expr, &'static str> {
    let [key, value] = exactly(&mut call)?;
    also_filtered(&mut call, Expr::IsNotNull(Box::new(key.clone())));
    set_arguments(&mut call, vec![self::call("athena_row", vec![key, value])])?;
    named(&mut call, "array_agg");
    Ok(self::call(of_entries, vec![Expr::Function(call)]))
}

/// `listagg(x, separator) WITHIN GROUP (ORDER BY …)`
fn list_aggregate(mut call: Function) -> Result<Expr, &'static str> {
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
    Ok(self::call("athena_array_join", vec![Expr::Function(call), separator]))
}

fn geometric_mean(mut call: Function) -> Result<Expr, &'static str> {
    let [value] = exactly(&mut call)?;
    set_arguments(&mut call, vec![self::call("ln", vec![cast(value, "double")])])?;
    named(&mut call, "avg");
    Ok(self::call("exp", vec![Expr::Function(call)]))
}

/// `max(x)`, or `max(x, n)`: the n greatest as an array.
fn extremes(mut call: Function, name: &str, greatest: bool) -> Result<Expr, &'static str> {
    if arguments(&mut call)?.len() != 2 {
        return renamed(call, name);
    }
    let [value, count] = exactly(&mut call)?;
    set_arguments(&mut call, vec![value])?;
    let all = Expr::Function(to_array(call, true)?);
    let sorted = self::call("athena_array_sort", vec![all]);
    let sorted = if greatest { self::call("athena_reverse", vec![sorted]) } else { sorted };
    let one = cast(string("1"), "bigint");
    Ok(self::call("athena_slice", vec![sorted, one, count]))
}

/// One percentile, or an array of them.
fn percentiles(mut call: Function) -> Result<Expr, &'static str> {
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
    Ok(self::call("athena_array", each))
}

/// An integer literal, which may be negative, as the rewriting leaves it.
pub fn literal_integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => text.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: datafusion::sql::sqlparser::ast::UnaryOperator::Minus, expr } => {
            literal_integer(expr).map(|value| -value)
        }
        Expr::Nested(inner) => literal_integer(inner),
        _ => None,
    }
}

/// Hours and minutes of an offset become the name of a zone.
fn from_unixtime(mut args: Vec<Expr>) -> Result<Expr, &'static str> {
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

fn array_sort(args: Vec<Expr>) -> Result<Expr, &'static str> {
    let name = if args.len() == 2 { "athena_array_sort_with" } else { "athena_array_sort" };
    Ok(call(name, args))
}

/// `try(x)`: the expression becomes a lambda, so that the function decides when it is computed.
fn attempt(args: Vec<Expr>) -> Result<Expr, &'static str> {
    use datafusion::sql::sqlparser::ast::{LambdaFunction, LambdaFunctionParameter, LambdaSyntax, OneOrManyWithParens};
    let parameter = LambdaFunctionParameter { name: Ident::with_quote('"', "__row"), data_type: None };
    let body = Box::new(one(args)?);
    let lambda = LambdaFunction { params: OneOrManyWithParens::One(parameter), body, syntax: LambdaSyntax::Arrow };
    Ok(call("athena_try", vec![cast(string("0"), "integer"), Expr::Lambda(lambda)]))
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
        let differing: Vec<_> = listed.symmetric_difference(&known).collect();
        assert!(differing.is_empty(), "in the code or on the page alone: {differing:?}");
    }
}
