//! The table over a staged file: made for one statement, and removed with the file when it is dropped.

use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, TableInput};
use tokio_util::task::TaskTracker;

use super::columns::Stored;
use crate::aws::{AwsError, Clients};
use crate::results::object::S3Uri;
use crate::results::unload::sweep;

/// What Glue calls a Parquet table's reader and formats.
const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
const INPUT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
const OUTPUT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";

/// A staged file, and the table over it once there is one.
pub struct Staged {
    clients: Clients,
    /// Removals that are under way; a graceful shutdown waits for them.
    tasks: TaskTracker,
    pub prefix: String,
    database: String,
    pub table: String,
    has_table: bool,
}

impl Staged {
    /// Looks after a prefix from now on.
    pub fn new(clients: &Clients, tasks: &TaskTracker, prefix: String, database: &str) -> Self {
        let table = format!("athena_flight_ingest_{}", uuid::Uuid::new_v4().simple());
        let (clients, tasks) = (clients.clone(), tasks.clone());
        Self { clients, tasks, prefix, database: database.to_owned(), table, has_table: false }
    }

    /// Puts a table over the prefix.
    pub async fn create_table(&mut self, stored: &Stored) -> Result<(), AwsError> {
        let column = |(name, data_type): &(String, crate::types::AthenaType)| {
            Column::builder().name(name).r#type(data_type.hive()).build().ok()
        };
        let storage = StorageDescriptor::builder()
            .set_columns(Some(stored.columns.iter().filter_map(column).collect()))
            .location(&self.prefix)
            .input_format(INPUT)
            .output_format(OUTPUT)
            .serde_info(SerDeInfo::builder().serialization_library(SERDE).build())
            .build();
        let input = TableInput::builder()
            .name(&self.table)
            .table_type("EXTERNAL_TABLE")
            .parameters("EXTERNAL", "TRUE")
            .storage_descriptor(storage)
            .build();
        let Ok(input) = input else { return Ok(()) };
        self.has_table = true;
        let create = self.clients.glue.create_table().set_catalog_id(self.clients.catalog_id.clone());
        let created = create.database_name(&self.database).table_input(input).send().await;
        created.map(drop).map_err(|error| AwsError::new("glue:CreateTable", error))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let delete = self.clients.glue.delete_table().set_catalog_id(self.clients.catalog_id.clone());
        let delete = delete.database_name(&self.database).name(&self.table);
        let delete = self.has_table.then_some(delete);
        let (clients, prefix) = (self.clients.clone(), self.prefix.clone());
        let remove = async move {
            if let Some(delete) = delete
                && let Err(error) = delete.send().await
            {
                let error = AwsError::new("glue:DeleteTable", error);
                tracing::warn!(prefix, %error, "the table over staged rows could not be removed");
            }
            if let Some(uri) = S3Uri::parse(&prefix)
                && let Err(error) = sweep::remove(&clients, &uri.bucket, &uri.key).await
            {
                tracing::warn!(prefix, %error, "staged rows could not be removed now; they are when their time is over");
            }
        };
        self.tasks.spawn_on(remove, &runtime);
    }
}
