//! The tokens file: a line `name:group,group:hash` for each bearer token that does not change, the hash SHA-256's in hex.
//! Tokens are made here, of 32 random bytes: guessing one is hopeless, so a fast hash does.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::users::entries;
use super::watched::Watched;
use super::{Principal, bearer};

/// What tokens begin with, so that those who find one know what it is.
const PREFIX: &str = "aft_";

/// By their hash: looking one up takes no longer for a good guess than for a bad one.
type Table = HashMap<String, Principal>;

pub struct Tokens(Watched<Table>);

impl Tokens {
    pub fn new(path: PathBuf) -> Self {
        Self(Watched::new(vec![path.clone()], move || read(&path)))
    }

    pub fn find(&self, token: &str) -> Option<Principal> {
        self.0.get()?.get(&hash(token)).cloned()
    }
}

/// A token that nobody has.
pub fn make() -> Result<SecretString, String> {
    let bytes: [u8; 32] = bearer::random().map_err(|_| "there is no randomness to make a token of".to_owned())?;
    Ok(SecretString::from(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))))
}

pub fn hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn read(path: &Path) -> Result<Table, String> {
    let mut table = Table::new();
    for (name, groups, hash) in entries(path)? {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash {
            return Err(format!("{}: {name:?} has no SHA-256 in hex", path.display()));
        }
        table.insert(hash, Principal::new(name, groups));
    }
    Ok(table)
}
