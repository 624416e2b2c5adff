//! Arrow values → SQL literals, for the parameters of statements.
//!
//! Athena evaluates a parameter that reads as an expression and takes any other as text (athena-behaviour, section 2), so
//! what is sent is always a literal: a text in quotes stays a text, whatever is in it.

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Why a value cannot be a parameter.
#[derive(Debug, thiserror::Error)]
pub enum LiteralFault {
    #[error("values of type {0} cannot be parameters")]
    Type(DataType),
    #[error("{0} is outside of the years 1 to 9999")]
    Year(String),
    #[error("{0} has more than the 38 digits of a decimal")]
    TooManyDigits(String),
    #[error("an interval of {0} is of months and of days: Athena has no such type")]
    MixedInterval(String),
    #[error("its list is longer than any statement that Athena takes: put the values into a table")]
    TooLong,
    #[error("the value cannot be read: {0}")]
    Broken(#[from] ArrowError),
}

const NULL: &str = "NULL";
/// Longest literal of a list. No statement is longer (athena-behaviour, section 1), and several rows may share one list.
const MAX_NESTED_BYTES: usize = 262_144;
/// Digits of Athena's widest decimal.
const MAX_DIGITS: usize = 38;

/// The literal of a row's value.
pub fn literal(array: &dyn Array, row: usize) -> Result<String, LiteralFault> {
    if let Some(union) = array.as_any().downcast_ref::<UnionArray>() {
        return literal(&union.value(row), 0);
    }
    if array.is_null(row) {
        return Ok(NULL.to_owned());
    }
    Ok(match array.data_type() {
        DataType::Null => NULL.to_owned(),
        DataType::Boolean => if array.as_boolean().value(row) { "TRUE" } else { "FALSE" }.to_owned(),
        DataType::Int8 => integer(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => integer(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => integer(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => integer(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => integer(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => integer(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => integer(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => integer(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float16 => real(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => real(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let text = shown(array, row)?;
            let digits = text.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
            if digits > MAX_DIGITS {
                return Err(LiteralFault::TooManyDigits(text));
            }
            format!("DECIMAL '{text}'")
        }
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => text(array.as_string_view().value(row)),
        DataType::Binary => binary(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => binary(array.as_fixed_size_binary().value(row)),
        DataType::Date32 | DataType::Date64 => format!("DATE '{}'", in_years(shown(array, row)?)?),
        DataType::Time32(_) | DataType::Time64(_) => format!("TIME '{}'", shown(array, row)?),
        DataType::Timestamp(_, None) => format!("TIMESTAMP '{}'", in_years(shown(array, row)?)?),
        DataType::Timestamp(unit, Some(_)) => {
            let utc = cast(&array.slice(row, 1), &DataType::Timestamp(*unit, Some("UTC".into())))?;
            format!("TIMESTAMP '{}'", in_years(shown(&utc, 0)?)?)
        }
        DataType::Interval(IntervalUnit::YearMonth) => months(array.as_primitive::<IntervalYearMonthType>().value(row)),
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            millis(i128::from(value.days) * DAY_MILLIS + i128::from(value.milliseconds))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let days = i128::from(value.days) * DAY_MILLIS + i128::from(value.nanoseconds) / NANOS_OF_MILLI;
            match (value.months, days) {
                (0, days) => millis(days),
                (all, 0) => months(all),
                _ => return Err(LiteralFault::MixedInterval(shown(array, row)?)),
            }
        }
        DataType::Duration(_) => {
            let millis_array = cast(&array.slice(row, 1), &DataType::Duration(TimeUnit::Millisecond))?;
            millis(millis_array.as_primitive::<DurationMillisecondType>().value(0).into())
        }
        DataType::List(_) => array_of(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => array_of(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => array_of(&array.as_fixed_size_list().value(row))?,
        DataType::ListView(_) => array_of(&array.as_list_view::<i32>().value(row))?,
        DataType::LargeListView(_) => array_of(&array.as_list_view::<i64>().value(row))?,
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            format!("MAP({}, {})", array_of(entries.column(0))?, array_of(entries.column(1))?)
        }
        DataType::Struct(_) => {
            let fields = array.as_struct().columns().iter().map(|field| literal(field, row));
            format!("ROW({})", fields.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        DataType::Dictionary(_, values) => literal(&cast(&array.slice(row, 1), values)?, 0)?,
        DataType::RunEndEncoded(_, values) => literal(&cast(&array.slice(row, 1), values.data_type())?, 0)?,
        other => return Err(LiteralFault::Type(other.clone())),
    })
}

/// A number beyond bigint is a decimal. The smallest bigint cannot be written as one, for its digits alone are none.
fn integer(value: i128) -> String {
    match i64::try_from(value) {
        Ok(i64::MIN) => format!("BIGINT '{value}'"),
        Ok(_) => value.to_string(),
        Err(_) => format!("DECIMAL '{value}'"),
    }
}

fn real(value: f32) -> String {
    if value.is_finite() { format!("REAL '{value:e}'") } else { double(value.into()) }
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

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn binary(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X'{digits}'")
}

const DAY_MILLIS: i128 = 86_400_000;
const NANOS_OF_MILLI: i128 = 1_000_000;

fn months(value: i32) -> String {
    format!("INTERVAL '{value}' MONTH")
}

fn millis(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    format!("INTERVAL '{sign}{}.{:03}' SECOND", value / 1000, value % 1000)
}

fn array_of(values: &dyn Array) -> Result<String, LiteralFault> {
    let mut all = "ARRAY[".to_owned();
    for row in 0..values.len() {
        if row > 0 {
            all.push_str(", ");
        }
        all.push_str(&literal(values, row)?);
        if all.len() > MAX_NESTED_BYTES {
            return Err(LiteralFault::TooLong);
        }
    }
    all.push(']');
    Ok(all)
}

/// Decimals, dates and times as SQL writes them.
fn shown(array: &dyn Array, row: usize) -> Result<String, ArrowError> {
    let options = FormatOptions::default()
        .with_date_format(Some("%Y-%m-%d"))
        .with_datetime_format(Some("%Y-%m-%d"))
        .with_time_format(Some("%H:%M:%S%.f"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f UTC"));
    ArrayFormatter::try_new(array, &options)?.value(row).try_to_string()
}

/// Other years are written with a sign, which no literal takes.
fn in_years(text: String) -> Result<String, LiteralFault> {
    if text.starts_with(['+', '-']) || text.starts_with("0000") { Err(LiteralFault::Year(text)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::buffer::ScalarBuffer;
    use proptest::prelude::*;

    use super::*;

    fn of(array: impl Array) -> Vec<String> {
        (0..array.len()).map(|row| literal(&array, row).unwrap_or_else(|fault| format!("! {fault}"))).collect()
    }

    #[test]
    fn every_value_is_a_literal() {
        assert_eq!(of(NullArray::new(1)), ["NULL"]);
        assert_eq!(of(BooleanArray::from(vec![Some(true), None])), ["TRUE", "NULL"]);
        assert_eq!(of(Int64Array::from(vec![5, -5, i64::MIN])), ["5", "-5", "BIGINT '-9223372036854775808'"]);
        assert_eq!(of(UInt64Array::from(vec![u64::MAX])), ["DECIMAL '18446744073709551615'"]);
        assert_eq!(of(Float32Array::from(vec![1.5, f32::NAN])), ["REAL '1.5e0'", "nan()"]);
        assert_eq!(of(Float64Array::from(vec![-0.1, f64::NEG_INFINITY])), ["-1E-1", "-infinity()"]);
        let decimals = Decimal128Array::from(vec![-150, 0]).with_precision_and_scale(38, 2).expect("fits");
        assert_eq!(of(decimals), ["DECIMAL '-1.50'", "DECIMAL '0.00'"]);
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
        assert_eq!(of(union), ["7", "'a'", "NULL"]);
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
