//! The Athena API: one file per group of operations.

mod catalogs;
mod executions;
mod prepared;
mod query_results;
mod workgroups;

pub use executions::Executions;

use serde::Deserialize;
use serde_json::Value;

use super::Emulator;
use super::api::{Answer, ApiError, page_place};
use super::iam::Caller;
use super::model::ACCOUNT;

/// Answers one `AmazonAthena.<Operation>` call.
pub async fn answer(emulator: &Emulator, operation: &str, body: &[u8], caller: &Caller) -> Answer {
    let (store, executions) = (&emulator.store, &emulator.executions);
    authorize(emulator, operation, body, caller)?;
    match operation {
        "StartQueryExecution" => executions.start(body, caller),
        "StopQueryExecution" => executions.stop(body),
        "GetQueryExecution" => executions.get(body),
        "BatchGetQueryExecution" => executions.batch_get(body),
        "ListQueryExecutions" => executions.list(body),
        "GetQueryRuntimeStatistics" => executions.runtime_statistics(body),
        "GetQueryResults" => query_results::get(executions, body),
        "CreateWorkGroup" => workgroups::create(store, body),
        "GetWorkGroup" => workgroups::get(store, body),
        "ListWorkGroups" => workgroups::list(store, body),
        "UpdateWorkGroup" => workgroups::update(store, body),
        "DeleteWorkGroup" => workgroups::delete(store, body),
        "ListEngineVersions" => workgroups::list_engine_versions(body),
        "CreatePreparedStatement" => prepared::create(store, body),
        "GetPreparedStatement" => prepared::get(store, body),
        "BatchGetPreparedStatement" => prepared::batch_get(store, body),
        "ListPreparedStatements" => prepared::list(store, body),
        "UpdatePreparedStatement" => prepared::update(store, body),
        "DeletePreparedStatement" => prepared::delete(store, body),
        "CreateDataCatalog" => catalogs::create(store, body),
        "GetDataCatalog" => catalogs::get(store, body),
        "ListDataCatalogs" => catalogs::list(store, body),
        "UpdateDataCatalog" => catalogs::update(store, body),
        "DeleteDataCatalog" => catalogs::delete(store, body),
        "GetDatabase" => catalogs::get_database(store, body),
        "ListDatabases" => catalogs::list_databases(store, body),
        "GetTableMetadata" => catalogs::get_table(store, body),
        "ListTableMetadata" => catalogs::list_tables(store, body),
        _ => Err(ApiError::unknown_operation(&format!("AmazonAthena.{operation}"))),
    }
}

/// Checks the action against the caller's policy. Actions are about a workgroup or a data catalog; lists about `*`.
fn authorize(emulator: &Emulator, operation: &str, body: &[u8], caller: &Caller) -> Result<(), ApiError> {
    if !caller.is_bound() {
        return Ok(());
    }
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let prefix = format!("arn:aws:athena:{}:{ACCOUNT}", caller.region);
    let workgroup = |name: &str| format!("{prefix}:workgroup/{name}");
    let of_query = |id: &Value| {
        let found = id.as_str().and_then(|id| emulator.executions.require(id).ok());
        workgroup(&found.map_or_else(|| workgroups::PRIMARY.to_owned(), |execution| execution.workgroup))
    };
    let resources = match operation {
        "ListWorkGroups" | "ListDataCatalogs" | "ListEngineVersions" => vec!["*".to_owned()],
        _ if operation.contains("DataCatalog") => {
            vec![format!("{prefix}:datacatalog/{}", asked["Name"].as_str().unwrap_or_default())]
        }
        "GetDatabase" | "ListDatabases" | "GetTableMetadata" | "ListTableMetadata" => {
            vec![format!("{prefix}:datacatalog/{}", asked["CatalogName"].as_str().unwrap_or_default())]
        }
        _ if asked["QueryExecutionIds"].is_array() => {
            asked["QueryExecutionIds"].as_array().into_iter().flatten().map(of_query).collect()
        }
        _ if asked["QueryExecutionId"].is_string() => vec![of_query(&asked["QueryExecutionId"])],
        _ => {
            let name = asked["WorkGroup"].as_str().or(asked["Name"].as_str()).unwrap_or(workgroups::PRIMARY);
            vec![workgroup(name)]
        }
    };
    caller.check(&format!("athena:{operation}"), &resources).map_err(ApiError::access_denied)
}

/// What every list takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Paged {
    next_token: Option<String>,
    max_results: Option<i64>,
}

impl Paged {
    /// The name after which the page starts.
    fn after(&self) -> Result<Option<String>, ApiError> {
        self.next_token.as_deref().map(|token| page_place(token).ok_or_else(invalid_token)).transpose()
    }
}

/// Checks a page size against what an operation allows, in the words of the service's own validation.
fn page_size(asked: Option<i64>, most: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(most),
        Some(asked) if asked >= 1 && asked as usize <= most => Ok(asked as usize),
        Some(asked) => Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{asked}' at 'maxResults' failed to satisfy constraint: Member must have \
             value between 1 and {most}"
        ))),
    }
}

fn invalid_token() -> ApiError {
    ApiError::invalid_input("Invalid NextToken")
}
