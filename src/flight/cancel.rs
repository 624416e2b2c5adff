//! CancelFlightInfo, and the older CancelQuery: both name the query by its FlightInfo.
//!
//! A FlightInfo exists when its query has run, so what can still be stopped is the sending of its rows; a query that is
//! under way is stopped by dropping the call that waits for it, and one that is polled for by the FlightInfo of its poll.

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Command, ProstMessageExt};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::service::FlightSql;
use super::{command, poll, status};

/// The action; its body is not wrapped in Any.
pub async fn cancel_flight_info(server: &FlightSql, body: &[u8]) -> Result<Bytes, Status> {
    let request = CancelFlightInfoRequest::decode(body).map_err(|_| {
        Status::invalid_argument("the body of action CancelFlightInfo is not a CancelFlightInfoRequest")
    })?;
    let info = request.info.ok_or_else(|| Status::invalid_argument("the request names no FlightInfo"))?;
    let cancelled = cancel(server, &info).await?;
    let status = if cancelled { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
    Ok(CancelFlightInfoResult { status: status as i32 }.encode_to_vec().into())
}

pub async fn cancel_query(server: &FlightSql, request: &ActionCancelQueryRequest) -> Result<Bytes, Status> {
    let info = FlightInfo::decode(&*request.info)
        .map_err(|_| Status::invalid_argument("the request carries something that is not a FlightInfo"))?;
    let cancelled = cancel(server, &info).await?;
    // CancelResult, which the crate does not export, has the numbers of CancelStatus.
    let result = if cancelled { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
    Ok(ActionCancelQueryResult { result: result as i32 }.as_any().encode_to_vec().into())
}

async fn cancel(server: &FlightSql, info: &FlightInfo) -> Result<bool, Status> {
    // A statement that is polled for and has not run yet.
    if let Some(handle) = info.flight_descriptor.as_ref().and_then(poll::handle) {
        return poll::cancel(server, &handle);
    }
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.as_ref());
    let ticket = ticket.ok_or_else(|| Status::invalid_argument("the FlightInfo has no endpoint with a ticket"))?;
    let Command::TicketStatementQuery(ticket) = command::of_ticket(ticket)? else {
        return Err(Status::invalid_argument("the FlightInfo is not a statement's: there is nothing to cancel"));
    };
    if server.keys.read_no_rows_ticket(&ticket.statement_handle).is_some() {
        return Ok(false);
    }
    let mut cancelled = false;
    for handle in server.keys.read_result_ticket(&ticket.statement_handle)? {
        cancelled |= server.tenant.cancel(&handle.id).await.map_err(|error| status::of_gateway(&error))?;
    }
    Ok(cancelled)
}
