//! The memory that results and ingests share, and who gives way to whom when it is short.
//!
//! Every stream of rows has a [`Share`]: a floor of its own, with which it always gets on, and beyond it what is lent for
//! reading ahead. Memory is counted from before it is used until it is free again: a [`Grant`] goes with the bytes it is for,
//! from S3 through the decoder to the connection.
//!
//! Owners come before streams: whoever has least is served first, an owner without a stream finds room that others do not
//! get, and what is lent is lent in equal parts to owners and, within each, to streams. A stream whose client does not read
//! gives way: first it is suspended (what was read ahead for it is dropped, and read again when the client goes on), and if
//! that does not help, or it goes on for too long, it is ended with an error that says so.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`ledger`] | who has what, who is next, who gives way: figures alone |
//! | [`reader`] | when a stream's client last took something, and how a stream is suspended and ended |
//!
//! Invariants: what is held is below the limit, but for single values that are larger than what there was for them. No stream
//! waits for a client other than its own. Nobody's code runs while the ledger is locked.

mod ledger;
mod reader;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::error::Kind;
use crate::owner::Owner;
use ledger::{Ledger, Victim, Want};
use reader::Reader;

pub use ledger::{Floor, Purpose};

/// How long a stream waits for memory that others hold.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often who waits looks for streams that have not been read from in the meantime.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(250);
/// Least memory to share: two streams at their floors have to have room, and something to lend.
pub const MIN_LIMIT: usize = 8 << 20;

/// Why a stream has no memory, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    #[error(
        "reading this result takes {needed} bytes at once, and the memory for all results is {limit} bytes: raise --memory-limit"
    )]
    TooLarge { needed: usize, limit: usize },
    #[error(
        "other results held the memory for {seconds} s: try again, close results that are not read to their end, or raise \
         --memory-limit",
        seconds = TIMEOUT.as_secs()
    )]
    Busy,
    #[error(
        "its rows were not read for {seconds} s and the memory was needed for others: read it again, or raise --memory-limit"
    )]
    Reclaimed { seconds: u64 },
    #[error("its rows were not read for {seconds} s: read it again, or raise --stall-timeout")]
    Stalled { seconds: u64 },
}

impl MemoryError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } | Self::Busy | Self::Reclaimed { .. } => Kind::ResourceExhausted,
            Self::Stalled { .. } => Kind::DeadlineExceeded,
        }
    }
}

/// All memory for results. Cloning shares it.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    ledger: Mutex<Ledger<Waiter>>,
    start: Instant,
}

/// Who is to be told.
struct Waiter {
    stream: Weak<Stream>,
    reply: oneshot::Sender<Grant>,
}

/// A stream's right to memory. Cloning shares it.
#[derive(Clone)]
pub struct Share(Arc<Stream>);

struct Stream {
    memory: Arc<Shared>,
    id: u64,
    floor: Floor,
    reader: Arc<Reader>,
}

/// Memory that may be used until this is dropped.
pub struct Grant {
    stream: Arc<Stream>,
    purpose: Purpose,
    bytes: usize,
    is_apart: bool,
}

impl Memory {
    pub fn new(limit: usize) -> Self {
        let ledger = Mutex::new(Ledger::new(limit.max(MIN_LIMIT)));
        Self(Arc::new(Shared { ledger, start: Instant::now() }))
    }

    /// A share for one more stream of an owner, as soon as there is room for its floor.
    pub async fn open(&self, owner: &Owner, floor: Floor) -> Result<Share, MemoryError> {
        let reader = Arc::new(Reader::new(self.0.start));
        let id = self.0.ledger().add(owner.clone(), floor, Arc::clone(&reader));
        let share = Share(Arc::new(Stream { memory: Arc::clone(&self.0), id, floor, reader }));
        share.resume().await?;
        Ok(share)
    }

    /// Bytes that are held now, and the most that ever were.
    pub fn held(&self) -> (usize, usize) {
        let ledger = self.0.ledger();
        (ledger.held, ledger.max_held)
    }

    /// Streams that have a share now.
    pub fn streams(&self) -> usize {
        self.0.ledger().len()
    }

    /// Ends streams that their clients have not read from for so long; runs until the memory is gone.
    pub fn end_stalled(&self, after: Duration) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::downgrade(&self.0);
        async move {
            loop {
                // No stream can be due earlier than the one that is next now, or than one that begins now.
                let Some(next) = shared.upgrade().map(|shared| shared.end_stalled(after)) else { return };
                tokio::time::sleep_until(next).await;
            }
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.ledger().fmt(f)
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger<Waiter>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out what can be given out, and with `reclaim` has others give way to who waits.
    fn settle(&self, reclaim: bool) {
        let now = reader::millis(self.start);
        let (granted, victims) = {
            let mut ledger = self.ledger();
            if !ledger.has_waiters() {
                return;
            }
            ledger.settle(now, reclaim)
        };
        for (Waiter { stream, reply }, purpose, bytes) in granted {
            // Without its stream the account is gone, too.
            if let Some(stream) = stream.upgrade() {
                // A waiter that is gone drops its grant.
                let _ = reply.send(Grant { stream, purpose, bytes, is_apart: false });
            }
        }
        if !victims.is_empty() {
            tracing::debug!(streams = victims.len(), memory = ?*self.ledger(), "streams that are not read give way");
            victims.into_iter().for_each(give_way);
            // Their floors can be given out now.
            self.settle(false);
        }
    }

    /// Ends what is due, and says when to look again.
    fn end_stalled(&self, after: Duration) -> Instant {
        let now = reader::millis(self.start);
        let after = after.as_millis() as u64;
        let (due, next) = self.ledger().stalled(now, after);
        for reader in due {
            reader.end(MemoryError::Stalled { seconds: after / 1000 });
        }
        self.start + Duration::from_millis(next)
    }
}

fn give_way(victim: Victim) {
    match victim {
        Victim::Suspend(reader) => reader.suspend(),
        Victim::End { reader, unread_millis } => {
            reader.end(MemoryError::Reclaimed { seconds: unread_millis / 1000 });
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.memory.ledger().remove(self.id);
        self.memory.settle(false);
    }
}

/// Takes a waiter off the list when nobody waits any more.
struct Waiting<'a> {
    memory: &'a Shared,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiter = self.memory.ledger().forget(self.number);
        if waiter.is_some() {
            self.memory.settle(false);
        }
    }
}

impl Share {
    /// What one batch may take, until it is known what it does take.
    pub fn batch_bytes(&self) -> usize {
        self.0.floor.next
    }

    /// Waits for memory: at least `least` bytes, up to `most` where there is more.
    pub async fn acquire(&self, purpose: Purpose, least: usize, most: usize) -> Result<Grant, MemoryError> {
        let (needed, limit) = self.0.memory.ledger().needed(self.0.id, least);
        if needed > limit {
            return Err(MemoryError::TooLarge { needed, limit });
        }
        self.wait(Want::Memory { purpose, least, most: most.max(least) }).await
    }

    /// The same for what has to be done at least, whether or not there is ever so much memory.
    pub async fn acquire_some(&self, purpose: Purpose, least: usize, most: usize) -> Result<Grant, MemoryError> {
        let largest = self.0.memory.ledger().largest();
        self.acquire(purpose, least.min(largest), most).await
    }

    /// Counts memory that is in use already.
    pub fn count(&self, purpose: Purpose, bytes: usize) -> Grant {
        self.0.memory.ledger().grow(self.0.id, purpose, bytes);
        Grant { stream: Arc::clone(&self.0), purpose, bytes, is_apart: false }
    }

    /// Waits for room for the floor again, if the stream was suspended.
    pub async fn resume(&self) -> Result<(), MemoryError> {
        if self.0.memory.ledger().is_active(self.0.id) {
            return Ok(());
        }
        self.wait(Want::Floor).await.map(drop)
    }

    /// How what was read ahead is dropped when others need the memory; it is called when the client has not read for a
    /// while, and the stream has to [`Self::resume`] before it reads on.
    pub fn on_suspend(&self, suspend: impl Fn() + Send + Sync + 'static) {
        self.0.reader.on_suspend(Arc::new(suspend));
    }

    /// Suspends the stream now, as if others needed its memory.
    #[cfg(test)]
    pub fn suspend(&self) {
        self.0.memory.ledger().set_inactive(self.0.id);
        self.0.reader.suspend();
    }

    /// How the stream is ended when it has to give up all it holds.
    pub fn on_end(&self, end: impl FnOnce(MemoryError) + Send + 'static) {
        self.0.reader.on_end(Box::new(end));
    }

    /// The client waits for more.
    pub fn client_waits(&self) {
        if self.0.reader.waits() {
            // It has come back: what was kept from it may be given now.
            self.0.memory.settle(true);
        }
    }

    /// The client has something to take.
    pub fn client_has(&self) {
        self.0.reader.has();
    }

    async fn wait(&self, want: Want) -> Result<Grant, MemoryError> {
        let memory = &self.0.memory;
        let (reply, mut answer) = oneshot::channel();
        let now = reader::millis(memory.start);
        let number = memory.ledger().ask(now, self.0.id, want, Waiter { stream: Arc::downgrade(&self.0), reply });
        let _waiting = Waiting { memory, number };
        memory.settle(true);
        let start = Instant::now();
        loop {
            if let Ok(answer) = timeout(RECLAIM_INTERVAL, &mut answer).await {
                return answer.map_err(|_| MemoryError::Busy);
            }
            memory.settle(true);
            // A stream that waits for its own client to take what it has may do so for as long as it likes.
            if start.elapsed() >= TIMEOUT && memory.ledger().waits_for_others(self.0.id, want) {
                return match answer.try_recv() {
                    Ok(grant) => Ok(grant),
                    Err(_) => Err(MemoryError::Busy),
                };
            }
        }
    }
}

impl Grant {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says how much is in use after all; more than was granted is counted without waiting.
    pub fn resize(&mut self, bytes: usize) {
        let mut ledger = self.stream.memory.ledger();
        if bytes >= self.bytes {
            ledger.grow(self.stream.id, self.purpose, bytes - self.bytes);
            if self.is_apart {
                ledger.set_apart(self.stream.id, bytes - self.bytes);
            }
            self.bytes = bytes;
        } else {
            drop(ledger);
            drop(self.split(self.bytes - bytes));
        }
    }

    /// Takes up to so many bytes off, which are then counted by themselves.
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { stream: Arc::clone(&self.stream), purpose: self.purpose, bytes, is_apart: self.is_apart }
    }

    /// Counts it beside the stream's fair share: it is for a record whose end has not come, so that the stream has to get more
    /// before it can give this back.
    pub fn set_apart(&mut self) {
        if !self.is_apart && self.purpose == Purpose::Fetch {
            self.is_apart = true;
            self.stream.memory.ledger().set_apart(self.stream.id, self.bytes);
        }
    }

    /// Counts it with the rest again.
    pub fn rejoin(&mut self) {
        if self.is_apart {
            self.is_apart = false;
            self.stream.memory.ledger().rejoin(self.stream.id, self.bytes);
        }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { purpose, bytes, is_apart, .. } = self;
        write!(f, "{bytes} bytes, {purpose:?}{}", if *is_apart { ", apart" } else { "" })
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.stream.memory.ledger().shrink(self.stream.id, self.purpose, self.bytes, self.is_apart);
            self.stream.memory.settle(false);
        }
    }
}

#[cfg(test)]
mod tests;
