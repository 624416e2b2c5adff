//! Pieces of a result decoded on several cores, their batches handed out in the pieces' order.
//!
//! A piece is decoded a batch at a time, and only when there is room and memory for the batch: no thread waits for a client.
//! The piece whose turn it is has memory of its own for that, so that those behind it, which are decoded ahead, never keep it
//! from getting on. The end of a piece and of all pieces is said, not inferred, so that a reader that dies is never taken for
//! the end of a result.

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt, stream};
use tokio::sync::{mpsc, watch};

use super::{GrantedBatch, ReadError};
use crate::memory::{Grant, MemoryError, Purpose, Share};

/// Batches of a piece that wait while the pieces before it are sent.
const BATCHES_AHEAD: usize = 2;

/// A part of a result that can be decoded by itself.
pub trait Piece: Send + 'static {
    /// A place between two rows of a result.
    type Place: Clone + Send + 'static;

    /// The next batch; `None` after the last. It works, and may block. Rows in errors are counted from the piece's start.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError>;

    /// Where the row behind the last batch is.
    fn place(&self) -> Self::Place;
}

/// A batch, and where the row behind it is.
pub struct Decoded<P> {
    pub batch: GrantedBatch,
    pub next: P,
}

/// What a piece gives; `None` at its end.
type Item<P> = Result<Option<Decoded<P>>, ReadError>;

/// The batches of all pieces, in order; up to `ahead` pieces are decoded while one before them is sent. Rows in errors
/// are counted over all pieces. Dropping the stream ends the reading.
pub fn batches<P: Piece>(
    pieces: impl Stream<Item = Result<P, ReadError>> + Send + 'static,
    ahead: usize,
    share: Share,
) -> impl Stream<Item = Result<Decoded<P::Place>, ReadError>> + Send {
    let (started, queue) = mpsc::channel(ahead.max(1));
    let (turn, _) = watch::channel(0);
    tokio::spawn(start_all(pieces, started, share, turn.subscribe()));
    let reading = Reading { queue, current: None, turn, rows: 0, rows_of_piece: 0 };
    stream::try_unfold(reading, |mut reading| async {
        let decoded = reading.next().await.map_err(|error| error.after(reading.rows))?;
        Ok(decoded.map(|decoded| (decoded, reading)))
    })
}

/// Starts pieces as they come, and says when there are no more.
async fn start_all<P: Piece>(
    pieces: impl Stream<Item = Result<P, ReadError>>,
    started: mpsc::Sender<Option<mpsc::Receiver<Item<P::Place>>>>,
    share: Share,
    turn: watch::Receiver<u64>,
) {
    let mut pieces = std::pin::pin!(pieces);
    let mut number = 0;
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
            Ok(piece) => {
                let memory = BatchMemory { share: share.clone(), turn: turn.clone(), number };
                drop(tokio::spawn(decode(piece, sender, memory)));
            }
            Err(error) => drop(sender.try_send(Err(error))),
        }
        if started.send(Some(receiver)).await.is_err() || failed {
            return;
        }
        number += 1;
    }
}

/// Memory for a piece's batches.
struct BatchMemory {
    share: Share,
    /// The number of the piece whose turn it is.
    turn: watch::Receiver<u64>,
    number: u64,
}

impl BatchMemory {
    /// Waits for memory for one batch.
    async fn acquire(&mut self) -> Result<Grant, MemoryError> {
        let Self { share, turn, number } = self;
        let bytes = share.batch_bytes();
        if *turn.borrow() < *number {
            tokio::select! {
                grant = share.acquire(Purpose::Ahead, bytes, bytes) => return grant,
                Ok(_) = turn.wait_for(|turn| *turn >= *number) => {}
            }
        }
        share.acquire(Purpose::Next, bytes, bytes).await
    }
}

/// Decodes one piece, a batch at a time on a thread for blocking work.
async fn decode<P: Piece>(mut piece: P, sender: mpsc::Sender<Item<P::Place>>, mut memory: BatchMemory) {
    while let Ok(room) = sender.reserve().await {
        let grant = tokio::select! {
            grant = memory.acquire() => grant,
            () = sender.closed() => return,
        };
        let mut grant = match grant {
            Ok(grant) => grant,
            Err(error) => return room.send(Err(error.into())),
        };
        let work = tokio::task::spawn_blocking(move || {
            let item = piece.next_batch();
            (piece, item)
        });
        let Ok((same, item)) = work.await else { return };
        piece = same;
        let item = item.map(|batch| {
            batch.map(|batch| {
                grant.resize(batch.get_array_memory_size());
                Decoded { batch: GrantedBatch { batch, grant: Some(grant) }, next: piece.place() }
            })
        });
        let over = !matches!(item, Ok(Some(_)));
        if over {
            // What it holds is free before the next piece takes its turn.
            drop(piece);
            return room.send(item);
        }
        room.send(item);
    }
}

struct Reading<P> {
    queue: mpsc::Receiver<Option<mpsc::Receiver<Item<P>>>>,
    current: Option<mpsc::Receiver<Item<P>>>,
    turn: watch::Sender<u64>,
    /// Of the pieces before the current one.
    rows: u64,
    rows_of_piece: u64,
}

impl<P> Reading<P> {
    async fn next(&mut self) -> Result<Option<Decoded<P>>, ReadError> {
        loop {
            if let Some(piece) = &mut self.current {
                match piece.recv().await.ok_or(ReadError::Abandoned)?? {
                    Some(decoded) => {
                        self.rows_of_piece += decoded.batch.batch.num_rows() as u64;
                        return Ok(Some(decoded));
                    }
                    None => {
                        self.current = None;
                        self.rows += std::mem::take(&mut self.rows_of_piece);
                        self.turn.send_modify(|turn| *turn += 1);
                    }
                }
            }
            match self.queue.recv().await.ok_or(ReadError::Abandoned)? {
                Some(piece) => self.current = Some(piece),
                None => return Ok(None),
            }
        }
    }
}
