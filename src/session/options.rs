//! What of a session a client can change: by session options (SetSessionOptions), and by headers of a single call.
//!
//! One table for both, so that they cannot differ: [`OPTIONS`].

use std::fmt;
use std::str::FromStr;

use super::{Compression, DEFAULT_DATABASE, DEFAULT_WORKGROUP, MAX_ENDPOINTS, MAX_REUSE_MINUTES, Session};
use crate::catalog::GLUE_CATALOG;

/// Longest value of an option, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// What an option's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Integer(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
        }
    }
}

/// One thing that can be changed.
pub struct SessionOption {
    /// Its name as a session option.
    pub name: &'static str,
    /// Its name as a header of one call.
    pub header: &'static str,
    pub kind: Kind,
    /// What it says, for people.
    pub what: &'static str,
    set: fn(&mut Session, &str) -> Result<(), String>,
    get: fn(&Session) -> Option<Value>,
}

pub const OPTIONS: [SessionOption; 9] = [
    SessionOption {
        name: "catalog",
        header: "x-athena-catalog",
        kind: Kind::Text,
        what: "data catalog that names without one are looked up in",
        set: |session, text| name(text).map(|name| session.catalog = Some(name)),
        get: |session| in_force(&session.catalog, GLUE_CATALOG),
    },
    SessionOption {
        name: "schema",
        header: "x-athena-database",
        kind: Kind::Text,
        what: "database that names without one are looked up in",
        set: |session, text| name(text).map(|name| session.database = Some(name)),
        get: |session| in_force(&session.database, DEFAULT_DATABASE),
    },
    SessionOption {
        name: "workgroup",
        header: "x-athena-workgroup",
        kind: Kind::Text,
        what: "Athena workgroup",
        set: |session, text| name(text).map(|name| session.workgroup = Some(name)),
        get: |session| in_force(&session.workgroup, DEFAULT_WORKGROUP),
    },
    SessionOption {
        name: "result_path",
        header: "x-athena-result-path",
        kind: Kind::Text,
        what: "`auto`, `direct`, `unload`: how rows are read",
        set: |session, text| text.parse().map(|path| session.result_path = path),
        get: |session| Some(Value::Text(session.result_path.to_string())),
    },
    SessionOption {
        name: "endpoints",
        header: "x-athena-endpoints",
        kind: Kind::Integer,
        what: "1 to 64: endpoints that a FlightInfo may have, for clients that read several at once",
        set: |session, text| number(text, 1, MAX_ENDPOINTS).map(|count| session.endpoints = Some(count)),
        get: |session| Some(Value::Integer(session.endpoints.unwrap_or(1).into())),
    },
    SessionOption {
        name: "compression",
        header: "x-athena-compression",
        kind: Kind::Text,
        what: "`none`, `lz4`, `zstd`: how the buffers of DoGet's batches are compressed",
        set: |session, text| text.parse().map(|compression| session.compression = compression),
        get: |session| Some(Value::Text(session.compression.to_string())),
    },
    SessionOption {
        name: "result_reuse_minutes",
        header: "x-athena-result-reuse-minutes",
        kind: Kind::Integer,
        what: "0 to 10080: how old a result may be that Athena gives again instead of running the query; 0 for never",
        set: |session, text| {
            let minutes = number(text, 0, MAX_REUSE_MINUTES)?;
            session.result_reuse_minutes = Some(minutes).filter(|minutes| *minutes > 0);
            Ok(())
        },
        get: |session| Some(Value::Integer(session.result_reuse_minutes.unwrap_or(0).into())),
    },
    SessionOption {
        name: "query_timeout_seconds",
        header: "x-athena-query-timeout-seconds",
        kind: Kind::Integer,
        what: "a statement that has not ended after so many seconds is stopped; 0 for Athena's own limit",
        set: |session, text| {
            let seconds = number(text, 0, u32::MAX)?;
            session.query_timeout_seconds = Some(seconds).filter(|seconds| *seconds > 0);
            Ok(())
        },
        get: |session| Some(Value::Integer(session.query_timeout_seconds.unwrap_or(0).into())),
    },
    SessionOption {
        name: "scan_limit_bytes",
        header: "x-athena-scan-limit-bytes",
        kind: Kind::Integer,
        what: "a statement that has read more bytes than this is stopped; 0 for the workgroup's own limit",
        set: |session, text| {
            let bytes = number(text, 0, i64::MAX as u64)?;
            session.scan_limit_bytes = Some(bytes).filter(|bytes| *bytes > 0);
            Ok(())
        },
        get: |session| Some(Value::Integer(session.scan_limit_bytes.unwrap_or(0) as i64)),
    },
];

impl SessionOption {
    pub fn find(name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.name == name)
    }

    /// Changes a session. The error says what values there are.
    pub fn set(&self, session: &mut Session, text: &str) -> Result<(), String> {
        if text.len() > MAX_VALUE_BYTES {
            return Err(format!("it has {} bytes, at most {MAX_VALUE_BYTES} are taken", text.len()));
        }
        (self.set)(session, text)
    }

    /// What a session says.
    pub fn get(&self, session: &Session) -> Option<Value> {
        (self.get)(session)
    }
}

/// A name, or the one that Athena takes where none is given: clients ask for what is in force.
fn in_force(name: &Option<String>, default: &str) -> Option<Value> {
    Some(Value::Text(name.as_deref().unwrap_or(default).to_owned()))
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn number<N: FromStr + PartialOrd + fmt::Display>(text: &str, least: N, most: N) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("{text:?} is not a number from {least} to {most}"))
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd),
            other => Err(format!("{other:?} is none of none, lz4, zstd")),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_is_read() {
        for (name, text) in [
            ("catalog", "other"),
            ("schema", "sales"),
            ("workgroup", "analysts"),
            ("result_path", "unload"),
            ("endpoints", "4"),
            ("compression", "zstd"),
            ("result_reuse_minutes", "60"),
            ("query_timeout_seconds", "30"),
            ("scan_limit_bytes", "1000000000000"),
        ] {
            let (option, mut session) = (SessionOption::find(name).expect("an option"), Session::default());
            option.set(&mut session, text).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(option.get(&session).map(|value| value.to_string()).as_deref(), Some(text), "{name}");
            assert_ne!(session, Session::default(), "{name}");
        }
        assert!(OPTIONS.iter().all(|option| option.header.starts_with("x-athena-")));
    }

    #[test]
    fn what_nobody_set_is_what_athena_takes() {
        for (name, text) in [("catalog", "AwsDataCatalog"), ("schema", "default"), ("workgroup", "primary")] {
            let option = SessionOption::find(name).expect("an option");
            assert_eq!(option.get(&Session::default()), Some(Value::Text(text.to_owned())), "{name}");
        }
    }

    #[test]
    fn what_they_cannot_mean_is_refused() {
        for (name, text) in [
            ("catalog", ""),
            ("result_path", "fast"),
            ("result_path", ""),
            ("endpoints", "0"),
            ("endpoints", "65"),
            ("endpoints", "x"),
            ("compression", "gzip"),
            ("result_reuse_minutes", "10081"),
            ("query_timeout_seconds", "-1"),
            ("scan_limit_bytes", "9223372036854775808"),
            ("schema", &"x".repeat(MAX_VALUE_BYTES + 1)),
        ] {
            let option = SessionOption::find(name).expect("an option");
            assert!(option.set(&mut Session::default(), text).is_err(), "{name} {text}");
        }
        assert!(SessionOption::find("nope").is_none());
    }
}
