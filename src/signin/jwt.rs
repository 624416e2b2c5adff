//! Tokens of an identity provider: JWTs whose signature, algorithm, issuer, audience and time are right.
//!
//! Keys come from a JWKS, by file or URL. One whose id is not known makes them be asked for anew, so that the provider can
//! change its keys at any time.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::{Principal, Refusal};

/// How old the keys may be, and how often an unknown key makes them be asked for.
const MAX_AGE: Duration = Duration::from_secs(600);
const LEAST_AGE: Duration = Duration::from_secs(10);
/// Largest JWKS, and how long it may take.
const MAX_BYTES: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Which tokens are taken.
#[derive(Debug, Clone)]
pub struct JwtOptions {
    /// Path or URL.
    pub jwks: String,
    pub issuer: String,
    pub audiences: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub principal_claim: String,
    pub groups_claim: String,
    pub leeway: Duration,
}

impl JwtOptions {
    /// An algorithm by its name. Symmetric ones are not taken: whoever could check a token could make one.
    pub fn algorithm(name: &str) -> Result<Algorithm, String> {
        let known = || format!("{name:?} is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA");
        let algorithm = Algorithm::from_str(name).map_err(|_| known())?;
        if algorithm.family() == AlgorithmFamily::Hmac { Err(known()) } else { Ok(algorithm) }
    }

    /// What is wrong with where the keys are; an URL is not asked yet.
    pub fn check(&self) -> Result<(), String> {
        match Source::of(&self.jwks) {
            Source::File(path) => read(&path).map(drop),
            Source::Url(url) if url.starts_with("https://") || is_loopback(&url) => Ok(()),
            Source::Url(url) => {
                Err(format!("{url} is not https: whoever is on the way could put in keys of their own"))
            }
        }
    }
}

enum Source {
    File(PathBuf),
    Url(String),
}

impl Source {
    fn of(text: &str) -> Self {
        if text.contains("://") { Self::Url(text.to_owned()) } else { Self::File(PathBuf::from(text)) }
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

/// Whether a bearer token looks like one.
pub fn is_one(token: &str) -> bool {
    token.len() <= MAX_TOKEN_BYTES && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

pub struct Jwt {
    options: JwtOptions,
    keys: Mutex<Option<Keys>>,
}

struct Keys {
    set: Arc<JwkSet>,
    since: Instant,
}

impl Jwt {
    pub fn new(options: JwtOptions) -> Self {
        Self { options, keys: Mutex::new(None) }
    }

    pub async fn read(&self, token: &str) -> Result<Principal, Refusal> {
        let refuse = |why: &dyn std::fmt::Display| {
            tracing::info!(%why, "JWT refused");
            Refusal::Failed
        };
        let header = decode_header(token).map_err(|error| refuse(&error))?;
        if !self.options.algorithms.contains(&header.alg) {
            return Err(refuse(&format!("algorithm {:?} is not allowed", header.alg)));
        }
        let jwk = self.key(header.kid.as_deref(), header.alg).await?.ok_or_else(|| refuse(&"its key is not known"))?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|error| refuse(&error))?;
        if key.family() != header.alg.family() {
            return Err(refuse(&"its key is for another kind of algorithm"));
        }
        let claims = decode::<Map<String, Value>>(token, &key, &self.validation(header.alg));
        let claims = claims.map_err(|error| refuse(&error))?.claims;
        let name = claims.get(&self.options.principal_claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| refuse(&format!("it has no claim {}", self.options.principal_claim)))?;
        let groups = match claims.get(&self.options.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(groups)) => groups.split_whitespace().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Ok(Principal::new(name, groups))
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.algorithms = vec![algorithm];
        validation.leeway = self.options.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_audience(&self.options.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }

    /// The key of an id. A token without one is checked with the only key that would do.
    async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Option<Jwk>, Refusal> {
        let mut keys = self.keys.lock().await;
        let find = |keys: &Keys| find(&keys.set, id, algorithm).cloned();
        if let Some(known) = keys.as_ref() {
            let found = find(known).filter(|_| known.since.elapsed() < MAX_AGE);
            if found.is_some() || known.since.elapsed() < LEAST_AGE {
                return Ok(found);
            }
        }
        match self.fetch().await {
            Ok(set) => {
                let fresh = Keys { set: Arc::new(set), since: Instant::now() };
                let found = find(&fresh);
                *keys = Some(fresh);
                Ok(found)
            }
            // The provider may be away for a while: what was known stays good.
            Err(why) => match keys.as_mut() {
                Some(known) => {
                    tracing::warn!(why, "JWKS cannot be read; the keys of before stay in force");
                    known.since = Instant::now();
                    Ok(find(known))
                }
                None => {
                    tracing::error!(why, "JWKS cannot be read");
                    Err(Refusal::Unavailable("the keys that JWTs are signed with cannot be read now".to_owned()))
                }
            },
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let source = Source::of(&self.options.jwks);
        let fetched = tokio::task::spawn_blocking(move || match source {
            Source::File(path) => read(&path),
            Source::Url(url) => get(&url),
        });
        fetched.await.map_err(|error| error.to_string())?
    }
}

fn find<'a>(set: &'a JwkSet, id: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    let signs = |jwk: &&Jwk| jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    match id {
        Some(id) => set.keys.iter().filter(signs).find(|jwk| jwk.common.key_id.as_deref() == Some(id)),
        None => {
            let fits = |jwk: &&Jwk| DecodingKey::from_jwk(jwk).is_ok_and(|key| key.family() == algorithm.family());
            let mut fitting = set.keys.iter().filter(signs).filter(fits);
            fitting.next().filter(|_| fitting.next().is_none())
        }
    }
}

fn read(path: &Path) -> Result<JwkSet, String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("{shown} is not a JWKS: {error}"))
}

fn get(url: &str) -> Result<JwkSet, String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).build().into();
    let answer = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let mut text = Vec::new();
    let mut body = answer.into_body().into_reader().take(MAX_BYTES);
    body.read_to_end(&mut text).map_err(|error| format!("{url}: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("{url} is not a JWKS: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_algorithms_and_plain_urls_are_refused() {
        for name in ["HS256", "none", "rs256", ""] {
            assert!(JwtOptions::algorithm(name).is_err(), "{name}");
        }
        assert_eq!(JwtOptions::algorithm("ES256"), Ok(Algorithm::ES256));
        assert!(is_loopback("http://127.0.0.1:8080/keys") && is_loopback("http://localhost/keys"));
        assert!(!is_loopback("http://example.com/127.0.0.1") && !is_loopback("http://127.0.0.1.example.com/"));
    }
}
