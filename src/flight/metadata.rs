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
use crate::catalog::pattern::Pattern;
use crate::catalog::{Catalog, is_glue};
use crate::error::Kind;

/// The catalogs a command is about: the one it names, or all of them. An empty name means "without a catalog": there are
/// no such things.
async fn chosen_catalogs(catalog: &Catalog, filter: Option<&str>) -> Result<Vec<String>, Status> {
    let all = catalog.catalogs().await.map_err(listing)?;
    Ok(all.iter().filter(|name| filter.is_none_or(|filter| filter.eq_ignore_ascii_case(name))).cloned().collect())
}

/// The databases whose tables or names a command asks for, by catalog.
async fn chosen_databases(
    catalog: &Catalog,
    filter: Option<&str>,
    pattern: &Pattern,
) -> Result<Vec<(String, String)>, Status> {
    let mut places = Vec::new();
    for name in chosen_catalogs(catalog, filter).await? {
        let databases = match catalog.databases(&name).await {
            Ok(databases) => databases,
            Err(error) if filter.is_none() && !is_glue(&name) && is_out_of_reach(&error) => {
                tracing::warn!(catalog = name, %error, "a catalog that cannot be listed is left out of a listing of all");
                continue;
            }
            Err(error) => return Err(listing(error)),
        };
        let matching = databases.iter().filter(|database| pattern.matches(&database.name));
        places.extend(matching.map(|database| (name.clone(), database.name.clone())));
    }
    Ok(places)
}

/// Whether something cannot be listed however often it is tried: one broken connector, or one database that is closed to us,
/// must not hide all others from those who have not asked for it by name.
fn is_out_of_reach(error: &AwsError) -> bool {
    matches!(
        error.kind,
        Kind::PermissionDenied
            | Kind::NotFound
            | Kind::FailedPrecondition
            | Kind::InvalidArgument
            | Kind::Unimplemented
    )
}

fn listing(error: Arc<AwsError>) -> Status {
    status::of_aws(&error)
}
