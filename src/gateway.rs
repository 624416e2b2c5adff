//! What the gateway does, without a word of gRPC: run a statement, describe it, hand out its rows, cancel it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream, StreamExt};
use moka::future::Cache;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::{AwsError, Clients};
use crate::catalog::Catalog;
use crate::error::Kind;
use crate::results::csv::{CsvError, Object};
use crate::results::pages::{self, FirstPage, PageError};
use crate::results::schema;
use crate::session::Session;
use crate::statement::describe::{self, PlanUnreadable};
use crate::statement::stop::{StopOnDrop, stop};
use crate::statement::{Class, Outcome, Poller, QueryId, QueryState, Statement, submit};

/// First pages kept between GetFlightInfo and DoGet, in bytes and in time.
const FIRST_PAGES_BYTES: u64 = 64 << 20;
const FIRST_PAGE_AGE: Duration = Duration::from_secs(300);
/// Schemas of prepared statements kept, in bytes of their texts and in time.
const SCHEMAS_BYTES: u64 = 8 << 20;
const SCHEMA_AGE: Duration = Duration::from_secs(300);

pub struct Gateway {
    clients: Clients,
    poller: Poller,
    pub catalog: Catalog,
    /// What every statement runs with.
    pub session: Session,
    first_pages: Cache<QueryId, Arc<FirstPage>>,
    schemas: Cache<(String, Session), Option<SchemaRef>>,
    streams: Streams,
    /// Stops that are on their way to Athena.
    stops: TaskTracker,
    shutdown: CancellationToken,
}

/// A statement that ran, and where its rows are.
#[derive(Debug, Clone)]
pub struct Finished {
    pub handle: ResultHandle,
    pub schema: SchemaRef,
    pub outcome: Outcome,
    pub update_count: Option<i64>,
}

/// What any gateway needs to read a finished query's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHandle {
    pub id: QueryId,
    pub statement_type: String,
    pub substatement_type: String,
    pub output_location: Option<String>,
    pub update_count: Option<i64>,
}

impl ResultHandle {
    fn has_header(&self) -> bool {
        pages::has_header(&self.statement_type, &self.substatement_type)
    }

    /// DML other than SELECT and EXPLAIN, and CREATE TABLE AS: no rows, a count (athena-behaviour, section 3).
    fn is_count(&self) -> bool {
        match self.statement_type.as_str() {
            "DML" => !matches!(self.substatement_type.as_str(), "SELECT" | "EXPLAIN"),
            _ => self.substatement_type == "CREATE_TABLE_AS_SELECT",
        }
    }
}

/// What went wrong with a statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    #[error("the statement is empty")]
    Empty,
    #[error("the statement has {0} bytes, Athena takes at most {max}", max = submit::MAX_STATEMENT_BYTES)]
    TooLong(usize),
    #[error("parameters are not supported yet: write the values into the statement")]
    Parameters,
    #[error("{source}")]
    Aws { query_id: Option<QueryId>, source: Arc<AwsError> },
    #[error("{reason}")]
    Failed { query_id: QueryId, reason: String, error: Option<(i32, i32, bool)> },
    #[error("{reason}")]
    Cancelled { query_id: QueryId, reason: String },
    #[error("{source}")]
    Page { query_id: QueryId, source: Box<PageError> },
    #[error("{source}")]
    Csv { query_id: QueryId, source: Box<CsvError> },
    #[error("the gateway is stopping")]
    Stopping,
}

impl GatewayError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Empty | Self::TooLong(_) => Kind::InvalidArgument,
            Self::Parameters => Kind::Unimplemented,
            Self::Aws { source, .. } => source.kind,
            Self::Failed { error, .. } => failure_kind(*error),
            Self::Cancelled { .. } => Kind::Cancelled,
            Self::Page { source, .. } => match source.as_ref() {
                PageError::Aws(error) => error.kind,
                PageError::Row(_) | PageError::Type { .. } => Kind::DataLoss,
            },
            Self::Csv { source, .. } => source.kind(),
            Self::Stopping => Kind::Unavailable,
        }
    }

    /// An error of describing a query as one about the query itself.
    fn about_query(self) -> Self {
        match self {
            Self::Failed { query_id, reason, error } => {
                Self::Failed { query_id, reason: describe::about_query(&reason), error }
            }
            Self::Aws { query_id, source } => {
                let message = describe::about_query(&source.message);
                Self::Aws { query_id, source: Arc::new(AwsError { message, ..source.as_ref().clone() }) }
            }
            other => other,
        }
    }

    /// The query this is about, once there is one.
    pub fn query_id(&self) -> Option<&QueryId> {
        match self {
            Self::Failed { query_id, .. }
            | Self::Cancelled { query_id, .. }
            | Self::Page { query_id, .. }
            | Self::Csv { query_id, .. } => Some(query_id),
            Self::Aws { query_id, .. } => query_id.as_ref(),
            Self::Empty | Self::TooLong(_) | Self::Parameters | Self::Stopping => None,
        }
    }

    /// `AthenaError`: category, type, retryable.
    pub fn athena_error(&self) -> Option<(i32, i32, bool)> {
        match self {
            Self::Failed { error, .. } => *error,
            _ => None,
        }
    }
}

/// What an `AthenaError` means (athena-behaviour, section 6).
fn failure_kind(error: Option<(i32, i32, bool)>) -> Kind {
    match error {
        Some((_, 1301, _)) => Kind::NotFound,
        Some((_, 1401..=1406, _)) => Kind::ResourceExhausted,
        Some((_, 1500, _)) => Kind::PermissionDenied,
        Some((_, 1200, _)) => Kind::Unimplemented,
        Some((1, _, true)) => Kind::Unavailable,
        Some((2, _, _)) => Kind::InvalidArgument,
        _ => Kind::FailedPrecondition,
    }
}

pub type Batches = BoxStream<'static, Result<RecordBatch, GatewayError>>;

impl Gateway {
    pub fn new(clients: Clients, session: Session) -> Self {
        let text_size =
            |(sql, _): &(String, Session), _: &Option<SchemaRef>| u32::try_from(sql.len() + 512).unwrap_or(u32::MAX);
        Self {
            poller: Poller::start(clients.clone()),
            catalog: Catalog::new(clients.clone()),
            clients,
            session,
            first_pages: Cache::builder()
                .max_capacity(FIRST_PAGES_BYTES)
                .weigher(|_, page: &Arc<FirstPage>| u32::try_from(page.size()).unwrap_or(u32::MAX))
                .time_to_live(FIRST_PAGE_AGE)
                .build(),
            schemas: Cache::builder().max_capacity(SCHEMAS_BYTES).weigher(text_size).time_to_live(SCHEMA_AGE).build(),
            streams: Streams::default(),
            stops: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Runs a statement to its end. Dropping the future stops the query.
    pub async fn run(&self, session: &Session, sql: &str) -> Result<Finished, GatewayError> {
        let statement = Statement::of(sql);
        if statement.is_empty {
            return Err(GatewayError::Empty);
        }
        if statement.placeholders > 0 {
            return Err(GatewayError::Parameters);
        }
        let finished = self.run_unchecked(session, sql).await?;
        if matches!(statement.class, Class::Definition | Class::Update) {
            self.catalog.refresh();
            self.schemas.invalidate_all();
        }
        Ok(finished)
    }

    async fn run_unchecked(&self, session: &Session, sql: &str) -> Result<Finished, GatewayError> {
        if sql.len() > submit::MAX_STATEMENT_BYTES {
            return Err(GatewayError::TooLong(sql.len()));
        }
        let started = Instant::now();
        // Whoever goes away while the query is started must not leave it running: the start goes on in a task of its
        // own, and what it started is stopped when nobody takes it.
        let (clients, stops, task_session, text) =
            (self.clients.clone(), self.stops.clone(), session.clone(), sql.to_owned());
        let starting = self.stops.spawn(async move {
            let id = submit::start(&clients, &task_session, &text).await?;
            Ok::<_, AwsError>(StopOnDrop::new(clients, stops, id.clone())).map(|guard| (id, guard))
        });
        let started_query = starting.await.map_err(|_| GatewayError::Stopping)?;
        let (id, mut guard) =
            started_query.map_err(|source| GatewayError::Aws { query_id: None, source: Arc::new(source) })?;
        let aws = |source| GatewayError::Aws { query_id: Some(id.clone()), source: Arc::new(source) };
        let outcome = tokio::select! {
            outcome = self.poller.wait(&id) => outcome.map_err(aws)?,
            () = self.shutdown.cancelled() => return Err(GatewayError::Stopping),
        };
        guard.disarm();
        let reason = || outcome.reason.clone().unwrap_or_else(|| "Athena gives no reason".to_owned());
        tracing::info!(
            query_id = id.as_str(),
            state = ?outcome.state,
            scanned_bytes = outcome.scanned_bytes,
            queue_ms = outcome.queue_ms,
            total_ms = outcome.total_ms,
            waited_ms = started.elapsed().as_millis() as u64,
            "query finished"
        );
        match outcome.state {
            QueryState::Failed => {
                return Err(GatewayError::Failed { query_id: id, reason: reason(), error: outcome.error });
            }
            QueryState::Cancelled => return Err(GatewayError::Cancelled { query_id: id, reason: reason() }),
            QueryState::Succeeded | QueryState::Queued | QueryState::Running => {}
        }
        let mut handle = ResultHandle {
            id: id.clone(),
            statement_type: outcome.statement_type.clone(),
            substatement_type: outcome.substatement_type.clone(),
            output_location: outcome.output_location.clone(),
            update_count: None,
        };
        let page = self.first_page(&handle).await?;
        handle.update_count = page.update_count;
        Ok(Finished { handle, schema: schema(&page.columns), outcome, update_count: page.update_count })
    }

    async fn first_page(&self, handle: &ResultHandle) -> Result<Arc<FirstPage>, GatewayError> {
        let get = async { pages::first(&self.clients, &handle.id, handle.has_header()).await.map(Arc::new) };
        self.first_pages.try_get_with(handle.id.clone(), get).await.map_err(|source| GatewayError::Page {
            query_id: handle.id.clone(),
            source: Box::new(source.as_ref().clone()),
        })
    }

    /// The rows of a finished query. Dropping the stream ends the reading.
    pub async fn rows(&self, handle: &ResultHandle) -> Result<(SchemaRef, Batches), GatewayError> {
        let page = self.first_page(handle).await?;
        let schema = schema(&page.columns);
        let batches = self.reader(handle, page, &schema).await?;
        let cancelled = self.streams.register(&handle.id);
        let id = handle.id.clone();
        let shutdown = self.shutdown.clone();
        let guarded = async move {
            tokio::select! {
                () = cancelled.token.cancelled() => {
                    let reason = "cancelled while its rows were sent".to_owned();
                    GatewayError::Cancelled { query_id: id, reason }
                }
                () = shutdown.cancelled() => GatewayError::Stopping,
            }
        };
        // Rows until the end or the cancellation, which is then the last item.
        let guarded = stream::once(guarded).map(Err).boxed();
        let ended = stream::once(async { None });
        let rows = batches.map(Some).chain(ended);
        let both = stream::select_with_strategy(guarded.map(Some), rows, |_: &mut ()| stream::PollNext::Left);
        let until_end = both.scan(false, |over, item| {
            let item = if *over { None } else { item };
            *over = matches!(item, Some(Err(_)));
            std::future::ready(item)
        });
        Ok((schema, until_end.boxed()))
    }

    /// Small results came with the first page; larger ones are read from their object, or, where there is none, page
    /// by page.
    async fn reader(
        &self,
        handle: &ResultHandle,
        page: Arc<FirstPage>,
        schema: &SchemaRef,
    ) -> Result<Batches, GatewayError> {
        if let Some(count) = handle.update_count.filter(|_| handle.is_count() && page.batch.is_none())
            && schema.fields().len() == 1
        {
            let count = RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(Int64Array::from(vec![count]))]);
            return Ok(stream::iter(count.ok().map(Ok)).boxed());
        }
        let Some(token) = page.next_token.clone() else {
            return Ok(stream::iter(page.batch.clone().map(Ok)).boxed());
        };
        let object = handle.output_location.as_deref().filter(|location| location.ends_with(".csv"));
        if let Some(location) = object {
            match Object::find(&self.clients, location).await {
                Ok(object) => {
                    let id = handle.id.clone();
                    let rows = object.batches(&self.clients, &page.columns);
                    return Ok(rows
                        .map(move |batch| {
                            batch.map_err(|source| GatewayError::Csv { query_id: id.clone(), source: Box::new(source) })
                        })
                        .boxed());
                }
                Err(source) if matches!(source.kind(), Kind::NotFound | Kind::PermissionDenied) => {
                    // Slower, but the same rows (athena-behaviour, section 3: an object may be missing).
                    tracing::warn!(query_id = handle.id.as_str(), error = %source, "result object not readable, reading pages");
                }
                Err(source) => {
                    return Err(GatewayError::Csv { query_id: handle.id.clone(), source: Box::new(source) });
                }
            }
        }
        Ok(self.page_by_page(handle.id.clone(), page, token))
    }

    fn page_by_page(&self, id: QueryId, page: Arc<FirstPage>, token: String) -> Batches {
        let first = stream::iter(page.batch.clone().map(Ok));
        let clients = self.clients.clone();
        let rest = stream::try_unfold(Some(token), move |token| {
            let (clients, id, page) = (clients.clone(), id.clone(), Arc::clone(&page));
            async move {
                let Some(token) = token else { return Ok(None) };
                let next = pages::next(&clients, &id, &page.columns, &token).await;
                let (batch, token) =
                    next.map_err(|source| GatewayError::Page { query_id: id, source: Box::new(source) })?;
                Ok(Some((batch, token)))
            }
        });
        first.chain(rest.filter_map(|batch| std::future::ready(batch.transpose()))).boxed()
    }

    /// The schema of a query that is not run; `None` for statements whose columns are known only when they ran.
    pub async fn describe(&self, session: &Session, sql: &str) -> Result<Option<SchemaRef>, GatewayError> {
        let statement = Statement::of(sql);
        if statement.is_empty {
            return Err(GatewayError::Empty);
        }
        if statement.placeholders > 0 {
            return Err(GatewayError::Parameters);
        }
        if statement.class != Class::Query {
            return Ok(None);
        }
        let describe = async { self.explain(session, sql).await };
        let key = (sql.to_owned(), session.clone());
        self.schemas.try_get_with(key, describe).await.map_err(|error| error.as_ref().clone())
    }

    async fn explain(&self, session: &Session, sql: &str) -> Result<Option<SchemaRef>, GatewayError> {
        let text = describe::explain(sql);
        if text.len() > submit::MAX_STATEMENT_BYTES {
            return Err(GatewayError::TooLong(sql.len()));
        }
        let finished = self.run_unchecked(session, &text).await.map_err(GatewayError::about_query)?;
        let (_, mut batches) = self.rows(&finished.handle).await?;
        let mut lines = String::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let Some(column) =
                batch.columns().first().and_then(|c| c.as_any().downcast_ref::<arrow::array::StringArray>())
            else {
                continue;
            };
            for line in column.iter().flatten() {
                lines.push_str(line);
                lines.push('\n');
            }
        }
        match describe::schema(&lines) {
            Ok(schema) => Ok(Some(schema)),
            // The statement is sound, only its plan is written in a way we cannot read: it can still be run.
            Err(
                unreadable @ (PlanUnreadable::NotJson(_)
                | PlanUnreadable::NoOutput
                | PlanUnreadable::Uneven { .. }
                | PlanUnreadable::Type { .. }),
            ) => {
                tracing::warn!(query_id = finished.handle.id.as_str(), error = %unreadable, "plan without a schema");
                Ok(None)
            }
        }
    }

    /// Stops a query that runs, or the sending of its rows. Gives whether there was anything to stop.
    pub async fn cancel(&self, id: &QueryId) -> Result<bool, GatewayError> {
        let sending = self.streams.cancel(id);
        let stopped = stop(&self.clients, id).await;
        stopped.map_err(|source| GatewayError::Aws { query_id: Some(id.clone()), source: Arc::new(source) })?;
        Ok(sending)
    }

    /// Ends all waits, which stops their queries, and waits until Athena was told.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.stops.close();
        self.stops.wait().await;
    }
}

/// The streams of rows under way, so that they can be cancelled by their query's id.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<HashMap<QueryId, Vec<CancellationToken>>>>);

/// Takes its stream off the list when it ends.
struct Registered {
    streams: Streams,
    id: QueryId,
    token: CancellationToken,
}

impl Streams {
    fn register(&self, id: &QueryId) -> Registered {
        let token = CancellationToken::new();
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(id.clone()).or_default().push(token.clone());
        Registered { streams: self.clone(), id: id.clone(), token }
    }

    fn cancel(&self, id: &QueryId) -> bool {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = streams.get(id);
        found.into_iter().flatten().for_each(CancellationToken::cancel);
        found.is_some()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Cancelling marks it: clones of a token cannot be told apart otherwise.
        self.token.cancel();
        let mut streams = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = streams.get_mut(&self.id) {
            tokens.retain(|token| !token.is_cancelled());
            if tokens.is_empty() {
                streams.remove(&self.id);
            }
        }
    }
}
