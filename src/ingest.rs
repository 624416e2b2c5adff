//! Bulk ingest: a stream of Arrow batches becomes rows of a table.
//!
//! The stream is written to one Parquet file in the staging directory, under a prefix that any gateway removes when its
//! time is over; a table of Glue's is put over it, Athena copies its rows (CREATE TABLE AS or INSERT), and both are removed.
//! The target is touched only when the whole stream has come, and one that is replaced is there at every moment.
//!
//! | module | says |
//! | --- | --- |
//! | [`columns`] | Arrow types → types of a Hive-style table, and what cannot be stored without loss |
//! | [`pieces`] | a batch whose repeated values would be too large at once, cut up |
//! | [`upload`] | batches → a Parquet file in S3, in bounded memory |
//! | [`staged`] | the table over that file, and its end |
//! | [`statement`] | the statements that copy its rows |
//! | [`replacement`] | a table with new rows in place of another |

pub mod columns;
pub mod pieces;
pub mod replacement;
pub mod staged;
pub mod statement;
pub mod upload;

/// Where rows go, and what is to happen if there is such a table, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub table: String,
    pub if_exists: IfExists,
    pub create: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    Fail,
    Append,
    Replace,
}

/// Why rows cannot be ingested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestFault {
    #[error("column {column:?}: {why}")]
    Column { column: String, why: String },
    #[error("column {column:?} does not match table {table}: {why}")]
    Mismatch { table: String, column: String, why: String },
    #[error("the stream has no columns")]
    NoColumns,
    #[error("table {0} exists")]
    Exists(String),
    #[error("table {0} does not exist")]
    Missing(String),
    #[error("{0} is a view: rows go into tables")]
    View(String),
    #[error(
        "{table} is {kind}, which is not replaced in one step: take its rows out (DELETE FROM) and append, or drop it first"
    )]
    NotReplaced { table: String, kind: &'static str },
    #[error("{0} is a link to another table: ingest into that one")]
    Link(String),
    #[error("catalog {0} is not Glue's: rows are ingested into tables of AwsDataCatalog")]
    Catalog(String),
    #[error("no output location is known to stage rows in: give --s3-staging-dir, or one to the workgroup")]
    NoStaging,
    #[error("{0}")]
    Batch(String),
}

impl IngestFault {
    pub fn column(column: &str, why: impl Into<String>) -> Self {
        Self::Column { column: column.to_owned(), why: why.into() }
    }

    pub fn kind(&self) -> crate::error::Kind {
        use crate::error::Kind;
        match self {
            Self::Column { .. } | Self::NoColumns | Self::View(_) | Self::Link(_) | Self::Batch(_) => {
                Kind::InvalidArgument
            }
            // As adbc.h has it for a table whose schema is another one.
            Self::Exists(_) | Self::Mismatch { .. } => Kind::AlreadyExists,
            Self::Missing(_) => Kind::NotFound,
            Self::Catalog(_) | Self::NotReplaced { .. } => Kind::Unimplemented,
            Self::NoStaging => Kind::FailedPrecondition,
        }
    }
}
