//! The Glue Data Catalog: one file per kind of thing.

mod databases;
mod partitions;
mod tables;

use super::Emulator;
use super::api::{Answer, ApiError};

/// Answers one `AWSGlue.<Operation>` call.
pub fn answer(emulator: &Emulator, operation: &str, body: &[u8]) -> Answer {
    let store = &emulator.store;
    match operation {
        "CreateDatabase" => databases::create(store, body),
        "GetDatabase" => databases::get(store, body),
        "GetDatabases" => databases::list(store, body),
        "CreateTable" => tables::create(store, body),
        "GetTable" => tables::get(store, body),
        "GetTables" => tables::list(store, body),
        "CreatePartition" => partitions::create(store, body),
        "BatchCreatePartition" => partitions::batch_create(store, body),
        "GetPartition" => partitions::get(store, body),
        "GetPartitions" => partitions::list(store, body),
        "BatchGetPartition" => partitions::batch_get(store, body),
        _ => Err(ApiError::unknown_operation(&format!("AWSGlue.{operation}"))),
    }
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
