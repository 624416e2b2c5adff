//! Starting statements: who is next, inside the account's quotas, and what becomes of a start.

use std::sync::Arc;

use tokio::time::Instant;

use super::{FIRST_RETRY, Inner, MAX_RETRY, Running, ScheduleError, State, Update, Waiting, is_outage, jittered};
use crate::aws::AwsError;
use crate::owner::Owner;
use crate::statement::{QueryId, submit};

/// Athena's word for too many statements at once; too many calls are a ThrottlingException.
const TOO_MANY: &str = "TooManyRequestsException";

impl State {
    /// The statements to start now, and when there may be more.
    pub(super) fn take_starts(&mut self, now: Instant) -> (Vec<(u64, Waiting)>, Option<Instant>) {
        let mut starts = Vec::new();
        while self.queue.len() > 0 {
            let in_flight = self.in_flight();
            if !self.slots.has_room(in_flight, now) {
                return (starts, Some(self.slots.next(now)));
            }
            if self.starts.available(now) == 0 {
                return (starts, Some(self.starts.next(now)));
            }
            let owners = &self.owners;
            let may_start = |owner: &Owner| {
                owners.get(owner).is_none_or(|used| used.limit.is_none_or(|limit| used.under_way < limit))
            };
            // All who wait have as many under way as they may: an end wakes us.
            let Some((ticket, waiting)) = self.queue.pop(may_start) else { break };
            let owner = &waiting.job.lane.owner;
            if waiting.updates.is_closed() {
                self.unqueue(owner);
                continue;
            }
            self.starts.try_take(now);
            self.starting += 1;
            let used = self.used(owner);
            used.under_way += 1;
            used.waiting -= 1;
            starts.push((ticket, waiting));
        }
        (starts, None)
    }
}

impl Inner {
    /// Starts a statement. While AWS cannot be reached, it is tried again as any call is: nothing is lost yet. A throttled one goes back
    /// to the queue.
    pub(super) async fn start(self: Arc<Self>, ticket: u64, waiting: Waiting) {
        let give_up = Instant::now() + waiting.job.clients.call_timeout();
        let mut pause = FIRST_RETRY;
        let mut attempts_left = waiting.job.clients.max_attempts();
        loop {
            attempts_left -= 1;
            let job = &waiting.job;
            match submit::start(&job.clients, &job.session, &job.bound, &waiting.token).await {
                Ok(id) => return self.started(ticket, waiting, id),
                Err(error) if error.is_throttled() => return self.refused(ticket, waiting, &error),
                Err(error) if is_outage(&error) && attempts_left > 0 && Instant::now() + pause < give_up => {
                    tracing::info!(%error, "statement could not be started yet");
                    tokio::select! {
                        () = tokio::time::sleep(jittered(pause)) => {}
                        () = waiting.updates.closed() => return self.not_started(waiting, None),
                    }
                    pause = (pause * 2).min(MAX_RETRY);
                }
                Err(error) => return self.not_started(waiting, Some(error)),
            }
        }
    }

    fn started(self: &Arc<Self>, ticket: u64, waiting: Waiting, id: QueryId) {
        let Waiting { job, updates, .. } = waiting;
        let now = Instant::now();
        let mut state = self.state();
        state.starting -= 1;
        state.slots.started();
        // Nobody waits for it any more: they went away while it was being started.
        if updates.is_closed() {
            state.release(&job.lane.owner);
            drop(state);
            return self.stop(job.clients.clone(), id);
        }
        updates.send_replace(Update::Started(id.clone()));
        let due = now + state.expectations.first_look(job.kind, job.text());
        let running = Running { job, id, started: now, due, looking: 0, looked_at: now, failing_since: None, updates };
        state.running.insert(ticket, running);
        drop(state);
        self.wake.notify_one();
    }

    /// AWS would not start it now: too many calls, or too many statements.
    fn refused(&self, ticket: u64, waiting: Waiting, error: &AwsError) {
        let now = Instant::now();
        let mut state = self.state();
        state.starting -= 1;
        let in_flight = state.in_flight();
        if error.code == TOO_MANY {
            state.slots.refused(in_flight, now);
        } else {
            state.starts.throttled(now);
        }
        tracing::debug!(%error, in_flight, rate = state.starts.rate(), slots = state.slots.limit(), "start refused for now");
        let lane = waiting.job.lane.clone();
        let used = state.used(&lane.owner);
        used.under_way -= 1;
        if waiting.updates.is_closed() {
            state.forget(&lane.owner);
        } else {
            used.waiting += 1;
            let bytes = waiting.job.bytes();
            state.queue.push_front(ticket, &lane, bytes, waiting);
        }
        drop(state);
        self.wake.notify_one();
    }

    fn not_started(&self, waiting: Waiting, error: Option<AwsError>) {
        let mut state = self.state();
        state.starting -= 1;
        state.release(&waiting.job.lane.owner);
        drop(state);
        if let Some(source) = error {
            let result = Err(ScheduleError::Aws { query_id: None, source });
            waiting.updates.send_replace(Update::Ended(Box::new(result)));
        }
        self.wake.notify_one();
    }
}
