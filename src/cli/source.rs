//! Starts what a command runs on: the embedded endpoint where one is wanted, and a gateway in front of it or of AWS.

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::aws::Clients;
use crate::config::{Config, Source};
use crate::flight::{self, Keys};
use crate::gateway::{Gateway, Tenant};

/// A gateway that answers, and the embedded endpoint behind it if there is one.
pub struct Running {
    pub gateway: flight::Listening,
    behind: Behind,
}

/// A gateway that nobody is served by, and the embedded endpoint behind it if there is one.
pub struct Behind {
    pub tenant: Arc<Tenant>,
    #[cfg(feature = "emulator")]
    endpoint: Option<crate::emulator::Listening>,
    /// The endpoint goes on while the gateway tells it which queries to stop.
    endpoint_stop: CancellationToken,
}

/// Starts everything; `stop` ends it.
pub async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<Running> {
    // The port first: whoever cannot have it should not wait for data to be made.
    let listener =
        TcpListener::bind(&config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let key = config.signing_key.clone();
    let serving = flight::Serving {
        tls: config.tls.clone(),
        sign_in: config.sign_in.clone(),
        rules: config.rules.clone(),
        grace: config.shutdown_grace,
        connections: config.connections.clone(),
    };
    // Where callers bring their own keys, the gateway can do without.
    let must_be_ready = config.source == Source::Aws && !config.sign_in.aws_keys;
    let behind = start_behind(config).await?;
    if must_be_ready {
        behind.tenant.clients.check_ready().await.map_err(anyhow::Error::msg)?;
    }
    let keys = key.map_or_else(Keys::random, |key| Keys::of(key.expose_secret()));
    let gateway = flight::serve(listener, Arc::clone(&behind.tenant), keys, serving, stop)?;
    Ok(Running { gateway, behind })
}

/// Starts what is behind a gateway, and the gateway itself.
pub async fn start_behind(config: Config) -> anyhow::Result<Behind> {
    let endpoint_stop = CancellationToken::new();
    #[cfg(feature = "emulator")]
    let (options, endpoint) = match config.source {
        Source::Aws => (config.aws, None),
        embedded => {
            let endpoint = start_endpoint(embedded, endpoint_stop.clone()).await?;
            (crate::config::reaching(config.aws, endpoint.url()), Some(endpoint))
        }
    };
    #[cfg(not(feature = "emulator"))]
    let options = match config.source {
        Source::Aws => config.aws,
        _ => anyhow::bail!("this athena-flight was built without the embedded endpoint: --demo and --local need it"),
    };
    let gateway = Gateway::new(config.settings);
    let tenant = Tenant::anonymous(gateway, Clients::connect(&options).await, config.session);
    Ok(Behind {
        tenant,
        #[cfg(feature = "emulator")]
        endpoint,
        endpoint_stop,
    })
}

impl Running {
    /// The URL of the embedded endpoint, if there is one.
    pub fn endpoint_url(&self) -> Option<String> {
        #[cfg(feature = "emulator")]
        return self.behind.endpoint.as_ref().map(crate::emulator::Listening::url);
        #[cfg(not(feature = "emulator"))]
        None
    }

    /// Waits until the gateway has stopped, then ends the endpoint.
    pub async fn stopped(self) {
        self.gateway.stopped().await;
        self.behind.end().await;
    }
}

impl Behind {
    /// Stops the gateway, then the endpoint.
    pub async fn end(self) {
        self.tenant.gateway.stop().await;
        self.endpoint_stop.cancel();
        #[cfg(feature = "emulator")]
        if let Some(endpoint) = self.endpoint {
            endpoint.stopped().await;
        }
    }
}

#[cfg(feature = "emulator")]
async fn start_endpoint(source: Source, stop: CancellationToken) -> anyhow::Result<crate::emulator::Listening> {
    use crate::emulator::{Emulator, demo, local};
    let folder = match &source {
        Source::Local { folder } => data_folder(&format!("local-{}", fingerprint(folder)))?,
        _ => data_folder("demo")?,
    };
    let emulator = tokio::task::spawn_blocking(move || -> anyhow::Result<Emulator> {
        let emulator = Emulator::open(&folder)?;
        match source {
            Source::Demo { scale } => demo::make(&emulator, scale)?,
            Source::Local { folder } => {
                for line in local::attach(&emulator, &folder)? {
                    tracing::warn!("left out: {line}");
                }
            }
            Source::Aws => {}
        }
        Ok(emulator)
    });
    let emulator = emulator.await.context("making the data failed")??;
    Ok(emulator.listen("127.0.0.1:0", stop).await?)
}

/// The per-user folder for what the embedded endpoint keeps: `$XDG_DATA_HOME/athena-flight/<name>`.
#[cfg(feature = "emulator")]
pub fn data_folder(name: &str) -> anyhow::Result<std::path::PathBuf> {
    use etcetera::BaseStrategy as _;
    let base = etcetera::choose_base_strategy().context("no home folder for the data: set XDG_DATA_HOME")?;
    Ok(base.data_dir().join("athena-flight").join(name))
}

/// A short name for a folder, always the same for the same one.
#[cfg(feature = "emulator")]
fn fingerprint(folder: &std::path::Path) -> String {
    use sha2::Digest as _;
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let digest = sha2::Sha256::digest(folder.as_os_str().as_encoded_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
