//! A statement that is asked for.

use tokio::sync::watch;

use crate::session::Session;
use crate::statement::bind::Row;
use crate::statement::scheduler::{Place, Progress};
use crate::statement::{Look, QueryId};

/// A statement, with what and for whom it is run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub session: &'a Session,
    pub sql: &'a str,
    /// Values for its parameters; it is run once for each row, and once if there are none.
    pub rows: &'a [Row],
    /// Who wants to know how far it is.
    pub phase: Option<&'a watch::Sender<Phase>>,
    /// The connection it came by: those of one owner take turns.
    pub connection: u64,
}

/// How far a statement is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Phase {
    /// The place in the queue of a statement that waits to be started.
    pub waits: Option<Place>,
    /// The query that runs now, or ran last.
    pub query_id: Option<QueryId>,
    pub look: Option<Look>,
}

impl Request<'_> {
    /// The query that runs now, or ran last.
    pub(super) fn query_id(&self) -> Option<QueryId> {
        self.phase.and_then(|phase| phase.borrow().query_id.clone())
    }

    pub(super) fn tell(&self, progress: &Progress) {
        let Some(phase) = self.phase else { return };
        let (waits, query_id, look) = match progress {
            Progress::Waiting(place) => (Some(place.clone()), None, None),
            Progress::Started(id) => (None, Some(id.clone()), None),
            Progress::Look(id, look) => (None, Some(id.clone()), Some(*look)),
        };
        phase.send_replace(Phase { waits, query_id, look });
    }
}
