//! GetQueryResults: pages of at most 1,000 rows, the header row included (athena-behaviour, section 4).

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{Answer, ApiError, input, page_place, page_token};
use super::super::model::State;
use super::super::results::{self, Field};
use super::executions::{Executions, column_info};
use super::invalid_token;

const MAX_ROWS: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueryResults {
    query_execution_id: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

/// Checks in Athena's order: the id exists, MaxResults, the state, the token.
pub fn get(executions: &Executions, body: &[u8]) -> Answer {
    let asked: GetQueryResults = input(body)?;
    let execution = executions.require(&asked.query_execution_id)?;
    let limit = match asked.max_results {
        None => MAX_ROWS,
        Some(asked) if asked > MAX_ROWS as i64 => {
            return Err(ApiError::invalid_input(format!("MaxResults is more than maximum allowed length {MAX_ROWS}.")));
        }
        Some(asked) if asked < 1 => return Err(ApiError::invalid_input("MaxResults must be at least 1")),
        Some(asked) => asked as usize,
    };
    match execution.state {
        State::Succeeded => {}
        State::Cancelled => {
            return Err(ApiError::invalid_request(
                "RESULT_NOT_FOUND",
                "Query did not finish successfully. Final query state: CANCELLED",
            ));
        }
        State::Failed => {
            return Err(ApiError::invalid_request(
                "INVALID_QUERY_EXECUTION_STATE",
                "Query did not finish successfully. Final query state: FAILED",
            ));
        }
        unfinished => {
            return Err(ApiError::invalid_request(
                "INVALID_QUERY_EXECUTION_STATE",
                format!("Query has not yet finished. Current state: {}", unfinished.name()),
            ));
        }
    }
    let start = match &asked.next_token {
        None => 0,
        Some(token) => {
            let place = page_place(token).ok_or_else(invalid_token)?;
            let (id, start) = place.split_once(' ').ok_or_else(invalid_token)?;
            start.parse().ok().filter(|_| id == execution.id).ok_or_else(invalid_token)?
        }
    };
    let page = results::read_page(executions.buckets(), &execution, start, limit)
        .map_err(|error| ApiError::invalid_request("RESULT_NOT_FOUND", format!("Could not find results: {error}")))?;
    let rows: Vec<Value> =
        page.rows.iter().map(|row| json!({ "Data": row.iter().map(datum).collect::<Vec<_>>() })).collect();
    let columns: Vec<Value> = execution.columns.iter().map(column_info).collect();
    let mut answer = json!({
        "ResultSet": { "Rows": rows, "ResultSetMetadata": { "ColumnInfo": columns } },
    });
    if let Some(count) = execution.update_count {
        answer["UpdateCount"] = json!(count);
    }
    if let Some(next) = page.next {
        answer["NextToken"] = json!(page_token(&format!("{} {next}", execution.id)));
    }
    Ok(answer)
}

/// NULL is a Datum without a value.
fn datum(field: &Field) -> Value {
    match field {
        Some(text) => json!({ "VarCharValue": text }),
        None => json!({}),
    }
}
