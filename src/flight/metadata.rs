//! The catalog as Flight SQL's metadata commands answer it: one file per command.

pub mod catalogs;
pub mod keys;
pub mod schemas;
pub mod table_types;
pub mod tables;

use std::sync::Arc;

use tonic::Status;

use super::status;
use crate::aws::AwsError;
use crate::catalog::Catalog;

/// The catalogs a command is about: the one it names, or all of them. An empty name means "without a catalog": there are
/// no such things.
async fn chosen_catalogs(catalog: &Catalog, filter: Option<&str>) -> Result<Vec<String>, Status> {
    let all = catalog.catalogs().await.map_err(listing)?;
    Ok(all.iter().filter(|name| filter.is_none_or(|filter| filter.eq_ignore_ascii_case(name))).cloned().collect())
}

fn listing(error: Arc<AwsError>) -> Status {
    status::of_aws(&error)
}
