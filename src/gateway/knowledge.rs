//! What is remembered of queries and results: one cache of each kind for all tenants, in which the idle go first and a newcomer
//! always finds room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::owner::Owner;
use crate::results::pages::FirstPage;
use crate::results::path::Described;
use crate::session::Session;
use crate::statement::QueryId;

/// How long first pages are kept between GetFlightInfo and DoGet.
const FIRST_PAGE_AGE: Duration = Duration::from_secs(300);
/// What is known of queries before they run, in bytes of their texts and in time.
const DESCRIBED_BYTES: u64 = 32 << 20;
const DESCRIBED_AGE: Duration = Duration::from_secs(300);
/// Queries remembered for their large results, in bytes of their texts and in time.
const LARGE_TEXTS_BYTES: u64 = 16 << 20;
const LARGE_AGE: Duration = Duration::from_secs(24 * 3600);
/// Bytes that a query's text costs in a cache beyond its own.
const KEY_BYTES: usize = 512;

pub struct Knowledge {
    pub first_pages: Cache<(Owner, QueryId), Arc<FirstPage>>,
    /// `None` for a query whose plan does not say what its columns are.
    pub described: Cache<Key, Option<Arc<Described>>>,
    /// Queries that gave a large result.
    pub large: Cache<Key, ()>,
    next_epoch: AtomicU64,
}

/// A query's text, where its names are looked up, and whose knowledge it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// No two tenants have the same one, and a tenant that changes the catalog goes on with a new one: what was known before is
    /// not found any more.
    epoch: u64,
    sql: String,
    place: Session,
}

impl Key {
    pub fn new(epoch: u64, sql: &str, session: &Session) -> Self {
        Self { epoch, sql: sql.to_owned(), place: session.place() }
    }

    fn bytes(&self) -> u32 {
        u32::try_from(self.sql.len() + KEY_BYTES).unwrap_or(u32::MAX)
    }
}

impl Knowledge {
    /// With so many bytes for first pages, which are a part of the memory for results.
    pub fn new(first_pages_bytes: u64) -> Self {
        Self {
            first_pages: Cache::builder()
                .max_capacity(first_pages_bytes)
                .weigher(|_, page: &Arc<FirstPage>| u32::try_from(page.size()).unwrap_or(u32::MAX))
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(FIRST_PAGE_AGE)
                .build(),
            described: Cache::builder()
                .max_capacity(DESCRIBED_BYTES)
                .weigher(|key: &Key, _| key.bytes())
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(DESCRIBED_AGE)
                .build(),
            large: Cache::builder()
                .max_capacity(LARGE_TEXTS_BYTES)
                .weigher(|key: &Key, ()| key.bytes())
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(LARGE_AGE)
                .build(),
            next_epoch: AtomicU64::new(1),
        }
    }

    /// An epoch that nobody has had.
    pub fn epoch(&self) -> u64 {
        self.next_epoch.fetch_add(1, Ordering::Relaxed)
    }
}
