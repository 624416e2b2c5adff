//! The statements under way, so that a gateway that is to stop can wait for them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::GatewayError;

/// A client that has run a statement fetches its rows next: so long after the last end it is waited for.
const LINGER: Duration = Duration::from_millis(500);
/// How often it is looked whether all has ended.
const EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct Drain {
    is_draining: AtomicBool,
    statements: AtomicUsize,
    last_end: std::sync::Mutex<Option<Instant>>,
}

/// A statement under way; dropped when it has ended.
pub struct UnderWay<'a>(&'a Drain);

impl Drain {
    /// Refuses statements from now on.
    pub fn begin(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Lets a statement begin, unless no more may.
    pub fn enter(&self) -> Result<UnderWay<'_>, GatewayError> {
        self.statements.fetch_add(1, Ordering::AcqRel);
        let under_way = UnderWay(self);
        // Asked after it was counted: whoever drains sees it, or it sees them.
        if self.is_draining.load(Ordering::Acquire) { Err(GatewayError::Stopping) } else { Ok(under_way) }
    }

    pub fn statements(&self) -> usize {
        self.statements.load(Ordering::Acquire)
    }

    /// Waits until no statement and no stream is under way, and none has ended just now.
    pub async fn quiet(&self, streams: impl Fn() -> usize) {
        let mut last_busy = *self.last_end.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            if self.statements() > 0 || streams() > 0 {
                last_busy = Some(Instant::now());
            }
            if last_busy.is_none_or(|last| last.elapsed() >= LINGER) {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.last_end.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        self.0.statements.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_waited_for_and_nothing_new_begins() {
        let drain = Drain::default();
        drain.quiet(|| 0).await;
        let under_way = drain.enter().expect("nothing is drained yet");
        drain.begin();
        assert!(matches!(drain.enter(), Err(GatewayError::Stopping)));
        assert_eq!(drain.statements(), 1);
        let began = Instant::now();
        let end = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(under_way);
        };
        tokio::join!(drain.quiet(|| 0), end);
        assert!(began.elapsed() >= Duration::from_secs(10) + LINGER, "its client may fetch rows");
    }
}
