//! SHOW and DESCRIBE: the catalog as lines of text (athena-behaviour, section 3).

use super::ddl::table;
use super::session::Context;
use super::view::View;
use super::write::folder_name;
use super::{Lines, Task, broken};
use crate::emulator::model::{Column, Failure, Parameters, Table};
use crate::emulator::sql::cursor::Name;
use crate::emulator::sql::statement::Kind;
use crate::emulator::sql::{Statement, functions};
use crate::emulator::store::Store;

/// See [`super::Engine::admit`].
pub fn admit(store: &Store, statement: &Statement, context: &Context) -> Result<Kind, Failure> {
    let kind = statement.kind();
    match statement {
        Statement::Describe { name, .. } | Statement::ShowColumns(name) => {
            let table = table(store, name, context)?;
            if matches!(statement, Statement::Describe { .. }) && table.is_view() {
                return Ok(Kind { substatement: "DESC_VIEW", update_count: Some(0), ..kind });
            }
            Ok(kind)
        }
        _ => Ok(kind),
    }
}

pub fn run(store: &Store, statement: &Statement, task: &Task) -> Result<Lines, Failure> {
    let (context, caller) = (&task.context, task.caller());
    match statement {
        Statement::ShowDatabases { .. } => caller.may("glue:GetDatabases", &caller.database("*"))?,
        Statement::ShowTables { database, .. } | Statement::ShowViews { database, .. } => {
            let database = database.as_ref().map_or(context.database.as_str(), |name| name.name.as_str());
            caller.may("glue:GetTables", &caller.table(database, "*"))?;
        }
        _ => {}
    }
    match statement {
        Statement::ShowFunctions { like } => {
            let names = functions::FUNCTIONS.iter().map(|(name, _)| (*name).to_owned());
            let mut names: Vec<String> = names.filter(|name| matches(like, name)).collect();
            names.sort();
            Ok(Lines::new(&["Function"], names))
        }
        Statement::ShowDatabases { like } => {
            let names = store.databases().map_err(broken)?.into_iter().map(|database| database.name);
            Ok(Lines::new(&["database_name"], names.filter(|name| matches(like, name)).collect()))
        }
        Statement::ShowTables { database, like } => {
            Ok(Lines::new(&["tab_name"], names(store, database, like, context, |_| true)?))
        }
        Statement::ShowViews { database, like } => {
            Ok(Lines::new(&["views"], names(store, database, like, context, Table::is_view)?))
        }
        Statement::ShowColumns(name) => {
            let table = table(store, name, context)?;
            let columns = table.columns().iter().chain(&table.partition_keys);
            Ok(Lines::new(&["field"], columns.map(|column| column.name.clone()).collect()))
        }
        Statement::ShowPartitions(name) => {
            let table = table(store, name, context)?;
            if table.partition_keys.is_empty() {
                return Err(Failure::invalid_query(format!("Table {} is not a partitioned table", table.name)));
            }
            let partitions = store.partition_values(&table.database_name, &table.name).map_err(broken)?;
            let keys = || table.partition_keys.iter().map(|key| key.name.as_str());
            Ok(Lines::new(&["partition"], partitions.iter().map(|values| folder_name(keys(), values)).collect()))
        }
        Statement::ShowCreateTable(name) => {
            let table = table(store, name, context)?;
            if table.is_view() {
                return Err(Failure::invalid_query(format!("'{}' is a view: use SHOW CREATE VIEW", table.name)));
            }
            Ok(Lines::new(&["createtab_stmt"], create_table(&table)))
        }
        Statement::ShowCreateView(name) => {
            let table = table(store, name, context)?;
            if !table.is_view() {
                return Err(Failure::invalid_query(format!("'{}' is not a view", table.name)));
            }
            let view = View::of(&table)?;
            let first = format!("CREATE VIEW {}.{}.{} AS", context.catalog, table.database_name, table.name);
            let lines = std::iter::once(first).chain(view.original_sql.lines().map(str::to_owned));
            Ok(Lines::new(&["create view"], lines.collect()))
        }
        Statement::ShowTableProperties { name, key: Some(key) } => {
            let table = table(store, name, context)?;
            let unknown = || format!("Table {} does not have property: {key}", table.name);
            let value = table.parameters.get(key).cloned().unwrap_or_else(unknown);
            Ok(Lines::new(&["prpt_name", "prpt_value"], vec![format!("{key}\t{value}")]))
        }
        Statement::ShowTableProperties { name, key: None } => {
            let table = table(store, name, context)?;
            let lines = table.parameters.iter().map(|(key, value)| format!("{key}\t{value}"));
            Ok(Lines::new(&["prpt_name", "prpt_value"], lines.collect()))
        }
        Statement::Describe { name, column: Some(column) } => {
            let table = table(store, name, context)?;
            let found = table.columns().iter().chain(&table.partition_keys).find(|known| known.name == *column);
            let found = found.ok_or_else(|| Failure::column_not_found(Some(name.position), column))?;
            let line = describe_line(&found.name, &found.data_type, "from deserializer");
            Ok(Lines::new(&["col_name", "data_type", "comment"], vec![line]))
        }
        Statement::Describe { name, column: None } => {
            let table = table(store, name, context)?;
            if table.is_view() {
                let view = View::of(&table)?;
                let lines = view.columns.iter().map(|column| format!("{}\t{}", column.name, column.data_type));
                return Ok(Lines::new(&["column", "type"], lines.collect()));
            }
            Ok(Lines::new(&["col_name", "data_type", "comment"], describe(&table)))
        }
        other => Err(Failure::internal(format!("{} is not answered here", other.kind().substatement))),
    }
}

fn names(
    store: &Store,
    database: &Option<Name>,
    like: &Option<String>,
    context: &Context,
    keep: impl Fn(&Table) -> bool,
) -> Result<Vec<String>, Failure> {
    let name = database.as_ref().map_or(context.database.as_str(), |name| name.name.as_str());
    if store.database(name).map_err(broken)?.is_none() {
        return Err(Failure::schema_not_found(database.as_ref().map(|name| name.position), name));
    }
    let tables = store.tables(name, None, usize::MAX).map_err(broken)?.into_iter();
    Ok(tables.filter(keep).map(|table| table.name).filter(|name| matches(like, name)).collect())
}

/// Hive's patterns: `*` stands for any text, `|` separates alternatives.
fn matches(pattern: &Option<String>, name: &str) -> bool {
    let Some(pattern) = pattern else { return true };
    pattern.to_lowercase().split('|').any(|alternative| {
        let mut parts = alternative.split('*');
        let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    })
}

/// Hive pads every field to 20 characters and joins them by tabs.
fn describe_line(name: &str, data_type: &str, comment: &str) -> String {
    format!("{name:<20}\t{data_type:<20}\t{comment:<20}")
}

fn describe(table: &Table) -> Vec<String> {
    let row =
        |column: &Column| describe_line(&column.name, &column.data_type, column.comment.as_deref().unwrap_or_default());
    let mut lines: Vec<String> = table.columns().iter().chain(&table.partition_keys).map(row).collect();
    if !table.partition_keys.is_empty() {
        lines.push("\t \t ".to_owned());
        lines.push("# Partition Information\t \t ".to_owned());
        lines.push(describe_line("# col_name", "data_type", "comment"));
        lines.push("\t \t ".to_owned());
        lines.extend(table.partition_keys.iter().map(row));
    }
    lines
}

fn create_table(table: &Table) -> Vec<String> {
    let mut lines = vec![format!("CREATE EXTERNAL TABLE `{}.{}`(", table.database_name, table.name)];
    lines.extend(column_lines(table.columns()));
    if !table.partition_keys.is_empty() {
        lines.push("PARTITIONED BY ( ".to_owned());
        lines.extend(column_lines(&table.partition_keys));
    }
    let storage = table.storage_descriptor.clone().unwrap_or_default();
    let quoted = |text: &str| format!("  '{}'", text.replace('\'', "\\'"));
    lines.push("ROW FORMAT SERDE ".to_owned());
    lines.push(format!("{} ", quoted(storage.serde_info.serialization_library.as_deref().unwrap_or_default())));
    if !storage.serde_info.parameters.is_empty() {
        lines.push("WITH SERDEPROPERTIES ( ".to_owned());
        lines.extend(property_lines(&storage.serde_info.parameters));
    }
    lines.push("STORED AS INPUTFORMAT ".to_owned());
    lines.push(format!("{} ", quoted(storage.input_format.as_deref().unwrap_or_default())));
    lines.push("OUTPUTFORMAT ".to_owned());
    lines.push(quoted(storage.output_format.as_deref().unwrap_or_default()));
    lines.push("LOCATION".to_owned());
    lines.push(quoted(storage.location.as_deref().unwrap_or_default()));
    let shown: Parameters =
        table.parameters.iter().filter(|(key, _)| *key != "EXTERNAL").map(|(k, v)| (k.clone(), v.clone())).collect();
    if !shown.is_empty() {
        lines.push("TBLPROPERTIES (".to_owned());
        lines.extend(property_lines(&shown));
    }
    lines
}

fn column_lines(columns: &[Column]) -> Vec<String> {
    let last = columns.len().saturating_sub(1);
    let line = |(i, column): (usize, &Column)| {
        let comment = column
            .comment
            .as_ref()
            .map_or_else(String::new, |text| format!(" COMMENT '{}'", text.replace('\'', "\\'")));
        let end = if i == last { ")" } else { ", " };
        format!("  `{}` {}{comment}{end}", column.name, column.data_type)
    };
    columns.iter().enumerate().map(line).collect()
}

fn property_lines(properties: &Parameters) -> Vec<String> {
    let last = properties.len().saturating_sub(1);
    let line = |(i, (key, value)): (usize, (&String, &String))| {
        format!("  '{key}'='{}'{}", value.replace('\'', "\\'"), if i == last { ")" } else { ", " })
    };
    properties.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("line*", "lineitem", true),
            ("*item", "lineitem", true),
            ("l*t*m", "lineitem", true),
            ("line", "lineitem", false),
            ("part|line*", "lineitem", true),
            ("LINE*", "lineitem", true),
            ("*x*", "lineitem", false),
        ] {
            assert_eq!(matches(&Some(pattern.to_owned()), name), expected, "{pattern} {name}");
        }
    }
}
