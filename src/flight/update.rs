//! DoPut: statements that change something, rows for a table, and values for prepared statements. An update's answer is the
//! number of rows changed.

use arrow_flight::sql::{Command, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::Status;

use super::service::{FlightSql, no_transaction};
use super::{command, ingest, parameters, prepared, status};
use crate::gateway::{Finished, Request};
use crate::session::Session;
use crate::statement::values::{Parameters, Row};

/// Rows changed by a statement that does not say: Flight SQL's "unknown".
const UNKNOWN: i64 = -1;

/// Reads the command of a stream and does what it says.
pub async fn put<S>(server: &FlightSql, session: &Session, mut stream: S, connection: u64) -> Result<PutResult, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
{
    let first = stream.next().await.ok_or_else(|| Status::invalid_argument("the stream is empty"))??;
    let descriptor = first
        .flight_descriptor
        .as_ref()
        .ok_or_else(|| Status::invalid_argument("the first message of the stream has no descriptor"))?;
    let command = command::of_descriptor(descriptor)?;
    let whole = stream::iter([Ok(first)]).chain(stream);
    let record_count = match &command {
        Command::CommandStatementUpdate(update) => {
            no_transaction(update.transaction_id.as_ref())?;
            run(server, session, &update.query, &[], connection).await?
        }
        Command::CommandPreparedStatementUpdate(update) => {
            run_prepared(server, session, &update.prepared_statement_handle, whole, connection).await?
        }
        Command::CommandPreparedStatementQuery(query) => {
            return prepared::bind(server, &query.prepared_statement_handle, whole).await;
        }
        Command::CommandStatementIngest(ingest) => {
            ingest::put(server, session, ingest.clone(), whole, connection).await?
        }
        _ => return Err(command::unimplemented(&command, "it is not a command for DoPut")),
    };
    Ok(PutResult { app_metadata: DoPutUpdateResult { record_count }.encode_to_vec().into() })
}

/// Runs a prepared statement for each row of the stream as it comes, or as it was bound before if there is none.
async fn run_prepared<S>(
    server: &FlightSql,
    session: &Session,
    handle: &[u8],
    stream: S,
    connection: u64,
) -> Result<i64, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let prepared = prepared::read(server, handle).await?;
    let parameters = Parameters::of(&prepared.sql);
    let mut batches = parameters::record_batches(stream);
    let (mut total, mut done) = (None, 0);
    while let Some(batch) = batches.try_next().await.map_err(parameters::refused)? {
        // Clients without parameters send a batch of nothing.
        if batch.num_columns() == 0 && (parameters.count() == 0 || batch.num_rows() == 0) {
            continue;
        }
        for row in parameters.rows(&batch, done).map_err(parameters::unbound)? {
            let row = row.map_err(parameters::unbound)?;
            let count = run(server, session, &prepared.sql, &[row], connection).await?;
            total = Some(sum(total.unwrap_or(0), count));
        }
        done += batch.num_rows();
    }
    // Columns for parameters, and no rows: the statement is to be run for none.
    let for_none = batches.schema().is_some_and(|schema| !schema.fields().is_empty() && parameters.count() > 0);
    match total {
        Some(total) => Ok(total),
        None if for_none || prepared.values.is_for_no_rows() => Ok(0),
        None => run(server, session, &prepared.sql, &prepared.values.rows, connection).await,
    }
}

async fn run(server: &FlightSql, session: &Session, sql: &str, rows: &[Row], connection: u64) -> Result<i64, Status> {
    let finished = server.tenant.run(Request { session, sql, rows, phase: None, connection }).await;
    finished.map(|finished| record_count(&finished)).map_err(|error| status::of_gateway(&error))
}

fn sum(one: i64, other: i64) -> i64 {
    if one == UNKNOWN || other == UNKNOWN { UNKNOWN } else { one + other }
}

/// A definition changes no rows; what may have changed some and does not say is unknown.
fn record_count(finished: &Finished) -> i64 {
    match finished.outcome.statement_type.as_str() {
        "DML" => finished.update_count.unwrap_or(UNKNOWN),
        _ => finished.update_count.unwrap_or(0),
    }
}
