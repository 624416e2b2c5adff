//! Cuts the bytes of a result object, which come in any pieces, at ends of records, so that several threads can decode.
//!
//! A line end is one between records if it is outside of quotes, and whether it is follows from how many quotes came
//! before: the object is looked through once, in order, which is far cheaper than decoding it.

use bytes::Bytes;
use memchr::{memchr2_iter, memrchr2_iter};

use super::super::rows::RowFault;
use super::quotes;

/// Longest record. Athena's rows are below 32 MiB; what is longer is not a result.
const MAX_RECORD_BYTES: usize = 128 << 20;

/// Whole records, in two pieces of memory: the record that began in the bytes before is put together in the first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts in the object.
    pub at: u64,
    pub head: Bytes,
    pub body: Bytes,
}

/// Cuts pieces off.
#[derive(Debug, Default)]
pub struct Cutter {
    /// Where the carried bytes start in the object.
    at: u64,
    /// The record that has not ended.
    carried: Vec<u8>,
    /// Whether the carried bytes end inside of quotes.
    inside: bool,
}

impl Cutter {
    /// Cuts what comes from a place on at which a record starts.
    pub fn from(at: u64) -> Self {
        Self { at, ..Self::default() }
    }

    /// Bytes of memory for the record that has not ended.
    pub fn carried_bytes(&self) -> usize {
        self.carried.capacity()
    }

    /// Takes the object's next bytes and gives all records that have ended; `None` if none has.
    pub fn cut(&mut self, chunk: Bytes) -> Result<Option<Piece>, RowFault> {
        let ends_inside = self.inside ^ quotes::is_odd(&chunk);
        let last = last_end(&chunk, ends_inside);
        // Where the carried record ends; without one the first record starts with the chunk.
        let first = if self.carried.is_empty() { Some(0) } else { first_end(&chunk, self.inside) };
        self.inside = ends_inside;
        let (Some(first), Some(last)) = (first, last) else {
            if self.carried.capacity() - self.carried.len() < chunk.len() {
                // Not twice as much, which is what it would be otherwise.
                self.carried.reserve_exact(chunk.len().max(self.carried.len() / 4));
            }
            self.carried.extend_from_slice(&chunk);
            if self.carried.len() > MAX_RECORD_BYTES {
                return Err(RowFault::Malformed { at: self.at, why: "a record is longer than Athena's can be" });
            }
            return Ok(None);
        };
        let at = self.at;
        self.at += (self.carried.len() + last) as u64;
        let mut head = std::mem::replace(&mut self.carried, chunk[last..].to_vec());
        head.extend_from_slice(&chunk[..first]);
        Ok(Some(Piece { at, head: head.into(), body: chunk.slice(first..last) }))
    }

    /// Whether a record has begun and not ended.
    pub fn is_inside_record(&self) -> bool {
        !self.carried.is_empty()
    }
}

/// Where the first record ends.
fn first_end(text: &[u8], inside: bool) -> Option<usize> {
    record_end(text, memchr2_iter(b'"', b'\n', text), inside)
}

/// Where the last record that has ended ends, looked for from the end of the text.
fn last_end(text: &[u8], inside: bool) -> Option<usize> {
    record_end(text, memrchr2_iter(b'"', b'\n', text), inside)
}

/// The end of the first line outside of quotes, going through the places of quotes and line ends from either side.
fn record_end(text: &[u8], mut places: impl Iterator<Item = usize>, mut inside: bool) -> Option<usize> {
    let line_end = places.find(|at| {
        inside ^= text[*at] == b'"';
        text[*at] == b'\n' && !inside
    });
    line_end.map(|at| at + 1)
}
