//! Schemas and tickets → the bytes that FlightInfo and GetSchema carry.

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use tonic::Status;

use super::status;

/// A schema's IPC message.
pub fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(status::internal)?;
    Ok(bytes)
}

/// A FlightInfo with endpoints.
pub fn flight_info(
    schema: &Schema,
    descriptor: FlightDescriptor,
    endpoints: impl IntoIterator<Item = FlightEndpoint>,
) -> Result<FlightInfo, Status> {
    let info = FlightInfo::new().with_descriptor(descriptor);
    let info = endpoints.into_iter().fold(info, FlightInfo::with_endpoint);
    info.try_with_schema(schema).map_err(status::internal)
}
