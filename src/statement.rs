//! A statement on its way through Athena: told apart, given its values, started, waited for, stopped, described.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`classify`] | what kind of statement a text is |
//! | [`bind`] | its parameters and their values |
//! | [`describe`] | its columns and tables before it runs, as Athena says |
//! | [`names`] | the tables that its text names |
//! | [`unload`] | a query as an UNLOAD |
//! | [`scheduler`] | started, asked about and stopped, inside the account's quotas |
//! | [`submit`], [`stop`] | StartQueryExecution, StopQueryExecution |
//! | [`outcome`] | what Athena says of a query |

pub mod bind;
pub mod classify;
pub mod describe;
pub mod names;
pub mod outcome;
pub mod scheduler;
pub mod stop;
pub mod submit;
pub mod unload;
pub mod values;

pub use classify::{Class, Statement};
pub use outcome::{Look, Outcome, QueryState};
pub use scheduler::{ScheduleError, Scheduler, SchedulerOptions};

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
