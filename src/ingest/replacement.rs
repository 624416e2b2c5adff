//! A table with new rows that takes another's place: at every moment readers find the one or the other.
//!
//! 1. Athena makes a table beside the old one (CREATE TABLE AS), with a name of its own and files of its own.
//! 2. Glue's UpdateTable gives the old table the columns, the files and the parameters of the new one, in one step.
//! 3. The table beside is removed from Glue, and so are the partitions that the old table had. The new one has no partition
//!    keys, so nobody reads those between 2 and 3.
//!
//! What goes wrong before 2 leaves the old table as it was, and the table beside and its files are removed. What goes wrong
//! behind 2 is said in the log alone: the rows are in their place. Files of the old table stay where they are, as they do when
//! an external table is dropped: queries that run may still read them, and they may be somebody else's.

use aws_sdk_glue::types::{PartitionValueList, Table, TableInput};
use tokio_util::task::TaskTracker;

use super::IngestFault;
use crate::aws::{AwsError, Clients};
use crate::error::Kind;
use crate::results::object::S3Uri;
use crate::results::unload::sweep;
use crate::statement::QueryId;

/// Partitions that one call removes.
const PARTITIONS_AT_ONCE: usize = 25;

/// What goes wrong when a table is to take another's place.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SwapError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Fault(#[from] IngestFault),
}

/// The table beside another one. Dropped before it has taken its place, it is removed with its files.
pub struct Replacement {
    beside: Beside,
    /// Removals that are under way; a graceful shutdown waits for them.
    tasks: TaskTracker,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The table may be there, and is nobody's yet.
    Beside,
    /// The statement that was to make it failed, and may have left files.
    Failed(QueryId),
    Swapped,
    /// Glue was told and gave no answer: the files may be the target's by now, or in a moment.
    InDoubt,
}

#[derive(Debug, Clone)]
struct Beside {
    clients: Clients,
    database: String,
    target: String,
    table: String,
}

impl Replacement {
    /// Looks after a table from now on that is to take the place of `target`. Making it is the caller's part.
    pub fn new(clients: &Clients, tasks: &TaskTracker, database: &str, target: &str) -> Self {
        let beside = Beside {
            clients: clients.clone(),
            database: database.to_owned(),
            target: target.to_owned(),
            table: format!("athena_flight_replace_{}", uuid::Uuid::new_v4().simple()),
        };
        Self { beside, tasks: tasks.clone(), state: State::Beside }
    }

    /// Its name.
    pub fn table(&self) -> &str {
        &self.beside.table
    }

    /// The statement that was to make the table failed.
    pub fn failed(mut self, query: QueryId) {
        self.state = State::Failed(query);
    }

    /// Puts the table in its target's place. Not to be dropped halfway: it is run in a task of its own.
    pub async fn swap(mut self) -> Result<(), SwapError> {
        let Beside { database, target, table, .. } = &self.beside;
        let missing = |name: &str| IngestFault::Missing(format!("{database}.{name}"));
        let new = self.beside.find(table).await?.ok_or_else(|| missing(table))?;
        let old = self.beside.find(target).await?.ok_or_else(|| missing(target))?;
        if old.target_table().is_some() {
            return Err(IngestFault::Link(format!("{database}.{target}")).into());
        }
        if let Err(error) = self.beside.update(&new, &old).await {
            match self.beside.find(target).await {
                // The answer was lost, and what it was about was done.
                Ok(Some(now)) if location(&now).is_some() && location(&now) == location(&new) => {
                    tracing::warn!(table = target, %error, "the table was replaced, although Glue gave an error");
                }
                Ok(_) if error.status != 0 => return Err(error.into()),
                _ => {
                    self.state = State::InDoubt;
                    return Err(error.into());
                }
            }
        }
        self.state = State::Swapped;
        if let Err(error) = self.beside.remove_table().await {
            tracing::warn!(table, %error, "the table beside a replaced one could not be removed from Glue");
        }
        if !old.partition_keys().is_empty()
            && let Err(error) = self.beside.remove_partitions().await
        {
            tracing::warn!(table = target, %error, "partitions of the table before could not be removed from Glue");
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        let Beside { table, target, .. } = &self.beside;
        match &self.state {
            State::Swapped => return,
            State::InDoubt => {
                tracing::warn!(
                    table,
                    target,
                    "whether the table was replaced is not known: see, and remove the one beside"
                );
                return;
            }
            State::Beside | State::Failed(_) => {}
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (beside, state) = (self.beside.clone(), self.state.clone());
        let remove = async move {
            if let Err(error) = beside.remove(&state).await {
                tracing::warn!(table = beside.table, %error, "a table that was to replace another could not be removed");
            }
        };
        self.tasks.spawn_on(remove, &runtime);
    }
}

impl Beside {
    async fn find(&self, name: &str) -> Result<Option<Table>, AwsError> {
        let get = self.clients.glue.get_table().set_catalog_id(self.clients.catalog_id.clone());
        match get.database_name(&self.database).name(name).send().await {
            Ok(found) => Ok(found.table),
            Err(error) => match AwsError::new("glue:GetTable", error) {
                error if error.kind == Kind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Makes the target a table over the new one's files. Who owns it, what is said about it and how long it is kept stays.
    async fn update(&self, new: &Table, old: &Table) -> Result<(), AwsError> {
        let input = TableInput::builder()
            .name(&self.target)
            .set_description(old.description.clone())
            .set_owner(old.owner.clone())
            .retention(old.retention)
            .set_table_type(new.table_type.clone())
            .set_parameters(new.parameters.clone())
            .set_storage_descriptor(new.storage_descriptor.clone())
            .build();
        let Ok(input) = input else { return Ok(()) };
        let update = self.clients.glue.update_table().set_catalog_id(self.clients.catalog_id.clone());
        let updated = update.database_name(&self.database).table_input(input).send().await;
        updated.map(drop).map_err(|error| AwsError::new("glue:UpdateTable", error))
    }

    async fn remove_table(&self) -> Result<(), AwsError> {
        let delete = self.clients.glue.delete_table().set_catalog_id(self.clients.catalog_id.clone());
        let deleted = delete.database_name(&self.database).name(&self.table).send().await;
        deleted.map(drop).map_err(|error| AwsError::new("glue:DeleteTable", error))
    }

    async fn remove_partitions(&self) -> Result<(), AwsError> {
        let glue = &self.clients.glue;
        loop {
            // What is removed is not listed again: the first page is always the next one.
            let list =
                glue.get_partitions().set_catalog_id(self.clients.catalog_id.clone()).exclude_column_schema(true);
            let page = list.database_name(&self.database).table_name(&self.target).send().await;
            let page = page.map_err(|error| AwsError::new("glue:GetPartitions", error))?;
            let values =
                |values: &[String]| PartitionValueList::builder().set_values(Some(values.to_vec())).build().ok();
            let partitions = page.partitions().iter().filter_map(|partition| values(partition.values()));
            let partitions: Vec<PartitionValueList> = partitions.collect();
            if partitions.is_empty() {
                return Ok(());
            }
            for some in partitions.chunks(PARTITIONS_AT_ONCE) {
                let delete = glue.batch_delete_partition().set_catalog_id(self.clients.catalog_id.clone());
                let delete = delete.database_name(&self.database).table_name(&self.target);
                let deleted = delete.set_partitions_to_delete(Some(some.to_vec())).send().await;
                let deleted = deleted.map_err(|error| AwsError::new("glue:BatchDeletePartition", error))?;
                if let Some(error) = deleted.errors().first().and_then(|error| error.error_detail()) {
                    let (code, message) = (error.error_code(), error.error_message());
                    return Err(AwsError::said("glue:BatchDeletePartition", code, message));
                }
            }
        }
    }

    /// Removes the table beside and its files, unless they are the target's.
    async fn remove(&self, state: &State) -> Result<(), AwsError> {
        let files = match (self.find(&self.table).await?, state) {
            (Some(table), _) => {
                let is_free = self.find(&self.target).await?.is_none_or(|now| location(&now) != location(&table));
                self.remove_table().await?;
                location(&table).filter(|_| is_free).map(str::to_owned)
            }
            (None, State::Failed(query)) => self.written_by(query).await?,
            (None, _) => None,
        };
        let folder = files.and_then(|files| S3Uri::parse(&format!("{}/", files.trim_end_matches('/'))));
        if let Some(folder) = folder {
            sweep::remove(&self.clients, &folder.bucket, &folder.key).await?;
        }
        Ok(())
    }

    /// Where Athena put the files of a CREATE TABLE AS: `<output location>/tables/<id>`.
    async fn written_by(&self, query: &QueryId) -> Result<Option<String>, AwsError> {
        let got = self.clients.athena.get_query_execution().query_execution_id(query.as_str()).send().await;
        let got = got.map_err(|error| AwsError::new("athena:GetQueryExecution", error))?;
        let results = got.query_execution().and_then(|execution| execution.result_configuration());
        let output = results.and_then(|results| results.output_location());
        Ok(output.filter(|output| output.ends_with(&format!("/tables/{}", query.as_str()))).map(str::to_owned))
    }
}

fn location(table: &Table) -> Option<&str> {
    table.storage_descriptor().and_then(|storage| storage.location())
}
