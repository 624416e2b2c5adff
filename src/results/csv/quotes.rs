//! Where the quotes are: in Athena's CSV they alone say what is a field and what is a line end inside of one.

use super::masks::{BLOCK, Room, on_any_processor};

on_any_processor! {
    /// Puts the places of all quotes of a text, which has less than 4 GiB, into `room` and gives their number. What `room`
    /// has behind them says nothing.
    fn find(text: &[u8], room: &mut Vec<u32>) -> usize = find_with
}

#[inline(always)]
fn find_with(
    text: &[u8],
    room: &mut Vec<u32>,
    equal: impl Fn(&[u8; BLOCK], u8) -> u64,
    put: impl Fn(u32, u64, &mut Room) -> usize,
) -> usize {
    let mut count = 0;
    let mut look = |start: usize, block: &[u8; BLOCK]| {
        if room.len() < count + BLOCK {
            room.resize(2 * count + BLOCK, 0);
        }
        if let Some(room) = room[count..].first_chunk_mut() {
            count += put(start as u32, equal(block, b'"'), room);
        }
    };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        look(i * BLOCK, block);
    }
    look(blocks.len() * BLOCK, &padded(rest));
    count
}

on_any_processor! {
    /// Whether there is an odd number of quotes: whether a text that starts outside of a field ends inside of one.
    fn is_odd(text: &[u8]) -> bool = is_odd_with
}

#[inline(always)]
fn is_odd_with(
    text: &[u8],
    equal: impl Fn(&[u8; BLOCK], u8) -> u64,
    _put: impl Fn(u32, u64, &mut Room) -> usize,
) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let whole = blocks.iter().fold(0, |bits, block| bits ^ equal(block, b'"'));
    (whole ^ equal(&padded(rest), b'"')).count_ones() % 2 == 1
}

/// The last bytes, with none that are quotes behind them.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_quote_is_found(text in prop::collection::vec(prop::sample::select(b"\"a,\n".to_vec()), 0..300)) {
            let expected: Vec<u32> = (0..text.len()).filter(|at| text[*at] == b'"').map(|at| at as u32).collect();
            prop_assert_eq!(is_odd(&text), expected.len() % 2 == 1);
            let mut room = Vec::new();
            let count = find(&text, &mut room);
            prop_assert_eq!(&room[..count], &expected);
        }
    }
}
