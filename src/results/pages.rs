//! Reads a result from GetQueryResults: at most 1,000 rows a page, the header row included.

use std::sync::Arc;

use arrow::array::RecordBatch;
use aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_athena::types::Row;

use super::rows::{BatchBuilder, RowFault, Rows};
use super::{ReadError, text};
use crate::aws::{AwsError, Clients};
use crate::statement::QueryId;
use crate::types::AthenaType;
use crate::types::block::Lanes;
use crate::types::builder::{ColumnBuilder, Misfit};
use crate::types::cell::Cell;
use crate::types::column::Column;

/// The first page of a result: its columns, and, of a small one, all rows.
#[derive(Debug, Clone)]
pub struct FirstPage {
    pub columns: Arc<[Column]>,
    pub update_count: Option<i64>,
    pub batch: Option<RecordBatch>,
    /// Set while there are more rows.
    pub next_token: Option<String>,
}

impl FirstPage {
    /// Memory it takes, about.
    pub fn size(&self) -> usize {
        let batch = self.batch.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        batch + self.columns.len() * 64 + 256
    }
}

/// Whether pages start with a row of column names. The statement's kind decides, never the text of the row: a result
/// may hold a row that looks like a header (athena-behaviour, section 3).
pub fn has_header(statement_type: &str, substatement_type: &str) -> bool {
    match statement_type {
        "DML" => true,
        "UTILITY" => substatement_type == "SHOW_FUNCTIONS",
        _ => false,
    }
}

/// A page as it came.
pub struct Page(GetQueryResultsOutput);

impl From<GetQueryResultsOutput> for Page {
    fn from(answer: GetQueryResultsOutput) -> Self {
        Self(answer)
    }
}

impl Page {
    /// Gets the first page, or the one behind a token.
    pub async fn get(clients: &Clients, id: &QueryId, token: Option<&str>) -> Result<Self, ReadError> {
        let call = clients.athena.get_query_results().query_execution_id(id.as_str());
        let answer = call.set_next_token(token.map(str::to_owned)).send().await;
        Ok(Self(answer.map_err(|error| AwsError::new("athena:GetQueryResults", error))?))
    }

    /// The columns as far as a page knows them: of nested types nothing but that they are nested.
    pub fn columns(&self) -> Result<Vec<Column>, ReadError> {
        let infos =
            self.0.result_set().and_then(|set| set.result_set_metadata()).map(|metadata| metadata.column_info());
        let columns = infos.unwrap_or_default().iter().map(|info| {
            let data_type = AthenaType::from_column_info(info.r#type(), info.precision(), info.scale())
                .map_err(|fault| ReadError::Type { column: info.name().to_owned(), fault })?;
            // `Name` is what SELECT named it; `Label` is the same in Athena and may be missing elsewhere.
            Ok(Column::new(info.name(), data_type))
        });
        columns.collect()
    }

    /// The page as the first one of a result.
    pub fn first(self, columns: &Arc<[Column]>, has_header: bool) -> Result<FirstPage, ReadError> {
        let rows = self.rows();
        let batch = batch(columns, &rows[usize::from(has_header && !rows.is_empty())..])?;
        let (update_count, next_token) = (self.0.update_count(), self.0.next_token().map(str::to_owned));
        Ok(FirstPage { columns: Arc::clone(columns), update_count, batch, next_token })
    }

    /// The page's rows, and the token of the next one.
    pub fn next(self, columns: &Arc<[Column]>) -> Result<(Option<RecordBatch>, Option<String>), ReadError> {
        Ok((batch(columns, self.rows())?, self.0.next_token().map(str::to_owned)))
    }

    fn rows(&self) -> &[Row] {
        self.0.result_set().map(|set| set.rows()).unwrap_or_default()
    }
}

fn batch(columns: &Arc<[Column]>, rows: &[Row]) -> Result<Option<RecordBatch>, RowFault> {
    let width = columns.len();
    let mut values: Vec<Option<&str>> = Vec::with_capacity(rows.len() * width);
    for (row, data) in rows.iter().map(Row::data).enumerate() {
        let found = match data {
            [one] if width > 1 => {
                let fields = text::fields(one.var_char_value().unwrap_or_default(), width);
                values.extend(&fields);
                fields.len()
            }
            data => {
                values.extend(data.iter().map(|datum| datum.var_char_value()));
                data.len()
            }
        };
        if found != width {
            return Err(RowFault::Width { row: row as u64 + 1, found, expected: width });
        }
    }
    let mut builder = BatchBuilder::new(columns);
    builder.append(rows.len(), &Values { values: &values, width })?;
    builder.take()
}

/// The values of some rows, row by row.
struct Values<'a> {
    values: &'a [Option<&'a str>],
    width: usize,
}

impl Rows for Values<'_> {
    fn value(&self, column: usize, row: usize) -> Option<Cell<'_>> {
        self.values[row * self.width + column].map(|text| Cell::alone(text.as_bytes()))
    }

    fn append_column(&self, column: usize, to: &mut ColumnBuilder, _: &mut Lanes) -> Result<(), Misfit> {
        to.append_all((0..self.values.len() / self.width).map(|row| self.value(column, row)))
    }
}
