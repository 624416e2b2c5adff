//! The Glue catalog as DataFusion looks things up in it, and information_schema.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::logical_expr::LogicalPlanBuilder;

use super::cast::external;
use super::session::{Reading, Sessions};
use super::table::GlueTable;
use super::view::View;
use super::write::NULL_PARTITION;
use crate::emulator::iam::Caller;
use crate::emulator::model::{DEFAULT_CATALOG, Failure, Table};
use crate::types::AthenaType;

/// Views of views deeper than this are taken for a circle.
const MAX_VIEW_DEPTH: usize = 16;

/// How a query's names are looked up.
#[derive(Debug)]
pub struct Lookup {
    pub sessions: Arc<Sessions>,
    pub reading: Reading,
    pub view_depth: usize,
    /// Whether tables have their hidden columns.
    pub hidden: bool,
}

/// All catalogs there are: one.
#[derive(Debug)]
pub struct Catalogs(pub Arc<Lookup>);

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![DEFAULT_CATALOG.to_lowercase()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        // Names are looked up by asking for the table, so that what is missing can be told exactly.
        Some(Arc::new(Catalog { lookup: Arc::clone(&self.0), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Catalog {
    lookup: Arc<Lookup>,
    name: String,
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let lookup = Arc::clone(&self.lookup);
        Some(Arc::new(Database { lookup, catalog: self.name.clone(), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Database {
    lookup: Arc<Lookup>,
    catalog: String,
    name: String,
}

#[async_trait]
impl SchemaProvider for Database {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn table_exist(&self, _: &str) -> bool {
        true
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.catalog != DEFAULT_CATALOG.to_lowercase() {
            return Err(external(Failure::catalog_not_found(None, &self.catalog)));
        }
        let Lookup { sessions, reading: Reading { caller, scanned }, hidden, .. } = self.lookup.as_ref();
        if self.name == "information_schema" {
            return information_schema(sessions, caller, name).map(Some);
        }
        let store = &sessions.store;
        let broken = |error: crate::emulator::store::StoreError| external(Failure::internal(error.to_string()));
        caller.may("glue:GetDatabase", &caller.database(&self.name)).map_err(external)?;
        if store.database(&self.name).map_err(broken)?.is_none() {
            return Err(external(Failure::schema_not_found(None, &self.name)));
        }
        caller.may("glue:GetTable", &caller.table(&self.name, name)).map_err(external)?;
        let (name, partitions) = match name.strip_suffix("$partitions") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let Some(table) = store.table(&self.name, name).map_err(broken)? else {
            let full = format!("{}.{}.{name}", self.catalog, self.name);
            return Err(external(Failure::table_not_found(None, &full)));
        };
        if table.is_view() {
            return self.view(&table).await.map(Some);
        }
        if !table.partition_keys.is_empty() {
            caller.may("glue:GetPartitions", &caller.table(&self.name, name)).map_err(external)?;
        }
        if partitions {
            return partition_table(sessions, &table).map(Some);
        }
        caller.may_read(table.location().unwrap_or_default()).map_err(external)?;
        let opened = GlueTable::open(store, table, *hidden, sessions.buckets.clone(), Arc::clone(scanned));
        Ok(Some(Arc::new(opened.map_err(external)?)))
    }
}

impl Database {
    /// A view is its query, planned in the catalog and database it was made in, under the names it declares.
    async fn view(&self, table: &Table) -> Result<Arc<dyn TableProvider>> {
        let Lookup { sessions, reading, view_depth, .. } = self.lookup.as_ref();
        if *view_depth >= MAX_VIEW_DEPTH {
            return Err(external(Failure::invalid_query(format!("View '{}' is recursive", table.name))));
        }
        let view = View::of(table).map_err(external)?;
        let plan = Box::pin(sessions.plan_view(&view, reading.clone(), view_depth + 1)).await.map_err(external)?;
        let mut builder = LogicalPlanBuilder::from(plan.clone());
        let mut columns = Vec::new();
        for ((qualifier, field), declared) in plan.schema().iter().zip(&view.columns) {
            let column = datafusion::logical_expr::Expr::Column((qualifier, field).into());
            columns.push(column.alias(declared.name.to_lowercase()));
        }
        builder = builder.project(columns)?;
        Ok(Arc::new(ViewTable::new(builder.build()?, None)))
    }
}

/// `"t$partitions"`: one row per partition, a column per key.
fn partition_table(sessions: &Sessions, table: &Table) -> Result<Arc<dyn TableProvider>> {
    let (database, name) = (&table.database_name, &table.name);
    if table.partition_keys.is_empty() {
        let full = format!("{}.{database}.{name}$partitions", DEFAULT_CATALOG.to_lowercase());
        return Err(external(Failure::table_not_found(None, &full)));
    }
    let partitions = sessions.store.partition_values(database, name);
    let partitions = partitions.map_err(|error| external(Failure::internal(error.to_string())))?;
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (at, key) in table.partition_keys.iter().enumerate() {
        let data_type = AthenaType::parse(&key.data_type).map_err(|e| external(Failure::bad_data(e.to_string())))?;
        let known = |value: &String| Some(value.clone()).filter(|value| value != NULL_PARTITION);
        let texts = partitions.iter().map(|values| values.get(at).and_then(known));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        arrays.push(super::cast::convert(&texts, &AthenaType::Varchar(None), &data_type).map_err(external)?);
        fields.push(super::types::field(&key.name, &data_type).map_err(external)?);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

/// The tables of information_schema, made from the catalog each time they are asked for, as far as the caller may list it.
fn information_schema(sessions: &Sessions, caller: &Caller, name: &str) -> Result<Arc<dyn TableProvider>> {
    let store = &sessions.store;
    let broken = |error: crate::emulator::store::StoreError| external(Failure::internal(error.to_string()));
    let catalog = DEFAULT_CATALOG.to_lowercase();
    caller.may("glue:GetDatabases", &caller.database("*")).map_err(external)?;
    let databases = store.databases().map_err(broken)?;
    let mut rows = Rows::default();
    match name {
        "schemata" => {
            rows.name(&["catalog_name", "schema_name"]);
            for database in &databases {
                rows.push([Some(catalog.clone()), Some(database.name.clone())]);
            }
        }
        "tables" | "views" | "columns" => {
            rows.name(match name {
                "tables" => &["table_catalog", "table_schema", "table_name", "table_type"],
                "views" => &["table_catalog", "table_schema", "table_name", "view_definition"],
                _ => &[
                    "table_catalog",
                    "table_schema",
                    "table_name",
                    "column_name",
                    "ordinal_position",
                    "column_default",
                    "is_nullable",
                    "data_type",
                ],
            });
            for database in &databases {
                if caller.may("glue:GetTables", &caller.table(&database.name, "*")).is_err() {
                    continue;
                }
                for table in store.tables(&database.name, None, usize::MAX).map_err(broken)? {
                    let path = [Some(catalog.clone()), Some(database.name.clone()), Some(table.name.clone())];
                    match name {
                        "tables" => {
                            let kind = if table.is_view() { "VIEW" } else { "BASE TABLE" };
                            rows.push(path.into_iter().chain([Some(kind.to_owned())]));
                        }
                        "views" if table.is_view() => {
                            let view = View::of(&table).map_err(external)?;
                            rows.push(path.into_iter().chain([Some(view.original_sql)]));
                        }
                        "views" => {}
                        _ => {
                            let columns = table.columns().iter().chain(&table.partition_keys);
                            for (i, column) in columns.enumerate() {
                                let trino = AthenaType::parse(&column.data_type)
                                    .map_or_else(|_| column.data_type.clone(), |parsed| trino_name(&parsed));
                                rows.push(path.iter().cloned().chain([
                                    Some(column.name.clone()),
                                    Some((i + 1).to_string()),
                                    None,
                                    Some("YES".to_owned()),
                                    Some(trino),
                                ]));
                            }
                        }
                    }
                }
            }
        }
        other => {
            let full = format!("{catalog}.information_schema.{other}");
            return Err(external(Failure::table_not_found(None, &full)));
        }
    }
    rows.table()
}

/// Trino shows a Hive timestamp with the precision it reads it with.
fn trino_name(data_type: &AthenaType) -> String {
    match data_type {
        AthenaType::Timestamp(None) => "timestamp(3)".to_owned(),
        other => other.to_string(),
    }
}

#[derive(Default)]
struct Rows {
    names: Vec<&'static str>,
    columns: Vec<Vec<Option<String>>>,
}

impl Rows {
    fn name(&mut self, names: &[&'static str]) {
        self.names = names.to_vec();
        self.columns = vec![Vec::new(); names.len()];
    }

    fn push(&mut self, row: impl IntoIterator<Item = Option<String>>) {
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
    }

    fn table(self) -> Result<Arc<dyn TableProvider>> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (name, values) in self.names.into_iter().zip(self.columns) {
            let array: ArrayRef = if name == "ordinal_position" {
                let numbers = values.iter().map(|value| value.as_ref().and_then(|value| value.parse().ok()));
                Arc::new(numbers.collect::<Int64Array>())
            } else {
                Arc::new(StringArray::from(values))
            };
            let data_type = if name == "ordinal_position" { DataType::Int64 } else { DataType::Utf8 };
            fields.push(Field::new(name, data_type, true));
            arrays.push(array);
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}
