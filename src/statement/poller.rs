//! One poller for all queries in flight: BatchGetQueryExecution for up to 50 of them at a time, often for young ones and
//! seldom for old ones, inside the account's quotas (athena-behaviour, section 1). One or two queries are asked for one
//! by one: GetQueryExecution has five times the quota.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_athena::types::{EncryptionOption, QueryExecution, QueryExecutionState};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::QueryId;
use crate::aws::{AwsError, Clients};
use crate::error::Kind;

/// First wait before a young query is asked about. Small statements finish within it; later waits grow with the
/// query's age to spare the account's quota.
const FIRST_POLL: Duration = Duration::from_millis(20);
/// Longest wait between two looks at a query.
const SLOWEST_POLL: Duration = Duration::from_secs(2);
/// A wait is this fraction of the query's age.
const AGE_DIVISOR: u32 = 5;
/// Ids that one BatchGetQueryExecution takes.
const MAX_BATCH: usize = 50;
/// Up to so many due queries are asked for one by one.
const FEW: usize = 2;
/// Of the 20 batch calls a second that an account has, and its burst of 40, what this gateway takes.
const BATCH_CALLS: Quota = Quota { per_second: 15.0, burst: 30.0 };
/// Of the 100 single calls a second, and their burst of 200, the same.
const SINGLE_CALLS: Quota = Quota { per_second: 75.0, burst: 150.0 };
/// Failed looks in a row after which a query's caller is told; each is waited for twice as long as the one before.
const MAX_FAILURES: u32 = 10;
/// A look takes at most so long: all queries wait for it.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the batch call is left alone where it is denied or unknown, and where it fails.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);
const FAILED_PAUSE: Duration = Duration::from_secs(60);

/// How far a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// How a query ended, with its figures.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub id: QueryId,
    pub state: QueryState,
    pub reason: Option<String>,
    /// `AthenaError`: category, type, retryable.
    pub error: Option<(i32, i32, bool)>,
    pub statement_type: String,
    pub substatement_type: String,
    pub output_location: Option<String>,
    /// The list of files that an UNLOAD or a CREATE TABLE AS wrote.
    pub manifest_location: Option<String>,
    /// The result objects are encrypted by Athena itself (CSE_KMS): only its pages can be read.
    pub is_client_encrypted: bool,
    pub scanned_bytes: i64,
    pub queue_ms: i64,
    pub total_ms: i64,
}

impl Outcome {
    /// What GetQueryExecution says about a query that has ended; `None` while it has not.
    pub fn of(execution: &QueryExecution) -> Option<Self> {
        let status = execution.status()?;
        let state = match status.state()? {
            QueryExecutionState::Succeeded => QueryState::Succeeded,
            QueryExecutionState::Failed => QueryState::Failed,
            QueryExecutionState::Cancelled => QueryState::Cancelled,
            _ => return None,
        };
        let statistics = execution.statistics();
        let error = status.athena_error();
        Some(Self {
            id: QueryId::new(execution.query_execution_id().unwrap_or_default()),
            state,
            reason: status.state_change_reason().map(str::to_owned),
            error: error.map(|error| {
                (error.error_category().unwrap_or_default(), error.error_type().unwrap_or_default(), error.retryable())
            }),
            statement_type: execution.statement_type().map(|t| t.as_str().to_owned()).unwrap_or_default(),
            substatement_type: execution.substatement_type().unwrap_or_default().to_owned(),
            output_location: execution
                .result_configuration()
                .and_then(|configuration| configuration.output_location())
                .map(str::to_owned),
            manifest_location: statistics.and_then(|s| s.data_manifest_location()).map(str::to_owned),
            is_client_encrypted: execution
                .result_configuration()
                .and_then(|configuration| configuration.encryption_configuration())
                .is_some_and(|encryption| *encryption.encryption_option() == EncryptionOption::CseKms),
            scanned_bytes: statistics.and_then(|s| s.data_scanned_in_bytes()).unwrap_or_default(),
            queue_ms: statistics.and_then(|s| s.query_queue_time_in_millis()).unwrap_or_default(),
            total_ms: statistics.and_then(|s| s.total_execution_time_in_millis()).unwrap_or_default(),
        })
    }
}

/// What is seen of a query that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub state: QueryState,
    pub scanned_bytes: i64,
}

impl Look {
    fn of(execution: &QueryExecution) -> Self {
        let state = execution.status().and_then(|status| status.state());
        let state = if state == Some(&QueryExecutionState::Running) { QueryState::Running } else { QueryState::Queued };
        let scanned_bytes = execution.statistics().and_then(|s| s.data_scanned_in_bytes()).unwrap_or_default();
        Self { state, scanned_bytes }
    }
}

/// What a waiting caller is told.
#[derive(Debug, Clone)]
enum News {
    None,
    Look(Look),
    Ended(Box<Result<Outcome, AwsError>>),
}

/// Gives out waits for queries; the work is one task for all of them.
#[derive(Debug, Clone)]
pub struct Poller {
    added: mpsc::Sender<Watched>,
}

struct Watched {
    id: QueryId,
    started: Instant,
    due: Instant,
    failures: u32,
    /// Closed by all who waited: then nobody asks any more.
    news: watch::Sender<News>,
}

impl Poller {
    /// Starts the task, which ends when the last handle is dropped.
    pub fn start(clients: Clients) -> Self {
        let (added, receiver) = mpsc::channel(1024);
        let task = Task {
            clients,
            batches: Budget::full(BATCH_CALLS),
            singles: Budget::full(SINGLE_CALLS),
            batch_paused: None,
            watched: HashMap::new(),
        };
        tokio::spawn(task.run(receiver));
        Self { added }
    }

    /// Waits until a query has ended. Dropping the wait ends the asking, and so does `go_on` when it is shown something
    /// on which it will not: then there is no outcome.
    pub async fn wait(&self, id: &QueryId, mut go_on: impl FnMut(Look) -> bool) -> Result<Option<Outcome>, AwsError> {
        let (news, mut told) = watch::channel(News::None);
        let now = Instant::now();
        let watched = Watched { id: id.clone(), started: now, due: now + FIRST_POLL, failures: 0, news };
        let gone = || AwsError {
            operation: "athena:BatchGetQueryExecution",
            code: String::new(),
            message: "the gateway is stopping".to_owned(),
            kind: Kind::Unavailable,
            status: 0,
        };
        self.added.send(watched).await.map_err(|_| gone())?;
        loop {
            told.changed().await.map_err(|_| gone())?;
            let news = told.borrow_and_update().clone();
            match news {
                News::Ended(answer) => return answer.map(Some),
                News::Look(look) if !go_on(look) => return Ok(None),
                News::Look(_) | News::None => {}
            }
        }
    }
}

/// Calls a second in the long run, and at once after a pause.
#[derive(Debug, Clone, Copy)]
struct Quota {
    per_second: f64,
    burst: f64,
}

/// A token bucket for calls.
struct Budget {
    quota: Quota,
    tokens: f64,
    filled: Instant,
}

impl Budget {
    fn full(quota: Quota) -> Self {
        Self { quota, tokens: quota.burst, filled: Instant::now() }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let gained = now.duration_since(self.filled).as_secs_f64() * self.quota.per_second;
        self.tokens = (self.tokens + gained).min(self.quota.burst);
        self.filled = now;
    }

    /// Whether so many calls can be made at once.
    fn has(&mut self, calls: usize) -> bool {
        self.refill();
        self.tokens >= calls as f64
    }

    /// Takes one call, waiting for it where there is none left.
    async fn take(&mut self) {
        self.refill();
        if self.tokens < 1.0 {
            tokio::time::sleep(Duration::from_secs_f64((1.0 - self.tokens) / self.quota.per_second)).await;
            self.tokens = 1.0;
            self.filled = Instant::now();
        }
        self.tokens -= 1.0;
    }
}

struct Task {
    clients: Clients,
    batches: Budget,
    singles: Budget,
    /// Until when each query is asked for by itself, because the batch call does not work.
    batch_paused: Option<Instant>,
    watched: HashMap<QueryId, Watched>,
}

impl Task {
    async fn run(mut self, mut added: mpsc::Receiver<Watched>) {
        loop {
            let due = self.watched.values().map(|watched| watched.due).min();
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                watched = added.recv() => match watched {
                    Some(watched) => {
                        self.watched.insert(watched.id.clone(), watched);
                    }
                    None => return,
                },
                () = timer => self.look().await,
            }
        }
    }

    /// Asks about the queries that are due, the longest overdue first.
    async fn look(&mut self) {
        self.watched.retain(|_, watched| !watched.news.is_closed());
        let now = Instant::now();
        let mut due: Vec<(Instant, QueryId)> =
            self.watched.values().filter(|w| w.due <= now).map(|w| (w.due, w.id.clone())).collect();
        if due.is_empty() {
            return;
        }
        due.sort();
        self.batch_paused = self.batch_paused.filter(|until| *until > now);
        let batch = self.batch_paused.is_none() && (due.len() > FEW || !self.singles.has(due.len()));
        due.truncate(if batch { MAX_BATCH } else { 1 });
        let ids: Vec<QueryId> = due.into_iter().map(|(_, id)| id).collect();
        let found = if batch {
            self.batches.take().await;
            self.batch(&ids).await
        } else {
            self.singles.take().await;
            self.single(&ids[0]).await
        };
        match found {
            Ok(executions) => {
                for id in ids {
                    let execution = executions.iter().find(|e| e.query_execution_id() == Some(id.as_str()));
                    match execution.map(|execution| Outcome::of(execution).ok_or_else(|| Look::of(execution))) {
                        Some(Ok(outcome)) => self.answer(&id, Ok(outcome)),
                        Some(Err(look)) => {
                            if let Some(watched) = self.watched.get(&id) {
                                watched.news.send_replace(News::Look(look));
                            }
                            self.postpone(&id, None);
                        }
                        None => self.postpone(&id, Some(not_described(&id))),
                    }
                }
            }
            Err(error) if batch && error.kind != Kind::ResourceExhausted => {
                let pause = if is_refused(&error) { REFUSED_PAUSE } else { FAILED_PAUSE };
                tracing::info!(%error, seconds = pause.as_secs(), "queries are asked for one by one for a while");
                self.batch_paused = Some(now + pause);
            }
            Err(error) => ids.iter().for_each(|id| self.postpone(id, Some(error.clone()))),
        }
    }

    async fn batch(&self, ids: &[QueryId]) -> Result<Vec<QueryExecution>, AwsError> {
        let ids = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let call = self.clients.athena.batch_get_query_execution().set_query_execution_ids(Some(ids));
        let answer = call.customize().config_override(once()).send().await;
        let answer = answer.map_err(|error| AwsError::new("athena:BatchGetQueryExecution", error))?;
        Ok(answer.query_executions().to_vec())
    }

    async fn single(&self, id: &QueryId) -> Result<Vec<QueryExecution>, AwsError> {
        let call = self.clients.athena.get_query_execution().query_execution_id(id.as_str());
        let answer = call.customize().config_override(once()).send().await;
        let answer = answer.map_err(|error| AwsError::new("athena:GetQueryExecution", error))?;
        Ok(answer.query_execution().cloned().into_iter().collect())
    }

    fn answer(&mut self, id: &QueryId, answer: Result<Outcome, AwsError>) {
        if let Some(watched) = self.watched.remove(id) {
            let _ = watched.news.send(News::Ended(Box::new(answer)));
        }
    }

    fn postpone(&mut self, id: &QueryId, failure: Option<AwsError>) {
        let Some(watched) = self.watched.get_mut(id) else { return };
        let now = Instant::now();
        watched.failures = if failure.is_some() { watched.failures + 1 } else { 0 };
        let by_age = now.duration_since(watched.started) / AGE_DIVISOR;
        let by_failures = FIRST_POLL * 2_u32.pow(watched.failures.min(MAX_FAILURES));
        watched.due = now + by_age.max(by_failures).clamp(FIRST_POLL, SLOWEST_POLL);
        if let Some(error) = failure.filter(|_| watched.failures >= MAX_FAILURES) {
            self.answer(id, Err(error));
        }
    }
}

/// No retries by the SDK: they would hold up all other queries, and the next look is one.
fn once() -> aws_sdk_athena::config::Builder {
    let timeout = TimeoutConfig::builder().operation_timeout(LOOK_TIMEOUT).build();
    aws_sdk_athena::config::Config::builder().retry_config(RetryConfig::disabled()).timeout_config(timeout)
}

fn not_described(id: &QueryId) -> AwsError {
    AwsError {
        operation: "athena:BatchGetQueryExecution",
        code: String::new(),
        message: format!("Athena does not know query {id} any more"),
        kind: Kind::NotFound,
        status: 0,
    }
}

fn is_refused(error: &AwsError) -> bool {
    error.is_unsupported_operation() || error.kind == Kind::PermissionDenied
}
