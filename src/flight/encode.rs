//! Batches → Flight data, and schemas → the bytes that FlightInfo and GetSchema carry.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Response, Status};

use super::status;
use crate::results::rows::BATCH_BYTES;

pub type DataStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send + 'static>>;

/// Batches of a statement's rows as the answer to DoGet. They have their size already.
pub fn data<S>(
    schema: SchemaRef,
    batches: S,
    compression: Option<CompressionType>,
) -> Result<Response<DataStream>, Status>
where
    S: Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
{
    let options = IpcWriteOptions::default().try_with_compression(compression).map_err(status::internal)?;
    let encoder = FlightDataEncoderBuilder::new().with_options(options).with_max_flight_data_size(2 * BATCH_BYTES);
    Ok(encoded(encoder, schema, batches))
}

/// The schema goes ahead of the batches, so that an empty result has one too.
fn encoded<S>(encoder: FlightDataEncoderBuilder, schema: SchemaRef, batches: S) -> Response<DataStream>
where
    S: Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
{
    // Old JDBC drivers take an empty batch for the end.
    let batches = batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
    let encoded = encoder
        .with_schema(schema)
        .build(batches.map_err(|status| FlightError::Tonic(Box::new(status))))
        .map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => status::internal(other),
        });
    Response::new(encoded.boxed())
}

/// One batch of metadata as the answer to DoGet, cut where it is large.
pub fn one_batch(batch: RecordBatch) -> Response<DataStream> {
    encoded(FlightDataEncoderBuilder::new(), batch.schema(), stream::iter([Ok(batch)]))
}

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
