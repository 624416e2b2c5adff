//! CommandGetTableTypes.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::CommandGetTableTypes;
use tonic::Status;

use super::super::status;
use crate::catalog::TableKind;

pub fn schema() -> SchemaRef {
    CommandGetTableTypes {}.into_builder().schema()
}

pub fn rows() -> Result<RecordBatch, Status> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for kind in TableKind::ALL {
        builder.append(kind.name());
    }
    builder.build().map_err(status::internal)
}
