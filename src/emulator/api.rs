//! What every JSON 1.1 operation shares: reading the request, answering, errors in AWS's shape, page tokens.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::model::Failure;
use super::store::StoreError;

pub type Answer = Result<Value, ApiError>;

/// A refusal as AWS words it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub status: u16,
    /// The exception's name, which goes into `__type`.
    pub kind: &'static str,
    /// `AthenaErrorCode`, for Athena's own exceptions.
    pub athena_code: Option<&'static str>,
    pub message: String,
    /// `Reason`, where the exception has one.
    pub reason: Option<&'static str>,
}

impl ApiError {
    /// Athena's `InvalidRequestException` with one of the codes of athena-behaviour, sections 2 and 4.
    pub fn invalid_request(athena_code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "InvalidRequestException",
            athena_code: Some(athena_code),
            message: message.into(),
            reason: None,
        }
    }

    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::invalid_request("INVALID_INPUT", message)
    }

    /// An exception that carries a message alone, as Glue's do.
    pub fn plain(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, kind, athena_code: None, message: message.into(), reason: None }
    }

    /// Athena's metadata calls wrap what Glue said.
    pub fn metadata(message: impl Into<String>) -> Self {
        Self::plain("MetadataException", message)
    }

    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::plain("AccessDeniedException", message)
    }

    pub fn throttled() -> Self {
        Self::plain("ThrottlingException", "Rate exceeded")
    }

    pub fn unknown_operation(target: &str) -> Self {
        Self::plain("UnknownOperationException", format!("the embedded endpoint does not answer {target}"))
    }

    pub fn body(&self) -> Value {
        let mut body = json!({ "__type": self.kind, "Message": self.message, "message": self.message });
        if let Some(code) = self.athena_code {
            body["AthenaErrorCode"] = code.into();
            body["ErrorCode"] = code.into();
        }
        if let Some(reason) = self.reason {
            body["Reason"] = reason.into();
        }
        body
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "catalog file failed");
        Self {
            status: 500,
            kind: "InternalServerException",
            athena_code: None,
            message: error.to_string(),
            reason: None,
        }
    }
}

impl From<Failure> for ApiError {
    /// A failure that Athena finds while it takes the statement in, so that no execution exists.
    fn from(failure: Failure) -> Self {
        Self::invalid_request("MALFORMED_QUERY", failure.message)
    }
}

/// Reads an operation's input; what is missing or ill-typed is told as botocore's services tell it.
pub fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let kind = if error.is_data() { "ValidationException" } else { "SerializationException" };
        ApiError::plain(kind, error.to_string())
    })
}

/// The HTTP answer to one operation. There is no `x-amzn-errortype` header (athena-behaviour, section 2).
pub fn respond(answer: Answer) -> Response<Body> {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.body())
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.1"));
    response
}

/// An opaque token for the place where the next page starts.
pub fn page_token(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// The place a page token stands for.
pub fn page_place(token: &str) -> Option<String> {
    URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}
