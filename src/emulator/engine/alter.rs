//! ALTER TABLE and ALTER DATABASE: changes of what the catalog says, never of data.

use super::ddl::{ddl_failure, table};
use super::session::{Context, Sessions};
use super::write::partition;
use super::{Task, broken};
use crate::emulator::model::{Column, Failure, Parameters, Partition, Table, now};
use crate::emulator::sql::alter::{Change, PartitionSpec};
use crate::emulator::sql::cursor::Name;
use crate::emulator::sql::statement::ColumnDefinition;

/// Columns as the catalog keeps them.
pub fn columns(definitions: &[ColumnDefinition]) -> Vec<Column> {
    let column = |definition: &ColumnDefinition| Column {
        name: definition.name.clone(),
        data_type: definition.data_type.hive(),
        comment: definition.comment.clone(),
        parameters: Parameters::new(),
    };
    definitions.iter().map(column).collect()
}

pub fn database(sessions: &Sessions, name: &Name, properties: &Parameters, task: &Task) -> Result<(), Failure> {
    let store = &sessions.store;
    let caller = task.caller();
    caller.may("glue:UpdateDatabase", &caller.database(&name.name))?;
    let found = store.database(&name.name).map_err(broken)?;
    let mut database = found.ok_or_else(|| Failure::schema_not_found(Some(name.position), &name.name))?;
    database.parameters.extend(properties.clone());
    store.put_database(&database).map_err(broken)
}

pub fn run(sessions: &Sessions, name: &Name, change: &Change, task: &Task) -> Result<(), Failure> {
    let context: &Context = &task.context;
    let mut altered = table(&sessions.store, name, context)?;
    if altered.is_view() {
        return Err(Failure::invalid_query(format!("'{}' is a view, not a table", altered.name)));
    }
    let caller = task.caller();
    let resources = caller.table(&altered.database_name, &altered.name);
    let action = match change {
        Change::AddPartitions { .. } => "glue:BatchCreatePartition",
        Change::DropPartitions { .. } => "glue:DeletePartition",
        Change::RenamePartition { .. } | Change::SetLocation { partition: Some(_), .. } => "glue:UpdatePartition",
        _ => "glue:UpdateTable",
    };
    caller.may(action, &resources)?;
    match change {
        Change::AddPartitions { if_not_exists, partitions } => {
            return add_partitions(sessions, &altered, *if_not_exists, partitions);
        }
        Change::DropPartitions { if_exists, partitions } => {
            return drop_partitions(sessions, &altered, *if_exists, partitions);
        }
        Change::RenamePartition { from, to } => return rename_partition(sessions, &altered, from, to),
        Change::SetLocation { partition: Some(spec), location } => {
            let mut moved = found(sessions, &altered, spec)?;
            moved.storage_descriptor.get_or_insert_default().location = Some(s3(location)?);
            return sessions.store.put_partitions(&[moved]).map_err(broken);
        }
        Change::SetLocation { partition: None, location } => {
            altered.storage_descriptor.get_or_insert_default().location = Some(s3(location)?);
        }
        Change::AddColumns(definitions) => {
            let storage = altered.storage_descriptor.get_or_insert_default();
            for column in columns(definitions) {
                let known =
                    storage.columns.iter().chain(&altered.partition_keys).any(|known| known.name == column.name);
                if known {
                    return Err(ddl_failure(&format!("Duplicate column name: {}", column.name)));
                }
                storage.columns.push(column);
            }
        }
        Change::ReplaceColumns(definitions) => {
            altered.storage_descriptor.get_or_insert_default().columns = columns(definitions);
        }
        Change::SetProperties(properties) => altered.parameters.extend(properties.clone()),
    }
    altered.update_time = now();
    sessions.store.put_table(&altered).map_err(broken)
}

fn s3(location: &str) -> Result<String, Failure> {
    if location.starts_with("s3://") {
        return Ok(location.to_owned());
    }
    Err(ddl_failure("MetaException(message:the LOCATION must be an s3:// folder)"))
}

/// The values of all partition keys in their order.
fn values(table: &Table, spec: &PartitionSpec) -> Result<Vec<String>, Failure> {
    if let Some((unknown, _)) =
        spec.iter().find(|(key, _)| !table.partition_keys.iter().any(|known| known.name == *key))
    {
        return Err(ddl_failure(&format!("{unknown} is not a partition key of {}", table.name)));
    }
    let value = |key: &Column| {
        let found = spec.iter().find(|(name, _)| *name == key.name).map(|(_, value)| value.clone());
        found.ok_or_else(|| ddl_failure(&format!("partition spec {spec:?} doesn't contain all partition keys")))
    };
    table.partition_keys.iter().map(value).collect()
}

fn found(sessions: &Sessions, table: &Table, spec: &PartitionSpec) -> Result<Partition, Failure> {
    let values = values(table, spec)?;
    let found = sessions.store.partition(&table.database_name, &table.name, &values).map_err(broken)?;
    found.ok_or_else(|| ddl_failure(&format!("Partition not found {spec:?}")))
}

fn add_partitions(
    sessions: &Sessions,
    table: &Table,
    if_not_exists: bool,
    given: &[(PartitionSpec, Option<String>)],
) -> Result<(), Failure> {
    let mut added = Vec::new();
    for (spec, location) in given {
        let values = values(table, spec)?;
        let known = sessions.store.partition(&table.database_name, &table.name, &values).map_err(broken)?;
        match known {
            Some(_) if if_not_exists => {}
            Some(_) => {
                return Err(ddl_failure(&format!(
                    "AlreadyExistsException(message:Partition already exists: {spec:?})"
                )));
            }
            None => added.push(partition(table, values, location.as_deref().map(s3).transpose()?)),
        }
    }
    sessions.store.put_partitions(&added).map_err(broken)
}

fn drop_partitions(
    sessions: &Sessions,
    table: &Table,
    if_exists: bool,
    specs: &[PartitionSpec],
) -> Result<(), Failure> {
    let mut dropped = Vec::new();
    for spec in specs {
        // A part of the keys stands for all partitions that have these values.
        let all = sessions.store.partition_values(&table.database_name, &table.name).map_err(broken)?;
        let has = |values: &Vec<String>| {
            spec.iter().all(|(key, value)| {
                let at = table.partition_keys.iter().position(|known| known.name == *key);
                at.and_then(|at| values.get(at)) == Some(value)
            })
        };
        let before = dropped.len();
        dropped.extend(all.into_iter().filter(has));
        if dropped.len() == before && !if_exists {
            return Err(ddl_failure(&format!("Partition not found {spec:?}")));
        }
    }
    sessions.store.drop_partitions(&table.database_name, &table.name, &dropped).map_err(broken)
}

fn rename_partition(
    sessions: &Sessions,
    table: &Table,
    from: &PartitionSpec,
    to: &PartitionSpec,
) -> Result<(), Failure> {
    let old = found(sessions, table, from)?;
    let renamed = Partition { values: values(table, to)?, ..old.clone() };
    let known = sessions.store.partition(&table.database_name, &table.name, &renamed.values).map_err(broken)?;
    if known.is_some() {
        return Err(ddl_failure(&format!("AlreadyExistsException(message:Partition already exists: {to:?})")));
    }
    sessions.store.put_partitions(&[renamed]).map_err(broken)?;
    sessions.store.drop_partitions(&table.database_name, &table.name, &[old.values]).map_err(broken)
}
