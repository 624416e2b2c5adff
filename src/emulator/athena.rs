//! The Athena API: one file per group of operations.

mod catalogs;
mod executions;
mod query_results;
mod workgroups;

pub use executions::Executions;

use super::Emulator;
use super::api::{Answer, ApiError};

/// Answers one `AmazonAthena.<Operation>` call.
pub async fn answer(emulator: &Emulator, operation: &str, body: &[u8]) -> Answer {
    let (store, executions) = (&emulator.store, &emulator.executions);
    match operation {
        "StartQueryExecution" => executions.start(body),
        "StopQueryExecution" => executions.stop(body),
        "GetQueryExecution" => executions.get(body),
        "BatchGetQueryExecution" => executions.batch_get(body),
        "ListQueryExecutions" => executions.list(body),
        "GetQueryResults" => query_results::get(executions, body),
        "GetWorkGroup" => workgroups::get(body),
        "ListWorkGroups" => workgroups::list(body),
        "ListEngineVersions" => workgroups::list_engine_versions(body),
        "GetDataCatalog" => catalogs::get(body),
        "ListDataCatalogs" => catalogs::list(body),
        "GetDatabase" => catalogs::get_database(store, body),
        "ListDatabases" => catalogs::list_databases(store, body),
        "GetTableMetadata" => catalogs::get_table(store, body),
        "ListTableMetadata" => catalogs::list_tables(store, body),
        _ => Err(ApiError::unknown_operation(&format!("AmazonAthena.{operation}"))),
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
