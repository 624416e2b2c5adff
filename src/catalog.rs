//! What there is to query: catalogs, databases, tables and columns, from Glue and Athena, shared by all callers.
//!
//! Listings are kept for a short time; callers that ask for the same one at the same time share one answer, and a
//! statement that changes the catalog through this gateway makes all of them be asked for anew.

mod athena;
mod glue;
pub mod pattern;
mod scope;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::aws::{AwsError, Clients};
use crate::types::AthenaType;
pub use scope::Scope;

/// Athena's name for the account's Glue catalog.
pub const GLUE_CATALOG: &str = "AwsDataCatalog";
/// How long a listing is taken for true.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Tables with their columns that are kept, in all listings.
const MAX_TABLES: u64 = 200_000;
const MAX_DATABASES: u64 = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub name: String,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub kind: TableKind,
    pub comment: Option<String>,
    /// Partition keys come last, as in `SELECT *`.
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub data_type: AthenaType,
    pub comment: Option<String>,
}

/// The type that every table has which is no view, besides its own.
pub const TABLE: &str = "TABLE";

/// The table types clients can filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    External,
    Iceberg,
    View,
    Governed,
}

impl TableKind {
    pub const ALL: [Self; 4] = [Self::External, Self::Governed, Self::Iceberg, Self::View];

    pub fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL_TABLE",
            Self::Iceberg => "ICEBERG",
            Self::View => "VIEW",
            Self::Governed => "GOVERNED",
        }
    }

    /// The type that a table of this kind is said to have by a caller who asks for tables of some types, by name in any
    /// case; `None` if it is of none of them. Most tools know `TABLE` and `VIEW` only, and look for the type they asked for
    /// in what they are given, so what was found as a `TABLE` is called one.
    pub fn called(self, types: &[String]) -> Option<&'static str> {
        let asked = |name: &str| types.iter().any(|asked| asked.eq_ignore_ascii_case(name));
        if types.is_empty() || asked(self.name()) {
            return Some(self.name());
        }
        (self != Self::View && asked(TABLE)).then_some(TABLE)
    }

    /// From Glue's TableType and the parameter `table_type`.
    fn of(table_type: Option<&str>, parameter: Option<&str>) -> Self {
        match table_type {
            Some("VIRTUAL_VIEW") => Self::View,
            Some("GOVERNED") => Self::Governed,
            _ if parameter.is_some_and(|value| value.eq_ignore_ascii_case("ICEBERG")) => Self::Iceberg,
            _ => Self::External,
        }
    }
}

/// Listings of all tenants, in one size. Cloning shares them.
#[derive(Clone)]
pub struct Listings {
    catalogs: Cache<u64, Arc<Vec<String>>>,
    databases: Cache<(u64, String), Arc<Vec<Database>>>,
    tables: Cache<(u64, String, String), Arc<Vec<Table>>>,
}

impl Default for Listings {
    fn default() -> Self {
        // The idle go first, and a newcomer always finds room.
        let lru = EvictionPolicy::lru;
        Self {
            catalogs: Cache::builder().max_capacity(10_000).eviction_policy(lru()).time_to_live(MAX_AGE).build(),
            databases: Cache::builder()
                .max_capacity(MAX_DATABASES)
                .weigher(|_, databases: &Arc<Vec<Database>>| u32::try_from(databases.len() + 1).unwrap_or(u32::MAX))
                .eviction_policy(lru())
                .time_to_live(MAX_AGE)
                .build(),
            tables: Cache::builder()
                .max_capacity(MAX_TABLES)
                .weigher(|_, tables: &Arc<Vec<Table>>| u32::try_from(tables.len() + 1).unwrap_or(u32::MAX))
                .eviction_policy(lru())
                .time_to_live(MAX_AGE)
                .build(),
        }
    }
}

/// What one tenant sees.
pub struct Catalog {
    clients: Clients,
    /// All that is to be seen, where it is not everything.
    scope: Option<Scope>,
    listings: Listings,
    /// What of the listings is this tenant's: no two have the same number, and none has one twice.
    epoch: AtomicU64,
}

impl Catalog {
    pub fn new(clients: Clients, scope: Option<Scope>, listings: Listings, epoch: u64) -> Self {
        Self { clients, scope, listings, epoch: AtomicU64::new(epoch) }
    }

    /// What this tenant's listings are found by now.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Names of all data catalogs.
    pub async fn catalogs(&self) -> Result<Arc<Vec<String>>, Arc<AwsError>> {
        let list = async {
            let mut catalogs = athena::catalogs(&self.clients).await?;
            catalogs.retain(|name| self.scope.as_ref().is_none_or(|scope| scope.has_catalog(name)));
            Ok(Arc::new(catalogs))
        };
        self.listings.catalogs.try_get_with(self.epoch(), list).await
    }

    /// Databases of a catalog, by name.
    pub async fn databases(&self, catalog: &str) -> Result<Arc<Vec<Database>>, Arc<AwsError>> {
        let list = async {
            let mut databases = if is_glue(catalog) {
                glue::databases(&self.clients).await?
            } else {
                athena::databases(&self.clients, catalog).await?
            };
            databases.retain(|database| self.sees(catalog, &database.name));
            databases.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Arc::new(databases))
        };
        self.listings.databases.try_get_with((self.epoch(), catalog.to_owned()), list).await
    }

    /// Tables of a database with their columns, by name.
    pub async fn tables(&self, catalog: &str, database: &str) -> Result<Arc<Vec<Table>>, Arc<AwsError>> {
        let list = async {
            if !self.sees(catalog, database) {
                return Ok(Arc::default());
            }
            let mut tables = if is_glue(catalog) {
                glue::tables(&self.clients, database).await?
            } else {
                athena::tables(&self.clients, catalog, database).await?
            };
            tables.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Arc::new(tables))
        };
        let key = (self.epoch(), catalog.to_owned(), database.to_owned());
        self.listings.tables.try_get_with(key, list).await
    }

    /// A table of Glue's as it is now; `None` if there is none.
    pub async fn find_table(&self, database: &str, table: &str) -> Result<Option<Table>, AwsError> {
        glue::find_table(&self.clients, database, table).await
    }

    fn sees(&self, catalog: &str, database: &str) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.has(catalog, database))
    }

    /// Goes on with another number: what was listed before is not found any more.
    pub fn refresh(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }
}

/// Whether a name is the one of Glue's catalog.
pub fn is_glue(catalog: &str) -> bool {
    catalog.eq_ignore_ascii_case(GLUE_CATALOG)
}

/// A column from a type as Glue or Athena spells it; a type that cannot be read is passed on by its name.
fn column(name: &str, data_type: &str, comment: Option<&str>) -> Column {
    Column {
        name: name.to_owned(),
        data_type: AthenaType::parse(data_type).unwrap_or_else(|_| AthenaType::Other(data_type.to_owned())),
        comment: comment.filter(|comment| !comment.is_empty()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_called_what_it_was_asked_for_as() {
        use TableKind::*;
        for (kind, types, called) in [
            (External, &[][..], Some("EXTERNAL_TABLE")),
            (External, &["TABLE"], Some("TABLE")),
            (External, &["table", "View"], Some("TABLE")),
            (External, &["TABLE", "external_table"], Some("EXTERNAL_TABLE")),
            (External, &["VIEW", "ICEBERG"], None),
            (Iceberg, &["TABLE"], Some("TABLE")),
            (Governed, &["governed"], Some("GOVERNED")),
            (View, &["TABLE"], None),
            (View, &["view"], Some("VIEW")),
            (View, &["SYSTEM TABLE"], None),
        ] {
            let asked: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(kind.called(&asked), called, "{kind:?} {types:?}");
        }
    }
}
