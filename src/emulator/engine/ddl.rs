//! CREATE, DROP, MSCK and PREPARE: changes of the catalog.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::alter::columns;
use super::session::{Context, Sessions};
use super::view::{View, ViewColumn};
use super::write::{partition, unescaped};
use super::{Lines, Task, broken};
use crate::emulator::model::{ACCOUNT, Column, Database, Failure, Partition, Prepared, SerDe, Storage, Table, now};
use crate::emulator::results::path_of;
use crate::emulator::sql::Statement;
use crate::emulator::sql::cursor::Name;
use crate::emulator::sql::statement::CreateTable;
use crate::emulator::store::Store;

/// Runs a statement that changes the catalog; gives `None` for every other one.
pub async fn run(sessions: &Arc<Sessions>, statement: &Statement, task: &Task) -> Result<Option<Lines>, Failure> {
    let (store, context, caller) = (&sessions.store, &task.context, task.caller());
    match statement {
        Statement::AlterTable { name, change } => super::alter::run(sessions, name, change, task)?,
        Statement::AlterDatabase { name, properties } => super::alter::database(sessions, name, properties, task)?,
        Statement::Prepare { name, text } => {
            let known = store.prepared(&task.workgroup, name).map_err(broken)?;
            if known.is_some() {
                return Err(Failure::already_exists(
                    "ALREADY_EXISTS",
                    format!("PreparedStatement {name} already exists in workGroup {}", task.workgroup),
                ));
            }
            store
                .put_prepared(&Prepared {
                    name: name.clone(),
                    workgroup: task.workgroup.clone(),
                    query: text.clone(),
                    description: None,
                    modified: now(),
                })
                .map_err(broken)?;
        }
        Statement::Deallocate { name } => {
            if !store.drop_prepared(&task.workgroup, name).map_err(broken)? {
                return Err(Failure::invalid_query(format!(
                    "PreparedStatement {name} was not found in workGroup {}",
                    task.workgroup
                )));
            }
        }
        Statement::CreateDatabase { name, if_not_exists, comment, location, properties } => {
            caller.may("glue:CreateDatabase", &caller.database(&name.name))?;
            if store.database(&name.name).map_err(broken)?.is_some() {
                if *if_not_exists {
                    return Ok(Some(Lines::default()));
                }
                return Err(ddl_failure(&format!(
                    "AlreadyExistsException(message:Database {} already exists)",
                    name.name
                )));
            }
            let database = Database {
                name: name.name.clone(),
                description: comment.clone(),
                location_uri: location.clone(),
                parameters: properties.clone(),
                create_time: now(),
                catalog_id: ACCOUNT.to_owned(),
            };
            store.put_database(&database).map_err(broken)?;
        }
        Statement::DropDatabase { name, if_exists, cascade } => {
            caller.may("glue:DeleteDatabase", &caller.database(&name.name))?;
            drop_database(store, name, *if_exists, *cascade)?;
        }
        Statement::CreateTable(create) => {
            caller.may("glue:CreateTable", &caller.table(database_of(&create.name, context), &create.name.name))?;
            create_table(store, create, context)?;
        }
        Statement::DropTable { name, if_exists } => {
            caller.may("glue:DeleteTable", &caller.table(database_of(name, context), &name.name))?;
            drop_table(store, name, context, *if_exists, false)?;
        }
        Statement::DropView { name, if_exists } => {
            caller.may("glue:DeleteTable", &caller.table(database_of(name, context), &name.name))?;
            drop_table(store, name, context, *if_exists, true)?;
        }
        Statement::CreateView { name, or_replace, query, text } => {
            caller.may("glue:CreateTable", &caller.table(database_of(name, context), &name.name))?;
            let planned = sessions.plan((**query).clone(), context, task.reading()).await?;
            let columns = planned.columns.iter().map(|(name, t)| (name.to_lowercase(), t.clone())).collect();
            create_view(store, name, context, *or_replace, text, columns)?;
        }
        Statement::MsckRepair(name) => {
            caller.may("glue:BatchCreatePartition", &caller.table(database_of(name, context), &name.name))?;
            return repair(sessions, name, context).map(Some);
        }
        _ => return Ok(None),
    }
    Ok(Some(Lines::default()))
}

/// Hive's way to say that a change could not be made.
pub fn ddl_failure(what: &str) -> Failure {
    Failure {
        category: 2,
        error_type: 1001,
        message: format!("FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. {what}"),
        retryable: false,
    }
}

fn database_of<'a>(name: &'a Name, context: &'a Context) -> &'a str {
    name.database.as_deref().unwrap_or(&context.database)
}

/// The table of this name, or why there is none.
pub fn table(store: &Store, name: &Name, context: &Context) -> Result<Table, Failure> {
    let database = database_of(name, context);
    store.table(database, &name.name).map_err(broken)?.ok_or_else(|| {
        let full = format!("{}.{database}.{}", context.catalog, name.name);
        Failure::table_not_found(Some(name.position), &full)
    })
}

fn drop_database(store: &Store, name: &Name, if_exists: bool, cascade: bool) -> Result<(), Failure> {
    if store.database(&name.name).map_err(broken)?.is_none() {
        if if_exists {
            return Ok(());
        }
        return Err(Failure::schema_not_found(Some(name.position), &name.name));
    }
    if !cascade && !store.tables(&name.name, None, 1).map_err(broken)?.is_empty() {
        return Err(ddl_failure(&format!(
            "InvalidOperationException(message:Database {} is not empty. One or more tables exist.)",
            name.name
        )));
    }
    store.drop_database(&name.name).map_err(broken)
}

fn drop_table(store: &Store, name: &Name, context: &Context, if_exists: bool, view: bool) -> Result<(), Failure> {
    let database = database_of(name, context);
    match store.table(database, &name.name).map_err(broken)? {
        Some(table) if table.is_view() == view => store.drop_table(database, &name.name).map_err(broken),
        Some(_) if view => Err(Failure::invalid_query(format!("'{}' is a table, not a view", name.name))),
        Some(_) => Err(Failure::invalid_query(format!("'{}' is a view, not a table", name.name))),
        None if if_exists => Ok(()),
        None => {
            let full = format!("{}.{database}.{}", context.catalog, name.name);
            Err(Failure::table_not_found(Some(name.position), &full))
        }
    }
}

/// SerDe, input and output format, as Hive names them.
pub const PARQUET: (&str, &str, &str) = (
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
);
pub const JSON: (&str, &str, &str) = (
    "org.openx.data.jsonserde.JsonSerDe",
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
);
pub const TEXT: (&str, &str, &str) = (
    "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
);

fn create_table(store: &Store, create: &CreateTable, context: &Context) -> Result<(), Failure> {
    let database = database_of(&create.name, context);
    if store.database(database).map_err(broken)?.is_none() {
        return Err(Failure::schema_not_found(Some(create.name.position), database));
    }
    if store.table(database, &create.name.name).map_err(broken)?.is_some() {
        if create.if_not_exists {
            return Ok(());
        }
        return Err(ddl_failure(&format!("AlreadyExistsException(message:Table {} already exists)", create.name.name)));
    }
    let (serde, input, output) = match create.stored_as.as_deref() {
        Some("parquet") => PARQUET,
        Some("textfile") | None => TEXT,
        Some(other) => {
            return Err(Failure::not_supported(
                Some(create.name.position),
                format!("STORED AS {}", other.to_uppercase()),
            ));
        }
    };
    if !create.location.starts_with("s3://") {
        return Err(ddl_failure("MetaException(message:the LOCATION must be an s3:// folder)"));
    }
    let mut parameters = create.properties.clone();
    parameters.insert("EXTERNAL".to_owned(), "TRUE".to_owned());
    let storage = Storage {
        columns: columns(&create.columns),
        location: Some(create.location.clone()),
        input_format: Some(create.input_format.clone().unwrap_or_else(|| input.to_owned())),
        output_format: Some(create.output_format.clone().unwrap_or_else(|| output.to_owned())),
        serde_info: SerDe {
            name: None,
            serialization_library: Some(create.serde.clone().unwrap_or_else(|| serde.to_owned())),
            parameters: create.serde_properties.clone(),
        },
        ..Storage::default()
    };
    let table = Table {
        name: create.name.name.clone(),
        database_name: database.to_owned(),
        description: create.comment.clone(),
        owner: Some("hadoop".to_owned()),
        create_time: now(),
        update_time: now(),
        storage_descriptor: Some(storage),
        partition_keys: columns(&create.partition_keys),
        table_type: Some(Table::EXTERNAL.to_owned()),
        parameters,
        catalog_id: ACCOUNT.to_owned(),
        version_id: "0".to_owned(),
        ..Table::default()
    };
    super::table::Format::of(&table, &table.storage_descriptor.clone().unwrap_or_default())?;
    store.put_table(&table).map_err(broken)
}

fn create_view(
    store: &Store,
    name: &Name,
    context: &Context,
    or_replace: bool,
    text: &str,
    columns: Vec<(String, crate::types::AthenaType)>,
) -> Result<(), Failure> {
    let database = database_of(name, context);
    if store.database(database).map_err(broken)?.is_none() {
        return Err(Failure::schema_not_found(Some(name.position), database));
    }
    let mut seen = BTreeSet::new();
    if let Some((twice, _)) = columns.iter().find(|(name, _)| !seen.insert(name.clone())) {
        return Err(Failure::invalid_query(format!("Column name '{twice}' specified more than once")));
    }
    match store.table(database, &name.name).map_err(broken)? {
        Some(table) if !table.is_view() || !or_replace => {
            let full = format!("{}.{database}.{}", context.catalog, name.name);
            return Err(Failure::already_exists("TABLE_ALREADY_EXISTS", format!("'{full}' already exists")));
        }
        _ => {}
    }
    let view = View {
        original_sql: text.to_owned(),
        catalog: context.catalog.clone(),
        schema: context.database.clone(),
        columns: columns.iter().map(|(name, t)| ViewColumn { name: name.clone(), data_type: t.to_string() }).collect(),
    };
    let glue = columns.iter().map(|(name, t)| Column { name: name.clone(), data_type: t.hive(), ..Column::default() });
    store
        .put_table(&Table {
            name: name.name.clone(),
            database_name: database.to_owned(),
            create_time: now(),
            update_time: now(),
            storage_descriptor: Some(Storage {
                columns: glue.collect(),
                location: Some(String::new()),
                ..Storage::default()
            }),
            view_original_text: Some(view.original_text()),
            view_expanded_text: Some("/* Presto View */".to_owned()),
            table_type: Some(Table::VIEW.to_owned()),
            parameters: [("presto_view", "true"), ("comment", "Presto View")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            catalog_id: ACCOUNT.to_owned(),
            version_id: "0".to_owned(),
            ..Table::default()
        })
        .map_err(broken)
}

/// MSCK REPAIR TABLE: adds the `key=value` folders under the table's location that are not partitions yet.
fn repair(sessions: &Sessions, name: &Name, context: &Context) -> Result<Lines, Failure> {
    let store = &sessions.store;
    let table = table(store, name, context)?;
    let added = discover(&sessions.buckets, store, &table)?;
    let folder = |partition: &Partition| {
        let pairs = table.partition_keys.iter().zip(&partition.values);
        pairs.map(|(key, value)| format!("{}={value}", key.name)).collect::<Vec<_>>().join("/")
    };
    let lines: Vec<String> = if added.is_empty() {
        Vec::new()
    } else {
        let missing = added.iter().map(|partition| format!("{}:{}", table.name, folder(partition)));
        let first = format!("Partitions not in metastore:\t{}", missing.collect::<Vec<_>>().join("\t"));
        let repaired =
            added.iter().map(|p| format!("Repair: Added partition to metastore {}:{}", table.name, folder(p)));
        std::iter::once(first).chain(repaired).collect()
    };
    store.put_partitions(&added).map_err(broken)?;
    Ok(Lines::new(&["result"], lines))
}

/// The partitions that lie under a table's location and are not in the catalog.
pub fn discover(buckets: &Path, store: &Store, table: &Table) -> Result<Vec<Partition>, Failure> {
    let location = table.location().unwrap_or_default().trim_end_matches('/').to_owned();
    let root = path_of(buckets, &location).ok_or_else(|| Failure::bad_data(format!("location {location:?}")))?;
    let mut found = vec![(root, location, Vec::<String>::new())];
    for key in &table.partition_keys {
        let mut deeper = Vec::new();
        for (folder, location, values) in found {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some((found_key, value)) = name.split_once('=') else { continue };
                if found_key.eq_ignore_ascii_case(&key.name) && entry.path().is_dir() {
                    let mut values = values.clone();
                    values.push(unescaped(value));
                    deeper.push((entry.path(), format!("{location}/{name}"), values));
                }
            }
        }
        found = deeper;
    }
    found.sort();
    let mut added = Vec::new();
    for (_, location, values) in found {
        if store.partition(&table.database_name, &table.name, &values).map_err(broken)?.is_none() {
            added.push(partition(table, values, Some(format!("{location}/"))));
        }
    }
    Ok(added)
}
