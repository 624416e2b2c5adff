//! The rows of a finished query, from wherever they are.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};

use super::{GatewayError, ResultHandle, Rows, Tenant};
use crate::aws::Clients;
use crate::results::object::{Object, S3Uri};
use crate::results::pages::{FirstPage, Page};
use crate::results::unload::manifest;
use crate::results::{ReadError, csv, unload};
use crate::statement::scheduler::Call;
use crate::statement::{QueryId, Scheduler};
use crate::types::column::schema;

pub type Batches = BoxStream<'static, Result<RecordBatch, GatewayError>>;

impl Tenant {
    /// The rows of finished queries, one after the other. Dropping the stream ends the reading.
    pub async fn all_rows(self: &Arc<Self>, handles: Vec<ResultHandle>) -> Result<(SchemaRef, Batches), GatewayError> {
        let mut handles = handles.into_iter();
        let Some(first) = handles.next() else { return Err(GatewayError::Empty) };
        let (schema, batches) = self.rows(&first).await?;
        let (gateway, expected) = (Arc::clone(self), Arc::clone(&schema));
        let others = stream::iter(handles).then(move |handle| {
            let (gateway, expected) = (Arc::clone(&gateway), Arc::clone(&expected));
            async move {
                let (schema, batches) = gateway.rows(&handle).await?;
                same(&expected, &schema).map(|()| batches)
            }
        });
        Ok((schema, batches.chain(others.try_flatten()).boxed()))
    }

    /// The rows of a finished query. Dropping the stream ends the reading.
    pub async fn rows(&self, handle: &ResultHandle) -> Result<(SchemaRef, Batches), GatewayError> {
        let id = handle.id.clone();
        let failed = move |source| GatewayError::Read { query_id: id.clone(), source: Box::new(source) };
        let (schema, batches) = self.read(handle).await.map_err(failed.clone())?;
        let batches = batches.map(move |batch| batch.map_err(&failed)).boxed();
        Ok((schema, self.gateway.streams.guard(&handle.id, &self.gateway.shutdown, batches)))
    }

    async fn read(&self, handle: &ResultHandle) -> Result<(SchemaRef, BoxStream<'static, Item>), ReadError> {
        if let (Rows::Files { manifest, prefix, part, parts }, Some(columns)) = (&handle.rows, &handle.columns) {
            let files = manifest::files(&self.clients, manifest, prefix).await?;
            let own = files.into_iter().skip(*part as usize).step_by((*parts).max(1) as usize).collect();
            let batches = unload::batches(own, &self.clients, columns, self.gateway.budget.share()?);
            return Ok((schema(columns), batches.boxed()));
        }
        let page = self.first_page(handle).await?;
        let schema = schema(&page.columns);
        let batches = match (&handle.rows, &page.next_token) {
            // A statement that only counts has one row, which its pages may lack.
            _ if handle.is_count() && page.batch.is_none() => stream::iter(count(handle, &schema).map(Ok)).boxed(),
            // Small results came with the first page.
            (_, None) => stream::iter(page.batch.clone().map(Ok)).boxed(),
            (Rows::Csv { location, size, etag }, Some(_)) => {
                let object = object(location, *size, etag.clone())?;
                csv::batches(object, &self.clients, &page.columns, self.gateway.budget.share()?).boxed()
            }
            (_, Some(token)) => self.page_by_page(handle, &page, token.clone()),
        };
        Ok((schema, batches))
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

    fn page_by_page(&self, handle: &ResultHandle, page: &FirstPage, token: String) -> BoxStream<'static, Item> {
        let first = page.batch.clone();
        let rows = first.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        let (scheduler, clients) = (self.scheduler.clone(), self.clients.clone());
        let (id, columns) = (handle.id.clone(), Arc::clone(&page.columns));
        let rest = stream::try_unfold((Some(token), rows), move |(token, rows)| {
            let (scheduler, clients) = (scheduler.clone(), clients.clone());
            let (id, columns) = (id.clone(), Arc::clone(&columns));
            async move {
                let Some(token) = token else { return Ok(None) };
                let page = paced_page(&scheduler, &clients, &id, Some(&token)).await?;
                let (batch, next) = page.next(&columns).map_err(|error| error.after(rows))?;
                let rows = rows + batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                Ok(Some((batch, (next, rows))))
            }
        });
        stream::iter(first.map(Ok)).chain(rest.filter_map(|batch| std::future::ready(batch.transpose()))).boxed()
    }
}

async fn paced_page(
    scheduler: &Scheduler,
    clients: &Clients,
    id: &QueryId,
    token: Option<&str>,
) -> Result<Page, ReadError> {
    let is_throttled = |error: &ReadError| matches!(error, ReadError::Aws(error) if error.is_throttled());
    scheduler.paced(Call::Results, is_throttled, || Page::get(clients, id, token)).await
}

type Item = Result<RecordBatch, ReadError>;

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
