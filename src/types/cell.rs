//! The text of one value, and what lies around it: with some bytes before and behind, values can be read and copied whole
//! words at a time.

use super::digits::{ZEROS, eight_digits, not_digits};

/// A value's text inside of a larger one.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    around: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Cell<'a> {
    /// The bytes from `start` up to `end`.
    #[inline(always)]
    pub fn within(around: &'a [u8], start: usize, end: usize) -> Self {
        Self { around, start, end }
    }

    /// A text with nothing around it.
    pub fn alone(text: &'a [u8]) -> Self {
        Self { around: text, start: 0, end: text.len() }
    }

    #[inline(always)]
    pub fn bytes(self) -> &'a [u8] {
        &self.around[self.start..self.end]
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// What comes behind the first `count` bytes, of which there are so many.
    #[inline(always)]
    pub fn without_first(self, count: usize) -> Self {
        Self { start: self.start + count, ..self }
    }

    /// What comes before the last `count` bytes, of which there are so many.
    #[inline(always)]
    pub fn without_last(self, count: usize) -> Self {
        Self { end: self.end - count, ..self }
    }

    /// The last `count` bytes, of which there are so many.
    #[inline(always)]
    pub fn last(self, count: usize) -> Self {
        Self { start: self.end - count, ..self }
    }

    /// The first byte.
    #[inline(always)]
    pub fn first(self) -> Option<u8> {
        if self.is_empty() { None } else { self.around.get(self.start).copied() }
    }

    /// The number of up to 19 decimal digits that this is.
    #[inline(always)]
    pub fn number(self) -> Option<u64> {
        match self.len() {
            1..=8 => self.short_number(),
            9..=16 => Some(self.without_last(8).short_number()? * 100_000_000 + self.last(8).short_number()?),
            17..=19 => slow_number(self.bytes()),
            _ => None,
        }
    }

    /// The number of 1 to 8 digits.
    #[inline(always)]
    fn short_number(self) -> Option<u64> {
        match self.last_word() {
            Some(word) => digits(word, self.len()),
            None => slow_number(self.bytes()),
        }
    }

    /// The number that this is without its point, which has `places` digits behind it and at least one before; up to 16
    /// bytes, and 1 to 7 places.
    #[inline(always)]
    pub fn fixed_point(self, places: usize) -> Option<u64> {
        let length = self.len();
        if length < places + 2 || length > 16 {
            return None;
        }
        let word = self.last_word()?;
        // What lies before the point moves one byte up, onto it.
        let before = 8 * (7 - places as u32);
        let whole = word & !(u64::MAX << before);
        let fraction = word & (u64::MAX << before << 8);
        let point = (word >> before) as u8;
        let low = digits(fraction | whole << 8, length.min(8) - 1).filter(|_| point == b'.')?;
        if length <= 8 { Some(low) } else { Some(self.without_last(8).short_number()? * 10_000_000 + low) }
    }

    /// The word that ends where the text does; its highest byte is the text's last.
    #[inline(always)]
    fn last_word(self) -> Option<u64> {
        let word = self.around.get(..self.end)?.last_chunk::<8>()?;
        Some(u64::from_le_bytes(*word))
    }

    /// Appends the text to others.
    #[inline(always)]
    pub fn append_to(self, out: &mut Vec<u8>) {
        const SHORT: usize = 64;
        // Short texts are copied with what comes behind, because a length that is always the same costs next to nothing.
        match self.around.get(self.start..).and_then(|rest| rest.first_chunk::<SHORT>()) {
            Some(chunk) if self.len() <= SHORT => {
                let length = out.len() + self.len();
                out.extend_from_slice(chunk);
                out.truncate(length);
            }
            _ => out.extend_from_slice(self.bytes()),
        }
    }
}

/// The number of the `count` (1 to 8) digits in a word's highest bytes.
#[inline(always)]
fn digits(word: u64, count: usize) -> Option<u64> {
    // What lies before the digits becomes zeros.
    let digits = (word ^ ZEROS) & (u64::MAX << (64 - 8 * count as u32));
    (not_digits(digits) == 0).then(|| eight_digits(digits))
}

fn slow_number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_what_they_are_wherever_they_lie(
            before in "[0-9a\"]{0,12}",
            text in "([0-9]{0,22}|[0-9/:a]{0,9}|[0-9]{1,9}[./0][0-9]{1,8})",
            behind in "[0-9,]{0,40}",
        ) {
            let around = format!("{before}{text}{behind}");
            let cell = Cell::within(around.as_bytes(), before.len(), before.len() + text.len());
            let expected = if text.len() <= 19 { text.parse::<u64>().ok() } else { None };
            prop_assert_eq!(cell.number(), expected);
            for places in 1..=7 {
                let expected = text.len().checked_sub(places + 1).filter(|whole| *whole > 0 && text.len() <= 16);
                let expected = expected.and_then(|whole| {
                    (text.as_bytes()[whole] == b'.').then(|| format!("{}{}", &text[..whole], &text[whole + 1..]))
                });
                let expected = expected.filter(|_| cell.end >= 8).and_then(|digits| digits.parse::<u64>().ok());
                prop_assert_eq!(cell.fixed_point(places), expected);
            }
            let mut copied = b"x".to_vec();
            cell.append_to(&mut copied);
            prop_assert_eq!(copied, format!("x{text}").into_bytes());
        }
    }
}
