//! Who somebody is, and until when that is known.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::aws::options::AccessKeys;

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct Principal {
    pub name: String,
    pub groups: Vec<String>,
    /// The AWS access key they brought, which their statements run with.
    pub keys: Option<AccessKeys>,
    /// When they signed in, in seconds since 1970, where a bearer token says so.
    pub since: Option<u64>,
    /// When what they signed in with ends, in seconds since 1970, where it does: no bearer token is good for longer.
    pub expires_at: Option<u64>,
    /// Whether that token is in the second half of its life, and may be followed by another one.
    pub renews_soon: bool,
}

impl Principal {
    pub fn new(name: impl Into<String>, groups: Vec<String>) -> Self {
        Self { name: name.into(), groups, keys: None, since: None, expires_at: None, renews_soon: false }
    }

    pub fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= now())
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
