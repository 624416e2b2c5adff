//! The session of a call: the server's, changed by the session's cookie, changed by the call's headers.
//!
//! The table of what can be changed is [`crate::session::options`].

use std::time::Duration;

use arrow::ipc::CompressionType;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::session_options::cookie;
use super::ticket::Keys;
use crate::session::options::OPTIONS;
use crate::session::{Compression, Session};

/// The server's session with what cookie and headers change in it.
pub fn session(server: &Session, keys: &Keys, headers: &MetadataMap) -> Result<Session, Status> {
    let mut session = server.clone();
    if let Some(changes) = cookie::read(keys, headers)? {
        cookie::apply(&changes, &mut session);
    }
    for option in &OPTIONS {
        if let Some(value) = headers.get(option.header) {
            let refused = |why: &str| Status::invalid_argument(format!("header {}: {why}", option.header));
            let text = value.to_str().map_err(|_| refused("it is not ASCII"))?;
            option.set(&mut session, text.trim()).map_err(|why| refused(&why))?;
        }
    }
    Ok(session)
}

/// How long a caller waits for the answer, as its `grpc-timeout` says: up to eight digits and a unit.
pub fn deadline(headers: &MetadataMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u32 = digits.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(amount)
}

/// The compression of IPC messages.
pub fn compression(session: &Session) -> Option<CompressionType> {
    match session.compression {
        Compression::None => None,
        Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
        Compression::Zstd => Some(CompressionType::ZSTD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::path::ResultPath;

    #[test]
    fn deadlines_have_a_unit() {
        let of = |text: &str| {
            let mut headers = MetadataMap::new();
            headers.insert("grpc-timeout", text.parse().expect("ASCII"));
            deadline(&headers)
        };
        assert_eq!(of("5S"), Some(Duration::from_secs(5)));
        assert_eq!((of("250m"), of("1H")), (Some(Duration::from_millis(250)), Some(Duration::from_secs(3600))));
        for nonsense in ["", "5", "S", "-1S", "5x"] {
            assert_eq!(of(nonsense), None, "{nonsense}");
        }
        assert_eq!(deadline(&MetadataMap::new()), None);
    }

    #[test]
    fn headers_change_the_session_and_nonsense_is_refused() {
        let (server, keys) = (Session { result_path: ResultPath::Direct, ..Session::default() }, Keys::random());
        let with = |pairs: &[(&'static str, &str)]| {
            let mut headers = MetadataMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("ASCII"));
            }
            session(&server, &keys, &headers)
        };
        assert_eq!(with(&[]).expect("nothing wrong"), server);
        let changed = with(&[("x-athena-result-path", " unload"), ("x-athena-endpoints", "4")]).expect("sound");
        assert_eq!((changed.result_path, changed.endpoints), (ResultPath::Unload, Some(4)));
        let refused = with(&[("x-athena-compression", "gzip")]).expect_err("no such value");
        assert!(refused.message().starts_with("header x-athena-compression:"), "{refused}");
    }
}
