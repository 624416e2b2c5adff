//! What a call's headers say about how it is to be answered: for clients that can set headers and nothing else.
//!
//! | header | values |
//! | --- | --- |
//! | `x-athena-result-path` | `auto`, `direct`, `unload`: how rows are read |
//! | `x-athena-endpoints` | 1 to 64: endpoints that a FlightInfo may have, for clients that read several at once |
//! | `x-athena-compression` | `none`, `lz4`, `zstd`: how the buffers of DoGet's batches are compressed |

use arrow::ipc::CompressionType;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::session::{MAX_ENDPOINTS, Session};

const RESULT_PATH: &str = "x-athena-result-path";
const ENDPOINTS: &str = "x-athena-endpoints";
const COMPRESSION: &str = "x-athena-compression";

/// The server's session with what the headers change in it.
pub fn session(server: &Session, headers: &MetadataMap) -> Result<Session, Status> {
    let mut session = server.clone();
    if let Some(path) = value(headers, RESULT_PATH)? {
        session.result_path = path.parse().map_err(|why| refused(RESULT_PATH, why))?;
    }
    if let Some(count) = value(headers, ENDPOINTS)? {
        let count = count.parse().ok().filter(|count| (1..=MAX_ENDPOINTS).contains(count));
        session.endpoints =
            Some(count.ok_or_else(|| refused(ENDPOINTS, format!("it is not a number from 1 to {MAX_ENDPOINTS}")))?);
    }
    Ok(session)
}

/// The compression that was asked for.
pub fn compression(headers: &MetadataMap) -> Result<Option<CompressionType>, Status> {
    match value(headers, COMPRESSION)? {
        None | Some("none") => Ok(None),
        Some("lz4") => Ok(Some(CompressionType::LZ4_FRAME)),
        Some("zstd") => Ok(Some(CompressionType::ZSTD)),
        Some(other) => Err(refused(COMPRESSION, format!("{other:?} is none of none, lz4, zstd"))),
    }
}

fn value<'a>(headers: &'a MetadataMap, name: &'static str) -> Result<Option<&'a str>, Status> {
    let value = headers.get(name).map(|value| value.to_str().map(str::trim));
    value.transpose().map_err(|_| refused(name, "it is not ASCII"))
}

fn refused(name: &str, why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("header {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::path::ResultPath;

    fn headers(pairs: &[(&'static str, &str)]) -> MetadataMap {
        let mut map = MetadataMap::new();
        for (name, value) in pairs {
            map.insert(*name, value.parse().expect("ASCII"));
        }
        map
    }

    #[test]
    fn headers_change_the_session() {
        let server = Session { result_path: ResultPath::Direct, ..Session::default() };
        assert_eq!(session(&server, &headers(&[])).expect("nothing wrong"), server);
        let changed = session(&server, &headers(&[(RESULT_PATH, "unload"), (ENDPOINTS, "4")])).expect("sound");
        assert_eq!((changed.result_path, changed.endpoints), (ResultPath::Unload, Some(4)));
        assert_eq!(compression(&headers(&[(COMPRESSION, "zstd")])).expect("sound"), Some(CompressionType::ZSTD));
    }

    #[test]
    fn what_they_cannot_mean_is_refused() {
        for pair in [(RESULT_PATH, "fast"), (RESULT_PATH, ""), (ENDPOINTS, "0"), (ENDPOINTS, "65"), (ENDPOINTS, "x")] {
            let error = session(&Session::default(), &headers(&[pair])).expect_err("no such value");
            assert!(error.message().contains(pair.0), "{error}");
        }
        assert!(compression(&headers(&[(COMPRESSION, "gzip")])).is_err());
    }
}
