//! Arrow values → SQL literals, for the parameters of statements.
//!
//! Athena evaluates a parameter that reads as an expression and takes any other as text (athena-behaviour, section 2), so
//! what is sent is always a literal: a text in quotes stays a text, whatever is in it.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`mod@sql_type`] | the Athena type that values of an Arrow type have |

pub mod sql_type;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use sql_type::{spelled, sql_type};

/// Why a value cannot be a parameter.
#[derive(Debug, thiserror::Error)]
pub enum LiteralFault {
    #[error("values of type {0} cannot be parameters")]
    Type(DataType),
    #[error("{0} is outside of the years 1 to 9999")]
    Year(String),
    #[error("{0} has more digits than its decimal type, or than the 38 of Athena's widest")]
    TooManyDigits(String),
    #[error("an interval of {0} is of months and of days: Athena has no such type")]
    MixedInterval(String),
    #[error("{value} is finer than Athena's {name}, which holds {unit}: round it first")]
    TooFine { value: String, name: &'static str, unit: &'static str },
    #[error("{0} is longer than Athena's longest interval")]
    TooLongInterval(String),
    #[error("its list is longer than any statement that Athena takes: put the values into a table")]
    TooLong,
    #[error("the value cannot be read: {0}")]
    Broken(#[from] ArrowError),
}

/// How much of a value's type its literal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// All of it, so that an expression means the same whatever the value: `BIGINT '5'`, `CAST(NULL AS date)`.
    Exact,
    /// What Athena infers, which is the narrowest type there is and coerces to a column's: `5`, `NULL`.
    Inferred,
}

const NULL: &str = "NULL";
/// What [`Typing::Exact`] puts in front of a literal where Athena has no literal of the type.
const CAST: &str = "CAST(";
/// Longest literal of a list. No statement is longer (athena-behaviour, section 1), and several rows may share one list.
const MAX_NESTED_BYTES: usize = 262_144;

/// The literal of a row's value.
pub fn literal(array: &dyn Array, row: usize, typing: Typing) -> Result<String, LiteralFault> {
    if let Some(union) = array.as_any().downcast_ref::<UnionArray>() {
        let value = union.value(row);
        // Which of the kinds a NULL is of says nothing about it.
        return if value.is_null(0) { Ok(NULL.to_owned()) } else { literal(&value, 0, typing) };
    }
    match typing {
        Typing::Exact => exact(array, row),
        Typing::Inferred => inferred(array, row),
    }
}

/// Whether a literal names a type as an identifier does: Athena takes such a value beside a statement for text, so it has
/// to go into the statement (athena-behaviour, section 2). `BIGINT '5'` and `DATE '…'` are literals and name nothing.
pub fn has_names(literal: &str) -> bool {
    literal.starts_with(CAST)
}

fn exact(array: &dyn Array, row: usize) -> Result<String, LiteralFault> {
    let name = || sql_type(array.data_type()).map(|data_type| spelled(&data_type));
    if array.is_null(row) {
        return Ok(name().map_or_else(|| NULL.to_owned(), |name| format!("{CAST}NULL AS {name})")));
    }
    let typed = |name: &str| Ok(format!("{name} '{}'", shown(array, row, Digits::Needed)?));
    match array.data_type() {
        DataType::Int8 => typed("TINYINT"),
        DataType::Int16 | DataType::UInt8 => typed("SMALLINT"),
        DataType::Int32 | DataType::UInt16 => typed("INTEGER"),
        DataType::Int64 | DataType::UInt32 => typed("BIGINT"),
        DataType::UInt64 => decimal(&shown(array, row, Digits::Needed)?, sql_type::UINT64),
        DataType::Float16 => Ok(exact_real(array.as_primitive::<Float16Type>().value(row).to_f32())),
        DataType::Float32 => Ok(exact_real(array.as_primitive::<Float32Type>().value(row))),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            decimal(&decimal_text(array, row, *scale), sql_type::decimal(*precision, *scale))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(format!("VARCHAR {}", inferred(array, row)?)),
        DataType::Time32(unit) | DataType::Time64(unit) => {
            Ok(format!("TIME '{}'", shown(array, row, Digits::Of(*unit))?))
        }
        DataType::Timestamp(unit, _) => timestamp(array, row, Digits::Of(*unit)),
        DataType::Dictionary(_, values) => exact(&cast(&array.slice(row, 1), values)?, 0),
        DataType::RunEndEncoded(_, values) => exact(&cast(&array.slice(row, 1), values.data_type())?, 0),
        nested if nested.is_nested() => {
            let value = inferred(array, row)?;
            Ok(match name() {
                Some(name) => format!("{CAST}{value} AS {name})"),
                None => value,
            })
        }
        _ => inferred(array, row),
    }
}

fn inferred(array: &dyn Array, row: usize) -> Result<String, LiteralFault> {
    if array.is_null(row) {
        return Ok(NULL.to_owned());
    }
    Ok(match array.data_type() {
        DataType::Null => NULL.to_owned(),
        DataType::Boolean => if array.as_boolean().value(row) { "TRUE" } else { "FALSE" }.to_owned(),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => integer(shown(array, row, Digits::Needed)?),
        DataType::Float16 => real(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => real(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let text = decimal_text(array, row, *scale);
            let (precision, scale) = own_type(&text);
            if precision > sql_type::MAX_DIGITS {
                return Err(LiteralFault::TooManyDigits(text));
            }
            decimal(&text, (precision, scale))?
        }
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => text(array.as_string_view().value(row)),
        DataType::Binary => binary(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => binary(array.as_fixed_size_binary().value(row)),
        DataType::Date32 => format!("DATE '{}'", in_years(shown(array, row, Digits::Needed)?)?),
        DataType::Date64 => {
            let millis = array.as_primitive::<Date64Type>().value(row);
            if i128::from(millis) % DAY_MILLIS != 0 {
                return Err(too_fine(format!("{millis} ms since 1970"), "date", "days"));
            }
            format!("DATE '{}'", in_years(shown(array, row, Digits::Needed)?)?)
        }
        DataType::Time32(_) | DataType::Time64(_) => format!("TIME '{}'", shown(array, row, Digits::Needed)?),
        DataType::Timestamp(..) => timestamp(array, row, Digits::Needed)?,
        DataType::Interval(IntervalUnit::YearMonth) => months(array.as_primitive::<IntervalYearMonthType>().value(row)),
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            millis(i128::from(value.days) * DAY_MILLIS + i128::from(value.milliseconds))?
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let nanos = i128::from(value.days) * DAY_MILLIS * NANOS_OF_MILLI + i128::from(value.nanoseconds);
            match (value.months, nanos) {
                (0, nanos) => span(nanos, NANOS_OF_MILLI, "ns")?,
                (all, 0) => months(all),
                _ => return Err(LiteralFault::MixedInterval(shown(array, row, Digits::Needed)?)),
            }
        }
        DataType::Duration(unit) => duration(array, row, *unit)?,
        DataType::List(_) => array_of(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => array_of(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => array_of(&array.as_fixed_size_list().value(row))?,
        DataType::ListView(_) => array_of(&array.as_list_view::<i32>().value(row))?,
        DataType::LargeListView(_) => array_of(&array.as_list_view::<i64>().value(row))?,
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            format!("MAP({}, {})", array_of(entries.column(0))?, array_of(entries.column(1))?)
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let fields = array.as_struct().columns().iter().map(|field| literal(field, row, Typing::Inferred));
            format!("ROW({})", fields.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        DataType::Dictionary(_, values) => inferred(&cast(&array.slice(row, 1), values)?, 0)?,
        DataType::RunEndEncoded(_, values) => inferred(&cast(&array.slice(row, 1), values.data_type())?, 0)?,
        other => return Err(LiteralFault::Type(other.clone())),
    })
}

/// A number beyond bigint is a decimal. The smallest bigint cannot be written as one, for its digits alone are none.
fn integer(digits: String) -> String {
    match digits.parse::<i64>() {
        Ok(i64::MIN) => format!("BIGINT '{digits}'"),
        Ok(_) => digits,
        Err(_) => format!("DECIMAL '{digits}'"),
    }
}

fn real(value: f32) -> String {
    if value.is_finite() { format!("REAL '{value:e}'") } else { double(value.into()) }
}

fn exact_real(value: f32) -> String {
    if value.is_nan() {
        "REAL 'NaN'".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "REAL 'Infinity'" } else { "REAL '-Infinity'" }.to_owned()
    } else {
        real(value)
    }
}

fn double(value: f64) -> String {
    if value.is_nan() {
        "nan()".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "infinity()" } else { "-infinity()" }.to_owned()
    } else {
        format!("{value:E}")
    }
}

/// The digits of a decimal with its point where it belongs. Arrow's own text leaves out digits that the type has no room for.
fn decimal_text(array: &dyn Array, row: usize, scale: i8) -> String {
    let unscaled = match array.data_type() {
        DataType::Decimal32(..) => array.as_primitive::<Decimal32Type>().value(row).to_string(),
        DataType::Decimal64(..) => array.as_primitive::<Decimal64Type>().value(row).to_string(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value(row).to_string(),
        _ => array.as_primitive::<Decimal256Type>().value(row).to_string(),
    };
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled.as_str()), |digits| ("-", digits));
    let places = usize::from(scale.unsigned_abs());
    match scale {
        1.. => {
            let digits = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            format!("{sign}{whole}.{fraction}")
        }
        ..=-1 if digits != "0" => format!("{unscaled}{}", "0".repeat(places)),
        _ => unscaled,
    }
}

/// Precision and scale that Athena reads out of a decimal's text.
fn own_type(text: &str) -> (u8, u8) {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let precision = whole.trim_start_matches('0').len() + fraction.len();
    let small = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    (small(precision.max(1)), small(fraction.len()))
}

/// A decimal of a type: its literal, whose own type is as narrow as can be, and a cast where that is another one.
fn decimal(text: &str, (precision, scale): (u8, u8)) -> Result<String, LiteralFault> {
    let own = own_type(text);
    if own.1 > scale || own.0 - own.1 > precision - scale {
        return Err(LiteralFault::TooManyDigits(text.to_owned()));
    }
    if own == (precision, scale) {
        Ok(format!("DECIMAL '{text}'"))
    } else {
        Ok(format!("{CAST}DECIMAL '{text}' AS decimal({precision},{scale}))"))
    }
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn binary(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X'{digits}'")
}

fn timestamp(array: &dyn Array, row: usize, digits: Digits) -> Result<String, LiteralFault> {
    let shown = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = cast(&array.slice(row, 1), &DataType::Timestamp(*unit, Some("UTC".into())))?;
            shown(&utc, 0, digits)?
        }
        _ => shown(array, row, digits)?,
    };
    Ok(format!("TIMESTAMP '{}'", in_years(shown)?))
}

const DAY_MILLIS: i128 = 86_400_000;
const MICROS_OF_MILLI: i128 = 1000;
const NANOS_OF_MILLI: i128 = 1_000_000;

fn months(value: i32) -> String {
    format!("INTERVAL '{value}' MONTH")
}

fn duration(array: &dyn Array, row: usize, unit: TimeUnit) -> Result<String, LiteralFault> {
    match unit {
        TimeUnit::Second => millis(i128::from(array.as_primitive::<DurationSecondType>().value(row)) * 1000),
        TimeUnit::Millisecond => millis(array.as_primitive::<DurationMillisecondType>().value(row).into()),
        TimeUnit::Microsecond => {
            span(array.as_primitive::<DurationMicrosecondType>().value(row).into(), MICROS_OF_MILLI, "µs")
        }
        TimeUnit::Nanosecond => {
            span(array.as_primitive::<DurationNanosecondType>().value(row).into(), NANOS_OF_MILLI, "ns")
        }
    }
}

/// An interval of a finer unit: Athena's have milliseconds, and nothing is cut off.
fn span(value: i128, per_milli: i128, unit: &str) -> Result<String, LiteralFault> {
    if value % per_milli != 0 {
        return Err(too_fine(format!("{value} {unit}"), "interval day to second", "milliseconds"));
    }
    millis(value / per_milli)
}

fn millis(value: i128) -> Result<String, LiteralFault> {
    if i64::try_from(value).is_err() {
        return Err(LiteralFault::TooLongInterval(format!("{value} ms")));
    }
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    Ok(format!("INTERVAL '{sign}{}.{:03}' SECOND", value / 1000, value % 1000))
}

fn too_fine(value: String, name: &'static str, unit: &'static str) -> LiteralFault {
    LiteralFault::TooFine { value, name, unit }
}

fn array_of(values: &dyn Array) -> Result<String, LiteralFault> {
    let mut all = "ARRAY[".to_owned();
    for row in 0..values.len() {
        if row > 0 {
            all.push_str(", ");
        }
        all.push_str(&literal(values, row, Typing::Inferred)?);
        if all.len() > MAX_NESTED_BYTES {
            return Err(LiteralFault::TooLong);
        }
    }
    all.push(']');
    Ok(all)
}

/// Digits behind the seconds, which are the precision of a time's literal.
#[derive(Clone, Copy)]
enum Digits {
    /// As many as the value has, in threes.
    Needed,
    /// As many as the unit has.
    Of(TimeUnit),
}

impl Digits {
    fn format(self) -> &'static str {
        match self {
            Self::Needed => "%.f",
            Self::Of(TimeUnit::Second) => "",
            Self::Of(TimeUnit::Millisecond) => "%.3f",
            Self::Of(TimeUnit::Microsecond) => "%.6f",
            Self::Of(TimeUnit::Nanosecond) => "%.9f",
        }
    }
}

/// Numbers, dates and times as SQL writes them.
fn shown(array: &dyn Array, row: usize, digits: Digits) -> Result<String, ArrowError> {
    let time = format!("%H:%M:%S{}", digits.format());
    let (timestamp, zoned) = (format!("%Y-%m-%d {time}"), format!("%Y-%m-%d {time} UTC"));
    let options = FormatOptions::default()
        .with_date_format(Some("%Y-%m-%d"))
        .with_datetime_format(Some("%Y-%m-%d"))
        .with_time_format(Some(&time))
        .with_timestamp_format(Some(&timestamp))
        .with_timestamp_tz_format(Some(&zoned));
    ArrayFormatter::try_new(array, &options)?.value(row).try_to_string()
}

/// Other years are written with a sign, which no literal takes.
fn in_years(text: String) -> Result<String, LiteralFault> {
    if text.starts_with(['+', '-']) || text.starts_with("0000") { Err(LiteralFault::Year(text)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::buffer::{OffsetBuffer, ScalarBuffer};
    use proptest::prelude::*;

    use super::*;

    fn all(array: impl Array, typing: Typing) -> Vec<String> {
        let literal = |row| literal(&array, row, typing).unwrap_or_else(|fault| format!("! {fault}"));
        (0..array.len()).map(literal).collect()
    }

    fn of(array: impl Array) -> Vec<String> {
        all(array, Typing::Inferred)
    }

    fn exactly(array: impl Array) -> Vec<String> {
        all(array, Typing::Exact)
    }

    fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> Decimal128Array {
        Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("a decimal type")
    }

    #[test]
    fn every_value_is_a_literal() {
        assert_eq!(of(NullArray::new(1)), ["NULL"]);
        assert_eq!(of(BooleanArray::from(vec![Some(true), None])), ["TRUE", "NULL"]);
        assert_eq!(of(Int64Array::from(vec![5, -5, i64::MIN])), ["5", "-5", "BIGINT '-9223372036854775808'"]);
        assert_eq!(of(UInt64Array::from(vec![u64::MAX])), ["DECIMAL '18446744073709551615'"]);
        assert_eq!(of(Float32Array::from(vec![1.5, f32::NAN])), ["REAL '1.5e0'", "nan()"]);
        assert_eq!(of(Float64Array::from(vec![-0.1, f64::NEG_INFINITY])), ["-1E-1", "-infinity()"]);
        assert_eq!(of(decimals(vec![Some(-150), Some(0)], 38, 2)), ["DECIMAL '-1.50'", "DECIMAL '0.00'"]);
        assert_eq!(of(StringArray::from(vec!["it's", "'; drop table x --"])), ["'it''s'", "'''; drop table x --'"]);
        assert_eq!(of(StringViewArray::from(vec!["é"])), ["'é'"]);
        assert_eq!(of(BinaryArray::from(vec![&b"\x00\xff"[..]])), ["X'00ff'"]);
        assert_eq!(
            of(Date32Array::from(vec![0, 2_932_896, 2_932_897]))[..2],
            ["DATE '1970-01-01'", "DATE '9999-12-31'"]
        );
        assert!(of(Date32Array::from(vec![2_932_897]))[0].starts_with("! "));
        assert_eq!(of(Date64Array::from(vec![86_400_000])), ["DATE '1970-01-02'"]);
        assert_eq!(of(Time64MicrosecondArray::from(vec![1_500_000])), ["TIME '00:00:01.500'"]);
        assert_eq!(of(TimestampMillisecondArray::from(vec![1])), ["TIMESTAMP '1970-01-01 00:00:00.001'"]);
        let zoned = TimestampSecondArray::from(vec![0]).with_timezone("+09:00");
        assert_eq!(of(zoned), ["TIMESTAMP '1970-01-01 00:00:00 UTC'"]);
        assert_eq!(of(IntervalYearMonthArray::from(vec![-14])), ["INTERVAL '-14' MONTH"]);
        assert_eq!(of(DurationSecondArray::from(vec![-90])), ["INTERVAL '-90.000' SECOND"]);
        let dictionary: DictionaryArray<Int8Type> = vec!["a", "b"].into_iter().collect();
        assert_eq!(of(dictionary), ["'a'", "'b'"]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        assert_eq!(of(list), ["ARRAY[1, NULL]"]);
        let fields: Fields = vec![Field::new("a", DataType::Utf8, true)].into();
        assert_eq!(of(StructArray::new(fields, vec![Arc::new(StringArray::from(vec!["x"]))], None)), ["ROW('x')"]);
    }

    #[test]
    fn an_exact_literal_is_of_the_values_own_type() {
        let null = |name: &str| format!("CAST(NULL AS {name})");
        assert_eq!(exactly(NullArray::new(1)), ["NULL"]);
        assert_eq!(exactly(BooleanArray::from(vec![Some(true), None])), ["TRUE".to_owned(), null("boolean")]);
        assert_eq!(exactly(Int8Array::from(vec![-128])), ["TINYINT '-128'"]);
        assert_eq!(exactly(Int16Array::from(vec![5])), ["SMALLINT '5'"]);
        assert_eq!(exactly(Int32Array::from(vec![i32::MIN])), ["INTEGER '-2147483648'"]);
        assert_eq!(exactly(Int64Array::from(vec![Some(5), None])), ["BIGINT '5'".to_owned(), null("bigint")]);
        assert_eq!(exactly(UInt8Array::from(vec![255])), ["SMALLINT '255'"]);
        assert_eq!(exactly(UInt16Array::from(vec![65_535])), ["INTEGER '65535'"]);
        assert_eq!(exactly(UInt32Array::from(vec![u32::MAX])), ["BIGINT '4294967295'"]);
        assert_eq!(
            exactly(UInt64Array::from(vec![u64::MAX, 5])),
            ["DECIMAL '18446744073709551615'", "CAST(DECIMAL '5' AS decimal(20,0))"]
        );
        assert_eq!(exactly(Float32Array::from(vec![1.5, f32::NEG_INFINITY])), ["REAL '1.5e0'", "REAL '-Infinity'"]);
        assert_eq!(exactly(Float64Array::from(vec![Some(1.5), None])), ["1.5E0".to_owned(), null("double")]);
        let (cast, own) = ("CAST(DECIMAL '1.50' AS decimal(10,2))", "DECIMAL '12345678.90'");
        assert_eq!(
            exactly(decimals(vec![Some(150), Some(1_234_567_890), None], 10, 2)),
            [cast.to_owned(), own.to_owned(), null("decimal(10,2)")]
        );
        assert_eq!(exactly(decimals(vec![Some(0), Some(-5)], 2, 2)), ["DECIMAL '0.00'", "DECIMAL '-0.05'"]);
        let text = "VARCHAR 'it''s'".to_owned();
        assert_eq!(exactly(StringArray::from(vec![Some("it's"), None])), [text, null("varchar")]);
        assert_eq!(exactly(BinaryArray::from(vec![None::<&[u8]>])), [null("varbinary")]);
        assert_eq!(exactly(Date32Array::from(vec![None])), [null("date")]);
        assert_eq!(exactly(Time32SecondArray::from(vec![1])), ["TIME '00:00:01'"]);
        assert_eq!(exactly(Time64NanosecondArray::from(vec![1])), ["TIME '00:00:00.000000001'"]);
        assert_eq!(exactly(TimestampMicrosecondArray::from(vec![0])), ["TIMESTAMP '1970-01-01 00:00:00.000000'"]);
        let zoned = TimestampNanosecondArray::from(vec![Some(1), None]).with_timezone("+09:00");
        let digits = "TIMESTAMP '1970-01-01 00:00:00.000000001 UTC'".to_owned();
        assert_eq!(exactly(zoned), [digits, null("timestamp(9) with time zone")]);
        assert_eq!(exactly(DurationSecondArray::from(vec![None])), [null("interval day to second")]);
        let dictionary: DictionaryArray<Int8Type> = vec![Some("a"), None].into_iter().collect();
        assert_eq!(exactly(dictionary), ["VARCHAR 'a'".to_owned(), null("varchar")]);
    }

    #[test]
    fn exact_lists_maps_and_structs_say_what_is_inside() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), Some(vec![]), None]);
        let literals = ["CAST(ARRAY[1, NULL] AS array(bigint))", "CAST(ARRAY[] AS array(bigint))"];
        assert_eq!(exactly(list.clone())[..2], literals);
        assert_eq!(exactly(list)[2], "CAST(NULL AS array(bigint))");
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let fields: Fields = vec![field("a", DataType::Int32), field("or\"der", DataType::Utf8)].into();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(vec![1])), Arc::new(StringArray::from(vec![Some("a,b")]))];
        let literal = r#"CAST(ROW(1, 'a,b') AS row("a" integer, "or""der" varchar))"#;
        assert_eq!(exactly(StructArray::new(fields, columns, None)), [literal]);
        let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
        map.keys().append_value("k");
        map.values().append_null();
        map.append(true).expect("an entry");
        assert_eq!(exactly(map.finish()), ["CAST(MAP(ARRAY['k'], ARRAY[NULL]) AS map(varchar, double))"]);
        let unknown = Arc::new(Field::new_list_field(DataType::Null, true));
        let nulls = ListArray::new(unknown, OffsetBuffer::from_lengths([1]), Arc::new(NullArray::new(1)), None);
        assert_eq!(exactly(nulls), ["ARRAY[NULL]"]);
        assert!(exactly(StructArray::new_empty_fields(1, None))[0].starts_with("! "));
    }

    #[test]
    fn digits_that_athena_has_no_room_for_are_refused() {
        let refused = |literals: Vec<String>, what: &str| {
            assert!(literals.iter().all(|text| text.starts_with("! ") && text.contains(what)), "{literals:?}");
        };
        for literals in
            [of(DurationMicrosecondArray::from(vec![1500])), exactly(DurationMicrosecondArray::from(vec![1500]))]
        {
            refused(literals, "1500 µs is finer than Athena's interval day to second, which holds milliseconds");
        }
        assert_eq!(of(DurationMicrosecondArray::from(vec![-1_500_000])), ["INTERVAL '-1.500' SECOND"]);
        refused(of(DurationNanosecondArray::from(vec![1])), "1 ns is finer");
        refused(of(DurationSecondArray::from(vec![i64::MAX])), "longest interval");
        let interval = |months, days, nanos| {
            of(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, nanos)]))
        };
        refused(interval(0, 1, 1), "86400000000001 ns is finer");
        refused(interval(1, 1, 0), "months and of days");
        assert_eq!(interval(0, 1, 1_000_000), ["INTERVAL '86400.001' SECOND"]);
        refused(of(Date64Array::from(vec![1])), "1 ms since 1970 is finer than Athena's date, which holds days");
        let unchecked = Decimal128Array::from(vec![100_000]).with_data_type(DataType::Decimal128(3, 0));
        refused(exactly(unchecked), "100000 has more digits");
        let wide = |value, scale| {
            Decimal256Array::from(vec![value]).with_precision_and_scale(76, scale).expect("a decimal type")
        };
        refused(of(wide(i256::from_i128(10).wrapping_pow(38), 0)), "more digits");
        refused(exactly(wide(i256::from_i128(10).wrapping_pow(38), 1)), "more digits");
        assert_eq!(exactly(wide(i256::from_i128(15), 1)), ["CAST(DECIMAL '1.5' AS decimal(38,1))"]);
        assert_eq!(of(decimals(vec![Some(12), Some(0)], 5, -2)), ["DECIMAL '1200'", "DECIMAL '0'"]);
        assert_eq!(exactly(decimals(vec![Some(12)], 5, -2)), ["CAST(DECIMAL '1200' AS decimal(7,0))"]);
    }

    #[test]
    fn unions_are_what_they_hold() {
        let fields = UnionFields::try_new(
            [0, 1],
            [Field::new("s", DataType::Utf8, true), Field::new("i", DataType::Int64, true)],
        )
        .expect("two kinds");
        let children: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(vec!["a"])), Arc::new(Int64Array::from(vec![None, Some(7)]))];
        let (ids, offsets): (ScalarBuffer<i8>, ScalarBuffer<i32>) = (vec![1, 0, 1].into(), vec![1, 0, 0].into());
        let union = UnionArray::try_new(fields, ids, Some(offsets), children).expect("a union");
        assert_eq!(of(union.clone()), ["7", "'a'", "NULL"]);
        assert_eq!(exactly(union), ["BIGINT '7'", "VARCHAR 'a'", "NULL"]);
    }

    proptest! {
        /// Taken apart as SQL reads it, a text is one literal and nothing behind it.
        #[test]
        fn a_hostile_text_stays_a_text(value in "\\PC{0,12}|['\"\\\\; -]{0,12}") {
            let literal = of(StringArray::from(vec![value.as_str()])).remove(0);
            let inner = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).expect("quotes");
            prop_assert!(!inner.replace("''", "").contains('\''));
            prop_assert_eq!(inner.replace("''", "'"), value);
        }
    }
}
