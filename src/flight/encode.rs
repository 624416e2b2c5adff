//! Batches → Flight data, and schemas → the bytes that FlightInfo and GetSchema carry.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Response, Status};

use super::status;

pub type DataStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send + 'static>>;

/// Batches as the answer to DoGet. The schema goes ahead of them, so that an empty result has one too.
pub fn data<S>(schema: SchemaRef, batches: S) -> Response<DataStream>
where
    S: Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
{
    // Old JDBC drivers take an empty batch for the end.
    let batches = batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .build(batches.map_err(|status| FlightError::Tonic(Box::new(status))))
        .map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => status::internal(other),
        });
    Response::new(encoded.boxed())
}

/// One batch as the answer to DoGet.
pub fn one_batch(batch: RecordBatch) -> Response<DataStream> {
    data(batch.schema(), stream::iter([Ok(batch)]))
}

/// A schema's IPC message.
pub fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = arrow::ipc::writer::IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(status::internal)?;
    Ok(bytes)
}

/// A FlightInfo with one endpoint: the same server (no location), the given ticket.
pub fn flight_info(schema: &Schema, descriptor: FlightDescriptor, ticket: Bytes) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    let info = FlightInfo::new().with_endpoint(endpoint).with_descriptor(descriptor);
    info.try_with_schema(schema).map_err(status::internal)
}
