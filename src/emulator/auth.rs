//! Who signed a request: access keys, sessions of assumed roles, and the check of AWS's signature, version 4.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::behaviour::Settings;
use super::iam::{Caller, Policy};
use super::model::{ACCOUNT, now};

/// Sessions that are kept; the oldest to expire go first.
const MAX_SESSIONS: usize = 10_000;
/// How far a request's time may be from now, in seconds.
const MAX_SKEW: i64 = 900;

/// What an `Authorization` header, or a presigned URL, says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    pub access_key_id: String,
    pub region: String,
    date: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
    pub session_token: Option<String>,
    presigned: bool,
}

/// Credentials that AssumeRole gave out.
#[derive(Debug, Clone)]
pub struct Session {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    /// `arn:aws:sts::account:assumed-role/name/session`
    pub arn: String,
    pub role_arn: String,
    pub source_identity: Option<String>,
    /// What its caller wanted to bind it to.
    pub policy: Option<Arc<Policy>>,
    /// Seconds since the epoch.
    pub expires: f64,
}

/// Why a request is refused before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No signature where one is needed.
    Missing,
    UnknownKey,
    Expired,
    WrongSignature,
    /// Signed too long ago, or in the future.
    Skewed,
}

#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    pub fn add(&self, session: Session) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS {
            let first = sessions.values().min_by(|a, b| a.expires.total_cmp(&b.expires));
            if let Some(first) = first.map(|session| session.access_key_id.clone()) {
                sessions.remove(&first);
            }
        }
        sessions.insert(session.access_key_id.clone(), session);
    }

    pub fn get(&self, access_key_id: &str) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(access_key_id).cloned()
    }
}

/// What a request carries that a signature covers.
pub struct Signed<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    /// The body, where it was read whole.
    pub body: Option<&'a [u8]>,
}

/// Reads who says they signed the request.
pub fn signature(headers: &HeaderMap, uri: &Uri) -> Option<Signature> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(text) = header("authorization").and_then(|text| text.strip_prefix("AWS4-HMAC-SHA256")) {
        let part =
            |name: &str| text.split(',').map(str::trim).find_map(|part| part.strip_prefix(name)).map(str::to_owned);
        let mut read = scope(&part("Credential=")?)?;
        read.signed_headers = part("SignedHeaders=")?.split(';').map(str::to_owned).collect();
        read.signature = part("Signature=")?;
        read.session_token = header("x-amz-security-token").map(str::to_owned);
        return Some(read);
    }
    let pairs: HashMap<String, String> = url::form_urlencoded::parse(uri.query()?.as_bytes()).into_owned().collect();
    let mut read = scope(pairs.get("X-Amz-Credential")?)?;
    read.signed_headers = pairs.get("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect();
    read.signature = pairs.get("X-Amz-Signature")?.clone();
    read.session_token = pairs.get("X-Amz-Security-Token").cloned();
    read.presigned = true;
    Some(read)
}

/// `key/20260917/us-east-1/athena/aws4_request`
fn scope(text: &str) -> Option<Signature> {
    let mut parts = text.split('/');
    let (access_key_id, date, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Signature {
        access_key_id: access_key_id.to_owned(),
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        ..Signature::default()
    })
}

/// Who the request is from. Sessions are known by their key and end in time, whatever else is checked.
pub fn identify(
    signature: Option<&Signature>,
    request: &Signed<'_>,
    sessions: &Sessions,
    settings: &Settings,
) -> Result<Caller, Refusal> {
    let Some(signature) = signature else {
        if settings.verify_signatures {
            return Err(Refusal::Missing);
        }
        return Ok(caller("anonymous", &format!("arn:aws:iam::{ACCOUNT}:user/anonymous"), "us-east-1", None, settings));
    };
    let session = sessions.get(&signature.access_key_id);
    if let Some(session) = &session {
        if session.expires <= now() {
            return Err(Refusal::Expired);
        }
        if signature.session_token.as_deref() != Some(&session.session_token) {
            return Err(Refusal::UnknownKey);
        }
    }
    if settings.verify_signatures {
        let known = settings.credentials.iter().find(|known| known.access_key_id == signature.access_key_id);
        let secret = session.as_ref().map(|session| session.secret_access_key.as_str());
        let secret = secret.or(known.map(|known| known.secret_access_key.as_str())).ok_or(Refusal::UnknownKey)?;
        check(signature, request, secret)?;
    } else if session.is_none() && signature.access_key_id.starts_with(SESSION_KEY) {
        // A session that this process did not give out, or has forgotten.
        return Err(Refusal::Expired);
    }
    let arn = match &session {
        Some(session) => session.arn.clone(),
        None => format!("arn:aws:iam::{ACCOUNT}:user/{}", signature.access_key_id),
    };
    let role = session.as_ref().map(|session| session.role_arn.as_str());
    let caller = caller(&signature.access_key_id, &arn, &signature.region, role, settings);
    Ok(Caller { session_policy: session.as_ref().and_then(|session| session.policy.clone()), ..caller })
}

/// How the access keys of sessions begin, as AWS's do.
pub const SESSION_KEY: &str = "ASIA";

fn caller(key: &str, arn: &str, region: &str, role: Option<&str>, settings: &Settings) -> Caller {
    let named = role.and_then(|role| settings.policies.get(role)).or_else(|| settings.policies.get(key));
    let policy = named.or_else(|| settings.policies.get("*")).map(Arc::clone);
    Caller { arn: arn.to_owned(), region: region.to_owned(), policy, session_policy: None }
}

fn check(signature: &Signature, request: &Signed<'_>, secret: &str) -> Result<(), Refusal> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let parameter = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let header = |name: &str| {
        let values: Vec<&str> = request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.iter().map(|value| value.trim()).collect::<Vec<_>>().join(","))
    };
    let time = if signature.presigned { parameter("X-Amz-Date") } else { header("x-amz-date") };
    let time = time.ok_or(Refusal::WrongSignature)?;
    let moment = chrono::NaiveDateTime::parse_from_str(&time, "%Y%m%dT%H%M%SZ").map_err(|_| Refusal::WrongSignature)?;
    let age = chrono::Utc::now().timestamp() - moment.and_utc().timestamp();
    let lifetime = match parameter("X-Amz-Expires").and_then(|seconds| seconds.parse::<i64>().ok()) {
        Some(seconds) if signature.presigned => seconds,
        _ => MAX_SKEW,
    };
    if age > lifetime || age < -MAX_SKEW {
        return Err(Refusal::Skewed);
    }
    let mut canonical_headers = String::new();
    for name in &signature.signed_headers {
        let value = header(name).ok_or(Refusal::WrongSignature)?;
        let value = value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        canonical_headers.push_str(&format!("{name}:{value}\n"));
    }
    let mut query: Vec<(String, String)> = pairs
        .iter()
        .filter(|(key, _)| key != "X-Amz-Signature")
        .map(|(key, value)| (uri_encoded(key, true), uri_encoded(value, true)))
        .collect();
    query.sort();
    let query: Vec<String> = query.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let payload = match (header("x-amz-content-sha256"), request.body) {
        _ if signature.presigned => "UNSIGNED-PAYLOAD".to_owned(),
        (_, Some(body)) => hex(&Sha256::digest(body)),
        (Some(given), None) => given,
        (None, None) => return Err(Refusal::WrongSignature),
    };
    let path = super::engine::unescaped(request.uri.path());
    let canonical = format!(
        "{}\n{}\n{}\n{canonical_headers}\n{}\n{payload}",
        request.method,
        uri_encoded(&path, false),
        query.join("&"),
        signature.signed_headers.join(";"),
    );
    let scope = format!("{}/{}/{}/aws4_request", signature.date, signature.region, signature.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&signature.date, &signature.region, &signature.service, "aws4_request"] {
        key = mac(&key, part.as_bytes())?.finalize().into_bytes().to_vec();
    }
    let given = unhex(&signature.signature).ok_or(Refusal::WrongSignature)?;
    // In constant time.
    mac(&key, to_sign.as_bytes())?.verify_slice(&given).map_err(|_| Refusal::WrongSignature)
}

fn mac(key: &[u8], message: &[u8]) -> Result<Hmac<Sha256>, Refusal> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Refusal::WrongSignature)?;
    mac.update(message);
    Ok(mac)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// AWS's own percent-encoding: everything but letters, digits and `-_.~`; slashes only in queries.
fn uri_encoded(text: &str, slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b'/' if !slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's documentation for a GET of S3 (sig-v4-header-based-auth), with its published signature.
    #[test]
    fn the_documented_example_has_its_signature() {
        let uri: Uri = "/test.txt".parse().expect("a path");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-amz-date", "20130524T000000Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                 SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
                 Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
        ] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let signature = signature(&headers, &uri).expect("a signature");
        let request = Signed { method: &Method::GET, uri: &uri, headers: &headers, body: None };
        // The example is of 2013: all that is wrong with it is its age.
        assert_eq!(check(&signature, &request, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), Err(Refusal::Skewed));
        assert_eq!(signature.region, "us-east-1");
    }

    #[test]
    fn unsigned_requests_have_no_signature() {
        assert_eq!(signature(&HeaderMap::new(), &"/x?y=1".parse().expect("a path")), None);
    }
}
