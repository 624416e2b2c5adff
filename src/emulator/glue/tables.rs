//! CreateTable, GetTable, GetTables, UpdateTable, DeleteTable, BatchDeleteTable.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::model::{ACCOUNT, Column, Parameters, Storage, Table, now};
use super::super::store::Store;
use super::{already_exists, invalid_input, not_found, page_size};
use crate::types::AthenaType;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateTable {
    database_name: String,
    table_input: TableInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableInput {
    name: String,
    description: Option<String>,
    owner: Option<String>,
    retention: Option<i32>,
    storage_descriptor: Option<Storage>,
    #[serde(default)]
    partition_keys: Vec<Column>,
    view_original_text: Option<String>,
    view_expanded_text: Option<String>,
    table_type: Option<String>,
    #[serde(default)]
    parameters: Parameters,
}

pub fn create(store: &Store, body: &[u8]) -> Answer {
    let CreateTable { database_name, table_input: given } = input(body)?;
    let database_name = database_name.to_lowercase();
    let name = given.name.to_lowercase();
    if name.is_empty() || name.len() > 255 {
        return Err(invalid_input("Table name must have 1 to 255 characters"));
    }
    if store.database(&database_name)?.is_none() {
        return Err(not_found(format!("Database {database_name} not found.")));
    }
    if store.table(&database_name, &name)?.is_some() {
        return Err(already_exists("Table already exists."));
    }
    store.put_table(&table(database_name, given, None)?)?;
    Ok(json!({}))
}

/// The table that an input describes, in place of an earlier one if there is one.
fn table(database_name: String, given: TableInput, earlier: Option<Table>) -> Result<Table, ApiError> {
    let columns = given.storage_descriptor.iter().flat_map(|storage| &storage.columns);
    for column in columns.chain(&given.partition_keys) {
        AthenaType::parse(&column.data_type).map_err(|fault| invalid_input(fault.to_string()))?;
    }
    let version = earlier.as_ref().and_then(|table| table.version_id.parse::<u64>().ok()).map_or(0, |v| v + 1);
    Ok(Table {
        name: given.name.to_lowercase(),
        database_name,
        description: given.description,
        owner: given.owner,
        create_time: earlier.map_or_else(now, |table| table.create_time),
        update_time: now(),
        retention: given.retention.unwrap_or(0),
        storage_descriptor: given.storage_descriptor,
        partition_keys: given.partition_keys,
        view_original_text: given.view_original_text,
        view_expanded_text: given.view_expanded_text,
        table_type: given.table_type,
        parameters: given.parameters,
        catalog_id: ACCOUNT.to_owned(),
        version_id: version.to_string(),
    })
}

pub fn update(store: &Store, body: &[u8]) -> Answer {
    let CreateTable { database_name, table_input: given } = input(body)?;
    let (database_name, name) = (database_name.to_lowercase(), given.name.to_lowercase());
    let known = store.table(&database_name, &name)?;
    let known = known.ok_or_else(|| not_found(format!("Entity Not Found: {name}")))?;
    store.put_table(&table(database_name, given, Some(known))?)?;
    Ok(json!({}))
}

pub fn delete(store: &Store, body: &[u8]) -> Answer {
    let GetTable { database_name, name } = input(body)?;
    let (database, name) = (database_name.to_lowercase(), name.to_lowercase());
    store.table(&database, &name)?.ok_or_else(|| not_found(format!("Entity Not Found: {name}")))?;
    store.drop_table(&database, &name)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchDeleteTable {
    database_name: String,
    tables_to_delete: Vec<String>,
}

pub fn batch_delete(store: &Store, body: &[u8]) -> Answer {
    let asked: BatchDeleteTable = input(body)?;
    let database = asked.database_name.to_lowercase();
    let mut errors = Vec::new();
    for name in asked.tables_to_delete {
        let name = name.to_lowercase();
        if store.table(&database, &name)?.is_some() {
            store.drop_table(&database, &name)?;
        } else {
            errors.push(json!({
                "TableName": name,
                "ErrorDetail": {
                    "ErrorCode": "EntityNotFoundException", "ErrorMessage": format!("Entity Not Found: {name}")
                },
            }));
        }
    }
    Ok(json!({ "Errors": errors }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetTable {
    database_name: String,
    name: String,
}

pub fn get(store: &Store, body: &[u8]) -> Answer {
    let GetTable { database_name, name } = input(body)?;
    let (database, name) = (database_name.to_lowercase(), name.to_lowercase());
    if store.database(&database)?.is_none() {
        return Err(not_found(format!("Database {database} not found.")));
    }
    let table = store.table(&database, &name)?.ok_or_else(|| not_found(format!("Entity Not Found: {name}")))?;
    Ok(json!({ "Table": table }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetTables {
    database_name: String,
    expression: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

pub fn list(store: &Store, body: &[u8]) -> Answer {
    let asked: GetTables = input(body)?;
    let database = asked.database_name.to_lowercase();
    let size = page_size(asked.max_results, 100)?;
    if store.database(&database)?.is_none() {
        return Err(not_found(format!("Database {database} not found.")));
    }
    let pattern = asked.expression.as_deref().map(name_pattern).transpose()?;
    let after = match asked.next_token.filter(|token| !token.is_empty()) {
        Some(token) => Some(page_place(&token).ok_or_else(|| invalid_input("Invalid NextToken"))?),
        None => None,
    };
    let keep = |table: &Table| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&table.name));
    let mut page = store.tables_matching(&database, after.as_deref(), size + 1, keep)?;
    let more = page.len() > size;
    page.truncate(size);
    let mut answer = json!({ "TableList": page });
    if let (true, Some(last)) = (more, page.last()) {
        answer["NextToken"] = Value::from(page_token(&last.name));
    }
    Ok(answer)
}

/// Glue's `Expression` is a regular expression over the whole name.
fn name_pattern(expression: &str) -> Result<regex::Regex, super::ApiError> {
    regex::Regex::new(&format!("(?i)^(?:{expression})$"))
        .map_err(|_| invalid_input(format!("Invalid expression: {expression}")))
}
