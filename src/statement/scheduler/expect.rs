//! When queries tend to end: what decides when Athena is asked about one.
//!
//! Each look costs a call out of the account's quota, and a late one costs the caller time. So a query is first asked
//! about when queries like it have tended to end: the same text, else those of its kind. One that goes on is asked about
//! again when the slower ones have tended to end.

use std::collections::VecDeque;
use std::time::Duration;

use moka::sync::Cache;

/// Kinds of statements that take about as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    Explain,
    Query,
    Unload,
    Other,
}

const KINDS: usize = 4;
/// Durations of a kind that are remembered, and how many it takes to rely on them.
const REMEMBERED: usize = 64;
const MIN_REMEMBERED: usize = 4;
/// Texts whose last duration is remembered.
const TEXTS: u64 = 4096;
/// Of the durations, the part that has ended when a query is first asked about.
const EARLY_SHARE: f64 = 0.3;
/// A text's last duration is expected again, or a little less.
const SAME_TEXT_SHARE: f64 = 0.95;
/// Where nothing is known of slower ones, a query is asked about again when it is older by this share.
const UNKNOWN_GROWTH: f64 = 0.6;
/// How far ahead the slower ones are believed: in between, some may end of which there are few.
const MAX_LEAP: Duration = Duration::from_secs(1);
/// Shortest and longest wait between two looks.
const MIN_WAIT: Duration = Duration::from_millis(10);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What has been learned.
#[derive(Debug)]
pub struct Expectations {
    kinds: [VecDeque<Duration>; KINDS],
    texts: Cache<u64, Duration>,
    /// What a query takes while nothing is known.
    prior: Duration,
}

impl Expectations {
    pub fn new(prior: Duration) -> Self {
        Self { kinds: Default::default(), texts: Cache::new(TEXTS), prior }
    }

    /// A query has ended after so long.
    pub fn learn(&mut self, kind: Likeness, text: u64, took: Duration) {
        let durations = &mut self.kinds[kind as usize];
        if durations.len() == REMEMBERED {
            durations.pop_front();
        }
        durations.push_back(took);
        self.texts.insert(text, took);
    }

    /// The age at which a query is first asked about.
    pub fn first_look(&self, kind: Likeness, text: u64) -> Duration {
        let same_text = self.texts.get(&text).map(|took| took.mul_f64(SAME_TEXT_SHARE));
        let age = same_text.or_else(|| self.early(kind, Duration::ZERO)).unwrap_or(self.prior);
        // However long others took: the caller may have a deadline, and wants to know that it runs.
        age.clamp(MIN_WAIT, MAX_WAIT)
    }

    /// The age at which a query that goes on is asked about again.
    pub fn next_look(&self, kind: Likeness, age: Duration) -> Duration {
        let slower = self.early(kind, age.mul_f64(1.1)).filter(|expected| *expected <= age + MAX_LEAP.max(2 * age));
        let expected = slower.unwrap_or(age + age.max(self.prior).mul_f64(UNKNOWN_GROWTH));
        expected.clamp(age + MIN_WAIT.max(age / 20), age + MAX_WAIT)
    }

    /// When an early share of those ends that take longer than this.
    fn early(&self, kind: Likeness, beyond: Duration) -> Option<Duration> {
        let mut longer: Vec<Duration> =
            self.kinds[kind as usize].iter().copied().filter(|took| *took > beyond).collect();
        if longer.len() < MIN_REMEMBERED {
            return None;
        }
        longer.sort_unstable();
        Some(longer[(longer.len() as f64 * EARLY_SHARE) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Duration = Duration::from_millis(300);

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Looks at a query that ends after so long.
    fn looks(expectations: &Expectations, text: u64, took: Duration) -> Vec<Duration> {
        let mut ages = vec![expectations.first_look(Likeness::Query, text)];
        while *ages.last().expect("one look at least") < took {
            ages.push(expectations.next_look(Likeness::Query, *ages.last().expect("one")));
        }
        ages
    }

    #[test]
    fn a_query_of_seven_tenths_of_a_second_takes_three_looks_at_most() {
        let mut expectations = Expectations::new(PRIOR);
        assert!(looks(&expectations, 1, millis(700)).len() <= 3, "nothing is known");
        for _ in 0..10 {
            expectations.learn(Likeness::Query, 7, millis(700));
        }
        assert!(looks(&expectations, 1, millis(720)).len() <= 2, "those of its kind are known");
        assert!(looks(&expectations, 7, millis(700)).len() <= 2, "its text is known");
        for _ in 0..30 {
            expectations.learn(Likeness::Query, 9, millis(40));
        }
        let ages = looks(&expectations, 1, millis(700));
        assert!(ages.len() <= 3 && ages[0] == millis(40), "short ones and long ones are known: {ages:?}");
    }

    #[test]
    fn what_is_known_of_a_text_goes_before_its_kind() {
        let mut expectations = Expectations::new(PRIOR);
        (0..20).for_each(|_| expectations.learn(Likeness::Query, 1, millis(2000)));
        expectations.learn(Likeness::Query, 2, millis(100));
        assert_eq!(expectations.first_look(Likeness::Query, 2), millis(95));
        assert_eq!(expectations.first_look(Likeness::Query, 3), millis(2000));
        assert_eq!(expectations.first_look(Likeness::Explain, 3), PRIOR);
    }

    #[test]
    fn long_queries_are_asked_about_seldom_and_no_wait_is_long() {
        let expectations = Expectations::new(PRIOR);
        let ages = looks(&expectations, 1, Duration::from_secs(60));
        assert!(ages.len() < 25, "{}", ages.len());
        assert!(ages.windows(2).all(|pair| pair[1] - pair[0] <= MAX_WAIT && pair[1] > pair[0]));
    }
}
