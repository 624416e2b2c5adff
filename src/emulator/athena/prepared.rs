//! Prepared statements of a workgroup.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::model::{Prepared, now};
use super::super::store::Store;
use super::{invalid_token, page_size, workgroups};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    work_group: String,
    #[serde(default)]
    statement_name: String,
    query_statement: Option<String>,
    description: Option<String>,
    #[serde(default)]
    prepared_statement_names: Vec<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

fn missing(asked: &Asked, name: &str) -> ApiError {
    let message = format!("PreparedStatement {name} was not found in workGroup {}", asked.work_group);
    ApiError::plain("ResourceNotFoundException", message)
}

fn read(store: &Store, body: &[u8]) -> Result<Asked, ApiError> {
    let asked: Asked = input(body)?;
    workgroups::find(store, &asked.work_group)?;
    Ok(asked)
}

fn put(store: &Store, asked: Asked) -> Answer {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = asked.statement_name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || asked.statement_name.len() > 256 || !asked.statement_name.chars().all(valid) {
        return Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{}' at 'statementName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z_][a-zA-Z0-9_@:]{{1,256}}",
            asked.statement_name
        )));
    }
    let query = asked.query_statement.ok_or_else(|| ApiError::invalid_input("QueryStatement is required"))?;
    store.put_prepared(&Prepared {
        name: asked.statement_name,
        workgroup: asked.work_group,
        query,
        description: asked.description,
        modified: now(),
    })?;
    Ok(json!({}))
}

pub fn create(store: &Store, body: &[u8]) -> Answer {
    let asked = read(store, body)?;
    if store.prepared(&asked.work_group, &asked.statement_name)?.is_some() {
        let message =
            format!("PreparedStatement {} already exists in workGroup {}", asked.statement_name, asked.work_group);
        return Err(ApiError::invalid_input(message));
    }
    put(store, asked)
}

pub fn update(store: &Store, body: &[u8]) -> Answer {
    let asked = read(store, body)?;
    if store.prepared(&asked.work_group, &asked.statement_name)?.is_none() {
        return Err(missing(&asked, &asked.statement_name));
    }
    put(store, asked)
}

pub fn get(store: &Store, body: &[u8]) -> Answer {
    let asked = read(store, body)?;
    let found = store.prepared(&asked.work_group, &asked.statement_name)?;
    let found = found.ok_or_else(|| missing(&asked, &asked.statement_name))?;
    Ok(json!({ "PreparedStatement": describe(&found) }))
}

pub fn batch_get(store: &Store, body: &[u8]) -> Answer {
    let asked = read(store, body)?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &asked.prepared_statement_names {
        match store.prepared(&asked.work_group, name)? {
            Some(prepared) => found.push(describe(&prepared)),
            None => missing.push(json!({
                "StatementName": name,
                "ErrorCode": "STATEMENT_NOT_FOUND",
                "ErrorMessage": format!("PreparedStatement {name} was not found in workGroup {}", asked.work_group),
            })),
        }
    }
    Ok(json!({ "PreparedStatements": found, "UnprocessedPreparedStatementNames": missing }))
}

pub fn list(store: &Store, body: &[u8]) -> Answer {
    let asked = read(store, body)?;
    let size = page_size(asked.max_results, 50)?;
    let after = asked.next_token.map(|token| page_place(&token).ok_or_else(invalid_token)).transpose()?;
    let mut page = store.prepared_statements(&asked.work_group, after.as_deref(), size + 1)?;
    let more = page.len() > size;
    page.truncate(size);
    let summary =
        |prepared: &Prepared| json!({ "StatementName": prepared.name, "LastModifiedTime": prepared.modified });
    let mut answer = json!({ "PreparedStatements": page.iter().map(summary).collect::<Vec<_>>() });
    if let (true, Some(last)) = (more, page.last()) {
        answer["NextToken"] = json!(page_token(&last.name));
    }
    Ok(answer)
}

pub fn delete(store: &Store, body: &[u8]) -> Answer {
    let asked = read(store, body)?;
    if !store.drop_prepared(&asked.work_group, &asked.statement_name)? {
        return Err(missing(&asked, &asked.statement_name));
    }
    Ok(json!({}))
}

fn describe(prepared: &Prepared) -> Value {
    let mut described = json!({
        "StatementName": prepared.name,
        "QueryStatement": prepared.query,
        "WorkGroupName": prepared.workgroup,
        "LastModifiedTime": prepared.modified,
    });
    if let Some(description) = &prepared.description {
        described["Description"] = json!(description);
    }
    described
}
