//! DoPut: statements that change something. The answer is the number of rows changed.

use arrow_flight::sql::{Command, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::Status;

use super::service::FlightSql;
use super::{command, status};
use crate::gateway::Finished;
use crate::session::Session;

/// Rows changed by a statement that does not say: Flight SQL's "unknown".
const UNKNOWN: i64 = -1;

/// Reads the command of a stream and runs it.
pub async fn put<S>(server: &FlightSql, session: &Session, mut stream: S) -> Result<PutResult, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Unpin,
{
    let first = stream.next().await.ok_or_else(|| Status::invalid_argument("the stream is empty"))??;
    let descriptor = first
        .flight_descriptor
        .as_ref()
        .ok_or_else(|| Status::invalid_argument("the first message of the stream has no descriptor"))?;
    let command = command::of_descriptor(descriptor)?;
    let sql = match &command {
        Command::CommandStatementUpdate(update) => {
            if update.transaction_id.as_ref().is_some_and(|id| !id.is_empty()) {
                return Err(Status::unimplemented("Athena has no transactions over several statements"));
            }
            update.query.clone()
        }
        Command::CommandPreparedStatementUpdate(update) => {
            server.keys.read_prepared_handle(&update.prepared_statement_handle)?
        }
        Command::CommandPreparedStatementQuery(_) => {
            return Err(command::unimplemented(
                &command,
                "parameters are not supported yet, write them into the statement",
            ));
        }
        Command::CommandStatementIngest(_) => {
            return Err(command::unimplemented(&command, "bulk ingest is not built yet"));
        }
        _ => return Err(command::unimplemented(&command, "it is not a command for DoPut")),
    };
    let finished = server.gateway.run(session, &sql).await.map_err(|error| status::of_gateway(&error))?;
    let result = DoPutUpdateResult { record_count: record_count(&finished) };
    Ok(PutResult { app_metadata: result.encode_to_vec().into() })
}

/// A definition changes no rows; what may have changed some and does not say is unknown.
fn record_count(finished: &Finished) -> i64 {
    match finished.outcome.statement_type.as_str() {
        "DML" => finished.update_count.unwrap_or(UNKNOWN),
        _ => finished.update_count.unwrap_or(0),
    }
}
