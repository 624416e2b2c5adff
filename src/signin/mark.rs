//! What stands for something secret where it has to be told apart and must not be kept: a MAC that only its maker can make.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;

use crate::aws::options::AccessKeys;

pub type Mark = [u8; 32];

pub fn mark<'a>(key: &[u8], parts: impl IntoIterator<Item = &'a str>) -> Mark {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// All that an access key is.
pub fn of_keys(keys: &AccessKeys) -> [&str; 3] {
    let token = keys.session_token.as_ref().map_or("", |token| token.expose_secret());
    [&keys.id, keys.secret.expose_secret(), token]
}
