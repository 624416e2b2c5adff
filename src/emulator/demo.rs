//! TPC-H data as Parquet: all 8 tables in database `tpch`, made by `tpchgen`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchReader};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use tpchgen::generators::*;
use tpchgen_arrow::*;

use super::model::{ACCOUNT, Column, Database, SerDe, Storage, Table, now};
use super::{Emulator, StartError};

/// The bucket of the demo data; one prefix per scale and table.
const BUCKET: &str = "athena-flight-demo";
/// The database of the demo tables.
pub const DATABASE: &str = "tpch";
/// Rows that are in memory at a time while data is made.
const BATCH_ROWS: usize = 64 * 1024;

/// Makes the demo data at a scale factor, unless it is there already, and puts it into the catalog.
pub fn make(emulator: &Emulator, scale: f64) -> Result<(), StartError> {
    if !(scale > 0.0 && scale <= 100.0) {
        return Err(StartError::Data(format!("--demo-scale {scale} is not between 0 and 100")));
    }
    let folder = format!("tpch-sf{scale}");
    let root = emulator.buckets().join(BUCKET).join(&folder);
    let unusable = |source| StartError::Folder { folder: root.clone(), source };
    std::fs::create_dir_all(&root).map_err(unusable)?;
    let failed = |error: super::store::StoreError| StartError::Data(error.to_string());
    if emulator.store.database(DATABASE).map_err(failed)?.is_none() {
        let database = Database {
            name: DATABASE.to_owned(),
            description: Some(format!("TPC-H at scale {scale}")),
            create_time: now(),
            catalog_id: ACCOUNT.to_owned(),
            ..Database::default()
        };
        emulator.store.put_database(&database).map_err(failed)?;
    }
    macro_rules! table {
        ($name:literal, $generator:ident, $arrow:ident) => {{
            let batches = $arrow::new($generator::new(scale, 1, 1)).with_batch_size(BATCH_ROWS);
            let columns = write(&root.join($name), batches).map_err(|error| StartError::Data(error.to_string()))?;
            let location = format!("s3://{BUCKET}/{folder}/{}/", $name);
            emulator.store.put_table(&describe($name, location, columns)).map_err(failed)?;
        }};
    }
    table!("region", RegionGenerator, RegionArrow);
    table!("nation", NationGenerator, NationArrow);
    table!("part", PartGenerator, PartArrow);
    table!("supplier", SupplierGenerator, SupplierArrow);
    table!("partsupp", PartSuppGenerator, PartSuppArrow);
    table!("customer", CustomerGenerator, CustomerArrow);
    table!("orders", OrderGenerator, OrderArrow);
    table!("lineitem", LineItemGenerator, LineItemArrow);
    Ok(())
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Writes a table's file, whole or not at all, and gives its columns. A file that is there is taken as it is.
fn write(folder: &Path, batches: impl RecordBatchReader) -> Result<Vec<Column>, Error> {
    let plain = plain_schema(&batches.schema());
    let columns = super::engine::local_columns(&plain).map_err(|failure| failure.message)?;
    let file = folder.join("part-0.parquet");
    if file.exists() {
        return Ok(columns);
    }
    std::fs::create_dir_all(folder)?;
    let unfinished = folder.join(".part-0.parquet");
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(File::create(&unfinished)?, Arc::clone(&plain), Some(properties))?;
    for batch in batches {
        let batch = batch?;
        let arrays = batch.columns().iter().zip(plain.fields());
        let arrays = arrays.map(|(array, field)| cast(array, field.data_type())).collect::<Result<_, _>>()?;
        writer.write(&RecordBatch::try_new(Arc::clone(&plain), arrays)?)?;
    }
    writer.close()?;
    std::fs::rename(unfinished, file)?;
    Ok(columns)
}

/// The generator's schema with plain strings.
fn plain_schema(schema: &Arc<Schema>) -> Arc<Schema> {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        _ => field.as_ref().clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

/// A Parquet table of the catalog.
fn describe(name: &str, location: String, columns: Vec<Column>) -> Table {
    Table {
        name: name.to_owned(),
        database_name: DATABASE.to_owned(),
        owner: Some("athena-flight".to_owned()),
        create_time: now(),
        update_time: now(),
        storage_descriptor: Some(Storage {
            columns,
            location: Some(location),
            input_format: Some("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat".to_owned()),
            output_format: Some("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat".to_owned()),
            serde_info: SerDe {
                serialization_library: Some("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe".to_owned()),
                ..SerDe::default()
            },
            ..Storage::default()
        }),
        table_type: Some(Table::EXTERNAL.to_owned()),
        parameters: [("EXTERNAL", "TRUE"), ("classification", "parquet")].map(|(k, v)| (k.into(), v.into())).into(),
        catalog_id: ACCOUNT.to_owned(),
        version_id: "0".to_owned(),
        ..Table::default()
    }
}
