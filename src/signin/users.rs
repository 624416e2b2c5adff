//! The users file: a line `name:group,group:hash` for each, the hash Argon2id's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};

use super::Principal;
use super::mark::{Mark, mark};
use super::turns::Turn;
use super::watched::Watched;

/// Passwords that were right are not hashed again while they are used: some clients send theirs with every call, and nobody
/// can keep those out by guessing.
const REMEMBERED: u64 = 10_000;
const REMEMBERED_IDLE: Duration = Duration::from_secs(3600);
const REMEMBERED_AGE: Duration = Duration::from_secs(24 * 3600);
/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest password that is hashed, in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;

pub struct User {
    hash: String,
    groups: Vec<String>,
}

pub type Table = HashMap<String, User>;

pub struct Users {
    file: Watched<Table>,
    /// By a MAC of name, password and hash, with a key that only this process has.
    right: Cache<Mark, ()>,
    key: [u8; 16],
}

impl Users {
    pub fn new(path: PathBuf) -> Self {
        let file = Watched::new(vec![path.clone()], move || read(&path));
        let right =
            Cache::builder().max_capacity(REMEMBERED).time_to_idle(REMEMBERED_IDLE).time_to_live(REMEMBERED_AGE);
        let right = right.eviction_policy(EvictionPolicy::lru()).build();
        Self { file, right, key: uuid::Uuid::new_v4().into_bytes() }
    }

    /// Somebody whose password was right a moment ago, and still is the one of the file.
    pub fn remembered(&self, name: &str, password: &SecretString) -> Option<Principal> {
        let table = self.file.get()?;
        let user = table.get(name)?;
        self.right.get(&self.mark(name, password, &user.hash))?;
        Some(Principal::new(name, user.groups.clone()))
    }

    /// Takes as long for a name that there is not as for one that there is. The turn ends with the hashing, which goes on
    /// also where nobody waits for it any more.
    pub async fn verify(&self, name: &str, password: &SecretString, turn: Turn) -> Option<Principal> {
        let table = self.file.get()?;
        let user = table.get(name);
        let hash = user.map_or_else(|| nobody().to_owned(), |user| user.hash.clone());
        let said = password.clone();
        let check = move || {
            let _turn = turn;
            is_right(&said, &hash)
        };
        let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        let user = user.filter(|_| is_right)?;
        self.right.insert(self.mark(name, password, &user.hash), ());
        Some(Principal::new(name, user.groups.clone()))
    }

    fn mark(&self, name: &str, password: &SecretString, hash: &str) -> Mark {
        mark(&self.key, [name, password.expose_secret(), hash])
    }
}

/// A hash that no password has, for names that there are not.
fn nobody() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(&SecretString::from(uuid::Uuid::new_v4().to_string())).unwrap_or_default())
}

fn is_right(password: &SecretString, hash: &str) -> bool {
    let password = password.expose_secret().as_bytes();
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password, &hash).is_ok() && password.len() <= MAX_PASSWORD_BYTES
}

/// The Argon2id hash of a password, with a salt of its own.
pub fn hash(password: &SecretString) -> Result<String, String> {
    let password = password.expose_secret().as_bytes();
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(format!("a password has 1 to {MAX_PASSWORD_BYTES} bytes"));
    }
    Argon2::default().hash_password(password).map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

pub fn read(path: &Path) -> Result<Table, String> {
    let mut users = Table::new();
    for (name, groups, hash) in entries(path)? {
        if !hash.starts_with("$argon2id$") || PasswordHash::new(&hash).is_err() {
            return Err(format!("{}: {name:?} has no Argon2id hash", path.display()));
        }
        if users.insert(name.clone(), User { hash, groups }).is_some() {
            return Err(format!("{}: {name:?} comes twice", path.display()));
        }
    }
    Ok(users)
}

/// The lines of a file of names, groups and hashes; empty ones and those that begin with `#` are passed over.
pub fn entries(path: &Path) -> Result<Vec<(String, Vec<String>, String)>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let entry = |(at, line): (usize, &str)| {
        let fault = || format!("{shown}: line {} is not name:group,group:hash", at + 1);
        let mut parts = line.trim().splitn(3, ':');
        let (name, groups, hash) = (parts.next().ok_or_else(fault)?, parts.next(), parts.next());
        let (Some(groups), Some(hash)) = (groups, hash) else { return Err(fault()) };
        if !is_name(name) {
            return Err(fault());
        }
        let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned);
        Ok((name.to_owned(), groups.collect(), hash.to_owned()))
    };
    lines.map(entry).collect()
}

/// Whether a name can be one of a file's: `token` and none at all stand for tokens.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name != "token"
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '#'))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::turns::{Class, Turns};
    use super::*;

    #[tokio::test]
    async fn passwords_are_right_or_wrong_and_a_changed_file_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        let secret = |text: &str| SecretString::from(text);
        let line = |name: &str, password: &str| format!("{name}:a,b:{}\n", hash(&secret(password)).expect("a hash"));
        std::fs::write(&path, format!("# people\n\n{}", line("ann", "right"))).expect("written");
        let users = Users::new(path.clone());
        let turns = Turns::new(1);
        let turn = || async { turns.take(Class::New, IpAddr::from([127, 0, 0, 1])).await.expect("a turn") };
        assert!(users.remembered("ann", &secret("right")).is_none());
        assert_eq!(users.verify("ann", &secret("right"), turn().await).await.expect("right").groups, ["a", "b"]);
        assert!(users.remembered("ann", &secret("right")).is_some());
        assert!(users.remembered("ann", &secret("wrong")).is_none());
        assert!(users.verify("ann", &secret("wrong"), turn().await).await.is_none());
        assert!(users.verify("bob", &secret("right"), turn().await).await.is_none());
        std::fs::write(&path, line("ann", "changed it")).expect("written");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(users.remembered("ann", &secret("right")).is_none());
        assert!(users.verify("ann", &secret("changed it"), turn().await).await.is_some());
        // A file that cannot be read leaves those of before.
        std::fs::write(&path, "broken").expect("written");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(users.verify("ann", &secret("changed it"), turn().await).await.is_some());
    }

    #[test]
    fn lines_that_are_none_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        for broken in
            ["ann", "ann:x", ":g:h", "a b:g:h", "token:g:h", "ann::plain-text", "ann::$argon2i$v=19$m=1,t=1,p=1$x$y"]
        {
            std::fs::write(&path, broken).expect("written");
            assert!(read(&path).is_err(), "{broken}");
        }
    }
}
