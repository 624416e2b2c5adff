//! What an AWS call's error means, whichever service and operation it came from.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::ErrorKind;

use crate::error::Kind;

/// A call to AWS that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct AwsError {
    /// Service and operation, as IAM names them: `athena:StartQueryExecution`.
    pub operation: &'static str,
    /// The exception's name; empty if no answer came.
    pub code: String,
    pub message: String,
    pub kind: Kind,
    /// The answer's HTTP status; 0 if no answer came.
    pub status: u16,
}

impl AwsError {
    pub fn new<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if let Some(ours) = behind(&error) {
            return ours.clone();
        }
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let said = error.message().map(str::to_owned);
        let (kind, message) = match &error {
            SdkError::ServiceError(_) => {
                let kind = kind(&code, status);
                (kind, advice(operation, &code, kind, said.unwrap_or_else(|| format!("AWS answered {status} {code}"))))
            }
            SdkError::ConstructionFailure(_) => {
                (Kind::FailedPrecondition, format!("the call could not be made: {}", chain(&error)))
            }
            SdkError::DispatchFailure(failure)
                if failure.is_user() || (failure.is_other() && !is_transient(failure)) =>
            {
                let text = chain(&error);
                let advice = "check region, profile and credentials (environment, ~/.aws, instance or container role)";
                (Kind::FailedPrecondition, format!("the call could not be made: {text}; {advice}"))
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                (Kind::Unavailable, format!("AWS cannot be reached: {}", chain(&error)))
            }
            _ => (Kind::Unavailable, format!("AWS gave an answer that cannot be read: {}", chain(&error))),
        };
        Self { operation, code, message, kind, status }
    }

    /// An error told inside of an answer that says the call worked.
    pub fn said(operation: &'static str, code: Option<&str>, message: Option<&str>) -> Self {
        let code = code.unwrap_or_default().to_owned();
        let kind = kind(&code, 0);
        let message = advice(operation, &code, kind, message.unwrap_or(&code).to_owned());
        Self { operation, code, message, kind, status: 0 }
    }

    /// Whether there were too many calls or statements: the same call works later.
    pub fn is_throttled(&self) -> bool {
        self.kind == Kind::ResourceExhausted
    }

    /// Whether the far side does not have this operation at all.
    pub fn is_unsupported_operation(&self) -> bool {
        self.kind == Kind::Unimplemented
    }
}

/// A connection that broke: the credentials, too, are reported as some other kind of failure.
fn is_transient(failure: &DispatchFailure) -> bool {
    let kind = failure.as_connector_error().and_then(|error| error.as_other());
    matches!(kind, Some(ErrorKind::TransientError))
}

/// What an error says, and what lies behind it. The SDK's own way to show one adds all its parts, the whole answer included.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if said.iter().all(|before| !before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}

/// An error of ours among those that lie behind one: the credentials of a role could not be had.
pub(super) fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a AwsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<AwsError>() {
            return Some(ours);
        }
        next = error.source();
    }
    None
}

/// An answer that lacks what it has to have.
pub fn unreadable(operation: &'static str, why: &str) -> AwsError {
    let message = format!("AWS gave an answer that cannot be read: {why}");
    AwsError { operation, code: String::new(), message, kind: Kind::Unavailable, status: 0 }
}

fn kind(code: &str, status: u16) -> Kind {
    match code {
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" | "SlowDown" => {
            Kind::ResourceExhausted
        }
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedException" | "NotAuthorized" => Kind::PermissionDenied,
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken" => Kind::PermissionDenied,
        "EntityNotFoundException" | "ResourceNotFoundException" | "NoSuchKey" | "NoSuchBucket" | "NotFound" => {
            Kind::NotFound
        }
        "InvalidRequestException" | "InvalidInputException" | "ValidationException" | "SerializationException" => {
            Kind::InvalidArgument
        }
        "MetadataException" | "FederationSourceException" => Kind::FailedPrecondition,
        "UnknownOperationException" | "NotImplemented" => Kind::Unimplemented,
        _ => match status {
            403 => Kind::PermissionDenied,
            404 => Kind::NotFound,
            412 => Kind::DataLoss,
            416 => Kind::DataLoss,
            429 => Kind::ResourceExhausted,
            501 => Kind::Unimplemented,
            500.. => Kind::Unavailable,
            _ => Kind::FailedPrecondition,
        },
    }
}

/// Adds what to do, where that can be known.
fn advice(operation: &str, code: &str, kind: Kind, said: String) -> String {
    match kind {
        Kind::PermissionDenied if code.contains("Token") || code.contains("Signature") || code.contains("Key") => {
            format!("{said} (AWS does not accept the gateway's credentials: are they right, and not expired?)")
        }
        Kind::PermissionDenied => format!("{said} (the gateway's AWS identity needs {operation})"),
        Kind::InvalidArgument if said.contains("output location") => {
            format!(
                "{said} (start the gateway with --s3-staging-dir, or with a --workgroup that has an output location)"
            )
        }
        _ => said,
    }
}
