//! Rows of a stream into a table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, TryStreamExt};

use super::{GatewayError, Request, Tenant};
use crate::aws::AwsError;
use crate::catalog::{self, Table, TableKind};
use crate::ingest::columns::Stored;
use crate::ingest::replacement::{Replacement, SwapError};
use crate::ingest::staged::Staged;
use crate::ingest::upload::{self, Upload, UploadError};
use crate::ingest::{IfExists, Ingest, IngestFault, pieces, statement};
use crate::memory::{Floor, Purpose, Share};
use crate::results::object::S3Uri;
use crate::results::unload::{prefix, sweep};
use crate::session::{DEFAULT_DATABASE, DEFAULT_WORKGROUP, Session};

impl Tenant {
    /// Puts the rows of a stream into a table, and says how many there were. A stream that breaks off, and a caller that goes
    /// away, leave the table as it was.
    pub async fn ingest<S, E>(
        self: &Arc<Self>,
        session: &Session,
        ingest: Ingest,
        schema: SchemaRef,
        batches: S,
        connection: u64,
    ) -> Result<u64, E>
    where
        S: Stream<Item = Result<RecordBatch, E>> + Send,
        E: From<GatewayError>,
    {
        let _under_way = self.gateway.drain.enter()?;
        self.may_write()?;
        let catalog = ingest.catalog.as_deref().or(session.catalog.as_deref());
        if let Some(other) = catalog.filter(|catalog| !catalog.eq_ignore_ascii_case(catalog::GLUE_CATALOG)) {
            return Err(GatewayError::from(IngestFault::Catalog(other.to_owned())).into());
        }
        let database = ingest.database.as_deref().or(session.database.as_deref()).unwrap_or(DEFAULT_DATABASE);
        let catalog = catalog.map(str::to_owned);
        let session = Session { catalog, database: Some(database.to_owned()), ..session.clone() };
        let found = self.target(&ingest, database).await?;
        let stored = Stored::of(&schema).map_err(GatewayError::from)?;

        let prefix = prefix::new(&self.staging(&session).await?, self.unload_end());
        let mut staged = Staged::new(&self.clients, &self.gateway.tasks, prefix, database);
        let append = match &found {
            Some(table) if ingest.if_exists == IfExists::Append => {
                Some(statement::append(table, &staged.table, &stored).map_err(GatewayError::from)?)
            }
            _ => None,
        };
        let floor = Floor { fetch: upload::SMALL_MEMORY, next: 0 };
        let share = self.gateway.memory.open(&self.owner, floor).await;
        let share = share.map_err(|error| GatewayError::memory(None, error))?;
        let rows = self.stage(&staged, &stored, batches, share).await?;
        staged.create_table(&stored).await.map_err(GatewayError::aws)?;
        let table = ingest.table.to_lowercase();
        let create = |table: &str| statement::create(table, &staged.table, &stored);
        match append {
            Some(append) => self.copy(&session, &append, connection).await?,
            None if found.is_some() => {
                let beside = Replacement::new(&self.clients, &self.gateway.tasks, database, &table);
                self.copy_beside(&session, &create(beside.table()), beside, connection).await?;
            }
            None => self.copy(&session, &create(&table), connection).await?,
        }
        Ok(rows)
    }

    /// Makes a table beside another one, and puts it in its place.
    async fn copy_beside(
        &self,
        session: &Session,
        create: &str,
        beside: Replacement,
        connection: u64,
    ) -> Result<(), GatewayError> {
        if let Err(error) = self.copy(session, create, connection).await {
            if let Some(query) = error.query_id() {
                beside.failed(query.clone());
            }
            return Err(error);
        }
        // Whoever goes away now does not leave it half done.
        let swapped = self.gateway.tasks.spawn(beside.swap()).await;
        self.forget_catalog();
        swapped.map_err(|_| GatewayError::Stopping)?.map_err(GatewayError::from)
    }

    /// The table that rows are to go into, if there is one and that is how it is to be.
    async fn target(&self, ingest: &Ingest, database: &str) -> Result<Option<Table>, GatewayError> {
        let name = || format!("{database}.{}", ingest.table);
        let found = self.catalog.find_table(database, &ingest.table.to_lowercase()).await;
        match found.map_err(GatewayError::aws)? {
            None if !ingest.create => Err(IngestFault::Missing(name()).into()),
            Some(_) if ingest.if_exists == IfExists::Fail => Err(IngestFault::Exists(name()).into()),
            Some(table) if table.kind == TableKind::View => Err(IngestFault::View(name()).into()),
            Some(table) if ingest.if_exists == IfExists::Replace => match table.kind {
                TableKind::Iceberg => Err(IngestFault::NotReplaced { table: name(), kind: "an Iceberg table" }.into()),
                TableKind::Governed => Err(IngestFault::NotReplaced { table: name(), kind: "a governed table" }.into()),
                TableKind::External | TableKind::View => Ok(Some(table)),
            },
            found => Ok(found),
        }
    }

    /// Where rows are staged: with the results.
    async fn staging(&self, session: &Session) -> Result<String, GatewayError> {
        let output = match &session.s3_staging_dir {
            Some(folder) => Some(folder.clone()),
            None => {
                let name = session.workgroup.as_deref().unwrap_or(DEFAULT_WORKGROUP);
                let workgroup = self.clients.athena.get_work_group().work_group(name).send().await;
                let workgroup =
                    workgroup.map_err(|error| GatewayError::aws(AwsError::new("athena:GetWorkGroup", error)))?;
                let configuration = workgroup.work_group().and_then(|group| group.configuration());
                let results = configuration.and_then(|configuration| configuration.result_configuration());
                results.and_then(|results| results.output_location()).map(str::to_owned)
            }
        };
        let is_folder = |output: &String| S3Uri::parse(&format!("{}x", prefix::folder(output))).is_some();
        let output = output.filter(is_folder);
        let output = output.ok_or(IngestFault::NoStaging)?;
        self.gateway.outputs.add(&prefix::folder(&output), &self.clients);
        Ok(output)
    }

    fn unload_end(&self) -> i64 {
        sweep::now() + self.gateway.settings.unload_ttl.as_secs() as i64
    }

    /// Writes the stream to a file: a small one within the floor, a larger one with all the memory that an upload takes, which
    /// is asked for at once, so that uploads never wait for each other with half of it.
    async fn stage<S, E>(&self, staged: &Staged, stored: &Stored, batches: S, share: Share) -> Result<u64, E>
    where
        S: Stream<Item = Result<RecordBatch, E>> + Send,
        E: From<GatewayError>,
    {
        let mut grant = None;
        let to = S3Uri::parse(&format!("{}rows.parquet", staged.prefix));
        let to = to.ok_or_else(|| GatewayError::from(IngestFault::NoStaging))?;
        let upload = Upload::new(&self.clients, &self.gateway.tasks, to, Arc::clone(&stored.schema));
        let mut upload = upload.map_err(GatewayError::from)?;
        let mut batches = std::pin::pin!(batches);
        loop {
            let next = tokio::select! {
                next = batches.try_next() => next?,
                () = self.gateway.shutdown.cancelled() => return Err(GatewayError::Stopping.into()),
            };
            let Some(batch) = next else { break };
            for piece in pieces::of(&batch).map_err(GatewayError::from)? {
                let piece = stored.convert(&piece).map_err(GatewayError::from)?;
                if grant.is_none() && upload.memory() + piece.get_array_memory_size() > upload::SMALL_MEMORY {
                    let all = share.acquire_some(Purpose::Fetch, upload::MEMORY, upload::MEMORY).await;
                    grant = Some(all.map_err(|error| GatewayError::memory(None, error))?);
                }
                upload.write(piece).await.map_err(GatewayError::from)?;
            }
        }
        Ok(upload.finish().await.map_err(GatewayError::from)?)
    }

    async fn copy(&self, session: &Session, sql: &str, connection: u64) -> Result<(), GatewayError> {
        self.run(Request { session, sql, rows: &[], phase: None, connection }).await.map(drop)
    }
}

impl From<IngestFault> for GatewayError {
    fn from(fault: IngestFault) -> Self {
        Self::Ingest(fault)
    }
}

impl From<UploadError> for GatewayError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Aws(error) => Self::aws(error),
            UploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<SwapError> for GatewayError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Aws(error) => Self::aws(error),
            SwapError::Fault(fault) => fault.into(),
        }
    }
}
