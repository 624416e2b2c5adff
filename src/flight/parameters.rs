//! Streams of parameter values → rows of SQL literals.

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, future};
use tonic::Status;

use crate::statement::bind::{self, Row};

/// The batches of a stream. Messages with a descriptor and nothing else, which come ahead of the schema or instead of it,
/// are left out.
pub fn batches<S>(stream: S) -> BoxStream<'static, Result<RecordBatch, Status>>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    record_batches(stream).map_err(refused).boxed()
}

/// The same, for those who need its schema too.
pub fn record_batches<S>(stream: S) -> FlightRecordBatchStream
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let messages = stream.try_skip_while(|message| future::ready(Ok(message.data_header.is_empty())));
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightRecordBatchStream::new_from_flight_data(messages)
}

/// What a client sends and Arrow cannot read is the client's mistake.
pub fn refused(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        error => Status::invalid_argument(format!("the stream is not one of Arrow batches: {error}")),
    }
}

/// The rows of a batch, each with a value for every parameter.
pub fn rows(batch: &RecordBatch, expected: usize) -> Result<Vec<Row>, Status> {
    let given = batch.num_columns();
    if given != expected {
        return Err(Status::invalid_argument(format!(
            "the statement has {expected} parameters, {given} values were bound"
        )));
    }
    bind::rows(batch).map_err(|fault| Status::invalid_argument(fault.to_string()))
}
