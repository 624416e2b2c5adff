//! Athena's text form of one value → what Arrow holds for it (athena-behaviour, section 4).
//!
//! Nothing is guessed: text that is not exactly a value of the column's type is a [`ValueFault`], and so is a timestamp
//! with more digits than its Arrow unit holds. These run once per value of a result, so the common forms go first.

use std::str::from_utf8;

use chrono::{LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};

use super::cell::Cell;
use super::digits;

/// Why a value's text is not a value of its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    #[error("is not a {0}")]
    NotA(&'static str),
    #[error("has more fractional digits than microseconds hold; use CAST(… AS {0})")]
    TooPrecise(&'static str),
    #[error("does not fit decimal({0},{1})")]
    DecimalRange(u8, i8),
    #[error("falls into a repeated hour of its time zone, so its instant cannot be known; use at_timezone(…, 'UTC')")]
    AmbiguousLocalTime,
    #[error("does not exist in its time zone")]
    MissingLocalTime,
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("makes its batch too large")]
    TooLarge,
}

pub fn boolean(text: &[u8]) -> Result<bool, ValueFault> {
    match text {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(ValueFault::NotA("boolean")),
    }
}

/// An integer of any width: `-128`.
#[inline(always)]
pub fn integer<N: TryFrom<i64>>(text: Cell<'_>, name: &'static str) -> Result<N, ValueFault> {
    let (negative, digits) = sign(text);
    // The smallest number has no positive twin: reckon below zero.
    let signed = |value| if negative { 0_i64.checked_sub_unsigned(value) } else { value.try_into().ok() };
    let value = digits.number().and_then(signed).and_then(|value| N::try_from(value).ok());
    value.ok_or(ValueFault::NotA(name))
}

/// Rust reads what Java prints: `1.0E20`, `NaN`, `-Infinity`.
#[inline]
pub fn float<N: std::str::FromStr>(text: &[u8], name: &'static str) -> Result<N, ValueFault> {
    from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(ValueFault::NotA(name))
}

#[inline(always)]
fn sign(text: Cell<'_>) -> (bool, Cell<'_>) {
    let negative = text.first() == Some(b'-');
    (negative, text.without_first(usize::from(negative)))
}

/// Digits of any number below 2^64.
const MAX_DIGITS: usize = 19;

/// The unscaled value.
#[inline(always)]
pub fn decimal(text: Cell<'_>, precision: u8, scale: i8) -> Result<i128, ValueFault> {
    let (negative, digits) = sign(text);
    let places = scale as usize;
    // Athena writes as many places as the scale has.
    let value = match places {
        0 if digits.len() < MAX_DIGITS => digits.number(),
        1..=7 => digits.fixed_point(places),
        _ => None,
    };
    let value = match value {
        Some(value) if value < ten_to(precision) => i128::from(value),
        _ => long_decimal(digits.bytes(), precision, scale)?,
    };
    Ok(if negative { -value } else { value })
}

const TEN_TO: [u64; MAX_DIGITS] = {
    let mut powers = [1; MAX_DIGITS];
    let mut i = 1;
    while i < MAX_DIGITS {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A power of ten, or what is above all numbers that are read at once.
#[inline(always)]
pub fn ten_to(power: u8) -> u64 {
    TEN_TO.get(power as usize).copied().unwrap_or(u64::MAX)
}

/// Any number of digits, and fewer places than the scale.
#[cold]
fn long_decimal(digits: &[u8], precision: u8, scale: i8) -> Result<i128, ValueFault> {
    const NOT: ValueFault = ValueFault::NotA("decimal");
    let (mut value, mut fraction, mut seen) = (0_i128, None::<i8>, false);
    for byte in digits {
        match (byte, fraction) {
            (b'0'..=b'9', _) => {
                seen = true;
                value = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(i128::from(byte - b'0')))
                    .ok_or(ValueFault::DecimalRange(precision, scale))?;
                fraction = fraction.map(|digits| digits.saturating_add(1));
            }
            (b'.', None) => fraction = Some(0),
            _ => return Err(NOT),
        }
    }
    let missing = scale - fraction.unwrap_or(0);
    if !seen {
        return Err(NOT);
    }
    if missing < 0 {
        return Err(ValueFault::DecimalRange(precision, scale));
    }
    10_i128
        .checked_pow(missing as u32)
        .and_then(|factor| value.checked_mul(factor))
        .filter(|value| *value < 10_i128.pow(u32::from(precision)))
        .ok_or(ValueFault::DecimalRange(precision, scale))
}

/// Hexadecimal bytes with blanks between: `01 ff`.
pub fn varbinary(text: &[u8]) -> Result<Vec<u8>, ValueFault> {
    const NOT: ValueFault = ValueFault::NotA("varbinary");
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.len() % 3 != 2 {
        return Err(NOT);
    }
    let nibble = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8).ok_or(NOT);
    let mut bytes = Vec::with_capacity(text.len() / 3 + 1);
    for group in text.chunks(3) {
        if group.len() == 3 && group[2] != b' ' {
            return Err(NOT);
        }
        bytes.push(nibble(group[0])? << 4 | nibble(group[1])?);
    }
    Ok(bytes)
}

/// Length of a date in the years up to 9999.
pub const DATE_LENGTH: usize = "2026-09-17".len();

/// Days since 1970-01-01.
#[inline(always)]
pub fn date(text: &[u8]) -> Result<i32, ValueFault> {
    let (days, rest) = leading_date(text).ok_or(ValueFault::NotA("date"))?;
    if rest.is_empty() { Ok(days) } else { Err(ValueFault::NotA("date")) }
}

/// Microseconds since midnight.
pub fn time(text: &[u8]) -> Result<i64, ValueFault> {
    clock(text, "time(6)")?.ok_or(ValueFault::NotA("time"))
}

/// Microseconds since 1970-01-01 00:00:00, without a zone.
pub fn timestamp(text: &[u8]) -> Result<i64, ValueFault> {
    local(text, "timestamp(6)")?.ok_or(ValueFault::NotA("timestamp"))
}

/// Microseconds since the epoch of a local time followed by `UTC`, a zone name or an offset.
pub fn instant(text: &[u8]) -> Result<i64, ValueFault> {
    const NOT: ValueFault = ValueFault::NotA("timestamp with time zone");
    let blank = text.iter().rposition(|c| *c == b' ').ok_or(NOT)?;
    let micros = local(&text[..blank], "timestamp(6) with time zone")?.ok_or(NOT)?;
    let zone = from_utf8(&text[blank + 1..]).map_err(|_| NOT)?;
    if zone == "UTC" {
        return Ok(micros);
    }
    if let Some(seconds) = offset(zone) {
        return Ok(micros - seconds * 1_000_000);
    }
    let zone: chrono_tz::Tz = zone.parse().map_err(|_| NOT)?;
    let naive: NaiveDateTime = chrono::DateTime::<Utc>::from_timestamp_micros(micros).ok_or(NOT)?.naive_utc();
    match zone.from_local_datetime(&naive) {
        LocalResult::Single(instant) => Ok(instant.timestamp_micros()),
        LocalResult::Ambiguous(..) => Err(ValueFault::AmbiguousLocalTime),
        LocalResult::None => Err(ValueFault::MissingLocalTime),
    }
}

/// `1-2` or `-1-2` (years and months) → months.
pub fn months(text: &[u8]) -> Result<i32, ValueFault> {
    let parse = || {
        let text = from_utf8(text).ok()?;
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (years, months) = text.split_once('-')?;
        let months: i32 = months.parse().ok().filter(|months| (0..12).contains(months))?;
        years.parse::<i32>().ok()?.checked_mul(12)?.checked_add(months)?.checked_mul(sign)
    };
    parse().ok_or(ValueFault::NotA("interval year to month"))
}

/// `1 02:03:04.005` or the same behind a `-` → milliseconds.
pub fn duration(text: &[u8]) -> Result<i64, ValueFault> {
    const NOT: ValueFault = ValueFault::NotA("interval day to second");
    let (sign, rest) = match text {
        [b'-', rest @ ..] => (-1, rest),
        rest => (1, rest),
    };
    let blank = rest.iter().position(|c| *c == b' ').ok_or(NOT)?;
    let days: i64 = integer(Cell::alone(&rest[..blank]), "interval day to second")?;
    let micros = clock(&rest[blank + 1..], "interval day to second")?.ok_or(NOT)?;
    if days < 0 || micros % 1000 != 0 {
        return Err(NOT);
    }
    days.checked_mul(86_400_000).and_then(|millis| millis.checked_add(micros / 1000)).map(|v| v * sign).ok_or(NOT)
}

/// `+09:00`, `-03:30` → seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    let bytes = zone.as_bytes();
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if bytes.len() != 6 || bytes[3] != b':' {
        return None;
    }
    let (hours, minutes) = (two(&bytes[1..])?, two(&bytes[4..])?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn local(text: &[u8], cast: &'static str) -> Result<Option<i64>, ValueFault> {
    let Some((days, rest)) = leading_date(text) else { return Ok(None) };
    match rest {
        [b' ', rest @ ..] => Ok(clock(rest, cast)?.map(|micros| i64::from(days) * 86_400_000_000 + micros)),
        _ => Ok(None),
    }
}

/// `12:34:56` with up to 12 fractional digits → microseconds; digits below a microsecond must be zero.
fn clock(text: &[u8], cast: &'static str) -> Result<Option<i64>, ValueFault> {
    let parse = || {
        if text.len() < 8 || text[2] != b':' || text[5] != b':' {
            return None;
        }
        let (hours, minutes, seconds) = (two(text)?, two(&text[3..])?, two(&text[6..])?);
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let fraction = match &text[8..] {
            [] => &[],
            [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => digits,
            _ => return None,
        };
        Some(((hours * 60 + minutes) * 60 + seconds, fraction))
    };
    let Some((seconds, fraction)) = parse() else { return Ok(None) };
    if fraction.iter().skip(6).any(|digit| *digit != b'0') {
        return Err(ValueFault::TooPrecise(cast));
    }
    let micros = (0..6).fold(0, |value, i| value * 10 + fraction.get(i).map_or(0, |digit| i64::from(digit - b'0')));
    Ok(Some(seconds * 1_000_000 + micros))
}

/// Days since 1970-01-01 of a leading `2026-09-17`, and what follows it.
#[inline(always)]
fn leading_date(text: &[u8]) -> Option<(i32, &[u8])> {
    if let Some((date, rest)) = text.split_first_chunk::<10>() {
        // `20` `26-09-17`: every digit becomes its value and every dash becomes zero.
        const CENTURY: u16 = u16::from_le_bytes(*b"00");
        const REST: u64 = u64::from_le_bytes(*b"00-00-00");
        const NO_CARRY: u64 = u64::from_le_bytes([6, 6, 0, 6, 6, 0, 6, 6]);
        const NOTHING: u64 = u64::from_le_bytes([0xf0, 0xf0, 0xff, 0xf0, 0xf0, 0xff, 0xf0, 0xf0]);
        let [a, b, ..] = *date;
        let century = u16::from_le_bytes([a, b]) ^ CENTURY;
        let word = date.last_chunk().map_or(0, |rest| u64::from_le_bytes(*rest)) ^ REST;
        let odd = (word | word.wrapping_add(NO_CARRY)) & NOTHING != 0
            || (century | century.wrapping_add(NO_CARRY as u16)) & NOTHING as u16 != 0;
        if !odd {
            // In each byte, ten times its digit and the next one.
            let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
            let pair = |byte: u32| u32::from((pairs >> (8 * byte)) as u8);
            let century = u32::from(century as u8) * 10 + u32::from(century >> 8);
            return Some((days(century * 100 + pair(0), pair(3), pair(6))?, rest));
        }
    }
    any_leading_date(text)
}

/// The same with a sign or more digits in the year.
#[cold]
fn any_leading_date(text: &[u8]) -> Option<(i32, &[u8])> {
    use chrono::Datelike;
    const EPOCH_FROM_CE: i32 = 719_163;
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let dash = digits.iter().position(|c| *c == b'-').filter(|at| (4..=6).contains(at))?;
    let year: i32 = from_utf8(&digits[..dash]).ok().filter(|y| y.bytes().all(|c| c.is_ascii_digit()))?.parse().ok()?;
    let rest = &digits[dash + 1..];
    if rest.len() < 5 || rest[2] != b'-' {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(sign * year, two(rest)? as u32, two(&rest[3..])? as u32)?;
    Some((date.num_days_from_ce() - EPOCH_FROM_CE, &rest[5..]))
}

/// Days since 1970-01-01 of a day of the years 0 to 9999, if there is such a day.
#[inline(always)]
fn days(year: u32, month: u32, day: u32) -> Option<i32> {
    let (days, is_date) = digits::days(year, month, day);
    is_date.then_some(days)
}

#[inline(always)]
fn two(text: &[u8]) -> Option<i64> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_where_chrono_has_it() {
        use chrono::Datelike;
        let mut day = NaiveDate::from_ymd_opt(0, 1, 1).expect("a day");
        let first = -719_528;
        for number in 0..3_652_425 {
            assert_eq!(days(day.year() as u32, day.month(), day.day()), Some(first + number), "{day}");
            day = day.succ_opt().expect("a day after");
        }
        assert_eq!(day, NaiveDate::from_ymd_opt(10_000, 1, 1).expect("a day"));
        for (year, month, day) in
            [(1900, 2, 29), (2001, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0)]
        {
            assert_eq!(days(year, month, day), None);
        }
    }
}
