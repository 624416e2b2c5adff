//! STS: who the caller is, and roles to assume. The query protocol: a form in, XML out.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde::Deserialize;

use super::Emulator;
use super::auth::{SESSION_KEY, Session};
use super::iam::{Caller, Policy};
use super::model::{ACCOUNT, now};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// What a session lasts in seconds, unless it is said otherwise, and the least and the most that may be asked for.
const DEFAULT_SECONDS: u64 = 3600;
const SECONDS: std::ops::RangeInclusive<u64> = 900..=43_200;
/// Characters of a session policy, at most.
const MAX_POLICY: usize = 2048;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Form {
    action: String,
    role_arn: Option<String>,
    role_session_name: Option<String>,
    external_id: Option<String>,
    source_identity: Option<String>,
    duration_seconds: Option<String>,
    policy: Option<String>,
}

/// The action a form names; empty if it names none.
pub fn action(body: &[u8]) -> String {
    serde_urlencoded::from_bytes::<Form>(body).map(|form| form.action).unwrap_or_default()
}

/// Answers one form-encoded request.
pub fn answer(emulator: &Emulator, body: &[u8], caller: &Caller) -> Response<Body> {
    let Ok(form) = serde_urlencoded::from_bytes::<Form>(body) else {
        return error(StatusCode::BAD_REQUEST, "MissingAction", "the request names no action");
    };
    match form.action.as_str() {
        "GetCallerIdentity" => {
            let arn = escape(&caller.arn);
            let user = escape(caller.arn.rsplit(['/', ':']).next().unwrap_or_default());
            success(
                "GetCallerIdentity",
                &format!("<Arn>{arn}</Arn><UserId>{user}</UserId><Account>{ACCOUNT}</Account>"),
            )
        }
        "AssumeRole" => assume_role(emulator, &form, caller),
        other => {
            let message = format!("the embedded endpoint does not answer STS {other}");
            error(StatusCode::BAD_REQUEST, "InvalidAction", &message)
        }
    }
}

fn assume_role(emulator: &Emulator, form: &Form, caller: &Caller) -> Response<Body> {
    let (Some(role_arn), Some(name)) = (&form.role_arn, &form.role_session_name) else {
        return validation("RoleArn and RoleSessionName are required");
    };
    let valid = |text: &str| {
        (2..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_=,.@-".contains(c))
    };
    if !valid(name) {
        return validation(&format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [\\w+=,.@-]*"
        ));
    }
    if let Some(identity) = form.source_identity.as_deref().filter(|identity| !valid(identity)) {
        return validation(&format!(
            "1 validation error detected: Value '{identity}' at 'sourceIdentity' failed to satisfy constraint: Member \
             must satisfy regular expression pattern: [\\w+=,.@-]*"
        ));
    }
    let role_name = match role_arn.split_once(":role/") {
        Some((prefix, role)) if prefix.starts_with("arn:aws") && !role.is_empty() => {
            role.rsplit('/').next().unwrap_or(role)
        }
        _ => return validation(&format!("{role_arn} is invalid")),
    };
    let seconds = match form.duration_seconds.as_deref().map(str::parse::<u64>) {
        None => DEFAULT_SECONDS,
        Some(Ok(seconds)) if SECONDS.contains(&seconds) => seconds,
        Some(_) => {
            return validation(&format!(
                "1 validation error detected: Value '{}' at 'durationSeconds' failed to satisfy constraint: Member must \
                 have value between {} and {}",
                form.duration_seconds.as_deref().unwrap_or_default(),
                SECONDS.start(),
                SECONDS.end()
            ));
        }
    };
    let policy = match form.policy.as_deref().map(session_policy).transpose() {
        Ok(policy) => policy,
        Err(refusal) => return *refusal,
    };
    let denied = || {
        let message =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", caller.arn);
        error(StatusCode::FORBIDDEN, "AccessDenied", &message)
    };
    for (action, wanted) in [("sts:AssumeRole", true), ("sts:SetSourceIdentity", form.source_identity.is_some())] {
        if let Some(Err(message)) = wanted.then(|| caller.check(action, std::slice::from_ref(role_arn))) {
            return error(StatusCode::FORBIDDEN, "AccessDenied", &message);
        }
    }
    let settings = emulator.behaviour.settings();
    let role = settings.roles.iter().find(|role| role.arn == *role_arn);
    let seconds = match role {
        None if !settings.roles.is_empty() => return denied(),
        Some(role) if role.external_id.is_some() && role.external_id != form.external_id => return denied(),
        // The endpoint's own choice wins: tests want sessions shorter than AWS has them.
        Some(role) => role.session_seconds.unwrap_or(seconds),
        None => seconds,
    };
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let session = Session {
        access_key_id: format!("{SESSION_KEY}{}", &random().to_uppercase()[..16]),
        secret_access_key: format!("{}{}", random(), &random()[..8]),
        session_token: format!("{}{}", random(), random()),
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role_name}/{name}"),
        role_arn: role_arn.clone(),
        source_identity: form.source_identity.clone(),
        policy,
        expires: now() + seconds as f64,
    };
    let moment = chrono::DateTime::from_timestamp_millis((session.expires * 1000.0) as i64).unwrap_or_default();
    let identity = session.source_identity.as_deref().map(escape);
    let identity = identity.map_or_else(String::new, |text| format!("<SourceIdentity>{text}</SourceIdentity>"));
    // AWS packs it in a way of its own; the share of the characters is near enough.
    let packed = form.policy.as_ref().map(|text| (text.chars().count() * 100).div_ceil(MAX_POLICY));
    let packed = packed.map_or_else(String::new, |share| format!("<PackedPolicySize>{share}</PackedPolicySize>"));
    let answer = format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>{}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA{}:{}</AssumedRoleId><Arn>{}</Arn>\
         </AssumedRoleUser>{packed}{identity}",
        session.access_key_id,
        session.secret_access_key,
        session.session_token,
        moment.format("%Y-%m-%dT%H:%M:%SZ"),
        &random().to_uppercase()[..16],
        escape(name),
        escape(&session.arn),
    );
    tracing::info!(role = role_arn, session = name, seconds, "role assumed");
    emulator.sessions.add(session);
    success("AssumeRole", &answer)
}

/// The policy that a session is to be bound to beside the role's.
fn session_policy(text: &str) -> Result<Arc<Policy>, Box<Response<Body>>> {
    if !(1..=MAX_POLICY).contains(&text.chars().count()) {
        return Err(Box::new(validation(&format!(
            "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less \
             than or equal to {MAX_POLICY}"
        ))));
    }
    let policy = serde_json::from_str::<Policy>(text);
    let malformed = |why| error(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", &format!("{why}"));
    policy.map(Arc::new).map_err(|why| Box::new(malformed(why)))
}

fn validation(message: &str) -> Response<Body> {
    error(StatusCode::BAD_REQUEST, "ValidationError", message)
}

fn success(action: &str, result: &str) -> Response<Body> {
    xml(
        StatusCode::OK,
        format!(
            "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result><ResponseMetadata>\
             <RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
            uuid::Uuid::new_v4()
        ),
    )
}

/// A refusal in STS's XML.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    xml(
        status,
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error>\
             <RequestId>{}</RequestId></ErrorResponse>",
            escape(message),
            uuid::Uuid::new_v4()
        ),
    )
}

fn xml(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/xml"));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
