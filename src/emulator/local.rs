//! One's own files as tables: `DIR/<database>/<table>.{parquet,csv,json}`, and `DIR/<database>/<table>/…` with
//! `key=value` partition folders.
//!
//! Nothing is ever written into DIR: it becomes a bucket (a link), and catalog and results live in the data folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};

use datafusion::arrow::csv::reader::Format as CsvFormat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::json::reader::infer_json_schema_from_seekable;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::model::{ACCOUNT, Column, Database, Parameters, SerDe, Storage, Table, now};
use super::{Emulator, StartError, engine};

/// The bucket that stands for the folder.
const BUCKET: &str = "local";
/// Rows of a CSV or JSON file that are looked at to tell the types of its columns.
const INFERENCE_ROWS: usize = 10_000;

/// Puts the folder's tables into the catalog, in place of what an earlier start found there.
///
/// Gives what was left out, one line each; those tables are missing, the others work.
pub fn attach(emulator: &Emulator, folder: &Path) -> Result<Vec<String>, StartError> {
    let unusable = |source| StartError::Folder { folder: folder.to_owned(), source };
    let folder = folder.canonicalize().map_err(unusable)?;
    let link = emulator.buckets().join(BUCKET);
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(&folder, &link).map_err(unusable)?;
    let failed = |error: super::store::StoreError| StartError::Data(error.to_string());
    for database in emulator.store.databases().map_err(failed)? {
        if database.parameters.contains_key(LOCAL) {
            for table in emulator.store.tables(&database.name, None, usize::MAX).map_err(failed)? {
                if table.parameters.contains_key(LOCAL) {
                    emulator.store.drop_table(&database.name, &table.name).map_err(failed)?;
                }
            }
        }
    }
    let mut left_out = Vec::new();
    for entry in visible(&folder).map_err(unusable)? {
        let database = name_of(&entry);
        if !entry.is_dir() {
            left_out.push(format!("{}: not inside a database's folder", entry.display()));
            continue;
        }
        put_database(emulator, &database).map_err(failed)?;
        let mut seen = BTreeSet::new();
        for entry in visible(&entry).map_err(unusable)? {
            match describe(&folder, &database, &entry) {
                Ok(table) if seen.insert(table.name.clone()) => {
                    emulator.store.put_table(&table).map_err(failed)?;
                    if !table.partition_keys.is_empty() {
                        let found = engine::discover(emulator.buckets(), &emulator.store, &table)
                            .map_err(|failure| StartError::Data(failure.message))?;
                        emulator.store.put_partitions(&found).map_err(failed)?;
                    }
                }
                Ok(table) => left_out.push(format!("{}: there is another table {}", entry.display(), table.name)),
                Err(why) => left_out.push(format!("{}: {why}", entry.display())),
            }
        }
    }
    Ok(left_out)
}

/// Marks what came from a folder, so that the next start can take it away.
const LOCAL: &str = "athena-flight.local";

fn put_database(emulator: &Emulator, name: &str) -> Result<(), super::store::StoreError> {
    emulator.store.put_database(&Database {
        name: name.to_owned(),
        parameters: [(LOCAL.to_owned(), "true".to_owned())].into(),
        create_time: now(),
        catalog_id: ACCOUNT.to_owned(),
        ..Database::default()
    })
}

/// The entries of a folder that are meant to be seen, by name.
fn visible(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

fn name_of(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// How a file is written, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Parquet,
    Csv,
    Json,
}

fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "parquet" => Some(Kind::Parquet),
        "csv" => Some(Kind::Csv),
        "json" | "jsonl" | "ndjson" => Some(Kind::Json),
        _ => None,
    }
}

fn describe(root: &Path, database: &str, entry: &Path) -> Result<Table, String> {
    let (sample, keys) = if entry.is_dir() { first_file(entry)? } else { (entry.to_owned(), Vec::new()) };
    let kind = kind_of(&sample).ok_or("neither .parquet, .csv nor .json")?;
    let schema = schema_of(&sample, kind)?;
    let mut columns = engine::local_columns(&schema).map_err(|failure| failure.message)?;
    columns.retain(|column| !keys.iter().any(|(key, _)| *key == column.name));
    let below = entry.strip_prefix(root).map_err(|error| error.to_string())?;
    let mut location = format!("s3://{BUCKET}/{}", below.display());
    if entry.is_dir() {
        location.push('/');
    }
    let (serde, input, output) = match kind {
        Kind::Parquet => (
            "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        ),
        Kind::Csv => (
            "org.apache.hadoop.hive.serde2.OpenCSVSerde",
            "org.apache.hadoop.mapred.TextInputFormat",
            "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        ),
        Kind::Json => (
            "org.openx.data.jsonserde.JsonSerDe",
            "org.apache.hadoop.mapred.TextInputFormat",
            "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        ),
    };
    let mut parameters: Parameters =
        [("EXTERNAL", "TRUE"), (LOCAL, "true")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut serde_parameters = Parameters::new();
    if kind == Kind::Csv {
        parameters.insert("skip.header.line.count".to_owned(), "1".to_owned());
        // As RFC 4180 has it: a quote is doubled, a backslash is a backslash.
        serde_parameters.insert("escapeChar".to_owned(), "\"".to_owned());
    }
    Ok(Table {
        name: if entry.is_dir() {
            entry.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
        } else {
            name_of(entry)
        },
        database_name: database.to_owned(),
        create_time: now(),
        update_time: now(),
        storage_descriptor: Some(Storage {
            columns,
            location: Some(location),
            input_format: Some(input.to_owned()),
            output_format: Some(output.to_owned()),
            serde_info: SerDe {
                serialization_library: Some(serde.to_owned()),
                parameters: serde_parameters,
                name: None,
            },
            ..Storage::default()
        }),
        partition_keys: keys
            .into_iter()
            .map(|(name, data_type)| Column { name, data_type: data_type.to_owned(), ..Column::default() })
            .collect(),
        table_type: Some(Table::EXTERNAL.to_owned()),
        parameters,
        catalog_id: ACCOUNT.to_owned(),
        version_id: "0".to_owned(),
        ..Table::default()
    })
}

type Key = (String, &'static str);

/// The first data file below a table's folder, and the partition keys on the way to it. A key is a number if all its
/// values are.
fn first_file(folder: &Path) -> Result<(PathBuf, Vec<Key>), String> {
    let entries = visible(folder).map_err(|error| error.to_string())?;
    if let Some(file) = entries.iter().find(|entry| entry.is_file() && kind_of(entry).is_some()) {
        return Ok((file.clone(), Vec::new()));
    }
    let pair = |entry: &PathBuf| {
        let name = entry.file_name()?.to_string_lossy().into_owned();
        let (key, value) = name.split_once('=')?;
        Some((key.to_lowercase(), value.to_owned()))
    };
    let pairs: Vec<(String, String)> = entries.iter().filter(|entry| entry.is_dir()).filter_map(pair).collect();
    let Some((key, _)) = pairs.first() else { return Err("no .parquet, .csv or .json file in it".to_owned()) };
    let numeric = pairs.iter().all(|(_, value)| value.parse::<i64>().is_ok());
    let key = (key.clone(), if numeric { "bigint" } else { "string" });
    let mut why = String::new();
    for entry in entries.iter().filter(|entry| pair(entry).is_some()) {
        match first_file(entry) {
            Ok((file, mut keys)) => {
                keys.insert(0, key);
                return Ok((file, keys));
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn schema_of(path: &Path, kind: Kind) -> Result<Schema, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    match kind {
        Kind::Parquet => {
            let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| e.to_string())?;
            Ok(athena_types(metadata.schema()))
        }
        Kind::Csv => {
            let format = CsvFormat::default().with_header(true);
            let inferred = format.infer_schema(&mut file, Some(INFERENCE_ROWS)).map_err(|error| error.to_string())?;
            Ok(athena_types(&inferred.0))
        }
        Kind::Json => {
            file.rewind().map_err(|error| error.to_string())?;
            let reader = BufReader::new(file);
            let inferred = infer_json_schema_from_seekable(reader, Some(INFERENCE_ROWS)).map_err(|e| e.to_string())?;
            if let Some(field) = inferred.0.fields().iter().find(|field| field.name().to_lowercase() != *field.name()) {
                return Err(format!("key {:?} is not in lower case, as column names in Glue are", field.name()));
            }
            Ok(athena_types(&inferred.0))
        }
    }
}

/// Glue has no unsigned numbers, no half floats and no large or view types; each becomes the narrowest that holds it.
fn athena_types(schema: &Schema) -> Schema {
    let narrow = |data_type: &DataType| match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        DataType::Null => DataType::Utf8,
        // Hive's timestamp has neither a zone nor, as Athena reads it, more than milliseconds.
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Utf8,
        other => other.clone(),
    };
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), narrow(field.data_type()), true));
    Schema::new(fields.collect::<Vec<_>>())
}
