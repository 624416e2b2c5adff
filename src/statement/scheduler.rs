//! One scheduler for an AWS account and region: it starts statements, asks how far they are, and stops them, inside the
//! account's quotas and fairly between owners.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`queue`] | statements that wait to be started, by turns |
//! | [`quota`] | calls a second and statements at once, learned downwards from refusals |
//! | [`expect`] | when queries tend to end, so that few calls ask about each |
//! | [`starts`] | StartQueryExecution: who is next, and what becomes of a start |
//! | [`looks`] | GetQueryExecution and BatchGetQueryExecution, side by side |
//!
//! ```text
//! run: waiting ──start──▶ starting ──▶ running ──look, look──▶ ended
//!         ▲                   │            │
//!         └──── throttled ────┘            └─ caller gone: stopped
//! ```
//!
//! One task ([`drive`]) decides; every call to AWS is a task of its own, so that one that hangs holds up nobody. Throttled
//! calls are waited out here. An outage of AWS is waited for as long as the outage budget says: a query that runs costs
//! money, and is not given up because nobody can be asked about it for a moment.

mod expect;
mod looks;
mod queue;
mod quota;
mod starts;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bind::Bound;
use super::{Look, Outcome, QueryId, stop};
use crate::aws::{AwsError, Clients};
use crate::error::Kind;
use crate::owner::Owner;
use crate::session::Session;
use expect::Expectations;
pub use expect::Likeness;
use looks::Looks;
pub use queue::Lane;
use queue::{Bounds, Queue};
pub use quota::Quotas;
use quota::{Bucket, Slots};

/// Bytes of statements that wait, in all.
const MAX_QUEUED_BYTES: usize = 64 << 20;
/// What a query takes while nothing has been learned: on AWS (athena-behaviour, section 1), and on the embedded endpoint.
const PRIOR: Duration = Duration::from_millis(300);
const EMBEDDED_PRIOR: Duration = Duration::from_millis(20);
/// First and longest pause before a call is tried again that AWS could not answer.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const MAX_RETRY: Duration = Duration::from_secs(5);

/// How statements of an account are scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerOptions {
    pub quotas: Quotas,
    /// Statements that may wait to be started.
    pub max_queued: usize,
    /// How long one may wait.
    pub max_queue_wait: Duration,
    /// How long AWS may be out of reach before a query that runs is given up.
    pub outage_budget: Duration,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            quotas: Quotas::default(),
            max_queued: 5000,
            max_queue_wait: Duration::from_secs(15 * 60),
            outage_budget: Duration::from_secs(5 * 60),
        }
    }
}

/// Why a statement was not run to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScheduleError {
    #[error(
        "{queued} statements wait to be started, which is all that may (--max-queued): try again when fewer do, or spread them over time"
    )]
    QueueFull { queued: usize },
    #[error(
        "not started within {seconds} s (--max-queue-wait): {queued} statements wait for Athena's quota; try again later"
    )]
    QueueWait { seconds: u64, queued: usize },
    #[error("{source}")]
    Aws { query_id: Option<QueryId>, source: AwsError },
    #[error("the gateway is shutting down; connect again to run the statement elsewhere")]
    Stopping,
}

/// A statement to run.
#[derive(Debug)]
pub struct Job {
    pub lane: Lane,
    /// Statements of this owner that may be under way at once.
    pub concurrency: Option<usize>,
    pub clients: Clients,
    pub session: Session,
    pub bound: Bound,
    pub kind: Likeness,
}

impl Job {
    fn text(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.lane.owner, &self.bound.sql, &self.session.database).hash(&mut hasher);
        hasher.finish()
    }

    fn bytes(&self) -> usize {
        self.bound.sql.len() + self.bound.values.iter().map(String::len).sum::<usize>()
    }
}

/// How far a statement is.
#[derive(Debug, Clone)]
pub enum Progress {
    /// It waits to be started.
    Waiting(Place),
    Started(QueryId),
    Look(QueryId, Look),
}

/// The place of a statement that waits.
#[derive(Debug, Clone)]
pub struct Place {
    scheduler: Weak<Inner>,
    ticket: u64,
}

impl Place {
    /// Its place in the queue now, from 1; `None` if it waits no more.
    pub fn now(&self) -> Option<usize> {
        self.scheduler.upgrade()?.state().queue.place(self.ticket)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.ticket == other.ticket && self.scheduler.ptr_eq(&other.scheduler)
    }
}

impl Eq for Place {}

/// Calls that are made outside of the scheduler, inside the account's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Results,
    Stop,
}

/// Cloning shares it; it ends with the last clone.
#[derive(Debug, Clone)]
pub struct Scheduler(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: SchedulerOptions,
    state: Mutex<State>,
    wake: Arc<Notify>,
    /// Starts and stops that are on their way; a graceful shutdown waits for them.
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct State {
    next_ticket: u64,
    queue: Queue<Waiting>,
    starting: usize,
    running: HashMap<u64, Running>,
    owners: HashMap<Owner, Use>,
    starts: Bucket,
    stops: Bucket,
    results: Bucket,
    looks: Looks,
    slots: Slots,
    expectations: Expectations,
}

/// What of an owner's is here.
#[derive(Debug, Default)]
struct Use {
    waiting: usize,
    under_way: usize,
    limit: Option<usize>,
}

/// What a caller is told.
#[derive(Debug, Clone)]
enum Update {
    Waiting,
    Started(QueryId),
    Look(QueryId, Look),
    Ended(Box<Result<Outcome, ScheduleError>>),
}

/// A statement that waits to be started.
#[derive(Debug)]
struct Waiting {
    job: Arc<Job>,
    /// The same for every try, so that none runs twice.
    token: String,
    updates: watch::Sender<Update>,
}

/// A query that runs.
#[derive(Debug)]
struct Running {
    job: Arc<Job>,
    id: QueryId,
    started: Instant,
    /// When it is asked about next.
    due: Instant,
    /// Calls under way that ask about it, and when the last one was made.
    looking: usize,
    looked_at: Instant,
    failing_since: Option<Instant>,
    updates: watch::Sender<Update>,
}

impl Scheduler {
    /// Starts one. `embedded` says that statements take milliseconds until something else is learned.
    pub fn new(options: SchedulerOptions, embedded: bool, tasks: TaskTracker, shutdown: CancellationToken) -> Self {
        let now = Instant::now();
        let quotas = &options.quotas;
        let state = State {
            next_ticket: 0,
            queue: Queue::new(Bounds { entries: options.max_queued, bytes: MAX_QUEUED_BYTES }),
            starting: 0,
            running: HashMap::new(),
            owners: HashMap::new(),
            starts: Bucket::new(quotas.start, now),
            stops: Bucket::new(quotas.stop, now),
            results: Bucket::new(quotas.results, now),
            looks: Looks::new(quotas, now),
            slots: Slots::new(now),
            expectations: Expectations::new(if embedded { EMBEDDED_PRIOR } else { PRIOR }),
        };
        let wake = Arc::new(Notify::new());
        let inner = Arc::new(Inner { options, state: Mutex::new(state), wake: Arc::clone(&wake), tasks, shutdown });
        tokio::spawn(drive(Arc::downgrade(&inner), wake));
        Self(inner)
    }

    pub(crate) fn downgrade(&self) -> WeakScheduler {
        WeakScheduler(Arc::downgrade(&self.0))
    }

    /// Runs a statement to its end. Dropping the future takes it out of the queue or stops it, and so does `keep_waiting`
    /// when it is shown something on which it will not: then there is no outcome.
    pub async fn run(
        &self,
        job: Job,
        mut keep_waiting: impl FnMut(&Progress) -> bool,
    ) -> Result<Option<Outcome>, ScheduleError> {
        let inner = &self.0;
        let (updates, told) = watch::channel(Update::Waiting);
        let ticket = inner.enqueue(job, updates);
        let mut interest = Interest { inner: Arc::clone(inner), ticket, has_ended: false };
        // Dropped before the interest: a start that ends at this moment either sees that nobody waits, or is found by it.
        let mut told = told;
        let progress = Progress::Waiting(Place { scheduler: Arc::downgrade(inner), ticket });
        if !keep_waiting(&progress) {
            return Ok(None);
        }
        let start_by = tokio::time::sleep(inner.options.max_queue_wait);
        tokio::pin!(start_by);
        let mut is_waiting = true;
        loop {
            let update = told.borrow_and_update().clone();
            let progress = match update {
                Update::Waiting => None,
                Update::Started(id) => Some(Progress::Started(id)),
                Update::Look(id, look) => Some(Progress::Look(id, look)),
                Update::Ended(result) => {
                    interest.has_ended = true;
                    return result.map(Some);
                }
            };
            if let Some(progress) = progress {
                is_waiting = false;
                if !keep_waiting(&progress) {
                    return Ok(None);
                }
            }
            tokio::select! {
                changed = told.changed() => changed.map_err(|_| ScheduleError::Stopping)?,
                () = &mut start_by, if is_waiting => {
                    is_waiting = false;
                    // One that is being started at this moment goes on.
                    if let Some(queued) = inner.leave_queue(ticket) {
                        interest.has_ended = true;
                        let seconds = inner.options.max_queue_wait.as_secs();
                        return Err(ScheduleError::QueueWait { seconds, queued });
                    }
                }
                () = inner.shutdown.cancelled() => return Err(ScheduleError::Stopping),
            }
        }
    }

    /// Makes a call inside the account's quota. Throttled, it is made again, until AWS has throttled it for as long as an outage may last.
    pub async fn paced<T, E, F>(
        &self,
        call: Call,
        is_throttled: impl Fn(&E) -> bool,
        make: impl Fn() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let give_up = Instant::now() + self.0.options.outage_budget;
        loop {
            self.0.permit(call).await;
            match make().await {
                Err(error) if is_throttled(&error) && Instant::now() < give_up => {
                    self.0.state().bucket(call).throttled(Instant::now());
                }
                result => return result,
            }
        }
    }

    /// Statements that wait, and that are being started or run.
    pub fn load(&self) -> (usize, usize) {
        let state = self.0.state();
        (state.queue.len(), state.in_flight())
    }
}

/// Does not keep the scheduler.
#[derive(Debug, Clone)]
pub(crate) struct WeakScheduler(Weak<Inner>);

impl WeakScheduler {
    pub(crate) fn upgrade(&self) -> Option<Scheduler> {
        self.0.upgrade().map(Scheduler)
    }
}

/// Decides, again and again, until nobody needs the scheduler any more.
async fn drive(inner: Weak<Inner>, wake: Arc<Notify>) {
    loop {
        let next = match inner.upgrade() {
            Some(inner) => inner.dispatch(),
            None => return,
        };
        let timer = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = timer => {}
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl State {
    fn in_flight(&self) -> usize {
        self.starting + self.running.len()
    }

    fn bucket(&mut self, call: Call) -> &mut Bucket {
        match call {
            Call::Results => &mut self.results,
            Call::Stop => &mut self.stops,
        }
    }

    fn used(&mut self, owner: &Owner) -> &mut Use {
        self.owners.entry(owner.clone()).or_default()
    }

    /// Forgets an owner of whom nothing is left.
    fn forget(&mut self, owner: &Owner) {
        if self.owners.get(owner).is_some_and(|used| used.waiting == 0 && used.under_way == 0) {
            self.owners.remove(owner);
        }
    }

    /// A statement that was being started or ran does so no more.
    fn release(&mut self, owner: &Owner) {
        let used = self.used(owner);
        used.under_way = used.under_way.saturating_sub(1);
        self.forget(owner);
    }

    /// A statement that waited does so no more.
    fn unqueue(&mut self, owner: &Owner) {
        let used = self.used(owner);
        used.waiting = used.waiting.saturating_sub(1);
        self.forget(owner);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, job: Job, updates: watch::Sender<Update>) -> u64 {
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let used = state.used(&job.lane.owner);
        used.waiting += 1;
        used.limit = job.concurrency;
        let (lane, bytes) = (job.lane.clone(), job.bytes());
        let waiting = Waiting { job: Arc::new(job), token: uuid::Uuid::new_v4().to_string(), updates };
        let evicted = state.queue.push(ticket, &lane, bytes, waiting);
        let queued = state.queue.len();
        for waiting in evicted {
            state.unqueue(&waiting.job.lane.owner);
            let refused = Err(ScheduleError::QueueFull { queued });
            waiting.updates.send_replace(Update::Ended(Box::new(refused)));
            tracing::warn!(owner = %waiting.job.lane.owner, queued, "statement refused: the queue is full");
        }
        drop(state);
        self.wake.notify_one();
        ticket
    }

    /// Takes a statement out of the queue, and says how many waited; `None` if it was not there.
    fn leave_queue(&self, ticket: u64) -> Option<usize> {
        let mut state = self.state();
        let queued = state.queue.len();
        let waiting = state.queue.remove(ticket)?;
        state.unqueue(&waiting.job.lane.owner);
        Some(queued)
    }

    /// Waits for a call of a kind.
    async fn permit(&self, call: Call) {
        loop {
            let next = {
                let (mut state, now) = (self.state(), Instant::now());
                let bucket = state.bucket(call);
                if bucket.try_take(now) {
                    return;
                }
                bucket.next(now)
            };
            tokio::time::sleep_until(next).await;
        }
    }

    /// Starts what may be started and asks about what is due, and says when there will be more to do, if nothing else happens.
    fn dispatch(self: &Arc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        let (starts, start_next) = state.take_starts(now);
        let (looks, look_next) = state.take_looks(now);
        drop(state);
        for (ticket, waiting) in starts {
            self.tasks.spawn(Arc::clone(self).start(ticket, waiting));
        }
        for look in looks {
            tokio::spawn(Arc::clone(self).look(look));
        }
        [start_next, look_next].into_iter().flatten().min()
    }

    /// Stops a query, however often that has to be asked for.
    fn stop(self: &Arc<Self>, clients: Clients, id: QueryId) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(query_id = id.as_str(), "query goes on: the process ended before it could be stopped");
            return;
        };
        let scheduler = Scheduler(Arc::clone(self));
        let stop = async move {
            if let Err(error) = scheduler.stop_query(&clients, &id).await {
                tracing::warn!(query_id = id.as_str(), %error, "query could not be stopped");
            }
        };
        self.tasks.spawn_on(stop, &runtime);
    }

    /// Nobody waits for a statement any more.
    fn abandon(self: &Arc<Self>, ticket: u64) {
        if self.leave_queue(ticket).is_some() {
            return;
        }
        let mut state = self.state();
        // One that is being started is stopped when it has been.
        let Some(running) = state.running.remove(&ticket) else { return };
        state.release(&running.job.lane.owner);
        drop(state);
        self.wake.notify_one();
        self.stop(running.job.clients.clone(), running.id);
    }
}

impl Scheduler {
    /// Asks Athena to stop a query, again while it throttles or cannot be reached. Stopping one that has ended succeeds.
    pub async fn stop_query(&self, clients: &Clients, id: &QueryId) -> Result<(), AwsError> {
        let give_up = Instant::now() + self.0.options.outage_budget;
        let mut pause = FIRST_RETRY;
        loop {
            let stopped = self.paced(Call::Stop, AwsError::is_throttled, || stop::stop(clients, id));
            match stopped.await {
                Err(error) if is_outage(&error) && Instant::now() + pause < give_up => {
                    tokio::time::sleep(jittered(pause)).await;
                    pause = (pause * 2).min(MAX_RETRY);
                }
                result => return result,
            }
        }
    }
}

/// Stops its statement when it is dropped before the end: a caller that goes away drops everything it waited for.
struct Interest {
    inner: Arc<Inner>,
    ticket: u64,
    has_ended: bool,
}

impl Drop for Interest {
    fn drop(&mut self) {
        if !self.has_ended {
            self.inner.abandon(self.ticket);
        }
    }
}

/// Whether AWS may answer the same call in a moment.
fn is_outage(error: &AwsError) -> bool {
    error.kind == Kind::Unavailable
}

/// A pause of between a half and the whole of this, so that those who wait do not all come back at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
