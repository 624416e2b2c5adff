//! Texts of many values of one column inside of one larger text: what short numbers and dates are is reckoned for all of
//! them at once, several to an instruction.
//!
//! Only the common forms are read here. What is not of them is told by its place, and read by [`super::value`].

use std::ops::RangeInclusive;

use super::cell::Cell;
use super::digits::{ZEROS, days, eight_digits, not_digits};
use super::value::DATE_LENGTH;

/// Values of a block, at most.
pub const MAX_VALUES: usize = 128;
/// Bytes of a text that are looked at.
const TAIL: usize = 16;
const WORD: usize = size_of::<u64>();

/// Where a value's text lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    start: u32,
    length: u32,
}

/// Bit of a start that does not lie in the block's text, but apart. Texts are far smaller.
const APART: u32 = 1 << 31;
/// Length of NULL.
const NULL: u32 = u32::MAX;

impl Place {
    pub const NULL: Self = Self { start: 0, length: NULL };

    /// In the block's text.
    #[inline(always)]
    pub fn new(start: u32, length: u32) -> Self {
        Self { start, length }
    }

    /// Among the texts that lie apart.
    pub fn apart(start: u32, length: u32) -> Self {
        Self { start: start | APART, length }
    }

    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.length == NULL
    }

    #[inline(always)]
    pub fn is_apart(self) -> bool {
        self.start & APART != 0
    }

    #[inline(always)]
    pub fn start(self) -> usize {
        (self.start & !APART) as usize
    }

    /// The bytes of the text; none of NULL.
    #[inline(always)]
    pub fn length(self) -> u32 {
        if self.is_null() { 0 } else { self.length }
    }
}

/// The places of one column's values among those of all columns, row by row.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// From the first of this column on.
    places: &'a [Place],
    width: usize,
}

impl<'a> Places<'a> {
    /// The places of one of `width` columns. `all` are whole rows.
    #[inline(always)]
    pub fn of_column(all: &'a [Place], column: usize, width: usize) -> Self {
        Self { places: all.get(column..).unwrap_or_default(), width }
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.places.len().div_ceil(self.width)
    }

    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.places.is_empty()
    }

    #[inline(always)]
    pub fn get(self, row: usize) -> Place {
        self.places[row * self.width]
    }

    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = &'a Place> {
        self.places.iter().step_by(self.width)
    }
}

/// The texts of some values of one column, [`MAX_VALUES`] at most.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    pub text: &'a [u8],
    /// Texts that were changed to be what they mean.
    pub apart: &'a [u8],
    pub places: Places<'a>,
}

impl<'a> Block<'a> {
    /// The text of one value; `None` for NULL.
    #[inline(always)]
    pub fn get(self, index: usize) -> Option<Cell<'a>> {
        let place = self.places.get(index);
        if place.is_null() {
            return None;
        }
        let around = if place.is_apart() { self.apart } else { self.text };
        Some(Cell::within(around, place.start(), place.start() + place.length as usize))
    }

    /// All texts; `None` for NULL.
    #[inline(always)]
    pub fn cells(self) -> impl Iterator<Item = Option<Cell<'a>>> {
        (0..self.places.len()).map(move |index| self.get(index))
    }
}

/// Numbers that are reckoned together. It is used again and again, for making it anew would cost as much as the reckoning.
pub struct Lanes {
    /// The last eight bytes of each text behind its sign, each digit as its value, the highest byte the text's last; and
    /// the eight before. What lies before the text is zero; of NULLs, and of what is too short or too long, no byte is a
    /// digit.
    low: [u64; MAX_VALUES],
    high: [u64; MAX_VALUES],
    /// All ones where there is a minus.
    negative: [u64; MAX_VALUES],
    values: [i64; MAX_VALUES],
    odd: [u64; MAX_VALUES],
}

impl Default for Lanes {
    fn default() -> Self {
        let nothing = [0; MAX_VALUES];
        Self { low: nothing, high: nothing, negative: nothing, values: [0; MAX_VALUES], odd: nothing }
    }
}

/// The numbers of a block.
pub struct Numbers<'a> {
    pub values: &'a [i64],
    /// Not zero where a value is none, and has to be read by itself.
    pub odd: &'a mut [u64],
}

/// Which bytes of two words are the last so many.
const LAST: [[u64; 2]; TAIL + 1] = {
    let mut masks = [[0; 2]; TAIL + 1];
    let mut count = 1;
    while count <= TAIL {
        let bits = u128::MAX << (8 * (TAIL - count));
        masks[count] = [bits as u64, (bits >> 64) as u64];
        count += 1;
    }
    masks
};

impl Lanes {
    /// Whole numbers.
    #[inline(always)]
    pub fn integers(&mut self, block: Block<'_>) -> Numbers<'_> {
        self.take(block, 1..=TAIL);
        self.numbers(block, |high, low| (high, low, 0))
    }

    /// Numbers with a point and so many places behind it, 1 to 7, without the point.
    #[inline(always)]
    pub fn fixed_points(&mut self, block: Block<'_>, places: usize) -> Numbers<'_> {
        const POINT: u64 = (b'.' ^ b'0') as u64;
        let before = 8 * (7 - places as u32);
        self.take(block, places + 2..=TAIL);
        self.numbers(block, |high, low| {
            // What lies before the point moves one byte up, onto it.
            let whole = low & !(u64::MAX << before);
            let fraction = low & (u64::MAX << before << 8);
            let odd = ((low >> before) & 0xff) ^ POINT;
            (high << 8, fraction | whole << 8 | high >> 56, odd)
        })
    }

    /// Days since 1970-01-01 of dates like `2026-09-17`.
    #[inline(always)]
    pub fn dates(&mut self, block: Block<'_>) -> Numbers<'_> {
        // `20` `26-09-17`: dashes become zeros too.
        const DASHES: u64 = u64::from_le_bytes([0, 0, b'-' ^ b'0', 0, 0, b'-' ^ b'0', 0, 0]);
        const NO_CARRY: u64 = u64::from_le_bytes([6, 6, 0, 6, 6, 0, 6, 6]);
        const NOTHING: u64 = u64::from_le_bytes([0xf0, 0xf0, 0xff, 0xf0, 0xf0, 0xff, 0xf0, 0xf0]);
        self.take(block, DATE_LENGTH..=DATE_LENGTH);
        self.reckon(block, |high, low, negative| {
            let low = low ^ DASHES;
            // In each byte, ten times its digit and the next one.
            let pairs = low.wrapping_mul(10).wrapping_add(low >> 8);
            let pair = |byte: u32| (pairs >> (8 * byte)) as u32 & 0xff;
            let century = ((high >> 48) & 0xf) as u32 * 10 + ((high >> 56) & 0xf) as u32;
            let (days, is_date) = days(century * 100 + pair(0), pair(3), pair(6));
            let odd = not_digits(high) | (low | low.wrapping_add(NO_CARRY)) & NOTHING | negative;
            (i64::from(days), odd | u64::from(!is_date))
        })
    }

    /// Takes the last bytes of each text that has so many behind its sign, 16 at most.
    #[inline(always)]
    fn take(&mut self, block: Block<'_>, lengths: RangeInclusive<usize>) {
        let words = self.high.iter_mut().zip(&mut self.low).zip(&mut self.negative);
        for (place, ((high, low), negative)) in block.places.iter().zip(words) {
            // Those of NULLs and of what lies apart are outside of the text.
            let (start, end) = (place.start as usize, place.start as usize + place.length as usize);
            let tail = block.text.get(end.wrapping_sub(TAIL)..end).and_then(<[u8]>::first_chunk::<TAIL>);
            let is_negative = block.text.get(start) == Some(&b'-');
            let length = (place.length as usize).wrapping_sub(usize::from(is_negative));
            (*high, *low) = match (tail, LAST.get(length)) {
                (Some(tail), Some([first, last])) if lengths.contains(&length) => {
                    let word = |at: usize| u64::from_le_bytes(tail.as_chunks::<WORD>().0[at]);
                    ((word(0) ^ ZEROS) & first, (word(1) ^ ZEROS) & last)
                }
                _ => (u64::MAX, u64::MAX),
            };
            *negative = if is_negative { u64::MAX } else { 0 };
        }
    }

    #[inline(always)]
    fn numbers(&mut self, block: Block<'_>, words: impl Fn(u64, u64) -> (u64, u64, u64)) -> Numbers<'_> {
        self.reckon(block, |high, low, negative| {
            let (high, low, odd) = words(high, low);
            let number = eight_digits(high).wrapping_mul(100_000_000).wrapping_add(eight_digits(low));
            // A minus turns all bits and adds one.
            ((number ^ negative).wrapping_sub(negative) as i64, odd | not_digits(high) | not_digits(low))
        })
    }

    #[inline(always)]
    fn reckon(&mut self, block: Block<'_>, value: impl Fn(u64, u64, u64) -> (i64, u64)) -> Numbers<'_> {
        let count = block.places.len().min(MAX_VALUES);
        let Self { low, high, negative, values, odd } = self;
        let (low, high, negative) = (&low[..count], &high[..count], &negative[..count]);
        let (values, odd) = (&mut values[..count], &mut odd[..count]);
        for i in 0..count {
            (values[i], odd[i]) = value(high[i], low[i], negative[i]);
        }
        Numbers { values, odd }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;

    /// Texts one after the other in one, and where they are.
    fn lay(texts: &[Option<String>]) -> (Vec<u8>, Vec<Place>) {
        let (mut text, mut places) = (Vec::new(), Vec::new());
        for value in texts {
            let Some(value) = value else {
                places.push(Place::NULL);
                continue;
            };
            text.push(b'"');
            places.push(Place::new(text.len() as u32, value.len() as u32));
            text.extend_from_slice(value.as_bytes());
        }
        (text, places)
    }

    /// What was read, and `None` for what is odd.
    fn read(numbers: Numbers<'_>) -> Vec<Option<i64>> {
        numbers.values.iter().zip(numbers.odd).map(|(value, odd)| (*odd == 0).then_some(*value)).collect()
    }

    #[test]
    fn what_is_longer_than_it_should_be_is_odd() {
        let texts = ["something before", "00001-10-01", "00000000000000001"].map(|text| Some(text.to_owned()));
        let (text, places) = lay(&texts);
        let block = Block { text: &text, apart: &[], places: Places::of_column(&places, 0, 1) };
        assert_eq!(read(Lanes::default().dates(block)), [None; 3]);
        assert_eq!(read(Lanes::default().integers(block)), [None; 3]);
    }

    proptest! {
        #[test]
        fn numbers_are_what_they_are_or_odd(
            before in "[0-9\"-]{0,20}",
            texts in prop::collection::vec(prop::option::weighted(0.9, "-?[0-9]{1,19}|[0-9]{0,9}[./:][0-9]{0,9}|-?[0-9]{1,8}\\.[0-9]{1,7}|-?-|"), 0..MAX_VALUES),
        ) {
            let texts = [vec![Some(before)], texts].concat();
            let texts = &texts[..texts.len().min(MAX_VALUES)];
            let (text, places) = lay(texts);
            let block = Block { text: &text, apart: &[], places: Places::of_column(&places, 0, 1) };
            let mut lanes = Lanes::default();
            let expected = |index: usize, exact: &dyn Fn(&str) -> Option<i64>| {
                let end = places[index].start() + places[index].length() as usize;
                let value = texts[index].as_deref().filter(|value| end >= TAIL && value.trim_start_matches('-').len() <= TAIL);
                value.filter(|value| !value.starts_with("--")).and_then(exact)
            };
            let integers = read(lanes.integers(block));
            for (index, found) in integers.iter().enumerate() {
                let parse = |value: &str| value.parse().ok();
                prop_assert_eq!(*found, expected(index, &parse), "{:?}", texts[index]);
            }
            for places in 1..=7 {
                let points = read(lanes.fixed_points(block, places));
                for (index, found) in points.iter().enumerate() {
                    let parse = |value: &str| {
                        let (whole, fraction) = value.split_once('.')?;
                        let is_whole = !whole.trim_start_matches('-').is_empty() && fraction.len() == places;
                        format!("{whole}{fraction}").parse().ok().filter(|_| is_whole)
                    };
                    prop_assert_eq!(*found, expected(index, &parse), "{:?}", texts[index]);
                }
            }
        }

        #[test]
        fn dates_are_what_they_are_or_odd(
            texts in prop::collection::vec(prop::option::weighted(0.9, "-?[0-9]{3,5}-[01][0-9]-[0-3][0-9]|[0-9:/-]{10}|(19|20)[0-9]{2}-02-(28|29|30)"), 0..MAX_VALUES),
        ) {
            let texts = [vec![Some("something before".to_owned())], texts].concat();
            let texts = &texts[..texts.len().min(MAX_VALUES)];
            let (text, places) = lay(texts);
            let block = Block { text: &text, apart: &[], places: Places::of_column(&places, 0, 1) };
            for (found, text) in read(Lanes::default().dates(block)).into_iter().zip(texts) {
                let text = text.as_deref().filter(|text| text.len() == 10 && !text.starts_with(['-', '+']));
                let date = text.and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
                let date = date.filter(|date| Some(date.to_string().as_str()) == text);
                prop_assert_eq!(found, date.map(|date| i64::from(date.to_epoch_days())), "{:?}", text);
            }
        }
    }
}
