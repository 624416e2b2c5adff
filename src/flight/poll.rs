//! PollFlightInfo: a statement is started, and asked for until it has run. The descriptor of each answer is the next poll's.
//!
//! The statement runs in this gateway, which stops it when nobody has asked for a while: polls of one statement have to
//! reach the same gateway. Everything it gives then can be read at any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::Any;
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use bytes::Bytes;
use prost::Message;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tracing::Instrument as _;

use super::callers::Caller;
use super::service::FlightSql;
use super::ticket::now;
use crate::gateway::Phase;
use crate::owner::Owner;
use crate::session::Session;
use crate::statement::QueryState;
use crate::statement::scheduler::Place;

/// The type of the message in a poll's descriptor.
const HANDLE_TYPE: &str = "type.googleapis.com/athena_flight.PollHandle";
/// Longest time that one poll waits for the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a caller's own deadline, what a poll waits: the answer has to travel.
const SHARE_OF_DEADLINE: f64 = 0.8;
/// A statement that nobody asks for is stopped after so long, and the answer of one that has run is forgotten.
const LEASE: Duration = Duration::from_secs(60);
/// Statements that are followed at once, and those of one owner.
const MAX_FOLLOWED: usize = 4000;
const MAX_FOLLOWED_OF_OWNER: usize = 1000;

/// The statements that are followed. Cloning shares them.
#[derive(Clone, Default)]
pub struct Polls(Arc<Mutex<HashMap<Vec<u8>, Followed>>>);

/// What is kept of one. Dropping it stops the statement.
struct Followed {
    owner: Owner,
    end: watch::Receiver<Option<Result<FlightInfo, Status>>>,
    phase: watch::Receiver<Phase>,
    asked: watch::Sender<Instant>,
}

/// Whether a descriptor is that of a poll which came before.
pub fn handle(descriptor: &FlightDescriptor) -> Option<Bytes> {
    let any = Any::decode(&*descriptor.cmd).ok()?;
    (any.type_url == HANDLE_TYPE).then_some(any.value)
}

/// Starts a statement, or goes on waiting for one, and answers when it has run or the patience is over.
pub async fn poll(
    caller: &Caller,
    session: &Session,
    descriptor: FlightDescriptor,
    deadline: Option<Duration>,
) -> Result<PollInfo, Status> {
    let server = &caller.server;
    let id = match handle(&descriptor) {
        Some(handle) => server.keys.read_poll_handle(&handle)?,
        None => start(server, session, descriptor, caller.connection)?,
    };
    let patience = deadline.map_or(PATIENCE, |deadline| deadline.mul_f64(SHARE_OF_DEADLINE).min(PATIENCE));
    server.shared.polls.wait(server, id, patience).await
}

/// Stops a statement that is followed, and says whether there was one.
pub fn cancel(server: &FlightSql, handle: &[u8]) -> Result<bool, Status> {
    let id = server.keys.read_poll_handle(handle)?;
    Ok(server.shared.polls.remove(&id))
}

fn start(
    server: &Arc<FlightSql>,
    session: &Session,
    descriptor: FlightDescriptor,
    connection: u64,
) -> Result<Vec<u8>, Status> {
    let id = uuid::Uuid::new_v4().as_bytes().to_vec();
    let ((ended, end), (phases, phase)) = (watch::channel(None), watch::channel(Phase::default()));
    let (asked, mut asks) = watch::channel(Instant::now());
    let owner = server.tenant.owner.clone();
    server.shared.polls.insert(id.clone(), Followed { owner, end, phase, asked })?;
    let (server, session, own) = (Arc::clone(server), session.clone(), id.clone());
    let following = async move {
        let run = async {
            let info = server.info(&session, descriptor, Some(&phases), connection).await;
            ended.send_replace(Some(info));
            std::future::pending::<()>().await
        };
        // Until nobody asks any more: the statement is dropped with this.
        let abandoned = async {
            loop {
                let last = *asks.borrow_and_update();
                tokio::select! {
                    changed = asks.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep_until(last + LEASE) => return,
                }
            }
        };
        tokio::select! {
            () = run => {}
            () = abandoned => {}
        }
        server.shared.polls.remove(&own);
    };
    tokio::spawn(following.in_current_span());
    Ok(id)
}

impl Polls {
    fn insert(&self, id: Vec<u8>, followed: Followed) -> Result<(), Status> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.values().filter(|other| other.owner == followed.owner).count();
        if own >= MAX_FOLLOWED_OF_OWNER || all.len() >= MAX_FOLLOWED {
            let count = if own >= MAX_FOLLOWED_OF_OWNER { own } else { all.len() };
            let why = format!("{count} statements are being polled for: try again when some have ended");
            return Err(Status::resource_exhausted(why));
        }
        all.insert(id, followed);
        Ok(())
    }

    fn remove(&self, id: &[u8]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }

    async fn wait(&self, server: &FlightSql, id: Vec<u8>, patience: Duration) -> Result<PollInfo, Status> {
        let (mut end, phase) = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let followed = all.get(&id).ok_or_else(|| {
                Status::not_found(
                    "this statement was cancelled, or not asked for in time, or is followed by another gateway",
                )
            })?;
            followed.asked.send_replace(Instant::now());
            (followed.end.clone(), followed.phase.clone())
        };
        let _ = tokio::time::timeout(patience, end.wait_for(Option::is_some)).await;
        let ended = end.borrow().clone();
        match ended {
            Some(info) => {
                let info = info?;
                Ok(PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time: None })
            }
            None => Ok(unfinished(server, &id, &phase.borrow())),
        }
    }
}

/// The answer while the statement runs. How much of it is done Athena does not say; what it does is in `app_metadata`.
fn unfinished(server: &FlightSql, id: &[u8], phase: &Phase) -> PollInfo {
    let expires_at = now() + LEASE.as_secs() as i64;
    let any = Any { type_url: HANDLE_TYPE.to_owned(), value: server.keys.poll_handle(id, expires_at) };
    let next =
        FlightDescriptor { r#type: DescriptorType::Cmd as i32, cmd: any.encode_to_vec().into(), path: Vec::new() };
    // `WAITING` is the gateway's queue, `QUEUED` Athena's.
    let place = phase.waits.as_ref().and_then(Place::now);
    let state = match phase.look.map(|look| look.state) {
        Some(QueryState::Running) => "RUNNING",
        _ if place.is_some() => "WAITING",
        _ => "QUEUED",
    };
    let figures = json!({
        "queue_position": place,
        "query_id": phase.query_id.as_ref().map(|id| id.as_str()),
        "state": state,
        "data_scanned_bytes": phase.look.map(|look| look.scanned_bytes),
    });
    let info = FlightInfo::new().with_descriptor(next.clone()).with_app_metadata(figures.to_string());
    PollInfo { info: Some(info), flight_descriptor: Some(next), progress: None, expiration_time: None }
}
