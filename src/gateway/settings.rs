//! What a gateway is told once, and what nobody may go beyond.

use std::time::Duration;

use super::{GatewayError, Tenant};
use crate::catalog::Scope;
use crate::session::Session;
use crate::statement::SchedulerOptions;

/// What a gateway is told once.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Memory for results, in bytes: what is read, sent, kept and ingested, of all callers together.
    pub memory_limit: usize,
    /// How long a client may leave its rows unread.
    pub stall_timeout: Duration,
    /// How long the files of an UNLOAD stay.
    pub unload_ttl: Duration,
    /// Whether everything but reading is refused.
    pub read_only: bool,
    pub scheduler: SchedulerOptions,
}

/// What whoever it works for may not go beyond, whatever they ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Whether everything but reading is refused.
    pub read_only: bool,
    /// The only workgroup.
    pub workgroup: Option<String>,
    /// Most bytes that a statement may read.
    pub scan_limit_bytes: Option<u64>,
    /// Statements of Athena's that are under way at once; more wait.
    pub concurrency: Option<usize>,
    /// The only catalogs and databases; with them, only queries are run.
    pub scope: Option<Scope>,
}

/// Memory for reading results unless told otherwise.
pub const DEFAULT_MEMORY_LIMIT: usize = 256 << 20;
/// How long a client may leave its rows unread unless told otherwise.
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the files of an UNLOAD stay unless told otherwise.
pub const DEFAULT_UNLOAD_TTL: Duration = Duration::from_secs(24 * 3600);

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_limit: DEFAULT_MEMORY_LIMIT,
            stall_timeout: DEFAULT_STALL_TIMEOUT,
            unload_ttl: DEFAULT_UNLOAD_TTL,
            read_only: false,
            scheduler: SchedulerOptions::default(),
        }
    }
}

impl Tenant {
    /// A session within the limits. What is beyond them by a number is cut, by a name refused.
    pub fn limited(&self, mut session: Session) -> Result<Session, GatewayError> {
        let Limits { workgroup, scan_limit_bytes, .. } = &self.limits;
        if workgroup.is_some() && session.workgroup != *workgroup {
            return Err(GatewayError::Workgroup(workgroup.clone().unwrap_or_default()));
        }
        if let Some(limit) = scan_limit_bytes {
            session.scan_limit_bytes = Some(session.scan_limit_bytes.map_or(*limit, |asked| asked.min(*limit)));
        }
        Ok(session)
    }
}
