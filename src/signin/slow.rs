//! Those who fail to sign in wait, longer each time; and few try at once.

use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Refusal;

/// How long the first failure takes, and the worst.
const FIRST: Duration = Duration::from_millis(250);
const WORST: Duration = Duration::from_secs(8);
/// Names whose failures are remembered, and for how long.
const NAMES: u64 = 10_000;
const MEMORY: Duration = Duration::from_secs(600);
/// Passwords that are hashed at once: each takes some 20 MiB.
const HASHING: usize = 2;
/// Those who wait for their turn.
const WAITING: usize = 64;

pub struct Slow {
    failures: Cache<String, u32>,
    hashing: Semaphore,
    waiting: Semaphore,
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            failures: Cache::builder().max_capacity(NAMES).time_to_idle(MEMORY).build(),
            hashing: Semaphore::new(HASHING),
            waiting: Semaphore::new(WAITING),
        }
    }
}

impl Slow {
    /// Waits longer for each failure of a name, and refuses. The name may be any that somebody made up.
    pub async fn failed<T>(&self, name: &str) -> Result<T, Refusal> {
        let before = self.failures.get(name).unwrap_or(0);
        self.failures.insert(name.to_owned(), before.saturating_add(1));
        tracing::warn!(principal = name.escape_default().to_string(), failures = before + 1, "sign-in failed");
        tokio::time::sleep(FIRST.saturating_mul(1 << before.min(8)).min(WORST)).await;
        Err(Refusal::Failed)
    }

    /// The same for a token: nobody guesses one, so each failure is the first.
    pub async fn failed_token<T>(&self) -> Result<T, Refusal> {
        tracing::warn!("sign-in with a token failed");
        tokio::time::sleep(FIRST).await;
        Err(Refusal::Failed)
    }

    /// A turn to hash a password.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        self.hashing.acquire().await.map_err(|_| Refusal::Busy)
    }
}
