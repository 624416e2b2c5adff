//! Who somebody is.

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
    /// Whether that token is in the second half of its life, and may be followed by another one.
    pub renews_soon: bool,
}

impl Principal {
    pub fn new(name: impl Into<String>, groups: Vec<String>) -> Self {
        Self { name: name.into(), groups, keys: None, since: None, renews_soon: false }
    }
}
