//! Who asks, and where the names in their statements are looked up.

/// What a statement is run with. Each `None` is left to Athena: its default catalog, the workgroup's output location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Session {
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub workgroup: Option<String>,
    pub s3_staging_dir: Option<String>,
}
