//! What a query is before it runs: its columns, and the tables it reads, from EXPLAIN.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;

use super::tenant::told_apart;
use super::{Finished, GatewayError, Request, Tenant};
use crate::catalog::{GLUE_CATALOG, Scope};
use crate::results::path::{self, Chosen, Described};
use crate::results::unload::prefix;
use crate::session::{DEFAULT_DATABASE, Session};
use crate::statement::bind::{self, Bound, Row};
use crate::statement::describe::ReadTable;
use crate::statement::names::quoted;
use crate::statement::{Class, describe, names, submit};
use crate::types::column::schema;

impl Tenant {
    /// The schema of a query that is not run; `None` for statements whose columns are known only when they ran.
    pub async fn describe(
        &self,
        session: &Session,
        sql: &str,
        connection: u64,
    ) -> Result<Option<SchemaRef>, GatewayError> {
        let _under_way = self.gateway.drain.enter()?;
        let statement = told_apart(sql)?;
        if statement.class != Class::Query {
            return Ok(None);
        }
        let request = Request { session, sql, rows: &[], phase: None, connection };
        self.check_scope(&request, statement.class).await?;
        let described = match self.described(&request, sql).await {
            Err(error) if statement.placeholders > 0 && error.may_be_about_values() => {
                tracing::debug!(%error, "columns are known only with values");
                None
            }
            described => described?.filter(|described| !described.depends_on_values()),
        };
        Ok(described.map(|described| {
            let chosen = path::choose(session.result_path, &statement, Some(&described), false);
            schema(&chosen.columns(&described.columns))
        }))
    }

    /// What EXPLAIN says about a query; `None` where its answer cannot be read.
    pub(super) async fn described(
        &self,
        request: &Request<'_>,
        sql: &str,
    ) -> Result<Option<Arc<Described>>, GatewayError> {
        let key = self.key(sql, request.session);
        let described = self.gateway.knowledge.described.try_get_with(key, Box::pin(self.explain(request, sql))).await;
        described.map_err(|error| error.as_ref().clone())
    }

    /// The same for a query that is run next: what is wrong with it is better said by the query itself. What may pass is an
    /// error: what a query gives must not depend on it.
    pub(super) async fn described_if_sound(
        &self,
        request: &Request<'_>,
        sql: &str,
    ) -> Result<Option<Arc<Described>>, GatewayError> {
        match self.described(request, sql).await {
            Err(error) if !error.may_pass() => {
                tracing::debug!(%error, "the query cannot be described");
                Ok(None)
            }
            described => described,
        }
    }

    async fn explain(&self, request: &Request<'_>, sql: &str) -> Result<Option<Arc<Described>>, GatewayError> {
        let (finished, lines) = self.plan(request, describe::explain(&bind::without_values(sql)), sql).await?;
        match describe::columns(&lines) {
            Ok(columns) => {
                let output = finished.outcome.output_location.as_deref().and_then(prefix::output_of);
                let output = output.filter(|_| !finished.outcome.is_client_encrypted);
                Ok(Some(Arc::new(Described::new(columns, output.map(str::to_owned)))))
            }
            // The statement is sound, only its plan is written in a way we cannot read: it can still be run.
            Err(unreadable) => {
                tracing::warn!(query_id = finished.outcome.id.as_str(), error = %unreadable, "plan without a schema");
                Ok(None)
            }
        }
    }

    /// Refuses a query that reads what is not to be seen: the fence. It looks twice.
    ///
    /// - Every table that the text names has to be one of the scope's ([`names`]), whatever Athena makes of the query.
    /// - Every table of Athena's plan, views taken apart, has to be one too; with the values that the query will run with,
    ///   each row of them. The plan is the optimised one, though, and what it leaves out may be read all the same in a moment.
    ///   So a table that is named and not in the plan, which may be a view, is asked about by itself, without the filters.
    ///
    /// What is not covered: a view that folds away a table of its own. Whoever made the view has decided that.
    pub(super) async fn check_scope(&self, request: &Request<'_>, class: Class) -> Result<(), GatewayError> {
        let Some(scope) = &self.limits.scope else { return Ok(()) };
        let sql = request.sql;
        if class != Class::Query {
            return Err(GatewayError::OnlyQueries);
        }
        if sql.len() > submit::MAX_STATEMENT_BYTES {
            return Err(GatewayError::TooLong(sql.len()));
        }
        let named = names::tables(sql).map_err(|why| GatewayError::Unscoped(why.to_string()))?;
        let mut unseen: BTreeSet<ReadTable> = named.into_iter().map(|name| located(request.session, name)).collect();
        within(scope, &unseen)?;
        let rows: BTreeSet<&Row> = request.rows.iter().collect();
        let texts: Vec<String> = match rows.is_empty() {
            true => vec![bind::without_values(sql)],
            false => rows.into_iter().map(|values| bind::written_out(sql, values)).collect(),
        };
        for text in texts {
            let read = self.read_tables(request, &text).await?;
            within(scope, &read)?;
            unseen.retain(|table| !read.contains(table));
        }
        for table in unseen {
            let ReadTable { catalog, schema, table: name } = &table;
            let alone = [catalog, schema, name].map(|part| quoted(part)).join(".");
            let read = self.read_tables(request, &format!("SELECT * FROM {alone}")).await?;
            if read.is_empty() {
                return Err(GatewayError::Unscoped(format!("{schema}.{name} is not in the plan")));
            }
            within(scope, &read)?;
        }
        Ok(())
    }

    /// The tables that Athena would read for a query without parameters.
    async fn read_tables(&self, request: &Request<'_>, sql: &str) -> Result<BTreeSet<ReadTable>, GatewayError> {
        let (_, lines) = self.plan(request, describe::explain_io(sql), sql).await?;
        describe::tables(&lines).map_err(|why| GatewayError::Unscoped(why.to_string()))
    }

    /// The lines that an EXPLAIN of a query answers with.
    async fn plan(&self, request: &Request<'_>, text: String, sql: &str) -> Result<(Finished, String), GatewayError> {
        if text.len() > submit::MAX_STATEMENT_BYTES {
            return Err(GatewayError::TooLong(sql.len()));
        }
        // What the caller allows its statement is not meant for this one.
        let place = request.session.place();
        let request = Request { session: &place, sql: &text, rows: &[], ..*request };
        let finished = Box::pin(self.run_direct(request, &Bound::text(&*text), None, Chosen::direct("EXPLAIN"))).await;
        let finished = finished.map_err(GatewayError::about_query)?;
        let mut lines = String::new();
        for handle in finished.endpoints.iter().flatten() {
            let mut batches = self.rows(handle).await?.batches;
            while let Some(rows) = batches.try_next().await? {
                let texts = rows.batch.columns().first().and_then(|column| column.as_string_opt::<i32>());
                for line in texts.into_iter().flatten().flatten() {
                    lines.push_str(line);
                    lines.push('\n');
                }
            }
        }
        Ok((finished, lines))
    }
}

/// Where a name leads to from a session.
fn located(session: &Session, mut name: names::Name) -> ReadTable {
    let or = |known: &Option<String>, default: &str| known.as_deref().unwrap_or(default).to_lowercase();
    let table = name.pop().unwrap_or_default();
    let schema = name.pop().unwrap_or_else(|| or(&session.database, DEFAULT_DATABASE));
    let catalog = name.pop().unwrap_or_else(|| or(&session.catalog, GLUE_CATALOG));
    ReadTable { catalog, schema, table }
}

fn within(scope: &Scope, tables: &BTreeSet<ReadTable>) -> Result<(), GatewayError> {
    match tables.iter().find(|table| !scope.has(&table.catalog, &table.schema)) {
        Some(table) => Err(GatewayError::OutOfScope(format!("{}.{}", table.catalog, table.schema))),
        None => Ok(()),
    }
}
