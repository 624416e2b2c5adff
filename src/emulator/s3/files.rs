//! What `s3s` and `s3s-fs` do: writing, listing, copying, multipart uploads.
//!
//! Any credentials are accepted: signatures are taken off before `s3s` sees the request, because it could only check
//! them against a secret it knows. What a signature implies for the body (aws-chunked framing) is undone here too.

use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, header};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use s3s::service::{S3Service, S3ServiceBuilder};

#[derive(Clone)]
pub struct Files {
    service: S3Service,
}

/// Why the folder of buckets cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the folder of buckets cannot be used: {0}")]
pub struct BucketsUnusable(String);

impl Files {
    pub fn open(buckets: &Path) -> Result<Self, BucketsUnusable> {
        let files = s3s_fs::FileSystem::new(buckets).map_err(|error| BucketsUnusable(format!("{error:?}")))?;
        Ok(Self { service: S3ServiceBuilder::new(files).build() })
    }

    /// The headers that HEAD gives for an object.
    pub async fn head(&self, bucket: &str, key: &str) -> Option<HeaderMap> {
        let path: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let uri = format!("/{bucket}/{}", path.replace('+', "%20").replace("%2F", "/"));
        let request = Request::builder().method("HEAD").uri(uri).body(Body::empty()).ok()?;
        let response = self.answer(request).await;
        response.status().is_success().then(|| response.headers().clone())
    }

    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.service.call(anonymous(request)).await {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(error = ?error, "S3 request failed");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

/// The same request without its signature and without the framing of a signed body.
fn anonymous(request: Request<Body>) -> Request<s3s::Body> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::AUTHORIZATION);
    plain_query(&mut parts.uri);
    let chunked = is_chunked(&parts.headers);
    parts.headers.remove("x-amz-content-sha256");
    if !chunked {
        return Request::from_parts(parts, s3s::Body::http_body_unsync(body));
    }
    if let Some(length) = parts.headers.remove("x-amz-decoded-content-length") {
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    parts.headers.remove("x-amz-trailer");
    let encodings = parts.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let others: Vec<&str> =
        encodings.into_iter().flat_map(|v| v.split(',')).map(str::trim).filter(|e| *e != "aws-chunked").collect();
    match others.join(",").parse() {
        Ok(value) if !others.is_empty() => parts.headers.insert(header::CONTENT_ENCODING, value),
        _ => parts.headers.remove(header::CONTENT_ENCODING),
    };
    let body = Body::from_stream(unframed(body.into_data_stream()));
    Request::from_parts(parts, s3s::Body::http_body_unsync(body))
}

/// Takes the parameters of a presigned URL away, and an empty delimiter, which is none to S3 and one to `s3s-fs`.
fn plain_query(uri: &mut axum::http::Uri) {
    let Some(query) = uri.query() else { return };
    let signed = query.contains("X-Amz-Signature=");
    let dropped = |pair: &&str| *pair == "delimiter=" || (signed && pair.starts_with("X-Amz-"));
    if !query.split('&').any(|pair| dropped(&pair)) {
        return;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !dropped(pair)).collect();
    let path = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    if let Ok(path) = path.parse() {
        parts.path_and_query = Some(path);
    }
    if let Ok(unsigned) = axum::http::Uri::from_parts(parts) {
        *uri = unsigned;
    }
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

/// The largest line in front of a chunk: its size in hexadecimal and a signature.
const MAX_CHUNK_LINE: usize = 1024;

/// Undoes aws-chunked framing: `<hex size>[;extension]\r\n<bytes>\r\n` … `0\r\n<trailers>`.
fn unframed<S, E>(body: S) -> impl Stream<Item = std::io::Result<Bytes>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    struct State<S> {
        body: S,
        buffer: BytesMut,
        /// Bytes of the current chunk still to come; `None` between chunks.
        left: Option<usize>,
        done: bool,
    }
    let state = State { body, buffer: BytesMut::new(), left: None, done: false };
    stream::unfold(state, |mut state| async move {
        let fail = |text: &str| std::io::Error::other(format!("aws-chunked body: {text}"));
        loop {
            if state.done {
                return None;
            }
            match state.left {
                Some(0) if state.buffer.len() >= 2 => {
                    state.buffer.advance(2);
                    state.left = None;
                    continue;
                }
                Some(left) if left > 0 && !state.buffer.is_empty() => {
                    let take = left.min(state.buffer.len());
                    state.left = Some(left - take);
                    return Some((Ok(state.buffer.split_to(take).freeze()), state));
                }
                None => {
                    if let Some(end) = memchr::memmem::find(&state.buffer, b"\r\n") {
                        let line = state.buffer.split_to(end + 2);
                        let digits = line[..].split(|c| matches!(c, b';' | b'\r')).next().unwrap_or_default();
                        let size =
                            std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
                        match size {
                            Some(0) => state.done = true,
                            Some(size) => state.left = Some(size),
                            None => {
                                state.done = true;
                                return Some((Err(fail("a chunk without its size")), state));
                            }
                        }
                        continue;
                    }
                    if state.buffer.len() > MAX_CHUNK_LINE {
                        state.done = true;
                        return Some((Err(fail("a chunk line without its end")), state));
                    }
                }
                Some(_) => {}
            }
            match state.body.next().await {
                Some(Ok(bytes)) => state.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    state.done = true;
                    return Some((Err(std::io::Error::other(error)), state));
                }
                None => {
                    state.done = true;
                    return Some((Err(fail("it ends too early")), state));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn unframe(pieces: &[&'static [u8]]) -> std::io::Result<Vec<u8>> {
        let body = stream::iter(pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece))));
        let mut whole = Vec::new();
        let mut chunks = Box::pin(unframed(body));
        while let Some(chunk) = chunks.next().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok(whole)
    }

    #[tokio::test]
    async fn framing_is_undone_wherever_the_pieces_are_cut() {
        let framed: &[u8] = b"5;chunk-signature=abc\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(unframe(&[framed]).await.expect("whole"), b"hello world");
        for cut in 1..framed.len() {
            let (a, b) = framed.split_at(cut);
            assert_eq!(unframe(&[a, b]).await.expect("whole"), b"hello world", "cut at {cut}");
        }
        assert!(unframe(&[b"5\r\nhel"]).await.is_err());
        assert!(unframe(&[b"zz\r\n"]).await.is_err());
    }
}
