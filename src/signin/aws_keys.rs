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

    pub async fn principal(&self, keys: AccessKeys) -> Result<Principal, Refusal> {
        let owner = self.owners.try_get_with(mark(&self.key, of_keys(&keys)), self.ask(&keys)).await;
        let name = owner.map_err(|error| refusal(&error))?;
        Ok(Principal { keys: Some(keys), ..Principal::new(name, Vec::new()) })
    }

    async fn ask(&self, keys: &AccessKeys) -> Result<String, AwsError> {
        let sts = self.clients.with_keys(keys).sts;
        let said = sts.get_caller_identity().send().await;
        let said = said.map_err(|error| AwsError::new("sts:GetCallerIdentity", error))?;
        Ok(said.arn().unwrap_or_default().to_owned())
    }
}

fn refusal(error: &AwsError) -> Refusal {
    match error.kind {
        Kind::Unavailable | Kind::ResourceExhausted => Refusal::Unavailable(format!("sign-in needs STS: {error}")),
        _ => Refusal::Failed,
    }
}
