//! Time zones: their names, and local time in them.
//!
//! A zoned timestamp is an instant whose zone stands in the column's Arrow type. Trino keeps a zone per value; where a
//! column would need several, the statement is refused.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;

use crate::emulator::model::Failure;

pub const UTC: &str = "UTC";

/// A zone's name as Trino shows it and Arrow reads it: `Asia/Tokyo`, `+09:00`, `UTC`.
pub fn named(text: &str) -> Result<String, Failure> {
    let unknown = || Failure::invalid_argument(format!("'{text}' is not a valid time zone"));
    let text = text.trim();
    if matches!(text, "Z" | "z" | "UTC" | "utc" | "GMT" | "+00:00" | "-00:00" | "Etc/UTC") {
        return Ok(UTC.to_owned());
    }
    if let Some(rest) = text.strip_prefix(['+', '-']) {
        let (hours, minutes) = match rest.split_once(':') {
            Some(parts) => parts,
            None if rest.len() == 4 && rest.is_ascii() => rest.split_at(2),
            None => (rest, "00"),
        };
        let (hours, minutes): (u32, u32) =
            (hours.parse().map_err(|_| unknown())?, minutes.parse().map_err(|_| unknown())?);
        if hours > 14 || minutes > 59 {
            return Err(unknown());
        }
        if hours == 0 && minutes == 0 {
            return Ok(UTC.to_owned());
        }
        return Ok(format!("{}{hours:02}:{minutes:02}", &text[..1]));
    }
    text.parse::<Tz>().map(|_| text.to_owned()).map_err(|_| unknown())
}

pub fn shown(zone: &str) -> &str {
    if matches!(zone, "+00:00" | "Z") { UTC } else { zone }
}

fn parsed(zone: &str) -> Result<Tz, Failure> {
    zone.parse::<Tz>().map_err(|_| Failure::invalid_argument(format!("'{zone}' is not a valid time zone")))
}

/// Seconds of the clock on the wall in a zone, counted as if it hung in UTC.
pub fn local_seconds(seconds: i64, zone: &str) -> Result<i64, Failure> {
    Ok(seconds + offset_seconds(seconds, zone)?)
}

/// How far a zone's clocks are ahead of UTC at an instant.
pub fn offset_seconds(seconds: i64, zone: &str) -> Result<i64, Failure> {
    if zone == UTC {
        return Ok(0);
    }
    let instant = DateTime::from_timestamp(seconds, 0)
        .ok_or_else(|| Failure::out_of_range(format!("timestamp out of range: {seconds} s")))?;
    Ok(i64::from(parsed(zone)?.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()))
}

/// The instant at which a zone's clocks show a time. In a repeated hour it is the earlier one, in a skipped hour the
/// clock is taken to have gone on, both as Java's time library has it.
pub fn instant(local: NaiveDateTime, zone: &str) -> Result<NaiveDateTime, Failure> {
    if zone == UTC {
        return Ok(local);
    }
    let tz = parsed(zone)?;
    match tz.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
            Ok(local - chrono::Duration::seconds(offset.fix().local_minus_utc().into()))
        }
        LocalResult::None => {
            let before = tz.offset_from_utc_datetime(&(local - chrono::Duration::days(1)));
            Ok(local - chrono::Duration::seconds(before.fix().local_minus_utc().into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_one_form() {
        for (given, expected) in [
            ("UTC", "UTC"),
            ("Z", "UTC"),
            ("+00:00", "UTC"),
            ("+9", "+09:00"),
            ("-0530", "-05:30"),
            ("Asia/Tokyo", "Asia/Tokyo"),
        ] {
            assert_eq!(named(given).expect("a zone"), expected);
        }
        for bad in ["Asia/Nowhere", "+99:00", "", "+x"] {
            named(bad).expect_err(bad);
        }
    }

    #[test]
    fn skipped_and_repeated_hours_have_an_instant() {
        let at = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a time");
        for (local, expected) in [
            ("2024-07-01 12:00:00", "2024-07-01 10:00:00"),
            ("2024-03-31 02:30:00", "2024-03-31 01:30:00"),
            ("2024-10-27 02:30:00", "2024-10-27 00:30:00"),
        ] {
            assert_eq!(instant(at(local), "Europe/Berlin").expect("an instant"), at(expected), "{local}");
        }
    }
}
