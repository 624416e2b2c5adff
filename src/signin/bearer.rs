//! The token that Handshake gives: who somebody is, until when, and the AWS key they brought; sealed, so that nobody else can
//! read or make one, and any gateway with the signing key knows it.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::principal::now;
use super::{Principal, Refusal};
use crate::aws::options::AccessKeys;

/// What these tokens begin with; no JWT and no token of a file does.
const PREFIX: &str = "afb_";

/// For how long tokens follow each other, unless one alone is good for longer: what a token says of groups is as old as that.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize, Deserialize)]
struct Said {
    name: String,
    groups: Vec<String>,
    /// When they signed in with more than such a token, and when this one ends, in seconds since 1970.
    since: u64,
    expires_at: u64,
    /// When what they signed in with ends, where it does.
    #[serde(default)]
    ends_at: Option<u64>,
    keys: Option<SaidKeys>,
}

#[derive(Serialize, Deserialize)]
struct SaidKeys {
    id: String,
    secret: String,
    session_token: Option<String>,
}

pub struct Bearers {
    key: LessSafeKey,
    life: Duration,
}

impl Bearers {
    pub fn new(key: [u8; 32], life: Duration) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key has the length it has to have");
        Self { key: LessSafeKey::new(key), life }
    }

    pub fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    pub fn give(&self, principal: &Principal) -> SecretString {
        let keys = principal.keys.as_ref().map(|keys| SaidKeys {
            id: keys.id.clone(),
            secret: keys.secret.expose_secret().to_owned(),
            session_token: keys.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
        });
        let since = principal.since.unwrap_or_else(now);
        let said = Said {
            name: principal.name.clone(),
            groups: principal.groups.clone(),
            since,
            expires_at: (now() + self.life.as_secs()).min(self.end(since, principal.expires_at)),
            ends_at: principal.expires_at,
            keys,
        };
        // Neither can fail: the message is plain data, and the system has randomness or nothing works at all.
        let mut sealed = serde_json::to_vec(&said).unwrap_or_default();
        let nonce: [u8; NONCE_LEN] = random().expect("the system has randomness");
        let aad = Aad::from(PREFIX.as_bytes());
        let seal = self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed);
        seal.expect("a token is far smaller than what can be sealed");
        SecretString::from(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    pub fn read(&self, token: &str) -> Result<Principal, Refusal> {
        let said = self.open(token).ok_or(Refusal::Failed)?;
        if said.expires_at <= now() {
            return Err(Refusal::Expired);
        }
        let keys = said.keys.map(|keys| AccessKeys {
            id: keys.id,
            secret: SecretString::from(keys.secret),
            session_token: keys.session_token.map(SecretString::from),
        });
        let is_late = said.expires_at.saturating_sub(now()) <= self.life.as_secs() / 2;
        let renews_soon = is_late && said.expires_at < self.end(said.since, said.ends_at);
        Ok(Principal {
            name: said.name,
            groups: said.groups,
            keys,
            since: Some(said.since),
            expires_at: said.ends_at,
            renews_soon,
        })
    }

    /// When tokens that follow from one sign-in end: after a day, and with the JWT or certificate that it was made with.
    fn end(&self, since: u64, with: Option<u64>) -> u64 {
        (since + LONGEST.max(self.life).as_secs()).min(with.unwrap_or(u64::MAX))
    }

    fn open(&self, token: &str) -> Option<Said> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(PREFIX.as_bytes()), &mut sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

pub fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_follow_each_other_for_a_day() {
        let bearers = Bearers::new([7; 32], Duration::from_secs(3600));
        let after = |hours: u64| Principal { since: Some(now() - hours * 3600), ..Principal::new("ann", vec![]) };
        let read = |principal: &Principal| bearers.read(bearers.give(principal).expose_secret());
        let fresh = read(&after(0)).expect("good for an hour");
        assert!(!fresh.renews_soon && fresh.since.is_some());
        // The last one ends with the day, and is not followed by another.
        assert!(!read(&after(23)).expect("good for an hour").renews_soon);
        assert_eq!(read(&after(24)).err(), Some(Refusal::Expired));
        let late = Bearers::new([7; 32], Duration::from_secs(10_000));
        assert!(late.read(bearers.give(&after(0)).expose_secret()).expect("good").renews_soon);
    }

    #[test]
    fn tokens_end_with_what_was_signed_in_with() {
        let bearers = Bearers::new([7; 32], Duration::from_secs(3600));
        let read = |principal: &Principal| bearers.read(bearers.give(principal).expose_secret());
        let ends_in = |seconds: u64| Principal { expires_at: Some(now() + seconds), ..Principal::new("ann", vec![]) };
        let until =
            |principal: &Principal| bearers.open(bearers.give(principal).expose_secret()).expect("ours").expires_at;
        let ann = ends_in(300);
        assert_eq!(Some(until(&ann)), ann.expires_at);
        // The token says so itself, and neither it nor any that might follow from it is good for longer.
        let read_back = read(&ann).expect("good for five minutes");
        assert_eq!((read_back.expires_at, read_back.renews_soon), (ann.expires_at, false));
        assert_eq!(Some(until(&read_back)), ann.expires_at);
        // One that is good for longer than a token is followed by another, which ends with it.
        let longer = Bearers::new([7; 32], Duration::from_secs(7200));
        let long = longer.read(bearers.give(&ends_in(5400)).expose_secret()).expect("good for an hour");
        assert!(long.renews_soon);
        assert_eq!(Some(longer.open(longer.give(&long).expose_secret()).expect("ours").expires_at), long.expires_at);
        assert_eq!(read(&ends_in(0)).err(), Some(Refusal::Expired));
    }

    #[test]
    fn a_token_comes_back_and_nothing_else_does() {
        let bearers = Bearers::new([7; 32], Duration::from_secs(60));
        let keys = AccessKeys { id: "AKIA".into(), secret: "s".into(), session_token: Some("t".into()) };
        let ann = Principal { keys: Some(keys), ..Principal::new("ann", vec!["g".into()]) };
        let token = bearers.give(&ann);
        let token = token.expose_secret();
        let read = bearers.read(token).expect("ours");
        assert_eq!((read.name.as_str(), &read.groups), ("ann", &vec!["g".to_owned()]));
        assert_eq!(read.keys.expect("keys").session_token.expect("a token").expose_secret(), "t");
        assert!(!token.contains("ann") && !format!("{ann:?}").contains("\"s\""));
        for at in 0..token.len() {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(bearers.read(&changed).err(), Some(Refusal::Failed), "{at}");
        }
        assert_eq!(Bearers::new([8; 32], Duration::from_secs(60)).read(token).err(), Some(Refusal::Failed));
        let late = Bearers::new([7; 32], Duration::ZERO);
        assert_eq!(late.read(late.give(&ann).expose_secret()).err(), Some(Refusal::Expired));
    }
}
