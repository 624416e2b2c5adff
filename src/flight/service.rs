//! Each RPC of Flight, and where it goes.
//!
//! The arrow-flight crate's `FlightSqlService` is not used: it has no way to answer GetSchema, and answers broken
//! messages with Internal.

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Command,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::do_get::{self, NoMessages};
use super::ticket::Keys;
use super::{cancel, command, encode, handshake, metadata, options, prepared, sql_info, statement, update, xdbc_types};
use crate::gateway::Gateway;
use crate::session::Session;

pub type BoxedStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

pub struct FlightSql {
    pub gateway: Arc<Gateway>,
    pub keys: Keys,
}

/// The actions there are, with what they take and give.
const ACTIONS: [(&str, &str); 4] = [
    (
        "CreatePreparedStatement",
        "Prepares a statement. ActionCreatePreparedStatementRequest → ActionCreatePreparedStatementResult",
    ),
    ("ClosePreparedStatement", "Closes a prepared statement. ActionClosePreparedStatementRequest → nothing"),
    ("CancelFlightInfo", "Stops the sending of a result. CancelFlightInfoRequest → CancelFlightInfoResult"),
    ("CancelQuery", "Older form of CancelFlightInfo. ActionCancelQueryRequest → ActionCancelQueryResult"),
];

/// Actions of Flight and Flight SQL that are refused, and why.
const REFUSED_ACTIONS: [(&str, &str); 9] = [
    ("BeginTransaction", NO_TRANSACTIONS),
    ("EndTransaction", NO_TRANSACTIONS),
    ("BeginSavepoint", NO_TRANSACTIONS),
    ("EndSavepoint", NO_TRANSACTIONS),
    ("CreatePreparedSubstraitPlan", NO_SUBSTRAIT),
    ("RenewFlightEndpoint", "tickets cannot be renewed: run the statement again"),
    ("SetSessionOptions", NO_SESSIONS),
    ("GetSessionOptions", NO_SESSIONS),
    ("CloseSession", NO_SESSIONS),
];
const NO_TRANSACTIONS: &str = "Athena has no transactions over several statements";
const NO_SUBSTRAIT: &str = "Athena runs SQL, not Substrait plans";
const NO_SESSIONS: &str = "there are no session options yet: catalog and database are options of the server";

impl FlightSql {
    pub fn new(gateway: Arc<Gateway>, keys: Keys) -> Self {
        Self { gateway, keys }
    }

    /// The session of a call.
    fn session(&self, headers: &MetadataMap) -> Result<Session, Status> {
        options::session(&self.gateway.session, headers)
    }

    async fn info(&self, session: &Session, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let command = command::of_descriptor(&descriptor)?;
        match &command {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                statement::flight_info(self, session, &query.query, descriptor).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let sql = self.keys.read_prepared_handle(&query.prepared_statement_handle)?;
                statement::flight_info(self, session, &sql, descriptor).await
            }
            // A metadata command is its own ticket: DoGet does the work.
            _ => {
                let ticket = descriptor.cmd.clone();
                encode::flight_info(metadata_schema(&command)?.as_ref(), descriptor, [ticket])
            }
        }
    }

    async fn schema(&self, session: &Session, descriptor: &FlightDescriptor) -> Result<SchemaResult, Status> {
        let command = command::of_descriptor(descriptor)?;
        match &command {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                statement::schema(self, session, &query.query).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let sql = self.keys.read_prepared_handle(&query.prepared_statement_handle)?;
                statement::schema(self, session, &sql).await
            }
            _ => Ok(SchemaResult { schema: encode::schema_bytes(metadata_schema(&command)?.as_ref())? }),
        }
    }

    async fn get(&self, headers: &MetadataMap, ticket: &Ticket) -> Result<Response<NoMessages>, Status> {
        let catalog = &self.gateway.catalog;
        let batch = match command::of_ticket(ticket)? {
            Command::TicketStatementQuery(ticket) => {
                return statement::rows(self, ticket, options::compression(headers)?).await;
            }
            Command::CommandGetCatalogs(_) => metadata::catalogs::rows(catalog).await?,
            Command::CommandGetDbSchemas(command) => metadata::schemas::rows(catalog, &command).await?,
            Command::CommandGetTables(command) => metadata::tables::rows(catalog, &command).await?,
            Command::CommandGetTableTypes(_) => metadata::table_types::rows()?,
            Command::CommandGetPrimaryKeys(_) => metadata::keys::primary()?,
            Command::CommandGetImportedKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetCrossReference(_) => metadata::keys::foreign()?,
            Command::CommandGetSqlInfo(command) => sql_info::rows(command)?,
            Command::CommandGetXdbcTypeInfo(command) => xdbc_types::rows(command)?,
            other => return Err(command::unimplemented(&other, "it is not a ticket of this server")),
        };
        do_get::one_batch(batch)
    }

    async fn act(&self, session: &Session, action: Action) -> Result<Vec<Bytes>, Status> {
        let name = action.r#type.as_str();
        match name {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = command::of_action(name, &action.body)?;
                Ok(vec![prepared::create(self, session, request).await?])
            }
            "ClosePreparedStatement" => {
                let request: ActionClosePreparedStatementRequest = command::of_action(name, &action.body)?;
                prepared::close(self, &request)?;
                Ok(vec![])
            }
            "CancelFlightInfo" => Ok(vec![cancel::cancel_flight_info(self, &action.body).await?]),
            "CancelQuery" => {
                let request: ActionCancelQueryRequest = command::of_action(name, &action.body)?;
                Ok(vec![cancel::cancel_query(self, &request).await?])
            }
            _ => match REFUSED_ACTIONS.iter().find(|(refused, _)| *refused == name) {
                Some((_, why)) => Err(Status::unimplemented(format!("action {name} is not supported: {why}"))),
                None => Err(Status::invalid_argument(format!("there is no action {name:?}"))),
            },
        }
    }
}

fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    if id.is_some_and(|id| !id.is_empty()) { Err(Status::unimplemented(NO_TRANSACTIONS)) } else { Ok(()) }
}

/// The schema of a metadata command's answer.
fn metadata_schema(command: &Command) -> Result<arrow::datatypes::SchemaRef, Status> {
    Ok(match command {
        Command::CommandGetCatalogs(_) => metadata::catalogs::schema(),
        Command::CommandGetDbSchemas(command) => metadata::schemas::schema(command),
        Command::CommandGetTables(command) => metadata::tables::schema(command),
        Command::CommandGetTableTypes(_) => metadata::table_types::schema(),
        Command::CommandGetPrimaryKeys(_) => metadata::keys::primary_schema(),
        Command::CommandGetImportedKeys(_)
        | Command::CommandGetExportedKeys(_)
        | Command::CommandGetCrossReference(_) => metadata::keys::foreign_schema(),
        Command::CommandGetSqlInfo(_) => sql_info::schema(),
        Command::CommandGetXdbcTypeInfo(_) => xdbc_types::schema()?,
        Command::CommandStatementSubstraitPlan(_) => return Err(command::unimplemented(command, NO_SUBSTRAIT)),
        other => return Err(command::unimplemented(other, "it is not a command for GetFlightInfo or GetSchema")),
    })
}

fn boxed<T: Send + 'static>(items: Vec<T>) -> BoxedStream<T> {
    stream::iter(items.into_iter().map(Ok)).boxed()
}

#[tonic::async_trait]
impl FlightService for FlightSql {
    type HandshakeStream = BoxedStream<HandshakeResponse>;
    type ListFlightsStream = BoxedStream<FlightInfo>;
    type DoGetStream = NoMessages;
    type DoPutStream = BoxedStream<PutResult>;
    type DoActionStream = BoxedStream<arrow_flight::Result>;
    type ListActionsStream = BoxedStream<ActionType>;
    type DoExchangeStream = BoxedStream<FlightData>;

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Ok(handshake::answer())
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented("ListFlights is not supported: list tables with CommandGetTables"))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.info(&self.session(request.metadata())?, request.into_inner()).await.map(Response::new)
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("PollFlightInfo is not supported yet: GetFlightInfo runs the statement and waits"))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.schema(&self.session(request.metadata())?, request.get_ref()).await.map(Response::new)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.get(request.metadata(), request.get_ref()).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let session = self.session(request.metadata())?;
        let result = update::put(self, &session, request.into_inner()).await?;
        Ok(Response::new(boxed(vec![result])))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let session = self.session(request.metadata())?;
        let bodies = self.act(&session, request.into_inner()).await?;
        Ok(Response::new(boxed(bodies.into_iter().map(|body| arrow_flight::Result { body }).collect())))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions =
            ACTIONS.map(|(name, description)| ActionType { r#type: name.into(), description: description.into() });
        Ok(Response::new(boxed(actions.to_vec())))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("DoExchange is not supported: Flight SQL has no use for it"))
    }
}
