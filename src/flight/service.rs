//! Each RPC of Flight, and where it goes.
//!
//! The arrow-flight crate's `FlightSqlService` is not used: it has no way to answer GetSchema, and answers broken
//! messages with Internal.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Command,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument as _, Span, field};

use super::callers::{Caller, Callers};
use super::connection::Peer;
use super::do_get::{self, NoMessages};
use super::metadata::tables::Schemas;
use super::poll::Polls;
use super::prepared::Remembered;
use super::ticket::Keys;
use super::{
    cancel, command, encode, handshake, metadata, options, poll, prepared, session_options, sql_info, statement,
    status, update, xdbc_types,
};
use crate::check;
use crate::gateway::{Phase, Request as Run, Tenant};
use crate::session::Session;
use crate::statement::bind;

pub type BoxedStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// What serves one tenant: light, as the tenant is.
pub struct FlightSql {
    pub tenant: Arc<Tenant>,
    pub keys: Keys,
    pub shared: Arc<Shared>,
}

/// What all of them share, each in one size.
#[derive(Default)]
pub struct Shared {
    /// What was bound to prepared statements whose clients keep their first handle.
    pub remembered: Remembered,
    pub polls: Polls,
    /// Schemas of tables, as GetTables sends them.
    pub schemas: Schemas,
}

/// The actions there are, with what they take and give.
const ACTIONS: [(&str, &str); 9] = [
    (
        "CreatePreparedStatement",
        "Prepares a statement. ActionCreatePreparedStatementRequest → ActionCreatePreparedStatementResult",
    ),
    ("ClosePreparedStatement", "Closes a prepared statement. ActionClosePreparedStatementRequest → nothing"),
    ("CancelFlightInfo", "Stops the sending of a result. CancelFlightInfoRequest → CancelFlightInfoResult"),
    ("CancelQuery", "Older form of CancelFlightInfo. ActionCancelQueryRequest → ActionCancelQueryResult"),
    ("RenewFlightEndpoint", "Prolongs the life of a ticket. RenewFlightEndpointRequest → FlightEndpoint"),
    ("SetSessionOptions", "Changes options of the session. SetSessionOptionsRequest → SetSessionOptionsResult"),
    ("GetSessionOptions", "Tells the session's options. GetSessionOptionsRequest → GetSessionOptionsResult"),
    ("CloseSession", "Ends the session. CloseSessionRequest → CloseSessionResult"),
    (CHECK_CONNECTION, "Checks the connection to AWS step by step, as `athena-flight check`. Nothing → JSON"),
];
/// Our own: for tools that set up a connection.
const CHECK_CONNECTION: &str = "CheckConnection";
/// How long each of its steps may take.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// Actions of Flight and Flight SQL that are refused, and why.
const REFUSED_ACTIONS: [(&str, &str); 5] = [
    ("BeginTransaction", NO_TRANSACTIONS),
    ("EndTransaction", NO_TRANSACTIONS),
    ("BeginSavepoint", NO_TRANSACTIONS),
    ("EndSavepoint", NO_TRANSACTIONS),
    ("CreatePreparedSubstraitPlan", NO_SUBSTRAIT),
];
const NO_TRANSACTIONS: &str = "Athena has no transactions over several statements";
const NO_SUBSTRAIT: &str = "Athena runs SQL, not Substrait plans";

impl FlightSql {
    /// The session of a call.
    fn session(&self, headers: &MetadataMap) -> Result<Session, Status> {
        let session = options::session(&self.tenant.session, &self.keys, headers)?;
        self.tenant.limited(session).map_err(|error| status::of_gateway(&error))
    }

    /// Runs a statement, or says where the answer to a metadata command is.
    pub async fn info(
        &self,
        session: &Session,
        descriptor: FlightDescriptor,
        phase: Option<&watch::Sender<Phase>>,
        connection: u64,
    ) -> Result<FlightInfo, Status> {
        let command = command::of_descriptor(&descriptor)?;
        match &command {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                let request = Run { session, sql: &query.query, rows: &[], phase, connection };
                statement::flight_info(self, request, descriptor).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = prepared::read(self, &query.prepared_statement_handle).await?;
                if prepared.values.is_for_no_rows() {
                    return statement::flight_info_of_nothing(self, session, &prepared, descriptor, connection).await;
                }
                let request = Run { session, sql: &prepared.sql, rows: &prepared.values.rows, phase, connection };
                statement::flight_info(self, request, descriptor).await
            }
            // A metadata command is its own ticket: DoGet does the work.
            _ => {
                let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket: descriptor.cmd.clone() });
                encode::flight_info(metadata_schema(&command)?.as_ref(), descriptor, [endpoint])
            }
        }
    }

    async fn schema(
        &self,
        session: &Session,
        descriptor: &FlightDescriptor,
        connection: u64,
    ) -> Result<SchemaResult, Status> {
        let command = command::of_descriptor(descriptor)?;
        match &command {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                statement::schema(self, session, &query.query, connection).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = prepared::read(self, &query.prepared_statement_handle).await?;
                match prepared.values.types.as_slice() {
                    [] => statement::schema(self, session, &prepared.sql, connection).await,
                    types => {
                        let sql = bind::with_types(&prepared.sql, types.iter().map(Option::as_deref));
                        statement::schema(self, session, &sql, connection).await
                    }
                }
            }
            _ => Ok(SchemaResult { schema: encode::schema_bytes(metadata_schema(&command)?.as_ref())? }),
        }
    }

    async fn get(&self, session: &Session, ticket: &Ticket) -> Result<Response<NoMessages>, Status> {
        let catalog = &self.tenant.catalog;
        let batch = match command::of_ticket(ticket)? {
            Command::TicketStatementQuery(ticket) => {
                return statement::rows(self, ticket, options::compression(session)).await;
            }
            Command::CommandGetCatalogs(_) => metadata::catalogs::rows(catalog).await?,
            Command::CommandGetDbSchemas(command) => metadata::schemas::rows(catalog, &command).await?,
            Command::CommandGetTables(command) => {
                let schema = metadata::tables::schema(&command);
                let batches = metadata::tables::rows(&self.tenant, &self.shared.schemas, command).await?;
                return do_get::data(schema, batches, None);
            }
            Command::CommandGetTableTypes(_) => metadata::table_types::rows()?,
            Command::CommandGetPrimaryKeys(_) => metadata::keys::primary()?,
            Command::CommandGetImportedKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetCrossReference(_) => metadata::keys::foreign()?,
            Command::CommandGetSqlInfo(command) => sql_info::rows(command, self.tenant.is_read_only())?,
            Command::CommandGetXdbcTypeInfo(command) => xdbc_types::rows(command)?,
            other => return Err(command::unimplemented(&other, "it is not a ticket of this server")),
        };
        do_get::one_batch(batch)
    }

    async fn act(&self, headers: &MetadataMap, action: Action, connection: u64) -> Result<Acted, Status> {
        let name = action.r#type.as_str();
        // A session that cannot be read can still be ended.
        if name == "CloseSession" {
            return session_options::close(&action.body).map(Acted::from);
        }
        let session = &self.session(headers)?;
        match name {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = command::of_action(name, &action.body)?;
                Ok(prepared::create(self, session, request, connection).await?.into())
            }
            "ClosePreparedStatement" => {
                let request: ActionClosePreparedStatementRequest = command::of_action(name, &action.body)?;
                prepared::close(self, &request).await?;
                Ok(Acted::default())
            }
            "CancelFlightInfo" => Ok(cancel::cancel_flight_info(self, &action.body).await?.into()),
            "RenewFlightEndpoint" => Ok(statement::renew(self, &action.body)?.into()),
            "SetSessionOptions" => session_options::set(&self.keys, headers, &action.body).map(Acted::from),
            "GetSessionOptions" => session_options::get(session, &action.body).map(Acted::from),
            CHECK_CONNECTION if !action.body.is_empty() => {
                Err(Status::invalid_argument(format!("action {CHECK_CONNECTION} takes no body")))
            }
            CHECK_CONNECTION => {
                let report = check::run(&self.tenant, CHECK_LIMIT).await;
                Ok(Bytes::from(serde_json::to_vec(&report).map_err(status::internal)?).into())
            }
            "CancelQuery" => {
                let request: ActionCancelQueryRequest = command::of_action(name, &action.body)?;
                Ok(cancel::cancel_query(self, &request).await?.into())
            }
            _ => match REFUSED_ACTIONS.iter().find(|(refused, _)| *refused == name) {
                Some((_, why)) => Err(Status::unimplemented(format!("action {name} is not supported: {why}"))),
                None => Err(Status::invalid_argument(format!("there is no action {name:?}"))),
            },
        }
    }
}

/// What an action gives.
#[derive(Default)]
struct Acted {
    bodies: Vec<Bytes>,
    /// The `set-cookie` header of the answer.
    cookie: Option<String>,
}

impl From<Bytes> for Acted {
    fn from(body: Bytes) -> Self {
        Self { bodies: vec![body], cookie: None }
    }
}

impl From<session_options::Answer> for Acted {
    fn from(answer: session_options::Answer) -> Self {
        Self { bodies: vec![answer.body], cookie: answer.cookie }
    }
}

pub fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
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

/// The RPCs: each finds out who calls before anything else, and what it logs says so.
pub struct Rpcs(pub Arc<Callers>);

impl Rpcs {
    /// Answers a call, in a span that names the RPC, the peer and the principal.
    async fn answer<T, R, F>(
        &self,
        rpc: &'static str,
        request: Request<T>,
        act: impl FnOnce(Caller, Request<T>) -> F + Send,
    ) -> Result<R, Status>
    where
        T: Send,
        F: Future<Output = Result<R, Status>> + Send,
    {
        let span = tracing::info_span!("call", rpc, peer = field::Empty, principal = field::Empty);
        if let Some(peer) = request.extensions().get::<Peer>() {
            span.record("peer", field::display(peer.address));
        }
        // On the heap: the futures of a call lie deep in each other, and each would be on the stack of the one around it.
        let answered = Box::pin(async {
            let (metadata, extensions, message) = request.into_parts();
            let caller = self.0.caller(&metadata, &extensions).await?;
            Span::current().record("principal", field::display(&caller.server.tenant.owner));
            act(caller, Request::from_parts(metadata, extensions, message)).await
        });
        answered.instrument(span).await
    }
}

#[tonic::async_trait]
impl FlightService for Rpcs {
    type HandshakeStream = BoxedStream<HandshakeResponse>;
    type ListFlightsStream = BoxedStream<FlightInfo>;
    type DoGetStream = NoMessages;
    type DoPutStream = BoxedStream<PutResult>;
    type DoActionStream = BoxedStream<arrow_flight::Result>;
    type ListActionsStream = BoxedStream<ActionType>;
    type DoExchangeStream = BoxedStream<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        handshake::answer(self.0.token(request.metadata(), request.extensions()).await?)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        // A flight exists when its statement has run, and only its caller knows of it.
        self.answer("ListFlights", request, |caller, _| async move { Ok(caller.answer(boxed(vec![]))) }).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let info = |caller: Caller, request: Request<FlightDescriptor>| async move {
            let session = caller.server.session(request.metadata())?;
            let info = caller.server.info(&session, request.into_inner(), None, caller.connection).await?;
            Ok(caller.answer(info))
        };
        self.answer("GetFlightInfo", request, info).await
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let poll = |caller: Caller, request: Request<FlightDescriptor>| async move {
            let session = caller.server.session(request.metadata())?;
            let deadline = options::deadline(request.metadata());
            let info = poll::poll(&caller, &session, request.into_inner(), deadline).await?;
            Ok(caller.answer(info))
        };
        self.answer("PollFlightInfo", request, poll).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let schema = |caller: Caller, request: Request<FlightDescriptor>| async move {
            let session = caller.server.session(request.metadata())?;
            let schema = caller.server.schema(&session, request.get_ref(), caller.connection).await?;
            Ok(caller.answer(schema))
        };
        self.answer("GetSchema", request, schema).await
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let get = |caller: Caller, request: Request<Ticket>| async move {
            let session = caller.server.session(request.metadata())?;
            let rows = caller.server.get(&session, request.get_ref()).await?;
            Ok(caller.with_token(rows))
        };
        self.answer("DoGet", request, get).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let put = |caller: Caller, request: Request<Streaming<FlightData>>| async move {
            let session = caller.server.session(request.metadata())?;
            let result = update::put(&caller.server, &session, request.into_inner(), caller.connection).await?;
            Ok(caller.answer(boxed(vec![result])))
        };
        self.answer("DoPut", request, put).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let act = |caller: Caller, request: Request<Action>| async move {
            let (headers, _, action) = request.into_parts();
            let Acted { bodies, cookie } = caller.server.act(&headers, action, caller.connection).await?;
            let results = bodies.into_iter().map(|body| arrow_flight::Result { body });
            let mut response: Response<Self::DoActionStream> = caller.answer(boxed(results.collect()));
            if let Some(cookie) = cookie {
                response.metadata_mut().insert("set-cookie", cookie.parse().map_err(status::internal)?);
            }
            Ok(response)
        };
        self.answer("DoAction", request, act).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions =
            ACTIONS.map(|(name, description)| ActionType { r#type: name.into(), description: description.into() });
        self.answer("ListActions", request, |caller, _| async move { Ok(caller.answer(boxed(actions.to_vec()))) }).await
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("DoExchange is not supported: Flight SQL has no use for it"))
    }
}
