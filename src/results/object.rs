//! An S3 object read by ranges: always the version that was there at first.

use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::{Bytes, BytesMut};

use super::ReadError;
use crate::aws::{AwsError, Clients};

/// How often a range is asked for when its bytes break off on the way.
const ATTEMPTS: u32 = 3;
/// Before the second attempt; twice as long before each one after.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The place of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Uri {
    pub bucket: String,
    pub key: String,
}

impl S3Uri {
    /// Reads `s3://bucket/key`.
    pub fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl std::fmt::Display for S3Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// An object that is there, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub uri: S3Uri,
    pub size: u64,
    pub etag: Option<String>,
}

impl Object {
    /// Looks at an object. The error of one that is missing has [`crate::error::Kind::NotFound`].
    pub async fn find(clients: &Clients, location: &str) -> Result<Self, ReadError> {
        let object_error = |why: &str| ReadError::Object { location: location.to_owned(), why: why.to_owned() };
        let uri = S3Uri::parse(location).ok_or_else(|| object_error("not an s3:// location"))?;
        let head = clients.s3.head_object().bucket(&uri.bucket).key(&uri.key).send().await;
        // A HEAD has no body, so S3 cannot say NoSuchKey in it: 404 alone tells.
        let head = head.map_err(|error| AwsError::new("s3:GetObject", error))?;
        let size = u64::try_from(head.content_length().unwrap_or(-1));
        let size = size.map_err(|_| object_error("S3 does not say how long it is"))?;
        Ok(Self { uri, size, etag: head.e_tag().map(str::to_owned) })
    }

    /// Finds an object by reading its last bytes, of which there are `length` at most.
    pub async fn find_tail(clients: &Clients, uri: S3Uri, length: u64) -> Result<(Self, Bytes), ReadError> {
        let unknown = Self { uri, size: 0, etag: None };
        let found = |answer: &GetObjectOutput| {
            // `bytes 100-163/164`
            let size = answer.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
            let size: u64 = size.ok_or_else(|| unknown.error("S3 does not say how long it is"))?;
            let object = Self { uri: unknown.uri.clone(), size, etag: answer.e_tag().map(str::to_owned) };
            Ok((object, length.min(size)))
        };
        unknown.read(clients, format!("bytes=-{length}"), found).await
    }

    /// The bytes from `start` up to `end`.
    pub async fn range(&self, clients: &Clients, start: u64, end: u64) -> Result<Bytes, ReadError> {
        let same = |answer: &GetObjectOutput| match &self.etag {
            Some(etag) if answer.e_tag() != Some(etag) => Err(self.error("it changed while it was read")),
            _ => Ok(((), end - start)),
        };
        let ((), bytes) = self.read(clients, format!("bytes={start}-{}", end - 1), same).await?;
        Ok(bytes)
    }

    /// Reads a range, again where its bytes break off on the way. `expect` tells from an answer how many there have to be.
    async fn read<T>(
        &self,
        clients: &Clients,
        range: String,
        expect: impl Fn(&GetObjectOutput) -> Result<(T, u64), ReadError>,
    ) -> Result<(T, Bytes), ReadError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let answer = self.get(clients, range.clone()).await?;
            let (facts, expected) = expect(&answer)?;
            match self.body(answer, expected).await {
                Ok(bytes) => return Ok((facts, bytes)),
                Err(error @ ReadError::Interrupted { .. }) if attempt < ATTEMPTS => {
                    tracing::debug!(location = %self.uri, range, %error, "range is read again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn get(&self, clients: &Clients, range: String) -> Result<GetObjectOutput, ReadError> {
        let call = clients.s3.get_object().bucket(&self.uri.bucket).key(&self.uri.key).range(range);
        let answer = call.set_if_match(self.etag.clone()).send().await;
        answer.map_err(|error| {
            let error = AwsError::new("s3:GetObject", error);
            // If-Match does not hold, or the range lies behind the end.
            match error.status {
                412 | 416 if self.etag.is_some() => self.error("it changed while it was read"),
                416 => self.error("it is empty"),
                _ => error.into(),
            }
        })
    }

    async fn body(&self, answer: GetObjectOutput, expected: u64) -> Result<Bytes, ReadError> {
        let interrupted = |why| ReadError::Interrupted { location: self.uri.to_string(), why };
        // Put together as they come: what was received is free again while it is still in the cache.
        let (mut bytes, mut body) = (BytesMut::with_capacity(expected as usize), answer.body);
        while let Some(more) = body.next().await {
            let more = more.map_err(|error| interrupted(format!("its bytes break off: {error}")))?;
            if (bytes.len() + more.len()) as u64 > expected {
                return Err(interrupted(format!("more than {expected} bytes came")));
            }
            bytes.extend_from_slice(&more);
        }
        if bytes.len() as u64 != expected {
            return Err(interrupted(format!("{} of {expected} bytes came", bytes.len())));
        }
        Ok(bytes.freeze())
    }

    /// What is wrong with this object.
    pub fn error(&self, why: impl Into<String>) -> ReadError {
        ReadError::Object { location: self.uri.to_string(), why: why.into() }
    }
}
