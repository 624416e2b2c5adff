//! CommandGetTableTypes.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::CommandGetTableTypes;
use tonic::Status;

use super::super::status;
use crate::catalog::{TABLE, TableKind};

pub fn schema() -> SchemaRef {
    CommandGetTableTypes {}.into_builder().schema()
}

pub fn rows() -> Result<RecordBatch, Status> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for name in TableKind::ALL.map(TableKind::name).into_iter().chain([TABLE]) {
        builder.append(name);
    }
    builder.build().map_err(status::internal)
}
