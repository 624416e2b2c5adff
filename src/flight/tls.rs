//! TLS: connections that are encrypted, and client certificates that sign their owner in. Files are read again when they
//! change, so a certificate is replaced without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};

use crate::signin::watched::Watched;

/// What HTTP/2 is called when protocols are agreed on.
const HTTP2: &[u8] = b"h2";

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

    /// What the files say, also after they have changed.
    pub fn watched(self) -> Watched<ServerConfig> {
        let files = self.files();
        Watched::new(files, move || self.server_config())
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
