//! CommandGetCatalogs.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::CommandGetCatalogs;
use tonic::Status;

use super::super::status;
use super::chosen_catalogs;
use crate::catalog::Catalog;

pub fn schema() -> SchemaRef {
    CommandGetCatalogs {}.into_builder().schema()
}

pub async fn rows(catalog: &Catalog) -> Result<RecordBatch, Status> {
    let mut builder = CommandGetCatalogs {}.into_builder();
    for name in chosen_catalogs(catalog, None).await? {
        builder.append(name);
    }
    builder.build().map_err(status::internal)
}
