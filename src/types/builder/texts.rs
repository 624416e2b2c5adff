//! Collects texts. Whether they are UTF-8 is looked at once for all of them, when they are handed over.

use arrow::array::{NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::Misfit;
use crate::types::block::Block;
use crate::types::cell::Cell;
use crate::types::value::ValueFault;

/// Collects texts.
pub struct Texts {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl Default for Texts {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl Texts {
    #[inline(always)]
    pub(super) fn append_all<'a>(&mut self, texts: impl Iterator<Item = Option<Cell<'a>>>) -> Result<(), Misfit> {
        self.offsets.reserve(texts.size_hint().0);
        let mut present = 0;
        for (index, text) in texts.enumerate() {
            match text {
                Some(text) => {
                    text.append_to(&mut self.bytes);
                    present += 1;
                }
                None => {
                    self.nulls.append_n_non_nulls(std::mem::take(&mut present));
                    self.nulls.append_null();
                }
            }
            let end = i32::try_from(self.bytes.len()).map_err(|_| Misfit { index, fault: ValueFault::TooLarge })?;
            self.offsets.push(end);
        }
        self.nulls.append_n_non_nulls(present);
        Ok(())
    }

    /// Appends texts that lie in one.
    #[inline(always)]
    pub(super) fn append_block(&mut self, block: Block<'_>) -> Result<(), Misfit> {
        // A length that is always the same costs next to nothing: as many bytes are copied of each as the longest has.
        const SHORT: usize = 16;
        const MIDDLING: usize = 32;
        const LONG: usize = 64;
        let (mut total, mut longest, mut any_null, mut any_apart) = (0_u64, 0, false, false);
        for place in block.places.iter() {
            total += u64::from(place.length());
            longest = longest.max(place.length());
            any_null |= place.is_null();
            any_apart |= place.is_apart();
        }
        let fits = self.bytes.len() as u64 + total <= i32::MAX as u64;
        match longest as usize {
            0..=SHORT if fits && !any_apart => self.copy_all::<SHORT>(block, total as usize),
            0..=MIDDLING if fits && !any_apart => self.copy_all::<MIDDLING>(block, total as usize),
            0..=LONG if fits && !any_apart => self.copy_all::<LONG>(block, total as usize),
            _ => return self.append_all(block.cells()),
        }
        if any_null {
            block.places.iter().for_each(|place| self.nulls.append(!place.is_null()));
        } else {
            self.nulls.append_n_non_nulls(block.places.len());
        }
        Ok(())
    }

    /// Copies texts of `N` bytes at most, with what comes behind each, over which the next one is written.
    #[inline(always)]
    fn copy_all<const N: usize>(&mut self, block: Block<'_>, total: usize) {
        let (mut at, rows) = (self.bytes.len(), self.offsets.len());
        self.bytes.resize(at + total + N, 0);
        self.offsets.resize(rows + block.places.len(), 0);
        for (place, offset) in block.places.iter().zip(&mut self.offsets[rows..]) {
            let (start, length) = (place.start(), place.length() as usize);
            let from = block.text.get(start..).and_then(<[u8]>::first_chunk::<N>);
            match (from, self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<N>)) {
                (Some(from), Some(to)) => *to = *from,
                // At the end of the text.
                _ => self.bytes[at..at + length].copy_from_slice(&block.text[start..start + length]),
            }
            at += length;
            *offset = at as i32;
        }
        self.bytes.truncate(at);
    }

    pub(super) fn finish(&mut self) -> Result<StringArray, Misfit> {
        let Self { offsets, bytes, mut nulls } = std::mem::take(self);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let bytes = Buffer::from_vec(bytes);
        StringArray::try_new(offsets.clone(), bytes.clone(), nulls.finish()).map_err(|_| {
            let is_broken = |pair: &[i32]| std::str::from_utf8(&bytes[pair[0] as usize..pair[1] as usize]).is_err();
            let index = offsets.windows(2).position(is_broken).unwrap_or_default();
            Misfit { index, fault: ValueFault::NotUtf8 }
        })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn reserve(&mut self, times: usize) {
        self.offsets.reserve(super::more(times * self.len()));
        self.bytes.reserve(super::more(times * self.bytes.len()));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.offsets.len() * size_of::<i32>()
    }
}
