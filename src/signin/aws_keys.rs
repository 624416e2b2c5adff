//! Callers who bring an AWS access key of their own: STS says whose it is, their statements run with it, and nothing of it is
//! stored.

use std::time::Duration;

use moka::future::Cache;

use super::mark::{Mark, mark, of_keys};
use super::{Principal, Refusal};
use crate::aws::options::AccessKeys;
use crate::aws::{AwsError, Clients};
use crate::error::Kind;

/// Keys whose owners are remembered, and for how long.
const REMEMBERED: u64 = 1000;
const AGE: Duration = Duration::from_secs(60);

pub struct AwsKeys {
    clients: Clients,
    /// Owners by a MAC of their key, which only this process can make.
    owners: Cache<Mark, String>,
    key: [u8; 16],
}

/// Whether a user name is an access key's id: of a user, or of a session.
pub fn is_id(name: &str) -> bool {
    (16..=128).contains(&name.len())
        && (name.starts_with("AKIA") || name.starts_with("ASIA"))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl AwsKeys {
    pub fn new(clients: Clients) -> Self {
        let owners = Cache::builder().max_capacity(REMEMBERED).time_to_live(AGE).build();
        Self { clients, owners, key: uuid::Uuid::new_v4().into_bytes() }
    }

    /// Whom a key belonged to a moment ago.
    pub async fn remembered(&self, keys: &AccessKeys) -> Option<Principal> {
        let owner = self.owners.get(&mark(&self.key, of_keys(keys))).await?;
        Some(principal(owner, keys))
    }

    /// Asks STS whose a key is.
    pub async fn ask(&self, keys: &AccessKeys) -> Result<Principal, Refusal> {
        let sts = self.clients.with_keys(keys).sts;
        let said = sts.get_caller_identity().send().await;
        let said = said.map_err(|error| refusal(&AwsError::new("sts:GetCallerIdentity", error)))?;
        let owner = said.arn().unwrap_or_default().to_owned();
        self.owners.insert(mark(&self.key, of_keys(keys)), owner.clone()).await;
        Ok(principal(owner, keys))
    }
}

/// When the credentials of a session end is not known to STS's answer: AWS itself refuses what they are used for then.
fn principal(owner: String, keys: &AccessKeys) -> Principal {
    Principal { keys: Some(keys.clone()), ..Principal::new(owner, Vec::new()) }
}

fn refusal(error: &AwsError) -> Refusal {
    match error.kind {
        Kind::Unavailable | Kind::ResourceExhausted => Refusal::Unavailable(format!("sign-in needs STS: {error}")),
        _ => Refusal::Failed,
    }
}
