//! Dates and times as text: MySQL's patterns (date_format), Joda's (format_datetime), ISO 8601, durations.

use std::sync::Arc;

use chrono::format::{Parsed, StrftimeItems};
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::arrow::array::{Array as _, ArrayRef};

use super::times::{array, moments, zone};
use super::{
    Checked, Class, Constants, Native, Typing, constant_text, doubles, each, fits, map_text, strings, text_array,
    value, varchar,
};
use crate::emulator::engine::zones;
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

pub const FUNCTIONS: &[Native] = &[
    Native::takes("athena_date_format", &[&[Class::Moment, Class::Text]], varchar, date_format),
    Native::takes("athena_date_parse", &[&[Class::Text, Class::Text]], || Timestamp(Some(3)), date_parse),
    Native::takes("athena_format_datetime", &[&[Class::Moment, Class::Text]], varchar, format_datetime),
    Native::new("athena_parse_datetime", Typing::InZone(two_texts, datetime_zone), parse_datetime),
    Native::new("athena_from_iso8601_timestamp", Typing::InZone(one_text, iso_zone), from_iso8601_timestamp),
    Native::takes("athena_from_iso8601_date", &[&[Class::Text]], || Date, from_iso8601_date),
    Native::takes("athena_to_iso8601", &[&[Class::Moment]], varchar, to_iso8601),
    Native::takes("athena_parse_duration", &[&[Class::Text]], || IntervalDayToSecond, parse_duration),
    Native::takes("athena_human_readable_seconds", &[&[Class::Number]], varchar, human_readable_seconds),
    Native::takes("athena_parse_data_size", &[&[Class::Text]], || Decimal { precision: 38, scale: 0 }, parse_data_size),
];

fn one_text(given: &[AthenaType]) -> Option<AthenaType> {
    fits(given, &[Class::Text]).then_some(TimestampWithTimeZone(Some(3)))
}

fn two_texts(given: &[AthenaType]) -> Option<AthenaType> {
    fits(given, &[Class::Text, Class::Text]).then_some(TimestampWithTimeZone(Some(3)))
}

/// MySQL's format letters as chrono's.
fn chrono_format(format: &str) -> Checked<String> {
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
            Some(c @ ('D' | 'U' | 'u' | 'V' | 'w' | 'X')) => {
                return Err(Failure::invalid_argument(format!("%{c} not supported in date format string")));
            }
            Some(other) => {
                out.push(other);
                continue;
            }
            None => return Err(Failure::invalid_argument("Invalid date format string: it ends in %")),
        });
    }
    Ok(out)
}

fn date_format(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (moments, formats) = (moments(&args[0])?, strings(&args[1])?);
    text_array(each(moments.len(), |row| match (moments[row], value!(formats, row)) {
        (Some(moment), Some(format)) => Ok(Some(moment.format(&chrono_format(format)?).to_string())),
        _ => Ok(None),
    })?)
}

fn date_parse(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (texts, formats) = (strings(&args[0])?, strings(&args[1])?);
    let parsed = each(texts.len(), |row| match (value!(texts, row), value!(formats, row)) {
        (Some(text), Some(format)) => {
            let moment = parse_moment(text, &chrono_format(format)?.replace("%6f", "%f"));
            let moment = moment.ok_or_else(|| Failure::invalid_argument(format!("Invalid format: \"{text}\"")))?;
            Ok(Some(moment.0))
        }
        _ => Ok(None),
    })?;
    array(parsed, result, None)
}

/// What the pattern leaves out is taken from 1970-01-01 00:00:00. The offset in seconds, where the text has one.
fn parse_moment(text: &str, pattern: &str) -> Option<(NaiveDateTime, Option<i32>)> {
    let mut fields = Parsed::new();
    // chrono reads %f as nanoseconds; a fraction of a second is its first digits.
    let fraction = pattern.contains("%f").then(|| fraction_of(text, pattern)).flatten();
    let (text, pattern) = match &fraction {
        Some((without, _)) => (without.as_str(), pattern.replace(".%f", "").replace("%f", "")),
        None => (text, pattern.to_owned()),
    };
    chrono::format::parse(&mut fields, text, StrftimeItems::new(&pattern)).ok()?;
    let short_year = || fields.year_mod_100().map(|year| if year < 70 { 2000 + year } else { 1900 + year });
    let year = fields.year().or_else(short_year).unwrap_or(1970);
    let date = match fields.ordinal() {
        Some(day) => NaiveDate::from_yo_opt(year, day)?,
        None => NaiveDate::from_ymd_opt(year, fields.month().unwrap_or(1), fields.day().unwrap_or(1))?,
    };
    let hour = fields.hour_div_12().unwrap_or(0) * 12 + fields.hour_mod_12().unwrap_or(0);
    let (minute, second) = (fields.minute().unwrap_or(0), fields.second().unwrap_or(0));
    let nanos = fraction.map_or(fields.nanosecond().unwrap_or(0), |(_, nanos)| nanos);
    Some((date.and_hms_nano_opt(hour, minute, second, nanos)?, fields.offset()))
}

/// Takes the digits behind the last point away, as nanoseconds.
fn fraction_of(text: &str, pattern: &str) -> Option<(String, u32)> {
    if !pattern.contains(".%f") {
        return None;
    }
    let at = text.rfind('.')?;
    let digits: String = text[at + 1..].chars().take_while(char::is_ascii_digit).take(9).collect();
    let nanos = format!("{digits:0<9}").parse().ok()?;
    Some((format!("{}{}", &text[..at], &text[at + 1 + digits.len()..]), nanos))
}

/// The most times a letter may stand in a pattern one behind the other.
const MAX_LETTERS: usize = 100;

/// A pattern of Joda's: letters with their counts, and literal text.
enum Piece {
    Letters(char, usize),
    Literal(String),
}

fn joda(pattern: &str) -> Checked<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_alphabetic() {
            let mut count = 1;
            while chars.next_if_eq(&c).is_some() {
                count += 1;
            }
            if count > MAX_LETTERS {
                return Err(Failure::invalid_argument(format!("Invalid pattern: {count} times {c}")));
            }
            pieces.push(Piece::Letters(c, count));
        } else if c == '\'' {
            let mut literal = String::new();
            loop {
                match chars.next() {
                    Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
                    Some('\'') => break,
                    Some(c) => literal.push(c),
                    None => return Err(Failure::invalid_argument(format!("Invalid pattern: {pattern}"))),
                }
            }
            pieces.push(Piece::Literal(if literal.is_empty() { "'".to_owned() } else { literal }));
        } else {
            pieces.push(Piece::Literal(c.to_string()));
        }
    }
    Ok(pieces)
}

fn format_datetime(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let zone = zone(&args[0]).unwrap_or_else(|| zones::UTC.to_owned());
    let (moments, formats) = (moments(&args[0])?, strings(&args[1])?);
    text_array(each(moments.len(), |row| match (moments[row], value!(formats, row)) {
        (Some(moment), Some(format)) => {
            let mut out = String::new();
            for piece in joda(format)? {
                match piece {
                    Piece::Literal(text) => out.push_str(&text),
                    Piece::Letters(letter, count) => out.push_str(&joda_field(moment, letter, count, &zone, format)?),
                }
            }
            Ok(Some(out))
        }
        _ => Ok(None),
    })?)
}

fn joda_field(moment: NaiveDateTime, letter: char, count: usize, zone: &str, pattern: &str) -> Checked<String> {
    let padded = |value: i64| format!("{value:0count$}");
    let hour = i64::from(moment.hour());
    Ok(match letter {
        'y' | 'Y' if count == 2 => format!("{:02}", moment.year() % 100),
        'y' | 'Y' => padded(moment.year().into()),
        'x' => padded(moment.iso_week().year().into()),
        'C' => padded((moment.year() / 100).into()),
        'w' => padded(moment.iso_week().week().into()),
        'e' => padded(moment.weekday().number_from_monday().into()),
        'E' => moment.format(if count < 4 { "%a" } else { "%A" }).to_string(),
        'D' => padded(moment.ordinal().into()),
        'M' if count >= 3 => moment.format(if count == 3 { "%b" } else { "%B" }).to_string(),
        'M' => padded(moment.month().into()),
        'd' => padded(moment.day().into()),
        'a' => moment.format("%p").to_string(),
        'H' => padded(hour),
        'k' => padded(if hour == 0 { 24 } else { hour }),
        'K' => padded(hour % 12),
        'h' => padded(if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => padded(moment.minute().into()),
        's' => padded(moment.second().into()),
        'S' => format!("{:09}", moment.nanosecond()).chars().chain(std::iter::repeat('0')).take(count).collect(),
        'Z' | 'z' => {
            let local = zones::instant(moment, zone)?;
            let ahead = zones::offset_seconds(local.and_utc().timestamp(), zone)?;
            let (sign, ahead) = (if ahead < 0 { '-' } else { '+' }, ahead.abs());
            match (letter, count) {
                ('Z', 1) => format!("{sign}{:02}{:02}", ahead / 3600, ahead / 60 % 60),
                ('Z', 2) => format!("{sign}{:02}:{:02}", ahead / 3600, ahead / 60 % 60),
                _ => zones::shown(zone).to_owned(),
            }
        }
        _ => return Err(Failure::invalid_argument(format!("Illegal pattern component: {letter} in {pattern}"))),
    })
}

fn parse_by_joda(text: &str, pattern: &str) -> Checked<(NaiveDateTime, Option<String>)> {
    let mut chrono_pattern = String::new();
    for piece in joda(pattern)? {
        match piece {
            Piece::Literal(literal) => chrono_pattern.push_str(&literal.replace('%', "%%")),
            Piece::Letters(letter, count) => chrono_pattern.push_str(match (letter, count) {
                ('y' | 'Y', 2) => "%y",
                ('y' | 'Y', _) => "%Y",
                ('M', 1 | 2) => "%m",
                ('M', 3) => "%b",
                ('M', _) => "%B",
                ('d', _) => "%d",
                ('D', _) => "%j",
                ('E', 1..=3) => "%a",
                ('E', _) => "%A",
                ('H', _) => "%H",
                ('h' | 'K', _) => "%I",
                ('m', _) => "%M",
                ('s', _) => "%S",
                ('S', _) => "%f",
                ('a', _) => "%p",
                ('Z', 1) => "%z",
                ('Z', 2) => "%:z",
                _ => {
                    return Err(Failure::not_supported(
                        None,
                        format!("{letter} in the pattern of parse_datetime: {pattern}"),
                    ));
                }
            }),
        }
    }
    let (moment, offset) = parse_moment(text, &chrono_pattern)
        .ok_or_else(|| Failure::invalid_argument(format!("Invalid format: \"{text}\"")))?;
    Ok((moment, offset.map(offset_name)))
}

fn offset_name(seconds: i32) -> String {
    if seconds == 0 {
        return zones::UTC.to_owned();
    }
    let (sign, ahead) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    format!("{sign}{:02}:{:02}", ahead / 3600, ahead / 60 % 60)
}

/// The zone of a constant's value; a column of values has to be in UTC.
fn datetime_zone(constants: &Constants) -> Checked<Option<String>> {
    match (constant_text(constants, 0), constant_text(constants, 1)) {
        (Some(text), Some(pattern)) => parse_by_joda(text, pattern).map(|(_, zone)| zone),
        _ => Ok(None),
    }
}

fn iso_zone(constants: &Constants) -> Checked<Option<String>> {
    constant_text(constants, 0).map_or(Ok(None), |text| iso8601(text).map(|(_, zone)| zone))
}

/// Values with zones: one zone for the whole column.
fn zoned(values: Vec<Option<(NaiveDateTime, Option<String>)>>, result: &AthenaType) -> Checked<ArrayRef> {
    let constant = values.len() == 1;
    let mut instants = Vec::with_capacity(values.len());
    for value in values {
        instants.push(match value {
            Some((local, zone)) => {
                let zone = zone.unwrap_or_else(|| zones::UTC.to_owned());
                if !constant && zone != zones::UTC {
                    return Err(Failure::not_supported(
                        None,
                        format!("a column of texts in the zone {zone}: convert to UTC first"),
                    ));
                }
                Some(zones::instant(local, &zone)?)
            }
            None => None,
        });
    }
    super::times::instant_array(instants, result)
}

fn parse_datetime(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let (texts, patterns) = (strings(&args[0])?, strings(&args[1])?);
    let parsed = each(texts.len(), |row| match (value!(texts, row), value!(patterns, row)) {
        (Some(text), Some(pattern)) => parse_by_joda(text, pattern).map(Some),
        _ => Ok(None),
    })?;
    zoned(parsed, result)
}

/// `2020-05-11`, `2020-05-11T11:15`, `2020-05-11T11:15:05.055+09:00`.
fn iso8601(text: &str) -> Checked<(NaiveDateTime, Option<String>)> {
    let invalid = || Failure::invalid_argument(format!("Invalid format: \"{text}\""));
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let day = iso_date(date).ok_or_else(invalid)?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let zone = if zone.is_empty() { None } else { Some(zones::named(zone)?) };
    let parse = |pattern| chrono::NaiveTime::parse_from_str(clock, pattern).ok();
    let time = if clock.is_empty() {
        Some(chrono::NaiveTime::MIN)
    } else if clock.len() == 2 {
        clock.parse().ok().and_then(|hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0))
    } else {
        parse("%H:%M:%S%.f").or_else(|| parse("%H:%M"))
    };
    Ok((day.and_time(time.ok_or_else(invalid)?), zone))
}

fn iso_date(text: &str) -> Option<NaiveDate> {
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [year] => NaiveDate::from_ymd_opt(year.parse().ok()?, 1, 1),
        [year, week] if week.starts_with('W') => {
            NaiveDate::from_isoywd_opt(year.parse().ok()?, week[1..].parse().ok()?, chrono::Weekday::Mon)
        }
        [year, week, day] if week.starts_with('W') => {
            let day = chrono::Weekday::try_from(day.parse::<u8>().ok()?.checked_sub(1)?).ok()?;
            NaiveDate::from_isoywd_opt(year.parse().ok()?, week[1..].parse().ok()?, day)
        }
        [year, day] if day.len() == 3 => NaiveDate::from_yo_opt(year.parse().ok()?, day.parse().ok()?),
        [year, month] => NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1),
        [year, month, day] => NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?),
        _ => None,
    }
}

fn from_iso8601_timestamp(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    zoned(each(texts.len(), |row| value!(texts, row).map(iso8601).transpose())?, result)
}

fn from_iso8601_date(args: &[ArrayRef], _: &[AthenaType], result: &AthenaType) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    let dates = each(texts.len(), |row| {
        let Some(text) = value!(texts, row) else { return Ok(None) };
        let date = iso_date(text).ok_or_else(|| Failure::invalid_argument(format!("Invalid format: \"{text}\"")))?;
        Ok(Some(date.and_time(chrono::NaiveTime::MIN)))
    })?;
    array(dates, result, None)
}

fn to_iso8601(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (moments, zone) = (moments(&args[0])?, zone(&args[0]));
    let digits = match given[0] {
        Timestamp(p) | TimestampWithTimeZone(p) => usize::from(p.unwrap_or(3)),
        _ => 0,
    };
    text_array(each(moments.len(), |row| {
        let Some(moment) = moments[row] else { return Ok(None) };
        if given[0] == Date {
            return Ok(Some(moment.format("%Y-%m-%d").to_string()));
        }
        let mut out = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
        if digits > 0 {
            out.push('.');
            out.push_str(&format!("{:09}", moment.nanosecond())[..digits.min(9)]);
        }
        if let Some(zone) = &zone {
            if zone == zones::UTC {
                out.push('Z');
            } else {
                out.push_str(&joda_field(moment, 'Z', 2, zone, "")?);
            }
        }
        Ok(Some(out))
    })?)
}

/// Number and unit: `3.81 d`, `42.8ms`.
fn quantity(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    Some((text[..at].trim().parse().ok()?, &text[at..]))
}

fn parse_duration(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let texts = strings(&args[0])?;
    let intervals = each(texts.len(), |row| {
        let Some(text) = value!(texts, row) else { return Ok(None) };
        let invalid = || Failure::invalid_argument(format!("duration is not a valid data duration string: {text}"));
        let (number, unit) = quantity(text).ok_or_else(invalid)?;
        let nanos_each = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            _ => return Err(invalid()),
        };
        let millis = (number * nanos_each / 1e6).round() as i64;
        let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
        let days = i32::try_from(days).map_err(|_| invalid())?;
        Ok(Some(datafusion::arrow::datatypes::IntervalMonthDayNano::new(0, days, rest * 1_000_000)))
    })?;
    Ok(Arc::new(datafusion::arrow::array::IntervalMonthDayNanoArray::from(intervals)))
}

fn parse_data_size(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    map_text(args, |text| {
        let invalid = || Failure::invalid_argument(format!("Invalid data size: '{text}'"));
        let (number, unit) = quantity(text).ok_or_else(invalid)?;
        let power = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].iter().position(|known| *known == unit);
        let power = power.ok_or_else(invalid)?;
        Ok(Some(format!("{:.0}", (number * 1024_f64.powi(power as i32)).floor())))
    })
}

fn human_readable_seconds(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let seconds = doubles(&args[0])?;
    text_array(each(seconds.len(), |row| {
        let Some(seconds) = value!(seconds, row) else { return Ok(None) };
        let mut rest = seconds.abs().round() as u64;
        let mut parts = Vec::new();
        for (name, length) in [("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)] {
            let count = rest / length;
            rest %= length;
            if count > 0 || (name == "second" && parts.is_empty()) {
                parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
            }
        }
        Ok(Some(parts.join(", ")))
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_dates_come_in_several_forms() {
        for (text, expected) in [
            ("2020", "2020-01-01"),
            ("2020-W10", "2020-03-02"),
            ("2020-123", "2020-05-02"),
            ("2020-05-11", "2020-05-11"),
        ] {
            assert_eq!(iso_date(text).map(|date| date.to_string()).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(iso_date("2020-13-01"), None);
    }
}
