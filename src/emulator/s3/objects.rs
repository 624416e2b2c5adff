//! GetObject and HeadObject: conditional, ranged, and fast enough not to be what a benchmark measures.
//!
//! `s3s-fs` reads files in pieces of 4 KiB, hashes a whole file to answer HEAD, and passes If-Match over.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use futures::stream;

use super::error;

/// One read from the disk, and one write to the socket.
const PIECE_BYTES: u64 = 1 << 20;

/// What is known of an object before its bytes are read.
pub struct Object {
    pub path: PathBuf,
    pub length: u64,
    pub modified: SystemTime,
    pub etag: String,
    /// Headers that were stored with it.
    pub stored: HeaderMap,
}

impl Object {
    /// The file's facts; `None` if there is no such file. The tag changes when the file does.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let modified = metadata.modified().ok()?;
        let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let etag = format!("\"{:016x}{:016x}\"", nanos as u64, metadata.len());
        Some(Self { path: path.to_owned(), length: metadata.len(), modified, etag, stored: HeaderMap::new() })
    }

    /// Answers GET or HEAD.
    pub async fn answer(self, method: &Method, asked: &HeaderMap) -> Response<Body> {
        if let Some(refusal) = self.precondition(asked) {
            return refusal;
        }
        let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
        let range = match text(header::RANGE) {
            Some(range) => match parse_range(range, self.length) {
                Range::Whole => None,
                Range::Part(start, end) => Some((start, end)),
                Range::Unsatisfiable => {
                    let mut refusal = error(
                        StatusCode::RANGE_NOT_SATISFIABLE,
                        "InvalidRange",
                        "The requested range is not satisfiable",
                    );
                    let whole = format!("bytes */{}", self.length);
                    refusal.headers_mut().insert(header::CONTENT_RANGE, value(&whole));
                    return refusal;
                }
            },
            None => None,
        };
        let (start, end) = range.unwrap_or((0, self.length));
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            match open(&self.path, start).await {
                Ok(file) => Body::from_stream(pieces(file, end - start)),
                Err(fault) => {
                    tracing::error!(path = %self.path.display(), error = %fault, "object cannot be read");
                    return error(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "InternalError",
                        "We encountered an internal error.",
                    );
                }
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        // A checksum is the whole object's.
        let whole = range.is_none();
        let fits = |name: &HeaderName| whole || !name.as_str().starts_with("x-amz-checksum-");
        headers.extend(self.stored.into_iter().filter(|(name, _)| name.as_ref().is_none_or(fits)));
        headers.insert(header::ETAG, value(&self.etag));
        headers.insert(header::LAST_MODIFIED, value(&http_date(self.modified)));
        headers.insert(header::ACCEPT_RANGES, value("bytes"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
        headers.entry(header::CONTENT_TYPE).or_insert_with(|| value("binary/octet-stream"));
        if range.is_some() {
            headers.insert(header::CONTENT_RANGE, value(&format!("bytes {start}-{}/{}", end - 1, self.length)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }

    /// The answer if a condition of the request does not hold, in the order of RFC 9110, section 13.2.2.
    fn precondition(&self, asked: &HeaderMap) -> Option<Response<Body>> {
        let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
        let listed = |tags: &str| {
            tags.split(',').any(|tag| tag.trim() == "*" || tag.trim().trim_matches('"') == self.etag.trim_matches('"'))
        };
        let failed = || {
            error(
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
            )
        };
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let since =
            |name: HeaderName| chrono::DateTime::parse_from_rfc2822(text(name)?).ok().map(|time| time.timestamp());
        match text(header::IF_MATCH) {
            Some(tags) if !listed(tags) => return Some(failed()),
            Some(_) => {}
            None if since(header::IF_UNMODIFIED_SINCE).is_some_and(|time| seconds(self.modified) > time) => {
                return Some(failed());
            }
            None => {}
        }
        let unchanged = match text(header::IF_NONE_MATCH) {
            Some(tags) => listed(tags),
            None => since(header::IF_MODIFIED_SINCE).is_some_and(|time| seconds(self.modified) <= time),
        };
        unchanged.then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().insert(header::ETAG, value(&self.etag));
            response
        })
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn http_date(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// Nothing that is understood: the whole object is given.
    Whole,
    /// From here until before there.
    Part(u64, u64),
    Unsatisfiable,
}

fn parse_range(text: &str, length: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Whole;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Range::Whole,
        (Ok(first), _) if first >= length => Range::Unsatisfiable,
        (Ok(first), Ok(last)) => Range::Part(first, last.saturating_add(1).min(length)),
        (Ok(first), Err(_)) if last.trim().is_empty() => Range::Part(first, length),
        (Err(_), Ok(count)) if first.trim().is_empty() => {
            if count == 0 || length == 0 {
                Range::Unsatisfiable
            } else {
                Range::Part(length - count.min(length), length)
            }
        }
        _ => Range::Whole,
    }
}

async fn open(path: &Path, start: u64) -> std::io::Result<File> {
    let path = path.to_owned();
    blocking(move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    })
    .await
}

/// The next `left` bytes of a file, in large pieces.
fn pieces(file: File, left: u64) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let want = left.min(PIECE_BYTES);
        let (piece, file) = blocking(move || {
            // Straight into memory that nobody has filled before.
            let mut piece = Vec::with_capacity(want as usize);
            file.by_ref().take(want).read_to_end(&mut piece)?;
            Ok((piece, file))
        })
        .await?;
        if (piece.len() as u64) < want {
            return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the object became shorter"));
        }
        Ok(Some((Bytes::from(piece), (file, left - want))))
    })
}

/// Work on files, on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (text, expected) in [
            ("bytes=0-3", Range::Part(0, 4)),
            ("bytes=4-", Range::Part(4, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=8-99", Range::Part(8, 10)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=5-2", Range::Whole),
            ("lines=1-2", Range::Whole),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
    }
}
