//! What a statement is run with: where its names are looked up, where its results go, how its rows are wanted.
//!
//! | module | says |
//! | --- | --- |
//! | [`options`] | what of it a client can change, by which names |

pub mod options;

use crate::results::path::ResultPath;

/// Athena's workgroup where none is named.
pub const DEFAULT_WORKGROUP: &str = "primary";
/// Athena's database where none is named.
pub const DEFAULT_DATABASE: &str = "default";
/// Endpoints of one result, whatever a client asks for.
pub const MAX_ENDPOINTS: u16 = 64;
/// Oldest result that Athena gives again, in minutes (athena-behaviour, section 2).
pub const MAX_REUSE_MINUTES: u32 = 10_080;

/// What a statement is run with. Each `None` is left to Athena: its default catalog, the workgroup's output location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Session {
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub workgroup: Option<String>,
    pub s3_staging_dir: Option<String>,
    pub protection: Protection,
    pub result_path: ResultPath,
    /// Endpoints that a result may have at most. Many clients read only the first, so it is one unless they ask.
    pub endpoints: Option<u16>,
    pub compression: Compression,
    /// How old a result may be that Athena gives again instead of running a query.
    pub result_reuse_minutes: Option<u32>,
    /// A statement that has not ended after so many seconds is stopped.
    pub query_timeout_seconds: Option<u32>,
    /// A statement that has read more than so many bytes is stopped.
    pub scan_limit_bytes: Option<u64>,
}

impl Session {
    /// The session as far as it decides what a statement means.
    pub fn place(&self) -> Self {
        Self {
            catalog: self.catalog.clone(),
            database: self.database.clone(),
            workgroup: self.workgroup.clone(),
            s3_staging_dir: self.s3_staging_dir.clone(),
            protection: self.protection.clone(),
            ..Self::default()
        }
    }
}

/// How result objects are protected; what is left open is the workgroup's word, and the bucket's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Protection {
    pub encryption: Option<Encryption>,
    /// Account that the bucket has to belong to.
    pub expected_bucket_owner: Option<String>,
    /// Canned ACL.
    pub acl: Option<String>,
}

/// Who encrypts result objects, with which key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// S3, with a key of its own.
    SseS3,
    /// S3, with a key of KMS's.
    SseKms { key: String },
    /// Athena, before it writes them: only Athena hands out what they say.
    CseKms { key: String },
}

/// How the buffers of batches are compressed on their way to the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    #[default]
    None,
    Lz4,
    Zstd,
}
