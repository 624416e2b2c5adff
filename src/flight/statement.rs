//! CommandStatementQuery and its ticket: GetFlightInfo runs the statement and waits, DoGet sends its rows.

use arrow::ipc::CompressionType;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightInfo, SchemaResult};
use futures::TryStreamExt;
use prost::Message;
use serde_json::json;
use tonic::{Response, Status};

use super::do_get::{self, NoMessages};
use super::encode;
use super::service::FlightSql;
use super::status;
use crate::gateway::Finished;
use crate::session::Session;

/// Runs a statement and says where its rows are.
pub async fn flight_info(
    server: &FlightSql,
    session: &Session,
    sql: &str,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let finished = server.gateway.run(session, sql).await.map_err(|error| status::of_gateway(&error))?;
    let tickets = finished.handles.iter().map(|handle| {
        let ticket = TicketStatementQuery { statement_handle: server.keys.result_ticket(handle) };
        ticket.as_any().encode_to_vec().into()
    });
    let info = encode::flight_info(&finished.schema, descriptor, tickets)?;
    Ok(info.with_app_metadata(figures(&finished)))
}

/// What the query did and cost, as JSON: `query_id`, `data_scanned_bytes`, `queue_ms`, `total_ms`, `update_count`,
/// `result_path` (`direct`, `unload`) and `result_path_reason`.
fn figures(finished: &Finished) -> String {
    let outcome = &finished.outcome;
    json!({
        "query_id": outcome.id.as_str(),
        "data_scanned_bytes": outcome.scanned_bytes,
        "queue_ms": outcome.queue_ms,
        "total_ms": outcome.total_ms,
        "update_count": finished.update_count,
        "result_path": finished.chosen.choice.to_string(),
        "result_path_reason": finished.chosen.why,
    })
    .to_string()
}

/// The schema of a statement that is not run.
pub async fn schema(server: &FlightSql, session: &Session, sql: &str) -> Result<SchemaResult, Status> {
    match server.gateway.describe(session, sql).await {
        Ok(Some(schema)) => Ok(SchemaResult { schema: encode::schema_bytes(&schema)? }),
        Ok(None) => Err(Status::unimplemented("the columns of this statement are known only when it has run")),
        Err(error) => Err(status::of_gateway(&error)),
    }
}

/// Sends the rows behind a ticket.
pub async fn rows(
    server: &FlightSql,
    ticket: TicketStatementQuery,
    compression: Option<CompressionType>,
) -> Result<Response<NoMessages>, Status> {
    let handle = server.keys.read_result_ticket(&ticket.statement_handle)?;
    let (schema, batches) = server.gateway.rows(&handle).await.map_err(|error| status::of_gateway(&error))?;
    do_get::data(schema, batches.map_err(|error| status::of_gateway(&error)), compression)
}
