//! The cookie that a session is: what its client changed, signed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::flight::ticket::Keys;
use crate::session::Session;
use crate::session::options::SessionOption;

const NAME: &str = "athena-flight-session";
/// How long a session lives after its last change.
pub const LIFETIME_SECONDS: i64 = 7 * 24 * 3600;

/// The `set-cookie` header for a session with these changes.
pub fn write(keys: &Keys, changes: BTreeMap<String, String>) -> String {
    let value = BASE64_URL_SAFE_NO_PAD.encode(keys.session_cookie(changes, LIFETIME_SECONDS));
    format!("{NAME}={value}; Max-Age={LIFETIME_SECONDS}; Path=/; HttpOnly")
}

/// The `set-cookie` header that ends a session.
pub fn forget() -> String {
    format!("{NAME}=; Max-Age=0; Path=/; HttpOnly")
}

/// The changes of a call's session, if it has one.
pub fn read(keys: &Keys, headers: &MetadataMap) -> Result<Option<BTreeMap<String, String>>, Status> {
    let pairs = headers.get_all("cookie");
    let pairs = pairs.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let own = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == NAME);
    let Some((_, value)) = own.filter(|(_, value)| !value.is_empty()) else { return Ok(None) };
    // Some clients put what they keep between quotes.
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(value.trim_matches('"'));
    keys.read_session_cookie(&bytes.unwrap_or_default()).map(Some)
}

/// Changes a session. What another version of the gateway wrote and this one does not know is left out.
pub fn apply(changes: &BTreeMap<String, String>, session: &mut Session) {
    for (name, text) in changes {
        match SessionOption::find(name).map(|option| option.set(session, text)) {
            Some(Ok(())) => {}
            _ => tracing::warn!(option = name, "session option left out: this version does not know it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_comes_back_and_nothing_else_does() {
        let keys = Keys::random();
        let headers = |cookie: &str| {
            let mut headers = MetadataMap::new();
            headers.insert("cookie", cookie.parse().expect("ASCII"));
            headers
        };
        let changes = BTreeMap::from([("schema".to_owned(), "sales".to_owned())]);
        let written = write(&keys, changes.clone());
        let pair = written.split(';').next().expect("a pair");
        assert_eq!(read(&keys, &headers(pair)).expect("ours"), Some(changes.clone()));
        assert_eq!(read(&keys, &headers(&format!("a=b; {pair}; c=d"))).expect("ours"), Some(changes));
        assert_eq!(read(&keys, &headers("other=1")).expect("none"), None);
        assert_eq!(read(&keys, &headers(forget().split(';').next().expect("a pair"))).expect("none"), None);
        assert!(read(&Keys::random(), &headers(pair)).is_err());
        assert!(read(&keys, &headers(&format!("{NAME}=garbage"))).is_err());
    }
}
