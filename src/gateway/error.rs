//! What went wrong with a statement, and what kind of thing that is.

use std::sync::Arc;

use crate::aws::AwsError;
use crate::error::Kind;
use crate::ingest::IngestFault;
use crate::memory::MemoryError;
use crate::results::ReadError;
use crate::statement::{QueryId, ScheduleError, describe, submit};

/// What went wrong with a statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    #[error("the statement is empty")]
    Empty,
    #[error("the statement has {0} bytes, Athena takes at most {max}", max = submit::MAX_STATEMENT_BYTES)]
    TooLong(usize),
    #[error("the statement has {expected} parameters, {given} values were bound")]
    Parameters { expected: usize, given: usize },
    #[error("the rows of values give different columns: {0}")]
    Differing(String),
    #[error("stopped: it had not ended after {seconds} s (query_timeout_seconds)")]
    TimedOut { query_id: Option<QueryId>, seconds: u32 },
    #[error("stopped: it had read {scanned_bytes} bytes, at most {limit} are allowed (scan_limit_bytes)")]
    ScanLimit { query_id: QueryId, scanned_bytes: i64, limit: u64 },
    #[error("{source}")]
    Aws { query_id: Option<QueryId>, source: Arc<AwsError> },
    #[error("{reason}")]
    Failed { query_id: QueryId, reason: String, error: Option<(i32, i32, bool)>, scanned_bytes: i64 },
    #[error("{reason}")]
    Cancelled { query_id: QueryId, reason: String },
    #[error("{source}")]
    Read { query_id: QueryId, source: Box<ReadError> },
    #[error("{0}")]
    Ingest(IngestFault),
    #[error("{source}")]
    Memory { query_id: Option<QueryId>, source: MemoryError },
    #[error("this gateway only reads for you (--read-only, or a rule)")]
    ReadOnly,
    #[error("{0}")]
    Queue(ScheduleError),
    #[error("your statements run in workgroup {0}, in no other")]
    Workgroup(String),
    #[error(
        "you may run queries (SELECT, WITH, VALUES, TABLE) of some databases: whether others are meant cannot be told of this statement"
    )]
    OnlyQueries,
    #[error("you may not read {0}")]
    OutOfScope(String),
    #[error("which tables the query reads cannot be told, so it is not run: {0}")]
    Unscoped(String),
    #[error("the gateway is shutting down; connect again to run the statement elsewhere")]
    Stopping,
}

impl GatewayError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Empty | Self::TooLong(_) | Self::Parameters { .. } | Self::Differing(_) => Kind::InvalidArgument,
            Self::TimedOut { .. } => Kind::DeadlineExceeded,
            Self::ScanLimit { .. } => Kind::ResourceExhausted,
            Self::Aws { source, .. } => source.kind,
            Self::Failed { error, .. } => failure_kind(*error),
            Self::Cancelled { .. } => Kind::Cancelled,
            Self::Read { source, .. } => source.kind(),
            Self::Ingest(fault) => fault.kind(),
            Self::Memory { source, .. } => source.kind(),
            Self::ReadOnly | Self::Workgroup(_) | Self::OnlyQueries | Self::OutOfScope(_) | Self::Unscoped(_) => {
                Kind::PermissionDenied
            }
            Self::Queue(_) => Kind::ResourceExhausted,
            Self::Stopping => Kind::Unavailable,
        }
    }

    /// Whether the same statement may do better in a moment, or told who it is: what went wrong says nothing about the statement.
    pub(super) fn may_pass(&self) -> bool {
        // What is Athena's own fault, or nobody's, may be another time.
        if matches!(self, Self::Failed { error, .. } if error.is_none_or(|(category, ..)| category != USER)) {
            return true;
        }
        match self.kind() {
            Kind::InvalidArgument
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::FailedPrecondition
            | Kind::Unimplemented
            | Kind::DataLoss => false,
            Kind::Unauthenticated
            | Kind::PermissionDenied
            | Kind::ResourceExhausted
            | Kind::Cancelled
            | Kind::DeadlineExceeded
            | Kind::Unavailable
            | Kind::Internal => true,
        }
    }

    pub(super) fn aws(source: AwsError) -> Self {
        Self::Aws { query_id: None, source: Arc::new(source) }
    }

    /// Why there was no memory, or not any more, for a query's rows.
    pub fn memory(query_id: Option<QueryId>, source: MemoryError) -> Self {
        Self::Memory { query_id, source }
    }

    /// An error of describing a query as one about the query itself.
    pub(super) fn about_query(self) -> Self {
        self.with_text(describe::about_query)
    }

    /// An error of a statement with a query in it as one about the query, which has so many lines before it.
    pub(super) fn lines_up(self, before: u64) -> Self {
        self.with_text(|text| describe::lines_up(text, before))
    }

    fn with_text(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Failed { query_id, reason, error, scanned_bytes } => {
                Self::Failed { query_id, reason: change(&reason), error, scanned_bytes }
            }
            Self::Aws { query_id, source } => {
                let message = change(&source.message);
                Self::Aws { query_id, source: Arc::new(AwsError { message, ..source.as_ref().clone() }) }
            }
            other => other,
        }
    }

    /// Whether Athena would not do this at all, and has read nothing for it.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Aws { query_id: None, source } => source.kind == Kind::InvalidArgument,
            Self::Failed { error: Some((_, error_type, _)), scanned_bytes: 0, .. } => *error_type == NOT_SUPPORTED,
            _ => false,
        }
    }

    /// Whether it may be about a value that was not there yet, and not about the statement itself: a fault of the user's
    /// other than a name that does not exist.
    pub(super) fn may_be_about_values(&self) -> bool {
        matches!(self, Self::Failed { error: Some((USER, error_type, _)), .. } if !NAMES.contains(error_type))
    }

    /// The query this is about, once there is one.
    pub fn query_id(&self) -> Option<&QueryId> {
        match self {
            Self::Failed { query_id, .. }
            | Self::Cancelled { query_id, .. }
            | Self::Read { query_id, .. }
            | Self::ScanLimit { query_id, .. } => Some(query_id),
            Self::Aws { query_id, .. } | Self::TimedOut { query_id, .. } | Self::Memory { query_id, .. } => {
                query_id.as_ref()
            }
            Self::Empty
            | Self::TooLong(_)
            | Self::Parameters { .. }
            | Self::Differing(_)
            | Self::Ingest(_)
            | Self::ReadOnly
            | Self::Queue(_)
            | Self::Workgroup(_)
            | Self::OnlyQueries
            | Self::OutOfScope(_)
            | Self::Unscoped(_)
            | Self::Stopping => None,
        }
    }

    /// `AthenaError`: category, type, retryable.
    pub fn athena_error(&self) -> Option<(i32, i32, bool)> {
        match self {
            Self::Failed { error, .. } => *error,
            _ => None,
        }
    }
}

/// ErrorCategory of what the user did.
const USER: i32 = 2;
/// ErrorTypes about names: columns and syntax, tables and schemas, functions.
const NAMES: [i32; 3] = [1006, 1301, 1303];
/// ErrorType of what Athena does not support (athena-behaviour, section 6).
const NOT_SUPPORTED: i32 = 1200;

/// What an `AthenaError` means (athena-behaviour, section 6).
fn failure_kind(error: Option<(i32, i32, bool)>) -> Kind {
    match error {
        Some((_, 1301, _)) => Kind::NotFound,
        Some((_, 1401..=1406, _)) => Kind::ResourceExhausted,
        Some((_, 1500, _)) => Kind::PermissionDenied,
        Some((_, NOT_SUPPORTED, _)) => Kind::Unimplemented,
        Some((1, _, true)) => Kind::Unavailable,
        Some((USER, _, _)) => Kind::InvalidArgument,
        _ => Kind::FailedPrecondition,
    }
}

impl From<ScheduleError> for GatewayError {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Aws { query_id, source } => Self::Aws { query_id, source: Arc::new(source) },
            ScheduleError::Stopping => Self::Stopping,
            full @ (ScheduleError::QueueFull { .. } | ScheduleError::QueueWait { .. }) => Self::Queue(full),
        }
    }
}
