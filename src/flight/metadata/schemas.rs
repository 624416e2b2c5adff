//! CommandGetDbSchemas: Athena calls them databases.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::CommandGetDbSchemas;
use tonic::Status;

use super::super::status;
use super::{chosen_catalogs, listing};
use crate::catalog::Catalog;
use crate::catalog::pattern::Pattern;

/// The filters are ours to apply, by the case rules of Athena's names.
fn unfiltered() -> CommandGetDbSchemas {
    CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None }
}

pub fn schema(_: &CommandGetDbSchemas) -> SchemaRef {
    unfiltered().into_builder().schema()
}

pub async fn rows(catalog: &Catalog, command: &CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let pattern = Pattern::new(command.db_schema_filter_pattern.as_deref());
    let mut builder = unfiltered().into_builder();
    for name in chosen_catalogs(catalog, command.catalog.as_deref()).await? {
        for database in catalog.databases(&name).await.map_err(listing)?.iter() {
            if pattern.matches(&database.name) {
                builder.append(&name, &database.name);
            }
        }
    }
    builder.build().map_err(status::internal)
}
