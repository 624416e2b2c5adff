//! Flags that say which AWS, or which files, statements run on; `serve` and `query` share them.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Options};

#[derive(Args, Default)]
pub struct SourceArgs {
    /// Read options from a TOML file; keys are the names of the long flags
    #[arg(long, value_name = "FILE", env = "ATHENA_FLIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Start the embedded endpoint with TPC-H data (database tpch)
    #[arg(long)]
    demo: bool,
    /// Scale factor of the demo data; 1 is 6 million rows of lineitem [default: 0.01]
    #[arg(long, value_name = "FACTOR", env = "ATHENA_FLIGHT_DEMO_SCALE")]
    demo_scale: Option<f64>,
    /// Start the embedded endpoint over your own files: DIR/DATABASE/TABLE.{parquet,csv,json}
    #[arg(long, value_name = "DIR", env = "ATHENA_FLIGHT_LOCAL")]
    local: Option<PathBuf>,
    /// AWS region, as us-east-1
    #[arg(long, env = "ATHENA_FLIGHT_REGION")]
    region: Option<String>,
    /// Profile of ~/.aws/config and ~/.aws/credentials
    #[arg(long, env = "ATHENA_FLIGHT_PROFILE")]
    profile: Option<String>,
    /// Where AWS answers, if not at AWS
    #[arg(long, value_name = "URL", env = "ATHENA_FLIGHT_ENDPOINT_URL")]
    endpoint_url: Option<String>,
    /// Where Athena leaves results: s3://bucket/prefix/ [default: the workgroup's]
    #[arg(long, value_name = "S3_URI", env = "ATHENA_FLIGHT_S3_STAGING_DIR")]
    s3_staging_dir: Option<String>,
    /// Athena workgroup [default: Athena's, primary]
    #[arg(long, env = "ATHENA_FLIGHT_WORKGROUP")]
    workgroup: Option<String>,
    /// Data catalog that names without one are looked up in [default: Athena's, AwsDataCatalog]
    #[arg(long, env = "ATHENA_FLIGHT_CATALOG")]
    catalog: Option<String>,
    /// Database that names without one are looked up in [default: Athena's, default]
    #[arg(long, env = "ATHENA_FLIGHT_DATABASE")]
    database: Option<String>,
    /// How rows of queries are read: auto, direct (pages and CSV), unload (Parquet by UNLOAD) [default: auto]
    #[arg(long, value_name = "PATH", env = "ATHENA_FLIGHT_RESULT_PATH")]
    result_path: Option<String>,
    /// Memory for reading results, for all streams together, as 512MiB [default: 256MiB]
    #[arg(long, value_name = "SIZE", env = "ATHENA_FLIGHT_MEMORY_LIMIT")]
    memory_limit: Option<String>,
    /// How long the files of an UNLOAD stay, in seconds [default: 86400]
    #[arg(long, value_name = "SECONDS", env = "ATHENA_FLIGHT_UNLOAD_TTL")]
    unload_ttl: Option<u64>,
    /// File with the key that tickets, prepared statements and sessions are signed with: gateways with the same one take
    /// each other's [default: a key of its own]
    #[arg(long, value_name = "FILE", env = "ATHENA_FLIGHT_SIGNING_KEY_FILE")]
    signing_key_file: Option<PathBuf>,
    /// Refuse every statement that may do more than read
    #[arg(long, env = "ATHENA_FLIGHT_READ_ONLY")]
    read_only: bool,
}

impl SourceArgs {
    /// Whether anything was said about where statements run.
    pub fn is_given(&self) -> bool {
        self.demo || self.local.is_some() || self.config.is_some() || self.endpoint_url.is_some()
    }

    /// File and flags together, checked.
    pub fn config(self, listen: Option<String>) -> anyhow::Result<Config> {
        let file = self.config.as_deref().map(Options::read).transpose()?.unwrap_or_default();
        let flags = Options {
            listen,
            demo: self.demo.then_some(true),
            demo_scale: self.demo_scale,
            local: self.local,
            region: self.region,
            profile: self.profile,
            endpoint_url: self.endpoint_url,
            s3_staging_dir: self.s3_staging_dir,
            workgroup: self.workgroup,
            catalog: self.catalog,
            database: self.database,
            result_path: self.result_path,
            memory_limit: self.memory_limit,
            unload_ttl: self.unload_ttl,
            signing_key_file: self.signing_key_file,
            read_only: self.read_only.then_some(true),
        };
        Ok(flags.over(file).check()?)
    }
}
