//! TLS: connections that are encrypted, and client certificates that sign their owner in. Files are read again when they
//! change, so a certificate is replaced without a restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use crate::signin::certificate;
use crate::signin::watched::Watched;

/// What HTTP/2 is called when protocols are agreed on.
const HTTP2: &[u8] = b"h2";
/// How long a client may take to agree on keys, and how many do so at once.
const PATIENCE: Duration = Duration::from_secs(10);
const HANDSHAKES: usize = 256;
/// Connections that wait to be taken.
const WAITING: usize = 64;

/// Where certificate and keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Authorities whose client certificates are taken.
    pub client_ca: Option<PathBuf>,
    pub client_required: bool,
}

impl TlsOptions {
    /// What is wrong with the files.
    pub fn check(&self) -> Result<(), String> {
        self.server_config().map(drop)
    }

    fn server_config(&self) -> Result<ServerConfig, String> {
        let certificates = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("--tls-key {}: {error}", self.key.display()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in self::certificates(path)? {
                    roots.add(certificate).map_err(|error| format!("--tls-client-ca {}: {error}", path.display()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if self.client_required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
            }
        };
        let mut config = builder
            .with_single_cert(certificates, key)
            .map_err(|error| format!("--tls-cert {} and --tls-key: {error}", self.cert.display()))?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(config)
    }

    fn files(&self) -> Vec<PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca).cloned().collect()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("certificates {}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fault(&error))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| fault(&error))?;
    if certificates.is_empty() { Err(fault(&"there is none in it")) } else { Ok(certificates) }
}

/// The connections that come to a socket, until the token is cancelled.
pub fn connections(
    listener: TcpListener,
    options: Option<TlsOptions>,
    stop: CancellationToken,
) -> mpsc::Receiver<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let tls = options.map(|options| {
            let files = options.files();
            Arc::new(Watched::new(files, move || options.server_config()))
        });
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, address)) = accepted else {
                // Too many open files, and the like: others have to go first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let Some(tls) = &tls else {
                if sender.send(Ok(Connection::plain(stream, address))).await.is_err() {
                    return;
                }
                continue;
            };
            let Some(config) = tls.get() else { continue };
            let Ok(turn) = Arc::clone(&handshakes).try_acquire_owned() else { continue };
            let sender = sender.clone();
            tokio::spawn(async move {
                let _turn = turn;
                let accept = TlsAcceptor::from(config).accept(stream);
                match tokio::time::timeout(PATIENCE, accept).await {
                    Ok(Ok(stream)) => {
                        let chain = stream.get_ref().1.peer_certificates();
                        let owner = chain.and_then(|chain| certificate::principal(chain.first()?));
                        let _ = sender.send(Ok(Connection::encrypted(stream, owner, address))).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            });
        }
    });
    receiver
}
