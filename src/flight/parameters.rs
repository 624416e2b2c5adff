//! Streams of parameter values → batches.

use arrow::ipc::root_as_message;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::{Stream, TryStreamExt, future};
use tonic::Status;

use crate::statement::values::BindFault;

/// The batches of a stream, and its schema. Messages with a descriptor and nothing else, which come ahead of the schema or
/// instead of it, are left out.
pub fn record_batches<S>(stream: S) -> FlightRecordBatchStream
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let messages = stream.try_skip_while(|message| future::ready(Ok(message.data_header.is_empty())));
    let messages = messages.and_then(|message| future::ready(check_size(&message).map(|()| message)));
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightRecordBatchStream::new_from_flight_data(messages)
}

/// Rows of a batch, and values of any column in it, at most: a column of NULLs has any number of them in no bytes at all.
const MAX_VALUES: i64 = 16 << 20;
/// Bytes of a batch's buffers when they are not compressed any more.
const MAX_INFLATED_BYTES: i64 = 64 << 20;

/// Refuses a message that says it is far larger than its bytes are, before room is made for it. What is no message at all
/// is the decoder's to say.
fn check_size(message: &FlightData) -> Result<(), Status> {
    let Ok(header) = root_as_message(&message.data_header) else { return Ok(()) };
    let dictionary = header.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = header.header_as_record_batch().or(dictionary) else { return Ok(()) };
    let values = batch.nodes().into_iter().flatten().map(|node| node.length());
    if values.chain([batch.length()]).any(|count| !(0..=MAX_VALUES).contains(&count)) {
        let why =
            format!("a batch may have {MAX_VALUES} rows, and as many values inside of a column: send smaller ones");
        return Err(Status::invalid_argument(why));
    }
    if batch.compression().is_none() {
        return Ok(());
    }
    // A compressed buffer begins with its length; -1 says that it is not compressed after all.
    let inflated = batch.buffers().into_iter().flatten().filter_map(|buffer| {
        let start = usize::try_from(buffer.offset()).ok()?;
        Some(i64::from_le_bytes(*message.data_body.get(start..)?.first_chunk()?).max(0))
    });
    if inflated.fold(0, i64::saturating_add) > MAX_INFLATED_BYTES {
        let why = format!("a compressed batch may have {MAX_INFLATED_BYTES} bytes: send smaller ones");
        return Err(Status::invalid_argument(why));
    }
    Ok(())
}

/// What a client sends and Arrow cannot read is the client's mistake.
pub fn refused(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        error => Status::invalid_argument(format!("the stream is not one of Arrow batches: {error}")),
    }
}

/// What was bound that cannot be.
pub fn unbound(fault: BindFault) -> Status {
    Status::invalid_argument(fault.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn no_room_is_made_for_what_a_message_only_says() {
        let batch =
            RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![7; 10_000])) as _)]).expect("a batch");
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let encoder = FlightDataEncoderBuilder::new().with_options(options.expect("LZ4"));
        let sound: Vec<FlightData> =
            encoder.build(stream::iter([Ok(batch)])).try_collect().await.expect("a schema and a batch");
        let read = |messages: Vec<FlightData>| {
            record_batches(stream::iter(messages.into_iter().map(Ok))).map_err(refused).try_collect::<Vec<_>>()
        };
        assert_eq!(read(sound.clone()).await.expect("sound")[0].num_rows(), 10_000);
        // Wherever the length of the compressed buffer stands, it is said to be a petabyte.
        let (length, petabyte) = (80_000_i64.to_le_bytes(), (1_i64 << 50).to_le_bytes());
        let mut bomb = sound;
        let body = bomb[1].data_body.to_vec();
        let at = body.windows(length.len()).position(|window| window == length).expect("the length");
        bomb[1].data_body = [&body[..at], &petabyte, &body[at + length.len()..]].concat().into();
        let refused = read(bomb).await.expect_err("there is no such room");
        assert!(refused.message().contains("send smaller ones"), "{refused}");
    }
}
