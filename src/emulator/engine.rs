//! Runs statements: SQL in, result objects and catalog changes out. DataFusion does the work; the modules around it make
//! it answer as Athena's engine would.
//!
//! | module | says |
//! | --- | --- |
//! | [`session`] | a query in its context → a plan with Athena's names and types |
//! | [`catalog`], [`table`], [`view`] | names → files to scan |
//! | [`arithmetic`], [`aggregates`], [`cast`], [`functions`], [`typecheck`] | Trino's semantics |
//! | [`types`], [`text`] | the engine's Arrow ↔ Athena's types and texts |
//! | [`unnest`], [`zones`] | UNNEST in FROM; time zones |
//! | [`query`], [`mod@write`], [`explain`], [`ddl`], [`alter`], [`show`] | what each kind of statement does |
//! | [`errors`] | what went wrong, in Trino's words |

mod aggregates;
mod alter;
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
mod unnest;
mod view;
mod write;
mod zones;

use std::path::PathBuf;
use std::sync::Arc;

use super::iam::Caller;
use super::model::{Failure, ResultColumn};
use super::sql::Statement;
use super::sql::statement::Kind;
use super::store::{Store, StoreError};
use session::{Context, Reading, Sessions};

pub use ddl::discover;
pub use query::local_columns;
pub use write::unescaped;

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
    pub workgroup: String,
    /// The folder that results go below.
    pub folder: String,
    /// The result object; `None` for kinds that leave none.
    pub output: Option<String>,
    pub reading: Reading,
}

/// What a statement answers beside its result object.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub columns: Vec<ResultColumn>,
    /// Rows written, for statements that write; others have the count of their kind.
    pub update_count: Option<i64>,
    /// The list of files written.
    pub manifest: Option<String>,
    /// Rows of the result, where they were counted.
    pub rows: Option<i64>,
}

impl Outcome {
    fn of(columns: Vec<ResultColumn>) -> Self {
        Self { columns, ..Self::default() }
    }
}

impl Task {
    fn reading(&self) -> Reading {
        self.reading.clone()
    }

    fn caller(&self) -> &Caller {
        &self.reading.caller
    }
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

    /// Runs a statement to its end.
    pub async fn run(&self, task: Task) -> Result<Outcome, Failure> {
        let sessions = &self.sessions;
        if let Some(output) = &task.output {
            task.caller().may_write(output)?;
        }
        match task.statement.clone() {
            Statement::Query(query) => query::run(sessions, *query, &task).await,
            Statement::Explain { query, kind, format, output } => {
                explain::run(sessions, *query, (kind, format), output.as_ref(), &task).await
            }
            Statement::CreateTableAs { name, if_not_exists, options, query, with_data } => {
                let how = write::NewTable { name: &name, if_not_exists, options: &options, with_data };
                write::create_table_as(sessions, how, *query, &task).await
            }
            Statement::Insert { name, columns, query } => {
                write::insert(sessions, &name, columns.as_deref(), *query, &task).await
            }
            Statement::Unload { query, location, options } => {
                write::unload(sessions, *query, &location, &options, &task).await
            }
            Statement::Unsupported { what, at, .. } => Err(Failure::not_supported(Some(at), what)),
            statement => {
                let changed = ddl::run(sessions, &statement, &task).await?;
                let answer = match changed {
                    Some(answer) => answer,
                    None => show::run(&sessions.store, &statement, &task)?,
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
    fn write(self, sessions: &Sessions, task: &Task) -> Result<Outcome, Failure> {
        if let Some(location) = &task.output {
            let header = self.columns.iter().filter(|_| task.kind.has_header).map(|name| (*name).to_owned());
            let text: Vec<String> = header.chain(self.lines).collect();
            super::results::write_object(&sessions.buckets, location, text.join("\n").as_bytes())
                .map_err(unwritable)?;
        }
        let data_type = if task.kind.has_header { "varchar" } else { "string" };
        let column = |name: &str| ResultColumn {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            precision: if task.kind.has_header { i32::MAX } else { 0 },
            scale: 0,
            case_sensitive: task.kind.has_header,
        };
        Ok(Outcome::of(self.columns.into_iter().map(column).collect()))
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::internal(format!("the result object cannot be written: {error}"))
}

fn broken(error: StoreError) -> Failure {
    Failure::internal(error)
}
