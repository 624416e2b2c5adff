//! Reads a finished query's rows from the CSV object Athena leaves in S3.
//!
//! Many ranged GETs in flight, cut at ends of records in order, decoded on several cores, handed out in order: memory is
//! the budget's, not the result's. Invariant: the same rows as [`super::pages`] for the same query.

mod cut;
mod decode;
mod masks;
mod plain;
mod quotes;

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio_util::task::AbortOnDropHandle;

pub use cut::{Cutter, Piece};
pub use decode::Decoder;

use super::object::Object;
use super::rows::{BATCH_MEMORY, RowFault};
use super::{GrantedBatch, ReadError, in_order, resumable};
use crate::aws::Clients;
use crate::memory::{Floor, Grant, MemoryError, Purpose, Share};
use crate::types::column::Column;

/// Bytes of one GET: as many as memory allows between these two.
const MIN_RANGE: usize = 512 << 10;
const MAX_RANGE: usize = 4 << 20;
/// GETs in flight.
const RANGES_IN_FLIGHT: usize = 8;

/// What reading an object of a size takes at least.
pub fn floor(size: u64, columns: usize) -> Floor {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    // Numbers of one digit, and the commas between them, take four times as much in a batch.
    let batch = size.saturating_mul(4).saturating_add(64 << 10);
    Floor { fetch: size.min(MIN_RANGE) + Decoder::scratch_bytes(columns), next: batch.min(BATCH_MEMORY) }
}

/// All rows, in order; the first batch comes before the last byte is read. Dropping the stream stops the reading.
pub fn batches(
    object: Object,
    clients: &Clients,
    columns: &[Column],
    share: Share,
) -> impl Stream<Item = Result<GrantedBatch, ReadError>> + Send + use<> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let columns: Arc<[Column]> = columns.into();
    let source = Source { object: Arc::new(object), clients: clients.clone(), columns, share: share.clone() };
    resumable::batches(share, 0, move |start| {
        in_order::batches(source.pieces(start), cores, source.share.clone()).boxed()
    })
}

/// An object's rows.
#[derive(Clone)]
struct Source {
    object: Arc<Object>,
    clients: Clients,
    columns: Arc<[Column]>,
    share: Share,
}

/// Bytes of the object, in memory that was granted.
struct Chunk {
    bytes: Bytes,
    grant: Grant,
}

/// Records that can be decoded by themselves.
struct Records {
    decoder: Decoder,
    _grants: Vec<Grant>,
}

impl in_order::Piece for Records {
    type Place = u64;

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        Ok(self.decoder.next_batch()?)
    }

    fn place(&self) -> u64 {
        self.decoder.place()
    }
}

impl Source {
    /// The object's bytes from `start` on, in order.
    fn chunks(&self, start: u64) -> BoxStream<'static, Result<Chunk, ReadError>> {
        let Self { object, clients, columns, share } = self.clone();
        let (size, scratch) = (object.size, Decoder::scratch_bytes(columns.len()));
        let ranges = stream::try_unfold(start, move |start| {
            let share = share.clone();
            async move {
                if start >= size {
                    return Ok::<_, MemoryError>(None);
                }
                let left = usize::try_from(size - start).unwrap_or(usize::MAX);
                let (least, most) = (left.min(MIN_RANGE) + scratch, left.min(MAX_RANGE) + scratch);
                let grant = share.acquire(Purpose::Fetch, least, most).await?;
                let end = start + (grant.bytes() - scratch) as u64;
                Ok(Some(((start, end, grant), end)))
            }
        });
        let chunk = move |(start, end, grant)| {
            let (object, clients) = (Arc::clone(&object), clients.clone());
            // A task of its own: a connection that nobody reads from is cut by S3.
            let get = async move { object.range(&clients, start, end).await.map(|bytes| Chunk { bytes, grant }) };
            let get = AbortOnDropHandle::new(tokio::spawn(get));
            async move { get.await.unwrap_or(Err(ReadError::Abandoned)) }
        };
        ranges.map_err(ReadError::from).map_ok(chunk).try_buffered(RANGES_IN_FLIGHT).boxed()
    }

    /// The records from `start` on, where one starts.
    fn pieces(&self, start: u64) -> impl Stream<Item = Result<Records, ReadError>> + Send + use<> {
        let Self { object, columns, share, .. } = self.clone();
        let empty = object.size == 0;
        let state = (self.chunks(start), Cutter::from(start), Vec::new());
        stream::try_unfold(state, move |(mut chunks, mut cutter, mut carried)| {
            let (columns, share) = (Arc::clone(&columns), share.clone());
            async move {
                while let Some(Chunk { bytes, mut grant }) = chunks.try_next().await? {
                    let piece = cutter.cut(bytes)?;
                    let Some(piece) = piece else {
                        // All of it belongs to a record whose end is still to come.
                        grant.set_apart();
                        carried.push(grant);
                        continue;
                    };
                    let mut grants: Vec<Grant> = std::mem::take(&mut carried);
                    grants.push(grant);
                    grants.iter_mut().for_each(Grant::rejoin);
                    // The record that begins at the end was copied.
                    let mut copied = share.count(Purpose::Fetch, cutter.carried_bytes());
                    copied.set_apart();
                    carried.push(copied);
                    let records = Records { decoder: Decoder::new(&columns, piece), _grants: grants };
                    return Ok(Some((records, (chunks, cutter, carried))));
                }
                if cutter.is_inside_record() || empty {
                    // Counted from the rows of all pieces before.
                    return Err(RowFault::Truncated { row: u64::from(!empty) }.into());
                }
                Ok(None)
            }
        })
    }
}
