//! Who calls: sign-in by user name and password, bearer token, JWT, client certificate or AWS access key.
//!
//! A way to sign in is open when its options are given; with none of them everybody is the same principal, and only this
//! machine is served. What fails says no more than that it failed, and takes its time.
//!
//! | module | says |
//! | --- | --- |
//! | [`principal`] | who somebody is |
//! | [`users`] | names and passwords |
//! | [`tokens`] | tokens that do not change |
//! | [`jwt`] | tokens of an identity provider |
//! | [`aws_keys`] | the caller's own AWS access key |
//! | [`certificate`] | the name in a client certificate |
//! | [`bearer`] | the token that Handshake gives |
//! | [`mark`] | what stands for a secret that must not be kept |
//! | [`slow`] | those who fail wait, and few try at once |
//! | [`watched`] | files that are read again when they change |

pub mod aws_keys;
pub mod bearer;
pub mod certificate;
pub mod jwt;
pub mod mark;
mod principal;
mod slow;
pub mod tokens;
pub mod users;
pub mod watched;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::aws::Clients;
use crate::aws::options::AccessKeys;
use bearer::Bearers;
pub use principal::Principal;
use slow::Slow;

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
    #[error("too many sign-ins are under way: try again")]
    Busy,
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
}

/// The ways to sign in that are open.
pub struct SignIn {
    options: SignInOptions,
    users: Option<users::Users>,
    tokens: Option<tokens::Tokens>,
    jwt: Option<jwt::Jwt>,
    aws_keys: Option<aws_keys::AwsKeys>,
    bearers: Bearers,
    slow: Slow,
}

impl SignIn {
    pub fn new(options: SignInOptions, key: [u8; 32], clients: &Clients) -> Self {
        Self {
            users: options.users_file.clone().map(users::Users::new),
            tokens: options.tokens_file.clone().map(tokens::Tokens::new),
            jwt: options.jwt.clone().map(jwt::Jwt::new),
            aws_keys: options.aws_keys.then(|| aws_keys::AwsKeys::new(clients.clone())),
            bearers: Bearers::new(key, options.bearer_ttl),
            slow: Slow::default(),
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
        let Some(authorization) = &credentials.authorization else {
            let certificate = credentials.certificate.clone();
            return certificate.map(Some).ok_or_else(|| Refusal::Missing(self.ways()));
        };
        let (scheme, said) = authorization.expose_secret().split_once(' ').unwrap_or_default();
        let principal = if scheme.eq_ignore_ascii_case("bearer") {
            self.by_token(said.trim()).await
        } else if scheme.eq_ignore_ascii_case("basic") {
            let (name, password) = basic(said).ok_or(Refusal::Failed)?;
            self.by_password(&name, &password, credentials).await
        } else {
            Err(Refusal::Missing(self.ways()))
        };
        principal.map(Some)
    }

    /// A token that says who somebody is, for a while, and when it ends.
    pub fn bearer(&self, principal: &Principal) -> SecretString {
        self.bearers.give(principal)
    }

    async fn by_token(&self, token: &str) -> Result<Principal, Refusal> {
        if Bearers::is_one(token) {
            return match self.bearers.read(token) {
                Err(Refusal::Failed) => self.slow.failed_token().await,
                read => read,
            };
        }
        if let Some(principal) = self.tokens.as_ref().and_then(|tokens| tokens.find(token)) {
            return Ok(principal);
        }
        match &self.jwt {
            Some(jwt) if jwt::is_one(token) => match jwt.read(token).await {
                Err(Refusal::Failed) => self.slow.failed_token().await,
                read => read,
            },
            _ => self.slow.failed_token().await,
        }
    }

    async fn by_password(&self, name: &str, password: &SecretString, more: &Credentials) -> Result<Principal, Refusal> {
        // What is counted by name is kept for a while: no name of a file or of AWS is that long.
        if name.len() > users::MAX_NAME_BYTES {
            return self.slow.failed_token().await;
        }
        // Clients that know names and passwords only can bring a token as well.
        if name.is_empty() || name == "token" {
            return self.by_token(password.expose_secret()).await;
        }
        if let Some(aws_keys) = self.aws_keys.as_ref().filter(|_| aws_keys::is_id(name)) {
            let session_token = more.aws_session_token.clone();
            let keys = AccessKeys { id: name.to_owned(), secret: password.clone(), session_token };
            return match aws_keys.principal(keys).await {
                Err(Refusal::Failed) => self.slow.failed(name).await,
                found => found,
            };
        }
        let Some(users) = &self.users else { return self.slow.failed(name).await };
        if let Some(principal) = users.remembered(name, password) {
            return Ok(principal);
        }
        // Hashing is made to be expensive: few at a time.
        let _turn = self.slow.turn().await?;
        match users.verify(name, password).await {
            Some(principal) => Ok(principal),
            None => self.slow.failed(name).await,
        }
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
