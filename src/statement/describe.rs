//! The schema of a query before it runs, from `EXPLAIN (TYPE LOGICAL, FORMAT JSON)`, which Athena does not charge for
//! (athena-behaviour, section 2).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::types::AthenaType;
use crate::types::column::Column;

/// What is put in front of a query. The line end keeps the query's columns where they are.
const PREFIX: &str = "EXPLAIN (TYPE LOGICAL, FORMAT JSON)\n";

/// The statement that asks for a query's schema.
pub fn explain(sql: &str) -> String {
    format!("{PREFIX}{sql}")
}

/// The same for the tables that a query reads.
const IO_PREFIX: &str = "EXPLAIN (TYPE IO, FORMAT JSON)\n";

/// The statement that asks which tables a query reads, views taken apart.
pub fn explain_io(sql: &str) -> String {
    format!("{IO_PREFIX}{sql}")
}

/// A table that a query reads, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadTable {
    pub catalog: String,
    pub schema: String,
    pub table: String,
}

/// The tables of an [`explain_io`]'s answer. What cannot be read is an error: none would mean that all is well. So is a
/// plan that writes.
///
/// The plan is the optimised one: tables whose rows cannot matter are not in it ([`super::names`]).
pub fn tables(lines: &str) -> Result<BTreeSet<ReadTable>, PlanUnreadable> {
    let plan: Value = serde_json::from_str(lines).map_err(|error| PlanUnreadable::NotJson(error.to_string()))?;
    if !plan["outputTable"].is_null() {
        return Err(PlanUnreadable::Writes);
    }
    let infos = plan["inputTableColumnInfos"].as_array().ok_or(PlanUnreadable::NoTables)?;
    let table = |info: &Value| {
        let text = |value: &Value| value.as_str().map(str::to_lowercase).ok_or(PlanUnreadable::NoTables);
        let (catalog, name) = (&info["table"]["catalog"], &info["table"]["schemaTable"]);
        Ok(ReadTable { catalog: text(catalog)?, schema: text(&name["schema"])?, table: text(&name["table"])? })
    };
    infos.iter().map(table).collect()
}

/// A complaint about [`explain`]'s statement as one about the query in it: places one line up, quotes without the prefix.
pub fn about_query(complaint: &str) -> String {
    lines_up(&complaint.replace(PREFIX, "").replace(IO_PREFIX, ""), 1)
}

/// A complaint about a statement with a query in it as one about the query, which has so many lines before it.
pub fn lines_up(complaint: &str, before: u64) -> String {
    let mut parts = complaint.split("line ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("line ");
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part[..digits].parse::<u64>() {
            Ok(line) if line > before && part[digits..].starts_with(':') => {
                out.push_str(&(line - before).to_string());
                out.push_str(&part[digits..]);
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// Why a plan does not say what the columns are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanUnreadable {
    #[error("EXPLAIN did not answer with JSON: {0}")]
    NotJson(String),
    #[error("the plan does not name its tables")]
    NoTables,
    #[error("the plan writes")]
    Writes,
    #[error("the plan has no Output node with columns")]
    NoOutput,
    #[error("the plan names {names} columns and gives {types} types")]
    Uneven { names: usize, types: usize },
    #[error("column {column}: {fault}")]
    Type { column: String, fault: String },
}

/// A query's columns, from the lines of the EXPLAIN's answer.
pub fn columns(lines: &str) -> Result<Vec<Column>, PlanUnreadable> {
    let plan: Value = serde_json::from_str(lines).map_err(|error| PlanUnreadable::NotJson(error.to_string()))?;
    let output = find_output(&plan).ok_or(PlanUnreadable::NoOutput)?;
    let outputs = output["outputs"].as_array().ok_or(PlanUnreadable::NoOutput)?;
    let types: Vec<&str> = outputs.iter().filter_map(|symbol| symbol["type"].as_str()).collect();
    let names = column_names(output["descriptor"]["columnNames"].as_str().unwrap_or_default(), types.len());
    let Some(names) = names.filter(|names| names.len() == types.len()) else {
        return Err(PlanUnreadable::Uneven { names: 0, types: types.len() });
    };
    let columns = names.into_iter().zip(types).map(|(name, data_type)| {
        let parsed = AthenaType::parse(data_type)
            .map_err(|fault| PlanUnreadable::Type { column: name.to_owned(), fault: fault.to_string() })?;
        Ok(Column::new(name, parsed))
    });
    columns.collect()
}

/// The root is the Output node, or the plan is keyed by fragment: `{"0": {…}}`.
fn find_output(plan: &Value) -> Option<&Value> {
    if plan["name"] == "Output" {
        return Some(plan);
    }
    let fragments = plan.as_object()?.values();
    fragments.filter(|fragment| fragment.is_object()).find_map(find_output)
}

/// `[a, _col1]` → its names. The list is not quoted, so a name with a comma in it shows as a wrong count.
fn column_names(list: &str, count: usize) -> Option<Vec<&str>> {
    let inner = list.strip_prefix('[')?.strip_suffix(']')?;
    match count {
        0 if inner.is_empty() => Some(Vec::new()),
        1 => Some(vec![inner]),
        _ => Some(inner.split(", ").collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(plan: &str) -> Result<Vec<String>, PlanUnreadable> {
        Ok(columns(plan)?.iter().map(|column| format!("{}: {}", column.name, column.data_type)).collect())
    }

    #[test]
    fn plans_of_all_known_forms_are_read() {
        let node = r#"{"id":"9","name":"Output","descriptor":{"columnNames":"[a, _col1]"},
            "outputs":[{"symbol":"a","type":"bigint"},{"SYMBOL":"count","type":"decimal(12,2)"}],"children":[]}"#;
        let node = node.replace("SYMBOL", "name");
        let expected = Ok(vec!["a: bigint".to_owned(), "_col1: decimal(12,2)".to_owned()]);
        assert_eq!(shown(&node), expected);
        assert_eq!(shown(&format!("{{\"0\": {node}}}\n")), expected);
    }

    #[test]
    fn tables_are_named_or_the_plan_is_unreadable() {
        let info = r#"{"table": {"catalog": "awsdatacatalog", "schemaTable": {"schema": "tpch", "table": "nation"}}}"#;
        let read = tables(&format!(r#"{{"inputTableColumnInfos": [{info}], "estimate": {{}}}}"#)).expect("readable");
        let nation = ReadTable { catalog: "awsdatacatalog".into(), schema: "tpch".into(), table: "nation".into() };
        assert_eq!(read, [nation].into());
        for unreadable in ["", "{}", r#"{"inputTableColumnInfos": [{}]}"#, r#"{"inputTableColumnInfos": 1}"#] {
            assert!(tables(unreadable).is_err(), "{unreadable}");
        }
        let writes =
            format!(r#"{{"inputTableColumnInfos": [{info}], "outputTable": {{"catalog": "awsdatacatalog"}}}}"#);
        assert_eq!(tables(&writes), Err(PlanUnreadable::Writes));
    }

    #[test]
    fn places_are_the_querys() {
        assert_eq!(about_query("X: line 2:15: Table 'a' does not exist"), "X: line 1:15: Table 'a' does not exist");
        assert_eq!(about_query("a line 1:1: b, online 12"), "a line 1:1: b, online 12");
        assert_eq!(about_query(&format!("Got: {}", explain("select 1; select 2"))), "Got: select 1; select 2");
    }

    #[test]
    fn what_a_plan_does_not_say_is_an_error() {
        assert!(matches!(shown("Query Plan"), Err(PlanUnreadable::NotJson(_))));
        assert_eq!(shown("{\"name\":\"Filter\"}"), Err(PlanUnreadable::NoOutput));
        let odd = r#"{"name":"Output","descriptor":{"columnNames":"[a, b, c]"},
            "outputs":[{"symbol":"a","type":"bigint"},{"symbol":"b","type":"bigint"}]}"#;
        assert!(matches!(shown(odd), Err(PlanUnreadable::Uneven { .. })));
    }
}
