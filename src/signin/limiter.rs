//! A rate limit whose cells can be given back: an attempt is counted before it is made, so that parallel ones cannot pass
//! the limit together, and is taken off again when it was a right one.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// How many cells there are at most, and how long one takes to come back.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub burst: u32,
    pub period: Duration,
}

pub struct Limiter {
    limiter: RateLimiter<NotKeyed, Store, RuntimeClock, NoOpMiddleware<Duration>>,
    clock: RuntimeClock,
    store: Store,
    period: u64,
}

impl Limiter {
    pub fn new(rate: Rate) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(rate.period).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let (store, clock) = (Store::default(), RuntimeClock(Instant::now()));
        let limiter = RateLimiter::new(quota, store.clone(), clock.clone());
        Self { limiter, clock, store, period: nanos(rate.period) }
    }

    /// Takes a cell, or says in how long there will be one.
    pub fn take(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Gives back a cell that was taken.
    pub fn give_back(&self) {
        let less = |full_at: u64| Some(full_at.saturating_sub(self.period));
        let _ = self.store.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// How many cells are taken now.
    pub fn taken(&self) -> u32 {
        let ahead = self.store.0.load(Ordering::Acquire).saturating_sub(nanos(self.clock.now()));
        u32::try_from(ahead.div_ceil(self.period.max(1))).unwrap_or(u32::MAX)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When all cells will be there again (the theoretical arrival time of GCRA), in nanoseconds since the limiter was made; 0
/// before the first was taken. governor's own store cannot be written to from outside.
#[derive(Clone, Default)]
struct Store(Arc<AtomicU64>);

impl StateStore for Store {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            let (result, after) = f(Some(before).filter(|at| *at > 0).map(Nanos::from))?;
            match self.0.compare_exchange_weak(before, after.as_u64(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(result),
                Err(other) => before = other,
            }
        }
    }
}

/// The runtime's clock, which tests can pause.
#[derive(Clone)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cells_run_out_come_back_with_time_and_can_be_given_back() {
        let limiter = Limiter::new(Rate { burst: 3, period: Duration::from_secs(6) });
        assert_eq!(limiter.taken(), 0);
        for taken in 1..=3 {
            assert_eq!((limiter.take(), limiter.taken()), (Ok(()), taken));
        }
        assert_eq!(limiter.take(), Err(Duration::from_secs(6)));
        limiter.give_back();
        assert_eq!((limiter.taken(), limiter.take()), (2, Ok(())));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(limiter.take(), Err(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((limiter.take(), limiter.take().is_err()), (Ok(()), true));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(limiter.taken(), 0);
        // More than was taken cannot be given back.
        limiter.give_back();
        for _ in 0..3 {
            assert_eq!(limiter.take(), Ok(()));
        }
        assert!(limiter.take().is_err());
    }
}
