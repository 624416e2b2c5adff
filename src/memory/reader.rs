//! When a stream's client last took something, and what the stream does when it has to give way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::MemoryError;
use super::ledger::PAUSED_AFTER_MILLIS;

type Suspend = Arc<dyn Fn() + Send + Sync>;
type End = Box<dyn FnOnce(MemoryError) + Send>;

/// The far end of a stream.
pub struct Reader {
    start: Instant,
    /// Since when there has been something that the client has not taken, in milliseconds from the start, plus one; 0 while the
    /// client waits for us.
    unread_since: AtomicU64,
    suspend: Mutex<Option<Suspend>>,
    end: Mutex<Option<End>>,
}

/// Milliseconds since then.
pub fn millis(start: Instant) -> u64 {
    start.elapsed().as_millis() as u64
}

impl Reader {
    pub fn new(start: Instant) -> Self {
        Self { start, unread_since: AtomicU64::new(0), suspend: Mutex::default(), end: Mutex::default() }
    }

    /// The client has taken what there was; gives whether it had left it for a while.
    pub fn waits(&self) -> bool {
        match self.unread_since.swap(0, Ordering::Relaxed) {
            0 => false,
            since => (millis(self.start) + 1).saturating_sub(since) >= PAUSED_AFTER_MILLIS,
        }
    }

    /// There is something for the client to take.
    pub fn has(&self) {
        let now = millis(self.start) + 1;
        let _ = self.unread_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Since when the client has not read, in milliseconds from the start; `None` while it waits.
    pub fn unread_since(&self) -> Option<u64> {
        self.unread_since.load(Ordering::Relaxed).checked_sub(1)
    }

    pub fn on_suspend(&self, suspend: Suspend) {
        *self.suspend.lock().unwrap_or_else(PoisonError::into_inner) = Some(suspend);
    }

    pub fn on_end(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    pub fn can_suspend(&self) -> bool {
        self.suspend.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub fn can_end(&self) -> bool {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub fn suspend(&self) {
        let suspend = self.suspend.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(suspend) = suspend {
            suspend();
        }
    }

    pub fn end(&self, why: MemoryError) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(end) = end {
            end(why);
        }
    }
}
