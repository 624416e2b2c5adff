//! Credentials of assumed roles: asked of STS when there are none or they are about to end, once for all clients.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;

use super::options::RoleOptions;
use super::{AwsError, errors};

/// Credentials are renewed this long before they end, or when a quarter of their life is left if that is less.
const AHEAD: Duration = Duration::from_secs(300);

/// The credentials of one role.
#[derive(Debug)]
pub struct AssumedRole {
    sts: aws_sdk_sts::Client,
    role: RoleOptions,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    credentials: Credentials,
    renew_at: SystemTime,
}

impl AssumedRole {
    /// The role, to be assumed by whoever `sts` is.
    pub fn new(sts: aws_sdk_sts::Client, role: RoleOptions) -> Self {
        Self { sts, role, known: Mutex::new(None) }
    }

    async fn credentials(&self) -> provider::Result {
        // Whoever comes while one asks waits for that answer.
        let mut known = self.known.lock().await;
        let now = SystemTime::now();
        if let Some(known) = known.as_ref().filter(|known| now < known.renew_at) {
            return Ok(known.credentials.clone());
        }
        match self.assume(now).await {
            Ok(fresh) => {
                let credentials = fresh.credentials.clone();
                *known = Some(fresh);
                Ok(credentials)
            }
            // STS may have a bad minute while the old ones are still good.
            Err(error) => {
                match known.as_ref().filter(|known| known.credentials.expiry().is_some_and(|end| now < end)) {
                    Some(known) => {
                        tracing::warn!(role = self.role.arn, %error, "credentials could not be renewed yet");
                        Ok(known.credentials.clone())
                    }
                    None => Err(CredentialsError::provider_error(error)),
                }
            }
        }
    }

    async fn assume(&self, now: SystemTime) -> Result<Known, AwsError> {
        let RoleOptions { arn, session_name, source_identity, external_id, duration, session_policy } = &self.role;
        let answer = self
            .sts
            .assume_role()
            .role_arn(arn)
            .role_session_name(session_name)
            .set_source_identity(source_identity.clone())
            .set_external_id(external_id.as_ref().map(|id| id.expose_secret().to_owned()))
            .set_duration_seconds(duration.map(|duration| duration.as_secs() as i32))
            .set_policy(session_policy.clone())
            .send()
            .await
            .map_err(|error| AwsError::new("sts:AssumeRole", error))?;
        let given =
            answer.credentials().ok_or_else(|| errors::unreadable("sts:AssumeRole", "it has no credentials"))?;
        let ends = SystemTime::try_from(*given.expiration())
            .map_err(|_| errors::unreadable("sts:AssumeRole", "it has no end of the credentials"))?;
        let life = ends.duration_since(now).unwrap_or_default();
        tracing::info!(role = arn, life_seconds = life.as_secs(), "role assumed");
        let credentials = Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            Some(ends),
            "AssumeRole",
        );
        Ok(Known { credentials, renew_at: ends - AHEAD.min(life / 4) })
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
