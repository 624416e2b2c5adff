//! StartQueryExecution to ListQueryExecutions: statements from QUEUED to their end.

mod describe;
mod reuse;
mod running;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::behaviour::Behaviour;
use super::super::engine::session::{Context, Reading};
use super::super::engine::{Engine, Task};
use super::super::iam::Caller;
use super::super::model::{Execution, Failure, State, now};
use super::super::results::{MANAGED, path_of};
use super::super::sql::{self, Statement, prepared};
use super::super::store::Store;
use super::{invalid_token, page_size, workgroups};
pub use describe::column_info;
use describe::{describe, runtime_statistics};
use reuse::reuse;

/// Longest statement, in bytes of UTF-8 (athena-behaviour, section 1).
const MAX_STATEMENT_BYTES: usize = 262_144;
/// Statements that run at the same time unless it is said otherwise; more wait as QUEUED.
const RUNNING_AT_ONCE: usize = 20;
/// Statements queued and running at once unless it is said otherwise: what an account is allowed by default.
const ACTIVE_AT_ONCE: usize = 200;
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

    pub fn runtime_statistics(&self, body: &[u8]) -> Answer {
        let asked: ById = input(body)?;
        Ok(runtime_statistics(&self.shared.require(&asked.query_execution_id)?))
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

fn too_many_queries() -> ApiError {
    let message = "You have exceeded the limit for the number of queries you can run concurrently. Please reduce the \
                   number of concurrent queries submitted by this account.";
    let reason = Some("CONCURRENT_QUERY_LIMIT_EXCEEDED");
    ApiError { reason, ..ApiError::plain("TooManyRequestsException", message) }
}
