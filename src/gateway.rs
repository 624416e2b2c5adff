//! What the gateway does, without a word of gRPC: run a statement, describe it, hand out its rows, cancel it.
//!
//! | module | says |
//! | --- | --- |
//! | [`request`] | a statement, the values for its parameters, and who is told how far it is |
//! | [`settings`] | what it is told once, and limits |
//! | [`describing`] | a statement before it runs: columns, tables |
//! | [`running`] | a statement run to its end, on the path that suits it |
//! | [`handle`] | what is known of it then |
//! | [`reading`] | its rows |
//! | [`ingesting`] | rows of a stream into a table |
//! | [`streams`] | the rows that are being sent, so that they can be cancelled |
//! | [`error`] | what can go wrong |

mod describing;
mod error;
mod handle;
mod ingesting;
mod reading;
mod request;
mod running;
mod settings;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use moka::future::Cache;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::aws::Clients;
use crate::catalog::Catalog;
use crate::results::budget::Budget;
use crate::results::pages::FirstPage;
use crate::results::path::{Chosen, Described};
use crate::results::unload::{prefix, sweep};
use crate::session::Session;
use crate::statement::bind::Bound;
use crate::statement::stop::stop;
use crate::statement::{Class, Poller, QueryId, Statement};
use streams::Streams;

pub use error::GatewayError;
pub use handle::{Finished, ResultHandle, Rows};
pub use reading::Batches;
pub use request::{Phase, Request};
pub use settings::{DEFAULT_MEMORY_LIMIT, DEFAULT_UNLOAD_TTL, Limits, Settings};

/// First pages kept between GetFlightInfo and DoGet, in bytes and in time.
const FIRST_PAGES_BYTES: u64 = 64 << 20;
const FIRST_PAGE_AGE: Duration = Duration::from_secs(300);
/// What is known of queries before they run, in bytes of their texts and in time.
const DESCRIBED_BYTES: u64 = 8 << 20;
const DESCRIBED_AGE: Duration = Duration::from_secs(300);
/// Queries remembered for their large results, in bytes of their texts and in time.
const LARGE_TEXTS_BYTES: u64 = 8 << 20;
const LARGE_AGE: Duration = Duration::from_secs(24 * 3600);
/// Runs of one query, for one row of values each, that are under way at once.
const ROWS_AT_ONCE: usize = 4;
/// Bytes that a query's text costs in a cache beyond its own.
const KEY_BYTES: usize = 512;

/// Expired files of UNLOADs are looked for several times in their life, within these bounds.
const SWEEPS_PER_LIFE: u32 = 4;
const SWEEP_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

pub struct Gateway {
    pub clients: Clients,
    poller: Poller,
    pub catalog: Catalog,
    /// What every statement runs with unless its caller says otherwise.
    pub session: Session,
    pub settings: Settings,
    pub budget: Budget,
    /// Places for statements, where there are only so many.
    running: Option<Semaphore>,
    first_pages: Cache<QueryId, Arc<FirstPage>>,
    /// `None` for a query whose plan does not say what its columns are.
    described: Cache<Key, Option<Arc<Described>>>,
    /// Queries that gave a large result.
    large: Cache<Key, ()>,
    streams: Streams,
    outputs: sweep::Outputs,
    _sweeping: AbortOnDropHandle<()>,
    /// Stops that are on their way to Athena.
    stops: TaskTracker,
    shutdown: CancellationToken,
}

/// A query's text and where its names are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    sql: String,
    place: Session,
}

impl Key {
    fn new(sql: &str, session: &Session) -> Self {
        Self { sql: sql.to_owned(), place: session.place() }
    }

    fn bytes(&self) -> u32 {
        u32::try_from(self.sql.len() + KEY_BYTES).unwrap_or(u32::MAX)
    }
}

impl Gateway {
    pub fn new(clients: Clients, session: Session, settings: Settings) -> Self {
        let budget = Budget::new(settings.memory_limit);
        Self::within(budget, clients, session, settings)
    }

    /// One that works in another name, within the memory of this one.
    pub fn beside(&self, clients: Clients, session: Session, settings: Settings) -> Self {
        Self::within(self.budget.clone(), clients, session, settings)
    }

    fn within(budget: Budget, clients: Clients, session: Session, settings: Settings) -> Self {
        let outputs = sweep::Outputs::default();
        if let Some(output) = &session.s3_staging_dir {
            outputs.add(&prefix::folder(output));
        }
        let every = (settings.unload_ttl / SWEEPS_PER_LIFE).clamp(SWEEP_BOUNDS.0, SWEEP_BOUNDS.1);
        let sweeping = tokio::spawn(sweep::run(clients.clone(), outputs.clone(), every));
        Self {
            poller: Poller::start(clients.clone()),
            catalog: Catalog::new(clients.clone(), settings.limits.scope.clone()),
            clients,
            session,
            budget,
            running: settings.limits.concurrency.map(Semaphore::new),
            settings,
            first_pages: Cache::builder()
                .max_capacity(FIRST_PAGES_BYTES)
                .weigher(|_, page: &Arc<FirstPage>| u32::try_from(page.size()).unwrap_or(u32::MAX))
                .time_to_live(FIRST_PAGE_AGE)
                .build(),
            described: Cache::builder()
                .max_capacity(DESCRIBED_BYTES)
                .weigher(|key: &Key, _| key.bytes())
                .time_to_live(DESCRIBED_AGE)
                .build(),
            large: Cache::builder()
                .max_capacity(LARGE_TEXTS_BYTES)
                .weigher(|key: &Key, ()| key.bytes())
                .time_to_live(LARGE_AGE)
                .build(),
            streams: Streams::default(),
            outputs,
            _sweeping: AbortOnDropHandle::new(sweeping),
            stops: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Runs a statement to its end, once for each row of values. Dropping the future stops what still runs.
    pub async fn run(&self, request: Request<'_>) -> Result<Finished, GatewayError> {
        let (phase, _) = watch::channel(Phase::default());
        let request = Request { phase: Some(request.phase.unwrap_or(&phase)), ..request };
        let _place = match &self.running {
            Some(places) => Some(places.try_acquire().map_err(|_| self.too_many())?),
            None => None,
        };
        let Some(seconds) = request.session.query_timeout_seconds else { return self.run_all(request).await };
        let ended = tokio::time::timeout(Duration::from_secs(seconds.into()), self.run_all(request)).await;
        ended.unwrap_or_else(|_| Err(GatewayError::TimedOut { query_id: request.query_id(), seconds }))
    }

    async fn run_all(&self, request: Request<'_>) -> Result<Finished, GatewayError> {
        let statement = told_apart(request.sql)?;
        if statement.may_write {
            self.may_write()?;
        }
        self.check_scope(request.session, request.sql, statement.class).await?;
        match request.rows {
            [] => self.run_once(request, statement, &[]).await,
            [values] => self.run_once(request, statement, values).await,
            // Changes are made in the order they were asked for, queries some at a time.
            rows => {
                let at_once = if statement.class == Class::Query { ROWS_AT_ONCE } else { 1 };
                let mut runs = Vec::with_capacity(rows.len());
                for values in rows {
                    runs.push(self.run_once(request, statement, values).boxed());
                }
                let all: Vec<Finished> = stream::iter(runs).buffered(at_once).try_collect().await?;
                Finished::together(all)
            }
        }
    }

    fn too_many(&self) -> GatewayError {
        GatewayError::TooMany(self.settings.limits.concurrency.unwrap_or_default())
    }

    /// Whether more than reading is allowed.
    fn may_write(&self) -> Result<(), GatewayError> {
        if self.is_read_only() { Err(GatewayError::ReadOnly) } else { Ok(()) }
    }

    /// Whether only reading is allowed.
    pub fn is_read_only(&self) -> bool {
        self.settings.read_only || self.settings.limits.scope.is_some()
    }

    async fn run_once(
        &self,
        request: Request<'_>,
        statement: Statement,
        values: &[String],
    ) -> Result<Finished, GatewayError> {
        if values.len() != statement.placeholders {
            return Err(GatewayError::Parameters { expected: statement.placeholders, given: values.len() });
        }
        if statement.class == Class::Query {
            return self.run_query(request, &statement, values).await;
        }
        let bound = Bound::new(request.sql, &statement, values);
        let finished = self.run_direct(request, &bound, None, Chosen::direct("it is no query")).await?;
        if statement.is_update() {
            self.catalog.refresh();
            self.described.invalidate_all();
        }
        Ok(finished)
    }

    /// Stops a query that runs, or the sending of its rows. Gives whether there was anything to stop.
    pub async fn cancel(&self, id: &QueryId) -> Result<bool, GatewayError> {
        let sending = self.streams.cancel(id);
        let stopped = stop(&self.clients, id).await;
        stopped.map_err(|source| GatewayError::Aws { query_id: Some(id.clone()), source: Arc::new(source) })?;
        Ok(sending)
    }

    /// Ends all waits, which stops their queries, and waits until Athena was told.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.stops.close();
        self.stops.wait().await;
    }
}

/// What kind of statement a text is, if it is one that can be run.
fn told_apart(sql: &str) -> Result<Statement, GatewayError> {
    let statement = Statement::of(sql);
    if statement.is_empty { Err(GatewayError::Empty) } else { Ok(statement) }
}
