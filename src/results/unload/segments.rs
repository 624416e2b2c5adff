//! The bytes of one row group, fetched while they are read.
//!
//! Where memory allows, all of them are asked for at once. Where it does not, each column has a window that moves along:
//! what has been decoded is given back, and the next piece is on its way while one is decoded.

use std::collections::VecDeque;
use std::io::{Error, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt, Shared};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::super::ReadError;
use super::file::FileBytes;

/// Bytes of one GET, at most.
const MAX_GET: u64 = 4 << 20;
/// Bytes of a window, at least: smaller GETs cost more than they bring.
const MIN_WINDOW: u64 = 64 << 10;
/// What a page's header takes, nearly always.
const HEADER_BYTES: u64 = 4 << 10;

type Fetched = Shared<BoxFuture<'static, Result<Bytes, ReadError>>>;

/// Reads a row group's column chunks, each from its start to its end, on a thread that may block.
#[derive(Clone)]
pub struct RowGroupBytes(Arc<Columns>);

struct Columns {
    file: Arc<FileBytes>,
    runtime: Handle,
    columns: Vec<Mutex<Column>>,
    /// What went wrong: the Parquet reader passes on no more than its text.
    fault: OnceLock<ReadError>,
}

struct Column {
    range: Range<u64>,
    /// What was asked for and not yet read, in order and without gaps.
    segments: VecDeque<Segment>,
    /// Where the next segment starts.
    next: u64,
    window: u64,
}

#[derive(Clone)]
struct Segment {
    range: Range<u64>,
    bytes: Fetched,
}

impl RowGroupBytes {
    /// Starts fetching column chunks, with `memory` bytes for them.
    pub fn start(file: &Arc<FileBytes>, chunks: &[Range<u64>], memory: u64) -> Self {
        let total: u64 = chunks.iter().map(|chunk| chunk.end - chunk.start).sum();
        let mut columns: Vec<Column> = chunks
            .iter()
            .map(|range| Column { range: range.clone(), segments: VecDeque::new(), next: range.start, window: 0 })
            .collect();
        if total <= memory {
            let segments: Vec<Segment> = runs(chunks).into_iter().map(|run| Segment::fetch(file, run)).collect();
            for column in &mut columns {
                let (start, end) = (column.range.start, column.range.end);
                let own = segments.iter().filter(|segment| segment.range.start < end && start < segment.range.end);
                column.segments.extend(own.cloned());
            }
        } else {
            // One piece that is decoded, and one on its way.
            let window = (memory / (2 * chunks.len() as u64)).clamp(MIN_WINDOW, MAX_GET);
            for column in &mut columns {
                column.window = window;
                column.ask(file, column.range.start + window);
            }
        }
        let columns = columns.into_iter().map(Mutex::new).collect();
        let (file, runtime) = (Arc::clone(file), Handle::current());
        Self(Arc::new(Columns { file, runtime, columns, fault: OnceLock::new() }))
    }

    /// Why the last read failed, if it did.
    pub fn fault(&self) -> Option<ReadError> {
        self.0.fault.get().cloned()
    }

    fn read(&self, start: u64, length: u64) -> parquet::errors::Result<Bytes> {
        self.fetch(start, length).map_err(|error| {
            let text = error.to_string();
            let _ = self.0.fault.set(error);
            ParquetError::General(text)
        })
    }

    fn fetch(&self, start: u64, length: u64) -> Result<Bytes, ReadError> {
        let Columns { file, runtime, columns, .. } = self.0.as_ref();
        let end = start + length;
        let place = columns.iter().find_map(|column| {
            let column = column.lock().unwrap_or_else(PoisonError::into_inner);
            (column.range.start <= start && end <= column.range.end).then_some(column)
        });
        let Some(mut column) = place else {
            return Err(file.object.error(format!("its pages lie outside of their column ({start}–{end})")));
        };
        while column.segments.front().is_some_and(|segment| segment.range.end <= start) {
            column.segments.pop_front();
        }
        if column.window > 0 && column.segments.is_empty() {
            // Pages are left out where a reading is taken up again.
            column.next = column.next.max(start);
        }
        column.ask(file, end);
        let ahead = column.next + column.window;
        column.ask(file, ahead);
        let mut parts = Vec::new();
        for segment in &column.segments {
            let range = segment.range.start.max(start)..segment.range.end.min(end);
            if range.start < range.end {
                let bytes = runtime.block_on(segment.bytes.clone())?;
                let from = segment.range.start;
                parts.push(bytes.slice((range.start - from) as usize..(range.end - from) as usize));
            }
        }
        let found: usize = parts.iter().map(Bytes::len).sum();
        match parts.len() {
            _ if found as u64 != length => Err(file.object.error("its pages do not follow each other")),
            1 => Ok(parts.remove(0)),
            _ => Ok(parts
                .iter()
                .fold(BytesMut::with_capacity(found), |mut all, part| {
                    all.extend_from_slice(part);
                    all
                })
                .freeze()),
        }
    }
}

impl Column {
    /// Asks for what is missing up to a place, or to the column's end.
    fn ask(&mut self, file: &Arc<FileBytes>, until: u64) {
        while self.window > 0 && self.next < until.min(self.range.end) {
            let end = (self.next + self.window).min(self.range.end);
            self.segments.push_back(Segment::fetch(file, self.next..end));
            self.next = end;
        }
    }
}

impl Segment {
    fn fetch(file: &Arc<FileBytes>, range: Range<u64>) -> Self {
        let (file, wanted) = (Arc::clone(file), range.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(async move { file.read(wanted).await }));
        let bytes = task.map(|done| done.unwrap_or(Err(ReadError::Abandoned))).boxed().shared();
        Self { range, bytes }
    }
}

/// The chunks as runs that lie together, cut into GETs.
fn runs(chunks: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = chunks.to_vec();
    sorted.sort_by_key(|chunk| chunk.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for chunk in sorted {
        match runs.last_mut() {
            Some(run) if run.end == chunk.start => run.end = chunk.end,
            _ => runs.push(chunk),
        }
    }
    let cut = |run: Range<u64>| {
        let starts = run.clone().step_by(MAX_GET as usize);
        starts.map(move |start| start..(start + MAX_GET).min(run.end))
    };
    runs.into_iter().flat_map(cut).collect()
}

impl Length for RowGroupBytes {
    fn len(&self) -> u64 {
        self.0.file.object.size
    }
}

impl ChunkReader for RowGroupBytes {
    type T = Headers;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Headers> {
        Ok(Headers { bytes: Bytes::new(), next: start, of: self.clone() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read(start, length as u64)
    }
}

/// Reads a page's header, whose length is known only when it has been read.
pub struct Headers {
    bytes: Bytes,
    next: u64,
    of: RowGroupBytes,
}

impl Read for Headers {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.is_empty() {
            let ends = self
                .of
                .0
                .columns
                .iter()
                .map(|column| column.lock().unwrap_or_else(PoisonError::into_inner).range.clone());
            let end = ends.into_iter().find(|range| range.contains(&self.next)).map_or(self.next, |range| range.end);
            let length = HEADER_BYTES.min(end - self.next);
            if length == 0 {
                return Ok(0);
            }
            self.bytes = self.of.read(self.next, length).map_err(Error::other)?;
            self.next += length;
        }
        let length = out.len().min(self.bytes.len());
        self.bytes.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}
