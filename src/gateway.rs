//! What the gateway does, without a word of gRPC: run a statement, describe it, hand out its rows, cancel it.
//!
//! There is one [`Gateway`] for all who call: caches, memory, schedulers, tidying up. A [`Tenant`] is one of those who call,
//! and light: AWS clients, defaults and limits.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`tenant`] | who statements are run for |
//! | [`request`] | a statement, the values for its parameters, and who is told how far it is |
//! | [`settings`] | what the gateway is told once, and a tenant's limits |
//! | [`knowledge`] | what is remembered of queries and results, for all tenants in one size |
//! | [`accounts`] | the scheduler of each AWS account |
//! | [`describing`] | a statement before it runs: columns, tables |
//! | [`running`] | a statement run to its end, on the path that suits it |
//! | [`handle`] | what is known of it then |
//! | [`reading`] | its rows |
//! | [`ingesting`] | rows of a stream into a table |
//! | [`streams`] | the rows that are being sent, so that they can be cancelled |
//! | [`drain`] | what is under way when the gateway is to stop |
//! | [`error`] | what can go wrong |

mod accounts;
mod describing;
mod drain;
mod error;
mod handle;
mod ingesting;
mod knowledge;
mod reading;
mod request;
mod running;
mod settings;
mod streams;
mod tenant;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::catalog::Listings;
use crate::memory::Memory;
use crate::results::unload::sweep;
use accounts::Accounts;
use drain::Drain;
use knowledge::Knowledge;
use streams::Streams;

pub use error::GatewayError;
pub use handle::{Finished, ResultHandle, Rows};
pub use reading::{Batches, RowStream};
pub use request::{Phase, Request};
pub use settings::{DEFAULT_MEMORY_LIMIT, DEFAULT_STALL_TIMEOUT, DEFAULT_UNLOAD_TTL, Limits, Settings};
pub use tenant::{Tenant, TenantOptions};

/// Expired files of UNLOADs are looked for several times in their life, within these bounds.
const SWEEPS_PER_LIFE: u32 = 4;
const SWEEP_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// The part of the memory for results that first pages are kept in between GetFlightInfo and DoGet, and the most of it.
const FIRST_PAGES_PART: usize = 8;
const MAX_FIRST_PAGES_BYTES: usize = 64 << 20;

/// How long Athena may take to be told what to stop: some hundred queries at its quota, and an outage must not keep the process.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What all tenants share.
pub struct Gateway {
    pub settings: Settings,
    pub memory: Memory,
    listings: Listings,
    knowledge: Knowledge,
    accounts: Accounts,
    streams: Streams,
    outputs: sweep::Outputs,
    _sweeping: AbortOnDropHandle<()>,
    _ending_stalled: AbortOnDropHandle<()>,
    drain: Drain,
    /// Starts and stops that are on their way to Athena.
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Gateway {
    pub fn new(settings: Settings) -> Arc<Self> {
        let outputs = sweep::Outputs::default();
        let every = (settings.unload_ttl / SWEEPS_PER_LIFE).clamp(SWEEP_BOUNDS.0, SWEEP_BOUNDS.1);
        let sweeping = tokio::spawn(sweep::run(outputs.clone(), every));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        // What is kept of results is a part of their memory.
        let first_pages = (settings.memory_limit / FIRST_PAGES_PART).min(MAX_FIRST_PAGES_BYTES);
        let memory = Memory::new(settings.memory_limit - first_pages);
        let ending_stalled = tokio::spawn(memory.end_stalled(settings.stall_timeout));
        Arc::new(Self {
            memory,
            listings: Listings::default(),
            knowledge: Knowledge::new(first_pages as u64),
            accounts: Accounts::new(settings.scheduler.clone(), tasks.clone(), shutdown.clone()),
            streams: Streams::default(),
            outputs,
            _sweeping: AbortOnDropHandle::new(sweeping),
            _ending_stalled: AbortOnDropHandle::new(ending_stalled),
            drain: Drain::default(),
            tasks,
            shutdown,
            settings,
        })
    }

    /// Takes no new statements, and waits until those under way and the streams of rows have ended, or the time is over.
    pub async fn drain(&self, grace: Duration) {
        self.drain.begin();
        let quiet = self.drain.quiet(|| self.streams.count());
        if tokio::time::timeout(grace, quiet).await.is_err() {
            let (statements, streams) = (self.drain.statements(), self.streams.count());
            tracing::warn!(statements, streams, "the grace time is over: what is still under way is stopped");
        }
    }

    /// Ends all waits, which stops the queries of all tenants, and waits until Athena was told.
    pub async fn stop(&self) {
        self.drain.begin();
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            let calls = self.tasks.len();
            tracing::warn!(calls, "Athena could not be told in time: queries may go on there");
        }
    }
}
