//! Lake Formation: tags of databases, tables and columns, and whether data may be read. A request's path names its
//! operation.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Emulator;
use super::api::{Answer, ApiError, input};
use super::iam::Caller;
use super::model::{ACCOUNT, Parameters};
use super::store::Store;

pub fn answer(emulator: &Emulator, operation: &str, body: &[u8], caller: &Caller) -> Answer {
    let action = format!("lakeformation:{operation}");
    caller.check(&action, &["*".to_owned()]).map_err(ApiError::access_denied)?;
    let store = &emulator.store;
    match operation {
        "GetDataAccess" => Ok(json!({})),
        "CreateLFTag" => create(store, body),
        "GetLFTag" => get(store, body),
        "ListLFTags" => list(store),
        "DeleteLFTag" => delete(store, body),
        "AddLFTagsToResource" => add(store, body),
        "RemoveLFTagsFromResource" => remove(store, body),
        "GetResourceLFTags" => of_resource(store, body),
        _ => Err(ApiError::unknown_operation(&format!("AWSLakeFormation.{operation}"))),
    }
}

fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::plain("EntityNotFoundException", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    tag_key: String,
    #[serde(default)]
    tag_values: Vec<String>,
}

fn create(store: &Store, body: &[u8]) -> Answer {
    let tag: Tag = input(body)?;
    let key = tag.tag_key.to_lowercase();
    if store.tag(&key)?.is_some() {
        return Err(ApiError::plain("AlreadyExistsException", "Tag key already exists"));
    }
    if tag.tag_values.is_empty() {
        return Err(ApiError::plain("InvalidInputException", "a tag needs at least one value"));
    }
    store.put_tag(&key, &tag.tag_values)?;
    Ok(json!({}))
}

fn described(key: &str, values: &[String]) -> Value {
    json!({ "CatalogId": ACCOUNT, "TagKey": key, "TagValues": values })
}

fn get(store: &Store, body: &[u8]) -> Answer {
    let key = input::<Tag>(body)?.tag_key.to_lowercase();
    let values = store.tag(&key)?.ok_or_else(|| not_found("Tag key does not exist"))?;
    Ok(described(&key, &values))
}

fn list(store: &Store) -> Answer {
    let tags: Vec<Value> = store.tags()?.iter().map(|(key, values)| described(key, values)).collect();
    Ok(json!({ "LFTags": tags }))
}

fn delete(store: &Store, body: &[u8]) -> Answer {
    let key = input::<Tag>(body)?.tag_key.to_lowercase();
    if !store.drop_tag(&key)? {
        return Err(not_found("Tag key does not exist"));
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfResource {
    resource: Resource,
    #[serde(rename = "LFTags", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    database: Option<DatabaseName>,
    table: Option<TableName>,
    table_with_columns: Option<TableName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DatabaseName {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableName {
    database_name: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    column_names: Vec<String>,
}

/// Keys under which the tags of a resource are kept.
fn database_key(name: &str) -> String {
    name.to_lowercase()
}

fn table_key(database: &str, table: &str) -> String {
    format!("{}/{}", database.to_lowercase(), table.to_lowercase())
}

fn column_key(database: &str, table: &str, column: &str) -> String {
    format!("{}/{}", table_key(database, table), column.to_lowercase())
}

impl Resource {
    /// The keys of what is meant, which has to be there.
    fn keys(&self, store: &Store) -> Result<Vec<String>, ApiError> {
        if let Some(database) = &self.database {
            let name = database.name.to_lowercase();
            store.database(&name)?.ok_or_else(|| not_found(format!("Database {name} not found.")))?;
            return Ok(vec![database_key(&name)]);
        }
        let Some(table) = self.table.as_ref().or(self.table_with_columns.as_ref()) else {
            return Err(ApiError::plain(
                "InvalidInputException",
                "a resource is a Database, a Table or TableWithColumns",
            ));
        };
        let found = store.table(&table.database_name.to_lowercase(), &table.name.to_lowercase())?;
        let found = found.ok_or_else(|| not_found(format!("Table {} not found.", table.name)))?;
        if self.table.is_some() {
            return Ok(vec![table_key(&table.database_name, &table.name)]);
        }
        let known = |name: &str| found.columns().iter().chain(&found.partition_keys).any(|column| column.name == name);
        if let Some(missing) = table.column_names.iter().find(|name| !known(&name.to_lowercase())) {
            return Err(not_found(format!("Column {missing} not found.")));
        }
        Ok(table.column_names.iter().map(|column| column_key(&table.database_name, &table.name, column)).collect())
    }
}

fn add(store: &Store, body: &[u8]) -> Answer {
    let asked: OfResource = input(body)?;
    let keys = asked.resource.keys(store)?;
    let mut failures = Vec::new();
    for tag in &asked.tags {
        let key = tag.tag_key.to_lowercase();
        let allowed = store.tag(&key)?;
        let value = tag.tag_values.first().cloned().unwrap_or_default();
        match allowed {
            Some(values) if values.contains(&value) => {
                for resource in &keys {
                    let mut tags = store.resource_tags(resource)?;
                    tags.insert(key.clone(), value.clone());
                    store.put_resource_tags(resource, &tags)?;
                }
            }
            _ => failures.push(json!({
                "LFTag": { "TagKey": tag.tag_key, "TagValues": tag.tag_values },
                "Error": { "ErrorCode": "EntityNotFoundException", "ErrorMessage": "Tag key or tag value does not exist" },
            })),
        }
    }
    Ok(json!({ "Failures": failures }))
}

fn remove(store: &Store, body: &[u8]) -> Answer {
    let asked: OfResource = input(body)?;
    for resource in asked.resource.keys(store)? {
        let mut tags = store.resource_tags(&resource)?;
        for tag in &asked.tags {
            tags.remove(&tag.tag_key.to_lowercase());
        }
        store.put_resource_tags(&resource, &tags)?;
    }
    Ok(json!({ "Failures": [] }))
}

fn pairs(tags: &Parameters) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "CatalogId": ACCOUNT, "TagKey": key, "TagValues": [value] })).collect()
}

/// The tags of a resource and, for a table, of its database and its columns.
fn of_resource(store: &Store, body: &[u8]) -> Answer {
    let asked: OfResource = input(body)?;
    asked.resource.keys(store)?;
    if let Some(database) = &asked.resource.database {
        return Ok(json!({ "LFTagOnDatabase": pairs(&store.resource_tags(&database_key(&database.name))?) }));
    }
    let Some(table) = asked.resource.table.as_ref().or(asked.resource.table_with_columns.as_ref()) else {
        return Ok(json!({}));
    };
    let found = store.table(&table.database_name.to_lowercase(), &table.name.to_lowercase())?;
    let mut columns = Vec::new();
    for column in found.iter().flat_map(|found| found.columns().iter().chain(&found.partition_keys)) {
        let tags = store.resource_tags(&column_key(&table.database_name, &table.name, &column.name))?;
        if !tags.is_empty() {
            columns.push(json!({ "Name": column.name, "LFTags": pairs(&tags) }));
        }
    }
    Ok(json!({
        "LFTagOnDatabase": pairs(&store.resource_tags(&database_key(&table.database_name))?),
        "LFTagsOnTable": pairs(&store.resource_tags(&table_key(&table.database_name, &table.name))?),
        "LFTagsOnColumns": columns,
    }))
}
