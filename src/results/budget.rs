//! The memory that all readers of results share.
//!
//! Each stream has a small part of its own, so that every stream gets on, however slow the clients of the others are: half
//! of the memory is for that. The other half is lent out in fair shares: no stream has more of it than there would be for
//! each if all wanted as much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// What every stream has for itself, in bytes.
pub const FLOOR: usize = 4 << 20;
/// What one stream gets at most, in bytes: enough to keep a connection to S3 and all cores busy.
const MOST: usize = 32 << 20;
/// How long a stream waits for memory that others hold.
const PATIENCE: Duration = Duration::from_secs(60);

/// There is no memory for a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    #[error(
        "{streams} results are being read already: there is no memory for another one; try again, or raise --memory-limit"
    )]
    Streams { streams: usize },
    #[error(
        "reading this result takes {needed} bytes at once, the memory for all results is {limit}: raise --memory-limit"
    )]
    TooLarge { needed: usize, limit: usize },
    #[error("other results held the memory for {seconds} s; try again, or raise --memory-limit", seconds = PATIENCE.as_secs())]
    Busy,
}

/// All memory for results. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_stream: u64,
    streams: HashMap<u64, Held>,
    /// What is lent out beyond the floors.
    lent: usize,
    held: usize,
    most_held: usize,
}

/// What one stream holds.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    of_floor: usize,
    lent: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit: limit.max(2 * FLOOR), state: Mutex::default(), freed: Notify::new() }))
    }

    /// A share for one more stream.
    pub fn share(&self) -> Result<Share, Exhausted> {
        let mut state = self.0.state();
        if (state.streams.len() + 1) * FLOOR > self.0.limit.div_ceil(2) {
            return Err(Exhausted::Streams { streams: state.streams.len() });
        }
        let stream = state.next_stream;
        state.next_stream += 1;
        state.streams.insert(stream, Held::default());
        Ok(Share(Arc::new(Registered { budget: Arc::clone(&self.0), stream })))
    }

    /// Bytes that are held now, and the most that ever were.
    pub fn held(&self) -> (usize, usize) {
        let state = self.0.state();
        (state.held, state.most_held)
    }

    /// Streams that have a share now.
    pub fn streams(&self) -> usize {
        self.0.state().streams.len()
    }
}

impl Shared {
    /// What a stream can get if there is no other.
    fn ever(&self) -> usize {
        (FLOOR + self.limit / 2).min(MOST)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's right to memory.
#[derive(Debug, Clone)]
pub struct Share(Arc<Registered>);

#[derive(Debug)]
struct Registered {
    budget: Arc<Shared>,
    stream: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.budget.state().streams.remove(&self.stream);
        self.budget.freed.notify_waiters();
    }
}

/// Memory that may be used until this is dropped.
#[derive(Debug)]
pub struct Grant {
    share: Arc<Registered>,
    held: Held,
}

impl Share {
    /// Waits for memory: at least `least` bytes, more up to `most` if there is more. What is within the floor comes as soon
    /// as the stream itself gives some back.
    pub async fn acquire(&self, least: usize, most: usize) -> Result<Grant, Exhausted> {
        let limit = self.0.budget.limit;
        if least > self.0.budget.ever() {
            return Err(Exhausted::TooLarge { needed: least, limit });
        }
        loop {
            let freed = self.0.budget.freed.notified();
            if let Some(grant) = self.grant(least, most) {
                return Ok(grant);
            }
            // A stream whose client is slow waits for itself, which may take as long as it likes.
            if self.holds_something() {
                freed.await;
            } else {
                tokio::time::timeout(PATIENCE, freed).await.map_err(|_| Exhausted::Busy)?;
            }
        }
    }

    fn holds_something(&self) -> bool {
        let state = self.0.budget.state();
        state.streams.get(&self.0.stream).is_some_and(|held| held.of_floor + held.lent > 0)
    }

    /// The same for what has to be done at least, whether or not there is ever so much memory.
    pub async fn acquire_some(&self, least: usize, most: usize) -> Result<Grant, Exhausted> {
        self.acquire(least.min(self.0.budget.ever()), most).await
    }

    fn grant(&self, least: usize, most: usize) -> Option<Grant> {
        let mut state = self.0.budget.state();
        let own = *state.streams.get(&self.0.stream)?;
        let lendable = self.0.budget.limit / 2;
        let fair = (lendable / state.streams.len()).min(MOST - FLOOR);
        let left_of_floor = FLOOR - own.of_floor;
        let to_lend = fair.saturating_sub(own.lent).min(lendable.saturating_sub(state.lent));
        let bytes = most.min(left_of_floor + to_lend);
        if bytes < least {
            return None;
        }
        let of_floor = bytes.min(left_of_floor);
        let held = Held { of_floor, lent: bytes - of_floor };
        state.lent += held.lent;
        state.held += bytes;
        state.most_held = state.most_held.max(state.held);
        state
            .streams
            .insert(self.0.stream, Held { of_floor: own.of_floor + held.of_floor, lent: own.lent + held.lent });
        Some(Grant { share: Arc::clone(&self.0), held })
    }
}

impl Grant {
    pub fn bytes(&self) -> usize {
        self.held.of_floor + self.held.lent
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut state = self.share.budget.state();
        state.lent -= self.held.lent;
        state.held -= self.bytes();
        if let Some(own) = state.streams.get_mut(&self.share.stream) {
            own.of_floor -= self.held.of_floor;
            own.lent -= self.held.lent;
        }
        drop(state);
        self.share.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        future.now_or_never()
    }

    #[tokio::test]
    async fn a_slow_stream_leaves_the_others_their_floor_and_a_fair_share() {
        let budget = Budget::new(8 * FLOOR);
        let slow = budget.share().expect("room");
        let held = slow.acquire(1, usize::MAX).await.expect("all it can get");
        assert_eq!(held.bytes(), 5 * FLOOR);
        let other = budget.share().expect("room");
        let own = other.acquire(FLOOR, usize::MAX).await.expect("its floor");
        assert_eq!(own.bytes(), FLOOR);
        assert!(now(other.acquire(1, 1)).is_none(), "it waits for its own memory");
        drop(held);
        assert_eq!(other.acquire(1, usize::MAX).await.expect("its half").bytes(), 2 * FLOOR);
        drop((own, slow, other));
        assert_eq!((budget.held().0, budget.streams()), (0, 0));
    }

    #[tokio::test]
    async fn what_can_never_be_is_refused() {
        let budget = Budget::new(4 * FLOOR);
        let shares = [budget.share().expect("room"), budget.share().expect("room")];
        assert!(matches!(budget.share(), Err(Exhausted::Streams { streams: 2 })));
        assert!(matches!(shares[0].acquire(4 * FLOOR, 4 * FLOOR).await, Err(Exhausted::TooLarge { .. })));
        drop(shares);
        assert!(budget.share().is_ok());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let budget = Budget::new(2 * FLOOR);
        let share = budget.share().expect("room");
        let first = share.acquire(2 * FLOOR, 2 * FLOOR).await.expect("all of it");
        let second = share.clone();
        let waiting = tokio::spawn(async move { second.acquire(FLOOR, FLOOR).await.map(|grant| grant.bytes()) });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waiting.await.expect("no panic"), Ok(FLOOR));
    }
}
