//! A finished query's rows as Arrow batches.
//!
//! | module | says |
//! | --- | --- |
//! | [`path`] | which reader a statement gets, and the schema that follows |
//! | [`pages`] | GetQueryResults: the schema, and every row of a small result in the same call |
//! | [`csv`] | the CSV object in S3, by ranged GETs in parallel |
//! | [`unload`] | the Parquet files of an UNLOAD |
//! | [`text`] | the rows of SHOW, DESCRIBE and EXPLAIN, which come as one text each |
//! | [`rows`] | rows of text collected into batches |
//! | [`object`] | an S3 object read by ranges, always the same version of it |
//! | [`in_order`] | pieces decoded on several cores, their batches handed out in order |
//! | [`resumable`] | what was read ahead is dropped while a client does not read, and read again when it goes on |
//!
//! Invariant: the same batches for the same query, whichever reader ran.

pub mod csv;
pub mod in_order;
pub mod object;
pub mod pages;
pub mod path;
mod resumable;
pub mod rows;
pub mod text;
pub mod unload;

use arrow::array::RecordBatch;

use crate::aws::AwsError;
use crate::error::Kind;
use crate::memory::{Grant, MemoryError};
use rows::RowFault;

/// Rows on their way to a client, and the memory they are in, which is counted until they have been sent.
#[derive(Debug)]
pub struct GrantedBatch {
    pub batch: RecordBatch,
    pub grant: Option<Grant>,
}

impl From<RecordBatch> for GrantedBatch {
    fn from(batch: RecordBatch) -> Self {
        Self { batch, grant: None }
    }
}

/// What can go wrong while a finished query's rows are read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Row(#[from] RowFault),
    #[error("column {column:?}: {fault}")]
    Type { column: String, fault: crate::types::parse::TypeSyntax },
    #[error("result object {location}: {why}")]
    Object { location: String, why: String },
    /// S3 was reached and its answer broke off.
    #[error("result object {location}: {why}")]
    Interrupted { location: String, why: String },
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error("the reading ended before the result did")]
    Abandoned,
}

impl ReadError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Aws(error) => error.kind,
            Self::Row(_) | Self::Type { .. } | Self::Object { .. } => Kind::DataLoss,
            Self::Interrupted { .. } => Kind::Unavailable,
            Self::Memory(error) => error.kind(),
            Self::Abandoned => Kind::Internal,
        }
    }

    /// The same about rows that come after `rows` others.
    pub fn after(self, rows: u64) -> Self {
        match self {
            Self::Row(fault) => Self::Row(fault.after(rows)),
            other => other,
        }
    }
}
