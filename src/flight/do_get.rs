//! DoGet's answer: batches as gRPC messages whose bytes are the arrays' own.
//!
//! tonic's codecs copy a message into a buffer of theirs, and the crate's Flight encoder a batch into a message. Both
//! together were a third of what a large result cost, so neither is used: a message is a few small heads and, between
//! them, the buffers of the batch, which go to the connection from where they are. The service gives tonic an answer without
//! messages, and [`with_messages`] puts them into its body.
//!
//! The memory of a batch is counted until the connection has dropped its last piece. How a client reads is seen from how the
//! body is polled: HTTP/2 asks for the next piece when the client has room for it, and not before. So a body that is not asked
//! is ended by others, who take its content away; the next time it is asked it says why.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_flight::{FlightData, SchemaAsIpc};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tonic::{Response, Status};

use super::status;
use crate::memory::{Grant, MemoryError, Share};
use crate::results::GrantedBatch;
use crate::results::rows::BATCH_BYTES;

/// What tonic sees of an answer: no messages.
pub type NoMessages = stream::Empty<Result<FlightData, Status>>;
type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// The frames of an answer, until its body takes them.
#[derive(Clone)]
struct Pending(Arc<Mutex<Option<Frames>>>);

/// Batches as the answer to DoGet. The schema goes ahead of them, so that an empty result has one too.
pub fn data<S, B>(
    schema: SchemaRef,
    batches: S,
    compression: Option<CompressionType>,
) -> Result<Response<NoMessages>, Status>
where
    S: Stream<Item = Result<B, Status>> + Send + 'static,
    B: Into<GrantedBatch>,
{
    Ok(response(encoded(schema, batches, compression)?))
}

/// The same of a statement's rows, whose stream gives way to others when its client does not read; `ended` makes a status of
/// why.
pub fn shared_data<S>(
    schema: SchemaRef,
    batches: S,
    compression: Option<CompressionType>,
    share: Share,
    ended: impl FnOnce(MemoryError) -> Status + Send + 'static,
) -> Result<Response<NoMessages>, Status>
where
    S: Stream<Item = Result<GrantedBatch, Status>> + Send + 'static,
{
    let frames = encoded(schema, batches, compression)?;
    Ok(response(Endable::new(frames, share, ended).boxed()))
}

fn encoded<S, B>(schema: SchemaRef, batches: S, compression: Option<CompressionType>) -> Result<Frames, Status>
where
    S: Stream<Item = Result<B, Status>> + Send + 'static,
    B: Into<GrantedBatch>,
{
    let options = IpcWriteOptions::default().try_with_compression(compression).map_err(status::internal)?;
    let first = FlightData::from(SchemaAsIpc::new(&schema, &options));
    let mut encoder = Encoder::new(&schema, options).map_err(status::internal)?;
    let messages = batches
        .flat_map(|batch| stream::iter(parts(batch.map(Into::into))))
        .map(move |part| encoder.encode(part?).map_err(status::internal));
    Ok(frames(stream::iter([Ok(vec![framed(&first)])]).chain(messages)))
}

fn response(frames: Frames) -> Response<NoMessages> {
    let mut response = Response::new(stream::empty());
    response.extensions_mut().insert(Pending(Arc::new(Mutex::new(Some(frames)))));
    response
}

/// One batch of metadata as the answer to DoGet.
pub fn one_batch(batch: RecordBatch) -> Result<Response<NoMessages>, Status> {
    data(batch.schema(), stream::iter([Ok(batch)]), None)
}

/// Puts the messages of DoGet's answer into its body; other answers stay as they are.
pub fn with_messages(mut response: http::Response<tonic::body::Body>) -> http::Response<tonic::body::Body> {
    if let Some(Pending(frames)) = response.extensions_mut().remove::<Pending>()
        && let Some(frames) = frames.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        *response.body_mut() = tonic::body::Body::new(StreamBody::new(frames));
    }
    response
}

/// The frames of a body: each message's bytes, and at the end how it went. After an error there are no more messages.
fn frames(messages: impl Stream<Item = Result<Vec<Bytes>, Status>> + Send + 'static) -> Frames {
    let and_end = messages.map(|message| message.map(Some)).chain(stream::iter([Ok(None)]));
    let until_end = and_end.scan(false, |over, message| {
        let frames = match message {
            _ if *over => None,
            Ok(Some(bytes)) => Some(bytes.into_iter().map(Frame::data).collect()),
            Ok(None) => Some(vec![trailers(&Status::ok(""))]),
            Err(status) => {
                *over = true;
                Some(vec![trailers(&status)])
            }
        };
        std::future::ready(frames)
    });
    until_end.flat_map(stream::iter).map(Ok).boxed()
}

/// Frames that others may take away, and that tell when they are asked for.
struct Endable {
    content: Arc<Mutex<Content>>,
    share: Share,
}

enum Content {
    Frames(Frames),
    /// What is still to be said.
    Ended(Option<Status>),
}

impl Endable {
    fn new(frames: Frames, share: Share, status: impl FnOnce(MemoryError) -> Status + Send + 'static) -> Self {
        let content = Arc::new(Mutex::new(Content::Frames(frames)));
        let weak = Arc::downgrade(&content);
        share.on_end(move |error| {
            let Some(content) = weak.upgrade() else { return };
            let ended = Content::Ended(Some(status(error)));
            let taken = std::mem::replace(&mut *content.lock().unwrap_or_else(PoisonError::into_inner), ended);
            // Not under the lock: what is dropped here gives memory to others.
            drop(taken);
        });
        share.client_has();
        Self { content, share }
    }
}

impl Stream for Endable {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.share.client_waits();
        let polled = match &mut *self.content.lock().unwrap_or_else(PoisonError::into_inner) {
            Content::Frames(frames) => frames.poll_next_unpin(context),
            Content::Ended(status) => Poll::Ready(status.take().map(|status| Ok(trailers(&status)))),
        };
        if polled.is_ready() {
            self.share.client_has();
        }
        polled
    }
}

/// How an answer ended.
fn trailers(status: &Status) -> Frame<Bytes> {
    let mut headers = http::HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        headers.insert(Status::GRPC_STATUS, (status.code() as i32).into());
    }
    Frame::trailers(headers)
}

/// A batch, or its rows in several where they have grown beyond what readers aim at; the last one has the memory of all. None
/// for a batch without rows: old JDBC drivers take that for the end.
fn parts(batch: Result<GrantedBatch, Status>) -> Vec<Result<GrantedBatch, Status>> {
    let GrantedBatch { batch, mut grant } = match batch {
        Ok(batch) => batch,
        Err(status) => return vec![Err(status)],
    };
    let (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size());
    let count = if bytes <= 2 * BATCH_BYTES { 1 } else { bytes.div_ceil(BATCH_BYTES) };
    let length = rows.div_ceil(count).max(1);
    let part = |start: usize| {
        let end = (start + length).min(rows);
        let grant = if end == rows { grant.take() } else { None };
        Ok(GrantedBatch { batch: batch.slice(start, end - start), grant })
    };
    (0..rows).step_by(length).map(part).collect()
}

/// A small message in gRPC's frame.
fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    put_prefix(message.encoded_len(), &mut bytes);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// What goes ahead of each gRPC message: that it is not compressed, and its length.
fn put_prefix(length: usize, out: &mut BytesMut) {
    const NOT_COMPRESSED: u8 = 0;
    out.put_u8(NOT_COMPRESSED);
    out.put_u32(length as u32);
}

/// Batches → Flight messages.
struct Encoder(StreamEncoder);

/// Fields of FlightData in its protobuf message.
const DATA_HEADER: u32 = 2;
const DATA_BODY: u32 = 1000;
/// What the IPC stream format has ahead of a message: four bytes of ones, and the length of the metadata.
const IPC_PREFIX: usize = 8;
/// Buffers up to this size are copied together: each one alone would be a frame of HTTP/2.
const SMALL: usize = 4 << 10;
/// Buffers from this size on are counted each by itself, so that those that have been sent are free before the rest.
const COUNTED: usize = 64 << 10;

impl Encoder {
    fn new(schema: &Schema, options: IpcWriteOptions) -> Result<Self, ArrowError> {
        let mut encoder = StreamEncoder::try_new_with_options(schema, options)?;
        // The first batch comes with the schema, which has been sent.
        encoder.encode(&RecordBatch::new_empty(Arc::new(schema.clone())))?;
        Ok(Self(encoder))
    }

    /// The bytes of a batch's message, in pieces. No column of ours is a dictionary, so a batch is one message.
    fn encode(&mut self, batch: GrantedBatch) -> Result<Vec<Bytes>, ArrowError> {
        let GrantedBatch { batch, grant } = batch;
        let mut buffers = self.0.encode(&batch)?.into_iter();
        let (mut metadata, mut expected) = (Vec::new(), IPC_PREFIX);
        while metadata.len() < expected {
            let more = buffers.next().ok_or_else(|| ArrowError::IpcError("a batch without metadata".to_owned()))?;
            metadata.extend_from_slice(&more);
            if let Some([_, _, _, _, length @ ..]) = metadata.first_chunk::<IPC_PREFIX>() {
                expected = IPC_PREFIX + u32::from_le_bytes(*length) as usize;
            }
        }
        let metadata = &metadata[IPC_PREFIX..];
        let body: usize = buffers.as_slice().iter().map(Buffer::len).sum();
        let field = |tag, length| key_len(tag) + encoded_len_varint(length as u64) + length;

        let mut pieces = Pieces { grant, ..Pieces::default() };
        put_prefix(field(DATA_HEADER, metadata.len()) + field(DATA_BODY, body), &mut pieces.small);
        pieces.put_field_start(DATA_HEADER, metadata.len());
        pieces.small.extend_from_slice(metadata);
        pieces.put_field_start(DATA_BODY, body);
        buffers.for_each(|buffer| pieces.put(buffer));
        Ok(pieces.finish())
    }
}

/// Bytes to send, counted until the connection has dropped them.
struct Counted<T> {
    bytes: T,
    _grant: Option<Grant>,
}

impl<T: std::ops::Deref<Target = [u8]>> AsRef<[u8]> for Counted<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes in order, small ones put together, large ones as they are.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    small: BytesMut,
    /// What is not counted with one of the pieces; it goes with the last.
    grant: Option<Grant>,
}

impl Pieces {
    fn put_field_start(&mut self, tag: u32, length: usize) {
        encode_key(tag, WireType::LengthDelimited, &mut self.small);
        encode_varint(length as u64, &mut self.small);
    }

    fn put(&mut self, buffer: Buffer) {
        if buffer.len() <= SMALL {
            self.small.extend_from_slice(&buffer);
        } else {
            let small = self.small.split().freeze();
            let length = buffer.len();
            let grant = self.grant.as_mut().filter(|_| length >= COUNTED).map(|grant| grant.split(length));
            self.done.extend([small, Bytes::from_owner(Counted { bytes: buffer, _grant: grant })]);
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.done.push(self.small.freeze());
        self.done.retain(|piece| !piece.is_empty());
        if self.grant.is_some()
            && let Some(last) = self.done.pop()
        {
            self.done.push(Bytes::from_owner(Counted { bytes: last, _grant: self.grant }));
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Int64Array, StringArray};
    use arrow::compute::concat_batches;
    use arrow_flight::utils::flight_data_to_batches;
    use futures::FutureExt;
    use http_body_util::BodyExt;
    use std::time::Duration;

    use super::*;
    use crate::memory::{Floor, Memory, Purpose};
    use crate::owner::Owner;

    fn batch(texts: StringArray) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(0..texts.len() as i64);
        let columns = [("n", Arc::new(numbers) as Arc<dyn Array>), ("t", Arc::new(texts) as Arc<dyn Array>)];
        RecordBatch::try_from_iter(columns).expect("a batch")
    }

    /// The messages that a client finds in a body, and the body's last word.
    fn sent(response: Response<NoMessages>) -> (Vec<FlightData>, http::HeaderMap) {
        let mut whole = http::Response::new(tonic::body::Body::empty());
        *whole.extensions_mut() = response.into_parts().2;
        let body = with_messages(whole).into_body().collect().now_or_never().expect("all is there").expect("a body");
        let trailers = body.trailers().cloned().expect("trailers");
        let (mut bytes, mut messages) = (body.to_bytes(), Vec::new());
        while !bytes.is_empty() {
            let prefix = bytes.split_to(5);
            let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes"));
            messages.push(FlightData::decode(bytes.split_to(length as usize)).expect("FlightData"));
        }
        (messages, trailers)
    }

    #[test]
    fn a_client_reads_the_same_batches() {
        let texts = |n: usize| (0..n).map(|i| (i % 7 > 0).then(|| "x".repeat(i % 50))).collect::<StringArray>();
        let batches = [batch(texts(3)), batch(texts(20_000)), batch(texts(1)), batch(texts(90_000)).slice(13, 60_001)];
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let schema = batches[0].schema();
            let response = data(Arc::clone(&schema), stream::iter(batches.clone().map(Ok)), compression);
            let (messages, trailers) = sent(response.expect("an answer"));
            assert_eq!(trailers[Status::GRPC_STATUS], "0");
            let read = flight_data_to_batches(&messages).expect("batches");
            let together = |batches: &[RecordBatch]| concat_batches(&schema, batches).expect("one schema");
            assert_eq!(together(&read), together(&batches));
        }
    }

    #[test]
    fn an_error_is_the_last_word() {
        let batches = [
            Ok(batch(StringArray::new_null(7))),
            Err(Status::data_loss("broken")),
            Ok(batch(StringArray::new_null(1))),
        ];
        let schema = batches[0].as_ref().expect("rows").schema();
        let (messages, trailers) = sent(data(schema, stream::iter(batches), None).expect("an answer"));
        assert_eq!((messages.len(), &trailers[Status::GRPC_STATUS]), (2, &"15".parse().expect("a code")));
        assert_eq!(trailers[Status::GRPC_MESSAGE], "broken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_asks_is_ended_and_its_memory_is_back() {
        let memory = Memory::new(64 << 20);
        let ending = memory.end_stalled(Duration::from_secs(300));
        let _ending = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(ending));
        let share = memory.open(&Owner::anonymous(), Floor { fetch: 0, next: 1 << 20 }).await.expect("room");
        let texts: StringArray = (0..20_000).map(|_| Some("some text")).collect();
        let (batch, counting) = (batch(texts), share.clone());
        let (schema, size) = (batch.schema(), batch.get_array_memory_size());
        let counted = move |_| {
            let grant = Some(counting.count(Purpose::Next, size));
            Ok(GrantedBatch { batch: batch.clone(), grant })
        };
        let status = |error: MemoryError| Status::deadline_exceeded(error.to_string());
        let response = shared_data(schema, stream::iter(0..5).map(counted), None, share, status).expect("an answer");
        let mut whole = http::Response::new(tonic::body::Body::empty());
        *whole.extensions_mut() = response.into_parts().2;
        let mut body = with_messages(whole).into_body();
        let mut first = Vec::new();
        for _ in 0..4 {
            first.push(body.frame().await.expect("a frame").expect("a frame"));
        }
        assert_eq!(memory.held().0, size, "one batch is on its way");
        tokio::time::sleep(Duration::from_secs(299)).await;
        assert_eq!(memory.held().0, size);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pieces: usize = first.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        let held = memory.held().0;
        assert!(0 < held && held <= pieces, "{held} of {size}: what has been taken is still there, {pieces} bytes");
        let last = body.frame().await.expect("a frame").expect("a frame").into_trailers().expect("trailers");
        assert_eq!(last[Status::GRPC_STATUS], "4");
        assert!(body.frame().await.is_none());
        drop(first);
        drop(body);
        assert_eq!((memory.held().0, memory.streams()), (0, 0));
    }

    #[test]
    fn large_batches_are_parted_and_empty_ones_left_out() {
        let rows = |batch: RecordBatch| -> Vec<usize> {
            parts(Ok(batch.into())).into_iter().map(|part| part.expect("rows").batch.num_rows()).collect()
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
