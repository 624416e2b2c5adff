//! Options from a TOML file, the environment and flags → one checked [`Config`].
//!
//! A flag or its environment variable wins over the file. Every fault is reported, all at once.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::aws::AwsOptions;
use crate::gateway::Settings;
use crate::results::path::ResultPath;
use crate::session::Session;

/// Where the gateway listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:31337";
/// Where the embedded endpoint listens unless told otherwise.
pub const DEFAULT_EMULATOR_LISTEN: &str = "127.0.0.1:31338";
/// Scale factor of the demo data: 60,175 rows of lineitem.
pub const DEFAULT_DEMO_SCALE: f64 = 0.01;
/// The embedded endpoint is in no region; signing needs one.
const EMBEDDED_REGION: &str = "us-east-1";

/// What was said, in the file and by flags alike; each may be missing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    pub listen: Option<String>,
    pub demo: Option<bool>,
    pub demo_scale: Option<f64>,
    pub local: Option<PathBuf>,
    pub region: Option<String>,
    pub profile: Option<String>,
    pub endpoint_url: Option<String>,
    pub s3_staging_dir: Option<String>,
    pub workgroup: Option<String>,
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub result_path: Option<String>,
    pub memory_limit: Option<String>,
    pub unload_ttl: Option<u64>,
    pub signing_key_file: Option<PathBuf>,
    pub read_only: Option<bool>,
}

/// Options that fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub listen: String,
    pub source: Source,
    pub session: Session,
    pub settings: Settings,
    /// The key that gateways share to take each other's tickets; without one each has its own.
    pub signing_key: Option<SigningKey>,
}

/// A secret; it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(pub Vec<u8>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// Fewest bytes of a signing key.
pub const LEAST_KEY_BYTES: usize = 32;

/// The bytes of a file, without the line end behind them.
fn read_signing_key(path: &std::path::Path) -> Result<SigningKey, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("--signing-key-file {}: {error}", path.display()))?;
    let key = bytes.trim_ascii_end();
    if key.len() < LEAST_KEY_BYTES {
        let path = path.display();
        return Err(format!("--signing-key-file {path} has {} bytes, a key has at least {LEAST_KEY_BYTES}", key.len()));
    }
    Ok(SigningKey(key.to_vec()))
}

/// Which AWS the gateway talks to.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// AWS itself, or whatever answers at `endpoint_url`.
    Aws(AwsOptions),
    /// The embedded endpoint with TPC-H data of a scale factor.
    Demo { scale: f64 },
    /// The embedded endpoint over a folder of files.
    Local { folder: PathBuf },
}

/// What is wrong with the options.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("config file {path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("{}", .0.join("; "))]
    Faults(Vec<String>),
}

impl Options {
    /// Reads a TOML file. Keys are the long flags' names; unknown ones are refused.
    pub fn read(path: &std::path::Path) -> Result<Self, ConfigError> {
        let fail = |why: String| ConfigError::File { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        // The parser shows the place over several lines; its first lines say where and what.
        toml::from_str(&text).map_err(|error| fail(error.to_string().trim_end().replace('\n', " ")))
    }

    /// These options, and those of `lower` where nothing is said.
    pub fn over(self, lower: Self) -> Self {
        Self {
            listen: self.listen.or(lower.listen),
            demo: self.demo.or(lower.demo),
            demo_scale: self.demo_scale.or(lower.demo_scale),
            local: self.local.or(lower.local),
            region: self.region.or(lower.region),
            profile: self.profile.or(lower.profile),
            endpoint_url: self.endpoint_url.or(lower.endpoint_url),
            s3_staging_dir: self.s3_staging_dir.or(lower.s3_staging_dir),
            workgroup: self.workgroup.or(lower.workgroup),
            catalog: self.catalog.or(lower.catalog),
            database: self.database.or(lower.database),
            result_path: self.result_path.or(lower.result_path),
            memory_limit: self.memory_limit.or(lower.memory_limit),
            unload_ttl: self.unload_ttl.or(lower.unload_ttl),
            signing_key_file: self.signing_key_file.or(lower.signing_key_file),
            read_only: self.read_only.or(lower.read_only),
        }
    }

    /// Checks that the options fit together.
    pub fn check(self) -> Result<Config, ConfigError> {
        let mut faults = Vec::new();
        let demo = self.demo.unwrap_or(false);
        let embedded = demo || self.local.is_some();
        if demo && self.local.is_some() {
            faults.push("--demo and --local exclude each other".to_owned());
        }
        if self.demo_scale.is_some() && !demo {
            faults.push("--demo-scale needs --demo".to_owned());
        }
        for (name, value) in
            [("region", &self.region), ("profile", &self.profile), ("endpoint-url", &self.endpoint_url)]
        {
            if embedded && value.is_some() {
                faults.push(format!("--{name} is for AWS; --demo and --local bring their own endpoint"));
            }
        }
        if let Some(url) = &self.endpoint_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            faults.push(format!("--endpoint-url {url:?} starts neither with http:// nor with https://"));
        }
        if let Some(folder) = &self.s3_staging_dir
            && !folder.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        {
            faults.push(format!("--s3-staging-dir {folder:?} is not s3://bucket/prefix/"));
        }
        let scale = self.demo_scale.unwrap_or(DEFAULT_DEMO_SCALE);
        if !(scale > 0.0 && scale <= 100.0) {
            faults.push(format!("--demo-scale {scale} is not between 0 and 100"));
        }
        if let Some(folder) = &self.local
            && !folder.is_dir()
        {
            faults.push(format!("--local {}: no such folder", folder.display()));
        }
        let result_path = self.result_path.as_deref().map_or(Ok(ResultPath::default()), str::parse);
        let result_path = result_path.map_err(|why| faults.push(format!("--result-path: {why}"))).unwrap_or_default();
        let mut settings = Settings { read_only: self.read_only.unwrap_or(false), ..Settings::default() };
        if let Some(text) = &self.memory_limit {
            match bytes(text) {
                Some(bytes) if bytes >= LEAST_MEMORY => settings.memory_limit = bytes,
                Some(_) => faults.push(format!("--memory-limit {text} is less than {} MiB", LEAST_MEMORY >> 20)),
                None => faults.push(format!("--memory-limit {text:?} is not a size, as 256MiB or 1GiB")),
            }
        }
        match self.unload_ttl {
            Some(0) => faults.push("--unload-ttl 0 would remove results before they are read".to_owned()),
            Some(seconds) => settings.unload_ttl = Duration::from_secs(seconds),
            None => {}
        }
        let signing_key = self.signing_key_file.as_deref().map(read_signing_key).transpose();
        let signing_key = signing_key.map_err(|fault| faults.push(fault)).unwrap_or_default();
        let listen = self.listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
        faults.extend(check_listen(&listen));
        if !faults.is_empty() {
            return Err(ConfigError::Faults(faults));
        }
        let source = match self.local {
            Some(folder) => Source::Local { folder },
            None if demo => Source::Demo { scale },
            None => Source::Aws(AwsOptions {
                region: self.region,
                profile: self.profile,
                endpoint_url: self.endpoint_url,
                embedded: false,
            }),
        };
        let session = Session {
            catalog: self.catalog,
            database: self.database,
            workgroup: self.workgroup,
            s3_staging_dir: self.s3_staging_dir,
            result_path,
            ..Session::default()
        };
        Ok(Config { listen, source, session, settings, signing_key })
    }
}

/// There is no sign-in and no TLS yet, so only this machine may connect.
fn check_listen(listen: &str) -> Option<String> {
    let (host, port) = listen.rsplit_once(':')?;
    if port.parse::<u16>().is_err() {
        return Some(format!("--listen {listen:?} is not HOST:PORT"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (!loopback).then(|| {
        format!("--listen {listen:?} is not on this machine: without sign-in and TLS only 127.0.0.1, [::1] and localhost are served")
    })
}

/// Least memory for results: some streams have to have room.
const LEAST_MEMORY: usize = 16 << 20;

/// A size: `1048576`, `256MiB`, `1 GiB`.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<usize>().ok()?.checked_mul(factor)
}

/// How to reach an embedded endpoint.
pub fn embedded(url: String) -> AwsOptions {
    AwsOptions { region: Some(EMBEDDED_REGION.to_owned()), profile: None, endpoint_url: Some(url), embedded: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let file: Options = toml::from_str("listen = \"127.0.0.1:1\"\nworkgroup = \"file\"").expect("TOML");
        let flags = Options { workgroup: Some("flag".into()), ..Options::default() };
        let config = flags.over(file).check().expect("sound options");
        assert_eq!((config.listen.as_str(), config.session.workgroup.as_deref()), ("127.0.0.1:1", Some("flag")));
    }

    #[test]
    fn all_faults_come_at_once() {
        let options = Options {
            listen: Some("0.0.0.0:31337".into()),
            demo: Some(true),
            local: Some("/no/such/folder".into()),
            region: Some("us-east-1".into()),
            s3_staging_dir: Some("bucket".into()),
            result_path: Some("fast".into()),
            memory_limit: Some("12 parsecs".into()),
            unload_ttl: Some(0),
            signing_key_file: Some("/no/such/file".into()),
            ..Options::default()
        };
        let Err(ConfigError::Faults(faults)) = options.check() else { panic!("these options do not fit together") };
        assert_eq!(faults.len(), 9, "{faults:#?}");
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in [
            ("1048576", Some(1 << 20)),
            ("256MiB", Some(256 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("64KiB", Some(64 << 10)),
            ("1GB", None),
            ("", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = toml::from_str::<Options>("work-group = \"a\"").expect_err("no such key").to_string();
        assert!(error.contains("work-group") && error.contains("workgroup"), "{error}");
    }
}
