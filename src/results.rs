//! A finished query's rows as Arrow batches.
//!
//! | module | reads |
//! | --- | --- |
//! | [`pages`] | GetQueryResults: the schema, and every row of a small result in the same call |
//! | [`csv`] | the CSV object in S3, by ranged GETs in parallel |
//! | [`text`] | the rows of SHOW, DESCRIBE and EXPLAIN, which come as one text each |
//!
//! Invariant: the same batches for the same query, whichever reader ran.

pub mod csv;
pub mod pages;
pub mod text;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::types::AthenaType;
use crate::types::value::{ColumnBuilder, ValueFault};

/// Rows of a batch, at most.
const MAX_BATCH_ROWS: usize = 64 * 1024;
/// Text a batch is made from, about: it bounds the memory of a batch whatever its rows are like.
const BATCH_TEXT_BYTES: usize = 2 << 20;
/// How much of a value an error shows.
const SHOWN_CHARS: usize = 64;

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub data_type: AthenaType,
}

/// The Arrow schema of columns.
pub fn schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| column.data_type.field(&column.name)).collect::<Vec<_>>()))
}

/// A value that does not fit its column, or rows that do not fit the columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    #[error("column {column:?}, row {row}: {text:?} {fault}")]
    Value { column: String, row: u64, text: String, fault: ValueFault },
    #[error("row {row} has {found} values, the result has {expected} columns")]
    Width { row: u64, found: usize, expected: usize },
    #[error("the result object breaks off inside row {row}")]
    Truncated { row: u64 },
    #[error("byte {at}: {why}")]
    Malformed { at: u64, why: &'static str },
}

/// Collects rows of text into batches.
pub struct RowBuilder {
    columns: Vec<Column>,
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    /// Rows that were finished, in all batches.
    row: u64,
    rows: usize,
    text_bytes: usize,
}

impl RowBuilder {
    pub fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            schema: schema(columns),
            builders: columns.iter().map(|column| ColumnBuilder::new(&column.data_type)).collect(),
            row: 0,
            rows: 0,
            text_bytes: 0,
        }
    }

    /// Appends the value of the `index`th column of the current row.
    #[inline]
    pub fn value(&mut self, index: usize, text: Option<&[u8]>) -> Result<(), RowFault> {
        self.text_bytes += text.map_or(1, <[u8]>::len);
        self.builders[index].append(text).map_err(|fault| RowFault::Value {
            column: self.columns[index].name.clone(),
            row: self.row + 1,
            text: String::from_utf8_lossy(text.unwrap_or_default()).chars().take(SHOWN_CHARS).collect(),
            fault,
        })
    }

    /// Ends a row that had `found` values.
    #[inline]
    pub fn end_row(&mut self, found: usize) -> Result<(), RowFault> {
        self.row += 1;
        self.rows += 1;
        if found == self.builders.len() {
            return Ok(());
        }
        Err(RowFault::Width { row: self.row, found, expected: self.builders.len() })
    }

    /// Number of the row that comes next, from 1.
    pub fn next_row(&self) -> u64 {
        self.row + 1
    }

    /// Whether the batch has grown to its size.
    pub fn is_full(&self) -> bool {
        self.rows >= MAX_BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES
    }

    /// The rows so far as a batch; `None` if there are none.
    pub fn take(&mut self) -> Option<RecordBatch> {
        if self.rows == 0 {
            return None;
        }
        let arrays = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.text_bytes = 0;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        Some(batch.expect("builders make arrays of the types the schema was made from, all of one length"))
    }
}
