//! Rows of text → batches near a size, and what can be wrong with a row.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use crate::types::block::Lanes;
use crate::types::builder::{ColumnBuilder, Misfit};
use crate::types::cell::Cell;
use crate::types::column::{Column, schema};
use crate::types::value::ValueFault;

/// Rows of a batch, at most.
pub const MAX_BATCH_ROWS: usize = 64 * 1024;
/// Bytes of a batch's arrays, about: large enough to be cheap, and below the 4 MB that generic gRPC clients take.
pub const BATCH_BYTES: usize = 2 << 20;
/// What a batch may take until it is known what it does take: the builders' room, and the block of rows that filled it.
pub const BATCH_MEMORY: usize = BATCH_BYTES + BATCH_BYTES / 2;
/// Rows that tell how much room a batch of more of them will need.
const SAMPLE_ROWS: usize = 64;
/// How much of a value an error shows.
const SHOWN_CHARS: usize = 64;

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

impl RowFault {
    /// A value that does not fit; `row` counts from 1.
    pub fn value(column: &Column, row: u64, text: &str, fault: ValueFault) -> Self {
        Self::Value { column: column.name.clone(), row, text: text.chars().take(SHOWN_CHARS).collect(), fault }
    }

    /// The same about rows that come after `rows` others.
    pub fn after(mut self, rows: u64) -> Self {
        match &mut self {
            Self::Value { row, .. } | Self::Width { row, .. } | Self::Truncated { row } => *row += rows,
            Self::Malformed { .. } => {}
        }
        self
    }

    /// The same about the header, which is row 0.
    pub fn in_header(mut self) -> Self {
        if let Self::Value { row, .. } | Self::Width { row, .. } | Self::Truncated { row } = &mut self {
            *row = 0;
        }
        self
    }
}

/// Texts of some rows' values; columns and rows count from 0.
pub trait Rows {
    /// The text of one value; `None` for NULL.
    fn value(&self, column: usize, row: usize) -> Option<Cell<'_>>;

    /// Appends all of one column's values; what does not fit is told by its row.
    fn append_column(&self, column: usize, to: &mut ColumnBuilder, lanes: &mut Lanes) -> Result<(), Misfit>;
}

/// Collects rows of text into batches.
pub struct BatchBuilder {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    lanes: Box<Lanes>,
    /// Rows of all batches before this one.
    rows_before: u64,
    rows: usize,
}

impl BatchBuilder {
    pub fn new(columns: &Arc<[Column]>) -> Self {
        Self {
            columns: Arc::clone(columns),
            schema: schema(columns),
            builders: columns.iter().map(Column::builder).collect(),
            lanes: Box::default(),
            rows_before: 0,
            rows: 0,
        }
    }

    /// Appends so many rows.
    pub fn append(&mut self, rows: usize, texts: &impl Rows) -> Result<(), RowFault> {
        let next_row = self.next_row();
        for (column, builder) in self.builders.iter_mut().enumerate() {
            texts.append_column(column, builder, &mut self.lanes).map_err(|Misfit { index, fault }| {
                let text = String::from_utf8_lossy(texts.value(column, index).map_or(&[], Cell::bytes));
                RowFault::value(&self.columns[column], next_row + index as u64, &text, fault)
            })?;
        }
        let before = self.rows;
        self.rows += rows;
        if before < SAMPLE_ROWS && self.rows >= SAMPLE_ROWS {
            // The batch will grow to its size with rows like these.
            let bytes = self.builders.iter().map(ColumnBuilder::bytes).sum::<usize>().max(1);
            let times = (BATCH_BYTES / bytes).min(MAX_BATCH_ROWS / self.rows);
            self.builders.iter_mut().for_each(|builder| builder.reserve(times));
        }
        Ok(())
    }

    /// Number of the row that comes next, from 1.
    pub fn next_row(&self) -> u64 {
        self.rows_before + self.rows as u64 + 1
    }

    /// Whether the batch has grown to its size.
    pub fn is_full(&self) -> bool {
        self.rows >= MAX_BATCH_ROWS || self.builders.iter().map(ColumnBuilder::bytes).sum::<usize>() >= BATCH_BYTES
    }

    /// The rows so far as a batch; `None` if there are none.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, RowFault> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self.builders.iter_mut().zip(&*self.columns).map(|(builder, column)| {
            builder.finish().map_err(|Misfit { index, fault }| {
                RowFault::value(column, self.rows_before + index as u64 + 1, "", fault)
            })
        });
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows_before += self.rows as u64;
        self.rows = 0;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        Ok(Some(batch.expect("builders make arrays of the types the schema was made from, all of one length")))
    }
}
