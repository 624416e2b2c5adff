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
use super::super::behaviour::Behaviour;
use super::super::engine::session::{Context, Reading};
use super::super::engine::{Engine, Outcome, Task};
use super::super::iam::Caller;
use super::super::model::{Execution, Failure, ResultColumn, State, now};
use super::super::results::{MANAGED, path_of, size_of};
use super::super::sql::{self, Statement, prepared};
use super::super::store::Store;
use super::{invalid_token, page_size, workgroups};

/// Longest statement, in bytes of UTF-8 (athena-behaviour, section 1).
const MAX_STATEMENT_BYTES: usize = 262_144;
/// Statements that run at the same time unless it is said otherwise; more wait as QUEUED.
const RUNNING_AT_ONCE: usize = 20;
/// Statements queued and running at once unless it is said otherwise: what an account is allowed by default.
const ACTIVE_AT_ONCE: usize = 200;
/// The oldest result that may be used again, in minutes (athena-behaviour, section 2).
const MAX_REUSE_MINUTES: i64 = 10_080;
/// How often the bytes scanned are looked at.
const CUTOFF_TICK: Duration = Duration::from_millis(20);
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
    behaviour: Arc<Behaviour>,
    permits: Mutex<Permits>,
    active: Mutex<HashMap<String, Active>>,
    /// Told each time a query leaves `active`.
    ended: Notify,
}

/// Places for running statements; made anew when their number is set to another.
struct Permits {
    count: usize,
    places: Arc<Semaphore>,
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
    result_reuse_configuration: Option<ResultReuse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultReuse {
    result_reuse_by_age_configuration: Option<ReuseByAge>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReuseByAge {
    enabled: bool,
    max_age_in_minutes: Option<i64>,
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
    encryption_configuration: Option<Value>,
}

/// Where a statement's results go and how: the workgroup's word and the client's together.
struct Destination {
    folder: String,
    encryption: Option<Value>,
    managed: bool,
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
    pub fn new(store: Arc<Store>, buckets: PathBuf, behaviour: Arc<Behaviour>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("query")
            .thread_stack_size(QUERY_STACK_BYTES)
            .enable_all()
            .build()?;
        let engine = Engine::new(Arc::clone(&store), buckets.clone());
        let permits = Permits { count: RUNNING_AT_ONCE, places: Arc::new(Semaphore::new(RUNNING_AT_ONCE)) };
        let (permits, active, ended) = (Mutex::new(permits), Mutex::default(), Notify::new());
        let shared = Shared { store, buckets, engine, behaviour, permits, active, ended };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    pub fn start(&self, body: &[u8], caller: &Caller) -> Answer {
        let asked: StartQueryExecution = input(body)?;
        check_text(&asked.query_string)?;
        let token =
            asked.client_request_token.ok_or_else(|| ApiError::invalid_input("ClientRequestToken is required"))?;
        if !(32..=128).contains(&token.len()) {
            return Err(ApiError::invalid_input("Idempotent token must have 32 to 128 characters"));
        }
        let workgroup = asked.work_group.unwrap_or_else(|| workgroups::PRIMARY.to_owned());
        let found = workgroups::find(&self.shared.store, &workgroup)?;
        if found.disabled {
            return Err(ApiError::invalid_input(format!("WorkGroup {workgroup} is disabled.")));
        }
        let rules = found.rules();
        let destination = self.destination(&workgroup, &rules, asked.result_configuration)?;
        let reuse_minutes = reuse(asked.result_reuse_configuration)?;
        let (catalog, database) = match asked.query_execution_context {
            Some(context) => (context.catalog, context.database),
            None => (None, None),
        };
        let folder = destination.folder;
        if let Some(known) = self.known_token(&token, &asked.query_string, &catalog, &database, &folder)? {
            return Ok(json!({ "QueryExecutionId": known }));
        }
        let parameters = asked.execution_parameters.unwrap_or_default();
        let statement = self.statement(&asked.query_string, &parameters, &workgroup)?;
        let context = Context::new(catalog.as_deref(), database.as_deref());
        let kind = self.shared.engine.admit(&statement, &context)?;
        let most = self.shared.behaviour.settings().concurrent_queries.unwrap_or(ACTIVE_AT_ONCE);
        if self.shared.active().len() >= most {
            return Err(too_many_queries());
        }
        let id = uuid::Uuid::new_v4().to_string();
        let output_location = kind.object.location(&folder, &id);
        let mut execution = Execution {
            id: id.clone(),
            sql: asked.query_string,
            statement_type: kind.statement_type.to_owned(),
            substatement: kind.substatement.to_owned(),
            catalog,
            database,
            workgroup: workgroup.clone(),
            output_folder: folder.clone(),
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
            manifest: None,
            encryption: destination.encryption,
            managed: destination.managed,
            reused: false,
            reuse_minutes,
            output_rows: None,
            output_bytes: None,
        };
        if let Some(earlier) = self.shared.reusable(&execution)? {
            execution.reuse(earlier);
            if let Some(known) = self.shared.store.begin_execution(&execution)? {
                return Ok(json!({ "QueryExecutionId": known }));
            }
            self.shared.store.end_execution(&execution)?;
            return Ok(json!({ "QueryExecutionId": id }));
        }
        if let Some(known) = self.shared.store.begin_execution(&execution)? {
            return Ok(json!({ "QueryExecutionId": known }));
        }
        let (cancel, scanned) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let active = Active { execution, cancel: cancel.clone(), scanned: Arc::clone(&scanned) };
        self.shared.active().insert(id.clone(), active);
        let reading = Reading { caller: Arc::new(caller.clone()), scanned };
        let task =
            Task { id: id.clone(), statement, kind, context, workgroup, folder, output: output_location, reading };
        if let Some(runtime) = &self.runtime {
            runtime.spawn(Arc::clone(&self.shared).run(task, cancel, rules.cutoff));
        }
        Ok(json!({ "QueryExecutionId": id }))
    }

    /// Reads the text; EXECUTE stands for the statement that was prepared.
    fn statement(&self, text: &str, parameters: &[String], workgroup: &str) -> Result<Statement, ApiError> {
        let refused = |failure: Failure| {
            let counted = failure.message.contains("Incorrect number of parameters");
            if counted { ApiError::invalid_request("INVALID_PARAMETER_USAGE", failure.message) } else { failure.into() }
        };
        let Some(execute) = prepared::execute(text).map_err(refused)? else {
            return sql::parse(text, parameters).map_err(refused);
        };
        let found = self.shared.store.prepared(workgroup, &execute.name)?.ok_or_else(|| {
            ApiError::invalid_input(format!(
                "PreparedStatement {} was not found in workGroup {workgroup}",
                execute.name
            ))
        })?;
        sql::parse(&found.query, execute.values.as_deref().unwrap_or(parameters)).map_err(refused)
    }

    /// The workgroup's settings win if it enforces them; managed results know no output location
    /// (athena-behaviour, section 2).
    fn destination(
        &self,
        workgroup: &str,
        rules: &workgroups::Rules,
        asked: Option<ResultConfiguration>,
    ) -> Result<Destination, ApiError> {
        let (location, encryption) = match asked {
            Some(asked) => (asked.output_location, asked.encryption_configuration),
            None => (None, None),
        };
        if rules.managed {
            if location.is_some() {
                return Err(ApiError::invalid_input(
                    "OutputLocation cannot be specified: the WorkGroup has managed query results",
                ));
            }
            return Ok(Destination { folder: format!("s3://{MANAGED}/{workgroup}"), encryption: None, managed: true });
        }
        let (location, encryption) = if rules.enforced {
            (rules.output_location.clone(), rules.encryption.clone())
        } else {
            (location.or(rules.output_location.clone()), encryption.or(rules.encryption.clone()))
        };
        let folder = location.filter(|location| !location.is_empty()).ok_or_else(|| {
            ApiError::invalid_input(
                "No output location provided. An output location is required either through the Workgroup result \
                 configuration setting or as an API input.",
            )
        })?;
        self.check_folder(&folder)?;
        Ok(Destination { folder, encryption, managed: false })
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

    /// The shape `QueryRuntimeStatistics`: a timeline, and rows with a single output stage.
    pub fn runtime_statistics(&self, body: &[u8]) -> Answer {
        let asked: ById = input(body)?;
        let execution = self.shared.require(&asked.query_execution_id)?;
        let bytes = execution.output_bytes.unwrap_or_default();
        Ok(json!({ "QueryRuntimeStatistics": {
            "Timeline": {
                "QueryQueueTimeInMillis": execution.queue_ms,
                "QueryPlanningTimeInMillis": execution.planning_ms,
                "EngineExecutionTimeInMillis": execution.execution_ms,
                "ServiceProcessingTimeInMillis": 0,
                "TotalExecutionTimeInMillis": execution.queue_ms + execution.execution_ms,
            },
            "Rows": {
                "InputBytes": execution.scanned_bytes,
                "OutputBytes": bytes,
                "OutputRows": execution.output_rows.or(execution.update_count).unwrap_or_default(),
            },
            "OutputStage": {
                "StageId": 0,
                "State": if execution.state == State::Succeeded { "FINISHED" } else { execution.state.name() },
                "OutputBytes": bytes,
                "InputBytes": execution.scanned_bytes,
                "ExecutionTime": execution.execution_ms,
            },
        } }))
    }

    pub fn list(&self, body: &[u8]) -> Answer {
        let asked: ListQueryExecutions = input(body)?;
        let workgroup = asked.work_group.unwrap_or_else(|| workgroups::PRIMARY.to_owned());
        workgroups::find(&self.shared.store, &workgroup)?;
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

    /// The places for running statements, as many as the settings say.
    fn places(&self) -> Arc<Semaphore> {
        let count = self.behaviour.settings().running_queries.unwrap_or(RUNNING_AT_ONCE);
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        if permits.count != count {
            *permits = Permits { count, places: Arc::new(Semaphore::new(count)) };
        }
        Arc::clone(&permits.places)
    }

    /// An earlier query whose rows may be used again: the same text, context, workgroup and place, young enough.
    fn reusable(&self, execution: &Execution) -> Result<Option<Execution>, ApiError> {
        let Some(minutes) = execution.reuse_minutes.filter(|_| execution.may_be_reused()) else { return Ok(None) };
        let Some(id) = self.store.reusable(&execution.reuse_key())? else { return Ok(None) };
        let earlier = self.store.execution(&id)?;
        let fits = |earlier: &Execution| {
            let age = now() - earlier.completed.unwrap_or_default();
            earlier.state == State::Succeeded
                && age <= minutes as f64 * 60.0
                && earlier.output_location.as_deref().is_some_and(|place| size_of(&self.buckets, place).is_some())
        };
        Ok(earlier.filter(fits))
    }

    /// Takes one statement from QUEUED to its end.
    async fn run(self: Arc<Self>, task: Task, cancel: CancellationToken, cutoff: Option<u64>) {
        let (queued, id, scanned) = (Instant::now(), task.id.clone(), Arc::clone(&task.reading.scanned));
        let update_count = task.kind.update_count;
        let shared = Arc::clone(&self);
        // A task of its own: it may compute for long between two awaits, and a stop must not wait for that; and a panic
        // of the engine must end the query, not leave it RUNNING for ever.
        let mut work = tokio::spawn(async move { shared.work(task, queued).await });
        let over = async {
            let Some(cutoff) = cutoff else { return std::future::pending().await };
            while scanned.load(Ordering::Relaxed) <= cutoff {
                tokio::time::sleep(CUTOFF_TICK).await;
            }
        };
        let cancelled =
            |message: &str| Failure { category: 2, error_type: 0, message: message.into(), retryable: false };
        let result = tokio::select! {
            result = &mut work => {
                let result = result.unwrap_or_else(|_| Err(Failure::internal("the engine panicked")));
                Ok(result)
            }
            () = cancel.cancelled() => Err(cancelled("Query cancelled by user")),
            () = over => Err(cancelled("Bytes scanned limit was exceeded")),
        };
        let over = cutoff.is_some_and(|cutoff| scanned.load(Ordering::Relaxed) > cutoff);
        let result = if over { Err(cancelled("Bytes scanned limit was exceeded")) } else { result };
        work.abort();
        let total_ms = queued.elapsed().as_millis() as u64;
        let active = self.active().get(&id).map(|active| active.execution.clone());
        let Some(mut execution) = active else { return };
        execution.completed = Some(now());
        execution.execution_ms = total_ms.saturating_sub(execution.queue_ms);
        execution.scanned_bytes = scanned.load(Ordering::Relaxed);
        match result {
            Ok(Ok(outcome)) => {
                execution.state = State::Succeeded;
                execution.columns = outcome.columns;
                execution.update_count = outcome.update_count.or(update_count);
                execution.manifest = outcome.manifest;
                execution.output_rows = outcome.rows;
                execution.output_bytes =
                    execution.output_location.as_deref().and_then(|place| size_of(&self.buckets, place));
            }
            Ok(Err(failure)) => {
                execution.state = State::Failed;
                execution.failure = Some(failure);
            }
            Err(stopped) => {
                execution.state = State::Cancelled;
                execution.failure = Some(stopped);
            }
        }
        let reusable = execution.state == State::Succeeded && execution.may_be_reused();
        let recorded = self.store.end_execution(&execution).and_then(|()| match reusable {
            true => self.store.put_reusable(&execution.reuse_key(), &execution.id),
            false => Ok(()),
        });
        if let Err(error) = recorded {
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

    /// Waits for a place, then runs the statement, with the delays and failures that are asked for.
    async fn work(&self, task: Task, queued: Instant) -> Result<Outcome, Failure> {
        let settings = self.behaviour.settings();
        if let Some(delay) = settings.latency.queue {
            tokio::time::sleep(delay.sample()).await;
        }
        let places = self.places();
        let _permit = places.acquire().await;
        let text = self.active().get_mut(&task.id).map(|active| {
            active.execution.state = State::Running;
            active.execution.queue_ms = queued.elapsed().as_millis() as u64;
            active.execution.sql.clone()
        });
        let least = settings.latency.run.map(|delay| tokio::time::Instant::now() + delay.sample());
        let result = match text.and_then(|text| self.behaviour.query_failure(&text)) {
            Some(failure) => Err(failure),
            None => self.engine.run(task).await,
        };
        if let Some(until) = least {
            tokio::time::sleep_until(until).await;
        }
        result
    }
}

impl Execution {
    fn may_be_reused(&self) -> bool {
        self.substatement == "SELECT" && !self.managed
    }

    /// What has to be the same for rows to be used again.
    fn reuse_key(&self) -> String {
        let parts = [
            self.workgroup.as_str(),
            self.catalog.as_deref().unwrap_or_default(),
            self.database.as_deref().unwrap_or_default(),
            self.output_folder.as_str(),
            self.sql.as_str(),
        ];
        let encryption = self.encryption.as_ref().map(Value::to_string).unwrap_or_default();
        let parameters = self.parameters.iter().map(String::as_str);
        let all: Vec<&str> = parts.into_iter().chain([encryption.as_str()]).chain(parameters).collect();
        all.join("\u{0}")
    }

    /// Ends at once with the rows of an earlier query.
    fn reuse(&mut self, earlier: Self) {
        self.state = State::Succeeded;
        self.completed = Some(now());
        self.output_location = earlier.output_location;
        self.columns = earlier.columns;
        self.update_count = earlier.update_count;
        self.output_rows = earlier.output_rows;
        self.output_bytes = earlier.output_bytes;
        self.reused = true;
    }
}

fn check_text(text: &str) -> Result<(), ApiError> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must have length less \
             than or equal to {MAX_STATEMENT_BYTES}"
        )));
    }
    if text.trim().is_empty() {
        return Err(ApiError::invalid_input(
            "1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must have length \
             greater than or equal to 1",
        ));
    }
    Ok(())
}

fn reuse(asked: Option<ResultReuse>) -> Result<Option<i64>, ApiError> {
    let by_age = asked.and_then(|asked| asked.result_reuse_by_age_configuration).filter(|by_age| by_age.enabled);
    match by_age.map(|by_age| by_age.max_age_in_minutes.unwrap_or(60)) {
        Some(minutes) if !(0..=MAX_REUSE_MINUTES).contains(&minutes) => Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{minutes}' at \
             'resultReuseConfiguration.resultReuseByAgeConfiguration.maxAgeInMinutes' failed to satisfy constraint: Member \
             must have value less than or equal to {MAX_REUSE_MINUTES}"
        ))),
        minutes => Ok(minutes),
    }
}

fn too_many_queries() -> ApiError {
    let message = "You have exceeded the limit for the number of queries you can run concurrently. Please reduce the \
                   number of concurrent queries submitted by this account.";
    let reason = Some("CONCURRENT_QUERY_LIMIT_EXCEEDED");
    ApiError { reason, ..ApiError::plain("TooManyRequestsException", message) }
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
                "Retryable": failure.retryable,
                "ErrorMessage": failure.message,
            });
        }
    }
    let mut described = json!({
        "QueryExecutionId": execution.id,
        "Query": execution.sql,
        "StatementType": execution.statement_type,
        "SubstatementType": execution.substatement,
        "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": execution.reuse_minutes.is_some() } },
        "QueryExecutionContext": context,
        "Status": status,
        "Statistics": {
            "EngineExecutionTimeInMillis": execution.execution_ms,
            "DataScannedInBytes": execution.scanned_bytes,
            "TotalExecutionTimeInMillis": execution.queue_ms + execution.execution_ms,
            "QueryQueueTimeInMillis": execution.queue_ms,
            "QueryPlanningTimeInMillis": execution.planning_ms,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": { "ReusedPreviousResult": execution.reused },
        },
        "WorkGroup": execution.workgroup,
        "EngineVersion": { "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3" },
    });
    if execution.managed {
        described["ManagedQueryResultsConfiguration"] = json!({ "Enabled": true });
    } else {
        described["ResultConfiguration"] = json!({ "OutputLocation": location });
        if let Some(encryption) = &execution.encryption {
            described["ResultConfiguration"]["EncryptionConfiguration"] = encryption.clone();
        }
    }
    if let Some(minutes) = execution.reuse_minutes {
        described["ResultReuseConfiguration"]["ResultReuseByAgeConfiguration"]["MaxAgeInMinutes"] = json!(minutes);
    }
    if let Some(manifest) = execution.manifest.as_ref().filter(|_| !execution.managed) {
        described["Statistics"]["DataManifestLocation"] = json!(manifest);
    }
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
