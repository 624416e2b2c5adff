//! Reads a finished query's rows from the CSV object Athena leaves in S3.
//!
//! One object, several ranged GETs in flight, decoded in order on a thread of its own: memory is the ranges', not the
//! result's. Invariant: the same rows as [`super::pages`] for the same query.

mod decode;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub use decode::Decoder;

use super::{Column, RowFault};
use crate::aws::{AwsError, Clients};
use crate::error::Kind;

/// Bytes of one GET.
const RANGE_BYTES: u64 = 4 << 20;
/// GETs in flight.
const RANGES_IN_FLIGHT: usize = 4;
/// Batches that wait for the client.
const BATCHES_AHEAD: usize = 2;

#[derive(Debug, Clone, thiserror::Error)]
pub enum CsvError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("result object {location}: {fault}")]
    Row { location: String, fault: RowFault },
    #[error("result object {location}: {why}")]
    Object { location: String, why: String },
}

/// The place of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Uri {
    pub bucket: String,
    pub key: String,
}

impl S3Uri {
    /// Reads `s3://bucket/key`.
    pub fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

/// An object that is there, as it was when it was looked at.
#[derive(Debug, Clone)]
pub struct Object {
    uri: S3Uri,
    location: String,
    size: u64,
    etag: Option<String>,
}

impl Object {
    /// Looks at an object. The error of one that is missing has [`Kind::NotFound`].
    pub async fn find(clients: &Clients, location: &str) -> Result<Self, CsvError> {
        let object_error = |why: String| CsvError::Object { location: location.to_owned(), why };
        let uri = S3Uri::parse(location).ok_or_else(|| object_error("not an s3:// location".to_owned()))?;
        let head = clients.s3.head_object().bucket(&uri.bucket).key(&uri.key).send().await;
        // A HEAD has no body, so S3 cannot say NoSuchKey in it: 404 alone tells.
        let head = head.map_err(|error| AwsError::new("s3:GetObject", error))?;
        let size = u64::try_from(head.content_length().unwrap_or(-1));
        let size = size.map_err(|_| object_error("S3 does not say how long it is".to_owned()))?;
        Ok(Self { uri, location: location.to_owned(), size, etag: head.e_tag().map(str::to_owned) })
    }

    /// All rows, in order; the first batch comes before the last byte is read. Dropping the stream stops the reading.
    pub fn batches(
        self,
        clients: &Clients,
        columns: &[Column],
    ) -> impl Stream<Item = Result<RecordBatch, CsvError>> + use<> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let (decoder, clients) = (Decoder::new(columns), clients.clone());
        tokio::spawn(async move {
            let location = self.location.clone();
            let chunks = self.chunks(clients);
            if let Err(error) = decode_all(decoder, &location, chunks, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        ReceiverStream::new(receiver)
    }

    fn chunks(self, clients: Clients) -> impl Stream<Item = Result<Bytes, CsvError>> {
        let starts = (0..self.size).step_by(RANGE_BYTES as usize);
        stream::iter(starts)
            .map(move |start| {
                let (object, clients) = (self.clone(), clients.clone());
                async move { object.range(&clients, start).await }
            })
            .buffered(RANGES_IN_FLIGHT)
    }

    async fn range(&self, clients: &Clients, start: u64) -> Result<Bytes, CsvError> {
        let end = (start + RANGE_BYTES).min(self.size);
        let call = clients.s3.get_object().bucket(&self.uri.bucket).key(&self.uri.key);
        let call = call.range(format!("bytes={start}-{}", end - 1)).set_if_match(self.etag.clone());
        let answer = call.send().await.map_err(|error| AwsError::new("s3:GetObject", error))?;
        let fail = |why: String| CsvError::Object { location: self.location.clone(), why };
        if self.etag.is_some() && answer.e_tag() != self.etag.as_deref() {
            return Err(fail("it changed while it was read".to_owned()));
        }
        let bytes = answer.body.collect().await.map_err(|error| fail(format!("bytes {start}–{end}: {error}")))?;
        let bytes = bytes.into_bytes();
        if bytes.len() as u64 != end - start {
            return Err(fail(format!("bytes {start}–{end}: {} came", bytes.len())));
        }
        Ok(bytes)
    }
}

/// Feeds the decoder and sends its batches, each chunk on a thread for blocking work.
async fn decode_all(
    decoder: Decoder,
    location: &str,
    chunks: impl Stream<Item = Result<Bytes, CsvError>>,
    sender: &mpsc::Sender<Result<RecordBatch, CsvError>>,
) -> Result<(), CsvError> {
    let row_error = |fault| CsvError::Row { location: location.to_owned(), fault };
    let panicked = |_| CsvError::Object { location: location.to_owned(), why: "the decoder panicked".to_owned() };
    let mut decoder = decoder;
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = chunks.try_next().await? {
        let sender = sender.clone();
        let work = tokio::task::spawn_blocking(move || {
            decoder.push(&chunk, |batch| sender.blocking_send(Ok(batch)).is_ok()).map(|wanted| (decoder, wanted))
        });
        let wanted;
        (decoder, wanted) = work.await.map_err(panicked)?.map_err(row_error)?;
        if !wanted {
            return Ok(());
        }
    }
    if let Some(batch) = decoder.finish().map_err(row_error)? {
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}

impl CsvError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Aws(error) => error.kind,
            Self::Row { .. } | Self::Object { .. } => Kind::DataLoss,
        }
    }
}
