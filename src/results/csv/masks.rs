//! Sixty-four bytes looked at together: where one of them is a certain byte, as the bits of a word, and their places.
//!
//! With the instructions that newer processors have where there are some; every way gives the same.

/// Bytes looked at together: one bit of a word each, the lowest for the first.
pub const BLOCK: usize = 64;
const WORD: usize = size_of::<u64>();

/// Room for the places of as many bits as a word has.
pub type Room = [u32; BLOCK];

/// A bit for each byte of a block that is `byte`: eight bytes at a time in ordinary registers.
#[inline(always)]
pub fn equal(block: &[u8; BLOCK], byte: u8) -> u64 {
    const LOW_BITS: u64 = u64::from_le_bytes([0x7f; WORD]);
    // Multiplying moves the lowest bit of each byte into the highest byte, one beside the other.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let wanted = u64::from_le_bytes([byte; WORD]);
    let mut mask = 0;
    for i in 0..BLOCK / WORD {
        let differing = word(block, i * WORD) ^ wanted;
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

/// Puts the bits of a mask as places and gives their number. Always so many at once that their number decides little.
#[inline(always)]
pub fn put(start: u32, mut mask: u64, room: &mut Room) -> usize {
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

/// The same with other instructions.
#[cfg(target_arch = "x86_64")]
pub mod x86_64 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Room, WORD, word};

    pub fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
    }

    pub fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("popcnt")
    }

    /// With what nearly every x86-64 has.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn equal_avx2(block: &[u8; BLOCK], byte: u8) -> u64 {
        const LANE: usize = 4 * WORD;
        let mut mask = 0;
        for i in 0..BLOCK / LANE {
            let word = |at: usize| word(block, i * LANE + at * WORD) as i64;
            let lane = _mm256_set_epi64x(word(3), word(2), word(1), word(0));
            let equal = _mm256_movemask_epi8(_mm256_cmpeq_epi8(lane, _mm256_set1_epi8(byte as i8)));
            mask |= u64::from(equal as u32) << (i * LANE);
        }
        mask
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub fn equal_avx512(block: &[u8; BLOCK], byte: u8) -> u64 {
        // SAFETY: an array of 64 bytes is read.
        let bytes = unsafe { _mm512_loadu_epi8(block.as_ptr().cast()) };
        _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
    #[inline]
    pub fn put_avx512(start: u32, mask: u64, room: &mut Room) -> usize {
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
        let count = mask.count_ones() as usize;
        // SAFETY: an array of 64 bytes is read.
        let all = unsafe { _mm512_loadu_epi8(PLACES.as_ptr().cast()) };
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
}

/// Makes a function of one that takes [`equal`] and [`put`] last: with those that are fastest on the processor at hand.
macro_rules! on_any_processor {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $given:ty)? = $of:ident) => {
        $(#[$doc])*
        pub fn $name($($argument: $type),*) $(-> $given)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::results::csv::masks::x86_64::*;
                #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,popcnt")]
                fn with_avx512($($argument: $type),*) $(-> $given)? {
                    $of($($argument,)* |block, byte| equal_avx512(block, byte), |start, mask, room| put_avx512(start, mask, room))
                }
                #[target_feature(enable = "avx2,bmi1,popcnt")]
                fn with_avx2($($argument: $type),*) $(-> $given)? {
                    $of($($argument,)* |block, byte| equal_avx2(block, byte), $crate::results::csv::masks::put)
                }
                if has_avx512() {
                    // SAFETY: this processor has the instructions; that is all there is to be safe about.
                    return unsafe { with_avx512($($argument),*) };
                }
                if has_avx2() {
                    // SAFETY: as above.
                    return unsafe { with_avx2($($argument),*) };
                }
            }
            $of($($argument,)* $crate::results::csv::masks::equal, $crate::results::csv::masks::put)
        }
    };
}
pub(super) use on_any_processor;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_is_found_in_every_way(
            bytes in prop::collection::vec(prop::sample::select(b"\"a!#\xa2\x22\x00\xff".to_vec()), BLOCK),
            start in 0..1_000_000_u32,
        ) {
            let block = bytes.first_chunk().expect("so many");
            let expected: Vec<u32> = (0..BLOCK as u32).filter(|at| bytes[*at as usize] == b'"').map(|at| start + at).collect();
            let bits = expected.iter().fold(0, |bits, at| bits | 1_u64 << (at - start));
            let mut room = [0; BLOCK];
            prop_assert_eq!(equal(block, b'"'), bits);
            let count = put(start, bits, &mut room);
            prop_assert_eq!(&room[..count], &expected);
            #[cfg(target_arch = "x86_64")]
            {
                if x86_64::has_avx2() {
                    // SAFETY: this processor has the instructions.
                    prop_assert_eq!(unsafe { x86_64::equal_avx2(block, b'"') }, bits);
                }
                if x86_64::has_avx512() {
                    // SAFETY: as above.
                    let (found, count) = unsafe {
                        (x86_64::equal_avx512(block, b'"'), x86_64::put_avx512(start, bits, &mut room))
                    };
                    prop_assert_eq!(found, bits);
                    prop_assert_eq!(&room[..count], &expected);
                }
            }
        }
    }
}
