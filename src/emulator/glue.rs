//! The Glue Data Catalog: one file per kind of thing.

mod databases;
mod expression;
mod partitions;
mod tables;

use serde_json::Value;

use super::Emulator;
use super::api::{Answer, ApiError};
use super::iam::Caller;

/// Answers one `AWSGlue.<Operation>` call.
pub fn answer(emulator: &Emulator, operation: &str, body: &[u8], caller: &Caller) -> Answer {
    authorize(operation, body, caller)?;
    let store = &emulator.store;
    match operation {
        "CreateDatabase" => databases::create(store, body),
        "GetDatabase" => databases::get(store, body),
        "GetDatabases" => databases::list(store, body),
        "UpdateDatabase" => databases::update(store, body),
        "DeleteDatabase" => databases::delete(store, body),
        "CreateTable" => tables::create(store, body),
        "GetTable" => tables::get(store, body),
        "GetTables" => tables::list(store, body),
        "UpdateTable" => tables::update(store, body),
        "DeleteTable" => tables::delete(store, body),
        "BatchDeleteTable" => tables::batch_delete(store, body),
        "CreatePartition" => partitions::create(store, body),
        "BatchCreatePartition" => partitions::batch_create(store, body),
        "GetPartition" => partitions::get(store, body),
        "GetPartitions" => partitions::list(store, body),
        "BatchGetPartition" => partitions::batch_get(store, body),
        "UpdatePartition" => partitions::update(store, body),
        "DeletePartition" => partitions::delete(store, body),
        "BatchDeletePartition" => partitions::batch_delete(store, body),
        _ => Err(ApiError::unknown_operation(&format!("AWSGlue.{operation}"))),
    }
}

/// Checks the action against the caller's policy: on the catalog, and the database and table that are named.
fn authorize(operation: &str, body: &[u8], caller: &Caller) -> Result<(), ApiError> {
    if !caller.is_bound() {
        return Ok(());
    }
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_lowercase);
    let database = text(&asked["DatabaseName"]).or_else(|| text(&asked["DatabaseInput"]["Name"]));
    let database = database.or_else(|| text(&asked["Name"]).filter(|_| operation.contains("Database")));
    let table = text(&asked["TableName"]).or_else(|| text(&asked["TableInput"]["Name"]));
    let table = table.or_else(|| text(&asked["Name"]).filter(|_| operation.contains("Table")));
    let mut resources = caller.table(database.as_deref().unwrap_or("*"), table.as_deref().unwrap_or("*"));
    if operation.ends_with("Database") || operation.ends_with("Databases") {
        resources.truncate(2);
    }
    caller.check(&format!("glue:{operation}"), &resources).map_err(ApiError::access_denied)
}

fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::plain("EntityNotFoundException", message)
}

fn already_exists(message: impl Into<String>) -> ApiError {
    ApiError::plain("AlreadyExistsException", message)
}

fn invalid_input(message: impl Into<String>) -> ApiError {
    ApiError::plain("InvalidInputException", message)
}

/// Checks a page size against what the operation allows.
fn page_size(asked: Option<i64>, most: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(most),
        Some(asked) if asked >= 1 && asked as usize <= most => Ok(asked as usize),
        Some(asked) => Err(ApiError::plain(
            "ValidationException",
            format!(
                "1 validation error detected: Value '{asked}' at 'maxResults' failed to satisfy constraint: Member must \
                 have value between 1 and {most}"
            ),
        )),
    }
}
