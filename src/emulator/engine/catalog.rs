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
use super::session::Sessions;
use super::table::GlueTable;
use super::view::View;
use crate::emulator::model::{DEFAULT_CATALOG, Failure, Table};
use crate::types::AthenaType;

/// Views of views deeper than this are taken for a circle.
const MAX_VIEW_DEPTH: usize = 16;

/// All catalogs there are: one.
#[derive(Debug)]
pub struct Catalogs {
    pub sessions: Arc<Sessions>,
    pub view_depth: usize,
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![DEFAULT_CATALOG.to_lowercase()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        // Names are looked up by asking for the table, so that what is missing can be told exactly.
        Some(Arc::new(Catalog {
            sessions: Arc::clone(&self.sessions),
            view_depth: self.view_depth,
            name: name.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct Catalog {
    sessions: Arc<Sessions>,
    view_depth: usize,
    name: String,
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Database {
            sessions: Arc::clone(&self.sessions),
            view_depth: self.view_depth,
            catalog: self.name.clone(),
            name: name.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct Database {
    sessions: Arc<Sessions>,
    view_depth: usize,
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
        if self.name == "information_schema" {
            return information_schema(&self.sessions, name).map(Some);
        }
        let store = &self.sessions.store;
        let broken = |error: crate::emulator::store::StoreError| external(Failure::internal(error.to_string()));
        if store.database(&self.name).map_err(broken)?.is_none() {
            return Err(external(Failure::schema_not_found(None, &self.name)));
        }
        let Some(table) = store.table(&self.name, name).map_err(broken)? else {
            let full = format!("{}.{}.{name}", self.catalog, self.name);
            return Err(external(Failure::table_not_found(None, &full)));
        };
        if table.is_view() {
            return self.view(&table).await.map(Some);
        }
        let opened = GlueTable::open(store, table).map_err(external)?;
        Ok(Some(Arc::new(opened)))
    }
}

impl Database {
    /// A view is its query, planned in the catalog and database it was made in, under the names it declares.
    async fn view(&self, table: &Table) -> Result<Arc<dyn TableProvider>> {
        if self.view_depth >= MAX_VIEW_DEPTH {
            return Err(external(Failure::invalid_query(format!("View '{}' is recursive", table.name))));
        }
        let view = View::of(table).map_err(external)?;
        let plan = Box::pin(self.sessions.plan_view(&view, self.view_depth + 1)).await.map_err(external)?;
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

/// The tables of information_schema, made from the catalog each time they are asked for.
fn information_schema(sessions: &Sessions, name: &str) -> Result<Arc<dyn TableProvider>> {
    let store = &sessions.store;
    let broken = |error: crate::emulator::store::StoreError| external(Failure::internal(error.to_string()));
    let catalog = DEFAULT_CATALOG.to_lowercase();
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
