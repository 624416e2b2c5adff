//! Pieces of a result decoded on several cores, their batches handed out in the pieces' order.
//!
//! A piece is decoded a batch at a time, and only when there is room for the batch: no thread waits for a client. The end
//! of a piece and of all pieces is said, not inferred, so that a reader that dies is never taken for the end of a result.

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::ReadError;

/// Batches of a piece that wait while the pieces before it are sent.
const BATCHES_AHEAD: usize = 2;

/// A part of a result that can be decoded by itself.
pub trait Piece: Send + 'static {
    /// The next batch; `None` after the last. It works, and may block.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError>;
}

/// What a piece gives; `None` at its end.
type Item = Result<Option<RecordBatch>, ReadError>;

/// The batches of all pieces, in order; up to `ahead` pieces are decoded while one before them is sent. Rows in errors
/// are counted over all pieces. Dropping the stream ends the reading.
pub fn batches<P: Piece>(
    pieces: impl Stream<Item = Result<P, ReadError>> + Send + 'static,
    ahead: usize,
) -> impl Stream<Item = Result<RecordBatch, ReadError>> + Send {
    let (started, queue) = mpsc::channel(ahead.max(1));
    tokio::spawn(start_all(pieces, started));
    let reading = Reading { queue, current: None, rows: 0 };
    stream::try_unfold(reading, |mut reading| async {
        let batch = reading.next().await.map_err(|error| error.after(reading.rows))?;
        reading.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(batch.map(|batch| (batch, reading)))
    })
}

/// Starts pieces as they come, and says when there are no more.
async fn start_all<P: Piece>(
    pieces: impl Stream<Item = Result<P, ReadError>>,
    started: mpsc::Sender<Option<mpsc::Receiver<Item>>>,
) {
    let mut pieces = std::pin::pin!(pieces);
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = started.closed() => return,
        };
        let Some(piece) = piece else {
            let _ = started.send(None).await;
            return;
        };
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let failed = piece.is_err();
        match piece {
            Ok(piece) => drop(tokio::spawn(decode(piece, sender))),
            Err(error) => drop(sender.try_send(Err(error))),
        }
        if started.send(Some(receiver)).await.is_err() || failed {
            return;
        }
    }
}

/// Decodes one piece, a batch at a time on a thread for blocking work.
async fn decode<P: Piece>(mut piece: P, sender: mpsc::Sender<Item>) {
    while let Ok(room) = sender.reserve().await {
        let work = tokio::task::spawn_blocking(move || {
            let item = piece.next_batch();
            (piece, item)
        });
        let Ok((same, item)) = work.await else { return };
        piece = same;
        let over = !matches!(item, Ok(Some(_)));
        room.send(item);
        if over {
            return;
        }
    }
}

struct Reading {
    queue: mpsc::Receiver<Option<mpsc::Receiver<Item>>>,
    current: Option<mpsc::Receiver<Item>>,
    rows: u64,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        loop {
            if let Some(piece) = &mut self.current {
                match piece.recv().await.ok_or(ReadError::Abandoned)?? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.current = None,
                }
            }
            match self.queue.recv().await.ok_or(ReadError::Abandoned)? {
                Some(piece) => self.current = Some(piece),
                None => return Ok(None),
            }
        }
    }
}
