//! Partitions: create, get, list by an expression, update, delete, and the batch calls.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::model::{ACCOUNT, Parameters, Partition, Storage, Table, now};
use super::super::store::Store;
use super::expression::Condition;
use super::{already_exists, invalid_input, not_found, page_size};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartitionInput {
    values: Vec<String>,
    storage_descriptor: Option<Storage>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePartition {
    database_name: String,
    table_name: String,
    partition_input: PartitionInput,
}

pub fn create(store: &Store, body: &[u8]) -> Answer {
    let asked: CreatePartition = input(body)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let partition = partition(&table, asked.partition_input)?;
    if store.partition(&table.database_name, &table.name, &partition.values)?.is_some() {
        return Err(already_exists("Partition already exists."));
    }
    store.put_partitions(&[partition])?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchCreatePartition {
    database_name: String,
    table_name: String,
    partition_input_list: Vec<PartitionInput>,
}

pub fn batch_create(store: &Store, body: &[u8]) -> Answer {
    let asked: BatchCreatePartition = input(body)?;
    if asked.partition_input_list.len() > 100 {
        return Err(invalid_input("PartitionInputList has at most 100 members"));
    }
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let (mut added, mut errors) = (Vec::new(), Vec::new());
    for given in asked.partition_input_list {
        let partition = partition(&table, given)?;
        if store.partition(&table.database_name, &table.name, &partition.values)?.is_some() {
            errors.push(json!({
                "PartitionValues": partition.values,
                "ErrorDetail": {
                    "ErrorCode": "AlreadyExistsException", "ErrorMessage": "Partition already exists."
                },
            }));
        } else {
            added.push(partition);
        }
    }
    store.put_partitions(&added)?;
    Ok(json!({ "Errors": errors }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetPartition {
    database_name: String,
    table_name: String,
    partition_values: Vec<String>,
}

pub fn get(store: &Store, body: &[u8]) -> Answer {
    let asked: GetPartition = input(body)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let partition = store
        .partition(&table.database_name, &table.name, &asked.partition_values)?
        .ok_or_else(|| not_found("Cannot find partition."))?;
    Ok(json!({ "Partition": partition }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetPartitions {
    database_name: String,
    table_name: String,
    expression: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

pub fn list(store: &Store, body: &[u8]) -> Answer {
    let asked: GetPartitions = input(body)?;
    let size = page_size(asked.max_results, 1000)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let expression = asked.expression.filter(|expression| !expression.trim().is_empty());
    let condition = expression.map(|expression| Condition::parse(&expression, &table)).transpose()?;
    let mut after: Option<Vec<String>> = match asked.next_token.filter(|token| !token.is_empty()) {
        Some(token) => {
            let place = page_place(&token).and_then(|place| serde_json::from_str(&place).ok());
            Some(place.ok_or_else(|| invalid_input("Invalid NextToken"))?)
        }
        None => None,
    };
    let mut page: Vec<Partition> = Vec::new();
    loop {
        let chunk = store.partitions(&table.database_name, &table.name, after.as_deref(), size + 1)?;
        let read_all = chunk.len() <= size;
        after = chunk.last().map(|partition| partition.values.clone());
        let keep = |partition: &Partition| condition.as_ref().is_none_or(|condition| condition.holds(partition));
        page.extend(chunk.into_iter().filter(keep));
        if read_all || page.len() > size {
            break;
        }
    }
    let more = page.len() > size;
    page.truncate(size);
    let mut answer = json!({ "Partitions": page });
    if let (true, Some(last)) = (more, page.last()) {
        answer["NextToken"] = Value::from(page_token(&json!(last.values).to_string()));
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetPartition {
    database_name: String,
    table_name: String,
    partitions_to_get: Vec<ValueList>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ValueList {
    values: Vec<String>,
}

pub fn batch_get(store: &Store, body: &[u8]) -> Answer {
    let asked: BatchGetPartition = input(body)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let mut found = Vec::new();
    for wanted in asked.partitions_to_get {
        found.extend(store.partition(&table.database_name, &table.name, &wanted.values)?);
    }
    Ok(json!({ "Partitions": found, "UnprocessedKeys": [] }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdatePartition {
    database_name: String,
    table_name: String,
    partition_value_list: Vec<String>,
    partition_input: PartitionInput,
}

/// Other values move the partition.
pub fn update(store: &Store, body: &[u8]) -> Answer {
    let asked: UpdatePartition = input(body)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let (database, name) = (&table.database_name, &table.name);
    let known = store.partition(database, name, &asked.partition_value_list)?;
    known.ok_or_else(|| not_found("Cannot find partition."))?;
    let updated = partition(&table, asked.partition_input)?;
    let moved = updated.values != asked.partition_value_list;
    if moved && store.partition(database, name, &updated.values)?.is_some() {
        return Err(already_exists("Partition already exists."));
    }
    store.put_partitions(&[updated])?;
    if moved {
        store.drop_partitions(database, name, &[asked.partition_value_list])?;
    }
    Ok(json!({}))
}

pub fn delete(store: &Store, body: &[u8]) -> Answer {
    let asked: GetPartition = input(body)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let known = store.partition(&table.database_name, &table.name, &asked.partition_values)?;
    known.ok_or_else(|| not_found("Cannot find partition."))?;
    store.drop_partitions(&table.database_name, &table.name, &[asked.partition_values])?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchDeletePartition {
    database_name: String,
    table_name: String,
    partitions_to_delete: Vec<ValueList>,
}

pub fn batch_delete(store: &Store, body: &[u8]) -> Answer {
    let asked: BatchDeletePartition = input(body)?;
    let table = owner(store, &asked.database_name, &asked.table_name)?;
    let (mut dropped, mut errors) = (Vec::new(), Vec::new());
    for wanted in asked.partitions_to_delete {
        if store.partition(&table.database_name, &table.name, &wanted.values)?.is_some() {
            dropped.push(wanted.values);
        } else {
            errors.push(json!({
                "PartitionValues": wanted.values,
                "ErrorDetail": { "ErrorCode": "EntityNotFoundException", "ErrorMessage": "Cannot find partition." },
            }));
        }
    }
    store.drop_partitions(&table.database_name, &table.name, &dropped)?;
    Ok(json!({ "Errors": errors }))
}

fn owner(store: &Store, database: &str, table: &str) -> Result<Table, ApiError> {
    let (database, table) = (database.to_lowercase(), table.to_lowercase());
    store.table(&database, &table)?.ok_or_else(|| not_found(format!("Entity Not Found: {table}")))
}

fn partition(table: &Table, given: PartitionInput) -> Result<Partition, ApiError> {
    if given.values.len() != table.partition_keys.len() {
        return Err(invalid_input("The number of partition keys do not match the number of partition values"));
    }
    Ok(Partition {
        values: given.values,
        database_name: table.database_name.clone(),
        table_name: table.name.clone(),
        creation_time: now(),
        storage_descriptor: given.storage_descriptor,
        parameters: given.parameters,
        catalog_id: ACCOUNT.to_owned(),
    })
}
