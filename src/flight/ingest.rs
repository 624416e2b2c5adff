//! CommandStatementIngest: the rows of a DoPut stream into a table.

use arrow_flight::FlightData;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::Status;

use super::service::{FlightSql, no_transaction};
use super::{parameters, status};
use crate::gateway::GatewayError;
use crate::ingest::{IfExists, Ingest};
use crate::session::Session;

/// Puts the rows of a stream into the table that the command names, and says how many there were.
pub async fn put<S>(
    server: &FlightSql,
    session: &Session,
    command: CommandStatementIngest,
    stream: S,
    connection: u64,
) -> Result<i64, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    no_transaction(command.transaction_id.as_ref())?;
    let ingest = read(command)?;
    let mut batches = parameters::record_batches(stream);
    let first = batches.next().await.transpose().map_err(parameters::refused)?;
    let schema = batches.schema().cloned().ok_or_else(|| Status::invalid_argument("the stream has no schema"))?;
    let rest = batches.map_err(parameters::refused);
    let rows = stream::iter(first.map(Ok)).chain(rest).map_err(IngestStatus);
    let rows = server.tenant.ingest(session, ingest, schema, rows, connection).await;
    rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX)).map_err(|IngestStatus(status)| status)
}

/// What the command says. What it leaves open is an error: rows are not put anywhere by a guess.
fn read(command: CommandStatementIngest) -> Result<Ingest, Status> {
    let unimplemented = |what: &str| Err(Status::unimplemented(what));
    if command.temporary {
        return unimplemented("Athena has no temporary tables");
    }
    if let Some(name) = command.options.keys().next() {
        return Err(Status::invalid_argument(format!("there is no option {name:?} of ingesting")));
    }
    if command.table.is_empty() {
        return Err(Status::invalid_argument("the command names no table"));
    }
    let options = command.table_definition_options.unwrap_or_default();
    let if_exists = match TableExistsOption::try_from(options.if_exists) {
        Ok(TableExistsOption::Fail) => IfExists::Fail,
        Ok(TableExistsOption::Append) => IfExists::Append,
        Ok(TableExistsOption::Replace) => IfExists::Replace,
        _ => return Err(Status::invalid_argument("the command does not say what to do if the table exists")),
    };
    let create = match TableNotExistOption::try_from(options.if_not_exist) {
        Ok(TableNotExistOption::Create) => true,
        Ok(TableNotExistOption::Fail) => false,
        _ => return Err(Status::invalid_argument("the command does not say what to do if there is no such table")),
    };
    let CommandStatementIngest { table, schema, catalog, .. } = command;
    Ok(Ingest { catalog: named(catalog), database: named(schema), table, if_exists, create })
}

fn named(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

/// A status that the gateway passes through.
struct IngestStatus(Status);

impl From<GatewayError> for IngestStatus {
    fn from(error: GatewayError) -> Self {
        Self(status::of_gateway(&error))
    }
}
