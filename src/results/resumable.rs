//! A reading that is dropped while its client does not read, and taken up again where it was.
//!
//! What was fetched and decoded ahead for a paused client is memory that others may need. Results stay where they are, so it
//! can be read again: all there is to remember is how far the client has come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::poll_fn;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use super::in_order::Decoded;
use super::{GrantedBatch, ReadError};
use crate::memory::Share;

type Reading<P> = BoxStream<'static, Result<Decoded<P>, ReadError>>;

/// The batches of a reading from `start` on, which is opened again behind the last batch that was taken when it was
/// suspended. Rows in errors are counted from the start.
pub fn batches<P, F>(
    share: Share,
    start: P,
    open: F,
) -> impl Stream<Item = Result<GrantedBatch, ReadError>> + Send + use<P, F>
where
    P: Clone + Send + 'static,
    F: Fn(P) -> Reading<P> + Send + 'static,
{
    let slot = Arc::new(Slot::default());
    let weak = Arc::downgrade(&slot);
    share.on_suspend(move || {
        if let Some(slot) = weak.upgrade() {
            slot.suspend();
        }
    });
    let state = State { slot, share, open, next: start, rows: 0, rows_before: 0 };
    stream::try_unfold(state, |mut state| async move {
        let decoded = state.next().await.map_err(|error| error.after(state.rows_before))?;
        Ok(decoded.map(|batch| (batch, state)))
    })
}

struct State<P, F> {
    slot: Arc<Slot<Reading<P>>>,
    share: Share,
    open: F,
    /// Where the client is, and how many rows it has.
    next: P,
    rows: u64,
    /// Rows before those of this reading.
    rows_before: u64,
}

impl<P: Clone, F: Fn(P) -> Reading<P>> State<P, F> {
    async fn next(&mut self) -> Result<Option<GrantedBatch>, ReadError> {
        loop {
            let slot = &self.slot;
            match poll_fn(|context| slot.poll_next(context)).await {
                Some(None) => return Ok(None),
                Some(Some(decoded)) => {
                    let Decoded { batch, next } = decoded?;
                    self.next = next;
                    self.rows += batch.batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                // It was not opened yet, or suspended.
                None => {
                    self.share.resume().await?;
                    self.rows_before = self.rows;
                    self.slot.set((self.open)(self.next.clone()));
                }
            }
        }
    }
}

/// A reading that others may drop.
struct Slot<S>(Mutex<Content<S>>);

struct Content<S> {
    reading: Option<S>,
    /// Who waits for it.
    waker: Option<Waker>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self(Mutex::new(Content { reading: None, waker: None }))
    }
}

impl<S> Slot<S> {
    fn content(&self) -> MutexGuard<'_, Content<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, reading: S) {
        self.content().reading = Some(reading);
    }

    fn suspend(&self) {
        let (reading, waker) = {
            let mut content = self.content();
            (content.reading.take(), content.waker.take())
        };
        drop(reading);
        // Its client may have come back in this very moment.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<S: Stream + Unpin> Slot<S> {
    /// What the reading gives; `None` if there is none.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Option<S::Item>>> {
        let mut content = self.content();
        let Some(reading) = &mut content.reading else { return Poll::Ready(None) };
        let polled = reading.poll_next_unpin(context);
        if polled.is_pending() {
            content.waker = Some(context.waker().clone());
        }
        polled.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use futures::TryStreamExt;

    use super::*;
    use crate::memory::{Floor, Memory};
    use crate::owner::Owner;

    fn batch(number: i64) -> RecordBatch {
        let numbers = Arc::new(Int64Array::from(vec![number; 2])) as arrow::array::ArrayRef;
        RecordBatch::try_from_iter([("n", numbers)]).expect("a batch")
    }

    #[tokio::test]
    async fn every_batch_comes_once_however_often_it_is_suspended() {
        let memory = Memory::new(0);
        let share = memory.open(&Owner::anonymous(), Floor { fetch: 1, next: 1 }).await.expect("room");
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let reading = batches(share.clone(), 0, move |from: i64| {
            count.fetch_add(1, Ordering::Relaxed);
            let items = (from..10).map(|n| Ok::<_, ReadError>(Decoded { batch: batch(n).into(), next: n + 1 }));
            stream::iter(items).boxed()
        });
        let mut reading = std::pin::pin!(reading);
        let mut numbers = Vec::new();
        while let Some(GrantedBatch { batch, .. }) = reading.try_next().await.expect("no error") {
            numbers.push(batch.column(0).as_primitive::<Int64Type>().value(0));
            if numbers.len() % 3 == 0 {
                share.suspend();
            }
        }
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        assert_eq!(opened.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn rows_of_errors_count_from_the_start() {
        let memory = Memory::new(0);
        let share = memory.open(&Owner::anonymous(), Floor { fetch: 1, next: 1 }).await.expect("room");
        let reading = batches(share.clone(), 0, |from: i64| {
            let fault = super::super::rows::RowFault::Truncated { row: 1 };
            let items = [Ok(Decoded { batch: batch(0).into(), next: 1 }), Err(fault.into())];
            stream::iter(items.into_iter().skip(from as usize)).boxed()
        });
        let mut reading = std::pin::pin!(reading);
        assert!(reading.try_next().await.expect("a batch").is_some());
        share.suspend();
        let Err(error) = reading.try_next().await else { panic!("it breaks off") };
        assert!(error.to_string().contains("row 3"), "{error}");
    }
}
