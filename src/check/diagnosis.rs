//! What an error of AWS's says about the set-up, in words: what is wrong, and what to do about it.

use std::time::Duration;

use crate::aws::AwsError;
use crate::error::Kind;
use crate::gateway::GatewayError;

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub what: String,
    pub advice: String,
}

impl Diagnosis {
    pub fn too_slow(limit: Duration) -> Self {
        Self {
            what: format!("no answer within {} s", limit.as_secs()),
            advice: "is AWS reachable from here (firewall, proxy, VPC endpoint)? --limit gives it more time".to_owned(),
        }
    }

    pub fn of_gateway(error: &GatewayError) -> Self {
        match error {
            GatewayError::Aws { source, .. } => Self::of(source),
            other => Self::of_text(&other.to_string(), other.kind()),
        }
    }

    pub fn of(error: &AwsError) -> Self {
        let of = |advice: &str| Self { what: error.to_string(), advice: advice.to_owned() };
        match error.code.as_str() {
            "InvalidSignatureException" | "SignatureDoesNotMatch" if error.message.contains("region") => {
                of("the request was signed for another region than the one that answered: check --region and endpoints")
            }
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => of(
                "the credentials have expired: get new ones, or give the gateway a role or a profile that renews them by itself",
            ),
            "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "InvalidToken" => of(
                "AWS does not know the access key id: is it spelt right, still active, and of this partition (aws, aws-cn, \
                 aws-us-gov)? A temporary key needs its session token",
            ),
            "SignatureDoesNotMatch" | "InvalidSignatureException" => {
                of("the secret does not go with the access key id, or the clock of this machine is wrong")
            }
            "NoSuchBucket" => of("the bucket does not exist: make it, or correct --s3-staging-dir"),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                of("the bucket is in another region: give --region the one it is in, or a bucket of this one")
            }
            _ if error.status == 301 => {
                of("the bucket is in another region: give --region the one it is in, or a bucket of this one")
            }
            _ if error.status == 0 && error.kind == Kind::FailedPrecondition => of(
                "no credentials were found: give --profile, --access-key-id, the environment's AWS_… or a role of the \
                 instance or container",
            ),
            _ if error.kind == Kind::Unavailable && error.status == 0 => of(
                "AWS was not reached: is --region right, is there a way out (proxy by HTTPS_PROXY, VPC endpoint, firewall), \
                 is --endpoint-url right?",
            ),
            _ => Self::of_text(&error.to_string(), error.kind),
        }
    }

    /// By the words of it: Athena tells many things in the text alone.
    fn of_text(text: &str, kind: Kind) -> Self {
        let lower = text.to_lowercase();
        let advice = if let Some((action, resource)) = denied(text) {
            format!("allow {action} on {resource} (athena-flight policy prints all that is needed)")
        } else if lower.contains("lake formation") || lower.contains("lakeformation") {
            "grant the gateway's role SELECT and DESCRIBE in Lake Formation, and allow lakeformation:GetDataAccess"
                .to_owned()
        } else if lower.contains("workgroup") && (lower.contains("not found") || lower.contains("disabled")) {
            "the workgroup does not exist in this region, or is disabled: correct --workgroup or --region".to_owned()
        } else if lower.contains("output location") {
            "give --s3-staging-dir s3://bucket/prefix/, or a --workgroup that has an output location".to_owned()
        } else if lower.contains("output bucket") || lower.contains("nosuchbucket") {
            "the output bucket does not exist, is in another region or cannot be written: check --s3-staging-dir"
                .to_owned()
        } else {
            match kind {
                Kind::PermissionDenied => {
                    "allow the action to the gateway's AWS identity (athena-flight policy)".to_owned()
                }
                Kind::NotFound => "what is named does not exist in this account and region: check the names".to_owned(),
                Kind::ResourceExhausted => {
                    "AWS throttles, or a quota is used up: try again, or have it raised".to_owned()
                }
                Kind::Unavailable => "AWS was not reached or is failing: try again, and check the network".to_owned(),
                _ => "see what it says; docs/aws.md has the set-up step by step".to_owned(),
            }
        };
        Self { what: text.to_owned(), advice }
    }
}

/// `… is not authorized to perform: ACTION on resource: RESOURCE …`
fn denied(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("not authorized to perform: ")?;
    let (action, rest) = rest.split_once(|c: char| c.is_whitespace())?;
    let resource = rest
        .split_once("on resource: ")
        .map_or("the resource", |(_, rest)| rest.split(|c: char| c.is_whitespace()).next().unwrap_or("the resource"));
    Some((action, resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str, kind: Kind, status: u16) -> AwsError {
        AwsError { operation: "athena:StartQueryExecution", code: code.into(), message: message.into(), kind, status }
    }

    #[test]
    fn each_fault_has_its_advice() {
        let said = "User: arn:aws:iam::1:user/a is not authorized to perform: glue:GetDatabases on resource: \
                    arn:aws:glue:us-east-1:1:catalog because no identity-based policy allows the glue:GetDatabases action";
        for (code, message, kind, status, advice) in [
            (
                "AccessDeniedException",
                said,
                Kind::PermissionDenied,
                400,
                "allow glue:GetDatabases on arn:aws:glue:us-east-1:1:catalog",
            ),
            ("InvalidRequestException", "WorkGroup x is not found.", Kind::InvalidArgument, 400, "correct --workgroup"),
            (
                "InvalidRequestException",
                "No output location provided.",
                Kind::InvalidArgument,
                400,
                "--s3-staging-dir s3://",
            ),
            (
                "InvalidRequestException",
                "Unable to verify/create output bucket b",
                Kind::InvalidArgument,
                400,
                "check --s3-staging-dir",
            ),
            ("ExpiredTokenException", "expired", Kind::PermissionDenied, 400, "have expired"),
            ("UnrecognizedClientException", "invalid", Kind::PermissionDenied, 400, "does not know the access key"),
            ("InvalidSignatureException", "wrong", Kind::PermissionDenied, 400, "the clock"),
            ("NoSuchBucket", "none", Kind::NotFound, 404, "make it"),
            ("PermanentRedirect", "elsewhere", Kind::FailedPrecondition, 301, "another region"),
            ("", "dispatch failure", Kind::Unavailable, 0, "a way out"),
            ("", "no credentials", Kind::FailedPrecondition, 0, "no credentials were found"),
            ("ThrottlingException", "Rate exceeded", Kind::ResourceExhausted, 400, "throttles"),
        ] {
            let diagnosis = Diagnosis::of(&error(code, message, kind, status));
            assert!(diagnosis.advice.contains(advice), "{code} {message}: {}", diagnosis.advice);
            assert!(diagnosis.what.contains(message), "{code}: {}", diagnosis.what);
        }
    }
}
