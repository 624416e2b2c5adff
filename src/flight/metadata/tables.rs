//! CommandGetTables, with the tables' Arrow schemas on request.

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow_flight::sql::CommandGetTables;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::Status;

use super::super::status;
use super::{chosen_catalogs, listing};
use crate::catalog::pattern::Pattern;
use crate::catalog::{Catalog, Table};
use crate::types::arrow::{CATALOG_NAME, REMARKS, SCHEMA_NAME, TABLE_NAME};

/// Databases whose tables are listed at the same time.
const LISTINGS_AT_ONCE: usize = 8;

/// The filters are ours to apply, by the case rules of Athena's names.
fn unfiltered(include_schema: bool) -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: Vec::new(),
        include_schema,
    }
}

pub fn schema(command: &CommandGetTables) -> SchemaRef {
    unfiltered(command.include_schema).into_builder().schema()
}

pub async fn rows(catalog: &Catalog, command: &CommandGetTables) -> Result<RecordBatch, Status> {
    let schemas = Pattern::new(command.db_schema_filter_pattern.as_deref());
    let names = Pattern::new(command.table_name_filter_pattern.as_deref());
    let wanted = |table: &Table| {
        let types = &command.table_types;
        names.matches(&table.name) && (types.is_empty() || types.iter().any(|name| name == table.kind.name()))
    };
    let mut places = Vec::new();
    for name in chosen_catalogs(catalog, command.catalog.as_deref()).await? {
        for database in catalog.databases(&name).await.map_err(listing)?.iter() {
            if schemas.matches(&database.name) {
                places.push((name.clone(), database.name.clone()));
            }
        }
    }
    let listings = stream::iter(places).map(|(name, database)| async move {
        let tables = catalog.tables(&name, &database).await.map_err(listing)?;
        Ok::<_, Status>((name, database, tables))
    });
    let listings: Vec<_> = listings.buffered(LISTINGS_AT_ONCE).try_collect().await?;
    let mut builder = unfiltered(command.include_schema).into_builder();
    for (name, database, tables) in &listings {
        for table in tables.iter().filter(|table| wanted(table)) {
            let schema = if command.include_schema { arrow_schema(name, database, table) } else { Schema::empty() };
            builder.append(name, database, &table.name, table.kind.name(), &schema).map_err(status::internal)?;
        }
    }
    builder.build().map_err(status::internal)
}

fn arrow_schema(catalog: &str, database: &str, table: &Table) -> Schema {
    let field = |column: &crate::catalog::Column| -> Field {
        let field = column.data_type.field(&column.name);
        let mut metadata = field.metadata().clone();
        for (key, value) in [(CATALOG_NAME, catalog), (SCHEMA_NAME, database), (TABLE_NAME, &table.name)] {
            metadata.insert(key.to_owned(), value.to_owned());
        }
        if let Some(comment) = &column.comment {
            metadata.insert(REMARKS.to_owned(), comment.clone());
        }
        field.with_metadata(metadata)
    };
    let schema = Schema::new(table.columns.iter().map(field).collect::<Vec<_>>());
    match &table.comment {
        Some(comment) => schema.with_metadata([(REMARKS.to_owned(), comment.clone())].into()),
        None => schema,
    }
}
