//! How `query` reaches a gateway that runs already: TLS and sign-in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

const PATIENCE: Duration = Duration::from_secs(10);
/// Secrets come by the environment: flags are for everybody to read.
const PASSWORD: &str = "ATHENA_FLIGHT_PASSWORD";
const TOKEN: &str = "ATHENA_FLIGHT_TOKEN";

#[derive(clap::Args)]
pub struct Connection {
    /// User to sign in as at --url, with the password in ATHENA_FLIGHT_PASSWORD; a bearer token goes into ATHENA_FLIGHT_TOKEN
    #[arg(long, env = "ATHENA_FLIGHT_USER")]
    user: Option<String>,
    /// PEM file with the authority of the certificate at --url [default: the system's]
    #[arg(long, value_name = "FILE", env = "ATHENA_FLIGHT_CA")]
    ca: Option<PathBuf>,
}

impl Connection {
    pub async fn open(&self, url: &str) -> anyhow::Result<FlightSqlServiceClient<Channel>> {
        let channel = self.channel(url).await.with_context(|| format!("no gateway answers at {url}"))?;
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        let secret = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        if let Some(user) = &self.user {
            let password = secret(PASSWORD).with_context(|| format!("--user goes with {PASSWORD}"))?;
            client.handshake(user, &password).await.map_err(super::query::without_debug)?;
        } else if let Some(token) = secret(TOKEN) {
            client.set_token(token);
        }
        Ok(client)
    }

    async fn channel(&self, url: &str) -> anyhow::Result<Channel> {
        let (scheme, address) = url.split_once("://").unwrap_or_default();
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(PATIENCE);
        match scheme {
            "grpc" | "grpc+tcp" | "http" => Ok(endpoint.connect().await?),
            "grpc+tls" | "grpcs" | "https" => self.encrypted(endpoint, address).await,
            _ => bail!("--url {url:?} is neither grpc://HOST:PORT nor grpc+tls://HOST:PORT"),
        }
    }

    async fn encrypted(&self, endpoint: Endpoint, address: &str) -> anyhow::Result<Channel> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let address = address.to_owned();
        let connect = service_fn(move |_| {
            let (connector, name, address) = (connector.clone(), name.clone(), address.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        });
        Ok(endpoint.connect_with_connector(connect).await?)
    }

    fn tls(&self) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
                let certificates = certificates.with_context(|| format!("--ca {}", path.display()))?;
                roots.add_parsable_certificates(certificates);
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            bail!("there are no authorities to check the gateway's certificate with: give --ca");
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}
