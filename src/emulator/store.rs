//! The endpoint's memory: databases, tables, partitions and queries in one transactional file in the data folder.
//!
//! Invariant: what a call has answered survives the process being killed. redb commits are atomic, so a kill in
//! mid-write leaves the state before or after the call, never between. The one exception is a query that has not ended:
//! nothing waits for its record to reach the disk, and a restart reports it as failed or does not know it.

use std::ops::Bound;
use std::path::Path;

use redb::{Database as Redb, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::model::{
    Catalog, Database, Execution, Failure, Parameters, Partition, Prepared, State, Table, Workgroup, now,
};

/// Separates the parts of a key: sorts before everything a name may contain.
const SEPARATOR: char = '\u{0}';

/// How long queries are remembered: Athena keeps its history 45 days. Older ones go when the store is opened.
const HISTORY_SECONDS: f64 = 45.0 * 86_400.0;

const DATABASES: TableDefinition<&str, &[u8]> = TableDefinition::new("databases");
const TABLES: TableDefinition<&str, &[u8]> = TableDefinition::new("tables");
const PARTITIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("partitions");
const EXECUTIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("executions");
/// Newest first: the key counts down.
const HISTORY: TableDefinition<&str, &str> = TableDefinition::new("history");
const TOKENS: TableDefinition<&str, &str> = TableDefinition::new("tokens");
const WORKGROUPS: TableDefinition<&str, &[u8]> = TableDefinition::new("workgroups");
const PREPARED: TableDefinition<&str, &[u8]> = TableDefinition::new("prepared_statements");
const CATALOGS: TableDefinition<&str, &[u8]> = TableDefinition::new("data_catalogs");
/// Lake Formation: tag keys with their values, and the tags of resources.
const TAGS: TableDefinition<&str, &[u8]> = TableDefinition::new("lf_tags");
const RESOURCE_TAGS: TableDefinition<&str, &[u8]> = TableDefinition::new("lf_resource_tags");
/// The last result of a text in its context, for result reuse.
const REUSE: TableDefinition<&str, &str> = TableDefinition::new("reuse");

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the data folder is in use by another athena-flight")]
    InUse,
    #[error("the catalog file cannot be used")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Broken(error.into())
}

type Result<T> = std::result::Result<T, StoreError>;

pub struct Store {
    file: Redb,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens or makes the file. Queries that were under way when the last process died become FAILED.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Redb::create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
            other => broken(other),
        })?;
        let store = Self { file };
        store.write(Durability::Immediate, |txn| {
            txn.open_table(DATABASES).map_err(broken)?;
            txn.open_table(TABLES).map_err(broken)?;
            for definition in [PARTITIONS, WORKGROUPS, PREPARED, CATALOGS, TAGS, RESOURCE_TAGS] {
                txn.open_table(definition).map_err(broken)?;
            }
            txn.open_table(REUSE).map_err(broken)?;
            let mut executions = txn.open_table(EXECUTIONS).map_err(broken)?;
            let mut interrupted = Vec::new();
            let mut expired = Vec::new();
            for row in executions.iter().map_err(broken)? {
                let mut execution: Execution = decode(row.map_err(broken)?.1.value())?;
                if execution.submitted < now() - HISTORY_SECONDS {
                    expired.push(execution);
                } else if !execution.state.is_final() {
                    execution.state = State::Failed;
                    execution.completed = Some(now());
                    execution.failure = Some(Failure {
                        category: 1,
                        error_type: 0,
                        message: "INTERNAL_ERROR: the endpoint was restarted while the query ran".into(),
                        retryable: true,
                    });
                    interrupted.push(execution);
                }
            }
            for execution in interrupted {
                executions.insert(execution.id.as_str(), encode(&execution)?.as_slice()).map_err(broken)?;
            }
            let mut history = txn.open_table(HISTORY).map_err(broken)?;
            let mut tokens = txn.open_table(TOKENS).map_err(broken)?;
            for execution in expired {
                executions.remove(execution.id.as_str()).map_err(broken)?;
                history.remove(history_key(&execution).as_str()).map_err(broken)?;
                if let Some(token) = &execution.token {
                    tokens.remove(token.as_str()).map_err(broken)?;
                }
            }
            let mut reuse = txn.open_table(REUSE).map_err(broken)?;
            reuse.retain(|_, id| executions.get(id).is_ok_and(|known| known.is_some())).map_err(broken)?;
            Ok(())
        })?;
        Ok(store)
    }

    pub fn database(&self, name: &str) -> Result<Option<Database>> {
        self.get(DATABASES, name)
    }

    /// All databases by name.
    pub fn databases(&self) -> Result<Vec<Database>> {
        self.range(DATABASES, "", None, usize::MAX)
    }

    /// Adds or replaces a database.
    pub fn put_database(&self, database: &Database) -> Result<()> {
        self.put(DATABASES, &database.name, database)
    }

    /// Removes a database with all its tables and partitions.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        let prefix = format!("{name}{SEPARATOR}");
        let end = end_of(&prefix);
        self.write(Durability::Immediate, |txn| {
            txn.open_table(DATABASES).map_err(broken)?.remove(name).map_err(broken)?;
            for definition in [TABLES, PARTITIONS] {
                let mut table = txn.open_table(definition).map_err(broken)?;
                table.retain_in(prefix.as_str()..end.as_str(), |_, _| false).map_err(broken)?;
            }
            Ok(())
        })
    }

    pub fn table(&self, database: &str, name: &str) -> Result<Option<Table>> {
        self.get(TABLES, &format!("{database}{SEPARATOR}{name}"))
    }

    /// Tables of a database by name: at most `limit` of those after the name `after`.
    pub fn tables(&self, database: &str, after: Option<&str>, limit: usize) -> Result<Vec<Table>> {
        self.range(TABLES, &format!("{database}{SEPARATOR}"), after, limit)
    }

    /// The same for tables that pass a test; read in pieces, so that a page of a long list costs a page.
    pub fn tables_matching(
        &self,
        database: &str,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&Table) -> bool,
    ) -> Result<Vec<Table>> {
        let mut after = after.map(str::to_owned);
        let mut found = Vec::new();
        loop {
            let chunk = self.tables(database, after.as_deref(), limit)?;
            let read_all = chunk.len() < limit;
            after = chunk.last().map(|table| table.name.clone());
            found.extend(chunk.into_iter().filter(&keep));
            if read_all || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// Adds or replaces a table.
    pub fn put_table(&self, table: &Table) -> Result<()> {
        self.put(TABLES, &format!("{}{SEPARATOR}{}", table.database_name, table.name), table)
    }

    /// Removes a table with its partitions; the data stays where it is, as for every external table.
    pub fn drop_table(&self, database: &str, name: &str) -> Result<()> {
        let key = format!("{database}{SEPARATOR}{name}");
        let prefix = format!("{key}{SEPARATOR}");
        let end = end_of(&prefix);
        self.write(Durability::Immediate, |txn| {
            txn.open_table(TABLES).map_err(broken)?.remove(key.as_str()).map_err(broken)?;
            let mut partitions = txn.open_table(PARTITIONS).map_err(broken)?;
            partitions.retain_in(prefix.as_str()..end.as_str(), |_, _| false).map_err(broken)?;
            Ok(())
        })
    }

    pub fn partition(&self, database: &str, table: &str, values: &[String]) -> Result<Option<Partition>> {
        self.get(PARTITIONS, &partition_key(database, table, values))
    }

    /// Partitions of a table by their values: at most `limit` of those after the values `after`.
    pub fn partitions(
        &self,
        database: &str,
        table: &str,
        after: Option<&[String]>,
        limit: usize,
    ) -> Result<Vec<Partition>> {
        let after = after.map(|values| values.join(&SEPARATOR.to_string()));
        self.range(PARTITIONS, &format!("{database}{SEPARATOR}{table}{SEPARATOR}"), after.as_deref(), limit)
    }

    /// The values of all partitions of a table, in their order. They are the keys: what else is known of a partition is not
    /// read, which matters where there are many.
    pub fn partition_values(&self, database: &str, table: &str) -> Result<Vec<Vec<String>>> {
        let prefix = format!("{database}{SEPARATOR}{table}{SEPARATOR}");
        let txn = self.file.begin_read().map_err(broken)?;
        let partitions = txn.open_table(PARTITIONS).map_err(broken)?;
        let mut values = Vec::new();
        for row in partitions.range(prefix.as_str()..).map_err(broken)? {
            let (key, _) = row.map_err(broken)?;
            let Some(joined) = key.value().strip_prefix(&prefix) else { break };
            values.push(joined.split(SEPARATOR).map(str::to_owned).collect());
        }
        Ok(values)
    }

    /// Adds or replaces partitions in one transaction.
    pub fn put_partitions(&self, partitions: &[Partition]) -> Result<()> {
        self.write(Durability::Immediate, |txn| {
            let mut table = txn.open_table(PARTITIONS).map_err(broken)?;
            for partition in partitions {
                let key = partition_key(&partition.database_name, &partition.table_name, &partition.values);
                table.insert(key.as_str(), encode(partition)?.as_slice()).map_err(broken)?;
            }
            Ok(())
        })
    }

    /// Removes partitions of a table in one transaction.
    pub fn drop_partitions(&self, database: &str, table: &str, dropped: &[Vec<String>]) -> Result<()> {
        self.write(Durability::Immediate, |txn| {
            let mut partitions = txn.open_table(PARTITIONS).map_err(broken)?;
            for values in dropped {
                partitions.remove(partition_key(database, table, values).as_str()).map_err(broken)?;
            }
            Ok(())
        })
    }

    pub fn workgroup(&self, name: &str) -> Result<Option<Workgroup>> {
        self.get(WORKGROUPS, name)
    }

    pub fn workgroups(&self) -> Result<Vec<Workgroup>> {
        self.range(WORKGROUPS, "", None, usize::MAX)
    }

    pub fn put_workgroup(&self, workgroup: &Workgroup) -> Result<()> {
        self.put(WORKGROUPS, &workgroup.name, workgroup)
    }

    /// Removes a workgroup with its prepared statements.
    pub fn drop_workgroup(&self, name: &str) -> Result<()> {
        let prefix = format!("{name}{SEPARATOR}");
        let end = end_of(&prefix);
        self.write(Durability::Immediate, |txn| {
            txn.open_table(WORKGROUPS).map_err(broken)?.remove(name).map_err(broken)?;
            let mut prepared = txn.open_table(PREPARED).map_err(broken)?;
            prepared.retain_in(prefix.as_str()..end.as_str(), |_, _| false).map_err(broken)?;
            Ok(())
        })
    }

    pub fn prepared(&self, workgroup: &str, name: &str) -> Result<Option<Prepared>> {
        self.get(PREPARED, &format!("{workgroup}{SEPARATOR}{name}"))
    }

    /// Prepared statements of a workgroup by name: at most `limit` of those after the name `after`.
    pub fn prepared_statements(&self, workgroup: &str, after: Option<&str>, limit: usize) -> Result<Vec<Prepared>> {
        self.range(PREPARED, &format!("{workgroup}{SEPARATOR}"), after, limit)
    }

    pub fn put_prepared(&self, prepared: &Prepared) -> Result<()> {
        self.put(PREPARED, &format!("{}{SEPARATOR}{}", prepared.workgroup, prepared.name), prepared)
    }

    /// Removes a prepared statement; false if there was none.
    pub fn drop_prepared(&self, workgroup: &str, name: &str) -> Result<bool> {
        self.remove(PREPARED, &format!("{workgroup}{SEPARATOR}{name}"))
    }

    pub fn catalog(&self, name: &str) -> Result<Option<Catalog>> {
        self.get(CATALOGS, &name.to_lowercase())
    }

    pub fn catalogs(&self) -> Result<Vec<Catalog>> {
        self.range(CATALOGS, "", None, usize::MAX)
    }

    pub fn put_catalog(&self, catalog: &Catalog) -> Result<()> {
        self.put(CATALOGS, &catalog.name.to_lowercase(), catalog)
    }

    pub fn drop_catalog(&self, name: &str) -> Result<bool> {
        self.remove(CATALOGS, &name.to_lowercase())
    }

    /// The values a Lake Formation tag may have.
    pub fn tag(&self, key: &str) -> Result<Option<Vec<String>>> {
        self.get(TAGS, key)
    }

    pub fn tags(&self) -> Result<Vec<(String, Vec<String>)>> {
        let txn = self.file.begin_read().map_err(broken)?;
        let table = txn.open_table(TAGS).map_err(broken)?;
        let mut tags = Vec::new();
        for row in table.iter().map_err(broken)? {
            let (key, values) = row.map_err(broken)?;
            tags.push((key.value().to_owned(), decode(values.value())?));
        }
        Ok(tags)
    }

    pub fn put_tag(&self, key: &str, values: &[String]) -> Result<()> {
        self.put(TAGS, key, &values)
    }

    pub fn drop_tag(&self, key: &str) -> Result<bool> {
        self.remove(TAGS, key)
    }

    /// The tags of a resource: key → value.
    pub fn resource_tags(&self, resource: &str) -> Result<Parameters> {
        Ok(self.get(RESOURCE_TAGS, resource)?.unwrap_or_default())
    }

    pub fn put_resource_tags(&self, resource: &str, tags: &Parameters) -> Result<()> {
        self.put(RESOURCE_TAGS, resource, tags)
    }

    /// The query that last answered this text in this context.
    pub fn reusable(&self, key: &str) -> Result<Option<String>> {
        let txn = self.file.begin_read().map_err(broken)?;
        let table = txn.open_table(REUSE).map_err(broken)?;
        Ok(table.get(key).map_err(broken)?.map(|id| id.value().to_owned()))
    }

    pub fn put_reusable(&self, key: &str, id: &str) -> Result<()> {
        self.write(Durability::None, |txn| {
            txn.open_table(REUSE).map_err(broken)?.insert(key, id).map_err(broken)?;
            Ok(())
        })
    }

    pub fn execution(&self, id: &str) -> Result<Option<Execution>> {
        self.get(EXECUTIONS, id)
    }

    /// The id of the query that a client's token was used for.
    pub fn token(&self, token: &str) -> Result<Option<String>> {
        let txn = self.file.begin_read().map_err(broken)?;
        let table = txn.open_table(TOKENS).map_err(broken)?;
        Ok(table.get(token).map_err(broken)?.map(|id| id.value().to_owned()))
    }

    /// Ids of queries, newest first: at most `limit` of those after the history key `after`. Gives the key to go on at.
    pub fn history(&self, workgroup: &str, after: Option<&str>, limit: usize) -> Result<(Vec<String>, Option<String>)> {
        let prefix = format!("{workgroup}{SEPARATOR}");
        let txn = self.file.begin_read().map_err(broken)?;
        let table = txn.open_table(HISTORY).map_err(broken)?;
        let start = after.map(|key| format!("{prefix}{key}"));
        let lower = start.as_deref().map_or(Bound::Included(prefix.as_str()), Bound::Excluded);
        let (mut ids, mut last) = (Vec::new(), None);
        for row in table.range::<&str>((lower, Bound::Unbounded)).map_err(broken)? {
            let (key, id) = row.map_err(broken)?;
            let Some(key) = key.value().strip_prefix(&prefix) else { break };
            if ids.len() == limit {
                return Ok((ids, last));
            }
            ids.push(id.value().to_owned());
            last = Some(key.to_owned());
        }
        Ok((ids, None))
    }

    /// Records a new query, unless its token was used before: then gives the id it was used for.
    pub fn begin_execution(&self, execution: &Execution) -> Result<Option<String>> {
        let key = history_key(execution);
        self.write(Durability::None, |txn| {
            if let Some(token) = &execution.token {
                let mut tokens = txn.open_table(TOKENS).map_err(broken)?;
                let used = tokens.get(token.as_str()).map_err(broken)?.map(|id| id.value().to_owned());
                if used.is_some() {
                    return Ok(used);
                }
                tokens.insert(token.as_str(), execution.id.as_str()).map_err(broken)?;
            }
            txn.open_table(HISTORY).map_err(broken)?.insert(key.as_str(), execution.id.as_str()).map_err(broken)?;
            let mut executions = txn.open_table(EXECUTIONS).map_err(broken)?;
            executions.insert(execution.id.as_str(), encode(execution)?.as_slice()).map_err(broken)?;
            Ok(None)
        })
    }

    /// Records how a query ended.
    pub fn end_execution(&self, execution: &Execution) -> Result<()> {
        self.put(EXECUTIONS, &execution.id, execution)
    }

    fn get<T: DeserializeOwned>(&self, definition: TableDefinition<&str, &[u8]>, key: &str) -> Result<Option<T>> {
        let txn = self.file.begin_read().map_err(broken)?;
        let table = txn.open_table(definition).map_err(broken)?;
        table.get(key).map_err(broken)?.map(|value| decode(value.value())).transpose()
    }

    fn put<T: Serialize>(&self, definition: TableDefinition<&str, &[u8]>, key: &str, value: &T) -> Result<()> {
        let bytes = encode(value)?;
        self.write(Durability::Immediate, |txn| {
            txn.open_table(definition).map_err(broken)?.insert(key, bytes.as_slice()).map_err(broken)?;
            Ok(())
        })
    }

    fn remove(&self, definition: TableDefinition<&str, &[u8]>, key: &str) -> Result<bool> {
        self.write(Durability::Immediate, |txn| {
            let mut table = txn.open_table(definition).map_err(broken)?;
            let removed = table.remove(key).map_err(broken)?.is_some();
            Ok(removed)
        })
    }

    fn range<T: DeserializeOwned>(
        &self,
        definition: TableDefinition<&str, &[u8]>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<T>> {
        let txn = self.file.begin_read().map_err(broken)?;
        let table = txn.open_table(definition).map_err(broken)?;
        let start = after.map(|after| format!("{prefix}{after}"));
        let lower = start.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
        let mut values = Vec::new();
        for row in table.range::<&str>((lower, Bound::Unbounded)).map_err(broken)? {
            let (key, value) = row.map_err(broken)?;
            if values.len() == limit || !key.value().starts_with(prefix) {
                break;
            }
            values.push(decode(value.value())?);
        }
        Ok(values)
    }

    fn write<T>(&self, durability: Durability, work: impl FnOnce(&redb::WriteTransaction) -> Result<T>) -> Result<T> {
        let mut txn = self.file.begin_write().map_err(broken)?;
        txn.set_durability(durability).map_err(broken)?;
        let result = work(&txn)?;
        txn.commit().map_err(broken)?;
        Ok(result)
    }
}

/// Where the keys that start with `prefix`, which ends in the separator, end.
fn end_of(prefix: &str) -> String {
    format!("{}\u{1}", prefix.trim_end_matches(SEPARATOR))
}

fn history_key(execution: &Execution) -> String {
    let age = u64::MAX - (execution.submitted * 1000.0) as u64;
    format!("{}{SEPARATOR}{age:020}{SEPARATOR}{}", execution.workgroup, execution.id)
}

fn partition_key(database: &str, table: &str, values: &[String]) -> String {
    format!("{database}{SEPARATOR}{table}{SEPARATOR}{}", values.join(&SEPARATOR.to_string()))
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(broken)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(broken)
}
