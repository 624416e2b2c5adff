//! A Glue table as DataFusion scans it: its files, wherever its partitions lie, read as its columns say.

mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, project_schema};
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use futures::StreamExt;
use object_store::ObjectStoreExt;

use super::cast::external;
use super::types;
use super::write::unescaped;
use crate::emulator::model::{Failure, Storage, Table};
use crate::emulator::sql::rewrite::{FILE_SIZE, PATH};
use crate::emulator::store::Store;
use crate::types::AthenaType;
use crate::types::value::ColumnBuilder;
use rows::{RowFile, RowFiles, RowStream};

/// How the rows of a file are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Parquet,
    Json,
    OpenCsv(OpenCsv),
    Delimited(Delimited),
}

/// OpenCSVSerde's characters.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCsv {
    pub separator: u8,
    pub quote: u8,
    /// `None` where a quote escapes a quote.
    pub escape: Option<u8>,
}

/// LazySimpleSerDe's delimiters. Nothing is quoted.
#[derive(Debug, Clone, PartialEq)]
pub struct Delimited {
    pub field: char,
    pub collection: char,
    pub map_key: char,
    pub escape: Option<char>,
    pub null: String,
}

impl Format {
    /// The format a table's SerDe stands for.
    pub fn of(table: &Table, storage: &Storage) -> std::result::Result<Self, Failure> {
        let serde = storage.serde_info.serialization_library.as_deref().unwrap_or_default();
        let property = |name: &str| storage.serde_info.parameters.get(name).map(String::as_str);
        let byte = |name: &str, default: u8| property(name).and_then(|text| text.bytes().next()).unwrap_or(default);
        // A character, or its number.
        let character = |name: &str, default: char| match property(name) {
            Some(text) if text.chars().count() == 1 => text.chars().next().unwrap_or(default),
            Some(text) => text.parse::<u32>().ok().and_then(char::from_u32).unwrap_or(default),
            None => default,
        };
        if serde.contains("parquet") {
            Ok(Self::Parquet)
        } else if serde.ends_with("JsonSerDe") {
            Ok(Self::Json)
        } else if serde.ends_with("OpenCSVSerde") {
            let quote = byte("quoteChar", b'"');
            let escape = Some(byte("escapeChar", b'\\')).filter(|escape| *escape != quote);
            Ok(Self::OpenCsv(OpenCsv { separator: byte("separatorChar", b','), quote, escape }))
        } else if serde.ends_with("LazySimpleSerDe") {
            let first = if property("field.delim").is_some() { "field.delim" } else { "serialization.format" };
            Ok(Self::Delimited(Delimited {
                field: character(first, '\u{1}'),
                collection: if property("collection.delim").is_some() {
                    character("collection.delim", '\u{2}')
                } else {
                    // Hive's own misspelling, which tables in the wild carry.
                    character("colelction.delim", '\u{2}')
                },
                map_key: character("mapkey.delim", '\u{3}'),
                escape: property("escape.delim").and_then(|text| text.chars().next()),
                null: property("serialization.null.format").unwrap_or("\\N").to_owned(),
            }))
        } else {
            Err(Failure::not_supported(None, format!("the SerDe {serde:?} of table {}", table.name)))
        }
    }
}

#[derive(Debug)]
pub struct GlueTable {
    table: Table,
    format: Format,
    schema: TableSchema,
    columns: Vec<(String, AthenaType)>,
    /// Partition keys; behind them come the hidden columns, if they are asked for.
    keys: usize,
    locations: Vec<Location>,
    buckets: PathBuf,
    scanned: Arc<AtomicU64>,
}

/// One folder of files with the partition values they stand for.
#[derive(Debug)]
struct Location {
    url: ListingTableUrl,
    values: Vec<ScalarValue>,
}

impl GlueTable {
    /// Reads what the catalog says about the table and its partitions. `hidden` adds the columns "$path" and
    /// "$file_size"; bytes read from text files are added to `scanned`.
    pub fn open(
        store: &Store,
        table: Table,
        hidden: bool,
        buckets: PathBuf,
        scanned: Arc<AtomicU64>,
    ) -> std::result::Result<Self, Failure> {
        if table.is_iceberg() {
            return Err(Failure::not_supported(None, format!("the Iceberg table {}", table.name)));
        }
        let storage = table.storage_descriptor.clone().unwrap_or_default();
        let format = Format::of(&table, &storage)?;
        let typed = |column: &crate::emulator::model::Column| -> std::result::Result<(String, AthenaType), Failure> {
            let data_type =
                AthenaType::parse(&column.data_type).map_err(|fault| Failure::internal(fault.to_string()))?;
            Ok((column.name.clone(), data_type))
        };
        let field = |(name, t): &(String, AthenaType)| Ok::<_, Failure>(Arc::new(types::field(name, t)?) as FieldRef);
        let columns: Vec<_> = table.columns().iter().map(typed).collect::<std::result::Result<_, _>>()?;
        let keys: Vec<_> = table.partition_keys.iter().map(typed).collect::<std::result::Result<_, _>>()?;
        let mut locations = Vec::new();
        if keys.is_empty() {
            locations.push(Location { url: folder(table.location().unwrap_or_default())?, values: vec![] });
        } else {
            let partitions = store
                .partitions(&table.database_name, &table.name, None, usize::MAX)
                .map_err(|error| Failure::internal(error.to_string()))?;
            for partition in partitions {
                let location = partition.storage_descriptor.as_ref().and_then(|storage| storage.location.clone());
                let location = location.unwrap_or_default();
                let values = partition_values(&partition.values, &keys)?;
                locations.push(Location { url: folder(&location)?, values });
            }
        }
        let fields: Vec<FieldRef> = columns.iter().map(field).collect::<std::result::Result<_, _>>()?;
        let mut beside: Vec<FieldRef> = keys.iter().map(field).collect::<std::result::Result<_, _>>()?;
        if hidden {
            beside.push(Arc::new(Field::new(PATH, DataType::Utf8, true)));
            beside.push(Arc::new(Field::new(FILE_SIZE, DataType::Int64, true)));
        }
        let schema = TableSchema::builder(Arc::new(Schema::new(fields))).with_table_partition_cols(beside).build();
        Ok(Self { table, format, schema, columns, keys: keys.len(), locations, buckets, scanned })
    }

    fn skipped_lines(&self) -> Result<usize> {
        let text = self.table.parameters.get("skip.header.line.count").map_or("0", String::as_str);
        text.trim().parse().map_err(|_| external(Failure::bad_data(format!("skip.header.line.count={text}"))))
    }

    /// The scan of text files, spread over as many parts as may run at once.
    fn scan_rows(
        &self,
        bucket: &str,
        files: Vec<PartitionedFile>,
        projection: Option<&Vec<usize>>,
        parts: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.schema.table_schema().fields().len();
        let projection: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..all).collect());
        let schema = project_schema(&self.schema(), Some(&projection))?;
        let mut groups: Vec<Vec<RowFile>> = vec![Vec::new(); parts.clamp(1, files.len().max(1))];
        let count = groups.len();
        for (i, file) in files.into_iter().enumerate() {
            let path = self.buckets.join(bucket).join(file.object_meta.location.as_ref());
            groups[i % count].push(RowFile { path, constants: file.partition_values });
        }
        let skipped_lines = self.skipped_lines()?;
        let stream = |files| -> Arc<dyn datafusion::physical_plan::streaming::PartitionStream> {
            Arc::new(RowStream(Arc::new(RowFiles {
                table: self.table.name.clone(),
                format: self.format.clone(),
                files,
                columns: self.columns.clone(),
                projection: projection.clone(),
                schema: Arc::clone(&schema),
                skipped_lines,
                scanned: Arc::clone(&self.scanned),
            })))
        };
        let streams = groups.into_iter().map(stream).collect();
        Ok(Arc::new(StreamingTableExec::try_new(Arc::clone(&schema), streams, None, None, false, None)?))
    }

    /// The locations whose partition values can satisfy the filters over partition keys alone.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&Location>> {
        let keys = &self.schema.table_partition_cols()[..self.keys];
        let named = |name: &str| keys.iter().any(|key| key.name() == name);
        let mut filters = filters.iter().filter(|filter| {
            let columns = filter.column_refs();
            !columns.is_empty() && columns.iter().all(|column| named(column.name())) && !filter.is_volatile()
        });
        let Some(first) = filters.next() else { return Ok(self.locations.iter().collect()) };
        if self.locations.is_empty() {
            return Ok(Vec::new());
        }
        let condition = filters.fold(first.clone(), |all, filter| all.and(filter.clone()));
        let columns = (0..keys.len())
            .map(|key| ScalarValue::iter_to_array(self.locations.iter().map(|location| location.values[key].clone())));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let numbers: ArrayRef =
            Arc::new(datafusion::arrow::array::UInt64Array::from_iter_values(0..self.locations.len() as u64));
        let mut fields: Vec<FieldRef> = keys.iter().cloned().collect();
        fields.push(Arc::new(Field::new("#", numbers.data_type().clone(), false)));
        let schema = Arc::new(Schema::new(fields));
        let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
        // The filters name their table; here there is only one.
        let condition = datafusion::logical_expr::utils::expr_to_columns(&condition, &mut Default::default())
            .and_then(|()| unqualified(condition))?;
        let predicate = state.create_physical_expr(condition, &df_schema)?;
        let batch = RecordBatch::try_new(schema, columns.into_iter().chain([numbers]).collect())?;
        let kept = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
        let kept = filter_record_batch(&batch, datafusion::common::cast::as_boolean_array(&kept)?)?;
        let numbers = datafusion::common::cast::as_uint64_array(kept.column(keys.len()))?;
        Ok(numbers.iter().flatten().map(|number| &self.locations[number as usize]).collect())
    }
}

fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let transformed = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => {
                Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name)))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(transformed.data)
}

/// Finds a file's columns whatever the case of their names: in Glue all are lower case.
#[derive(Debug)]
struct AnyCase;

#[derive(Debug)]
struct AnyCaseAdapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    file_schema: SchemaRef,
}

impl PhysicalExprAdapterFactory for AnyCase {
    fn create(&self, table_schema: SchemaRef, file_schema: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let folded = |field: &FieldRef| field.as_ref().clone().with_name(field.name().to_lowercase());
        let folded = Schema::new(file_schema.fields().iter().map(folded).collect::<Vec<_>>());
        let inner = DefaultPhysicalExprAdapterFactory.create(table_schema, Arc::new(folded))?;
        Ok(Arc::new(AnyCaseAdapter { inner, file_schema }))
    }
}

impl PhysicalExprAdapter for AnyCaseAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        use datafusion::common::tree_node::{Transformed, TreeNode};
        let rewritten = self.inner.rewrite(expr)?.transform(|expr| {
            let Some(column) = expr.downcast_ref::<PhysicalColumn>() else { return Ok(Transformed::no(expr)) };
            let name = self.file_schema.field(column.index()).name();
            Ok(Transformed::yes(Arc::new(PhysicalColumn::new(name, column.index())) as Arc<dyn PhysicalExpr>))
        })?;
        Ok(rewritten.data)
    }
}

fn folder(location: &str) -> std::result::Result<ListingTableUrl, Failure> {
    ListingTableUrl::parse(location).map_err(|error| Failure::bad_data(format!("location {location:?}: {error}")))
}

/// Partition values are text in the catalog; `__HIVE_DEFAULT_PARTITION__` is NULL.
fn partition_values(
    values: &[String],
    keys: &[(String, AthenaType)],
) -> std::result::Result<Vec<ScalarValue>, Failure> {
    let parse = |(value, (_, data_type)): (&String, &(String, AthenaType))| {
        let text = Some(value.as_str()).filter(|value| *value != "__HIVE_DEFAULT_PARTITION__");
        let mut builder = ColumnBuilder::new(data_type);
        builder
            .append(text.map(str::as_bytes))
            .map_err(|fault| Failure::bad_data(format!("partition value {value:?} {fault}")))?;
        let scalar = ScalarValue::try_from_array(&builder.finish(), 0);
        let arrow = types::arrow(data_type)?;
        scalar.and_then(|scalar| scalar.cast_to(&arrow)).map_err(|error| Failure::internal(error.to_string()))
    };
    values.iter().zip(keys).map(parse).collect()
}

#[async_trait]
impl TableProvider for GlueTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut files = Vec::new();
        let mut store_url = None;
        for location in self.pruned(state, filters)? {
            let url = location.url.object_store();
            if store_url.get_or_insert_with(|| url.clone()) != &url {
                return Err(external(Failure::not_supported(
                    None,
                    format!("table {} in two buckets", self.table.name),
                )));
            }
            let store = state.runtime_env().object_store(&url)?;
            let prefix = location.url.prefix();
            // A table may be one file: then the prefix is the object itself.
            let mut listed: Vec<_> = match store.head(prefix).await {
                Ok(object) => vec![object],
                Err(_) => {
                    let found: Vec<_> = store.list(Some(prefix)).collect().await;
                    found.into_iter().collect::<std::result::Result<_, _>>().map_err(DataFusionError::from)?
                }
            };
            listed.retain(|object| {
                let name = object.location.filename().unwrap_or_default();
                // Hive leaves out what starts with a dot or an underscore.
                object.size > 0 && !name.starts_with(['.', '_'])
            });
            let bucket = url.as_str().trim_end_matches('/').to_owned();
            files.extend(listed.into_iter().map(|object| {
                let (path, size) = (format!("{bucket}/{}", object.location), object.size);
                let mut file = PartitionedFile::from(object);
                file.partition_values = location.values.clone();
                if self.schema.table_partition_cols().len() > self.keys {
                    file.partition_values.push(ScalarValue::Utf8(Some(unescaped(&path))));
                    file.partition_values.push(ScalarValue::Int64(i64::try_from(size).ok()));
                }
                file
            }));
        }
        let Some(store_url) = store_url.filter(|_| !files.is_empty()) else {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        };
        if self.format != Format::Parquet {
            let bucket = store_url.as_str().trim_start_matches("s3://").trim_end_matches('/').to_owned();
            return self.scan_rows(&bucket, files, projection, state.config().target_partitions());
        }
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(store_url, Arc::new(ParquetSource::new(self.schema.clone())))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit.filter(|_| filters.is_empty()))
            .with_expr_adapter(Some(Arc::new(AnyCase)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
