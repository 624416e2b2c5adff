//! A Glue table as DataFusion scans it: its files, wherever its partitions lie, read as its columns say.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::CsvOptions;
use datafusion::common::{DFSchema, Result, ScalarValue, project_schema};
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{
    CsvSource, FileGroup, FileScanConfigBuilder, FileSource, JsonSource, ParquetSource,
};
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
use futures::StreamExt;
use object_store::ObjectStoreExt;

use super::cast::external;
use super::types;
use crate::emulator::model::{Failure, Storage, Table};
use crate::emulator::store::Store;
use crate::types::AthenaType;
use crate::types::value::ColumnBuilder;

/// How the rows of a file are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Parquet,
    Json,
    Csv { delimiter: u8, quote: u8, escape: Option<u8>, header: bool, null: Option<String> },
}

impl Format {
    /// The format a table's SerDe stands for.
    pub fn of(table: &Table, storage: &Storage) -> std::result::Result<Self, Failure> {
        let serde = storage.serde_info.serialization_library.as_deref().unwrap_or_default();
        let property = |name: &str| storage.serde_info.parameters.get(name).map(String::as_str);
        let byte = |name: &str, default: u8| property(name).and_then(|text| text.bytes().next()).unwrap_or(default);
        let skipped = table.parameters.get("skip.header.line.count").map_or("0", String::as_str);
        let header = match skipped {
            "0" => false,
            "1" => true,
            more => return Err(Failure::not_supported(None, format!("skip.header.line.count={more}"))),
        };
        if serde.contains("parquet") {
            Ok(Self::Parquet)
        } else if serde.ends_with("JsonSerDe") {
            Ok(Self::Json)
        } else if serde.ends_with("OpenCSVSerde") {
            Ok(Self::Csv {
                delimiter: byte("separatorChar", b','),
                quote: byte("quoteChar", b'"'),
                // The SerDe's own default is a backslash; the quote as its own escape is what the CSV reader does anyway.
                escape: Some(byte("escapeChar", b'\\')).filter(|escape| *escape != byte("quoteChar", b'"')),
                header,
                null: None,
            })
        } else if serde.ends_with("LazySimpleSerDe") {
            // Not quoted at all: a quote is a character like any other. NUL stands for "no quote".
            Ok(Self::Csv {
                delimiter: property("field.delim")
                    .or(property("serialization.format"))
                    .map_or(1, |text| text.bytes().next().filter(|_| text.len() == 1).unwrap_or(1)),
                quote: 0,
                escape: property("escape.delim").and_then(|text| text.bytes().next()),
                header,
                null: Some(property("serialization.null.format").unwrap_or("\\N").to_owned()),
            })
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
    partition_types: Vec<AthenaType>,
    locations: Vec<Location>,
}

/// One folder of files with the partition values they stand for.
#[derive(Debug)]
struct Location {
    url: ListingTableUrl,
    values: Vec<ScalarValue>,
}

impl GlueTable {
    /// Reads what the catalog says about the table and its partitions.
    pub fn open(store: &Store, table: Table) -> std::result::Result<Self, Failure> {
        if table.is_iceberg() {
            return Err(Failure::not_supported(None, format!("the Iceberg table {}", table.name)));
        }
        let storage = table.storage_descriptor.clone().unwrap_or_default();
        let format = Format::of(&table, &storage)?;
        let field = |column: &crate::emulator::model::Column| -> std::result::Result<FieldRef, Failure> {
            let data_type =
                AthenaType::parse(&column.data_type).map_err(|fault| Failure::internal(fault.to_string()))?;
            Ok(Arc::new(types::field(&column.name, &data_type)?))
        };
        let columns: Vec<FieldRef> = table.columns().iter().map(field).collect::<std::result::Result<_, _>>()?;
        let keys: Vec<FieldRef> = table.partition_keys.iter().map(field).collect::<std::result::Result<_, _>>()?;
        let partition_types = keys.iter().map(|key| types::athena(key)).collect::<std::result::Result<Vec<_>, _>>()?;
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
                let values = partition_values(&partition.values, &partition_types)?;
                locations.push(Location { url: folder(&location)?, values });
            }
        }
        let file_schema = Arc::new(Schema::new(columns));
        let schema = TableSchema::builder(file_schema).with_table_partition_cols(keys).build();
        Ok(Self { table, format, schema, partition_types, locations })
    }

    fn source(&self) -> Arc<dyn FileSource> {
        match &self.format {
            Format::Parquet => Arc::new(ParquetSource::new(self.schema.clone())),
            Format::Json => Arc::new(JsonSource::new(self.schema.clone())),
            Format::Csv { delimiter, quote, escape, header, null } => {
                let options = CsvOptions {
                    has_header: Some(*header),
                    delimiter: *delimiter,
                    quote: *quote,
                    escape: *escape,
                    // A quoted field may hold line ends, so files are not cut in the middle.
                    newlines_in_values: Some(*quote != 0),
                    null_regex: null.as_ref().map(|text| format!("^{}$", regex::escape(text))),
                    ..CsvOptions::default()
                };
                Arc::new(CsvSource::new(self.schema.clone()).with_csv_options(options))
            }
        }
    }

    /// The locations whose partition values can satisfy the filters over partition keys alone.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&Location>> {
        let keys = self.schema.table_partition_cols();
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
fn partition_values(values: &[String], data_types: &[AthenaType]) -> std::result::Result<Vec<ScalarValue>, Failure> {
    let parse = |(value, data_type): (&String, &AthenaType)| {
        let text = Some(value.as_str()).filter(|value| *value != "__HIVE_DEFAULT_PARTITION__");
        let mut builder = ColumnBuilder::new(data_type);
        builder
            .append(text.map(str::as_bytes))
            .map_err(|fault| Failure::bad_data(format!("partition value {value:?} {fault}")))?;
        let scalar = ScalarValue::try_from_array(&builder.finish(), 0);
        let arrow = types::arrow(data_type)?;
        scalar.and_then(|scalar| scalar.cast_to(&arrow)).map_err(|error| Failure::internal(error.to_string()))
    };
    values.iter().zip(data_types).map(parse).collect()
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
            files.extend(listed.into_iter().map(|object| {
                let mut file = PartitionedFile::from(object);
                file.partition_values = location.values.clone();
                file
            }));
        }
        let Some(store_url) = store_url.filter(|_| !files.is_empty()) else {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        };
        debug_assert!(files.iter().all(|file| file.partition_values.len() == self.partition_types.len()));
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(store_url, self.source())
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit.filter(|_| filters.is_empty()))
            .with_expr_adapter(Some(Arc::new(AnyCase)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
