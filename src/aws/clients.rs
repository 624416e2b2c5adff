//! SDK clients from the options: credentials, roles, endpoints, timeouts, retries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use secrecy::ExposeSecret as _;

use super::options::{AccessKeys, AwsOptions, RoleOptions};
use super::owner::ExpectedOwner;
use super::roles::AssumedRole;
use super::{AwsError, errors};
use crate::error::Kind;

/// What the user agent of all calls names.
const APP_NAME: &str = "athena-flight";

/// The clients that work in one name. Cloning shares their connections.
#[derive(Debug, Clone)]
pub struct Clients {
    pub athena: aws_sdk_athena::Client,
    pub glue: aws_sdk_glue::Client,
    pub s3: aws_sdk_s3::Client,
    pub sts: aws_sdk_sts::Client,
    /// Account id of the Glue catalog, on every call to Glue.
    pub catalog_id: Option<String>,
    pub region: Option<String>,
    /// Tells these credentials from others.
    identity: u64,
    /// What they were made of, for those that work in another name.
    config: SdkConfig,
    options: AwsOptions,
}

impl Clients {
    pub async fn connect(options: &AwsOptions) -> Self {
        let http = http_client(options.embedded);
        let retries = if options.adaptive_retries { RetryConfig::adaptive() } else { RetryConfig::standard() };
        let timeouts =
            TimeoutConfig::builder().connect_timeout(options.connect_timeout).read_timeout(options.read_timeout);
        let timeouts = timeouts.operation_timeout(options.call_timeout);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(retries.with_max_attempts(options.max_attempts))
            .timeout_config(timeouts.build());
        if let Ok(name) = AppName::new(APP_NAME) {
            loader = loader.app_name(name);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &options.endpoints.all {
            loader = loader.endpoint_url(url);
        }
        if options.use_fips {
            loader = loader.use_fips(true);
        }
        if options.use_dual_stack {
            loader = loader.use_dual_stack(true);
        }
        let config = with_credentials(loader, options, http).load().await;
        let config = options.roles.iter().fold(config, |config, role| with_role(&config, options, role.clone()));
        Self::new(config, options.clone())
    }

    /// Clients that work as a role, which these assume.
    pub fn assuming(&self, role: RoleOptions) -> Self {
        Self::new(with_role(&self.config, &self.options, role), self.options.clone())
    }

    /// Clients that work with somebody else's access key.
    pub fn with_keys(&self, keys: &AccessKeys) -> Self {
        let provider = SharedCredentialsProvider::new(credentials(keys));
        Self::new(self.config.to_builder().credentials_provider(provider).build(), self.options.clone())
    }

    /// A number that clients with the same credentials share, and no others.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// How often a call is made at most.
    pub fn max_attempts(&self) -> u32 {
        self.options.max_attempts
    }

    /// How long a call may take with all its attempts.
    pub fn call_timeout(&self) -> Duration {
        self.options.call_timeout
    }

    /// What is missing before any call can be made: a region, credentials. The error says what to do.
    pub async fn check_ready(&self) -> Result<(), String> {
        if self.region.is_none() {
            return Err("no AWS region is known: give --region, AWS_REGION, or a profile with a region".to_owned());
        }
        let found = match self.config.credentials_provider() {
            Some(provider) => match provider.provide_credentials().await {
                // A role whose credentials cannot be asked for at this moment is tried again with the first call.
                Err(error) if errors::behind(&error).is_some_and(|ours| ours.kind == Kind::Unavailable) => {
                    tracing::warn!(error = errors::chain(&error), "the role could not be assumed yet");
                    Ok(())
                }
                found => found.map(drop).map_err(|error| errors::chain(&error)),
            },
            None => Err("there is no provider of any".to_owned()),
        };
        found.map_err(|why| {
            format!(
                "no AWS credentials are found: {why}; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, --profile, or run \
                 with a container's or an instance's role (athena-flight check says more)"
            )
        })
    }

    /// Whether the embedded endpoint answers them.
    pub fn is_embedded(&self) -> bool {
        self.options.embedded
    }

    /// The account whose quotas they use, where it can be known: of the last role, else as STS says.
    pub async fn account(&self) -> Result<String, AwsError> {
        if let Some(account) = self.options.roles.last().and_then(|role| account_of(&role.arn)) {
            return Ok(account.to_owned());
        }
        let identity = self.sts.get_caller_identity().send().await;
        let identity = identity.map_err(|error| AwsError::new("sts:GetCallerIdentity", error))?;
        Ok(identity.account().unwrap_or_default().to_owned())
    }

    fn new(config: SdkConfig, options: AwsOptions) -> Self {
        static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(0);
        let endpoints = &options.endpoints;
        let mut athena = aws_sdk_athena::config::Builder::from(&config);
        if let Some(url) = &endpoints.athena {
            athena = athena.endpoint_url(url);
        }
        let mut glue = aws_sdk_glue::config::Builder::from(&config);
        if let Some(url) = &endpoints.glue {
            glue = glue.endpoint_url(url);
        }
        // Endpoints of one's own seldom have a host name per bucket.
        let path_style = endpoints.s3.is_some() || config.endpoint_url().is_some();
        let mut s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style);
        if let Some(url) = &endpoints.s3 {
            s3 = s3.endpoint_url(url);
        }
        if let Some(owner) = options.expected_bucket_owner.as_deref().and_then(ExpectedOwner::new) {
            s3 = s3.interceptor(owner);
        }
        Self {
            athena: aws_sdk_athena::Client::from_conf(athena.build()),
            glue: aws_sdk_glue::Client::from_conf(glue.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sts: sts(&config, &options),
            catalog_id: options.catalog_id.clone(),
            region: config.region().map(ToString::to_string),
            identity: NEXT_IDENTITY.fetch_add(1, Ordering::Relaxed),
            config,
            options,
        }
    }
}

/// The account in an ARN: `arn:aws:iam::111122223333:role/analyst`.
pub fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

/// TLS by rustls, and the proxy that the environment names (HTTPS_PROXY, NO_PROXY).
fn http_client(embedded: bool) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let proxy = if embedded { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
        let mut connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .proxy_config(proxy);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    })
}

/// The keys that were given, else the profile that was named, else the SDK's default chain.
fn with_credentials(loader: ConfigLoader, options: &AwsOptions, http: SharedHttpClient) -> ConfigLoader {
    if let Some(keys) = &options.keys {
        return loader.credentials_provider(credentials(keys));
    }
    if options.embedded {
        // It takes any: without them the default chain would look for real ones.
        return loader.credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded endpoint"));
    }
    match &options.profile {
        // In the default chain the environment's keys would go before it.
        Some(name) => {
            let region = options.region.clone().map(Region::new);
            let provider = ProviderConfig::default().with_region(region).with_http_client(http);
            let profile = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(name).build();
            loader.profile_name(name).credentials_provider(profile)
        }
        None => loader,
    }
}

fn credentials(keys: &AccessKeys) -> Credentials {
    let token = keys.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    Credentials::new(&keys.id, keys.secret.expose_secret(), token, None, "access key")
}

fn with_role(config: &SdkConfig, options: &AwsOptions, role: RoleOptions) -> SdkConfig {
    let provider = SharedCredentialsProvider::new(AssumedRole::new(sts(config, options), role));
    config.to_builder().credentials_provider(provider).build()
}

fn sts(config: &SdkConfig, options: &AwsOptions) -> aws_sdk_sts::Client {
    let mut sts = aws_sdk_sts::config::Builder::from(config);
    if let Some(url) = &options.endpoints.sts {
        sts = sts.endpoint_url(url);
    }
    aws_sdk_sts::Client::from_conf(sts.build())
}
