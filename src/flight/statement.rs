//! CommandStatementQuery and its ticket: GetFlightInfo runs the statement and waits, DoGet sends its rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::CompressionType;
use arrow_flight::sql::{Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, RenewFlightEndpointRequest, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;
use prost_types::Timestamp;
use serde_json::json;
use tonic::{Response, Status};
use tracing::Span;

use super::do_get::{self, NoMessages};
use super::encode;
use super::service::FlightSql;
use super::ticket::Prepared;
use super::{command, status};
use crate::gateway::{Finished, GatewayError, Request, ResultHandle};
use crate::session::Session;
use crate::statement::{Class, Statement, bind};

/// Runs a statement and says where its rows are.
pub async fn flight_info(
    server: &FlightSql,
    request: Request<'_>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let finished = server.tenant.run(request).await.map_err(|error| status::of_gateway(&error))?;
    let endpoints = finished.endpoints.iter().map(|handles| endpoint(server, handles));
    let info = encode::flight_info(&finished.schema, descriptor, endpoints)?;
    Ok(info.with_app_metadata(figures(&finished)))
}

/// Says where the rows of a query are that was bound to no rows of values: it is not run, and has none.
pub async fn flight_info_of_nothing(
    server: &FlightSql,
    session: &Session,
    prepared: &Prepared,
    descriptor: FlightDescriptor,
    connection: u64,
) -> Result<FlightInfo, Status> {
    let schema = match Statement::of(&prepared.sql).class {
        Class::Query => {
            // A NULL without a type has a column of texts in any case.
            let types = prepared.values.types.iter().map(|name| Some(name.as_deref().unwrap_or("varchar")));
            let typed = bind::with_types(&prepared.sql, types);
            let described = server.tenant.describe(session, &typed, connection).await;
            described.map_err(|error| status::of_gateway(&error))?.ok_or_else(|| {
                Status::invalid_argument("the columns of this query are known only when it runs: bind a row of values")
            })?
        }
        // What they answer with says what they did, and they did nothing.
        Class::Text | Class::Execute | Class::Update | Class::Definition => Arc::new(Schema::empty()),
    };
    let ticket = server.keys.no_rows_ticket(encode::schema_bytes(&schema)?);
    let ticket = TicketStatementQuery { statement_handle: ticket };
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket: ticket.as_any().encode_to_vec().into() });
    encode::flight_info(&schema, descriptor, [endpoint])
}

/// An endpoint of this server (no location), with the time at which its ticket expires.
fn endpoint(server: &FlightSql, handles: &[ResultHandle]) -> FlightEndpoint {
    let ticket = TicketStatementQuery { statement_handle: server.keys.result_ticket(handles) };
    let expires_at = handles.iter().map(|handle| handle.expires_at).min();
    FlightEndpoint {
        ticket: Some(Ticket { ticket: ticket.as_any().encode_to_vec().into() }),
        expiration_time: expires_at.map(|seconds| Timestamp { seconds, nanos: 0 }),
        ..FlightEndpoint::default()
    }
}

/// RenewFlightEndpoint: the same rows for longer, as long as they are there. The action's body is not wrapped in Any.
pub fn renew(server: &FlightSql, body: &[u8]) -> Result<Bytes, Status> {
    let request = RenewFlightEndpointRequest::decode(body).map_err(|_| {
        Status::invalid_argument("the body of action RenewFlightEndpoint is not a RenewFlightEndpointRequest")
    })?;
    let ticket = request.endpoint.and_then(|endpoint| endpoint.ticket);
    let ticket = ticket.ok_or_else(|| Status::invalid_argument("the request names no endpoint with a ticket"))?;
    let Command::TicketStatementQuery(ticket) = command::of_ticket(&ticket)? else {
        return Err(Status::invalid_argument("the endpoint is not a statement's: it does not expire"));
    };
    if let Some(schema) = server.keys.read_no_rows_ticket(&ticket.statement_handle) {
        let ticket = TicketStatementQuery { statement_handle: server.keys.no_rows_ticket(schema?) };
        let ticket = Ticket { ticket: ticket.as_any().encode_to_vec().into() };
        return Ok(FlightEndpoint::new().with_ticket(ticket).encode_to_vec().into());
    }
    let handles = server.keys.read_result_ticket(&ticket.statement_handle)?;
    let renewed: Vec<ResultHandle> = handles.into_iter().map(ResultHandle::renewed).collect();
    Ok(endpoint(server, &renewed).encode_to_vec().into())
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
pub async fn schema(server: &FlightSql, session: &Session, sql: &str, connection: u64) -> Result<SchemaResult, Status> {
    match server.tenant.describe(session, sql, connection).await {
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
    if let Some(schema) = server.keys.read_no_rows_ticket(&ticket.statement_handle) {
        let schema = Schema::try_from(IpcMessage(schema?)).map_err(status::internal)?;
        let none = stream::empty::<Result<RecordBatch, Status>>();
        return do_get::data(Arc::new(schema), none, compression);
    }
    let handles = server.keys.read_result_ticket(&ticket.statement_handle)?;
    let query_id = handles.first().map(|handle| handle.id.clone());
    let rows = server.tenant.all_rows(handles).await.map_err(|error| status::of_gateway(&error))?;
    // Rows are sent when the call has long been answered: what goes wrong then is logged as the call's all the same.
    let (span, at_the_end) = (Span::current(), Span::current());
    let batches = rows.batches.map_err(move |error| span.in_scope(|| status::of_gateway(&error)));
    let ended = move |error| at_the_end.in_scope(|| status::of_gateway(&GatewayError::memory(query_id.clone(), error)));
    do_get::shared_data(rows.schema, batches, compression, rows.share, ended)
}
