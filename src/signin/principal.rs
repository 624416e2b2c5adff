//! Who somebody is.

use crate::aws::options::AccessKeys;

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct Principal {
    pub name: String,
    pub groups: Vec<String>,
    /// The AWS access key they brought, which their statements run with.
    pub keys: Option<AccessKeys>,
}

impl Principal {
    pub fn new(name: impl Into<String>, groups: Vec<String>) -> Self {
        Self { name: name.into(), groups, keys: None }
    }
}
