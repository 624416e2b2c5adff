//! Reads a result from GetQueryResults: at most 1,000 rows a page, the header row included.

use arrow::array::RecordBatch;
use aws_sdk_athena::types::Row;

use super::{Column, RowBuilder, RowFault, text};
use crate::aws::{AwsError, Clients};
use crate::statement::QueryId;
use crate::types::AthenaType;

/// The first page of a result: its columns, and, of a small one, all rows.
#[derive(Debug, Clone)]
pub struct FirstPage {
    pub columns: Vec<Column>,
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

#[derive(Debug, Clone, thiserror::Error)]
pub enum PageError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Row(#[from] RowFault),
    #[error("column {column:?}: {fault}")]
    Type { column: String, fault: crate::types::parse::TypeSyntax },
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

/// Gets the first page of a finished query.
pub async fn first(clients: &Clients, id: &QueryId, has_header: bool) -> Result<FirstPage, PageError> {
    let page = get(clients, id, None).await?;
    let infos = page.result_set().and_then(|set| set.result_set_metadata()).map(|metadata| metadata.column_info());
    let columns = infos.unwrap_or_default().iter().map(|info| {
        let data_type = AthenaType::from_column_info(info.r#type(), info.precision(), info.scale())
            .map_err(|fault| PageError::Type { column: info.name().to_owned(), fault })?;
        // `Name` is what SELECT named it; `Label` is the same in Athena and may be missing elsewhere.
        Ok(Column { name: info.name().to_owned(), data_type })
    });
    let columns = columns.collect::<Result<Vec<_>, PageError>>()?;
    let rows = page.result_set().map(|set| set.rows()).unwrap_or_default();
    let mut builder = RowBuilder::new(&columns);
    append(&mut builder, &columns, &rows[usize::from(has_header && !rows.is_empty())..])?;
    Ok(FirstPage {
        update_count: page.update_count(),
        batch: builder.take(),
        next_token: page.next_token().map(str::to_owned),
        columns,
    })
}

/// Gets the page behind a token: its rows, and the token of the next one.
pub async fn next(
    clients: &Clients,
    id: &QueryId,
    columns: &[Column],
    token: &str,
) -> Result<(Option<RecordBatch>, Option<String>), PageError> {
    let page = get(clients, id, Some(token)).await?;
    let mut builder = RowBuilder::new(columns);
    append(&mut builder, columns, page.result_set().map(|set| set.rows()).unwrap_or_default())?;
    Ok((builder.take(), page.next_token().map(str::to_owned)))
}

async fn get(
    clients: &Clients,
    id: &QueryId,
    token: Option<&str>,
) -> Result<aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput, AwsError> {
    let call = clients.athena.get_query_results().query_execution_id(id.as_str());
    let call = call.set_next_token(token.map(str::to_owned));
    call.send().await.map_err(|error| AwsError::new("athena:GetQueryResults", error))
}

fn append(builder: &mut RowBuilder, columns: &[Column], rows: &[Row]) -> Result<(), RowFault> {
    for row in rows {
        match row.data() {
            [one] if columns.len() > 1 => {
                let fields = text::fields(one.var_char_value().unwrap_or_default(), columns.len());
                for (i, field) in fields.iter().enumerate() {
                    builder.value(i, field.map(str::as_bytes))?;
                }
                builder.end_row(fields.len())?;
            }
            data => {
                for (i, datum) in data.iter().take(columns.len()).enumerate() {
                    builder.value(i, datum.var_char_value().map(str::as_bytes))?;
                }
                builder.end_row(data.len())?;
            }
        }
    }
    Ok(())
}
