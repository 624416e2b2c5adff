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

/// Room for the places of as many quotes as a block can have.
type Room = [u32; BLOCK];

/// Puts the places of a block's quotes and gives their number, with instructions that newer processors have.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
#[inline]
fn put_avx512(start: u32, block: &[u8; BLOCK], room: &mut Room) -> usize {
    use std::arch::x86_64::*;
    const LANE: usize = 16;
    const PLACES: [u8; BLOCK] = {
        let mut places = [0; BLOCK];
        let mut i = 0;
        while i < BLOCK {
            places[i] = i as u8;
            i += 1;
        }
        places
    };
    // SAFETY: arrays of 64 bytes are read.
    let (bytes, all) = unsafe { (_mm512_loadu_epi8(block.as_ptr().cast()), _mm512_loadu_epi8(PLACES.as_ptr().cast())) };
    let mask = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"' as i8));
    let count = mask.count_ones() as usize;
    let places = _mm512_maskz_compress_epi8(mask, all);
    let start = _mm512_set1_epi32(start as i32);
    let widen = |lane: __m128i| _mm512_add_epi32(_mm512_cvtepu8_epi32(lane), start);
    let (lanes, _) = room.as_chunks_mut::<LANE>();
    // SAFETY: a lane has the 64 bytes that are written.
    let store = |lane: &mut [u32; LANE], of| unsafe { _mm512_storeu_epi32(lane.as_mut_ptr().cast(), widen(of)) };
    store(&mut lanes[0], _mm512_castsi512_si128(places));
    if count > LANE {
        store(&mut lanes[1], _mm512_extracti32x4_epi32::<1>(places));
    }
    if count > 2 * LANE {
        store(&mut lanes[2], _mm512_extracti32x4_epi32::<2>(places));
        store(&mut lanes[3], _mm512_extracti32x4_epi32::<3>(places));
    }
    count
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("popcnt")
}

/// Puts the bits of a mask as places. Always so many at once that the number of quotes decides little.
#[inline(always)]
fn put(start: u32, mut mask: u64, room: &mut Room) -> usize {
    const AT_ONCE: usize = 8;
    let count = mask.count_ones() as usize;
    for places in room.as_chunks_mut::<AT_ONCE>().0 {
        if mask == 0 {
            break;
        }
        for place in places {
            *place = start + mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
        }
    }
    count
}

/// The places of all quotes of a text, which has less than 4 GiB. They lie in `room`, which is used again and again.
pub fn places<'a>(text: &[u8], room: &'a mut Vec<u32>) -> &'a [u32] {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
        fn with_avx512(text: &[u8], room: &mut Vec<u32>) -> usize {
            all_places(text, room, |start, block, room| put_avx512(start, block, room))
        }
        #[target_feature(enable = "avx2,bmi1,popcnt")]
        fn with_avx2(text: &[u8], room: &mut Vec<u32>) -> usize {
            all_places(text, room, |start, block, room| put(start, quotes_of_avx2(block), room))
        }
        if has_avx512() {
            // SAFETY: this processor has the instructions; that is all there is to be safe about.
            let count = unsafe { with_avx512(text, room) };
            return &room[..count];
        }
        if has_avx2() {
            // SAFETY: as above.
            let count = unsafe { with_avx2(text, room) };
            return &room[..count];
        }
    }
    let count = all_places(text, room, |start, block, room| put(start, quotes_of(block), room));
    &room[..count]
}

#[inline(always)]
fn all_places(text: &[u8], room: &mut Vec<u32>, put: impl Fn(u32, &[u8; BLOCK], &mut Room) -> usize) -> usize {
    let mut count = 0;
    let mut put = |start: usize, block: &[u8; BLOCK]| {
        if room.len() < count + BLOCK {
            room.resize(2 * count + BLOCK, 0);
        }
        if let Some(room) = room[count..].first_chunk_mut() {
            count += put(start as u32, block, room);
        }
    };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        put(i * BLOCK, block);
    }
    put(blocks.len() * BLOCK, &padded(rest));
    count
}

/// The last bytes, with none that are quotes behind them.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
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
    (whole ^ quotes_of(&padded(rest))).count_ones() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_quote_is_found(text in prop::collection::vec(prop::sample::select(b"\"a!#\xa2\x22\x00\xff".to_vec()), 0..300)) {
            let expected: Vec<u32> = (0..text.len()).filter(|at| text[*at] == b'"').map(|at| at as u32).collect();
            prop_assert_eq!(is_odd(&text), expected.len() % 2 == 1);
            prop_assert_eq!(any_is_odd(&text, quotes_of), expected.len() % 2 == 1);
            let mut room = Vec::new();
            prop_assert_eq!(places(&text, &mut room), &expected);
            // As processors without newer instructions do it.
            let count = all_places(&text, &mut room, |start, block, room| put(start, quotes_of(block), room));
            prop_assert_eq!(&room[..count], &expected);
            #[cfg(target_arch = "x86_64")]
            if has_avx2() {
                let put = |start, block: &[u8; BLOCK], room: &mut Room| {
                    // SAFETY: this processor has the instructions.
                    put(start, unsafe { quotes_of_avx2(block) }, room)
                };
                let count = all_places(&text, &mut room, put);
                prop_assert_eq!(&room[..count], &expected);
            }
        }
    }
}
