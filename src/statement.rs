//! A statement on its way through Athena: told apart, given its values, started, waited for, stopped, described.

pub mod bind;
pub mod classify;
pub mod describe;
pub mod poller;
pub mod stop;
pub mod submit;
pub mod unload;

pub use classify::{Class, Statement};
pub use poller::{Look, Outcome, Poller, QueryState};

/// Athena's id of a query execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(String);

impl QueryId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for QueryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
