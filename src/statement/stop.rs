//! Stops queries that nobody waits for any more, so that nobody pays for them.

use tokio_util::task::TaskTracker;

use super::QueryId;
use crate::aws::{AwsError, Clients};

/// Asks Athena to stop a query. Stopping one that has ended succeeds.
pub async fn stop(clients: &Clients, id: &QueryId) -> Result<(), AwsError> {
    clients
        .athena
        .stop_query_execution()
        .query_execution_id(id.as_str())
        .send()
        .await
        .map_err(|error| AwsError::new("athena:StopQueryExecution", error))?;
    tracing::info!(query_id = id.as_str(), "query stopped");
    Ok(())
}

/// Stops its query when it is dropped: a caller that goes away drops everything it waited for.
#[derive(Debug)]
pub struct StopOnDrop {
    clients: Clients,
    /// Stops under way; a graceful shutdown waits for them.
    tasks: TaskTracker,
    id: Option<QueryId>,
}

impl StopOnDrop {
    pub fn new(clients: Clients, tasks: TaskTracker, id: QueryId) -> Self {
        Self { clients, tasks, id: Some(id) }
    }

    /// The query has ended by itself.
    pub fn disarm(&mut self) {
        self.id = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(query_id = id.as_str(), "query goes on: the process ended before it could be stopped");
            return;
        };
        let clients = self.clients.clone();
        let stop = async move {
            if let Err(error) = stop(&clients, &id).await {
                tracing::warn!(query_id = id.as_str(), %error, "query could not be stopped");
            }
        };
        self.tasks.spawn_on(stop, &runtime);
    }
}
