//! SDK clients from region, profile and endpoint; credentials come from the SDK's default chain.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_athena::config::Credentials;
use aws_smithy_http_client::{Builder, tls};

/// Where AWS is and who we are there; each `None` is left to the SDK's default chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsOptions {
    pub region: Option<String>,
    pub profile: Option<String>,
    pub endpoint_url: Option<String>,
    /// Credentials of the embedded endpoint, which takes any: without them the default chain would look for real ones.
    pub embedded: bool,
}

/// The clients the gateway works with. Cloning shares their connections.
#[derive(Debug, Clone)]
pub struct Clients {
    pub athena: aws_sdk_athena::Client,
    pub glue: aws_sdk_glue::Client,
    pub s3: aws_sdk_s3::Client,
    pub region: Option<String>,
}

impl Clients {
    pub async fn connect(options: &AwsOptions) -> Self {
        let http =
            Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(5))
            .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build());
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if options.embedded {
            loader =
                loader.credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded endpoint"));
        }
        Self::new(&loader.load().await)
    }

    fn new(config: &SdkConfig) -> Self {
        // Endpoints of one's own seldom have a host name per bucket.
        let path_style = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build();
        Self {
            athena: aws_sdk_athena::Client::new(config),
            glue: aws_sdk_glue::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            region: config.region().map(ToString::to_string),
        }
    }
}
