//! Stops a query: StopQueryExecution.

use aws_config::retry::RetryConfig;

use super::QueryId;
use crate::aws::{AwsError, Clients};

/// Asks Athena to stop a query. Stopping one that has ended succeeds. It is asked once: the scheduler counts calls and
/// makes them again.
pub async fn stop(clients: &Clients, id: &QueryId) -> Result<(), AwsError> {
    let once = aws_sdk_athena::config::Config::builder().retry_config(RetryConfig::disabled());
    let call = clients.athena.stop_query_execution().query_execution_id(id.as_str());
    let stopped = call.customize().config_override(once).send().await;
    stopped.map_err(|error| AwsError::new("athena:StopQueryExecution", error))?;
    tracing::info!(query_id = id.as_str(), "query stopped");
    Ok(())
}
