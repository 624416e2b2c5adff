//! Prepared statements: the handle is the signed text with what was bound to it, so there is nothing to keep and nothing
//! to close.
//!
//! Binding answers with a new handle. Clients that go on with the old one (JDBC before the answer had one) are served by
//! the gateway they bound at, which remembers values for a while.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any, DoPutPreparedStatementResult,
};
use arrow_flight::{FlightData, PutResult};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use prost::Message;
use tonic::Status;

use super::messages::CreatePreparedStatementResult;
use super::service::FlightSql;
use super::ticket::Prepared;
use super::{encode, parameters, status};
use crate::session::Session;
use crate::statement::Statement;
use crate::statement::bind;
use crate::statement::values::{Parameters, Row, Types};

/// The answer's type in FlightSql.proto; ours has its newest field, `is_update`.
const RESULT_TYPE: &str = "type.googleapis.com/arrow.flight.protocol.sql.ActionCreatePreparedStatementResult";
/// Rows of values that a query can be bound to, and their bytes: the handle carries them.
const MAX_ROWS: usize = 1000;
const MAX_VALUE_BYTES: usize = 1 << 20;
/// What is remembered for clients that do not use the handle they were given, in bytes and in time.
const REMEMBERED_BYTES: u64 = 64 << 20;
const REMEMBERED_AGE: Duration = Duration::from_secs(3600);
/// Bytes of a row and of a value beyond their text.
const ROW_BYTES: usize = 48;

/// Values by the nonce of the statement they were bound to, which nobody can make up.
pub struct Remembered(Cache<Bytes, Arc<Values>>);

impl Default for Remembered {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(REMEMBERED_BYTES)
            .weigher(|_, values: &Arc<Values>| u32::try_from(bytes(&values.rows) + ROW_BYTES).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(REMEMBERED_AGE);
        Self(cache.build())
    }
}

fn bytes(rows: &[Row]) -> usize {
    rows.iter().map(|row| ROW_BYTES + row.iter().map(|value| ROW_BYTES + value.literal.len()).sum::<usize>()).sum()
}

/// What was bound to a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// The types of its parameters, once something was bound, be it no rows at all.
    pub types: Types,
    pub rows: Vec<Row>,
}

impl Values {
    /// Whether anything was bound.
    pub fn are_bound(&self) -> bool {
        !self.types.is_empty() || !self.rows.is_empty()
    }

    /// Whether the statement is to be run for no rows of values, which is not the same as having been told none.
    pub fn is_for_no_rows(&self) -> bool {
        self.are_bound() && self.rows.is_empty()
    }
}

/// Prepares: the dataset schema comes from EXPLAIN. JDBC takes a statement without one for an update, unless `is_update`
/// says otherwise.
pub async fn create(
    server: &FlightSql,
    session: &Session,
    request: ActionCreatePreparedStatementRequest,
    connection: u64,
) -> Result<Bytes, Status> {
    if request.transaction_id.is_some_and(|id| !id.is_empty()) {
        return Err(Status::unimplemented("Athena has no transactions over several statements"));
    }
    let described = server.tenant.describe(session, &request.query, connection).await;
    let schema = described.map_err(|error| status::of_gateway(&error))?;
    let result = CreatePreparedStatementResult {
        prepared_statement_handle: server.keys.prepare(&request.query).to_vec(),
        dataset_schema: match schema {
            Some(schema) => encode::schema_bytes(&schema)?.to_vec(),
            None => Vec::new(),
        },
        parameter_schema: encode::schema_bytes(&parameter_schema(&request.query))?.to_vec(),
        is_update: Some(Statement::of(&request.query).is_update()),
    };
    let any = Any { type_url: RESULT_TYPE.to_owned(), value: result.encode_to_vec().into() };
    Ok(any.encode_to_vec().into())
}

/// A field for each parameter, named by its number. Athena does not tell what types parameters have (DESCRIBE INPUT is not
/// supported), and takes values of any: numbers of rows are known to be numbers, the others are said to be texts.
fn parameter_schema(sql: &str) -> Schema {
    let field = |(i, placeholder): (usize, &bind::Placeholder)| {
        let data_type = if placeholder.counts_rows { DataType::Int64 } else { DataType::Utf8 };
        Field::new((i + 1).to_string(), data_type, true)
    };
    Schema::new(bind::placeholders(sql).iter().enumerate().map(field).collect::<Vec<_>>())
}

/// Closing forgets what was bound, and tells whether the handle was one.
pub async fn close(server: &FlightSql, request: &ActionClosePreparedStatementRequest) -> Result<(), Status> {
    let prepared = server.keys.read_prepared_handle(&request.prepared_statement_handle)?;
    server.shared.remembered.0.invalidate(&prepared.nonce).await;
    Ok(())
}

/// A prepared statement with what was bound to it.
pub async fn read(server: &FlightSql, handle: &[u8]) -> Result<Prepared, Status> {
    let mut prepared = server.keys.read_prepared_handle(handle)?;
    if !prepared.values.are_bound()
        && let Some(values) = server.shared.remembered.0.get(&prepared.nonce).await
    {
        prepared.values = Values::clone(&values);
    }
    Ok(prepared)
}

/// Binds the rows of a stream, and answers with the handle that has them.
pub async fn bind<S>(server: &FlightSql, handle: &[u8], stream: S) -> Result<PutResult, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
{
    let mut prepared = server.keys.read_prepared_handle(handle)?;
    let parameters = Parameters::of(&prepared.sql);
    let (mut rows, mut size) = (Vec::new(), 0);
    let mut batches = parameters::record_batches(stream);
    while let Some(batch) = batches.try_next().await.map_err(parameters::refused)? {
        // A batch of nothing binds nothing.
        if batch.num_columns() == 0 && batch.num_rows() == 0 {
            continue;
        }
        let before = rows.len();
        for row in parameters.rows(&batch, before).map_err(parameters::unbound)? {
            rows.push(row.map_err(parameters::unbound)?);
            size += bytes(&rows[rows.len() - 1..]);
            if rows.len() > MAX_ROWS || size > MAX_VALUE_BYTES {
                return Err(Status::resource_exhausted(format!(
                    "a query is bound to at most {MAX_ROWS} rows of {MAX_VALUE_BYTES} bytes: put the values into a table"
                )));
            }
        }
    }
    let types = match batches.schema().filter(|schema| !schema.fields().is_empty()) {
        Some(schema) => parameters.types(schema).map_err(parameters::unbound)?,
        None => Types::new(),
    };
    let type_bytes: usize = types.iter().flatten().map(|name| name.len()).sum();
    if type_bytes > MAX_VALUE_BYTES {
        return Err(Status::resource_exhausted(format!("types of parameters have at most {MAX_VALUE_BYTES} bytes")));
    }
    let values = Values { types, rows };
    server.shared.remembered.0.insert(prepared.nonce.clone(), Arc::new(values.clone())).await;
    prepared.values = values;
    let result =
        DoPutPreparedStatementResult { prepared_statement_handle: Some(server.keys.prepared_handle(prepared)) };
    Ok(PutResult { app_metadata: result.encode_to_vec().into() })
}
