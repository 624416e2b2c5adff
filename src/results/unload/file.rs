//! One Parquet file of an UNLOAD: its footer, and its row groups one by one.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use super::super::object::{Object, S3Uri};
use super::super::rows::{BATCH_BYTES, MAX_BATCH_ROWS};
use super::super::{ReadError, in_order};
use super::Place;
use super::segments::RowGroupBytes;
use super::undo::undo;
use crate::aws::Clients;
use crate::memory::{Grant, Purpose, Share};
use crate::types::column::Column;

/// Bytes at a file's end that are read first: nearly always the whole footer, and all of a small file.
const TAIL_BYTES: u64 = 64 << 10;
/// Longest footer.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// What one page takes in memory, about: Athena's writer begins another one behind it.
const PAGE_BYTES: u64 = 1 << 20;
/// Window of a column where memory is short.
const SMALL_WINDOW: u64 = 256 << 10;

/// A file's bytes, of which the last ones are there already.
pub struct FileBytes {
    clients: Clients,
    pub object: Object,
    tail: Bytes,
}

impl FileBytes {
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        let tail_start = self.object.size - self.tail.len() as u64;
        if range.start >= tail_start {
            return Ok(self.tail.slice((range.start - tail_start) as usize..(range.end - tail_start) as usize));
        }
        self.object.range(&self.clients, range.start, range.end).await
    }

    fn error(&self, error: ParquetError) -> ReadError {
        self.object.error(format!("it is not Parquet that can be read: {error}"))
    }
}

/// A file whose footer has been read.
pub struct File {
    /// Which one of all files it is.
    pub number: usize,
    bytes: Arc<FileBytes>,
    metadata: ArrowReaderMetadata,
    columns: Arc<[Column]>,
}

/// Opens a file that has the columns of a wrapped query.
pub async fn open(clients: Clients, uri: S3Uri, number: usize, columns: &Arc<[Column]>) -> Result<File, ReadError> {
    let (object, tail) = Object::find_tail(&clients, uri, TAIL_BYTES).await?;
    let mut bytes = FileBytes { clients, object, tail };
    let size = bytes.object.size;
    let mut reader = ParquetMetaDataReader::new();
    if let Err(error) = reader.try_parse_sized(&bytes.tail, size) {
        let ParquetError::NeedMoreData(needed) = error else { return Err(bytes.error(error)) };
        let needed = needed as u64;
        if needed > MAX_FOOTER_BYTES.min(size) {
            return Err(bytes.object.error(format!("a footer of {needed} bytes is too long")));
        }
        bytes.tail = bytes.object.range(&bytes.clients, size - needed, size).await?;
        reader.try_parse_sized(&bytes.tail, size).map_err(|error| bytes.error(error))?;
    }
    let metadata = reader.finish().map_err(|error| bytes.error(error))?;
    let metadata = arrow_metadata(metadata).map_err(|error| bytes.error(error))?;
    let found = metadata.schema().fields().len();
    if found != columns.len() {
        return Err(bytes.object.error(format!("it has {found} columns, the result has {}", columns.len())));
    }
    Ok(File { number, bytes: Arc::new(bytes), metadata, columns: Arc::clone(columns) })
}

/// The file's types in Arrow, as the Parquet types alone say them. INT96 is a timestamp of nanoseconds, which do not reach
/// to the year 9999, so it is read as microseconds; Athena writes milliseconds.
fn arrow_metadata(metadata: ParquetMetaData) -> Result<ArrowReaderMetadata, ParquetError> {
    let metadata = Arc::new(metadata);
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options.clone())?;
    let mut leaves = metadata.file_metadata().schema_descr().columns().iter().map(|leaf| leaf.physical_type());
    let fields: Fields = plain.schema().fields().iter().map(|field| in_micros(field, &mut leaves)).collect();
    if fields == *plain.schema().fields() {
        return Ok(plain);
    }
    ArrowReaderMetadata::try_new(metadata, options.with_schema(Arc::new(Schema::new(fields))))
}

fn in_micros(field: &FieldRef, leaves: &mut impl Iterator<Item = PhysicalType>) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::List(element) => DataType::List(in_micros(element, leaves)),
        DataType::Map(entries, sorted) => DataType::Map(in_micros(entries, leaves), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| in_micros(field, leaves)).collect()),
        other => match leaves.next() {
            Some(PhysicalType::INT96) => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => other.clone(),
        },
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

impl File {
    /// The row groups from one on.
    pub fn row_groups(self, first: usize) -> impl Iterator<Item = RowGroup> {
        let file = Arc::new(self);
        (first..file.metadata.metadata().num_row_groups()).map(move |index| RowGroup { file: Arc::clone(&file), index })
    }
}

/// A row group that nobody reads yet.
pub struct RowGroup {
    file: Arc<File>,
    index: usize,
}

impl RowGroup {
    /// Where its first row is.
    pub fn place(&self) -> Place {
        Place { file: self.file.number, row_group: self.index, rows: 0 }
    }

    /// Waits for memory and starts fetching; the first `skipped` rows are left out.
    pub async fn start(self, skipped: usize, share: &Share, schema: SchemaRef) -> Result<Reading, ReadError> {
        let File { bytes, metadata, columns, .. } = self.file.as_ref();
        let row_group = metadata.metadata().row_group(self.index);
        let mut chunks = Vec::with_capacity(columns.len());
        for column in row_group.columns() {
            let offsets =
                [Some(column.data_page_offset()), column.dictionary_page_offset(), Some(column.compressed_size())];
            // The crate takes it for granted that these are not negative.
            if offsets.into_iter().flatten().any(|number| number < 0) {
                return Err(bytes.object.error("a column lies before its start"));
            }
            let (start, length) = column.byte_range();
            if start.checked_add(length).is_none_or(|end| end > bytes.object.size) {
                return Err(bytes.object.error("a column lies behind its end"));
            }
            chunks.push(start..start + length);
        }
        let lengths = || chunks.iter().map(|chunk| chunk.end - chunk.start);
        // What is being decoded, whether or not it is fetched as a whole.
        let decoded: u64 =
            row_group.columns().iter().map(|c| (c.uncompressed_size().max(0) as u64).min(PAGE_BYTES)).sum();
        let windows: u64 = lengths().map(|length| length.min(SMALL_WINDOW)).sum();
        let whole: u64 = lengths().sum();
        let (least, most) = ((decoded + windows) as usize, (decoded + whole) as usize);
        let grant = share.acquire_some(Purpose::Fetch, least, most).await?;
        let memory = (grant.bytes() as u64).saturating_sub(decoded).max(windows);
        let source = RowGroupBytes::start(bytes, &chunks, memory);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source.clone(), metadata.clone())
            .with_row_groups(vec![self.index])
            .with_batch_size(batch_rows(row_group, metadata.schema()))
            .with_offset(skipped);
        let state = State::Ready(Box::new(builder));
        let start = Place { rows: skipped, ..self.place() };
        Ok(Reading { file: Arc::clone(&self.file), source, schema, start, rows: 0, state, _grant: grant })
    }
}

/// Rows that make a batch of about the size that is sent.
fn batch_rows(row_group: &RowGroupMetaData, schema: &Schema) -> usize {
    /// What a text or a nested value takes, at least: equal ones are written once.
    const SMALL_VALUE: usize = 16;
    let rows = usize::try_from(row_group.num_rows()).unwrap_or_default().max(1);
    let written = row_group.columns().iter().map(|c| usize::try_from(c.uncompressed_size()).unwrap_or_default());
    let variable: usize = written.sum::<usize>() / rows;
    let fixed: usize =
        schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(SMALL_VALUE)).sum();
    (BATCH_BYTES / fixed.max(variable).max(1)).clamp(64, MAX_BATCH_ROWS)
}

/// A row group that is being decoded.
pub struct Reading {
    file: Arc<File>,
    source: RowGroupBytes,
    schema: SchemaRef,
    start: Place,
    /// Those that were read.
    rows: u64,
    state: State,
    _grant: Grant,
}

enum State {
    Ready(Box<ParquetRecordBatchReaderBuilder<RowGroupBytes>>),
    Decoding(Box<ParquetRecordBatchReader>),
    Over,
}

impl Reading {
    fn fault(&self, error: ParquetError) -> ReadError {
        self.source.fault().unwrap_or_else(|| self.file.bytes.error(error))
    }
}

impl in_order::Piece for Reading {
    type Place = Place;

    fn place(&self) -> Place {
        Place { rows: self.start.rows + self.rows as usize, ..self.start }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let File { bytes, columns, .. } = self.file.as_ref();
        let mut reader = match std::mem::replace(&mut self.state, State::Over) {
            State::Ready(builder) => Box::new(builder.build().map_err(|error| self.fault(error))?),
            State::Decoding(reader) => reader,
            State::Over => return Ok(None),
        };
        let Some(batch) = reader.next() else { return Ok(None) };
        let batch = batch.map_err(|error| self.fault(error.into()))?;
        self.state = State::Decoding(reader);
        let arrays = batch.columns().iter().zip(columns.iter()).map(|(array, column)| undo(array, column, self.rows));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        self.rows += batch.num_rows() as u64;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        Ok(Some(batch.map_err(|error| bytes.object.error(error.to_string()))?))
    }
}
