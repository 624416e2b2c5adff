//! StartQueryExecution to ListQueryExecutions: statements from QUEUED to their end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::engine::session::Context;
use super::super::engine::{Engine, Task};
use super::super::model::{Execution, Failure, ResultColumn, State, now};
use super::super::results::path_of;
use super::super::sql;
use super::super::store::Store;
use super::{invalid_token, page_size, workgroups};

/// Longest statement, in bytes of UTF-8 (athena-behaviour, section 1).
const MAX_STATEMENT_BYTES: usize = 262_144;
/// Statements that run at the same time; more wait as QUEUED.
const RUNNING_AT_ONCE: usize = 20;
/// Plans are walked by recursion; this is address space, not memory.
const QUERY_STACK_BYTES: usize = 128 << 20;
/// How long a stop of the endpoint waits for its queries.
const STOP_GRACE: Duration = Duration::from_millis(300);
/// Ids that BatchGetQueryExecution takes (athena-behaviour, section 1).
const MAX_BATCH: usize = 50;

pub struct Executions {
    shared: Arc<Shared>,
    /// Queries have threads of their own, so that a heavy one does not keep calls from being answered.
    runtime: Option<Runtime>,
}

struct Shared {
    store: Arc<Store>,
    buckets: PathBuf,
    engine: Engine,
    permits: Semaphore,
    active: Mutex<HashMap<String, Active>>,
    /// Told each time a query leaves `active`.
    ended: Notify,
}

/// A query that has not ended.
struct Active {
    execution: Execution,
    cancel: CancellationToken,
    scanned: Arc<AtomicU64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartQueryExecution {
    query_string: String,
    client_request_token: Option<String>,
    query_execution_context: Option<QueryExecutionContext>,
    result_configuration: Option<ResultConfiguration>,
    work_group: Option<String>,
    execution_parameters: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueryExecutionContext {
    database: Option<String>,
    catalog: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultConfiguration {
    output_location: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ById {
    query_execution_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ByIds {
    query_execution_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueryExecutions {
    next_token: Option<String>,
    max_results: Option<i64>,
    work_group: Option<String>,
}

impl Executions {
    pub fn new(store: Arc<Store>, buckets: PathBuf) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("query")
            .thread_stack_size(QUERY_STACK_BYTES)
            .enable_all()
            .build()?;
        let engine = Engine::new(Arc::clone(&store), buckets.clone());
        let permits = Semaphore::new(RUNNING_AT_ONCE);
        let shared = Shared { store, buckets, engine, permits, active: Mutex::default(), ended: Notify::new() };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    pub fn start(&self, body: &[u8]) -> Answer {
        let asked: StartQueryExecution = input(body)?;
        let parameters = asked.execution_parameters.unwrap_or_default();
        if asked.query_string.len() > MAX_STATEMENT_BYTES {
            return Err(ApiError::invalid_input(format!(
                "1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must have \
                 length less than or equal to {MAX_STATEMENT_BYTES}"
            )));
        }
        if asked.query_string.trim().is_empty() {
            return Err(ApiError::invalid_input(
                "1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must have \
                 length greater than or equal to 1",
            ));
        }
        let token =
            asked.client_request_token.ok_or_else(|| ApiError::invalid_input("ClientRequestToken is required"))?;
        if !(32..=128).contains(&token.len()) {
            return Err(ApiError::invalid_input("Idempotent token must have 32 to 128 characters"));
        }
        let workgroup = asked.work_group.unwrap_or_else(|| workgroups::PRIMARY.to_owned());
        workgroups::check(&workgroup)?;
        let folder = asked.result_configuration.and_then(|configuration| configuration.output_location);
        let folder = folder.unwrap_or_else(workgroups::output_location);
        self.check_folder(&folder)?;
        let (catalog, database) = match asked.query_execution_context {
            Some(context) => (context.catalog, context.database),
            None => (None, None),
        };

        if let Some(known) = self.known_token(&token, &asked.query_string, &catalog, &database, &folder)? {
            return Ok(json!({ "QueryExecutionId": known }));
        }
        let statement = sql::parse(&asked.query_string, &parameters).map_err(|failure| {
            let counted = failure.message.contains("Incorrect number of parameters");
            if counted { ApiError::invalid_request("INVALID_PARAMETER_USAGE", failure.message) } else { failure.into() }
        })?;
        let context = Context::new(catalog.as_deref(), database.as_deref());
        let kind = self.shared.engine.admit(&statement, &context)?;
        let id = uuid::Uuid::new_v4().to_string();
        let output_location = kind.object.map(|ending| format!("{}/{id}{ending}", folder.trim_end_matches('/')));
        let execution = Execution {
            id: id.clone(),
            sql: asked.query_string,
            statement_type: kind.statement_type.to_owned(),
            substatement: kind.substatement.to_owned(),
            catalog,
            database,
            workgroup,
            output_folder: folder,
            output_location: output_location.clone(),
            has_header: kind.has_header,
            parameters,
            state: State::Queued,
            failure: None,
            submitted: now(),
            completed: None,
            queue_ms: 0,
            planning_ms: 0,
            execution_ms: 0,
            scanned_bytes: 0,
            update_count: None,
            columns: Vec::new(),
            token: Some(token),
        };
        if let Some(known) = self.shared.store.begin_execution(&execution)? {
            return Ok(json!({ "QueryExecutionId": known }));
        }
        let (cancel, scanned) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let active = Active { execution, cancel: cancel.clone(), scanned: Arc::clone(&scanned) };
        self.shared.active().insert(id.clone(), active);
        let task = Task { id: id.clone(), statement, kind, context, output: output_location, scanned };
        if let Some(runtime) = &self.runtime {
            runtime.spawn(Arc::clone(&self.shared).run(task, cancel));
        }
        Ok(json!({ "QueryExecutionId": id }))
    }

    fn check_folder(&self, folder: &str) -> Result<(), ApiError> {
        let bucket = folder.strip_prefix("s3://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let path = path_of(&self.shared.buckets, folder);
        match path {
            Some(_) if self.shared.buckets.join(bucket).is_dir() => Ok(()),
            Some(_) => Err(ApiError::invalid_input(format!("Unable to verify/create output bucket {bucket}"))),
            None => Err(ApiError::invalid_input(format!("outputLocation is not a valid S3 path: {folder}"))),
        }
    }

    /// The id a token was used for before. Text, context and output location must be the same then; parameters and
    /// workgroup are not compared (athena-behaviour, section 2).
    fn known_token(
        &self,
        token: &str,
        sql: &str,
        catalog: &Option<String>,
        database: &Option<String>,
        folder: &str,
    ) -> Result<Option<String>, ApiError> {
        let Some(id) = self.shared.store.token(token)? else { return Ok(None) };
        let Some(known) = self.shared.find(&id)? else { return Ok(None) };
        if known.sql == sql && known.catalog == *catalog && known.database == *database && known.output_folder == folder
        {
            return Ok(Some(id));
        }
        Err(ApiError::invalid_request(
            "IDEMPOTENT_PARAMETER_MISMATCH",
            "Idempotent parameters do not match those of the first request",
        ))
    }

    pub fn stop(&self, body: &[u8]) -> Answer {
        let asked: ById = input(body)?;
        if let Some(active) = self.shared.active().get(&asked.query_execution_id) {
            active.cancel.cancel();
            return Ok(json!({}));
        }
        // Stopping a finished query succeeds.
        self.shared.require(&asked.query_execution_id)?;
        Ok(json!({}))
    }

    pub fn get(&self, body: &[u8]) -> Answer {
        let asked: ById = input(body)?;
        let execution = self.shared.require(&asked.query_execution_id)?;
        Ok(json!({ "QueryExecution": describe(&execution) }))
    }

    pub fn batch_get(&self, body: &[u8]) -> Answer {
        let asked: ByIds = input(body)?;
        if asked.query_execution_ids.is_empty() || asked.query_execution_ids.len() > MAX_BATCH {
            return Err(ApiError::invalid_input(format!("QueryExecutionIds must have 1 to {MAX_BATCH} members")));
        }
        let (mut found, mut unprocessed) = (Vec::new(), Vec::new());
        for id in asked.query_execution_ids {
            match self.shared.find(&id)? {
                Some(execution) => found.push(describe(&execution)),
                None => unprocessed.push(json!({
                    "QueryExecutionId": id,
                    "ErrorCode": "QUERY_EXECUTION_NOT_FOUND",
                    "ErrorMessage": format!("QueryExecution {id} was not found"),
                })),
            }
        }
        Ok(json!({ "QueryExecutions": found, "UnprocessedQueryExecutionIds": unprocessed }))
    }

    pub fn list(&self, body: &[u8]) -> Answer {
        let asked: ListQueryExecutions = input(body)?;
        let workgroup = asked.work_group.unwrap_or_else(|| workgroups::PRIMARY.to_owned());
        workgroups::check(&workgroup)?;
        let size = page_size(asked.max_results, 50)?;
        let after = match asked.next_token {
            Some(token) => Some(page_place(&token).ok_or_else(invalid_token)?),
            None => None,
        };
        let (ids, next) = self.shared.store.history(&workgroup, after.as_deref(), size)?;
        let mut answer = json!({ "QueryExecutionIds": ids });
        if let Some(next) = next {
            answer["NextToken"] = Value::from(page_token(&next));
        }
        Ok(answer)
    }

    /// The record of a query, or the answer that there is none.
    pub fn require(&self, id: &str) -> Result<Execution, ApiError> {
        self.shared.require(id)
    }

    pub fn buckets(&self) -> &Path {
        &self.shared.buckets
    }

    /// Cancels what still runs and waits until that is on record.
    pub async fn stop_all(&self) {
        for active in self.shared.active().values() {
            active.cancel.cancel();
        }
        let recorded = async {
            while !self.shared.active().is_empty() {
                self.shared.ended.notified().await;
            }
        };
        let _ = tokio::time::timeout(STOP_GRACE, recorded).await;
    }
}

impl Drop for Executions {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn active(&self) -> MutexGuard<'_, HashMap<String, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Option<Execution>, ApiError> {
        if let Some(active) = self.active().get(id) {
            let mut execution = active.execution.clone();
            execution.scanned_bytes = active.scanned.load(Ordering::Relaxed);
            return Ok(Some(execution));
        }
        Ok(self.store.execution(id)?)
    }

    fn require(&self, id: &str) -> Result<Execution, ApiError> {
        self.find(id)?.ok_or_else(|| {
            ApiError::invalid_request("QUERY_EXECUTION_NOT_FOUND", format!("QueryExecution {id} was not found"))
        })
    }

    /// Takes one statement from QUEUED to its end.
    async fn run(self: Arc<Self>, task: Task, cancel: CancellationToken) {
        let (queued, id, scanned) = (Instant::now(), task.id.clone(), Arc::clone(&task.scanned));
        let update_count = task.kind.update_count;
        let shared = Arc::clone(&self);
        // A task of its own: it may compute for long between two awaits, and a stop must not wait for that; and a panic
        // of the engine must end the query, not leave it RUNNING for ever.
        let mut work = tokio::spawn(async move {
            let _permit = shared.permits.acquire().await;
            if let Some(active) = shared.active().get_mut(&task.id) {
                active.execution.state = State::Running;
                active.execution.queue_ms = queued.elapsed().as_millis() as u64;
            }
            shared.engine.run(task).await
        });
        let result = tokio::select! {
            result = &mut work => Some(result.unwrap_or_else(|_| Err(Failure::internal("the engine panicked")))),
            () = cancel.cancelled() => {
                work.abort();
                None
            }
        };
        let total_ms = queued.elapsed().as_millis() as u64;
        let active = self.active().get(&id).map(|active| active.execution.clone());
        let Some(mut execution) = active else { return };
        execution.completed = Some(now());
        execution.execution_ms = total_ms.saturating_sub(execution.queue_ms);
        execution.scanned_bytes = scanned.load(Ordering::Relaxed);
        match result {
            Some(Ok(columns)) => {
                execution.state = State::Succeeded;
                execution.columns = columns;
                execution.update_count = update_count;
            }
            Some(Err(failure)) => {
                execution.state = State::Failed;
                execution.failure = Some(failure);
            }
            None => {
                execution.state = State::Cancelled;
                execution.failure =
                    Some(Failure { category: 2, error_type: 0, message: "Query cancelled by user".into() });
            }
        }
        if let Err(error) = self.store.end_execution(&execution) {
            tracing::error!(
                query_id = id,
                error = &error as &dyn std::error::Error,
                "the end of a query was not recorded"
            );
        }
        tracing::debug!(query_id = id, state = execution.state.name(), ms = total_ms, "query ended");
        self.active().remove(&id);
        self.ended.notify_one();
    }
}

/// The shape `QueryExecution`.
fn describe(execution: &Execution) -> Value {
    let location = execution
        .output_location
        .clone()
        .unwrap_or_else(|| format!("{}/{}", execution.output_folder.trim_end_matches('/'), execution.id));
    let mut context = json!({});
    if let Some(database) = &execution.database {
        context["Database"] = json!(database);
    }
    if let Some(catalog) = &execution.catalog {
        // GetQueryExecution lower-cases the catalog it was given (athena-behaviour, section 7).
        context["Catalog"] = json!(catalog.to_lowercase());
    }
    let mut status = json!({ "State": execution.state.name(), "SubmissionDateTime": execution.submitted });
    if let Some(completed) = execution.completed {
        status["CompletionDateTime"] = json!(completed);
    }
    if let Some(failure) = &execution.failure {
        status["StateChangeReason"] = json!(failure.message);
        if execution.state == State::Failed {
            status["AthenaError"] = json!({
                "ErrorCategory": failure.category,
                "ErrorType": failure.error_type,
                "Retryable": false,
                "ErrorMessage": failure.message,
            });
        }
    }
    let mut described = json!({
        "QueryExecutionId": execution.id,
        "Query": execution.sql,
        "StatementType": execution.statement_type,
        "SubstatementType": execution.substatement,
        "ResultConfiguration": { "OutputLocation": location },
        "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": false } },
        "QueryExecutionContext": context,
        "Status": status,
        "Statistics": {
            "EngineExecutionTimeInMillis": execution.execution_ms,
            "DataScannedInBytes": execution.scanned_bytes,
            "TotalExecutionTimeInMillis": execution.queue_ms + execution.execution_ms,
            "QueryQueueTimeInMillis": execution.queue_ms,
            "QueryPlanningTimeInMillis": execution.planning_ms,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": { "ReusedPreviousResult": false },
        },
        "WorkGroup": execution.workgroup,
        "EngineVersion": { "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3" },
    });
    if !execution.parameters.is_empty() {
        described["ExecutionParameters"] = json!(execution.parameters);
    }
    described
}

/// The shape `ColumnInfo`.
pub fn column_info(column: &ResultColumn) -> Value {
    json!({
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": column.data_type,
        "Precision": column.precision,
        "Scale": column.scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": column.case_sensitive,
    })
}
