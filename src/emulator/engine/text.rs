//! Values → the text Athena writes for them (athena-behaviour, section 4).

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, NaiveTime};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::*;
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use super::zones;
use crate::emulator::model::Failure;
use crate::types::AthenaType;

/// Appends the text of one value; gives false, and appends nothing, for NULL.
pub fn append(out: &mut String, array: &ArrayRef, row: usize, data_type: &AthenaType) -> Result<bool, Failure> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(false);
    }
    match array.data_type() {
        DataType::Boolean => push(out, array.as_boolean().value(row)),
        DataType::Int8 => push(out, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => push(out, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => push(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => push(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => real(out, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => double(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            decimal(out, array.as_primitive::<Decimal128Type>().value(row), (*scale).max(0) as usize);
        }
        DataType::Utf8 => text(out, array.as_string::<i32>().value(row), data_type),
        DataType::LargeUtf8 => text(out, array.as_string::<i64>().value(row), data_type),
        DataType::Utf8View => text(out, array.as_string_view().value(row), data_type),
        DataType::Binary => binary(out, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary(out, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary(out, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => binary(out, array.as_fixed_size_binary().value(row)),
        DataType::Date32 => date(out, array.as_primitive::<Date32Type>().value(row))?,
        DataType::Time32(TimeUnit::Second) => {
            clock(out, i64::from(array.as_primitive::<Time32SecondType>().value(row)), 0, 0, data_type)?;
        }
        DataType::Time32(_) => {
            let millis = i64::from(array.as_primitive::<Time32MillisecondType>().value(row));
            clock(out, millis / 1000, millis % 1000 * 1_000_000, 3, data_type)?;
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            clock(out, micros / 1_000_000, micros % 1_000_000 * 1000, 6, data_type)?;
        }
        DataType::Time64(_) => {
            let nanos = array.as_primitive::<Time64NanosecondType>().value(row);
            clock(out, nanos / 1_000_000_000, nanos % 1_000_000_000, 9, data_type)?;
        }
        DataType::Timestamp(unit, zone) => {
            let (per_second, digits, value) = match unit {
                TimeUnit::Second => (1, 0, array.as_primitive::<TimestampSecondType>().value(row)),
                TimeUnit::Millisecond => (1000, 3, array.as_primitive::<TimestampMillisecondType>().value(row)),
                TimeUnit::Microsecond => (1_000_000, 6, array.as_primitive::<TimestampMicrosecondType>().value(row)),
                TimeUnit::Nanosecond => (1_000_000_000, 9, array.as_primitive::<TimestampNanosecondType>().value(row)),
            };
            let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
            let seconds = value.div_euclid(per_second);
            let Some(zone) = zone else { return timestamp(out, seconds, nanos, digits, data_type).map(|()| true) };
            timestamp(out, zones::local_seconds(seconds, zone)?, nanos, digits, data_type)?;
            out.push(' ');
            out.push_str(zones::shown(zone));
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            months(out, array.as_primitive::<IntervalYearMonthType>().value(row));
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            millis(out, i64::from(value.days) * 86_400_000 + i64::from(value.milliseconds));
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            if value.months != 0 {
                return Err(Failure::not_supported(None, "an interval of months and days in one value"));
            }
            millis(out, i64::from(value.days) * 86_400_000 + value.nanoseconds / 1_000_000);
        }
        DataType::Duration(unit) => {
            let value = match unit {
                TimeUnit::Second => array.as_primitive::<DurationSecondType>().value(row).saturating_mul(1000),
                TimeUnit::Millisecond => array.as_primitive::<DurationMillisecondType>().value(row),
                TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().value(row) / 1000,
                TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().value(row) / 1_000_000,
            };
            millis(out, value);
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            let items = match array.data_type() {
                DataType::List(_) => array.as_list::<i32>().value(row),
                DataType::LargeList(_) => array.as_list::<i64>().value(row),
                _ => array.as_fixed_size_list().value(row),
            };
            let element = match data_type {
                AthenaType::Array(Some(element)) => element.as_ref(),
                _ => &AthenaType::Unknown,
            };
            out.push('[');
            for i in 0..items.len() {
                separated(out, i, &items, i, element)?;
            }
            out.push(']');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let unknown = (AthenaType::Unknown, AthenaType::Unknown);
            let (key, value) = match data_type {
                AthenaType::Map(Some(entry)) => entry.as_ref(),
                _ => &unknown,
            };
            out.push('{');
            for i in 0..entries.len() {
                separated(out, i, keys, i, key)?;
                out.push('=');
                nested(out, values, i, value)?;
            }
            out.push('}');
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            out.push('{');
            for (i, field) in fields.iter().enumerate() {
                let (name, field_type) = match data_type {
                    AthenaType::Row(Some(row_fields)) if row_fields.len() == fields.len() => {
                        (row_fields[i].name.as_deref(), &row_fields[i].data_type)
                    }
                    _ => (Some(field.name().as_str()), &AthenaType::Unknown),
                };
                if i > 0 {
                    out.push_str(", ");
                }
                if let Some(name) = name {
                    out.push_str(name);
                    out.push('=');
                }
                nested(out, columns.column(i), row, field_type)?;
            }
            out.push('}');
        }
        DataType::Dictionary(_, values) => {
            let plain = datafusion::arrow::compute::cast(&array.slice(row, 1), values)
                .map_err(|error| Failure::internal(error.to_string()))?;
            return append(out, &plain, 0, data_type);
        }
        other => return Err(Failure::not_supported(None, format!("values of the Arrow type {other}"))),
    }
    Ok(true)
}

fn separated(out: &mut String, i: usize, array: &ArrayRef, row: usize, t: &AthenaType) -> Result<(), Failure> {
    if i > 0 {
        out.push_str(", ");
    }
    nested(out, array, row, t)
}

fn nested(out: &mut String, array: &ArrayRef, row: usize, data_type: &AthenaType) -> Result<(), Failure> {
    if !append(out, array, row, data_type)? {
        out.push_str("null");
    }
    Ok(())
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a String takes all text");
}

/// `char(n)` is padded with blanks to its length.
fn text(out: &mut String, value: &str, data_type: &AthenaType) {
    out.push_str(value);
    if let AthenaType::Char(Some(length)) = data_type {
        for _ in value.chars().count()..*length as usize {
            out.push(' ');
        }
    }
}

/// As Java's `Double.toString`: plain from 10⁻³ to 10⁷, else with an exponent; always a digit behind the point.
pub fn double(out: &mut String, value: f64) {
    java(out, value, format!("{value:e}"), value.abs());
}

fn real(out: &mut String, value: f32) {
    java(out, f64::from(value), format!("{value:e}"), f64::from(value.abs()));
}

/// `shortest` is the shortest text that reads back as the value, as `d.ddde±x`.
fn java(out: &mut String, value: f64, shortest: String, magnitude: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    out.push_str(sign);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if magnitude == 0.0 {
        out.push_str("0.0");
    } else if (1e-3..1e7).contains(&magnitude) {
        if exponent < 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
            out.push_str(&digits);
        } else {
            let whole = exponent as usize + 1;
            out.extend(digits.chars().chain(std::iter::repeat('0')).take(whole));
            out.push('.');
            out.push_str(digits.get(whole..).filter(|rest| !rest.is_empty()).unwrap_or("0"));
        }
    } else {
        out.push_str(&digits[..1]);
        out.push('.');
        out.push_str(digits.get(1..).filter(|rest| !rest.is_empty()).unwrap_or("0"));
        push(out, format_args!("E{exponent}"));
    }
}

fn decimal(out: &mut String, value: i128, scale: usize) {
    let digits = value.unsigned_abs().to_string();
    if value < 0 {
        out.push('-');
    }
    if scale == 0 {
        return out.push_str(&digits);
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let point = padded.len() - scale;
    out.push_str(&padded[..point]);
    out.push('.');
    out.push_str(&padded[point..]);
}

fn binary(out: &mut String, bytes: &[u8]) {
    for (i, byte) in bytes.iter().enumerate() {
        push(out, format_args!("{}{byte:02x}", if i > 0 { " " } else { "" }));
    }
}

fn date(out: &mut String, days: i32) -> Result<(), Failure> {
    const EPOCH_FROM_CE: i32 = 719_163;
    let date = days.checked_add(EPOCH_FROM_CE).and_then(NaiveDate::from_num_days_from_ce_opt);
    let date = date.ok_or_else(|| Failure::out_of_range(format!("date out of range: {days} days")))?;
    push(out, date.format("%Y-%m-%d"));
    Ok(())
}

fn timestamp(out: &mut String, seconds: i64, nanos: i64, digits: usize, data_type: &AthenaType) -> Result<(), Failure> {
    let moment = DateTime::from_timestamp(seconds, 0)
        .ok_or_else(|| Failure::out_of_range(format!("timestamp out of range: {seconds} s")))?;
    push(out, moment.format("%Y-%m-%d %H:%M:%S"));
    fraction(out, nanos, digits, data_type);
    Ok(())
}

fn clock(out: &mut String, seconds: i64, nanos: i64, digits: usize, data_type: &AthenaType) -> Result<(), Failure> {
    let time = u32::try_from(seconds).ok().and_then(|s| NaiveTime::from_num_seconds_from_midnight_opt(s, 0));
    let time = time.ok_or_else(|| Failure::out_of_range(format!("time out of range: {seconds} s")))?;
    push(out, time.format("%H:%M:%S"));
    fraction(out, nanos, digits, data_type);
    Ok(())
}

/// The fraction with as many digits as the type says, or else as its Arrow unit has.
fn fraction(out: &mut String, nanos: i64, digits: usize, data_type: &AthenaType) {
    let digits = match data_type {
        AthenaType::Time(Some(p)) | AthenaType::Timestamp(Some(p)) | AthenaType::TimestampWithTimeZone(Some(p)) => {
            usize::from(*p)
        }
        _ => digits,
    };
    if digits > 0 {
        out.push('.');
        out.push_str(&format!("{nanos:09}")[..digits.min(9)]);
    }
}

fn months(out: &mut String, months: i32) {
    let sign = if months < 0 { "-" } else { "" };
    let months = months.unsigned_abs();
    push(out, format_args!("{sign}{}-{}", months / 12, months % 12));
}

fn millis(out: &mut String, millis: i64) {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes, secs) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    push(out, format_args!("{sign}{} {hours:02}:{minutes:02}:{secs:02}.{millis:03}", seconds / 86_400));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5, "1.5"),
            (100.0, "100.0"),
            (1234567.0, "1234567.0"),
            (9999999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (1e20, "1.0E20"),
            (1.25e-3, "0.00125"),
            (1e-3, "0.001"),
            (9.99e-4, "9.99E-4"),
            (-1e-10, "-1.0E-10"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157E308"),
        ] {
            let mut out = String::new();
            double(&mut out, value);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn decimals_and_intervals() {
        let written = |write: &dyn Fn(&mut String)| {
            let mut out = String::new();
            write(&mut out);
            out
        };
        assert_eq!(written(&|out| decimal(out, -5, 2)), "-0.05");
        assert_eq!(written(&|out| decimal(out, 12345, 0)), "12345");
        assert_eq!(written(&|out| months(out, -14)), "-1-2");
        assert_eq!(written(&|out| millis(out, -86_400_500)), "-1 00:00:00.500");
    }
}
