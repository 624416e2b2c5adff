//! The embedded endpoint: Athena, Glue, STS and S3 over a folder of local files, on one HTTP port.
//!
//! | module | says |
//! | --- | --- |
//! | [`server`] | which service a request is for |
//! | [`auth`], [`iam`] | who a request is from, and what they may do |
//! | [`behaviour`], [`admin`] | quotas, latencies and faults on demand, at start and at run time |
//! | [`athena`], [`glue`], [`lakeformation`], [`sts`], [`s3`] | the services, one file per group of operations |
//! | [`sql`] | Athena's SQL → what to do |
//! | [`engine`] | doing it |
//! | [`store`], [`results`] | what survives a restart: catalog and history; result objects |
//! | [`demo`], [`local`] | where the data comes from |
//!
//! It shares only `types`, `error` and `config` with the gateway, so that neither can excuse the other.

mod admin;
mod api;
mod athena;
mod auth;
mod behaviour;
pub mod demo;
mod engine;
mod failure;
mod glue;
pub mod iam;
mod lakeformation;
pub mod local;
mod model;
mod results;
mod s3;
mod server;
mod sql;
mod store;
mod sts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use athena::Executions;
use auth::Sessions;
use behaviour::Behaviour;
pub use behaviour::Settings;
use store::{Store, StoreError};

/// The bucket that results go to unless a client says otherwise; the workgroup `primary` names it.
pub const RESULTS_BUCKET: &str = "athena-flight-results";

/// Why the endpoint cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("data folder {folder}: {source}")]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("data folder {folder}")]
    Store { folder: PathBuf, source: StoreError },
    #[error(transparent)]
    Buckets(#[from] s3::BucketsUnusable),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error("{0}")]
    Data(String),
}

/// An opened data folder.
pub struct Emulator {
    store: Arc<Store>,
    buckets: PathBuf,
    executions: Executions,
    s3: s3::S3,
    /// Credentials that were given out to assumed roles; they end with the process.
    sessions: Sessions,
    behaviour: Arc<Behaviour>,
    /// The settings of the start, to go back to.
    settings: Settings,
}

impl Emulator {
    /// Opens a data folder, making what is missing in it.
    pub fn open(folder: &Path) -> Result<Self, StartError> {
        Self::open_with(folder, Settings::default())
    }

    /// The same, behaving as the settings say.
    pub fn open_with(folder: &Path, settings: Settings) -> Result<Self, StartError> {
        let unusable = |source| StartError::Folder { folder: folder.to_owned(), source };
        let buckets = folder.join("buckets");
        let unfinished = buckets.join(results::UNFINISHED);
        std::fs::create_dir_all(buckets.join(RESULTS_BUCKET)).map_err(unusable)?;
        // What a killed process was writing when it died.
        let _ = std::fs::remove_dir_all(&unfinished);
        std::fs::create_dir_all(&unfinished).map_err(unusable)?;
        let store = Store::open(&folder.join("catalog.redb"))
            .map_err(|source| StartError::Store { folder: folder.to_owned(), source })?;
        let store = Arc::new(store);
        let s3 = s3::S3::open(&buckets)?;
        let behaviour = Arc::new(Behaviour::new(settings.clone()));
        let executions = Executions::new(Arc::clone(&store), buckets.clone(), Arc::clone(&behaviour));
        let executions = executions.map_err(unusable)?;
        Ok(Self { store, buckets, executions, s3, sessions: Sessions::default(), behaviour, settings })
    }

    /// The folder that holds a folder per bucket.
    pub fn buckets(&self) -> &Path {
        &self.buckets
    }

    /// Answers requests on `address` until the token is cancelled.
    pub async fn listen(self, address: &str, stop: CancellationToken) -> Result<Listening, StartError> {
        let failed = |source| StartError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() && !self.settings.verify_signatures {
            tracing::warn!(%address, "everyone who reaches this address can read and change the data: nothing is checked");
        }
        let served = tokio::spawn(server::serve(listener, Arc::new(self), stop));
        Ok(Listening { address, served })
    }
}

/// An endpoint that answers.
pub struct Listening {
    pub address: SocketAddr,
    served: tokio::task::JoinHandle<()>,
}

impl Listening {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the endpoint has stopped.
    pub async fn stopped(self) {
        let _ = self.served.await;
    }
}
