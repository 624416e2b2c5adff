//! date_trunc, date_add, date_diff, date_format, date_parse, last_day_of_month, from_unixtime, to_unixtime.
//!
//! Dates and timestamps are computed with as microseconds since the epoch; zoned timestamps are UTC in this engine.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::{Native, to};
use crate::emulator::engine::types;
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native { name: "athena_date_trunc", result: truncated, values: date_trunc },
    Native { name: "athena_date_add", result: added, values: date_add },
    Native { name: "athena_date_diff", result: difference, values: date_diff },
    Native { name: "athena_date_format", result: formatted, values: date_format },
    Native { name: "athena_date_parse", result: parsed, values: date_parse },
    Native { name: "athena_last_day_of_month", result: |given| of_time(given, Date), values: last_day },
    Native { name: "athena_from_unixtime", result: from_unixtime_type, values: from_unixtime },
    Native { name: "athena_to_unixtime", result: |given| of_time(given, Double), values: to_unixtime },
];

fn is_time(t: &AthenaType) -> bool {
    matches!(t, Date | Timestamp(_) | TimestampWithTimeZone(_))
}

fn is_integer(t: &AthenaType) -> bool {
    matches!(t, Tinyint | Smallint | Integer | Bigint)
}

fn of_time(given: &[AthenaType], result: AthenaType) -> Option<AthenaType> {
    matches!(given, [time] if is_time(time)).then_some(result)
}

fn truncated(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Varchar(_), time] if is_time(time) => Some(time.clone()),
        _ => None,
    }
}

fn added(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Varchar(_), count, time] if is_integer(count) && is_time(time) => Some(time.clone()),
        _ => None,
    }
}

fn difference(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Varchar(_), from, until] if is_time(from) && is_time(until) => Some(Bigint),
        _ => None,
    }
}

fn formatted(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [time, Varchar(_)] if is_time(time) => Some(Varchar(None)),
        _ => None,
    }
}

fn parsed(given: &[AthenaType]) -> Option<AthenaType> {
    matches!(given, [Varchar(_), Varchar(_)]).then_some(Timestamp(Some(3)))
}

fn from_unixtime_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [t] if is_integer(t) || matches!(t, Real | Double | Decimal { .. }) => Some(TimestampWithTimeZone(Some(3))),
        _ => None,
    }
}

fn moments(array: &ArrayRef) -> Result<Vec<Option<NaiveDateTime>>, Failure> {
    let micros = match array.data_type() {
        DataType::Timestamp(_, zone) => to(array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
        _ => to(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
    };
    let moment = |micros| DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc());
    Ok(micros.as_primitive::<TimestampMicrosecondType>().iter().map(|micros| micros.and_then(moment)).collect())
}

fn array(moments: Vec<Option<NaiveDateTime>>, result: &AthenaType) -> Result<ArrayRef, Failure> {
    let micros = moments.into_iter().map(|moment| moment.map(|moment| moment.and_utc().timestamp_micros()));
    let micros: TimestampMicrosecondArray = micros.collect();
    let target = types::arrow(result)?;
    let micros: ArrayRef = match &target {
        DataType::Timestamp(_, Some(zone)) => Arc::new(micros.with_timezone(Arc::clone(zone))),
        _ => Arc::new(micros),
    };
    to(&micros, &target)
}

fn texts(array: &ArrayRef) -> Result<Vec<Option<String>>, Failure> {
    let strings = to(array, &DataType::Utf8)?;
    Ok(strings.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
}

/// A unit of time as Trino names it: months, or microseconds.
enum Unit {
    Months(i64),
    Micros(i64),
}

fn unit(name: &str) -> Result<Unit, Failure> {
    const SECOND: i64 = 1_000_000;
    Ok(match name.to_ascii_lowercase().as_str() {
        "millisecond" => Unit::Micros(1000),
        "second" => Unit::Micros(SECOND),
        "minute" => Unit::Micros(60 * SECOND),
        "hour" => Unit::Micros(3600 * SECOND),
        "day" => Unit::Micros(86_400 * SECOND),
        "week" => Unit::Micros(7 * 86_400 * SECOND),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        other => return Err(Failure::invalid_argument(format!("'{other}' is not a valid time unit"))),
    })
}

fn out_of_range() -> Failure {
    Failure::out_of_range("the result is not a date this engine can hold")
}

fn date_trunc(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let mut truncated = Vec::new();
    for (name, moment) in texts(&args[0])?.into_iter().zip(moments(&args[1])?) {
        truncated.push(match (name, moment) {
            (Some(name), Some(moment)) => truncate(&name, moment)?,
            _ => None,
        });
    }
    array(truncated, result)
}

fn truncate(name: &str, moment: NaiveDateTime) -> Result<Option<NaiveDateTime>, Failure> {
    let date = moment.date();
    let day = match unit(name)? {
        Unit::Months(step) => {
            let month = date.month0() - date.month0() % step as u32;
            NaiveDate::from_ymd_opt(date.year(), month + 1, 1)
        }
        Unit::Micros(_) if name.eq_ignore_ascii_case("week") => {
            date.checked_sub_signed(Duration::days(date.weekday().num_days_from_monday().into()))
        }
        Unit::Micros(step) => {
            let micros = moment.and_utc().timestamp_micros();
            let cut = DateTime::from_timestamp_micros(micros - micros.rem_euclid(step));
            return Ok(cut.map(|cut| cut.naive_utc()));
        }
    };
    Ok(day.map(|day| day.and_time(NaiveTime::MIN)))
}

fn plus(moment: NaiveDateTime, unit: &Unit, count: i64) -> Option<NaiveDateTime> {
    match unit {
        Unit::Micros(step) => moment.checked_add_signed(Duration::microseconds(step.checked_mul(count)?)),
        Unit::Months(step) => {
            let months = step.checked_mul(count)?;
            let magnitude = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            if months < 0 { moment.checked_sub_months(magnitude) } else { moment.checked_add_months(magnitude) }
        }
    }
}

fn date_add(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let counts = to(&args[1], &DataType::Int64)?;
    let mut added = Vec::new();
    let rows = texts(&args[0])?.into_iter().zip(counts.as_primitive::<Int64Type>().iter()).zip(moments(&args[2])?);
    for ((name, count), moment) in rows {
        added.push(match (name, count, moment) {
            (Some(name), Some(count), Some(moment)) => {
                Some(plus(moment, &unit(&name)?, count).ok_or_else(out_of_range)?)
            }
            _ => None,
        });
    }
    array(added, result)
}

fn date_diff(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let mut differences = Vec::new();
    for ((name, from), until) in texts(&args[0])?.into_iter().zip(moments(&args[1])?).zip(moments(&args[2])?) {
        differences.push(match (name, from, until) {
            (Some(name), Some(from), Some(until)) => Some(whole_units(&unit(&name)?, from, until)?),
            _ => None,
        });
    }
    Ok(Arc::new(Int64Array::from(differences)))
}

/// Complete units between the two, towards zero.
fn whole_units(unit: &Unit, from: NaiveDateTime, until: NaiveDateTime) -> Result<i64, Failure> {
    match unit {
        Unit::Micros(step) => Ok((until - from).num_microseconds().ok_or_else(out_of_range)? / step),
        Unit::Months(step) => {
            let months = |moment: NaiveDateTime| i64::from(moment.year()) * 12 + i64::from(moment.month0());
            let mut count = months(until) - months(from);
            let reached = plus(from, &Unit::Months(1), count).ok_or_else(out_of_range)?;
            count -= i64::from(count > 0 && reached > until);
            count += i64::from(count < 0 && reached < until);
            Ok(count / step)
        }
    }
}

/// MySQL's format letters as chrono's.
fn chrono_format(format: &str) -> Result<String, Failure> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        out.push_str(match chars.next() {
            Some('a') => "%a",
            Some('b') => "%b",
            Some('c') => "%-m",
            Some('d') => "%d",
            Some('e') => "%-d",
            Some('f') => "%6f",
            Some('H') => "%H",
            Some('h' | 'I') => "%I",
            Some('i') => "%M",
            Some('j') => "%j",
            Some('k') => "%-H",
            Some('l') => "%-I",
            Some('M') => "%B",
            Some('m') => "%m",
            Some('p') => "%p",
            Some('r') => "%I:%M:%S %p",
            Some('S' | 's') => "%S",
            Some('T') => "%H:%M:%S",
            Some('v') => "%V",
            Some('W') => "%A",
            Some('x') => "%G",
            Some('Y') => "%Y",
            Some('y') => "%y",
            Some('%') => "%%",
            Some(other) => return Err(Failure::not_supported(None, format!("%{other} in a date format"))),
            None => return Err(Failure::invalid_argument("a date format that ends in %")),
        });
    }
    Ok(out)
}

fn date_format(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let mut formatted = Vec::new();
    for (moment, format) in moments(&args[0])?.into_iter().zip(texts(&args[1])?) {
        formatted.push(match (moment, format) {
            (Some(moment), Some(format)) => Some(moment.format(&chrono_format(&format)?).to_string()),
            _ => None,
        });
    }
    Ok(Arc::new(StringArray::from(formatted)))
}

fn date_parse(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let mut parsed = Vec::new();
    for (text, format) in texts(&args[0])?.into_iter().zip(texts(&args[1])?) {
        parsed.push(match (text, format) {
            (Some(text), Some(format)) => {
                let moment = parse_moment(&text, &chrono_format(&format)?);
                Some(moment.ok_or_else(|| Failure::invalid_argument(format!("Invalid format: \"{text}\"")))?)
            }
            _ => None,
        });
    }
    array(parsed, result)
}

/// What the pattern leaves out is taken from 1970-01-01 00:00:00.
fn parse_moment(text: &str, pattern: &str) -> Option<NaiveDateTime> {
    let mut fields = chrono::format::Parsed::new();
    chrono::format::parse(&mut fields, text, chrono::format::StrftimeItems::new(pattern)).ok()?;
    let short_year = || fields.year_mod_100().map(|year| if year < 70 { 2000 + year } else { 1900 + year });
    let year = fields.year().or_else(short_year).unwrap_or(1970);
    let date = NaiveDate::from_ymd_opt(year, fields.month().unwrap_or(1), fields.day().unwrap_or(1))?;
    let hour = fields.hour_div_12().unwrap_or(0) * 12 + fields.hour_mod_12().unwrap_or(0);
    let (minute, second) = (fields.minute().unwrap_or(0), fields.second().unwrap_or(0));
    date.and_hms_nano_opt(hour, minute, second, fields.nanosecond().unwrap_or(0))
}

fn last_day(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let last = |moment: NaiveDateTime| {
        let next = moment.date().with_day(1)?.checked_add_months(Months::new(1))?;
        Some(next.pred_opt()?.and_time(NaiveTime::MIN))
    };
    array(moments(&args[0])?.into_iter().map(|moment| moment.and_then(last)).collect(), result)
}

fn from_unixtime(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Result<ArrayRef, Failure> {
    let seconds = to(&args[0], &DataType::Float64)?;
    let mut moments = Vec::new();
    for seconds in seconds.as_primitive::<Float64Type>().iter() {
        moments.push(match seconds {
            Some(seconds) => {
                let millis = (seconds * 1000.0).round();
                let moment = DateTime::from_timestamp_millis(millis as i64).filter(|_| millis.abs() < 1e16);
                Some(moment.ok_or_else(out_of_range)?.naive_utc())
            }
            None => None,
        });
    }
    array(moments, result)
}

fn to_unixtime(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Result<ArrayRef, Failure> {
    let seconds =
        |moment: NaiveDateTime| moment.and_utc().timestamp() as f64 + f64::from(moment.nanosecond() / 1000) / 1e6;
    let values: Float64Array = moments(&args[0])?.into_iter().map(|moment| moment.map(seconds)).collect();
    Ok(Arc::new(values))
}
