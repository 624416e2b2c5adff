//! Whose something is: statements, memory and streams are shared out fairly between owners.

use std::sync::Arc;

/// A principal's name, or nobody's where nobody has to say who they are. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Everybody, where nobody signs in. No principal has an empty name.
    pub fn anonymous() -> Self {
        Self::new("")
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "anonymous" } else { &self.0 })
    }
}
