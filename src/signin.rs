//! Who calls: sign-in by user name and password, bearer token, JWT, client certificate or AWS access key.
//!
//! A way to sign in is open when its options are given; with none of them everybody is the same principal, and only this
//! machine is served. What fails says no more than that it failed, and takes its time; nobody else waits for that.
//!
//! | module | says |
//! | --- | --- |
//! | [`principal`] | who somebody is |
//! | [`users`] | names and passwords |
//! | [`tokens`] | tokens that do not change |
//! | [`jwt`], [`jwks`] | tokens of an identity provider, and the keys they are signed with |
//! | [`aws_keys`] | the caller's own AWS access key |
//! | [`certificate`] | the name in a client certificate |
//! | [`bearer`] | the token that Handshake gives |
//! | [`mod@mark`] | what stands for a secret that must not be kept |
//! | [`throttle`], [`limiter`] | how often somebody may try, and how long those who fail wait |
//! | [`turns`] | few passwords are hashed at once, and who is next |
//! | [`watched`] | files that are read again when they change |

pub mod aws_keys;
pub mod bearer;
pub mod certificate;
mod jwks;
pub mod jwt;
mod limiter;
pub mod mark;
mod principal;
mod throttle;
pub mod tokens;
mod turns;
pub mod users;
pub mod watched;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};

use crate::aws::Clients;
use crate::aws::options::AccessKeys;
use bearer::Bearers;
use mark::{Mark, mark, of_keys};
pub use principal::Principal;
use throttle::Throttle;
pub use throttle::peer_of;

/// Which ways to sign in are open.
#[derive(Debug, Clone, Default)]
pub struct SignInOptions {
    pub users_file: Option<PathBuf>,
    pub tokens_file: Option<PathBuf>,
    pub jwt: Option<jwt::JwtOptions>,
    pub aws_keys: bool,
    pub client_certificates: bool,
    pub bearer_ttl: Duration,
    pub max_principals: u64,
    /// Whether principals that no rule is about are refused.
    pub deny_unlisted: bool,
}

impl SignInOptions {
    /// Whether anybody has to say who they are.
    pub fn is_on(&self) -> bool {
        self.users_file.is_some()
            || self.tokens_file.is_some()
            || self.jwt.is_some()
            || self.aws_keys
            || self.client_certificates
    }

    /// What is wrong with the files they name.
    pub fn check(&self) -> Vec<String> {
        let users = self.users_file.as_deref().and_then(|path| users::read(path).err());
        let tokens = self.tokens_file.as_deref().and_then(|path| tokens::read(path).err());
        let jwks = self.jwt.as_ref().and_then(|jwt| jwt.check().err());
        let named = |option: &str, fault: Option<String>| fault.map(|fault| format!("--{option}: {fault}"));
        [named("users-file", users), named("tokens-file", tokens), named("jwt-jwks", jwks)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("sign in: {0}")]
    Missing(String),
    /// It is not said which part was wrong.
    #[error("sign-in failed")]
    Failed,
    #[error("the bearer token has expired: sign in again")]
    Expired,
    #[error("too many sign-ins are under way: try again in a second")]
    Busy,
    #[error("too many failed sign-ins: try again in {seconds} s")]
    Throttled { seconds: u64 },
    #[error("{0}")]
    Unavailable(String),
    #[error("no rule lets you in")]
    Denied,
}

/// What a call says about its caller.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Its `authorization` header.
    pub authorization: Option<SecretString>,
    /// The session token that goes with an AWS access key.
    pub aws_session_token: Option<SecretString>,
    /// The name in the client certificate of its connection.
    pub certificate: Option<Principal>,
    /// Where the connection comes from.
    pub address: Option<IpAddr>,
}

/// The ways to sign in that are open.
pub struct SignIn {
    options: SignInOptions,
    users: Option<users::Users>,
    tokens: Option<tokens::Tokens>,
    jwt: Option<jwt::Jwt>,
    aws_keys: Option<aws_keys::AwsKeys>,
    bearers: Bearers,
    throttle: Throttle,
    /// Checks of the same name and password that come from one peer at the same time are one.
    checks: Cache<Mark, Principal>,
    check_key: [u8; 16],
}

/// How many checks are shared, and for how long beyond their end.
const MAX_CHECKS: u64 = 1000;
const CHECK_AGE: Duration = Duration::from_secs(1);

impl SignIn {
    pub fn new(options: SignInOptions, key: [u8; 32], clients: &Clients) -> Self {
        Self {
            users: options.users_file.clone().map(users::Users::new),
            tokens: options.tokens_file.clone().map(tokens::Tokens::new),
            jwt: options.jwt.clone().map(jwt::Jwt::new),
            aws_keys: options.aws_keys.then(|| aws_keys::AwsKeys::new(clients.clone())),
            bearers: Bearers::new(key, options.bearer_ttl),
            throttle: Throttle::default(),
            checks: Cache::builder().max_capacity(MAX_CHECKS).time_to_live(CHECK_AGE).build(),
            check_key: uuid::Uuid::new_v4().into_bytes(),
            options,
        }
    }

    pub fn options(&self) -> &SignInOptions {
        &self.options
    }

    /// Finds out who calls; `None` where nobody has to say.
    pub async fn principal(&self, credentials: &Credentials) -> Result<Option<Principal>, Refusal> {
        if !self.options.is_on() {
            return Ok(None);
        }
        let peer = peer_of(credentials.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let Some(authorization) = &credentials.authorization else {
            let certificate = credentials.certificate.clone().ok_or_else(|| Refusal::Missing(self.ways()))?;
            // A connection may outlive the certificate it was made with.
            return if certificate.has_expired() { Err(Refusal::Expired) } else { Ok(Some(certificate)) };
        };
        let (scheme, said) = authorization.expose_secret().split_once(' ').unwrap_or_default();
        let principal = if scheme.eq_ignore_ascii_case("bearer") {
            self.by_token(peer, said.trim()).await
        } else if scheme.eq_ignore_ascii_case("basic") {
            let (name, password) = basic(said).ok_or(Refusal::Failed)?;
            self.by_password(peer, &name, &password, credentials).await
        } else {
            Err(Refusal::Missing(self.ways()))
        };
        principal.map(Some)
    }

    /// A token that says who somebody is, for a while, and when it ends.
    pub fn bearer(&self, principal: &Principal) -> SecretString {
        self.bearers.give(principal)
    }

    async fn by_token(&self, peer: IpAddr, token: &str) -> Result<Principal, Refusal> {
        let read = self.read_token(token).await;
        if matches!(read, Err(Refusal::Failed)) {
            self.throttle.failed_token(peer).await;
        }
        read
    }

    async fn read_token(&self, token: &str) -> Result<Principal, Refusal> {
        if Bearers::is_one(token) {
            return self.bearers.read(token);
        }
        if let Some(principal) = self.tokens.as_ref().and_then(|tokens| tokens.find(token)) {
            return Ok(principal);
        }
        match &self.jwt {
            Some(jwt) if jwt::is_one(token) => jwt.read(token).await,
            _ => Err(Refusal::Failed),
        }
    }

    async fn by_password(
        &self,
        peer: IpAddr,
        name: &str,
        password: &SecretString,
        more: &Credentials,
    ) -> Result<Principal, Refusal> {
        // What is counted by name is kept for a while: no name of a file or of AWS is that long.
        if name.len() > users::MAX_NAME_BYTES {
            self.throttle.failed_token(peer).await;
            return Err(Refusal::Failed);
        }
        // Clients that know names and passwords only can bring a token as well.
        if name.is_empty() || name == "token" {
            return self.by_token(peer, password.expose_secret()).await;
        }
        let session_token = more.aws_session_token.clone();
        let keys = AccessKeys { id: name.to_owned(), secret: password.clone(), session_token };
        let aws_keys = self.aws_keys.as_ref().filter(|_| aws_keys::is_id(name));
        let remembered = match (aws_keys, &self.users) {
            (Some(aws_keys), _) => aws_keys.remembered(&keys).await,
            (None, Some(users)) => users.remembered(name, password),
            (None, None) => None,
        };
        if let Some(principal) = remembered {
            return Ok(principal);
        }
        let peer_text = peer.to_string();
        let same = mark(&self.check_key, of_keys(&keys).into_iter().chain([&*peer_text]));
        let checked = self.checks.try_get_with(same, self.check(peer, &keys, aws_keys)).await;
        let refusal = match checked {
            Ok(principal) => return Ok(principal),
            Err(refusal) => Refusal::clone(&refusal),
        };
        // Only here, where nothing is held that others wait for.
        match refusal {
            Refusal::Failed => self.throttle.failed(peer, name).await,
            Refusal::Throttled { .. } => self.throttle.throttled(peer, name).await,
            _ => {}
        }
        Err(refusal)
    }

    /// Hashes a password, or asks STS: as often, and as many at once, as the limits allow.
    async fn check(
        &self,
        peer: IpAddr,
        keys: &AccessKeys,
        aws_keys: Option<&aws_keys::AwsKeys>,
    ) -> Result<Principal, Refusal> {
        let attempt = self.throttle.begin(peer, &keys.id)?;
        let turns = if aws_keys.is_some() { &self.throttle.asking } else { &self.throttle.hashing };
        let turn = match turns.take(attempt.class, peer).await {
            Ok(turn) => turn,
            Err(busy) => {
                attempt.take_off();
                return Err(busy);
            }
        };
        let found = match (aws_keys, &self.users) {
            (Some(aws_keys), _) => aws_keys.ask(keys).await,
            (None, Some(users)) => users.verify(&keys.id, &keys.secret, turn).await.ok_or(Refusal::Failed),
            (None, None) => Err(Refusal::Failed),
        };
        match &found {
            Ok(_) => self.throttle.succeeded(attempt),
            Err(Refusal::Unavailable(_)) => attempt.take_off(),
            Err(_) => {}
        }
        found
    }

    /// What a caller without credentials is told.
    fn ways(&self) -> String {
        let options = &self.options;
        let ways = [
            (options.users_file.is_some(), "user name and password"),
            (options.tokens_file.is_some() || options.jwt.is_some(), "bearer token"),
            (options.aws_keys, "AWS access key as user name and password"),
            (options.client_certificates, "client certificate"),
        ];
        let open: Vec<&str> = ways.into_iter().filter_map(|(open, way)| open.then_some(way)).collect();
        open.join(", or ")
    }
}

/// Some clients leave the padding out.
const ANY_PADDING: GeneralPurpose = {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config)
};

/// Name and password of a basic `authorization`.
fn basic(text: &str) -> Option<(String, SecretString)> {
    let bytes = ANY_PADDING.decode(text.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), SecretString::from(password)))
}
