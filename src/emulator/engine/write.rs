//! CREATE TABLE AS, INSERT and UNLOAD: a query's rows into files, by partition.
//!
//! The files of a statement appear together, when all rows are written: they are made beside the buckets and moved to
//! their places at the end. A statement that fails leaves none.

mod files;
mod partitions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use datafusion::sql::sqlparser::ast::Query;
use futures::StreamExt;
use tokio::task::JoinSet;

pub use files::Layout;
pub use partitions::{NULL_PARTITION, folder_name, partition, unescaped};

use super::session::{Planned, Sessions};
use super::{Outcome, Task, broken, cast, errors, types, unwritable};
use crate::emulator::model::{ACCOUNT, Column, Failure, Parameters, ResultColumn, SerDe, Storage, Table, now};
use crate::emulator::results::{self, UNFINISHED, path_of};
use crate::emulator::sql::cursor::Name;
use crate::emulator::sql::write::WriteOptions;
use crate::emulator::store::Store;
use crate::types::AthenaType;
use files::FileWriter;

/// Partitions that one statement may write (athena-behaviour, section 5).
const MAX_PARTITIONS: usize = 100;

/// Where rows go, and as what.
struct Target {
    /// `s3://bucket/prefix/`
    folder: String,
    layout: Layout,
    /// The columns of the files, then the partition keys.
    columns: Vec<(String, AthenaType)>,
    keys: usize,
    /// The table that is written to: its partitions may lie elsewhere than below the folder.
    table: Option<(Arc<Store>, Table)>,
}

/// What was written.
struct Written {
    rows: i64,
    /// `s3://…` of every file.
    files: Vec<String>,
    partitions: BTreeSet<Vec<String>>,
}

/// What CREATE TABLE AS makes.
pub struct NewTable<'a> {
    pub name: &'a Name,
    pub if_not_exists: bool,
    pub options: &'a WriteOptions,
    pub with_data: bool,
}

pub async fn create_table_as(
    sessions: &Arc<Sessions>,
    NewTable { name, if_not_exists, options, with_data }: NewTable<'_>,
    query: Query,
    task: &Task,
) -> Result<Outcome, Failure> {
    let store = &sessions.store;
    let database = name.database.clone().unwrap_or_else(|| task.context.database.clone());
    if store.database(&database).map_err(broken)?.is_none() {
        return Err(Failure::schema_not_found(Some(name.position), &database));
    }
    if store.table(&database, &name.name).map_err(broken)?.is_some() {
        if if_not_exists {
            return Ok(Outcome::counted(0, None));
        }
        let full = format!("{}.{database}.{}", task.context.catalog, name.name);
        return Err(Failure::already_exists(
            "TABLE_ALREADY_EXISTS",
            format!("line {}:{}: Destination table '{full}' already exists", name.position.line, name.position.column),
        ));
    }
    let layout = Layout::of(options)?;
    let planned = sessions.plan(query, &task.context, task.reading()).await?;
    let columns = named_columns(&planned)?;
    let keys = partition_columns(&columns, &options.partitioned_by)?;
    columns.iter().try_for_each(|(name, t)| layout.writable(name, t))?;
    let output = task.output.clone().ok_or_else(|| Failure::internal("CREATE TABLE AS without an output location"))?;
    let folder = options.external_location.clone().unwrap_or_else(|| output.clone());
    let folder = format!("{}/", folder.trim_end_matches('/'));
    task.caller().may_write(&folder)?;
    must_be_empty(sessions, &folder, || {
        format!("Target directory for table '{database}.{}' already exists: {folder}", name.name)
    })?;
    let stored: Vec<(String, AthenaType)> = columns.iter().map(|(name, t)| (name.clone(), layout.stored(t))).collect();
    let target = Target { folder: folder.clone(), layout: layout.clone(), columns: stored.clone(), keys, table: None };
    let written = if with_data { run(sessions, &planned, target, &columns).await? } else { Written::nothing() };
    let data = stored.len() - keys;
    let column =
        |(name, t): &(String, AthenaType)| Column { name: name.clone(), data_type: t.hive(), ..Column::default() };
    let storage = layout.storage(stored[..data].iter().map(column).collect(), &folder);
    let table = Table {
        name: name.name.clone(),
        database_name: database.clone(),
        owner: Some("hadoop".to_owned()),
        create_time: now(),
        update_time: now(),
        partition_keys: stored[data..].iter().map(column).collect(),
        table_type: Some(Table::EXTERNAL.to_owned()),
        parameters: layout.parameters(),
        catalog_id: ACCOUNT.to_owned(),
        version_id: "0".to_owned(),
        storage_descriptor: Some(storage),
        ..Table::default()
    };
    let caller = task.caller();
    caller.may("glue:CreateTable", &caller.table(&database, &name.name))?;
    store.put_table(&table).map_err(broken)?;
    add_partitions(sessions, task, &table, &written.partitions)?;
    let manifest = manifest(sessions, &format!("{output}-manifest.csv"), &written.files)?;
    Ok(Outcome::counted(written.rows, Some(manifest)))
}

pub async fn insert(
    sessions: &Arc<Sessions>,
    name: &Name,
    given: Option<&[String]>,
    query: Query,
    task: &Task,
) -> Result<Outcome, Failure> {
    let store = &sessions.store;
    let database = name.database.clone().unwrap_or_else(|| task.context.database.clone());
    let full = format!("{}.{database}.{}", task.context.catalog, name.name);
    let table = store.table(&database, &name.name).map_err(broken)?;
    let table = table.ok_or_else(|| Failure::table_not_found(Some(name.position), &full))?;
    if table.is_view() {
        return Err(Failure::not_supported(Some(name.position), "Inserting into views"));
    }
    if table.is_iceberg() {
        return Err(Failure::not_supported(Some(name.position), format!("the Iceberg table {}", table.name)));
    }
    let storage = table.storage_descriptor.clone().unwrap_or_default();
    let layout = Layout::of_table(&table, &storage)?;
    let mut columns = Vec::new();
    for column in table.columns().iter().chain(&table.partition_keys) {
        let data_type = AthenaType::parse(&column.data_type).map_err(|fault| Failure::bad_data(fault.to_string()))?;
        columns.push((column.name.clone(), data_type));
    }
    let planned = sessions.plan(query, &task.context, task.reading()).await?;
    let assigned = assigned(&columns, given, &planned.columns)?;
    let folder = format!("{}/", table.location().unwrap_or_default().trim_end_matches('/'));
    task.caller().may_write(&folder)?;
    let keys = table.partition_keys.len();
    let known = Some((Arc::clone(store), table.clone()));
    let target = Target { folder, layout, columns: columns.clone(), keys, table: known };
    let written = run_assigned(sessions, &planned, target, assigned).await?;
    add_partitions(sessions, task, &table, &written.partitions)?;
    let folder = task.folder.trim_end_matches('/');
    let manifest = manifest(sessions, &format!("{folder}/{}-manifest.csv", task.id), &written.files)?;
    let outcome = Outcome::counted(written.rows, Some(manifest));
    let metadata = results::metadata(&task.id, &outcome.columns);
    let beside = format!("{folder}/{}.metadata", task.id);
    results::write_object(&sessions.buckets, &beside, &metadata).map_err(unwritable)?;
    Ok(outcome)
}

pub async fn unload(
    sessions: &Arc<Sessions>,
    query: Query,
    location: &str,
    options: &WriteOptions,
    task: &Task,
) -> Result<Outcome, Failure> {
    let layout = Layout::of(options)?;
    if path_of(&sessions.buckets, location).is_none() {
        return Err(Failure::invalid_query(format!("'{location}' is not an S3 location")));
    }
    let planned = sessions.plan(query, &task.context, task.reading()).await?;
    let columns = named_columns(&planned)?;
    let keys = partition_columns(&columns, &options.partitioned_by)?;
    columns.iter().try_for_each(|(name, t)| layout.writable(name, t))?;
    let folder = format!("{}/", location.trim_end_matches('/'));
    task.caller().may_write(&folder)?;
    must_be_empty(sessions, &folder, || format!("UNLOAD needs an empty target: {folder}"))?;
    let stored = columns.iter().map(|(name, t)| (name.clone(), layout.stored(t))).collect();
    let target = Target { folder, layout, columns: stored, keys, table: None };
    let written = run(sessions, &planned, target, &columns).await?;
    let folder = task.folder.trim_end_matches('/');
    let manifest = manifest(sessions, &format!("{folder}/{}-manifest.csv", task.id), &written.files)?;
    Ok(Outcome::counted(written.rows, Some(manifest)))
}

impl Written {
    fn nothing() -> Self {
        Self { rows: 0, files: Vec::new(), partitions: BTreeSet::new() }
    }
}

impl Outcome {
    /// The answer of a statement that counts rows: none, and one column to say how many there were.
    fn counted(rows: i64, manifest: Option<String>) -> Self {
        let column: ResultColumn = types::result_column("rows".to_owned(), &AthenaType::Bigint);
        Self { columns: vec![column], update_count: Some(rows), manifest, rows: None }
    }
}

/// Every column of what is written needs a name of its own.
fn named_columns(planned: &Planned) -> Result<Vec<(String, AthenaType)>, Failure> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for (at, (name, data_type)) in planned.columns.iter().enumerate() {
        if planned.unnamed.contains(&at) {
            return Err(Failure::invalid_query(format!("Column name not specified at position {}", at + 1)));
        }
        let name = name.to_lowercase();
        if !seen.insert(name.clone()) {
            return Err(Failure::already_exists(
                "DUPLICATE_COLUMN_NAME",
                format!("Column name '{name}' specified more than once"),
            ));
        }
        columns.push((name, data_type.clone()));
    }
    Ok(columns)
}

/// How many of the last columns are partition keys; they have to be those that are named.
fn partition_columns(columns: &[(String, AthenaType)], keys: &[String]) -> Result<usize, Failure> {
    if keys.is_empty() {
        return Ok(0);
    }
    for key in keys {
        if !columns.iter().any(|(name, _)| name == key) {
            return Err(Failure::invalid_query(format!("Partition column '{key}' is not among the columns")));
        }
    }
    if keys.len() == columns.len() {
        return Err(Failure::invalid_query("Table contains only partition columns"));
    }
    let last = &columns[columns.len() - keys.len()..];
    if !last.iter().map(|(name, _)| name).eq(keys) {
        return Err(Failure {
            message: "HIVE_COLUMN_ORDER_MISMATCH: Partition keys must be the last columns in the table and in the same order as the table properties".to_owned(),
            ..Failure::invalid_query("")
        });
    }
    Ok(keys.len())
}

fn must_be_empty(sessions: &Sessions, folder: &str, what: impl Fn() -> String) -> Result<(), Failure> {
    let path = path_of(&sessions.buckets, folder)
        .ok_or_else(|| Failure::invalid_query(format!("'{folder}' is not an S3 location")))?;
    let bucket = folder.trim_start_matches("s3://").split('/').next().unwrap_or_default();
    if !sessions.buckets.join(bucket).is_dir() {
        return Err(Failure::bad_data(format!("the bucket of {folder} does not exist")));
    }
    let occupied = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if occupied { Err(Failure::already_exists("HIVE_PATH_ALREADY_EXISTS", what())) } else { Ok(()) }
}

/// Which column of the query each column of the table takes; `None` is NULL.
fn assigned(
    columns: &[(String, AthenaType)],
    given: Option<&[String]>,
    query: &[(String, AthenaType)],
) -> Result<Vec<Option<(usize, AthenaType)>>, Failure> {
    let all: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let given = given.unwrap_or(&all);
    if let Some(unknown) = given.iter().find(|name| !all.contains(name)) {
        return Err(Failure::column_not_found(None, unknown));
    }
    let target: Vec<&AthenaType> =
        given.iter().filter_map(|name| columns.iter().find(|(known, _)| known == name)).map(|(_, t)| t).collect();
    let fits = |(target, (_, source)): (&&AthenaType, &(String, AthenaType))| assignable(source, target);
    if target.len() != query.len() || !target.iter().zip(query).all(fits) {
        let shown = |types: Vec<String>| types.join(", ");
        let table = shown(target.iter().map(|t| t.to_string()).collect());
        let found = shown(query.iter().map(|(_, t)| t.to_string()).collect());
        return Err(Failure::type_mismatch(format!(
            "Insert query has mismatched column types: Table: [{table}], Query: [{found}]"
        )));
    }
    Ok(columns
        .iter()
        .map(|(name, _)| given.iter().position(|given| given == name).map(|at| (at, query[at].1.clone())))
        .collect())
}

/// Whether a value may be stored without a CAST: only where its type widens to the column's, as in Trino.
fn assignable(source: &AthenaType, target: &AthenaType) -> bool {
    use AthenaType::*;
    match (source, target) {
        (Varchar(_) | Char(_), Varchar(_) | Char(_)) | (Timestamp(_), Timestamp(_)) => true,
        (Array(Some(s)), Array(Some(t))) => assignable(s, t),
        (Map(Some(s)), Map(Some(t))) => assignable(&s.0, &t.0) && assignable(&s.1, &t.1),
        (Row(Some(s)), Row(Some(t))) if s.len() == t.len() => {
            s.iter().zip(t).all(|(s, t)| assignable(&s.data_type, &t.data_type))
        }
        _ => super::functions::common_type(source, target).as_ref() == Some(target),
    }
}

async fn run(
    sessions: &Arc<Sessions>,
    planned: &Planned,
    target: Target,
    columns: &[(String, AthenaType)],
) -> Result<Written, Failure> {
    let assigned = columns.iter().enumerate().map(|(at, (_, t))| Some((at, t.clone()))).collect();
    run_assigned(sessions, planned, target, assigned).await
}

/// What the tasks of one statement share.
struct Shared {
    target: Target,
    assigned: Vec<Option<(usize, AthenaType)>>,
    unfinished: PathBuf,
    partitions: Mutex<BTreeSet<Vec<String>>>,
}

/// A file that is complete but not in its place.
struct Finished {
    path: PathBuf,
    location: String,
}

async fn run_assigned(
    sessions: &Arc<Sessions>,
    planned: &Planned,
    target: Target,
    assigned: Vec<Option<(usize, AthenaType)>>,
) -> Result<Written, Failure> {
    let failed = |error| errors::failure(&error, &planned.places);
    let plan = planned.state.create_physical_plan(&planned.plan).await.map_err(failed)?;
    let unfinished = sessions.buckets.join(UNFINISHED).join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir_all(&unfinished).map_err(unwritable)?;
    let cleanup = RemoveOnDrop(unfinished.clone());
    let shared = Arc::new(Shared { target, assigned, unfinished, partitions: Mutex::default() });
    let mut tasks = JoinSet::new();
    for part in 0..plan.output_partitioning().partition_count() {
        let (plan, context, shared) = (Arc::clone(&plan), planned.state.task_ctx(), Arc::clone(&shared));
        tasks.spawn(async move { write_part(plan, part, context, &shared).await });
    }
    let (mut rows, mut finished) = (0, Vec::new());
    while let Some(part) = tasks.join_next().await {
        let (count, files) = part.map_err(|error| Failure::internal(error.to_string()))??;
        rows += count;
        finished.extend(files);
    }
    let mut files = Vec::new();
    for file in finished {
        let place = path_of(&sessions.buckets, &file.location)
            .ok_or_else(|| Failure::internal(format!("{} leaves its bucket", file.location)))?;
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        std::fs::rename(&file.path, &place).map_err(unwritable)?;
        files.push(file.location);
    }
    files.sort();
    drop(cleanup);
    let partitions = std::mem::take(&mut *shared.partitions.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Written { rows, files, partitions })
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs one part of the plan into files of its own: one per partition it meets.
async fn write_part(
    plan: Arc<dyn ExecutionPlan>,
    part: usize,
    context: Arc<datafusion::execution::TaskContext>,
    shared: &Shared,
) -> Result<(i64, Vec<Finished>), Failure> {
    let failed = |error| errors::failure(&error, &Default::default());
    let mut batches = plan.execute(part, context).map_err(failed)?;
    let mut writers: BTreeMap<Vec<String>, (FileWriter, Finished)> = BTreeMap::new();
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(failed)?;
        if batch.num_rows() == 0 {
            continue;
        }
        rows += batch.num_rows() as i64;
        let columns = shared.columns(&batch)?;
        let data = columns.len() - shared.target.keys;
        for (values, rows) in partitions::split(&columns[data..], &shared.target.columns[data..], batch.num_rows())? {
            let own: Vec<ArrayRef> = match &rows {
                Some(rows) => columns[..data]
                    .iter()
                    .map(|column| datafusion::arrow::compute::take(column, rows, None))
                    .collect::<Result<_, _>>()
                    .map_err(|error| Failure::internal(error.to_string()))?,
                None => columns[..data].to_vec(),
            };
            if !writers.contains_key(&values) {
                writers.insert(values.clone(), shared.open(&values)?);
            }
            if let Some((writer, _)) = writers.get_mut(&values) {
                writer.write(own)?;
            }
        }
    }
    let mut files = Vec::new();
    for (writer, file) in writers.into_values() {
        writer.finish()?;
        files.push(file);
    }
    Ok((rows, files))
}

impl Shared {
    /// The batch's columns in the order and the types of the target.
    fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, Failure> {
        let targets = self.target.columns.iter().zip(&self.assigned);
        targets
            .map(|((name, target), source)| {
                let arrow = types::arrow(target)?;
                let Some((at, source)) = source else {
                    return Ok(datafusion::arrow::array::new_null_array(&arrow, batch.num_rows()));
                };
                let column = cast::convert(batch.column(*at), source, target)?;
                datafusion::arrow::compute::cast(&column, &arrow)
                    .map_err(|error| Failure::internal(format!("column {name}: {error}")))
            })
            .collect()
    }

    fn open(&self, values: &[String]) -> Result<(FileWriter, Finished), Failure> {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if self.target.keys > 0 && partitions.insert(values.to_vec()) && partitions.len() > MAX_PARTITIONS {
            return Err(Failure::already_exists(
                "HIVE_TOO_MANY_OPEN_PARTITIONS",
                format!("Exceeded limit of {MAX_PARTITIONS} open writers for partitions"),
            ));
        }
        let data = self.target.columns.len() - self.target.keys;
        let known = match &self.target.table {
            Some((store, table)) if self.target.keys > 0 => {
                store.partition(&table.database_name, &table.name, values).map_err(broken)?
            }
            _ => None,
        };
        let place = known.and_then(|partition| partition.storage_descriptor).and_then(|storage| storage.location);
        let folder = match place {
            Some(place) => format!("{}/", place.trim_end_matches('/')),
            None => {
                let keys = self.target.columns[data..].iter().map(|(name, _)| name.as_str());
                let below = folder_name(keys, values);
                let slash = if below.is_empty() { "" } else { "/" };
                format!("{}{below}{slash}", self.target.folder)
            }
        };
        let id = uuid::Uuid::new_v4();
        let stamp = chrono::Utc::now().format("%Y%m%d_%H%M%S");
        let name = format!("{stamp}_{}_{}{}", &id.simple().to_string()[..5], id, self.target.layout.ending());
        let path = self.unfinished.join(&name);
        let writer = FileWriter::create(&path, self.target.layout.clone(), &self.target.columns[..data])?;
        Ok((writer, Finished { path, location: format!("{folder}{name}") }))
    }
}

/// Writes the names of the files, one a line.
fn manifest(sessions: &Sessions, location: &str, files: &[String]) -> Result<String, Failure> {
    let lines: String = files.iter().map(|file| format!("{file}\n")).collect();
    results::write_object(&sessions.buckets, location, lines.as_bytes()).map_err(unwritable)?;
    Ok(location.to_owned())
}

/// Puts partitions that are not there yet into the catalog.
fn add_partitions(
    sessions: &Sessions,
    task: &Task,
    table: &Table,
    written: &BTreeSet<Vec<String>>,
) -> Result<(), Failure> {
    let mut added = Vec::new();
    for values in written {
        let known = sessions.store.partition(&table.database_name, &table.name, values).map_err(broken)?;
        if known.is_none() {
            added.push(partitions::partition(table, values.clone(), None));
        }
    }
    if !added.is_empty() {
        let caller = task.caller();
        caller.may("glue:BatchCreatePartition", &caller.table(&table.database_name, &table.name))?;
    }
    sessions.store.put_partitions(&added).map_err(broken)
}

/// SerDe, input and output format of a file format, as Hive names them.
pub fn storage(columns: Vec<Column>, location: &str, classes: (&str, &str, &str), serde: Parameters) -> Storage {
    let (library, input, output) = classes;
    Storage {
        columns,
        location: Some(location.to_owned()),
        input_format: Some(input.to_owned()),
        output_format: Some(output.to_owned()),
        serde_info: SerDe { name: None, serialization_library: Some(library.to_owned()), parameters: serde },
        ..Storage::default()
    }
}
