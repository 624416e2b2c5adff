//! A statement from QUEUED to its end: its place among those that run, its limits, its record.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Permits, RUNNING_AT_ONCE, Shared};
use crate::emulator::engine::{Outcome, Task};
use crate::emulator::model::{Failure, State, now};
use crate::emulator::results::size_of;

/// How often the bytes scanned are looked at.
const CUTOFF_TICK: Duration = Duration::from_millis(20);

impl Shared {
    /// The places for running statements, as many as the settings say.
    pub(super) fn places(&self) -> Arc<Semaphore> {
        let count = self.behaviour.settings().running_queries.unwrap_or(RUNNING_AT_ONCE);
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        if permits.count != count {
            *permits = Permits { count, places: Arc::new(Semaphore::new(count)) };
        }
        Arc::clone(&permits.places)
    }

    /// Takes one statement from QUEUED to its end.
    pub(super) async fn run(self: Arc<Self>, task: Task, cancel: CancellationToken, cutoff: Option<u64>) {
        let (queued, id, scanned) = (Instant::now(), task.id.clone(), Arc::clone(&task.reading.scanned));
        let update_count = task.kind.update_count;
        let shared = Arc::clone(&self);
        // A task of its own: it may compute for long between two awaits, and a stop must not wait for that; and a panic
        // of the engine must end the query, not leave it RUNNING for ever.
        let mut work = tokio::spawn(async move { shared.work(task, queued).await });
        let over = async {
            let Some(cutoff) = cutoff else { return std::future::pending().await };
            while scanned.load(Ordering::Relaxed) <= cutoff {
                tokio::time::sleep(CUTOFF_TICK).await;
            }
        };
        let cancelled =
            |message: &str| Failure { category: 2, error_type: 0, message: message.into(), retryable: false };
        let result = tokio::select! {
            result = &mut work => {
                let result = result.unwrap_or_else(|_| Err(Failure::internal("the engine panicked")));
                Ok(result)
            }
            () = cancel.cancelled() => Err(cancelled("Query cancelled by user")),
            () = over => Err(cancelled("Bytes scanned limit was exceeded")),
        };
        let over = cutoff.is_some_and(|cutoff| scanned.load(Ordering::Relaxed) > cutoff);
        let result = if over { Err(cancelled("Bytes scanned limit was exceeded")) } else { result };
        work.abort();
        let total_ms = queued.elapsed().as_millis() as u64;
        let active = self.active().get(&id).map(|active| active.execution.clone());
        let Some(mut execution) = active else { return };
        execution.completed = Some(now());
        execution.execution_ms = total_ms.saturating_sub(execution.queue_ms);
        execution.scanned_bytes = scanned.load(Ordering::Relaxed);
        match result {
            Ok(Ok(outcome)) => {
                execution.state = State::Succeeded;
                execution.columns = outcome.columns;
                execution.update_count = outcome.update_count.or(update_count);
                execution.manifest = outcome.manifest;
                execution.output_rows = outcome.rows;
                execution.output_bytes =
                    execution.output_location.as_deref().and_then(|place| size_of(&self.buckets, place));
            }
            Ok(Err(failure)) => {
                execution.state = State::Failed;
                execution.failure = Some(failure);
            }
            Err(stopped) => {
                execution.state = State::Cancelled;
                execution.failure = Some(stopped);
            }
        }
        let reusable = execution.state == State::Succeeded && execution.may_be_reused();
        let recorded = self.store.end_execution(&execution).and_then(|()| match reusable {
            true => self.store.put_reusable(&execution.reuse_key(), &execution.id),
            false => Ok(()),
        });
        if let Err(error) = recorded {
            tracing::error!(
                query_id = id,
                error = &error as &dyn std::error::Error,
                "the end of a query was not recorded"
            );
        }
        tracing::debug!(query_id = id, state = execution.state.name(), ms = total_ms, "query ended");
        self.active().remove(&id);
        self.ended.notify_one();
    }

    /// Waits for a place, then runs the statement, with the delays and failures that are asked for.
    pub(super) async fn work(&self, task: Task, queued: Instant) -> Result<Outcome, Failure> {
        let settings = self.behaviour.settings();
        if let Some(delay) = settings.latency.queue {
            tokio::time::sleep(delay.sample()).await;
        }
        let places = self.places();
        let _permit = places.acquire().await;
        let text = self.active().get_mut(&task.id).map(|active| {
            active.execution.state = State::Running;
            active.execution.queue_ms = queued.elapsed().as_millis() as u64;
            active.execution.sql.clone()
        });
        let least = settings.latency.run.map(|delay| tokio::time::Instant::now() + delay.sample());
        let result = match text.and_then(|text| self.behaviour.query_failure(&text)) {
            Some(failure) => Err(failure),
            None => self.engine.run(task).await,
        };
        if let Some(until) = least {
            tokio::time::sleep_until(until).await;
        }
        result
    }
}
