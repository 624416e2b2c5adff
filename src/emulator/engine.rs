//! Runs statements: SQL in, result objects and catalog changes out. DataFusion does the work; the modules around it make
//! it answer as Athena's engine would.
//!
//! | module | says |
//! | --- | --- |
//! | [`session`] | a query in its context → a plan with Athena's names and types |
//! | [`catalog`], [`table`], [`view`] | names → files to scan |
//! | [`arithmetic`], [`aggregates`], [`cast`], [`functions`], [`typecheck`] | Trino's semantics |
//! | [`types`], [`text`] | the engine's Arrow ↔ Athena's types and texts |
//! | [`query`], [`explain`], [`ddl`], [`show`] | what each kind of statement does |
//! | [`errors`] | what went wrong, in Trino's words |

mod aggregates;
mod arithmetic;
mod cast;
mod catalog;
mod ddl;
mod errors;
mod explain;
mod functions;
mod query;
mod scanned;
pub mod session;
mod show;
mod table;
mod text;
mod typecheck;
mod types;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::model::{Failure, ResultColumn};
use super::sql::Statement;
use super::sql::statement::Kind;
use super::store::{Store, StoreError};
use session::{Context, Sessions};

pub use ddl::discover;
pub use query::local_columns;

/// Memory that all queries together may use before they spill to disk.
const MEMORY_BYTES: usize = 2 << 30;

pub struct Engine {
    sessions: Arc<Sessions>,
}

/// A statement to run, and where its result goes.
pub struct Task {
    pub id: String,
    pub statement: Statement,
    pub kind: Kind,
    pub context: Context,
    /// The result object; `None` for kinds that leave none.
    pub output: Option<String>,
    pub scanned: Arc<AtomicU64>,
}

impl Engine {
    pub fn new(store: Arc<Store>, buckets: PathBuf) -> Self {
        let parallelism = std::thread::available_parallelism().map_or(2, usize::from);
        Self { sessions: Arc::new(Sessions::new(store, buckets, MEMORY_BYTES, parallelism)) }
    }

    /// Checks what Athena checks before it records an execution: DESCRIBE and SHOW COLUMNS need their table
    /// (athena-behaviour, section 2). Gives the kind, which for DESCRIBE depends on what is described.
    pub fn admit(&self, statement: &Statement, context: &Context) -> Result<Kind, Failure> {
        show::admit(&self.sessions.store, statement, context)
    }

    /// Runs a statement to its end and gives the columns of its result.
    pub async fn run(&self, task: Task) -> Result<Vec<ResultColumn>, Failure> {
        let sessions = &self.sessions;
        match task.statement.clone() {
            Statement::Query(query) => query::run(sessions, *query, &task).await,
            Statement::Explain { query, format, analyze } => {
                explain::run(sessions, *query, format, analyze, &task).await
            }
            Statement::Unsupported { what, at, .. } => Err(Failure::not_supported(Some(at), what)),
            statement => {
                let changed = ddl::run(sessions, &statement, &task).await?;
                let answer = match changed {
                    Some(answer) => answer,
                    None => show::run(&sessions.store, &statement, &task.context)?,
                };
                answer.write(sessions, &task)
            }
        }
    }
}

/// The answer of a statement that is not a query: a few lines of text.
#[derive(Debug, Default, PartialEq)]
struct Lines {
    columns: Vec<&'static str>,
    lines: Vec<String>,
}

impl Lines {
    fn new(columns: &[&'static str], lines: Vec<String>) -> Self {
        Self { columns: columns.to_vec(), lines }
    }

    /// Writes the `.txt`: rows joined by line ends, the header only for EXPLAIN.
    fn write(self, sessions: &Sessions, task: &Task) -> Result<Vec<ResultColumn>, Failure> {
        if let Some(location) = &task.output {
            let header = self.columns.iter().filter(|_| task.kind.has_header).map(|name| (*name).to_owned());
            let text: Vec<String> = header.chain(self.lines).collect();
            super::results::write_object(&sessions.buckets, location, text.join("\n").as_bytes())
                .map_err(unwritable)?;
        }
        let data_type = if task.kind.has_header { "varchar" } else { "string" };
        Ok(self
            .columns
            .into_iter()
            .map(|name| ResultColumn {
                name: name.to_owned(),
                data_type: data_type.to_owned(),
                precision: if task.kind.has_header { i32::MAX } else { 0 },
                scale: 0,
                case_sensitive: task.kind.has_header,
            })
            .collect())
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::internal(format!("the result object cannot be written: {error}"))
}

fn broken(error: StoreError) -> Failure {
    Failure::internal(error)
}
