//! A statement run to its end, and where its rows are then.

use std::sync::Arc;
use std::time::Instant;

use super::{Finished, GatewayError, Request, ResultHandle, Rows, Tenant};
use crate::error::Kind;
use crate::results::ReadError;
use crate::results::object::Object;
use crate::results::path::{self, Choice, Chosen, Described, ResultPath};
use crate::results::unload::{manifest, prefix, sweep};
use crate::session::MAX_ENDPOINTS;
use crate::statement::bind::{self, Bound, Value};
use crate::statement::scheduler::{Job, Lane, Likeness, Progress};
use crate::statement::{Class, Outcome, QueryState, Statement, submit, unload};
use crate::types::column::{Column, schema};

/// Bytes of a CSV object from which the same query is better run as an UNLOAD.
const LARGE_BYTES: u64 = 64 << 20;

impl Tenant {
    /// Runs a query on the path that suits it.
    pub(super) async fn run_query(
        &self,
        request: Request<'_>,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Finished, GatewayError> {
        let Request { session, sql, .. } = request;
        // What is known of a query does not depend on its values, or it is not known.
        let known = |described: Option<Arc<Described>>| {
            described.filter(|described| statement.placeholders == 0 || !described.depends_on_values_inside())
        };
        let knowledge = &self.gateway.knowledge;
        let was_large = knowledge.large.get(&self.key(sql, session)).await.is_some();
        // The types of values decide the types of columns: the query is described with NULLs of them. Where its columns are
        // plain without any values, it is read directly whatever they are, and what preparing it asked is enough.
        let typed = bind::with_types(sql, values.iter().map(|value| value.data_type.as_deref()));
        let is_plain = statement.placeholders > 0 && !was_large && session.result_path == ResultPath::Auto && {
            let described = known(self.described_if_sound(&request, sql).await?);
            described.is_some_and(|described| described.columns.iter().all(|column| !column.data_type.is_nested()))
        };
        let about = if is_plain || statement.placeholders == 0 { sql } else { typed.as_str() };
        let key = self.key(about, session);
        let described = match session.result_path {
            ResultPath::Direct => known(knowledge.described.get(&key).await.flatten()),
            ResultPath::Auto | ResultPath::Unload => known(self.described_if_sound(&request, about).await?),
        };
        let choose = |described: Option<&Described>| path::choose(session.result_path, statement, described, was_large);
        let (mut described, mut chosen) = (described.clone(), choose(described.as_deref()));
        if chosen.choice == Choice::Unload && described.as_ref().is_some_and(|described| described.is_old()) {
            // The wrapper names columns by what is known of them: the table may be another one by now.
            knowledge.described.invalidate(&key).await;
            described = known(self.described_if_sound(&request, about).await?);
            chosen = choose(described.as_deref());
        }
        let bound = Bound::new(sql, statement, values);
        let chosen = match (chosen.choice, &described) {
            (Choice::Unload, Some(described)) => {
                match Box::pin(self.run_unload(request, &bound, described, chosen)).await? {
                    Ok(finished) => return Ok(finished),
                    Err(instead) => instead,
                }
            }
            _ => chosen,
        };
        Box::pin(self.run_direct(request, &bound, described.as_deref().filter(|_| !is_plain), chosen)).await
    }

    /// Runs a query as an UNLOAD. Where Athena will not do that, and has read nothing for it, the choice is another one.
    async fn run_unload(
        &self,
        request: Request<'_>,
        query: &Bound,
        described: &Described,
        chosen: Chosen,
    ) -> Result<Result<Finished, Chosen>, GatewayError> {
        let Some(output) = &described.output else {
            return Ok(Err(Chosen::direct("no output location that the gateway can read")));
        };
        let expires_at = sweep::now() + self.gateway.settings.unload_ttl.as_secs() as i64;
        let prefix = prefix::new(output, expires_at);
        let text = &query.sql[..Statement::of(&query.sql).end];
        let bound = match unload::wrap(text, &described.columns, &prefix) {
            Ok(sql) if sql.len() <= submit::MAX_STATEMENT_BYTES => Bound { sql, values: query.values.clone() },
            Ok(_) => return Ok(Err(Chosen::direct("as an UNLOAD the statement would be too long"))),
            Err(refused) => return Ok(Err(Chosen::direct(refused.to_string()))),
        };
        self.gateway.outputs.add(output, &self.clients);
        let outcome = match self.run_to_end(request, &bound, Some(&chosen)).await {
            Ok(outcome) => outcome,
            Err(refused) if refused.is_refusal() => {
                tracing::info!(error = %refused, "UNLOAD refused, running the query directly");
                return Ok(Err(Chosen::direct(format!("UNLOAD was refused: {refused}"))));
            }
            Err(error) => return Err(error.lines_up(unload::LINES_BEFORE)),
        };
        let read_error = |source| GatewayError::Read { query_id: outcome.id.clone(), source: Box::new(source) };
        let Some(manifest) = outcome.manifest_location.clone() else {
            let why = "Athena names no manifest of the files it wrote".to_owned();
            return Err(read_error(ReadError::Object { location: prefix, why }));
        };
        let parts = match request.session.endpoints {
            Some(asked @ 2..) => {
                let files = manifest::files(&self.clients, &manifest, &prefix).await.map_err(read_error)?;
                u32::from(asked.min(MAX_ENDPOINTS)).min(files.len().max(1) as u32)
            }
            _ => 1,
        };
        let columns: Arc<[Column]> = chosen.columns(&described.columns).into();
        let handle = |part| ResultHandle {
            columns: Some(Arc::clone(&columns)),
            rows: Rows::Files { manifest: manifest.clone(), prefix: prefix.clone(), part, parts },
            expires_at,
            ..ResultHandle::of(&outcome)
        };
        let endpoints = (0..parts).map(|part| vec![handle(part)]).collect();
        Ok(Ok(Finished { endpoints, schema: schema(&columns), outcome, update_count: None, chosen }))
    }

    /// Runs a statement as it is.
    pub(super) async fn run_direct(
        &self,
        request: Request<'_>,
        bound: &Bound,
        described: Option<&Described>,
        chosen: Chosen,
    ) -> Result<Finished, GatewayError> {
        let Request { session, sql, .. } = request;
        let outcome = self.run_to_end(request, bound, Some(&chosen)).await?;
        let read_error = |source| GatewayError::Read { query_id: outcome.id.clone(), source: Box::new(source) };
        let mut handle = ResultHandle::of(&outcome);
        let page = self.page(&handle.id, None).await.map_err(read_error)?;
        let mut columns = page.columns().map_err(read_error)?;
        if columns.iter().any(|column| column.data_type.is_nested()) && Statement::of(sql).class == Class::Query {
            // A page does not say what is inside.
            let asked = match described {
                Some(_) => None,
                // Its values may say what is inside.
                None => Box::pin(self.described_if_sound(&request, &bound.written_out())).await?,
            };
            columns = chosen.columns(&with_inner_types(columns, described.or(asked.as_deref())));
            handle.columns = Some(columns.clone().into());
        }
        let columns: Arc<[Column]> = columns.into();
        let page = page.first(&columns, handle.has_header()).map_err(read_error)?;
        handle.update_count = page.update_count;
        if page.next_token.is_some() && !outcome.is_client_encrypted {
            handle.rows = self.find_object(&outcome).await.map_err(read_error)?;
            if matches!(handle.rows, Rows::Csv { size, .. } if size >= LARGE_BYTES) {
                self.gateway.knowledge.large.insert(self.key(sql, session), ()).await;
            }
        }
        let update_count = page.update_count;
        let first_pages = &self.gateway.knowledge.first_pages;
        first_pages.insert((self.owner.clone(), handle.id.clone()), Arc::new(page)).await;
        Ok(Finished { endpoints: vec![vec![handle]], schema: schema(&columns), outcome, update_count, chosen })
    }

    /// The CSV object of a larger result, if there is one and it may be read.
    async fn find_object(&self, outcome: &Outcome) -> Result<Rows, ReadError> {
        let Some(location) = outcome.output_location.as_ref().filter(|location| location.ends_with(".csv")) else {
            return Ok(Rows::Pages);
        };
        match Object::find(&self.clients, location).await {
            Ok(Object { size, etag, .. }) => Ok(Rows::Csv { location: location.clone(), size, etag }),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::PermissionDenied) => {
                // Slower, but the same rows (athena-behaviour, section 3: an object may be missing).
                tracing::warn!(query_id = outcome.id.as_str(), %error, "result object not readable, reading pages");
                Ok(Rows::Pages)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts a statement and waits until it has succeeded. Dropping the future stops the query.
    pub(super) async fn run_to_end(
        &self,
        request: Request<'_>,
        bound: &Bound,
        chosen: Option<&Chosen>,
    ) -> Result<Outcome, GatewayError> {
        if bound.sql.len() > submit::MAX_STATEMENT_BYTES {
            return Err(GatewayError::TooLong(bound.sql.len()));
        }
        let session = request.session;
        let began = Instant::now();
        let job = Job {
            lane: Lane { owner: self.owner.clone(), connection: request.connection },
            concurrency: self.limits.concurrency,
            clients: self.clients.clone(),
            session: session.clone(),
            bound: bound.clone(),
            kind: likeness(bound, chosen),
        };
        let mut last = None;
        let within_limits = |progress: &Progress| {
            request.tell(progress);
            let Progress::Look(id, look) = progress else { return true };
            last = Some((id.clone(), *look));
            session.scan_limit_bytes.is_none_or(|limit| look.scanned_bytes as u64 <= limit)
        };
        let outcome = Box::pin(self.scheduler.run(job, within_limits)).await?;
        let (outcome, id) = match (outcome, last) {
            (Some(outcome), _) => (outcome.clone(), outcome.id),
            (None, Some((query_id, look))) => {
                let (scanned_bytes, limit) = (look.scanned_bytes, session.scan_limit_bytes.unwrap_or_default());
                return Err(GatewayError::ScanLimit { query_id, scanned_bytes, limit });
            }
            (None, None) => return Err(GatewayError::Stopping),
        };
        let reason = || outcome.reason.clone().unwrap_or_else(|| "Athena gives no reason".to_owned());
        tracing::info!(
            query_id = id.as_str(),
            state = ?outcome.state,
            scanned_bytes = outcome.scanned_bytes,
            queue_ms = outcome.queue_ms,
            total_ms = outcome.total_ms,
            waited_ms = began.elapsed().as_millis() as u64,
            result_path = chosen.map(|chosen| tracing::field::display(chosen.choice)),
            result_path_reason = chosen.map(|chosen| chosen.why.as_str()),
            "query finished"
        );
        match outcome.state {
            QueryState::Failed => {
                let (reason, error, scanned_bytes) = (reason(), outcome.error, outcome.scanned_bytes);
                Err(GatewayError::Failed { query_id: id, reason, error, scanned_bytes })
            }
            QueryState::Cancelled => Err(GatewayError::Cancelled { query_id: id, reason: reason() }),
            QueryState::Succeeded | QueryState::Queued | QueryState::Running => Ok(outcome),
        }
    }
}

/// Statements that take about as long.
fn likeness(bound: &Bound, chosen: Option<&Chosen>) -> Likeness {
    match chosen.map(|chosen| chosen.choice) {
        Some(Choice::Unload) => Likeness::Unload,
        _ if bound.sql.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("explain")) => Likeness::Explain,
        _ if Statement::of(&bound.sql).class == Class::Query => Likeness::Query,
        _ => Likeness::Other,
    }
}

/// How long a result can be fetched. Athena's own results live longer; handles do not have to.
const RESULT_LIFETIME_SECONDS: i64 = 24 * 3600;

impl ResultHandle {
    /// The same for as long as it would have if the statement had run now; the files of an UNLOAD are removed when they are.
    pub fn renewed(self) -> Self {
        match self.rows {
            Rows::Files { .. } => self,
            Rows::Pages | Rows::Csv { .. } => Self { expires_at: sweep::now() + RESULT_LIFETIME_SECONDS, ..self },
        }
    }

    fn of(outcome: &Outcome) -> Self {
        Self {
            id: outcome.id.clone(),
            statement_type: outcome.statement_type.clone(),
            substatement_type: outcome.substatement_type.clone(),
            update_count: None,
            columns: None,
            rows: Rows::Pages,
            expires_at: sweep::now() + RESULT_LIFETIME_SECONDS,
        }
    }
}

/// The columns of a page, with what is inside of nested ones from the query's description, as far as the two agree.
fn with_inner_types(columns: Vec<Column>, described: Option<&Described>) -> Vec<Column> {
    let Some(described) = described.filter(|described| described.columns.len() == columns.len()) else {
        return columns;
    };
    let complete = |(column, described): (Column, &Column)| {
        let same = column.data_type.base_name() == described.data_type.base_name();
        if column.data_type.is_nested() && same {
            Column { data_type: described.data_type.clone(), ..column }
        } else {
            column
        }
    };
    columns.into_iter().zip(&described.columns).map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AthenaType;

    #[test]
    fn inner_types_come_from_the_description_where_it_agrees() {
        let column = |name: &str| Column::new("c", AthenaType::parse(name).expect("a type"));
        let described = |name: &str| Some(Described::new(vec![column(name)], None));
        for (page, description, expected) in [
            ("array", described("array(integer)"), "array(integer)"),
            ("array", described("map(integer, integer)"), "array"),
            ("decimal(5,2)", described("decimal(6,2)"), "decimal(5,2)"),
            ("row", None, "row"),
        ] {
            assert_eq!(with_inner_types(vec![column(page)], description.as_ref()), [column(expected)]);
        }
        let two = Described::new(vec![column("array(date)"); 2], None);
        assert_eq!(with_inner_types(vec![column("array")], Some(&two)), [column("array")]);
    }
}
