//! What Athena says of a query: how far it is, and how it ended.

use aws_sdk_athena::types::{EncryptionOption, QueryExecution, QueryExecutionState};

use super::QueryId;

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
    pub fn of(execution: &QueryExecution) -> Self {
        let state = execution.status().and_then(|status| status.state());
        let state = if state == Some(&QueryExecutionState::Running) { QueryState::Running } else { QueryState::Queued };
        let scanned_bytes = execution.statistics().and_then(|s| s.data_scanned_in_bytes()).unwrap_or_default();
        Self { state, scanned_bytes }
    }
}
