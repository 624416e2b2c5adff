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

use arrow::array::RecordBatch;
use futures::{Stream, TryStreamExt, stream};

use super::budget::Share;
use super::object::S3Uri;
use super::{ReadError, in_order};
use crate::aws::Clients;
use crate::types::column::{Column, schema};

/// Files whose footers are read ahead.
const FOOTERS_AHEAD: usize = 2;

/// All rows of files, in order. Dropping the stream stops the reading.
pub fn batches(
    files: Vec<S3Uri>,
    clients: &Clients,
    columns: &[Column],
    share: Share,
) -> impl Stream<Item = Result<RecordBatch, ReadError>> + Send + use<> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let (clients, schema) = (clients.clone(), schema(columns));
    let columns: Arc<[Column]> = columns.into();
    let opened = stream::iter(files.into_iter().map(Ok)).map_ok(move |uri| {
        let (clients, columns) = (clients.clone(), Arc::clone(&columns));
        async move { file::open(clients, uri, &columns).await }
    });
    let row_groups = opened.try_buffered(FOOTERS_AHEAD).map_ok(|file| stream::iter(file.row_groups().map(Ok)));
    let pieces = row_groups.try_flatten().and_then(move |row_group| {
        let (share, schema) = (share.clone(), Arc::clone(&schema));
        async move { row_group.start(&share, schema).await }
    });
    in_order::batches(pieces, cores)
}
