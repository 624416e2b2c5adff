//! Batches → Flight data, and schemas → the bytes that FlightInfo and GetSchema carry.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tonic::{Response, Status};

use super::status;
use crate::results::rows::BATCH_BYTES;

pub type DataStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send + 'static>>;

/// Batches of a statement's rows as the answer to DoGet. The schema goes ahead of them, so that an empty result has one
/// too.
///
/// Not by the crate's encoder: it begins every message with an empty buffer, which grows and is copied until the batch is
/// in it, a quarter of what a large result costs the server.
pub fn data<S>(
    schema: SchemaRef,
    batches: S,
    compression: Option<CompressionType>,
) -> Result<Response<DataStream>, Status>
where
    S: Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
{
    let options = IpcWriteOptions::default().try_with_compression(compression).map_err(status::internal)?;
    let mut encoder = Encoder::new(options);
    let schema = FlightData::from(SchemaAsIpc::new(&schema, &encoder.options));
    let messages = batches.flat_map(|batch| stream::iter(parts(batch))).map(move |batch| encoder.encode(&batch?));
    Ok(Response::new(stream::iter([Ok(schema)]).chain(messages).boxed()))
}

/// A batch, or its rows in several where they have grown beyond what readers aim at. None for a batch without rows: old
/// JDBC drivers take that for the end.
fn parts(batch: Result<RecordBatch, Status>) -> Vec<Result<RecordBatch, Status>> {
    let batch = match batch {
        Ok(batch) => batch,
        Err(status) => return vec![Err(status)],
    };
    let (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size());
    let count = if bytes <= 2 * BATCH_BYTES { 1 } else { bytes.div_ceil(BATCH_BYTES) };
    let length = rows.div_ceil(count).max(1);
    (0..rows).step_by(length).map(|start| Ok(batch.slice(start, length.min(rows - start)))).collect()
}

/// Makes messages, each with room from the start for as much as the one before had.
struct Encoder {
    options: IpcWriteOptions,
    context: IpcWriteContext,
    dictionaries: DictionaryTracker,
}

impl Encoder {
    fn new(options: IpcWriteOptions) -> Self {
        let mut context = IpcWriteContext::default();
        context.set_reserve_scratch(true);
        Self { options, context, dictionaries: DictionaryTracker::new(false) }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<FlightData, Status> {
        // No column of ours is a dictionary.
        let encoded =
            IpcDataGenerator::default().encode(batch, &mut self.dictionaries, &self.options, &mut self.context);
        encoded.map(|(_, data)| data.into()).map_err(status::internal)
    }
}

/// One batch of metadata as the answer to DoGet.
pub fn one_batch(batch: RecordBatch) -> Result<Response<DataStream>, Status> {
    data(batch.schema(), stream::iter([Ok(batch)]), None)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn large_batches_are_parted_and_empty_ones_left_out() {
        let batch = |texts: StringArray| {
            let numbers = Int64Array::from_iter_values(0..texts.len() as i64);
            let columns = [("n", Arc::new(numbers) as Arc<dyn Array>), ("t", Arc::new(texts) as Arc<dyn Array>)];
            RecordBatch::try_from_iter(columns).expect("a batch")
        };
        let rows = |batch: RecordBatch| -> Vec<usize> {
            parts(Ok(batch)).into_iter().map(|part| part.expect("rows").num_rows()).collect()
        };
        assert_eq!(rows(batch(StringArray::new_null(0))), Vec::<usize>::new());
        assert_eq!(rows(batch(StringArray::new_null(7))), [7]);
        let long = "x".repeat(BATCH_BYTES / 4);
        let parted = rows(batch(StringArray::from_iter_values((0..30).map(|_| &long))));
        assert!(parted.len() > 5 && parted.iter().sum::<usize>() == 30, "{parted:?}");
        assert_eq!(rows(batch(StringArray::from_iter_values([long.repeat(16)]))), [1]);
        assert!(parts(Err(Status::internal("x")))[0].is_err());
    }
}
