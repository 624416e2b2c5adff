//! CreateDatabase, GetDatabase, GetDatabases, UpdateDatabase, DeleteDatabase.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{Answer, input, page_place, page_token};
use super::super::model::{ACCOUNT, Database, Parameters, now};
use super::super::store::Store;
use super::{already_exists, invalid_input, not_found, page_size};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateDatabase {
    database_input: DatabaseInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DatabaseInput {
    name: String,
    description: Option<String>,
    location_uri: Option<String>,
    #[serde(default)]
    parameters: Parameters,
}

pub fn create(store: &Store, body: &[u8]) -> Answer {
    let given = input::<CreateDatabase>(body)?.database_input;
    // Glue folds names to lower case.
    let name = given.name.to_lowercase();
    if name.is_empty() || name.len() > 255 {
        return Err(invalid_input("Database name must have 1 to 255 characters"));
    }
    if store.database(&name)?.is_some() {
        return Err(already_exists("Database already exists."));
    }
    store.put_database(&Database {
        name,
        description: given.description,
        location_uri: given.location_uri,
        parameters: given.parameters,
        create_time: now(),
        catalog_id: ACCOUNT.to_owned(),
    })?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateDatabase {
    name: String,
    database_input: DatabaseInput,
}

pub fn update(store: &Store, body: &[u8]) -> Answer {
    let UpdateDatabase { name, database_input: given } = input(body)?;
    let name = name.to_lowercase();
    let known = store.database(&name)?.ok_or_else(|| not_found(format!("Database {name} not found.")))?;
    if given.name.to_lowercase() != name {
        return Err(invalid_input("A database cannot be renamed"));
    }
    store.put_database(&Database {
        description: given.description,
        location_uri: given.location_uri,
        parameters: given.parameters,
        ..known
    })?;
    Ok(json!({}))
}

/// Its tables go with it, as in Glue.
pub fn delete(store: &Store, body: &[u8]) -> Answer {
    let name = input::<GetDatabase>(body)?.name.to_lowercase();
    store.database(&name)?.ok_or_else(|| not_found(format!("Database {name} not found.")))?;
    store.drop_database(&name)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetDatabase {
    name: String,
}

pub fn get(store: &Store, body: &[u8]) -> Answer {
    let name = input::<GetDatabase>(body)?.name.to_lowercase();
    let database = store.database(&name)?.ok_or_else(|| not_found(format!("Database {name} not found.")))?;
    Ok(json!({ "Database": database }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetDatabases {
    next_token: Option<String>,
    max_results: Option<i64>,
}

pub fn list(store: &Store, body: &[u8]) -> Answer {
    let asked = input::<GetDatabases>(body)?;
    let size = page_size(asked.max_results, 100)?;
    let after = asked.next_token.filter(|token| !token.is_empty());
    let after = match after {
        Some(token) => Some(page_place(&token).ok_or_else(|| invalid_input("Invalid NextToken"))?),
        None => None,
    };
    let mut page: Vec<Database> = store.databases()?;
    page.retain(|database| after.as_ref().is_none_or(|after| database.name > *after));
    let more = page.len() > size;
    page.truncate(size);
    let mut answer = json!({ "DatabaseList": page });
    if let (true, Some(last)) = (more, page.last()) {
        answer["NextToken"] = Value::from(page_token(&last.name));
    }
    Ok(answer)
}
