//! Who asks, where the names in their statements are looked up, and how they want their rows.

use crate::results::path::ResultPath;

/// Endpoints of one result, whatever a client asks for.
pub const MAX_ENDPOINTS: u16 = 64;

/// What a statement is run with. Each `None` is left to Athena: its default catalog, the workgroup's output location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Session {
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub workgroup: Option<String>,
    pub s3_staging_dir: Option<String>,
    pub result_path: ResultPath,
    /// Endpoints that a result may have at most. Many clients read only the first, so it is one unless they ask.
    pub endpoints: Option<u16>,
}

impl Session {
    /// The session as far as it decides what a statement means.
    pub fn place(&self) -> Self {
        Self { result_path: ResultPath::default(), endpoints: None, ..self.clone() }
    }
}
