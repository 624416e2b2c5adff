//! The fields of plain records, found by the separators between them.
//!
//! A record is plain if none of its fields is NULL or has a doubled quote; most are. Then each separator outside of quotes
//! stands between a quote and a quote, and there are no other quotes: that is looked at for 64 bytes at once, and nothing
//! has to be asked of a single field.

use super::masks::{BLOCK, Room, on_any_processor};
use crate::types::block::Place;

/// Where a text's separators are. It is used again and again.
#[derive(Debug, Default)]
pub struct Separators {
    /// All of them, behind one that is thought before the first record. What lies behind them says nothing.
    places: Vec<u32>,
    /// Those that are line ends.
    line_ends: Vec<u32>,
}

/// Before the text: the byte behind it has place 0.
const BEFORE: u32 = u32::MAX;

on_any_processor! {
    /// Puts the fields of the plain records at the start of a text, each of `width` fields, one record after the other, as
    /// many as `fields` has room for. Gives how many records those are and where they end; `None` if one of them has
    /// another width. Of the 64 bytes in which the first one lies that is not plain or not whole, none is looked at.
    fn cut(text: &[u8], width: usize, separators: &mut Separators, fields: &mut [Place]) -> Option<(usize, usize)> = cut_with
}

#[inline(always)]
fn cut_with(
    text: &[u8],
    width: usize,
    separators: &mut Separators,
    fields: &mut [Place],
    equal: impl Fn(&[u8; BLOCK], u8) -> u64,
    put: impl Fn(u32, u64, &mut Room) -> usize,
) -> Option<(usize, usize)> {
    let count = separators.find(text, equal, put);
    let places = &separators.places[..count];
    let records = separators.line_ends.len().min(fields.len().checked_div(width)?);
    let ends = &separators.line_ends[..records];
    // If each so-and-so-manieth separator is a line end, and there are as many line ends, the others are commas.
    let is_whole = |(record, end): (usize, &u32)| places.get((record + 1) * width) == Some(end);
    if !ends.iter().enumerate().all(is_whole) {
        return None;
    }
    // The field between each two, without its quotes.
    let fields = &mut fields[..records * width];
    let (before, behind) = (&places[..fields.len()], &places[1..=fields.len()]);
    for ((before, behind), field) in before.iter().zip(behind).zip(fields) {
        let start = before.wrapping_add(2);
        *field = Place::new(start, behind.wrapping_sub(1).wrapping_sub(start));
    }
    Some((records, ends.last().map_or(0, |end| *end as usize + 1)))
}

impl Separators {
    /// Finds those in a text's whole blocks, up to one with a field that is not plain, and gives their number, with the one
    /// before.
    #[inline(always)]
    fn find(
        &mut self,
        text: &[u8],
        equal: impl Fn(&[u8; BLOCK], u8) -> u64,
        put: impl Fn(u32, u64, &mut Room) -> usize,
    ) -> usize {
        let (blocks, _) = text.as_chunks::<BLOCK>();
        // Every second byte is one at most, and there has to be room for a whole block's.
        let room = 1 + blocks.len() * (BLOCK / 2) + BLOCK;
        if self.places.len() < room {
            self.places.resize(room, BEFORE);
        }
        self.line_ends.clear();
        let mut count = 1;
        // All ones if a block starts inside of quotes; and whether the byte before it is a separator or a closing quote.
        let (mut starts_inside, mut after_separator, mut after_closing) = (0, 1, 0);
        for (i, block) in blocks.iter().enumerate() {
            let (quotes, newlines) = (equal(block, b'"'), equal(block, b'\n'));
            let inside = odd_up_to(quotes) ^ starts_inside;
            let found = (equal(block, b',') | newlines) & !inside;
            let opening = found << 1 | after_separator;
            let closing = quotes & !opening;
            if opening & !quotes != 0 || closing << 1 | after_closing != found {
                break;
            }
            starts_inside = 0_u64.wrapping_sub(inside >> 63);
            (after_separator, after_closing) = (found >> 63, closing >> 63);
            let start = (i * BLOCK) as u32;
            if let Some(room) = self.places[count..].first_chunk_mut() {
                count += put(start, found, room);
            }
            let mut ends = found & newlines;
            while ends != 0 {
                self.line_ends.push(start + ends.trailing_zeros());
                ends &= ends - 1;
            }
        }
        count
    }
}

/// For each bit, whether up to it and with it there is an odd number of ones.
#[inline(always)]
fn odd_up_to(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields' texts, and where they end.
    fn cut(text: &str, width: usize, most: usize) -> Option<(Vec<&str>, usize)> {
        let mut fields = vec![Place::NULL; most * width];
        let (records, end) = super::cut(text.as_bytes(), width, &mut Separators::default(), &mut fields)?;
        let field = |place: &Place| &text[place.start()..place.start() + place.length() as usize];
        Some((fields[..records * width].iter().map(field).collect(), end))
    }

    #[test]
    fn plain_records_are_cut_up_to_the_last_whole_block() {
        let record = "\"a\",\"\",\",x\n\"\n";
        let text = record.repeat(2 * BLOCK);
        let (fields, end) = cut(&text, 3, 1_000).expect("they are plain");
        assert_eq!((fields.len(), end), (3 * 2 * BLOCK, text.len()));
        assert_eq!(fields[3..6], ["a", "", ",x\n"]);
        let (fields, end) = cut(&text, 3, 7).expect("they are plain");
        assert_eq!((fields.len(), end), (3 * 7, 7 * record.len()));
        let (fields, end) = cut(&text[..BLOCK + 20], 3, 7).expect("they are plain");
        assert_eq!((fields.len(), end), (3 * (BLOCK / record.len()), BLOCK / record.len() * record.len()));
        assert_eq!(cut(&text[..BLOCK - 1], 3, 7), Some((Vec::new(), 0)));
    }

    #[test]
    fn nothing_is_cut_from_a_record_that_is_not_plain_on() {
        for other in [
            "\"a\",,\"b\"",
            ",\"a\",\"b\"",
            "\"a\",\"b\",",
            "\"a\",\"\"\"\",\"b\"",
            "\"a\",\",\"\",\"\",\",\"b\"",
            "\"a\"x,\"b\",\"c\"",
            "\"a\",x\"b\",\"c\"",
            "a,b,c",
        ] {
            for before in 0..2 * BLOCK {
                let first = format!("\"{}\",\"b\",\"c\"\n", "a".repeat(before));
                let text = format!("{first}{other}\n{}", "\"a\",\"b\",\"c\"\n".repeat(2 * BLOCK));
                let (fields, end) = cut(&text, 3, 1_000).expect("records of three fields, or none");
                assert!(end == 0 && fields.is_empty() || end == first.len(), "{other} behind {before} bytes");
                assert!(end > 0 || first.len() % BLOCK > 0, "{other} behind {before} bytes");
            }
        }
    }

    #[test]
    fn records_of_another_width_are_told() {
        let text = "\"a\",\"b\",\"c\"\n".repeat(BLOCK);
        for width in [0, 1, 2, 4, 6] {
            assert_eq!(cut(&text, width, 1_000), None);
        }
    }
}
