//! What is known of a statement that ran, and what any gateway needs to read its rows.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::GatewayError;
use super::reading::same;
use crate::results::pages;
use crate::results::path::Chosen;
use crate::statement::{Outcome, QueryId};
use crate::types::column::Column;

/// A statement that ran, and where its rows are.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Parts that can be read apart. The rows of each are those of its first handle, then those of the next.
    pub endpoints: Vec<Vec<ResultHandle>>,
    pub schema: SchemaRef,
    pub outcome: Outcome,
    pub update_count: Option<i64>,
    /// How the rows are read, and why so.
    pub chosen: Chosen,
}

/// What any gateway needs to read a finished query's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHandle {
    pub id: QueryId,
    pub statement_type: String,
    pub substatement_type: String,
    pub update_count: Option<i64>,
    /// The columns, where GetQueryResults does not say all about them.
    pub columns: Option<Arc<[Column]>>,
    pub rows: Rows,
    /// When the rows may be gone, in seconds since the epoch.
    pub expires_at: i64,
}

/// Where rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// In GetQueryResults alone.
    Pages,
    /// In the CSV object, as it was when the query had finished.
    Csv { location: String, size: u64, etag: Option<String> },
    /// In the files of an UNLOAD below a prefix of ours: every `parts`th of them, from the `part`th.
    Files { manifest: String, prefix: String, part: u32, parts: u32 },
}

impl Finished {
    /// The runs of one statement as one: their rows one after the other, their counts and costs together.
    pub(super) fn together(all: Vec<Self>) -> Result<Self, GatewayError> {
        let mut all = all.into_iter();
        let Some(mut whole) = all.next() else { return Err(GatewayError::Empty) };
        let mut handles: Vec<ResultHandle> = whole.endpoints.into_iter().flatten().collect();
        for next in all {
            same(&whole.schema, &next.schema)?;
            handles.extend(next.endpoints.into_iter().flatten());
            whole.update_count = whole.update_count.zip(next.update_count).map(|(one, other)| one + other);
            whole.outcome = Outcome {
                scanned_bytes: whole.outcome.scanned_bytes + next.outcome.scanned_bytes,
                queue_ms: whole.outcome.queue_ms + next.outcome.queue_ms,
                total_ms: whole.outcome.total_ms + next.outcome.total_ms,
                ..next.outcome
            };
        }
        whole.endpoints = vec![handles];
        Ok(whole)
    }
}

impl ResultHandle {
    pub(super) fn has_header(&self) -> bool {
        pages::has_header(&self.statement_type, &self.substatement_type)
    }

    /// DML other than SELECT and EXPLAIN, and CREATE TABLE AS: no rows, a count (athena-behaviour, section 3).
    pub(super) fn is_count(&self) -> bool {
        match self.statement_type.as_str() {
            "DML" => !matches!(self.substatement_type.as_str(), "SELECT" | "EXPLAIN"),
            _ => self.substatement_type == "CREATE_TABLE_AS_SELECT",
        }
    }
}
