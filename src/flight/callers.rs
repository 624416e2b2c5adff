//! Who calls, and what serves them: each principal has a server of its own, with its own key, AWS identity and limits, so that
//! one's tickets, statements, sessions and polls are nothing to another.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use secrecy::SecretString;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use super::connection::Peer;
use super::service::FlightSql;
use super::ticket::Keys;
use super::{handshake, status};
use crate::access::{Rule, Rules};
use crate::aws::account_of;
use crate::catalog::Scope;
use crate::gateway::{Limits, Tenant, TenantOptions};
use crate::owner::Owner;
use crate::session::Session;
use crate::signin::mark::{Mark, mark, of_keys};
use crate::signin::{Credentials, Principal, Refusal, SignIn, SignInOptions};

/// How long a principal that does nothing is remembered.
const IDLE: Duration = Duration::from_secs(3600);
/// The session token of a caller's own AWS access key.
const AWS_SESSION_TOKEN: &str = "x-athena-session-token";

pub struct Callers {
    /// For those who need not say who they are; its tenant is also what others are made after.
    anonymous: Arc<FlightSql>,
    keys: Keys,
    sign_in: SignIn,
    rules: Rules,
    /// What serves those who signed in, by who they are and what makes theirs another one. The idle go first; forgetting one
    /// ends nothing that is under way and changes no limit, for neither is kept there.
    own: Cache<Mark, Arc<FlightSql>>,
}

/// Who calls.
pub struct Caller {
    pub server: Arc<FlightSql>,
    /// Tells their connection from others.
    pub connection: u64,
    /// A bearer token that goes on when theirs ends.
    renewed: Option<SecretString>,
}

impl Caller {
    /// An answer to them. Clients that look at its headers (ADBC's do) go on with the new token.
    pub fn answer<T>(&self, message: T) -> Response<T> {
        self.with_token(Response::new(message))
    }

    pub fn with_token<T>(&self, mut response: Response<T>) -> Response<T> {
        if let Some(header) = self.renewed.as_ref().and_then(|token| handshake::bearer(token).ok()) {
            response.metadata_mut().insert(handshake::HEADER, header);
        }
        response
    }
}

impl Callers {
    pub fn new(tenant: Arc<Tenant>, keys: Keys, options: SignInOptions, rules: Rules) -> Self {
        let sign_in = SignIn::new(options.clone(), keys.derive("bearer", ""), &tenant.clients);
        let own = Cache::builder()
            .max_capacity(options.max_principals)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE)
            .build();
        let anonymous = FlightSql { tenant, keys: keys.clone(), shared: Arc::default() };
        Self { anonymous: Arc::new(anonymous), keys, sign_in, rules, own }
    }

    /// Who calls, and what serves them.
    pub async fn caller(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<Caller, Status> {
        let connection = connection(extensions);
        let Some(principal) = self.principal(headers, extensions).await? else {
            return Ok(Caller { server: Arc::clone(&self.anonymous), connection, renewed: None });
        };
        let renewed = principal.renews_soon.then(|| self.sign_in.bearer(&principal));
        Ok(Caller { server: self.server_of(&principal).await?, connection, renewed })
    }

    /// A token for a caller who has shown who they are; `None` where nobody has to.
    pub async fn token(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<Option<SecretString>, Status> {
        let Some(principal) = self.principal(headers, extensions).await? else { return Ok(None) };
        // Whoever may not work gets no token either.
        self.server_of(&principal).await?;
        Ok(Some(self.sign_in.bearer(&principal)))
    }

    async fn principal(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<Option<Principal>, Status> {
        let secret = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(SecretString::from);
        let peer = extensions.get::<Peer>();
        let credentials = Credentials {
            authorization: secret(handshake::HEADER),
            aws_session_token: secret(AWS_SESSION_TOKEN),
            certificate: peer.and_then(|peer| peer.owner.clone()),
            address: peer.map(|peer| peer.address.ip()),
        };
        self.sign_in.principal(&credentials).await.map_err(|refusal| status::of_refusal(&refusal))
    }

    async fn server_of(&self, principal: &Principal) -> Result<Arc<FlightSql>, Status> {
        let rule = self.rules.of(principal);
        let is_denied = match rule {
            Some((_, rule)) => rule.deny,
            None => self.sign_in.options().deny_unlisted,
        };
        if is_denied {
            tracing::warn!(principal = principal.name, "no rule lets this principal in");
            return Err(status::of_refusal(&Refusal::Denied));
        }
        let make = async {
            tracing::info!(principal = principal.name, rule = rule.map(|(at, _)| at + 1), "signed in");
            let tenant = self.tenant(principal, rule.map(|(_, rule)| rule)).await;
            let keys = self.keys.of_principal(&principal.name);
            Arc::new(FlightSql { tenant, keys, shared: Arc::clone(&self.anonymous.shared) })
        };
        Ok(self.own.get_with(self.mark(principal, rule.map(|(at, _)| at)), make).await)
    }

    async fn tenant(&self, principal: &Principal, rule: Option<&Rule>) -> Arc<Tenant> {
        let base = &self.anonymous.tenant;
        let none = Rule::default();
        let rule = rule.unwrap_or(&none);
        let clients = match &principal.keys {
            Some(keys) => base.clients.with_keys(keys),
            None => base.clients.clone(),
        };
        // Who signs in with AWS keys is named by their ARN.
        let of_keys = principal.keys.as_ref().and_then(|_| account_of(&principal.name));
        let role = rule.role(principal);
        let account = role.as_ref().and_then(|role| account_of(&role.arn)).or(of_keys).map(str::to_owned);
        let clients = match role {
            Some(role) => clients.assuming(role),
            None => clients,
        };
        let or = |own: &Option<String>, server: &Option<String>| own.clone().or_else(|| server.clone());
        let session = Session {
            workgroup: or(&rule.workgroup, &base.session.workgroup),
            catalog: or(&rule.catalog, &base.session.catalog),
            database: or(&rule.database, &base.session.database),
            s3_staging_dir: or(&rule.s3_staging_dir, &base.session.s3_staging_dir),
            ..base.session.clone()
        };
        let limits = Limits {
            read_only: base.is_read_only() || rule.read_only,
            workgroup: rule.workgroup.clone(),
            scan_limit_bytes: rule.scan_limit_bytes,
            concurrency: rule.concurrency,
            scope: Scope::new(&rule.catalogs, &rule.schemas),
        };
        let owner = Owner::new(&principal.name);
        base.beside(TenantOptions { owner, clients, account, session, limits }).await
    }

    /// What tells one server from another: the name, the rule, and the AWS key that was brought.
    fn mark(&self, principal: &Principal, rule: Option<usize>) -> Mark {
        let rule = rule.map_or_else(String::new, |at| at.to_string());
        let keys = principal.keys.as_ref().map(of_keys);
        let parts = [&*principal.name, &*rule].into_iter().chain(keys.into_iter().flatten());
        mark(&self.keys.derive("mark", ""), parts)
    }
}

/// A number for the connection that a call came by.
fn connection(extensions: &Extensions) -> u64 {
    let mut hasher = DefaultHasher::new();
    extensions.get::<Peer>().map(|peer| peer.address).hash(&mut hasher);
    hasher.finish()
}
