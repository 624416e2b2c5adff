//! How often somebody may try to sign in, and how long those who fail wait.
//!
//! Three limits, each on attempts that were not right: of a name from one peer, of a name from all peers together, and of
//! one peer with any names. An attempt is counted before anything is checked, and taken off when it was right; so parallel
//! guesses count like others, and many users behind one address do not get into each other's way.
//!
//! A stranger who guesses at a name must not keep its owner out. So the limit over all peers is not for a peer's first
//! attempt, and a peer that the name has signed in from has its own limit alone.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::Refusal;
use super::limiter::{Limiter, Rate};
use super::turns::{Class, Turns};

/// A name from one peer.
const PAIR: Rate = Rate { burst: 10, period: Duration::from_secs(6) };
/// A name from all peers.
const NAME: Rate = Rate { burst: 20, period: Duration::from_secs(6) };
/// A peer with any names. Many users may be behind one address.
const PEER: Rate = Rate { burst: 500, period: Duration::from_millis(50) };
/// A peer that has failed so often lately comes after others.
const SUSPECT_PEER: u32 = PEER.burst / 2;
/// How long the first failure takes, and any.
const MIN_DELAY: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_secs(8);
/// So many failures of a peer with different names delay it like one more with the same.
const PEER_FAILURES_PER_STEP: u32 = 32;
/// Those who are made to wait. Beyond, the answer comes at once: the limits hold anyway.
const MAX_DELAYED: usize = 1024;
/// What is remembered: names, peers and pairs of them. Longer than any limit takes to fill up again.
const MAX_REMEMBERED: u64 = 20_000;
const REMEMBERED: Duration = Duration::from_secs(600);
/// How long a peer that a name signed in from is known for it.
const KNOWN: Duration = Duration::from_secs(24 * 3600);
/// Passwords that are hashed at once: each takes some 20 MiB and most of a core.
const HASHING: usize = 2;
/// AWS keys that STS is asked about at once.
const ASKING: usize = 16;

type Pair = (IpAddr, String);

pub struct Throttle {
    pairs: Cache<Pair, Arc<Limiter>>,
    names: Cache<String, Arc<Limiter>>,
    peers: Cache<IpAddr, Arc<Limiter>>,
    known: Cache<Pair, ()>,
    delayed: Semaphore,
    pub hashing: Arc<Turns>,
    pub asking: Arc<Turns>,
}

/// An attempt, which counts as a failed one until it is said to be right.
pub struct Attempt {
    pair: Pair,
    counted: Vec<Arc<Limiter>>,
    pub class: Class,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            pairs: remembering(REMEMBERED),
            names: remembering(REMEMBERED),
            peers: remembering(REMEMBERED),
            known: remembering(KNOWN),
            delayed: Semaphore::new(MAX_DELAYED),
            hashing: Turns::new(HASHING),
            asking: Turns::new(ASKING),
        }
    }
}

/// The one that was not used for the longest time goes first: with moka's usual policy newcomers might never be kept, and
/// those would have no limit.
fn remembering<K, V>(idle: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let builder = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_idle(idle);
    builder.eviction_policy(EvictionPolicy::lru()).build()
}

/// Whom a limit is for: an address, or an IPv6 network, of which everybody has 2⁶⁴ addresses.
pub fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

impl Throttle {
    /// Counts an attempt, or refuses it.
    pub fn begin(&self, peer: IpAddr, name: &str) -> Result<Attempt, Refusal> {
        let pair = (peer, name.to_owned());
        let of_pair = self.pairs.get_with_by_ref(&pair, || Arc::new(Limiter::new(PAIR)));
        let of_peer = self.peers.get_with(peer, || Arc::new(Limiter::new(PEER)));
        let is_known = self.known.get(&pair).is_some();
        let mut attempt = Attempt { pair, counted: Vec::new(), class: Class::Known };
        attempt.count(Arc::clone(&of_pair))?;
        let is_first = of_pair.taken() <= 1;
        if !is_known {
            if !is_first {
                attempt.count(self.names.get_with_by_ref(name, || Arc::new(Limiter::new(NAME))))?;
            }
            attempt.count(Arc::clone(&of_peer))?;
            let is_suspect = !is_first || of_peer.taken() > SUSPECT_PEER;
            attempt.class = if is_suspect { Class::Suspect } else { Class::New };
        }
        Ok(attempt)
    }

    /// What follows from an attempt that was right.
    pub fn succeeded(&self, attempt: Attempt) {
        self.known.insert(attempt.pair.clone(), ());
        attempt.take_off();
    }

    /// Makes somebody wait whose attempt was wrong, longer the more of them there were lately.
    pub async fn failed(&self, peer: IpAddr, name: &str) {
        let pair = self.pairs.get(&(peer, name.to_owned())).map_or(1, |limiter| limiter.taken());
        let peers = self.peers.get(&peer).map_or(0, |limiter| limiter.taken());
        tracing::warn!(principal = name.escape_default().to_string(), %peer, failures = pair, "sign-in failed");
        self.delay(pair.saturating_sub(1).max(peers / PEER_FAILURES_PER_STEP)).await;
    }

    /// The same for a token: nobody guesses one.
    pub async fn failed_token(&self, peer: IpAddr) {
        tracing::warn!(%peer, "sign-in with a token failed");
        self.delay(0).await;
    }

    /// A client that tries again and again at once is slowed down.
    pub async fn throttled(&self, peer: IpAddr, name: &str) {
        tracing::debug!(principal = name.escape_default().to_string(), %peer, "sign-in refused: too many failed");
        self.delay(0).await;
    }

    async fn delay(&self, steps: u32) {
        if let Ok(_place) = self.delayed.try_acquire() {
            tokio::time::sleep(MIN_DELAY.saturating_mul(1 << steps.min(8)).min(MAX_DELAY)).await;
        }
    }
}

impl Attempt {
    fn count(&mut self, limiter: Arc<Limiter>) -> Result<(), Refusal> {
        if let Err(wait) = limiter.take() {
            // It was not tried.
            self.counted.drain(..).for_each(|limiter| limiter.give_back());
            return Err(Refusal::Throttled { seconds: wait.as_secs() + 1 });
        }
        self.counted.push(limiter);
        Ok(())
    }

    /// It was right, or never tried.
    pub fn take_off(self) {
        self.counted.iter().for_each(|limiter| limiter.give_back());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn is_throttled(attempt: Result<Attempt, Refusal>) -> bool {
        matches!(attempt, Err(Refusal::Throttled { seconds: 1.. }))
    }

    #[tokio::test(start_paused = true)]
    async fn parallel_guesses_do_not_pass_the_limit_and_time_brings_attempts_back() {
        let throttle = Throttle::default();
        let guesses: Vec<_> = (0..100).map(|_| throttle.begin(peer(1), "ann")).collect();
        assert_eq!(guesses.iter().filter(|guess| guess.is_ok()).count(), PAIR.burst as usize);
        drop(guesses);
        assert!(is_throttled(throttle.begin(peer(1), "ann")), "what was begun and left counts");
        assert!(throttle.begin(peer(1), "bob").is_ok(), "others are not meant");
        tokio::time::advance(PAIR.period).await;
        assert!(throttle.begin(peer(1), "ann").is_ok());
        assert!(is_throttled(throttle.begin(peer(1), "ann")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_is_not_counted() {
        let throttle = Throttle::default();
        for user in 0..5000 {
            let attempt = throttle.begin(peer(1), &format!("user {user}")).expect("many are behind one address");
            throttle.succeeded(attempt);
        }
        for _ in 0..50 {
            throttle.succeeded(throttle.begin(peer(1), "ann").expect("right each time"));
        }
        assert_eq!(throttle.begin(peer(1), "ann").map(|attempt| attempt.class).ok(), Some(Class::Known));
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_cannot_keep_the_owner_out() {
        let throttle = Throttle::default();
        throttle.succeeded(throttle.begin(peer(1), "ann").expect("the owner"));
        let mut tried = 0;
        for stranger in 100..200 {
            tried += (0..10).filter(|_| throttle.begin(peer(stranger), "ann").is_ok()).count();
        }
        assert_eq!(tried, 100 + NAME.burst as usize, "one from each address, and what the name has");
        assert_eq!(throttle.begin(peer(1), "ann").map(|attempt| attempt.class).ok(), Some(Class::Known));
        assert_eq!(throttle.begin(peer(2), "ann").map(|attempt| attempt.class).ok(), Some(Class::New), "a new address");
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_somebody_makes_up_are_limited_by_their_peer() {
        let throttle = Throttle::default();
        throttle.succeeded(throttle.begin(peer(1), "ann").expect("the owner"));
        let tried = (0..2000).filter(|at| throttle.begin(peer(1), &format!("name {at}")).is_ok()).count();
        assert_eq!(tried, PEER.burst as usize);
        assert_eq!(throttle.begin(peer(1), "ann").map(|attempt| attempt.class).ok(), Some(Class::Known));
        assert_eq!(throttle.begin(peer(2), "bob").map(|attempt| attempt.class).ok(), Some(Class::New));
        assert!(is_throttled(throttle.begin(peer(1), "bob")));
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_takes_longer_and_waiting_is_bounded() {
        let throttle = Arc::new(Throttle::default());
        let mut waits = Vec::new();
        for _ in 0..6 {
            let attempt = throttle.begin(peer(1), "ann");
            let since = Instant::now();
            throttle.failed(peer(1), "ann").await;
            waits.push(since.elapsed().as_millis());
            drop(attempt);
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000], "an attempt comes back every six seconds");
        let since = Instant::now();
        let one = || {
            let throttle = Arc::clone(&throttle);
            tokio::spawn(async move { throttle.failed_token(peer(2)).await })
        };
        let many: Vec<_> = (0..MAX_DELAYED).map(|_| one()).collect();
        while throttle.delayed.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        throttle.failed_token(peer(2)).await;
        assert_eq!(since.elapsed(), Duration::ZERO, "nobody waits beyond the bound");
        futures::future::join_all(many).await;
        assert_eq!(since.elapsed(), MIN_DELAY);
    }

    #[test]
    fn a_network_is_one_peer() {
        let of = |text: &str| peer_of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1:2:3:4"), of("2001:db8::5:6:7:8"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
