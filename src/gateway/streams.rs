//! The streams of rows under way, so that they can be cancelled by their query's id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::GatewayError;
use crate::statement::QueryId;

/// All of them. Cloning shares it.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<QueryId, Vec<CancellationToken>>>>);

/// Takes its stream off the list when it ends.
struct Registered {
    streams: Streams,
    id: QueryId,
    token: CancellationToken,
}

impl Streams {
    /// Items until the end, the cancellation or the shutdown, which is then the last one.
    pub fn guard<T: Send + 'static>(
        &self,
        id: &QueryId,
        shutdown: &CancellationToken,
        items: BoxStream<'static, Result<T, GatewayError>>,
    ) -> BoxStream<'static, Result<T, GatewayError>> {
        let registered = self.register(id);
        let (id, shutdown) = (id.clone(), shutdown.clone());
        let stopped = async move {
            tokio::select! {
                () = registered.token.cancelled() => {
                    let reason = "cancelled while its rows were sent".to_owned();
                    GatewayError::Cancelled { query_id: id, reason }
                }
                () = shutdown.cancelled() => GatewayError::Stopping,
            }
        };
        let stopped = stream::once(stopped).map(|error| Some(Err(error))).boxed();
        let items = items.map(Some).chain(stream::once(async { None }));
        let both = stream::select_with_strategy(stopped, items, |_: &mut ()| stream::PollNext::Left);
        let until_end = both.scan(false, |over, item| {
            let item = if *over { None } else { item };
            *over = matches!(item, Some(Err(_)));
            std::future::ready(item)
        });
        until_end.boxed()
    }

    fn register(&self, id: &QueryId) -> Registered {
        let token = CancellationToken::new();
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(id.clone()).or_default().push(token.clone());
        Registered { streams: self.clone(), id: id.clone(), token }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }

    /// Ends the streams of a query, and says whether there were any.
    pub fn cancel(&self, id: &QueryId) -> bool {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = streams.get(id);
        found.into_iter().flatten().for_each(CancellationToken::cancel);
        found.is_some()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Cancelling marks it: clones of a token cannot be told apart otherwise.
        self.token.cancel();
        let mut streams = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = streams.get_mut(&self.id) {
            tokens.retain(|token| !token.is_cancelled());
            if tokens.is_empty() {
                streams.remove(&self.id);
            }
        }
    }
}
