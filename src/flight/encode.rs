//! Schemas and tickets → the bytes that FlightInfo and GetSchema carry.

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use tonic::Status;

use super::status;

/// A schema's IPC message.
pub fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(status::internal)?;
    Ok(bytes)
}

/// A FlightInfo with an endpoint for each ticket, all of the same server (no location).
pub fn flight_info(
    schema: &Schema,
    descriptor: FlightDescriptor,
    tickets: impl IntoIterator<Item = Bytes>,
) -> Result<FlightInfo, Status> {
    let info = tickets.into_iter().fold(FlightInfo::new().with_descriptor(descriptor), |info, ticket| {
        info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket { ticket }))
    });
    info.try_with_schema(schema).map_err(status::internal)
}
