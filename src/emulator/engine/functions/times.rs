//! Reckoning with dates and times: date_trunc, date_add, date_diff, time zones, Unix times, intervals.
//!
//! Dates and timestamps are computed with as microseconds: on the clock of their zone for days and longer units, as
//! instants for shorter ones.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{
    IntervalMonthDayNanoType, IntervalYearMonthType, TimestampMicrosecondType, TimestampNanosecondType,
};
use datafusion::arrow::array::{Array as _, ArrayRef, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::elements::list_array;
use super::{
    Checked, Class, Constants, Native, Typing, constant_text, double_array, doubles, each, fits, long_array, longs,
    strings, to, value, zone_of,
};
use crate::emulator::engine::{types, zones};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native::of("athena_date_trunc", truncated, date_trunc),
    Native::of("athena_date_add", added, date_add),
    Native::takes(
        "athena_date_diff",
        &[&[Class::Text, Class::Moment, Class::Moment], &[Class::Text, Class::Time, Class::Time]],
        || Bigint,
        date_diff,
    ),
    Native::takes("athena_last_day_of_month", &[&[Class::Moment]], || Date, last_day),
    Native::new("athena_from_unixtime", Typing::InZone(from_unixtime_type, unixtime_zone), from_unixtime),
    Native::takes("athena_to_unixtime", &[&[Class::Moment]], || Double, to_unixtime),
    Native::new("athena_at_timezone", Typing::InZone(at_timezone_type, named_zone), at_timezone),
    Native::new("athena_with_timezone", Typing::InZone(with_timezone_type, named_zone), with_timezone),
    Native::takes("athena_timezone_hour", &[&[Class::Timestamp]], || Bigint, |args, _, _| zone_part(args, 3600, 24)),
    Native::takes("athena_timezone_minute", &[&[Class::Timestamp]], || Bigint, |args, _, _| zone_part(args, 60, 60)),
    Native::takes(
        "athena_millisecond",
        &[&[Class::Timestamp], &[Class::Time], &[Class::Interval]],
        || Bigint,
        millisecond,
    ),
    Native::takes(
        "athena_to_milliseconds",
        &[&[Class::Interval]],
        || Bigint,
        |args, _, _| {
            let micros = interval_micros(&args[0]);
            long_array(micros.into_iter().map(|micros| micros.map(|micros| micros / 1000)).collect())
        },
    ),
];

fn is_moment(t: &AthenaType) -> bool {
    matches!(t, Date | Timestamp(_) | TimestampWithTimeZone(_))
}

fn truncated(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Varchar(_), time] if is_moment(time) || matches!(time, Time(_)) => Some(time.clone()),
        _ => None,
    }
}

fn added(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Varchar(_), count, time] if Class::Int.has(count) && (is_moment(time) || matches!(time, Time(_))) => {
            Some(time.clone())
        }
        _ => None,
    }
}

fn from_unixtime_type(given: &[AthenaType]) -> Option<AthenaType> {
    let takes: [&[Class]; 2] = [&[Class::Number], &[Class::Number, Class::Text]];
    takes.iter().any(|takes| fits(given, takes)).then_some(TimestampWithTimeZone(Some(3)))
}

fn unixtime_zone(constants: &Constants) -> Checked<Option<String>> {
    if constants.len() == 1 { Ok(None) } else { named_zone(constants) }
}

fn named_zone(constants: &Constants) -> Checked<Option<String>> {
    match constant_text(constants, 1) {
        Some(name) => zones::named(name).map(Some),
        None => Err(Failure::not_supported(None, "a time zone that is not a literal")),
    }
}

fn at_timezone_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [TimestampWithTimeZone(p) | Timestamp(p), zone] if Class::Text.has(zone) => Some(TimestampWithTimeZone(*p)),
        _ => None,
    }
}

fn with_timezone_type(given: &[AthenaType]) -> Option<AthenaType> {
    match given {
        [Timestamp(p), zone] if Class::Text.has(zone) => Some(TimestampWithTimeZone(*p)),
        _ => None,
    }
}

/// A column's zone; `None` for what has none.
pub fn zone(array: &ArrayRef) -> Option<String> {
    zone_of(array.data_type())
}

/// The instants, or the clock's times where there is no zone.
fn instants(array: &ArrayRef) -> Checked<Vec<Option<NaiveDateTime>>> {
    if let DataType::Timestamp(TimeUnit::Nanosecond, _) = array.data_type() {
        let nanos = array.as_primitive::<TimestampNanosecondType>();
        if nanos.iter().flatten().any(|nanos| nanos % 1000 != 0) {
            return Err(Failure::not_supported(None, "reckoning with more than six fractional digits"));
        }
    }
    let micros = match array.data_type() {
        DataType::Timestamp(_, zone) => to(array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
        DataType::Time32(_) | DataType::Time64(_) => {
            let micros = to(&to(array, &DataType::Time64(TimeUnit::Microsecond))?, &DataType::Int64)?;
            to(&micros, &DataType::Timestamp(TimeUnit::Microsecond, None))?
        }
        _ => to(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
    };
    let moment = |micros| DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc());
    Ok(micros.as_primitive::<TimestampMicrosecondType>().iter().map(|micros| micros.and_then(moment)).collect())
}

/// What the clocks of the column's zone show.
pub fn moments(array: &ArrayRef) -> Checked<Vec<Option<NaiveDateTime>>> {
    let instants = instants(array)?;
    let Some(zone) = zone(array).filter(|zone| zone != zones::UTC) else { return Ok(instants) };
    each(instants.len(), |row| match instants[row] {
        Some(instant) => {
            let ahead = zones::offset_seconds(instant.and_utc().timestamp(), &zone)?;
            Ok(Some(instant + Duration::seconds(ahead)))
        }
        None => Ok(None),
    })
}

/// Instants, or times of a clock without a zone, as an array.
pub fn instant_array(moments: Vec<Option<NaiveDateTime>>, result: &AthenaType) -> Checked<ArrayRef> {
    let micros = moments.into_iter().map(|moment| moment.map(|moment| moment.and_utc().timestamp_micros()));
    let micros: TimestampMicrosecondArray = micros.collect();
    let target = types::arrow(result)?;
    let micros: ArrayRef = match &target {
        DataType::Timestamp(_, Some(zone)) => Arc::new(micros.with_timezone(Arc::clone(zone))),
        _ => Arc::new(micros),
    };
    if matches!(result, Time(_)) {
        let day = |micros: i64| micros.rem_euclid(86_400_000_000);
        let micros = micros.as_primitive::<TimestampMicrosecondType>().unary::<_, TimestampMicrosecondType>(day);
        let micros: ArrayRef = Arc::new(micros);
        return to(&to(&to(&micros, &DataType::Int64)?, &DataType::Time64(TimeUnit::Microsecond))?, &target);
    }
    to(&micros, &target)
}

/// Times on the clocks of a zone as an array.
pub fn array(moments: Vec<Option<NaiveDateTime>>, result: &AthenaType, zone: Option<&str>) -> Checked<ArrayRef> {
    let Some(zone) = zone.filter(|zone| *zone != zones::UTC) else { return instant_array(moments, result) };
    let instants = each(moments.len(), |row| moments[row].map(|local| zones::instant(local, zone)).transpose())?;
    instant_array(instants, result)
}

fn texts(array: &ArrayRef) -> Checked<Vec<Option<String>>> {
    let texts = strings(array)?;
    Ok((0..texts.len()).map(|row| value!(texts, row).map(str::to_owned)).collect())
}

/// A unit of time as Trino names it.
enum Unit {
    Months(i64),
    /// Days and weeks: longer or shorter than 24 hours when clocks are changed.
    Days(i64),
    Micros(i64),
}

const DAY_MICROS: i64 = 86_400_000_000;

fn unit(name: &str) -> Checked<Unit> {
    const SECOND: i64 = 1_000_000;
    Ok(match name.to_ascii_lowercase().as_str() {
        "millisecond" => Unit::Micros(1000),
        "second" => Unit::Micros(SECOND),
        "minute" => Unit::Micros(60 * SECOND),
        "hour" => Unit::Micros(3600 * SECOND),
        "day" => Unit::Days(1),
        "week" => Unit::Days(7),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        other => return Err(Failure::invalid_argument(format!("'{other}' is not a valid Timestamp field"))),
    })
}

pub fn out_of_range() -> Failure {
    Failure::out_of_range("the result is not a date this engine can hold")
}

fn date_trunc(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (names, moments) = (texts(&args[0])?, moments(&args[1])?);
    let truncated = each(names.len(), |row| match (&names[row], moments[row]) {
        (Some(name), Some(moment)) => truncate(name, moment, &given[1]),
        _ => Ok(None),
    })?;
    array(truncated, result, zone(&args[1]).as_deref())
}

fn truncate(name: &str, moment: NaiveDateTime, given: &AthenaType) -> Checked<Option<NaiveDateTime>> {
    let date = moment.date();
    let unit = unit(name)?;
    let unfit = matches!((&unit, given), (Unit::Micros(_), Date) | (Unit::Days(_) | Unit::Months(_), Time(_)));
    if unfit {
        let kind = if *given == Date { "DATE" } else { "Time" };
        return Err(Failure::invalid_argument(format!("'{name}' is not a valid {kind} field")));
    }
    let day = match unit {
        Unit::Months(step) => {
            let month = date.month0() - date.month0() % step as u32;
            NaiveDate::from_ymd_opt(date.year(), month + 1, 1)
        }
        Unit::Days(7) => date.checked_sub_signed(Duration::days(date.weekday().num_days_from_monday().into())),
        Unit::Days(_) => Some(date),
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
        Unit::Days(step) => {
            moment.checked_add_signed(Duration::microseconds(step.checked_mul(count)?.checked_mul(DAY_MICROS)?))
        }
        Unit::Months(step) => {
            let months = step.checked_mul(count)?;
            let magnitude = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            if months < 0 { moment.checked_sub_months(magnitude) } else { moment.checked_add_months(magnitude) }
        }
    }
}

fn date_add(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (names, counts) = (texts(&args[0])?, longs(&args[1])?);
    let (clock, instants) = (moments(&args[2])?, instants(&args[2])?);
    let zone = zone(&args[2]).unwrap_or_else(|| zones::UTC.to_owned());
    let added = each(names.len(), |row| {
        let (Some(name), Some(count), Some(local), Some(instant)) =
            (&names[row], value!(counts, row), clock[row], instants[row])
        else {
            return Ok(None);
        };
        let unit = unit(name)?;
        match (&unit, &given[2]) {
            (Unit::Micros(_), Date) => Err(Failure::invalid_argument(format!("'{name}' is not a valid DATE field"))),
            (Unit::Days(_) | Unit::Months(_), Time(_)) => {
                Err(Failure::invalid_argument(format!("'{name}' is not a valid Time field")))
            }
            (Unit::Micros(_), _) => plus(instant, &unit, count).map(Some).ok_or_else(out_of_range),
            _ => zones::instant(plus(local, &unit, count).ok_or_else(out_of_range)?, &zone).map(Some),
        }
    })?;
    instant_array(added, result)
}

fn date_diff(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let names = texts(&args[0])?;
    let (clock_from, clock_until) = (moments(&args[1])?, moments(&args[2])?);
    let (from, until) = (instants(&args[1])?, instants(&args[2])?);
    long_array(each(names.len(), |row| {
        let Some(name) = &names[row] else { return Ok(None) };
        let unit = unit(name)?;
        let pair = match unit {
            Unit::Micros(_) => from[row].zip(until[row]),
            _ => clock_from[row].zip(clock_until[row]),
        };
        pair.map(|(from, until)| whole_units(&unit, from, until)).transpose()
    })?)
}

/// Complete units between the two, towards zero.
fn whole_units(unit: &Unit, from: NaiveDateTime, until: NaiveDateTime) -> Checked<i64> {
    let micros = || (until - from).num_microseconds().ok_or_else(out_of_range);
    match unit {
        Unit::Micros(step) => Ok(micros()? / step),
        Unit::Days(step) => Ok(micros()? / (step * DAY_MICROS)),
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

fn last_day(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let last = |moment: NaiveDateTime| {
        let next = moment.date().with_day(1)?.checked_add_months(Months::new(1))?;
        Some(next.pred_opt()?.and_time(NaiveTime::MIN))
    };
    instant_array(moments(&args[0])?.into_iter().map(|moment| moment.and_then(last)).collect(), result)
}

fn from_unixtime(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let seconds = doubles(&args[0])?;
    let moments = each(seconds.len(), |row| {
        let Some(seconds) = value!(seconds, row) else { return Ok(None) };
        let millis = (seconds * 1000.0).round();
        let moment = DateTime::from_timestamp_millis(millis as i64).filter(|_| millis.abs() < 1e16);
        Ok(Some(moment.ok_or_else(out_of_range)?.naive_utc()))
    })?;
    instant_array(moments, result)
}

fn to_unixtime(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let seconds =
        |moment: NaiveDateTime| moment.and_utc().timestamp() as f64 + f64::from(moment.nanosecond() / 1000) / 1e6;
    double_array(instants(&args[0])?.into_iter().map(|moment| moment.map(seconds)).collect())
}

/// The same instant on other clocks; a time without a zone is one of UTC, Athena's session zone.
fn at_timezone(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    instant_array(instants(&args[0])?, result)
}

fn with_timezone(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let names = strings(&args[1])?;
    let zone = if names.is_empty() || names.is_null(0) { zones::UTC.to_owned() } else { zones::named(names.value(0))? };
    array(instants(&args[0])?, result, Some(&zone))
}

fn zone_part(args: &[ArrayRef], seconds_each: i64, most: i64) -> Checked<ArrayRef> {
    let zone = zone(&args[0]).unwrap_or_else(|| zones::UTC.to_owned());
    let instants = instants(&args[0])?;
    long_array(each(instants.len(), |row| match instants[row] {
        Some(instant) => {
            let ahead = zones::offset_seconds(instant.and_utc().timestamp(), &zone)?;
            Ok(Some(ahead / seconds_each % most))
        }
        None => Ok(None),
    })?)
}

fn millisecond(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    if given[0] == IntervalDayToSecond {
        let micros = interval_micros(&args[0]);
        return long_array(micros.into_iter().map(|micros| micros.map(|micros| micros / 1000 % 1000)).collect());
    }
    let millis = |moment: NaiveDateTime| i64::from(moment.nanosecond() / 1_000_000);
    long_array(instants(&args[0])?.into_iter().map(|moment| moment.map(millis)).collect())
}

/// The length of day-to-second intervals.
pub fn interval_micros(array: &ArrayRef) -> Vec<Option<i64>> {
    let Some(intervals) = array.as_primitive_opt::<IntervalMonthDayNanoType>() else {
        return vec![None; array.len()];
    };
    intervals.iter().map(|value| value.map(|v| i64::from(v.days) * DAY_MICROS + v.nanoseconds / 1000)).collect()
}

/// `sequence` over dates and timestamps; a day is the step of dates unless another is given.
pub fn sequence(args: &[ArrayRef], given: &[AthenaType], result: &AthenaType, most: usize) -> Checked<ArrayRef> {
    let (from, until) = (moments(&args[0])?, moments(&args[1])?);
    let months = args.get(2).and_then(|step| step.as_primitive_opt::<IntervalYearMonthType>().cloned());
    let micros = args.get(2).map(interval_micros);
    let (mut values, mut lengths, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..from.len() {
        let step = match (&months, &micros) {
            (Some(months), _) => value!(months, row).map(|months| Unit::Months(months.into())),
            (None, Some(micros)) => micros[row].map(Unit::Micros),
            (None, None) => {
                let backwards = from[row].zip(until[row]).is_some_and(|(from, until)| from > until);
                Some(Unit::Days(if backwards { -1 } else { 1 }))
            }
        };
        let (Some(start), Some(stop), Some(step)) = (from[row], until[row], step) else {
            lengths.push(0);
            known.push(false);
            continue;
        };
        let (Unit::Months(width) | Unit::Days(width) | Unit::Micros(width)) = step;
        if width == 0 || (width > 0 && start > stop) || (width < 0 && start < stop) {
            return Err(Failure::invalid_argument(
                "sequence stop value should be greater than or equal to start value if step is greater than zero \
                 otherwise stop should be less than or equal to start",
            ));
        }
        if matches!((&step, &given[0]), (Unit::Micros(width), Date) if width % DAY_MICROS != 0) {
            return Err(Failure::invalid_argument(
                "sequence step must be a day interval if start and end values are dates",
            ));
        }
        let before = values.len();
        for i in 0.. {
            let next = plus(start, &step, i).ok_or_else(out_of_range)?;
            if (width > 0 && next > stop) || (width < 0 && next < stop) {
                break;
            }
            if values.len() - before == most {
                return Err(Failure::invalid_argument(format!(
                    "result of sequence function must not have more than {most} entries"
                )));
            }
            values.push(Some(next));
        }
        lengths.push(values.len() - before);
        known.push(true);
    }
    let Array(Some(element)) = result else { return Err(Failure::internal("a sequence is an array")) };
    list_array(instant_array(values, element)?, lengths, known, result)
}
