//! Reads the Parquet files that an UNLOAD of ours left.
//!
//! One row group after the other, its bytes fetched ahead as far as memory allows and its columns decoded on several
//! cores, in the manifest's order. Invariant: the same values as [`super::pages`] and [`super::csv`] for the same query.
//!
//! | module | says |
//! | --- | --- |
//! | [`prefix`] | where a query's files go, and when they may be removed |
//! | [`manifest`] | which files there are |
//! | [`mod@file`] | one file: its footer, its row groups |
//! | [`segments`] | a row group's bytes, fetched while they are read |
//! | [`undo`] | arrays of the files → arrays of the result |
//! | [`sweep`] | removes files whose time is over |

pub mod file;
pub mod manifest;
pub mod prefix;
mod segments;
pub mod sweep;
pub mod undo;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::object::S3Uri;
use super::rows::BATCH_MEMORY;
use super::{GrantedBatch, ReadError, in_order, resumable};
use crate::aws::Clients;
use crate::memory::{Floor, Share};
use crate::types::column::{Column, schema};

/// Files whose footers are read ahead.
const FOOTERS_AHEAD: usize = 2;
/// What reading files takes at least. A row group's pages are more, and have to be waited for.
pub const FLOOR: Floor = Floor { fetch: 512 << 10, next: BATCH_MEMORY };

/// A place between two rows of all files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub file: usize,
    pub row_group: usize,
    /// Rows of the row group that come before.
    pub rows: usize,
}

/// All rows of files, in order. Dropping the stream stops the reading.
pub fn batches(
    files: Vec<S3Uri>,
    clients: &Clients,
    columns: &[Column],
    share: Share,
) -> impl Stream<Item = Result<GrantedBatch, ReadError>> + Send + use<> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let (files, schema) = (files.into(), schema(columns));
    let source = Source { files, clients: clients.clone(), columns: columns.into(), schema, share: share.clone() };
    resumable::batches(share, Place::default(), move |start| {
        in_order::batches(source.row_groups(start), cores, source.share.clone()).boxed()
    })
}

/// The rows of some files.
#[derive(Clone)]
struct Source {
    files: Arc<[S3Uri]>,
    clients: Clients,
    columns: Arc<[Column]>,
    schema: SchemaRef,
    share: Share,
}

impl Source {
    /// The row groups from a place on, the first one without the rows before it.
    fn row_groups(&self, start: Place) -> impl Stream<Item = Result<file::Reading, ReadError>> + Send + use<> {
        let Self { files, clients, columns, schema, share } = self.clone();
        let opened = stream::iter((start.file..files.len()).map(Ok)).map_ok(move |file| {
            let (uri, clients, columns) = (files[file].clone(), clients.clone(), Arc::clone(&columns));
            async move { file::open(clients, uri, file, &columns).await }
        });
        let row_groups = opened.try_buffered(FOOTERS_AHEAD).map_ok(move |file| {
            let first = if file.number == start.file { start.row_group } else { 0 };
            stream::iter(file.row_groups(first).map(Ok))
        });
        row_groups.try_flatten().and_then(move |row_group| {
            let (share, schema) = (share.clone(), Arc::clone(&schema));
            let Place { file, row_group: index, .. } = row_group.place();
            let rows = if (file, index) == (start.file, start.row_group) { start.rows } else { 0 };
            async move { row_group.start(rows, &share, schema).await }
        })
    }
}
