//! Tokens of an identity provider: JWTs whose signature, algorithm, issuer, audience and time are right.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::jwks::{Jwks, Source};
use super::{Principal, Refusal};

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

    /// What is wrong with where the keys are; a URL is not asked yet.
    pub fn check(&self) -> Result<(), String> {
        Source::of(&self.jwks).check()
    }
}

/// Whether a bearer token looks like one.
pub fn is_one(token: &str) -> bool {
    token.len() <= MAX_TOKEN_BYTES && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

pub struct Jwt {
    options: JwtOptions,
    keys: Arc<Jwks>,
}

impl Jwt {
    pub fn new(options: JwtOptions) -> Self {
        Self { keys: Jwks::new(Source::of(&options.jwks)), options }
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
        let jwk =
            self.keys.key(header.kid.as_deref(), header.alg).await?.ok_or_else(|| refuse(&"its key is not known"))?;
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
        // The leeway is for clocks that differ; a bearer token, by the gateway's own clock, has none.
        let expires_at = claims.get("exp").and_then(Value::as_f64).map(|end| end.max(0.0) as u64);
        Ok(Principal { expires_at, ..Principal::new(name, groups) })
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_algorithms_are_refused() {
        for name in ["HS256", "none", "rs256", ""] {
            assert!(JwtOptions::algorithm(name).is_err(), "{name}");
        }
        assert_eq!(JwtOptions::algorithm("ES256"), Ok(Algorithm::ES256));
    }
}
