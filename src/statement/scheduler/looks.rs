//! Asking how far queries are: GetQueryExecution for a few, BatchGetQueryExecution for up to 50 of one identity.
//!
//! Each call is a task of its own. One that has not been answered for [`HEDGE`] holds up nobody: the queries it asks about
//! are asked about again. What a call brings counts once, whichever comes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_athena::types::QueryExecution;
use tokio::time::Instant;

use super::quota::{Bucket, Quotas};
use super::{FIRST_RETRY, Inner, MAX_RETRY, Running, ScheduleError, State, Update, is_outage, jittered};
use crate::aws::{AwsError, Clients};
use crate::error::Kind;
use crate::statement::{Look, Outcome, QueryId};

/// Ids that one BatchGetQueryExecution takes.
const MAX_BATCH: usize = 50;
/// Up to so many due queries of one identity are asked about one by one: GetQueryExecution has five times the quota.
const MAX_SINGLES: usize = 2;
/// Calls under way at once.
const MAX_CALLS: usize = 64;
/// Calls under way that ask about one query.
const MAX_CALLS_PER_QUERY: usize = 2;
/// A call that takes longer is made a second time, and how long one may take.
const HEDGE: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a query is asked about again after a throttled call.
const THROTTLED_PAUSE: Duration = Duration::from_millis(500);
/// How long a definite refusal is doubted: a query that was just started may not be known everywhere yet.
const REFUSED_BUDGET: Duration = Duration::from_secs(20);
/// How long the batch call is left alone where it is denied or unknown, and where it fails.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);
const FAILED_PAUSE: Duration = Duration::from_secs(60);
/// Identities whose batch calls are left alone.
const MAX_PAUSED: usize = 1024;

/// What is known of the calls themselves.
#[derive(Debug)]
pub struct Looks {
    singles: Bucket,
    batches: Bucket,
    calls: usize,
    /// Until when an identity's queries are asked about one by one.
    batch_paused: HashMap<u64, Instant>,
}

impl Looks {
    pub fn new(quotas: &Quotas, now: Instant) -> Self {
        Self {
            singles: Bucket::new(quotas.get, now),
            batches: Bucket::new(quotas.batch_get, now),
            calls: 0,
            batch_paused: HashMap::new(),
        }
    }
}

/// One call: which queries it asks about.
#[derive(Debug)]
pub struct LookCall {
    clients: Clients,
    queries: Vec<(u64, QueryId)>,
    is_batch: bool,
}

impl State {
    /// The calls to make now, and when there may be more to ask.
    pub fn take_looks(&mut self, now: Instant) -> (Vec<LookCall>, Option<Instant>) {
        let mut due: HashMap<u64, Vec<(Instant, u64)>> = HashMap::new();
        for (ticket, running) in self.running.iter().filter(|(_, running)| running.is_due(now)) {
            due.entry(running.job.clients.identity()).or_default().push((running.due, *ticket));
        }
        let mut groups: Vec<_> = due.into_iter().collect();
        groups.iter_mut().for_each(|(_, queries)| queries.sort_unstable());
        // The identity that has waited longest goes first.
        groups.sort_unstable_by_key(|(_, queries)| queries.first().copied());
        self.looks.batch_paused.retain(|_, until| *until > now);
        let (mut calls, mut blocked) = (Vec::new(), None);
        for (identity, queries) in groups {
            blocked = self.take_group(identity, &queries, now, &mut calls);
            if blocked.is_some() {
                break;
            }
        }
        let upcoming = self.running.values().filter(|running| !running.is_due(now)).map(Running::next_look).min();
        (calls, [blocked, upcoming].into_iter().flatten().min())
    }

    /// Calls for the due queries of one identity. When there is no call left, says when there is one again.
    fn take_group(
        &mut self,
        identity: u64,
        queries: &[(Instant, u64)],
        now: Instant,
        calls: &mut Vec<LookCall>,
    ) -> Option<Instant> {
        let looks = &mut self.looks;
        let may_batch = !looks.batch_paused.contains_key(&identity);
        let is_batch = may_batch && (queries.len() > MAX_SINGLES || looks.singles.available(now) < queries.len());
        for chunk in queries.chunks(if is_batch { MAX_BATCH } else { 1 }) {
            let looks = &mut self.looks;
            if looks.calls >= MAX_CALLS {
                // The end of any of them wakes us.
                return Some(now + HEDGE);
            }
            let bucket = if is_batch { &mut looks.batches } else { &mut looks.singles };
            if !bucket.try_take(now) {
                return Some(bucket.next(now));
            }
            let mut asked = Vec::with_capacity(chunk.len());
            let mut clients = None;
            for (_, ticket) in chunk {
                let Some(running) = self.running.get_mut(ticket) else { continue };
                running.looking += 1;
                running.looked_at = now;
                asked.push((*ticket, running.id.clone()));
                clients = Some(running.job.clients.clone());
            }
            if let Some(clients) = clients {
                self.looks.calls += 1;
                calls.push(LookCall { clients, queries: asked, is_batch });
            }
        }
        None
    }
}

impl Running {
    fn is_due(&self, now: Instant) -> bool {
        self.looking < MAX_CALLS_PER_QUERY && self.next_look() <= now
    }

    fn next_look(&self) -> Instant {
        match self.looking {
            0 => self.due,
            1 => self.looked_at + HEDGE,
            // An answer comes, or the calls time out.
            _ => self.looked_at + 2 * CALL_TIMEOUT,
        }
    }
}

impl Inner {
    /// Makes a call, and tells those who wait what it brought.
    pub(super) async fn look(self: Arc<Self>, call: LookCall) {
        let found = if call.is_batch {
            batch(&call.clients, &call.queries).await
        } else {
            single(&call.clients, &call.queries[0].1).await
        };
        let now = Instant::now();
        let mut state = self.state();
        state.looks.calls -= 1;
        for (ticket, _) in &call.queries {
            if let Some(running) = state.running.get_mut(ticket) {
                running.looking = running.looking.saturating_sub(1);
            }
        }
        match found {
            Ok(executions) => {
                for (ticket, id) in &call.queries {
                    let execution = executions.iter().find(|found| found.query_execution_id() == Some(id.as_str()));
                    match execution {
                        Some(execution) => self.seen(&mut state, *ticket, execution, now),
                        None => self.not_seen(&mut state, *ticket, &not_described(id), now),
                    }
                }
            }
            Err(error) if error.is_throttled() => {
                let looks = &mut state.looks;
                let bucket = if call.is_batch { &mut looks.batches } else { &mut looks.singles };
                bucket.throttled(now);
                for (ticket, _) in &call.queries {
                    if let Some(running) = state.running.get_mut(ticket) {
                        running.due = now + jittered(THROTTLED_PAUSE);
                    }
                }
            }
            // They are asked about one by one, at once: whether AWS is out of reach, or only this call fails, those will tell.
            Err(error) if call.is_batch => {
                let pause = if is_refused(&error) { REFUSED_PAUSE } else { FAILED_PAUSE };
                tracing::info!(%error, seconds = pause.as_secs(), "queries are asked about one by one for a while");
                if state.looks.batch_paused.len() < MAX_PAUSED {
                    state.looks.batch_paused.insert(call.clients.identity(), now + pause);
                }
            }
            Err(error) => {
                call.queries.iter().for_each(|(ticket, _)| self.not_seen(&mut state, *ticket, &error, now));
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    fn seen(self: &Arc<Self>, state: &mut State, ticket: u64, execution: &QueryExecution, now: Instant) {
        let Some(running) = state.running.get_mut(&ticket) else { return };
        let (age, kind, text) = (now - running.started, running.job.kind, running.job.text());
        if let Some(outcome) = Outcome::of(execution) {
            // Athena's own figure, where it has one: ours ends with the look.
            let took = u64::try_from(outcome.total_ms).ok().filter(|millis| *millis > 0);
            let took = took.map_or(age, |millis| Duration::from_millis(millis).min(age));
            state.expectations.learn(kind, text, took);
            self.end(state, ticket, Ok(outcome));
        } else {
            running.failing_since = None;
            running.due = running.started + state.expectations.next_look(kind, age);
            running.updates.send_replace(Update::Look(running.id.clone(), Look::of(execution)));
        }
    }

    /// A call about a query failed. It runs on: how long that is borne depends on what it was.
    fn not_seen(self: &Arc<Self>, state: &mut State, ticket: u64, error: &AwsError, now: Instant) {
        let Some(running) = state.running.get_mut(&ticket) else { return };
        let since = *running.failing_since.get_or_insert(now);
        let budget =
            if is_outage(error) { self.options.outage_budget } else { REFUSED_BUDGET.min(self.options.outage_budget) };
        let failing = now - since;
        if failing >= budget {
            let (query_id, source) = (Some(running.id.clone()), error.clone());
            return self.give_up(state, ticket, ScheduleError::Aws { query_id, source });
        }
        running.due = now + jittered((failing / 2).clamp(FIRST_RETRY, MAX_RETRY));
    }

    /// Tells the caller how it ended.
    fn end(&self, state: &mut State, ticket: u64, result: Result<Outcome, ScheduleError>) {
        let Some(running) = state.running.remove(&ticket) else { return };
        state.release(&running.job.lane.owner);
        running.updates.send_replace(Update::Ended(Box::new(result)));
    }

    /// The same for a query that runs on, perhaps: it is stopped when AWS can be told.
    fn give_up(self: &Arc<Self>, state: &mut State, ticket: u64, error: ScheduleError) {
        if let Some(running) = state.running.get(&ticket) {
            self.stop(running.job.clients.clone(), running.id.clone());
        }
        self.end(state, ticket, Err(error));
    }
}

async fn batch(clients: &Clients, queries: &[(u64, QueryId)]) -> Result<Vec<QueryExecution>, AwsError> {
    let ids = queries.iter().map(|(_, id)| id.as_str().to_owned()).collect();
    let call = clients.athena.batch_get_query_execution().set_query_execution_ids(Some(ids));
    let answer = call.customize().config_override(once()).send().await;
    let answer = answer.map_err(|error| AwsError::new("athena:BatchGetQueryExecution", error))?;
    Ok(answer.query_executions().to_vec())
}

async fn single(clients: &Clients, id: &QueryId) -> Result<Vec<QueryExecution>, AwsError> {
    let call = clients.athena.get_query_execution().query_execution_id(id.as_str());
    let answer = call.customize().config_override(once()).send().await;
    let answer = answer.map_err(|error| AwsError::new("athena:GetQueryExecution", error))?;
    Ok(answer.query_execution().cloned().into_iter().collect())
}

/// No retries by the SDK: the next look is one, and the quota is counted here.
fn once() -> aws_sdk_athena::config::Builder {
    let timeout = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
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
