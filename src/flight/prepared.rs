//! Prepared statements: the handle is the signed text, so there is nothing to keep and nothing to close.

use arrow::datatypes::Schema;
use arrow_flight::sql::{ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::messages::CreatePreparedStatementResult;
use super::service::FlightSql;
use super::{encode, status};
use crate::session::Session;
use crate::statement::Statement;

/// The answer's type in FlightSql.proto; ours has its newest field, `is_update`.
const RESULT_TYPE: &str = "type.googleapis.com/arrow.flight.protocol.sql.ActionCreatePreparedStatementResult";

/// Prepares: the dataset schema comes from EXPLAIN. JDBC takes a statement without one for an update, unless `is_update`
/// says otherwise.
pub async fn create(
    server: &FlightSql,
    session: &Session,
    request: ActionCreatePreparedStatementRequest,
) -> Result<Bytes, Status> {
    if request.transaction_id.is_some_and(|id| !id.is_empty()) {
        return Err(Status::unimplemented("Athena has no transactions over several statements"));
    }
    let described = server.gateway.describe(session, &request.query).await;
    let schema = described.map_err(|error| status::of_gateway(&error))?;
    let result = CreatePreparedStatementResult {
        prepared_statement_handle: server.keys.prepared_handle(&request.query).to_vec(),
        dataset_schema: match schema {
            Some(schema) => encode::schema_bytes(&schema)?.to_vec(),
            None => Vec::new(),
        },
        parameter_schema: encode::schema_bytes(&Schema::empty())?.to_vec(),
        is_update: Some(Statement::of(&request.query).is_update()),
    };
    let any = Any { type_url: RESULT_TYPE.to_owned(), value: result.encode_to_vec().into() };
    Ok(any.encode_to_vec().into())
}

/// Closing forgets nothing; it only tells whether the handle was one.
pub fn close(server: &FlightSql, request: &ActionClosePreparedStatementRequest) -> Result<(), Status> {
    server.keys.read_prepared_handle(&request.prepared_statement_handle).map(drop)
}
