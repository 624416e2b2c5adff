//! A Glue table as DataFusion scans it: its files, wherever its partitions lie, read as its columns say.

mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
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

use super::cast::{convert, external};
use super::types;
use super::write::{NULL_PARTITION, unescaped};
use crate::emulator::model::{Failure, Storage, Table};
use crate::emulator::sql::rewrite::{FILE_SIZE, PATH};
use crate::emulator::store::Store;
use crate::types::AthenaType;
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
    partitions: Partitions,
    store: Arc<Store>,
    buckets: PathBuf,
    scanned: Arc<AtomicU64>,
}

/// The values of all partitions of a table; where they lie is looked up for those that are read.
#[derive(Debug)]
struct Partitions {
    /// As the catalog has them.
    texts: Vec<Vec<String>>,
    /// By key, in the key's type.
    columns: Vec<ArrayRef>,
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
        store: &Arc<Store>,
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
        let partitions = Partitions::read(store, &table, &keys)?;
        let fields: Vec<FieldRef> = columns.iter().map(field).collect::<std::result::Result<_, _>>()?;
        let mut beside: Vec<FieldRef> = keys.iter().map(field).collect::<std::result::Result<_, _>>()?;
        if hidden {
            beside.push(Arc::new(Field::new(PATH, DataType::Utf8, true)));
            beside.push(Arc::new(Field::new(FILE_SIZE, DataType::Int64, true)));
        }
        let schema = TableSchema::builder(Arc::new(Schema::new(fields))).with_table_partition_cols(beside).build();
        let (keys, store) = (keys.len(), Arc::clone(store));
        Ok(Self { table, format, schema, columns, keys, partitions, store, buckets, scanned })
    }

    pub fn database(&self) -> &str {
        &self.table.database_name
    }

    pub fn name(&self) -> &str {
        &self.table.name
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

    /// The folders whose partition values can satisfy the filters over partition keys alone.
    fn locations(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Location>> {
        if self.keys == 0 {
            let url = folder(self.table.location().unwrap_or_default()).map_err(external)?;
            return Ok(vec![Location { url, values: Vec::new() }]);
        }
        let mut locations = Vec::new();
        for at in self.pruned(state, filters)? {
            let values = self.partitions.columns.iter().map(|column| ScalarValue::try_from_array(column, at));
            let values = values.collect::<Result<_>>()?;
            let (database, name) = (&self.table.database_name, &self.table.name);
            let found = self.store.partition(database, name, &self.partitions.texts[at]);
            let found = found.map_err(|error| external(Failure::internal(error.to_string())))?;
            let storage = found.and_then(|partition| partition.storage_descriptor);
            // It may have been dropped since it was listed.
            let Some(place) = storage.and_then(|storage| storage.location) else { continue };
            locations.push(Location { url: folder(&place).map_err(external)?, values });
        }
        Ok(locations)
    }

    /// The partitions that the filters over partition keys leave.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let all = self.partitions.texts.len();
        let keys = &self.schema.table_partition_cols()[..self.keys];
        let named = |name: &str| keys.iter().any(|key| key.name() == name);
        let mut filters = filters.iter().filter(|filter| {
            let columns = filter.column_refs();
            !columns.is_empty() && columns.iter().all(|column| named(column.name())) && !filter.is_volatile()
        });
        let Some(first) = filters.next().filter(|_| all > 0) else { return Ok((0..all).collect()) };
        let condition = filters.fold(first.clone(), |all, filter| all.and(filter.clone()));
        let schema = Arc::new(Schema::new(keys.to_vec()));
        let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
        // The filters name their table; here there is only one.
        let predicate = state.create_physical_expr(unqualified(condition)?, &df_schema)?;
        let batch = RecordBatch::try_new(schema, self.partitions.columns.clone())?;
        let kept = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
        let kept = datafusion::common::cast::as_boolean_array(&kept)?;
        Ok(kept.iter().enumerate().filter(|(_, kept)| *kept == Some(true)).map(|(at, _)| at).collect())
    }
}

impl Partitions {
    /// Partition values are text in the catalog; `__HIVE_DEFAULT_PARTITION__` is NULL.
    fn read(store: &Store, table: &Table, keys: &[(String, AthenaType)]) -> std::result::Result<Self, Failure> {
        if keys.is_empty() {
            return Ok(Self { texts: Vec::new(), columns: Vec::new() });
        }
        let texts = store.partition_values(&table.database_name, &table.name);
        let texts = texts.map_err(|error| Failure::internal(error.to_string()))?;
        let mut columns = Vec::with_capacity(keys.len());
        for (at, (name, data_type)) in keys.iter().enumerate() {
            let known = |values: &Vec<String>| values.get(at).filter(|value| *value != NULL_PARTITION).cloned();
            let column: ArrayRef = Arc::new(texts.iter().map(known).collect::<StringArray>());
            let typed = convert(&column, &AthenaType::Varchar(None), data_type)
                .map_err(|failure| Failure::bad_data(format!("partition values of {name}: {}", failure.message)))?;
            columns
                .push(datafusion::arrow::compute::cast(&typed, &types::arrow(data_type)?).map_err(Failure::internal)?);
        }
        Ok(Self { texts, columns })
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
        for location in self.locations(state, filters)? {
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
