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
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio_util::task::AbortOnDropHandle;

pub use cut::{Cutter, Piece};
pub use decode::Decoder;

use super::budget::{Exhausted, FLOOR, Grant, Share};
use super::object::Object;
use super::rows::RowFault;
use super::{ReadError, in_order};
use crate::aws::Clients;
use crate::types::column::Column;

/// Bytes of one GET: as many as memory allows between these two.
const LEAST_RANGE: usize = FLOOR / 4;
const MOST_RANGE: usize = 4 << 20;
/// Memory for each byte of a range: the text, and the batches that are made of it.
const MEMORY_PER_BYTE: usize = 2;
/// GETs in flight.
const RANGES_IN_FLIGHT: usize = 8;

/// All rows, in order; the first batch comes before the last byte is read. Dropping the stream stops the reading.
pub fn batches(
    object: Object,
    clients: &Clients,
    columns: &[Column],
    share: Share,
) -> impl Stream<Item = Result<RecordBatch, ReadError>> + Send + use<> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    in_order::batches(pieces(object, clients.clone(), columns.into(), share), cores)
}

/// Bytes of the object, in memory that was granted.
struct Chunk {
    bytes: Bytes,
    grant: Grant,
}

fn chunks(object: Object, clients: Clients, share: Share) -> impl Stream<Item = Result<Chunk, ReadError>> {
    let object = Arc::new(object);
    let size = object.size;
    let ranges = stream::try_unfold(0, move |start| {
        let share = share.clone();
        async move {
            if start >= size {
                return Ok::<_, Exhausted>(None);
            }
            let grant = share.acquire(LEAST_RANGE * MEMORY_PER_BYTE, MOST_RANGE * MEMORY_PER_BYTE).await?;
            let end = (start + (grant.bytes() / MEMORY_PER_BYTE) as u64).min(size);
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
    ranges.map_err(ReadError::from).map_ok(chunk).try_buffered(RANGES_IN_FLIGHT)
}

/// Records that can be decoded by themselves.
struct Records {
    decoder: Decoder,
    _grant: Grant,
}

impl in_order::Piece for Records {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        Ok(self.decoder.next_batch()?)
    }
}

fn pieces(
    object: Object,
    clients: Clients,
    columns: Arc<[Column]>,
    share: Share,
) -> impl Stream<Item = Result<Records, ReadError>> {
    let empty = object.size == 0;
    let state = (chunks(object, clients, share).boxed(), Cutter::default());
    stream::try_unfold(state, move |(mut chunks, mut cutter)| {
        let columns = Arc::clone(&columns);
        async move {
            while let Some(Chunk { bytes, grant }) = chunks.try_next().await? {
                if let Some(piece) = cutter.cut(bytes)? {
                    let records = Records { decoder: Decoder::new(&columns, piece), _grant: grant };
                    return Ok(Some((records, (chunks, cutter))));
                }
            }
            if cutter.is_inside_record() || empty {
                // Counted from the rows of all pieces before.
                return Err(RowFault::Truncated { row: u64::from(!empty) }.into());
            }
            Ok(None)
        }
    })
}
