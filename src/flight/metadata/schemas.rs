//! CommandGetDbSchemas: Athena calls them databases.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::CommandGetDbSchemas;
use tonic::Status;

use super::super::status;
use super::chosen_databases;
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
    for (catalog, database) in chosen_databases(catalog, command.catalog.as_deref(), &pattern).await? {
        builder.append(catalog, database);
    }
    builder.build().map_err(status::internal)
}
