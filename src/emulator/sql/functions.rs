//! The functions there are: Trino's name → what DataFusion is asked to run, with Trino's result type.
//!
//! Nothing reaches DataFusion that is not in [`find`]'s tables: a function of the same name may mean something else
//! there, and a wrong answer is worse than "not registered".

mod aggregates;
mod scalars;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Value,
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
use aggregates::*;
use scalars::*;
pub use scalars::{literal_integer, part, trim};

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
    ("mod", Expression(|args| binary(datafusion::sql::sqlparser::ast::BinaryOperator::Modulo, args))),
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
