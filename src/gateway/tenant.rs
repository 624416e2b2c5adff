//! Who statements are run for: the AWS clients they run with, their defaults, and what they may not go beyond.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use super::knowledge::Key;
use super::{Finished, Gateway, GatewayError, Limits, Phase, Request};
use crate::aws::{AwsError, Clients};
use crate::catalog::Catalog;
use crate::owner::Owner;
use crate::results::path::Chosen;
use crate::results::unload::prefix;
use crate::session::Session;
use crate::statement::bind::{Bound, Value};
use crate::statement::scheduler::Call;
use crate::statement::stop::stop;
use crate::statement::{Class, QueryId, Scheduler, Statement};

/// Runs of one query, for one row of values each, that are asked for at once.
const ROWS_AT_ONCE: usize = 4;

/// One of those who call. It has no caches and no tasks of its own: forgetting it costs nothing but to make it again.
pub struct Tenant {
    pub gateway: Arc<Gateway>,
    pub owner: Owner,
    pub clients: Clients,
    pub catalog: Catalog,
    /// What every statement runs with unless its caller says otherwise.
    pub session: Session,
    pub limits: Limits,
    pub(super) scheduler: Scheduler,
}

/// What a tenant is made of.
pub struct TenantOptions {
    pub owner: Owner,
    pub clients: Clients,
    /// The account that statements run in, where it is not the gateway's own.
    pub account: Option<String>,
    pub session: Session,
    pub limits: Limits,
}

impl Tenant {
    /// Everybody, where nobody signs in; and what others are made after.
    pub fn anonymous(gateway: Arc<Gateway>, clients: Clients, session: Session) -> Arc<Self> {
        let scheduler = gateway.accounts.home(&clients);
        let limits = Limits { read_only: gateway.settings.read_only, ..Limits::default() };
        let options = TenantOptions { owner: Owner::anonymous(), clients, account: None, session, limits };
        Arc::new(Self::with_scheduler(gateway, scheduler, options))
    }

    /// Another one of the same gateway.
    pub async fn beside(&self, options: TenantOptions) -> Arc<Self> {
        let gateway = Arc::clone(&self.gateway);
        let scheduler = gateway.accounts.of(options.account.as_deref(), &options.clients, &self.clients).await;
        Arc::new(Self::with_scheduler(gateway, scheduler, options))
    }

    fn with_scheduler(gateway: Arc<Gateway>, scheduler: Scheduler, options: TenantOptions) -> Self {
        let TenantOptions { owner, clients, session, limits, .. } = options;
        if let Some(output) = &session.s3_staging_dir {
            gateway.outputs.add(&prefix::folder(output), &clients);
        }
        let epoch = gateway.knowledge.epoch();
        let catalog = Catalog::new(clients.clone(), limits.scope.clone(), gateway.listings.clone(), epoch);
        Self { gateway, owner, clients, catalog, session, limits, scheduler }
    }

    /// Runs a statement to its end, once for each row of values. Dropping the future stops what still runs.
    pub async fn run(&self, request: Request<'_>) -> Result<Finished, GatewayError> {
        let _under_way = self.gateway.drain.enter()?;
        let (phase, _) = watch::channel(Phase::default());
        let request = Request { phase: Some(request.phase.unwrap_or(&phase)), ..request };
        let Some(seconds) = request.session.query_timeout_seconds else { return self.run_all(request).await };
        let ended = tokio::time::timeout(Duration::from_secs(seconds.into()), self.run_all(request)).await;
        ended.unwrap_or_else(|_| Err(GatewayError::TimedOut { query_id: request.query_id(), seconds }))
    }

    async fn run_all(&self, request: Request<'_>) -> Result<Finished, GatewayError> {
        let statement = told_apart(request.sql)?;
        if statement.may_write {
            self.may_write()?;
        }
        self.check_scope(&request, statement.class).await?;
        match request.rows {
            [] => self.run_once(request, statement, &[]).await,
            [values] => self.run_once(request, statement, values).await,
            // Changes are made in the order they were asked for, queries some at a time.
            rows => {
                let at_once = if statement.class == Class::Query { ROWS_AT_ONCE } else { 1 };
                let mut runs = Vec::with_capacity(rows.len());
                for values in rows {
                    runs.push(self.run_once(request, statement, values).boxed());
                }
                let all: Vec<Finished> = stream::iter(runs).buffered(at_once).try_collect().await?;
                Finished::together(all)
            }
        }
    }

    /// Whether more than reading is allowed.
    pub(super) fn may_write(&self) -> Result<(), GatewayError> {
        if self.is_read_only() { Err(GatewayError::ReadOnly) } else { Ok(()) }
    }

    /// Whether only reading is allowed.
    pub fn is_read_only(&self) -> bool {
        self.limits.read_only || self.limits.scope.is_some()
    }

    async fn run_once(
        &self,
        request: Request<'_>,
        statement: Statement,
        values: &[Value],
    ) -> Result<Finished, GatewayError> {
        if values.len() != statement.placeholders {
            return Err(GatewayError::Parameters { expected: statement.placeholders, given: values.len() });
        }
        if statement.class == Class::Query {
            return Box::pin(self.run_query(request, &statement, values)).await;
        }
        let bound = Bound::new(request.sql, &statement, values);
        let finished = Box::pin(self.run_direct(request, &bound, None, Chosen::direct("it is no query"))).await?;
        if statement.is_update() {
            self.forget_catalog();
        }
        Ok(finished)
    }

    /// What is known of a query is looked for by this.
    pub(super) fn key(&self, sql: &str, session: &Session) -> Key {
        Key::new(self.catalog.epoch(), sql, session)
    }

    /// The catalog has changed: what is known of it and of queries over it is looked up anew.
    pub fn forget_catalog(&self) {
        self.catalog.refresh(self.gateway.knowledge.epoch());
    }

    /// Stops a query that runs, or the sending of its rows. Gives whether there was anything to stop.
    pub async fn cancel(&self, id: &QueryId) -> Result<bool, GatewayError> {
        let sending = self.gateway.streams.cancel(id);
        let stop = || stop(&self.clients, id);
        let stopped = self.scheduler.paced(Call::Stop, AwsError::is_throttled, stop).await;
        stopped.map_err(|source| GatewayError::Aws { query_id: Some(id.clone()), source: Arc::new(source) })?;
        Ok(sending)
    }
}

/// What kind of statement a text is, if it is one that can be run.
pub(super) fn told_apart(sql: &str) -> Result<Statement, GatewayError> {
    let statement = Statement::of(sql);
    if statement.is_empty { Err(GatewayError::Empty) } else { Ok(statement) }
}
