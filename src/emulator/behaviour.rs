//! Behaviour on demand: quotas, limits, latencies, faults, credentials and policies, set at start or at run time.
//!
//! One JSON document says it all; what it leaves out is off. It is read by `--behaviour FILE` and by the admin API.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::iam::Policy;
use super::model::Failure;

/// Athena's published calls per second, with burst (athena-behaviour, section 1). Those without a published quota are
/// limited where the account was seen to be.
pub const PUBLISHED: [(&str, f64, f64); 9] = [
    ("StartQueryExecution", 20.0, 80.0),
    ("StopQueryExecution", 20.0, 80.0),
    ("GetQueryExecution", 100.0, 200.0),
    ("GetQueryResults", 100.0, 200.0),
    ("BatchGetQueryExecution", 20.0, 40.0),
    ("ListQueryExecutions", 5.0, 10.0),
    ("GetTableMetadata", 40.0, 40.0),
    ("ListTableMetadata", 40.0, 40.0),
    ("ListDatabases", 40.0, 40.0),
];

/// The document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Athena's published calls per second.
    pub quotas: bool,
    /// Calls per second and burst by operation, instead of the published ones.
    pub calls_per_second: BTreeMap<String, (f64, f64)>,
    /// Statements queued and running at once; one more is refused with TooManyRequestsException.
    pub concurrent_queries: Option<usize>,
    /// Statements running at once; more wait as QUEUED.
    pub running_queries: Option<usize>,
    pub latency: Latency,
    pub faults: Vec<Fault>,
    /// Whether signatures are checked; then only known access keys may sign.
    pub verify_signatures: bool,
    /// Access keys that are known.
    pub credentials: Vec<Credential>,
    /// Policy documents by access key or role ARN; `*` binds everyone without one of their own.
    pub policies: HashMap<String, Arc<Policy>>,
    /// Roles that may be assumed; an empty list lets every role be assumed.
    pub roles: Vec<Role>,
}

impl Settings {
    /// Reads the document.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Checks signatures; where no credentials are named, `local` with the secret `local` is known.
    pub fn verifying_signatures(mut self) -> Self {
        self.verify_signatures = true;
        if self.credentials.is_empty() {
            let local = "local".to_owned();
            self.credentials.push(Credential { access_key_id: local.clone(), secret_access_key: local });
        }
        self
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// Before a statement leaves QUEUED.
    pub queue: Option<Delay>,
    /// What a statement takes at least.
    pub run: Option<Delay>,
    /// Before a call is answered.
    pub call: Option<Delay>,
}

/// A distribution of times, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Delay {
    Fixed(f64),
    /// From, to.
    Uniform(f64, f64),
    /// Median, and the standard deviation of the logarithm.
    LogNormal(f64, f64),
}

impl Delay {
    pub fn sample(self) -> Duration {
        let millis = match self {
            Self::Fixed(millis) => millis,
            Self::Uniform(from, to) => from + (to - from) * random(),
            Self::LogNormal(median, sigma) => {
                // Box and Muller's transform.
                let normal =
                    (-2.0 * random().max(f64::MIN_POSITIVE).ln()).sqrt() * (std::f64::consts::TAU * random()).cos();
                median * (sigma * normal).exp()
            }
        };
        const LONGEST_MILLIS: f64 = 3_600_000.0;
        Duration::from_secs_f64(if millis.is_finite() { millis.clamp(0.0, LONGEST_MILLIS) / 1000.0 } else { 0.0 })
    }
}

/// Uniform in [0, 1).
fn random() -> f64 {
    const UNIT: f64 = (1_u64 << 53) as f64;
    (uuid::Uuid::new_v4().as_u64_pair().1 % (1 << 53)) as f64 / UNIT
}

/// A rule that makes calls fail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `athena`, `glue`, `sts`, `s3`, `lakeformation`; any if left out.
    pub service: Option<String>,
    /// `GetObject`, `StartQueryExecution`, …; any if left out.
    pub operation: Option<String>,
    /// For S3: a part of the key; for statements: a part of the text.
    pub contains: Option<String>,
    #[serde(default = "always")]
    pub probability: f64,
    /// How often it may strike; for ever if left out.
    pub times: Option<u64>,
    pub kind: FaultKind,
}

fn always() -> f64 {
    1.0
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// ThrottlingException; for S3 SlowDown.
    Throttling,
    /// An answer of this status, 500 to 599.
    ServerError(u16),
    /// The connection is reset before an answer.
    ConnectionReset,
    /// The body ends after so many bytes.
    TruncatedBody(u64),
    /// The body comes at so many bytes a second.
    SlowBody(u64),
    /// The object is not there.
    MissingObject,
    ExpiredToken,
    AccessDenied,
    /// The bucket, or the signature, is another region's.
    WrongRegion,
    /// A statement fails with this error.
    QueryFailure {
        category: i32,
        error_type: i32,
        message: String,
        #[serde(default)]
        retryable: bool,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub access_key_id: String,
    pub secret_access_key: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub arn: String,
    pub external_id: Option<String>,
    /// What a session lasts, in seconds, whatever the caller asks for: AWS's least of 900 is long for a test.
    pub session_seconds: Option<u64>,
}

/// One call, as the admin API lists it.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub service: String,
    pub operation: String,
    pub access_key_id: Option<String>,
    pub region: Option<String>,
    pub has_session_token: bool,
    pub host: Option<String>,
    pub user_agent: Option<String>,
    /// The request's body, or the object it is about, as far as it is remembered.
    pub request: String,
    pub expected_bucket_owner: Option<String>,
    pub status: u16,
    pub at: f64,
}

impl Call {
    /// Bytes of a request that are remembered.
    pub const REQUEST_BYTES: usize = 4096;
}

/// Calls that are remembered; older ones are forgotten.
const REMEMBERED: usize = 10_000;

/// The settings in force, and what they count.
#[derive(Default)]
pub struct Behaviour {
    settings: RwLock<Arc<Settings>>,
    buckets: Mutex<HashMap<String, TokenBucket>>,
    /// How often each fault has struck, by its place in the list.
    strikes: Mutex<HashMap<usize, u64>>,
    calls: Mutex<std::collections::VecDeque<Call>>,
    count: AtomicU64,
    throttled: AtomicU64,
}

struct TokenBucket {
    tokens: f64,
    filled: Instant,
}

impl Behaviour {
    pub fn new(settings: Settings) -> Self {
        Self { settings: RwLock::new(Arc::new(settings)), ..Self::default() }
    }

    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other settings in force; quotas and faults count anew.
    pub fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        lock(&self.buckets).clear();
        lock(&self.strikes).clear();
    }

    /// Takes one call from the operation's allowance; false if there is none left.
    pub fn allows(&self, operation: &str) -> bool {
        let settings = self.settings();
        let own = settings.calls_per_second.get(operation).copied();
        let published =
            || PUBLISHED.iter().find(|(name, ..)| *name == operation).map(|(_, rate, burst)| (*rate, *burst));
        let Some((rate, burst)) = own.or_else(|| settings.quotas.then(published).flatten()) else { return true };
        let mut buckets = lock(&self.buckets);
        let now = Instant::now();
        let bucket = buckets.entry(operation.to_owned()).or_insert(TokenBucket { tokens: burst, filled: now });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.filled).as_secs_f64() * rate).min(burst);
        bucket.filled = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        } else {
            self.throttled.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// The fault that strikes this call, if one does.
    pub fn strikes(&self, service: &str, operation: &str, text: &str) -> Option<FaultKind> {
        let settings = self.settings();
        let applies = |fault: &Fault| {
            fault.service.as_deref().is_none_or(|name| name == service)
                && fault.operation.as_deref().is_none_or(|name| name == operation)
                && fault.contains.as_deref().is_none_or(|part| text.contains(part))
        };
        for (at, fault) in settings.faults.iter().enumerate() {
            let of_statement = matches!(fault.kind, FaultKind::QueryFailure { .. });
            if !applies(fault) || of_statement != (service == STATEMENT) || random() >= fault.probability {
                continue;
            }
            let mut strikes = lock(&self.strikes);
            let struck = strikes.entry(at).or_default();
            if fault.times.is_some_and(|times| *struck >= times) {
                continue;
            }
            *struck += 1;
            return Some(fault.kind.clone());
        }
        None
    }

    /// The failure that strikes a statement, if one does.
    pub fn query_failure(&self, sql: &str) -> Option<Failure> {
        match self.strikes(STATEMENT, "", sql)? {
            FaultKind::QueryFailure { category, error_type, message, retryable } => {
                Some(Failure { category, error_type, message, retryable })
            }
            _ => None,
        }
    }

    pub fn record(&self, call: Call) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut calls = lock(&self.calls);
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// The calls that are remembered, and how many there were and were throttled.
    pub fn calls(&self) -> (Vec<Call>, u64, u64) {
        let calls = lock(&self.calls).iter().cloned().collect();
        (calls, self.count.load(Ordering::Relaxed), self.throttled.load(Ordering::Relaxed))
    }

    pub fn forget_calls(&self) {
        lock(&self.calls).clear();
        self.count.store(0, Ordering::Relaxed);
        self.throttled.store(0, Ordering::Relaxed);
    }
}

/// The service name that faults of statements go by; no call has it.
const STATEMENT: &str = "statement";

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behaviour(document: &str) -> Behaviour {
        Behaviour::new(serde_json::from_str(document).expect("settings"))
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let behaviour = behaviour(r#"{"calls_per_second": {"X": [0.001, 3]}}"#);
        let allowed = (0..5).filter(|_| behaviour.allows("X")).count();
        assert_eq!((allowed, behaviour.allows("Y")), (3, true));
    }

    #[test]
    fn faults_strike_where_and_as_often_as_they_should() {
        let behaviour = behaviour(
            r#"{"faults": [
                {"service": "s3", "operation": "GetObject", "contains": ".csv", "times": 2, "kind": "throttling"},
                {"contains": "boom", "kind": {"query_failure": {"category": 1, "error_type": 233, "message": "m"}}}]}"#,
        );
        let hits = (0..5).filter(|_| behaviour.strikes("s3", "GetObject", "a/b.csv").is_some()).count();
        assert_eq!(hits, 2);
        assert!(behaviour.strikes("athena", "GetQueryResults", "boom").is_none());
        assert_eq!(behaviour.query_failure("select 'boom'").map(|failure| failure.error_type), Some(233));
        assert!(behaviour.query_failure("select 1").is_none());
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"quota": true}"#).is_err());
    }

    #[test]
    fn delays_stay_in_their_range() {
        for _ in 0..100 {
            let uniform = Delay::Uniform(10.0, 20.0).sample();
            assert!((Duration::from_millis(10)..=Duration::from_millis(20)).contains(&uniform));
            assert!(Delay::LogNormal(5.0, 0.5).sample() < Duration::from_secs(10));
        }
    }
}
