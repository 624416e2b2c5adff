//! Where the quotes are: in Athena's CSV they alone say what is a field and what is a line end inside of one.

/// Bytes looked at together: one bit of a word each.
const BLOCK: usize = 64;
const WORD: usize = size_of::<u64>();

/// A bit for each byte of a block that is a quote, the lowest for the first: eight bytes at a time in ordinary registers.
#[inline(always)]
fn quotes_of(block: &[u8; BLOCK]) -> u64 {
    const QUOTES: u64 = u64::from_le_bytes([b'"'; WORD]);
    const LOW_BITS: u64 = u64::from_le_bytes([0x7f; WORD]);
    // Multiplying moves the lowest bit of each byte into the highest byte, one beside the other.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut mask = 0;
    for i in 0..BLOCK / WORD {
        let differing = word(block, i * WORD) ^ QUOTES;
        let equal = !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS);
        mask |= ((equal >> 7).wrapping_mul(GATHER) >> 56) << (i * WORD);
    }
    mask
}

#[inline(always)]
fn word(block: &[u8; BLOCK], at: usize) -> u64 {
    let mut word = [0; WORD];
    word.copy_from_slice(&block[at..at + WORD]);
    u64::from_le_bytes(word)
}

/// The same with the instructions that nearly every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
fn quotes_of_avx2(block: &[u8; BLOCK]) -> u64 {
    use std::arch::x86_64::*;
    const LANE: usize = 4 * WORD;
    let mut mask = 0;
    for i in 0..BLOCK / LANE {
        let word = |at: usize| word(block, i * LANE + at * WORD) as i64;
        let lane = _mm256_set_epi64x(word(3), word(2), word(1), word(0));
        let equal = _mm256_movemask_epi8(_mm256_cmpeq_epi8(lane, _mm256_set1_epi8(b'"' as i8)));
        mask |= u64::from(equal as u32) << (i * LANE);
    }
    mask
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
}

/// The places of all quotes of a text, which has less than 4 GiB.
pub fn places(text: &[u8], places: &mut Vec<u32>) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        #[target_feature(enable = "avx2,bmi1,popcnt")]
        fn with_avx2(text: &[u8], places: &mut Vec<u32>) {
            all_places(text, places, |block| quotes_of_avx2(block));
        }
        // SAFETY: this processor has the instructions; that is all there is to be safe about.
        return unsafe { with_avx2(text, places) };
    }
    all_places(text, places, quotes_of);
}

#[inline(always)]
fn all_places(text: &[u8], places: &mut Vec<u32>, quotes_of: impl Fn(&[u8; BLOCK]) -> u64) {
    places.clear();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        append((i * BLOCK) as u32, quotes_of(block), places);
    }
    append((blocks.len() * BLOCK) as u32, last_mask(rest), places);
}

/// The bits of a mask as places. Always so many at once that the number of quotes decides little.
#[inline(always)]
fn append(start: u32, mut mask: u64, places: &mut Vec<u32>) {
    const AT_ONCE: usize = 8;
    let length = places.len() + mask.count_ones() as usize;
    while mask != 0 {
        let mut some = [0; AT_ONCE];
        for place in &mut some {
            *place = start + mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
        }
        places.extend_from_slice(&some);
    }
    places.truncate(length);
}

fn last_mask(rest: &[u8]) -> u64 {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    quotes_of(&block)
}

/// Whether there is an odd number of quotes: whether a text that starts outside of a field ends inside of one.
pub fn is_odd(text: &[u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        #[target_feature(enable = "avx2,bmi1,popcnt")]
        fn with_avx2(text: &[u8]) -> bool {
            any_is_odd(text, |block| quotes_of_avx2(block))
        }
        // SAFETY: as above.
        return unsafe { with_avx2(text) };
    }
    any_is_odd(text, quotes_of)
}

#[inline(always)]
fn any_is_odd(text: &[u8], quotes_of: impl Fn(&[u8; BLOCK]) -> u64) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let whole = blocks.iter().fold(0, |bits, block| bits ^ quotes_of(block));
    (whole ^ last_mask(rest)).count_ones() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_quote_is_found(text in prop::collection::vec(prop::sample::select(b"\"a!#\xa2\x22\x00\xff".to_vec()), 0..300)) {
            let expected: Vec<u32> = (0..text.len()).filter(|at| text[*at] == b'"').map(|at| at as u32).collect();
            let mut found = Vec::new();
            places(&text, &mut found);
            prop_assert_eq!(is_odd(&text), expected.len() % 2 == 1);
            prop_assert_eq!(any_is_odd(&text, quotes_of), expected.len() % 2 == 1);
            prop_assert_eq!(&found, &expected);
            all_places(&text, &mut found, quotes_of);
            prop_assert_eq!(found, expected);
        }
    }
}
