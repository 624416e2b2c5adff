//! Athena's text forms → Arrow arrays, column by column (athena-behaviour, section 4).
//!
//! Nothing is guessed: text that is not exactly a value of the column's type is a [`ValueFault`], and so is a timestamp
//! with more digits than its Arrow unit holds.

use std::str::from_utf8;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::DataType;
use chrono::{LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};

use super::AthenaType;
use super::arrow::UTC;

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
}

/// Collects one column's values from their text.
pub enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
    Months(IntervalYearMonthBuilder),
    Duration(DurationMillisecondBuilder),
}

impl ColumnBuilder {
    pub fn new(data_type: &AthenaType) -> Self {
        match data_type {
            AthenaType::Boolean => Self::Boolean(BooleanBuilder::new()),
            AthenaType::Tinyint => Self::Int8(Int8Builder::new()),
            AthenaType::Smallint => Self::Int16(Int16Builder::new()),
            AthenaType::Integer => Self::Int32(Int32Builder::new()),
            AthenaType::Bigint => Self::Int64(Int64Builder::new()),
            AthenaType::Real => Self::Float32(Float32Builder::new()),
            AthenaType::Double => Self::Float64(Float64Builder::new()),
            AthenaType::Decimal { precision, scale } => {
                let scale = *scale as i8;
                let builder = Decimal128Builder::new().with_data_type(DataType::Decimal128(*precision, scale));
                Self::Decimal(builder, *precision, scale)
            }
            AthenaType::Varbinary => Self::Binary(BinaryBuilder::new()),
            AthenaType::Date => Self::Date(Date32Builder::new()),
            AthenaType::Time(_) => Self::Time(Time64MicrosecondBuilder::new()),
            AthenaType::Timestamp(_) => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            AthenaType::TimestampWithTimeZone(_) => {
                Self::Instant(TimestampMicrosecondBuilder::new().with_timezone(UTC))
            }
            AthenaType::IntervalYearToMonth => Self::Months(IntervalYearMonthBuilder::new()),
            AthenaType::IntervalDayToSecond => Self::Duration(DurationMillisecondBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends one value; `None` is NULL. After an error the column is as it was.
    #[inline]
    pub fn append(&mut self, text: Option<&[u8]>) -> Result<(), ValueFault> {
        macro_rules! put {
            ($builder:expr, $parse:expr) => {
                match text {
                    Some(text) => $builder.append_value($parse(text)?),
                    None => $builder.append_null(),
                }
            };
        }
        match self {
            Self::Boolean(b) => put!(b, boolean),
            Self::Int8(b) => put!(b, |text| number::<i8>(text, "tinyint")),
            Self::Int16(b) => put!(b, |text| number::<i16>(text, "smallint")),
            Self::Int32(b) => put!(b, |text| number::<i32>(text, "integer")),
            Self::Int64(b) => put!(b, |text| number::<i64>(text, "bigint")),
            Self::Float32(b) => put!(b, |text| number::<f32>(text, "real")),
            Self::Float64(b) => put!(b, |text| number::<f64>(text, "double")),
            Self::Decimal(b, precision, scale) => put!(b, |text| decimal(text, *precision, *scale)),
            Self::Text(b) => put!(b, |text| from_utf8(text).map_err(|_| ValueFault::NotUtf8)),
            Self::Binary(b) => put!(b, varbinary),
            Self::Date(b) => put!(b, date),
            Self::Time(b) => put!(b, time),
            Self::Timestamp(b) => put!(b, timestamp),
            Self::Instant(b) => put!(b, instant),
            Self::Months(b) => put!(b, months),
            Self::Duration(b) => put!(b, duration),
        }
        Ok(())
    }

    /// The values so far as an array of the type [`AthenaType::arrow`] promises; the builder starts anew.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int8(b) => Arc::new(b.finish()),
            Self::Int16(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Decimal(b, ..) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Timestamp(b) | Self::Instant(b) => Arc::new(b.finish()),
            Self::Months(b) => Arc::new(b.finish()),
            Self::Duration(b) => Arc::new(b.finish()),
        }
    }
}

fn boolean(text: &[u8]) -> Result<bool, ValueFault> {
    match text {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(ValueFault::NotA("boolean")),
    }
}

/// Rust reads what Java prints: `1.0E20`, `NaN`, `-Infinity`.
fn number<N: std::str::FromStr>(text: &[u8], name: &'static str) -> Result<N, ValueFault> {
    from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(ValueFault::NotA(name))
}

fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, ValueFault> {
    const NOT: ValueFault = ValueFault::NotA("decimal");
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
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
        .map(|value| if negative { -value } else { value })
        .ok_or(ValueFault::DecimalRange(precision, scale))
}

/// Hexadecimal bytes with blanks between: `01 ff`.
fn varbinary(text: &[u8]) -> Result<Vec<u8>, ValueFault> {
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

/// Days since 1970-01-01.
fn date(text: &[u8]) -> Result<i32, ValueFault> {
    let (date, rest) = leading_date(text).ok_or(ValueFault::NotA("date"))?;
    if rest.is_empty() { Ok(days(date)) } else { Err(ValueFault::NotA("date")) }
}

/// Microseconds since midnight.
fn time(text: &[u8]) -> Result<i64, ValueFault> {
    clock(text, "time(6)")?.ok_or(ValueFault::NotA("time"))
}

/// Microseconds since 1970-01-01 00:00:00, without a zone.
fn timestamp(text: &[u8]) -> Result<i64, ValueFault> {
    local(text, "timestamp(6)")?.ok_or(ValueFault::NotA("timestamp"))
}

/// Microseconds since the epoch of a local time followed by `UTC`, a zone name or an offset.
fn instant(text: &[u8]) -> Result<i64, ValueFault> {
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
fn months(text: &[u8]) -> Result<i32, ValueFault> {
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
fn duration(text: &[u8]) -> Result<i64, ValueFault> {
    const NOT: ValueFault = ValueFault::NotA("interval day to second");
    let (sign, rest) = match text {
        [b'-', rest @ ..] => (-1, rest),
        rest => (1, rest),
    };
    let blank = rest.iter().position(|c| *c == b' ').ok_or(NOT)?;
    let days: i64 = number(&rest[..blank], "interval day to second")?;
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
    let Some((date, rest)) = leading_date(text) else { return Ok(None) };
    match rest {
        [b' ', rest @ ..] => Ok(clock(rest, cast)?.map(|micros| i64::from(days(date)) * 86_400_000_000 + micros)),
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

/// A leading `2026-09-17`, also with a sign or more digits in the year, and what follows it.
fn leading_date(text: &[u8]) -> Option<(NaiveDate, &[u8])> {
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
    Some((date, &rest[5..]))
}

fn days(date: NaiveDate) -> i32 {
    use chrono::Datelike;
    const EPOCH_FROM_CE: i32 = 719_163;
    date.num_days_from_ce() - EPOCH_FROM_CE
}

fn two(text: &[u8]) -> Option<i64> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;

    use super::*;

    fn check(data_type: &str, text: &str, expected: &str) {
        let data_type = AthenaType::parse(data_type).expect("a type");
        let mut builder = ColumnBuilder::new(&data_type);
        builder.append(Some(text.as_bytes())).unwrap_or_else(|fault| panic!("{text:?} {fault}"));
        builder.append(None).expect("NULL fits every type");
        let array = builder.finish();
        assert_eq!(array.data_type(), &data_type.arrow());
        assert!(array.is_null(1));
        assert_eq!(array_value_to_string(&array, 0).expect("printable"), expected, "{data_type} {text:?}");
    }

    fn refused(data_type: &str, text: &str) {
        let data_type = AthenaType::parse(data_type).expect("a type");
        let mut builder = ColumnBuilder::new(&data_type);
        assert!(builder.append(Some(text.as_bytes())).is_err(), "{data_type} {text:?}");
        assert_eq!(builder.finish().len(), 0);
    }

    #[test]
    fn values_are_read_exactly() {
        for (data_type, text, expected) in [
            ("boolean", "true", "true"),
            ("tinyint", "-128", "-128"),
            ("bigint", "-9223372036854775808", "-9223372036854775808"),
            ("double", "1.0E20", "1e20"),
            ("double", "-Infinity", "-inf"),
            ("double", "NaN", "NaN"),
            ("real", "1.17549435E-38", "1.1754944e-38"),
            ("decimal(10,2)", "-0.05", "-0.05"),
            ("decimal(10,2)", "7", "7.00"),
            ("decimal(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("varchar", "", ""),
            ("varbinary", "01 ff", "01ff"),
            ("date", "9999-12-31", "9999-12-31"),
            ("date", "0001-01-01", "0001-01-01"),
            ("time(6)", "23:59:59.999999", "23:59:59.999999"),
            ("timestamp", "9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999999"),
            ("timestamp", "1969-12-31 23:59:59", "1969-12-31T23:59:59"),
            ("timestamp(12)", "2026-01-02 03:04:05.123456000000", "2026-01-02T03:04:05.123456"),
            ("timestamp with time zone", "2026-01-02 03:04:05.000 UTC", "2026-01-02T03:04:05Z"),
            ("timestamp with time zone", "2026-07-01 12:00:00.000 Europe/Berlin", "2026-07-01T10:00:00Z"),
            ("timestamp with time zone", "2026-01-01 12:00:00.000 Europe/Berlin", "2026-01-01T11:00:00Z"),
            ("timestamp with time zone", "2026-01-01 12:00:00.000 -03:30", "2026-01-01T15:30:00Z"),
            ("interval year to month", "-1-2", "-2 years 10 mons"),
            ("interval day to second", "-1 00:00:00.500", "-PT86400.5S"),
            ("time with time zone", "12:34:56.789+00:00", "12:34:56.789+00:00"),
        ] {
            check(data_type, text, expected);
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for (data_type, text) in [
            ("boolean", "TRUE"),
            ("boolean", ""),
            ("tinyint", "128"),
            ("integer", "1.0"),
            ("integer", ""),
            ("decimal(3,1)", "100.0"),
            ("decimal(3,1)", "1.25"),
            ("decimal(3,1)", "."),
            ("decimal(3,1)", "1e1"),
            ("decimal(38,10)", "99999999999999999999999999999999999999"),
            ("varbinary", "0"),
            ("varbinary", "01ff0"),
            ("date", "2026-02-30"),
            ("date", "2026-1-1"),
            ("date", "2026-01-01 "),
            ("time", "24:00:00"),
            ("timestamp", "2026-01-01T00:00:00"),
            ("timestamp", "2026-01-01 00:00:00."),
            ("timestamp", "2026-01-01 00:00:00.0000001"),
            ("timestamp with time zone", "2026-01-01 00:00:00 Mars/Olympus"),
            ("timestamp with time zone", "2026-10-25 02:30:00 Europe/Berlin"),
            ("timestamp with time zone", "2026-03-29 02:30:00 Europe/Berlin"),
            ("interval year to month", "1-12"),
            ("interval day to second", "1 25:00:00.000"),
        ] {
            refused(data_type, text);
        }
    }

    #[test]
    fn broken_utf8_is_an_error() {
        let mut builder = ColumnBuilder::new(&AthenaType::Varchar(None));
        assert_eq!(builder.append(Some(b"\xff")), Err(ValueFault::NotUtf8));
    }
}
