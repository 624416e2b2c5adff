//! Athena's call quotas: how many calls of each kind an account may make a second, and how many at once after a pause.
//!
//! The published values are where a gateway starts (athena-behaviour, section 1); an account may have others, and shares them
//! with everything else that runs in it. So a rate goes down when AWS throttles, and comes back slowly.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// Of a quota, what is used: our calls do not arrive as evenly as they are made.
const USED_SHARE: f64 = 0.97;
/// What a throttled call leaves of a rate, and the least that is left of a quota.
const DECREASE: f64 = 0.7;
const MIN_SHARE: f64 = 0.05;
/// Throttled calls within this time are about the same rate: it goes down once for all of them.
const DECREASE_INTERVAL: Duration = Duration::from_secs(1);
/// Of a quota, what a lowered rate gains a second.
const INCREASE_PER_SECOND: f64 = 0.01;

/// Calls a second in the long run, and at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    pub burst: f64,
}

/// The calls that a gateway counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quotas {
    pub start: Rate,
    pub stop: Rate,
    pub get: Rate,
    pub batch_get: Rate,
    pub results: Rate,
}

impl Default for Quotas {
    /// What AWS publishes for an account (athena-behaviour, section 1).
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            start: rate(20.0, 80.0),
            stop: rate(20.0, 80.0),
            get: rate(100.0, 200.0),
            batch_get: rate(20.0, 40.0),
            results: rate(100.0, 200.0),
        }
    }
}

impl Quotas {
    fn rates(&mut self) -> [(&'static str, &mut Rate); 5] {
        [
            ("StartQueryExecution", &mut self.start),
            ("StopQueryExecution", &mut self.stop),
            ("GetQueryExecution", &mut self.get),
            ("BatchGetQueryExecution", &mut self.batch_get),
            ("GetQueryResults", &mut self.results),
        ]
    }
}

impl FromStr for Quotas {
    type Err = String;

    /// Reads `StartQueryExecution=40/160,GetQueryExecution=200/400`; operations that are not named keep the published rates.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut quotas = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong =
                || format!("{part:?} is not OPERATION=PER_SECOND/BURST, for example StartQueryExecution=40/160");
            let (name, rate) = part.split_once('=').ok_or_else(wrong)?;
            let (per_second, burst) = rate.split_once('/').ok_or_else(wrong)?;
            let number = |text: &str| text.trim().parse().ok().filter(|number| (0.1..=100_000.0).contains(number));
            let (per_second, burst) = (number(per_second).ok_or_else(wrong)?, number(burst).ok_or_else(wrong)?);
            if burst < 1.0 {
                return Err(wrong());
            }
            let mut rates = quotas.rates();
            let known = rates.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let Some((_, found)) = rates.iter_mut().find(|(known, _)| *known == name.trim()) else {
                return Err(format!("{name:?} is none of {known}"));
            };
            **found = Rate { per_second, burst };
        }
        Ok(quotas)
    }
}

/// A token bucket whose rate adapts.
#[derive(Debug)]
pub struct Bucket {
    quota: Rate,
    per_second: f64,
    tokens: f64,
    filled: Instant,
    decreased: Option<Instant>,
}

impl Bucket {
    pub fn new(quota: Rate, now: Instant) -> Self {
        let quota = Rate { per_second: quota.per_second * USED_SHARE, burst: (quota.burst * USED_SHARE).max(1.0) };
        Self { quota, per_second: quota.per_second, tokens: quota.burst, filled: now, decreased: None }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.quota.burst);
        let gained = elapsed * INCREASE_PER_SECOND * self.quota.per_second;
        self.per_second = (self.per_second + gained).min(self.quota.per_second);
        self.filled = self.filled.max(now);
    }

    /// Takes one call, if there is one left.
    pub fn try_take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }

    /// How many calls there are at once.
    pub fn available(&mut self, now: Instant) -> usize {
        self.refill(now);
        self.tokens as usize
    }

    /// When there is a call again.
    pub fn next(&mut self, now: Instant) -> Instant {
        self.refill(now);
        let missing = (1.0 - self.tokens).max(0.0);
        now + Duration::from_secs_f64(missing / self.per_second)
    }

    /// AWS has throttled a call: somebody else uses the quota too, or it is another one.
    pub fn throttled(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        if self.decreased.is_none_or(|last| now.saturating_duration_since(last) >= DECREASE_INTERVAL) {
            self.per_second = (self.per_second * DECREASE).max(self.quota.per_second * MIN_SHARE);
            self.decreased = Some(now);
        }
    }

    /// Calls a second now.
    pub fn rate(&self) -> f64 {
        self.per_second
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// How many statements an account runs and queues at once, learned from refusals (TooManyRequestsException).
///
/// Until the first refusal each start that works lets one more begin, so that the limit is found with few refused calls. Then
/// one more than the limit is tried now and then: others may have gone, or the limit been raised.
#[derive(Debug)]
pub struct Slots {
    limit: usize,
    is_learned: bool,
    /// When one more is tried again, and how long after a refusal.
    probe_at: Instant,
    probe_interval: Duration,
    /// Nothing is started before this.
    paused_until: Instant,
}

/// Statements at once before anything is known: fewer than any account may have.
const FIRST_SLOTS: usize = 16;
/// After a refusal, one more statement is tried; later each time one more was too many.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// A pause after a refusal while nothing of ours runs: the whole limit is used by others.
const PAUSE: Duration = Duration::from_secs(1);

impl Slots {
    pub fn new(now: Instant) -> Self {
        Self {
            limit: FIRST_SLOTS,
            is_learned: false,
            probe_at: now,
            probe_interval: MIN_PROBE_INTERVAL,
            paused_until: now,
        }
    }

    /// Whether one more may be tried beside so many.
    pub fn has_room(&mut self, in_flight: usize, now: Instant) -> bool {
        if now < self.paused_until {
            return false;
        }
        if self.is_learned && in_flight >= self.limit && now >= self.probe_at {
            self.limit = in_flight + 1;
            self.probe_at = now + self.probe_interval;
        }
        in_flight < self.limit
    }

    /// When one more may be tried, if nothing ends before.
    pub fn next(&self, now: Instant) -> Instant {
        // While nothing is learned, a start that works makes room.
        let probe = if self.is_learned { self.probe_at } else { now + PAUSE };
        self.paused_until.max(probe)
    }

    /// A statement has been started.
    pub fn started(&mut self) {
        if !self.is_learned {
            self.limit += 1;
        }
    }

    /// AWS has refused one more beside so many.
    pub fn refused(&mut self, in_flight: usize, now: Instant) {
        if in_flight == 0 {
            self.paused_until = now + PAUSE;
        }
        self.probe_interval = match self.is_learned {
            true => (self.probe_interval * 2).min(MAX_PROBE_INTERVAL),
            false => MIN_PROBE_INTERVAL,
        };
        self.limit = in_flight.max(1);
        self.is_learned = true;
        self.probe_at = now + self.probe_interval;
    }

    /// Statements at once, as far as it is known.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn quotas_are_read_by_operation() {
        let quotas: Quotas = "StartQueryExecution=40/160, BatchGetQueryExecution=5/5".parse().expect("sound");
        assert_eq!((quotas.start, quotas.batch_get.burst), (Rate { per_second: 40.0, burst: 160.0 }, 5.0));
        assert_eq!(quotas.results, Quotas::default().results);
        for wrong in ["Start=1/1", "StartQueryExecution", "StartQueryExecution=x/1", "StartQueryExecution=1/0.5"] {
            assert!(wrong.parse::<Quotas>().is_err(), "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 20.0, burst: 80.0 }, start);
        let burst = (0..200).filter(|_| bucket.try_take(start)).count();
        let after = (0..200).filter(|_| bucket.try_take(start + 10 * SECOND)).count();
        assert_eq!((burst, after), (77, 77), "an idle bucket is full, not fuller");
        let mut taken = 0;
        let mut now = start + 10 * SECOND;
        while now < start + 20 * SECOND {
            now = bucket.next(now);
            taken += usize::from(bucket.try_take(now));
            now += Duration::from_micros(1);
        }
        assert!((192..=195).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_learned_downwards_and_comes_back() {
        let mut now = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 20.0, burst: 20.0 }, now);
        let full = bucket.rate();
        bucket.throttled(now);
        bucket.throttled(now);
        assert!((bucket.rate() - full * DECREASE).abs() < 1e-9, "a burst of refusals counts once");
        assert!(!bucket.try_take(now));
        for _ in 0..20 {
            now += 2 * SECOND;
            bucket.throttled(now);
        }
        assert!(bucket.rate() >= full * MIN_SHARE);
        now += 200 * SECOND;
        assert!(bucket.try_take(now) && (bucket.rate() - full).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_learned_from_refusals_and_probed() {
        let now = Instant::now();
        let mut slots = Slots::new(now);
        assert!(slots.has_room(FIRST_SLOTS - 1, now) && !slots.has_room(FIRST_SLOTS, now));
        (0..FIRST_SLOTS).for_each(|_| slots.started());
        assert!(slots.has_room(2 * FIRST_SLOTS - 1, now), "what works lets more begin");
        slots.refused(25, now);
        assert_eq!((slots.has_room(24, now), slots.has_room(25, now)), (true, false));
        slots.started();
        assert!(!slots.has_room(25, now));
        let later = slots.next(now);
        assert!(slots.has_room(25, later), "one more is tried after a while");
        assert!(!slots.has_room(26, later));
        slots.refused(0, later);
        assert!(!slots.has_room(0, later) && slots.has_room(0, slots.next(later)));
    }
}
