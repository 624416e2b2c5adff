//! Digits and days reckoned whole words at a time and without branches, for one value or for many of them side by side.

/// The bytes of eight zeros: what a word is differs from them by is its digits' values.
pub const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// Not zero if some byte is above 9.
#[inline(always)]
pub fn not_digits(word: u64) -> u64 {
    const UPPER_HALVES: u64 = u64::from_le_bytes([0xf0; 8]);
    const NO_CARRY: u64 = u64::from_le_bytes([0x06; 8]);
    // A byte is a digit if nothing is in its upper half, also when 6 is added.
    (word | word.wrapping_add(NO_CARRY)) & UPPER_HALVES
}

/// The number of eight digits, the first in the lowest byte.
#[inline(always)]
pub fn eight_digits(digits: u64) -> u64 {
    // Neighbours together: digits, pairs, fours.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    (fours & 0xffff_ffff) * 10_000 + (fours >> 32)
}

/// Days since 1970-01-01 of a day of the years 0 to 9999, and whether there is such a day.
#[inline(always)]
pub fn days(year: u32, month: u32, day: u32) -> (i32, bool) {
    let is_leap = year.is_multiple_of(4) & (!year.is_multiple_of(25) | year.is_multiple_of(16));
    let in_february = 28 + u32::from(is_leap);
    let in_month = if month == 2 { in_february } else { 30 + ((month + month / 8) & 1) };
    let is_date = (month.wrapping_sub(1) < 12) & (day.wrapping_sub(1) < in_month);
    // Years that start in March end with the day that some have and some have not; 400 more, so that none is negative.
    let (year, month) = if month <= 2 { (year + 399, month + 9) } else { (year + 400, month - 3) };
    let before = (year * 365 + year / 4 - year / 100 + year / 400) as i32;
    const TO_1970: i32 = 719_469 + 146_097;
    (before + ((153 * month + 2) / 5 + day) as i32 - TO_1970, is_date)
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn every_day_is_counted() {
        let first = NaiveDate::from_ymd_opt(0, 1, 1).expect("a day");
        for date in first.iter_days().take_while(|date| date.year() < 10_000) {
            let found = days(date.year() as u32, date.month(), date.day());
            assert_eq!(found, (date.to_epoch_days(), true), "{date}");
        }
        for (year, month, day) in [(1900, 2, 29), (2001, 2, 29), (2000, 2, 30), (2000, 4, 31), (2000, 13, 1)] {
            assert!(!days(year, month, day).1, "{year}-{month}-{day}");
        }
        for (month, day) in [(0, 1), (1, 0), (1, 32), (99, 99), (255, 255)] {
            assert!(!days(2000, month, day).1, "{month}-{day}");
        }
    }
}
