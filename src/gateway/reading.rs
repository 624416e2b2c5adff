//! The rows of a finished query, from wherever they are.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};

use super::{GatewayError, ResultHandle, Rows, Tenant};
use crate::aws::Clients;
use crate::memory::{Floor, MemoryError, Purpose, Share};
use crate::results::object::{Object, S3Uri};
use crate::results::pages::{FirstPage, Page};
use crate::results::rows::BATCH_MEMORY;
use crate::results::unload::manifest;
use crate::results::{GrantedBatch, ReadError, csv, unload};
use crate::statement::scheduler::Call;
use crate::statement::{QueryId, Scheduler};
use crate::types::column::schema;

pub type Batches = BoxStream<'static, Result<GrantedBatch, GatewayError>>;

/// Rows on their way to a client.
pub struct RowStream {
    pub schema: SchemaRef,
    pub batches: Batches,
    /// The memory that they are in.
    pub share: Share,
}

/// What pages take as they come, and what is made of one.
const PAGE_FLOOR: Floor = Floor { fetch: 1 << 20, next: BATCH_MEMORY };

impl Tenant {
    /// The rows of finished queries, one after the other. Dropping the stream ends the reading.
    pub async fn all_rows(self: &Arc<Self>, handles: Vec<ResultHandle>) -> Result<RowStream, GatewayError> {
        let mut handles = handles.into_iter();
        let Some(first) = handles.next() else { return Err(GatewayError::Empty) };
        if handles.len() == 0 {
            return self.rows(&first).await;
        }
        let share = self.gateway.memory.open(&self.owner, PAGE_FLOOR).await;
        let share = share.map_err(|error| GatewayError::memory(Some(first.id.clone()), error))?;
        let RowStream { schema, batches, share } = self.rows_within(&first, Some(share)).await?;
        let (tenant, expected, shared) = (Arc::clone(self), Arc::clone(&schema), share.clone());
        let others = stream::iter(handles).then(move |handle| {
            let (tenant, expected, share) = (Arc::clone(&tenant), Arc::clone(&expected), shared.clone());
            async move {
                let RowStream { schema, batches, .. } = tenant.rows_within(&handle, Some(share)).await?;
                same(&expected, &schema).map(|()| batches)
            }
        });
        Ok(RowStream { schema, batches: batches.chain(others.try_flatten()).boxed(), share })
    }

    /// The rows of a finished query. Dropping the stream ends the reading.
    pub async fn rows(&self, handle: &ResultHandle) -> Result<RowStream, GatewayError> {
        self.rows_within(handle, None).await
    }

    /// The same in the memory that there is already, if there is.
    async fn rows_within(&self, handle: &ResultHandle, share: Option<Share>) -> Result<RowStream, GatewayError> {
        let id = handle.id.clone();
        let failed = move |source| GatewayError::Read { query_id: id.clone(), source: Box::new(source) };
        let (schema, batches, share) = self.read(handle, share).await.map_err(failed.clone())?;
        let batches = batches.map(move |batch| batch.map_err(&failed)).boxed();
        let batches = self.gateway.streams.guard(&handle.id, &self.gateway.shutdown, batches);
        Ok(RowStream { schema, batches, share })
    }

    async fn read(&self, handle: &ResultHandle, share: Option<Share>) -> Result<Read, ReadError> {
        let open = async |floor| match share {
            Some(share) => Ok::<_, MemoryError>(share),
            None => self.gateway.memory.open(&self.owner, floor).await,
        };
        if let (Rows::Files { manifest, prefix, part, parts }, Some(columns)) = (&handle.rows, &handle.columns) {
            let share = open(unload::FLOOR).await?;
            let files = manifest::files(&self.clients, manifest, prefix).await?;
            let own = files.into_iter().skip(*part as usize).step_by((*parts).max(1) as usize).collect();
            let batches = unload::batches(own, &self.clients, columns, share.clone());
            return Ok((schema(columns), batches.boxed(), share));
        }
        let page = self.first_page(handle).await?;
        let schema = schema(&page.columns);
        let (batches, share) = match (&handle.rows, &page.next_token) {
            // A statement that only counts has one row, which its pages may lack.
            _ if handle.is_count() && page.batch.is_none() => {
                let share = open(page_floor(&page)).await?;
                let count = count(handle, &schema).map(|batch| Ok(batch.into()));
                (stream::iter(count).boxed(), share)
            }
            // Small results came with the first page.
            (_, None) => {
                let share = open(page_floor(&page)).await?;
                let batch = page.batch.clone().map(|batch| Ok(counted(batch, &share)));
                (stream::iter(batch).boxed(), share)
            }
            (Rows::Csv { location, size, etag }, Some(_)) => {
                let object = object(location, *size, etag.clone())?;
                let share = open(csv::floor(*size, page.columns.len())).await?;
                (csv::batches(object, &self.clients, &page.columns, share.clone()).boxed(), share)
            }
            (_, Some(token)) => {
                let share = open(PAGE_FLOOR).await?;
                (self.page_by_page(handle, &page, token.clone(), share.clone()), share)
            }
        };
        Ok((schema, batches, share))
    }

    /// The first page, kept for a while between GetFlightInfo and DoGet.
    async fn first_page(&self, handle: &ResultHandle) -> Result<Arc<FirstPage>, ReadError> {
        let get = async {
            let page = self.page(&handle.id, None).await?;
            let columns = match &handle.columns {
                Some(columns) => Arc::clone(columns),
                None => page.columns()?.into(),
            };
            page.first(&columns, handle.has_header()).map(Arc::new)
        };
        let key = (self.owner.clone(), handle.id.clone());
        let page = self.gateway.knowledge.first_pages.try_get_with(key, get).await;
        page.map_err(|error| error.as_ref().clone())
    }

    /// A page, inside the account's quota.
    pub(super) async fn page(&self, id: &QueryId, token: Option<&str>) -> Result<Page, ReadError> {
        paced_page(&self.scheduler, &self.clients, id, token).await
    }

    fn page_by_page(
        &self,
        handle: &ResultHandle,
        page: &FirstPage,
        token: String,
        share: Share,
    ) -> BoxStream<'static, Item> {
        let first = page.batch.clone().map(|batch| counted(batch, &share));
        let rows = first.as_ref().map_or(0, |first| first.batch.num_rows() as u64);
        let (scheduler, clients) = (self.scheduler.clone(), self.clients.clone());
        let (id, columns) = (handle.id.clone(), Arc::clone(&page.columns));
        let rest = stream::try_unfold((Some(token), rows), move |(token, rows)| {
            let (scheduler, clients, share) = (scheduler.clone(), clients.clone(), share.clone());
            let (id, columns) = (id.clone(), Arc::clone(&columns));
            async move {
                let Some(token) = token else { return Ok(None) };
                let _page = share.acquire(Purpose::Fetch, PAGE_FLOOR.fetch, PAGE_FLOOR.fetch).await?;
                let mut grant = share.acquire(Purpose::Next, PAGE_FLOOR.next, PAGE_FLOOR.next).await?;
                let page = paced_page(&scheduler, &clients, &id, Some(&token)).await?;
                let (batch, next) = page.next(&columns).map_err(|error| error.after(rows))?;
                let rows = rows + batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                let batch = batch.map(|batch| {
                    grant.resize(batch.get_array_memory_size());
                    GrantedBatch { batch, grant: Some(grant) }
                });
                Ok(Some((batch, (next, rows))))
            }
        });
        stream::iter(first.map(Ok)).chain(rest.filter_map(|batch| std::future::ready(batch.transpose()))).boxed()
    }
}

/// What the rows of a result that is one page take.
fn page_floor(page: &FirstPage) -> Floor {
    Floor { fetch: 0, next: page.size() }
}

/// A batch of the first page, which may be forgotten before it is sent.
fn counted(batch: RecordBatch, share: &Share) -> GrantedBatch {
    let grant = share.count(Purpose::Next, batch.get_array_memory_size());
    GrantedBatch { batch, grant: Some(grant) }
}

async fn paced_page(
    scheduler: &Scheduler,
    clients: &Clients,
    id: &QueryId,
    token: Option<&str>,
) -> Result<Page, ReadError> {
    let is_throttled = |error: &ReadError| matches!(error, ReadError::Aws(error) if error.is_throttled());
    scheduler.paced(Call::Results, is_throttled, || Box::pin(Page::get(clients, id, token))).await
}

type Item = Result<GrantedBatch, ReadError>;
type Read = (SchemaRef, BoxStream<'static, Item>, Share);

/// Whether two results have the same columns.
pub(super) fn same(one: &SchemaRef, other: &SchemaRef) -> Result<(), GatewayError> {
    if one == other {
        return Ok(());
    }
    let names = |schema: &SchemaRef| {
        let columns = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        columns.collect::<Vec<_>>().join(", ")
    };
    Err(GatewayError::Differing(format!("({}) and ({})", names(one), names(other))))
}

fn count(handle: &ResultHandle, schema: &SchemaRef) -> Option<RecordBatch> {
    let count = Int64Array::from(vec![handle.update_count?]);
    RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(count)]).ok()
}

fn object(location: &str, size: u64, etag: Option<String>) -> Result<Object, ReadError> {
    let uri = S3Uri::parse(location)
        .ok_or_else(|| ReadError::Object { location: location.to_owned(), why: "not an s3:// location".to_owned() })?;
    Ok(Object { uri, size, etag })
}
