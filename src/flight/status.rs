//! Errors → gRPC codes: the one place that decides.

use tonic::{Code, Status};

use crate::error::Kind;
use crate::gateway::GatewayError;
use crate::signin::Refusal;

/// Metadata keys under which a failed query's facts travel beside the message.
const QUERY_ID: &str = "x-athena-query-id";
const ERROR_CATEGORY: &str = "x-athena-error-category";
const ERROR_TYPE: &str = "x-athena-error-type";
/// gRPC puts the message into a header; clients refuse large ones.
const MAX_MESSAGE_CHARS: usize = 4096;

pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::Cancelled => Code::Cancelled,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
    }
}

/// The status of a failed statement, logged once, with the query's id in message and metadata.
pub fn of_gateway(error: &GatewayError) -> Status {
    let code = code(error.kind());
    let mut message: String = error.to_string().chars().take(MAX_MESSAGE_CHARS).collect();
    let query_id = error.query_id().map(|id| id.as_str());
    tracing::info!(query_id, ?code, error = message, "statement failed");
    if let Some(id) = query_id {
        message = format!("{message} [query id {id}]");
    }
    let mut status = Status::new(code, message);
    let mut add = |key: &'static str, value: String| {
        if let Ok(value) = value.parse() {
            status.metadata_mut().insert(key, value);
        }
    };
    if let Some(id) = query_id {
        add(QUERY_ID, id.to_owned());
    }
    if let Some((category, error_type, _)) = error.athena_error() {
        add(ERROR_CATEGORY, category.to_string());
        add(ERROR_TYPE, error_type.to_string());
    }
    status
}

/// Why somebody was not let in.
pub fn of_refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Missing(_) | Refusal::Failed | Refusal::Expired => Code::Unauthenticated,
        Refusal::Denied => Code::PermissionDenied,
        Refusal::Busy | Refusal::Throttled { .. } => Code::ResourceExhausted,
        Refusal::Unavailable(_) => Code::Unavailable,
    };
    Status::new(code, refusal.to_string())
}

/// A failed catalog listing.
pub fn of_aws(error: &crate::aws::AwsError) -> Status {
    let status = Status::new(code(error.kind), error.to_string());
    tracing::info!(code = ?status.code(), error = status.message(), "catalog listing failed");
    status
}

/// A message that is not the protobuf it should be is the caller's mistake; tonic's codec calls it `Internal`.
pub fn of_undecodable<B>(mut response: http::Response<B>) -> http::Response<B> {
    let header = |name: http::HeaderName| response.headers().get(name).map(http::HeaderValue::as_bytes);
    let internal = header(Status::GRPC_STATUS) == Some(b"13");
    // The message is percent-encoded in its header.
    let undecodable = b"failed%20to%20decode%20Protobuf";
    if internal && header(Status::GRPC_MESSAGE).is_some_and(|text| text.starts_with(undecodable)) {
        response.headers_mut().insert(Status::GRPC_STATUS, http::HeaderValue::from_static("3"));
    }
    response
}

/// A fault of ours while an answer was put together.
pub fn internal(error: impl std::fmt::Display) -> Status {
    tracing::error!(%error, "answer could not be put together");
    Status::internal(error.to_string())
}
