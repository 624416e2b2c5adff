//! CommandGetTables, with the tables' Arrow schemas on request.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow_flight::sql::CommandGetTables;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tonic::Status;

use super::super::{encode, status};
use super::{chosen_databases, is_out_of_reach, listing};
use crate::catalog::Table;
use crate::catalog::pattern::Pattern;
use crate::gateway::Tenant;
use crate::types::arrow::{CATALOG_NAME, REMARKS, SCHEMA_NAME, TABLE_NAME};

/// Databases whose tables are listed at the same time.
const LISTINGS_AT_ONCE: usize = 8;

/// Tables of one batch: each of their schemas has some 10 KiB.
const TABLES_OF_A_BATCH: usize = 100;
/// Schemas that are kept, in bytes and in time.
const SCHEMAS_BYTES: u64 = 128 << 20;
const SCHEMAS_AGE: Duration = Duration::from_secs(300);

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

/// The tables a command asks for, a batch of some of a database's at a time: there may be many, and their schemas are large.
pub async fn rows(
    tenant: &Arc<Tenant>,
    schemas: &Schemas,
    command: CommandGetTables,
) -> Result<impl Stream<Item = Result<RecordBatch, Status>> + use<>, Status> {
    let databases = Pattern::new(command.db_schema_filter_pattern.as_deref());
    let named = databases.is_exact();
    let places = chosen_databases(&tenant.catalog, command.catalog.as_deref(), &databases).await?;
    let (tenant, schemas, names) =
        (Arc::clone(tenant), schemas.clone(), Pattern::new(command.table_name_filter_pattern.as_deref()));
    let listings = stream::iter(places).map(move |place| {
        let (tenant, schemas) = (Arc::clone(&tenant), schemas.clone());
        async move {
            let (name, database) = &place;
            let tables = match tenant.catalog.tables(name, database).await {
                Err(error) if !named && is_out_of_reach(&error) => {
                    tracing::warn!(catalog = name, database, %error, "a database that cannot be listed is left out");
                    Arc::default()
                }
                tables => tables.map_err(listing)?,
            };
            let encoded = match command.include_schema {
                true => Some(schemas.of((tenant.catalog.epoch(), name.clone(), database.clone()), &tables).await?),
                false => None,
            };
            Ok::<_, Status>((place, tables, encoded))
        }
    });
    let (types, schema) = (command.table_types.clone(), schema(&command));
    let batches = listings.buffered(LISTINGS_AT_ONCE).map_ok(move |((name, database), tables, encoded)| {
        let wanted = |row: usize| {
            let table = &tables[row];
            table.kind.called(&types).filter(|_| names.matches(&table.name)).map(|called| (row, called))
        };
        let rows: Vec<(usize, &str)> = (0..tables.len()).filter_map(wanted).collect();
        let batch = |rows: &[(usize, &str)]| batch(&schema, &name, &database, &tables, encoded.as_deref(), rows);
        stream::iter(rows.chunks(TABLES_OF_A_BATCH).map(batch).collect::<Vec<_>>())
    });
    Ok(batches.try_flatten())
}

fn batch(
    schema: &SchemaRef,
    catalog: &str,
    database: &str,
    tables: &[Table],
    encoded: Option<&Encoded>,
    // Where a table is, and what its type is called.
    rows: &[(usize, &str)],
) -> Result<RecordBatch, Status> {
    let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(row, _)| text(*row))))
    };
    let mut columns = vec![
        texts(&|_| catalog.to_owned()),
        texts(&|_| database.to_owned()),
        texts(&|row| tables[row].name.clone()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, called)| called))) as ArrayRef,
    ];
    if let Some(encoded) = encoded {
        columns.push(Arc::new(BinaryArray::from_iter_values(rows.iter().map(|(row, _)| &encoded.schemas[*row]))));
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(status::internal)
}

/// The schemas of databases' tables as IPC messages: making them costs more than sending them. Cloning shares them.
#[derive(Clone)]
pub struct Schemas(Cache<(u64, String, String), Arc<Encoded>>);

/// The schemas of one listing.
pub struct Encoded {
    listing: Arc<Vec<Table>>,
    schemas: Vec<Bytes>,
}

impl Default for Schemas {
    fn default() -> Self {
        let bytes = |encoded: &Encoded| encoded.schemas.iter().map(Bytes::len).sum::<usize>();
        let cache = Cache::builder()
            .max_capacity(SCHEMAS_BYTES)
            .weigher(move |_, encoded: &Arc<Encoded>| u32::try_from(bytes(encoded)).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(SCHEMAS_AGE);
        Self(cache.build())
    }
}

impl Schemas {
    /// Those of a listing: made anew where the one before was another.
    async fn of(&self, place: (u64, String, String), tables: &Arc<Vec<Table>>) -> Result<Arc<Encoded>, Status> {
        if let Some(encoded) = self.0.get(&place).await
            && Arc::ptr_eq(&encoded.listing, tables)
        {
            return Ok(encoded);
        }
        let (listing, (_, catalog, database)) = (Arc::clone(tables), place.clone());
        let encode = move || {
            let schemas = listing.iter().map(|table| encode::schema_bytes(&arrow_schema(&catalog, &database, table)));
            schemas.collect::<Result<Vec<_>, _>>()
        };
        let schemas = tokio::task::spawn_blocking(encode).await.map_err(status::internal)??;
        let encoded = Arc::new(Encoded { listing: Arc::clone(tables), schemas });
        self.0.insert(place, Arc::clone(&encoded)).await;
        Ok(encoded)
    }
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
