//! Batches → one Parquet file in S3, by a multipart upload: what is in memory is one row group and one part.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tokio_util::task::TaskTracker;

use super::IngestFault;
use crate::aws::{AwsError, Clients};
use crate::results::object::S3Uri;

/// Bytes of a row group in memory.
const ROW_GROUP_BYTES: usize = 16 << 20;
/// Bytes of a part; S3 takes 10,000 of them, and none but the last below 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// What one upload holds at most, about: a row group, a part, and the batch that fills them.
pub const MEMORY: usize = ROW_GROUP_BYTES + PART_BYTES;
/// What is enough for most uploads, which are small.
pub const SMALL_MEMORY: usize = 1 << 20;

/// What goes wrong with an upload.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Fault(#[from] IngestFault),
}

impl From<ParquetError> for UploadError {
    fn from(error: ParquetError) -> Self {
        Self::Fault(IngestFault::Batch(error.to_string()))
    }
}

/// A file that is being written. Dropped before its end, it leaves nothing behind.
pub struct Upload {
    clients: Clients,
    to: S3Uri,
    writer: Option<ArrowWriter<Vec<u8>>>,
    multipart: Option<Multipart>,
    pub rows: u64,
    /// Aborts that are under way; a graceful shutdown waits for them.
    tasks: TaskTracker,
}

struct Multipart {
    id: String,
    parts: Vec<CompletedPart>,
}

impl Upload {
    pub fn new(clients: &Clients, tasks: &TaskTracker, to: S3Uri, schema: SchemaRef) -> Result<Self, UploadError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        let (clients, tasks) = (clients.clone(), tasks.clone());
        Ok(Self { clients, to, writer: Some(writer), multipart: None, rows: 0, tasks })
    }

    /// Bytes of memory that it holds now.
    pub fn memory(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.memory_size() + writer.inner().len())
    }

    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), UploadError> {
        self.rows += batch.num_rows() as u64;
        let Some(mut writer) = self.writer.take() else { return Err(gone()) };
        let written = tokio::task::spawn_blocking(move || {
            writer.write(&batch)?;
            if writer.in_progress_size() >= ROW_GROUP_BYTES {
                writer.flush()?;
            }
            let full = writer.inner().len() >= PART_BYTES;
            let part = full.then(|| std::mem::take(writer.inner_mut()));
            Ok::<_, ParquetError>((writer, part))
        });
        let (writer, part) = written.await.map_err(|_| gone())??;
        self.writer = Some(writer);
        match part {
            Some(part) => self.send(part).await,
            None => Ok(()),
        }
    }

    /// Writes the end; only then is the file there.
    pub async fn finish(mut self) -> Result<u64, UploadError> {
        let Some(writer) = self.writer.take() else { return Err(gone()) };
        let rest = tokio::task::spawn_blocking(move || writer.into_inner()).await.map_err(|_| gone())??;
        if self.multipart.is_none() {
            let call = self.clients.s3.put_object().bucket(&self.to.bucket).key(&self.to.key);
            let put = call.body(ByteStream::from(rest)).send().await;
            put.map_err(|error| AwsError::new("s3:PutObject", error))?;
            return Ok(self.rows);
        }
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        if let Some(Multipart { id, parts }) = &self.multipart {
            let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.clone())).build();
            let call = self.clients.s3.complete_multipart_upload().bucket(&self.to.bucket).key(&self.to.key);
            let completed = call.upload_id(id).multipart_upload(parts).send().await;
            completed.map_err(|error| AwsError::new("s3:PutObject", error))?;
            self.multipart = None;
        }
        Ok(self.rows)
    }

    async fn send(&mut self, part: Vec<u8>) -> Result<(), UploadError> {
        let (s3, to) = (&self.clients.s3, &self.to);
        if self.multipart.is_none() {
            let created = s3.create_multipart_upload().bucket(&to.bucket).key(&to.key).send().await;
            let created = created.map_err(|error| AwsError::new("s3:PutObject", error))?;
            let id = created.upload_id().unwrap_or_default().to_owned();
            self.multipart = Some(Multipart { id, parts: Vec::new() });
        }
        let Some(Multipart { id, parts }) = &mut self.multipart else { return Err(gone()) };
        let number = parts.len() as i32 + 1;
        let call = s3.upload_part().bucket(&to.bucket).key(&to.key).upload_id(&*id).part_number(number);
        let sent = call.body(ByteStream::from(part)).send().await;
        let sent = sent.map_err(|error| AwsError::new("s3:PutObject", error))?;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag().map(str::to_owned)).build());
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(Multipart { id, .. }) = self.multipart.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let call = self.clients.s3.abort_multipart_upload().bucket(&self.to.bucket).key(&self.to.key).upload_id(id);
        let to = self.to.to_string();
        let abort = async move {
            if let Err(error) = call.send().await {
                let error = AwsError::new("s3:AbortMultipartUpload", error);
                tracing::warn!(location = to, %error, "an upload that broke off could not be removed");
            }
        };
        self.tasks.spawn_on(abort, &runtime);
    }
}

fn gone() -> UploadError {
    UploadError::Fault(IngestFault::Batch("the writer ended early".to_owned()))
}
