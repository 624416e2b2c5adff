//! A gateway with the embedded endpoint behind it, on free ports, with a data folder of its own.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::sql::client::FlightSqlServiceClient;
use athena_flight::aws::Clients;
use athena_flight::config::embedded;
use athena_flight::emulator::{Emulator, Settings, demo};
use athena_flight::flight::{self, Keys, Serving};
use athena_flight::gateway::{Gateway, Limits, Settings as GatewaySettings, Tenant, TenantOptions};
use athena_flight::owner::Owner;
use athena_flight::session::Session;
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

pub struct Server {
    pub clients: Clients,
    pub tenant: Arc<Tenant>,
    pub gateway: Arc<Gateway>,
    pub gateway_url: String,
    endpoint: std::net::SocketAddr,
    keys: Keys,
    stop: CancellationToken,
    _data: tempfile::TempDir,
}

impl Server {
    /// With the demo data as the default database.
    pub async fn demo() -> Self {
        let session = Session { database: Some("tpch".into()), ..Session::default() };
        Self::start(true, session, Settings::default(), GatewaySettings::default()).await
    }

    pub async fn empty() -> Self {
        Self::start(false, Session::default(), Settings::default(), GatewaySettings::default()).await
    }

    /// With the demo data, and a gateway that was told so.
    pub async fn with_settings(settings: GatewaySettings) -> Self {
        Self::start(true, Session::default(), Settings::default(), settings).await
    }

    /// With the demo data, and an endpoint that behaves as a document says.
    pub async fn with_behaviour(document: &str) -> Self {
        Self::start(
            true,
            Session::default(),
            Settings::parse(document).expect("a document"),
            GatewaySettings::default(),
        )
        .await
    }

    /// With the demo data, for a tenant with limits.
    pub async fn with_limits(limits: Limits) -> Self {
        let session = Session::default();
        Self::start_limited(true, session, Settings::default(), GatewaySettings::default(), limits).await
    }

    pub async fn start(
        with_demo: bool,
        session: Session,
        settings: Settings,
        gateway_settings: GatewaySettings,
    ) -> Self {
        let limits = Limits { read_only: gateway_settings.read_only, ..Limits::default() };
        Self::start_limited(with_demo, session, settings, gateway_settings, limits).await
    }

    async fn start_limited(
        with_demo: bool,
        session: Session,
        settings: Settings,
        gateway_settings: GatewaySettings,
        limits: Limits,
    ) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let emulator = Emulator::open_with(data.path(), settings).expect("an empty data folder opens");
        if with_demo {
            demo::make(&emulator, 0.001).expect("demo data");
        }
        let stop = CancellationToken::new();
        let endpoint = emulator.listen("127.0.0.1:0", stop.clone()).await.expect("a free port");
        let clients = Clients::connect(&embedded(endpoint.url())).await;
        let endpoint = endpoint.address;
        let gateway = Gateway::new(gateway_settings);
        let anonymous = Tenant::anonymous(Arc::clone(&gateway), clients.clone(), session.clone());
        let options =
            TenantOptions { owner: Owner::anonymous(), clients: clients.clone(), account: None, session, limits };
        let tenant = anonymous.beside(options).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let keys = Keys::random();
        let listening = flight::serve(listener, Arc::clone(&tenant), keys.clone(), Serving::default(), stop.clone())
            .expect("a bound socket");
        let gateway_url = format!("http://{}", listening.address);
        Self { clients, tenant, gateway, gateway_url, endpoint, keys, stop, _data: data }
    }

    /// The URL of another gateway in front of the same endpoint, with the same key.
    pub async fn twin(&self) -> String {
        self.another(self.keys.clone()).await
    }

    /// The URL of another one that has a key of its own.
    pub async fn stranger(&self) -> String {
        self.another(Keys::random()).await
    }

    async fn another(&self, keys: Keys) -> String {
        let gateway = Gateway::new(GatewaySettings::default());
        let tenant = Tenant::anonymous(gateway, self.clients.clone(), self.tenant.session.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let listening =
            flight::serve(listener, tenant, keys, Serving::default(), self.stop.clone()).expect("a bound socket");
        format!("http://{}", listening.address)
    }

    /// The URL at which the same gateway works for somebody else.
    pub async fn for_owner(&self, name: &str) -> String {
        let options = TenantOptions {
            owner: Owner::new(name),
            clients: self.clients.clone(),
            account: None,
            session: self.tenant.session.clone(),
            limits: Limits::default(),
        };
        let tenant = self.tenant.beside(options).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let listening = flight::serve(listener, tenant, self.keys.clone(), Serving::default(), self.stop.clone());
        format!("http://{}", listening.expect("a bound socket").address)
    }

    /// Waits until the endpoint has stopped a query.
    pub async fn expect_stopped(&self, id: &str) {
        let stopped = async {
            loop {
                let got = self.clients.athena.get_query_execution().query_execution_id(id).send().await;
                let got = got.expect("an execution");
                let status = got.query_execution().and_then(|execution| execution.status()).expect("a status");
                match status.state().expect("a state").as_str() {
                    "CANCELLED" => return,
                    "QUEUED" | "RUNNING" => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                    other => panic!("{id} is {other}"),
                }
            }
        };
        let patience = std::time::Duration::from_secs(10);
        tokio::time::timeout(patience, stopped).await.unwrap_or_else(|_| panic!("{id} goes on"));
    }

    /// Makes the embedded endpoint behave as a document says from now on.
    pub async fn behave(&self, document: &str) {
        let length = document.len();
        let request = format!(
            "PUT /_athena-flight/behaviour HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{document}"
        );
        let answer = self.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    /// Sends bytes to the embedded endpoint and gives all it answers until it closes the connection.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.endpoint).await.expect("the endpoint listens");
        // It may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub async fn client(&self) -> FlightSqlServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(self.gateway_url.clone()).expect("a URL");
        FlightSqlServiceClient::new(endpoint.connect().await.expect("the server answers"))
    }

    /// Runs a statement directly (CommandStatementQuery) and collects its rows.
    pub async fn query(&self, sql: &str) -> Vec<RecordBatch> {
        self.query_with(sql, &[]).await
    }

    /// The same with headers.
    pub async fn query_with(&self, sql: &str, headers: &[(&str, &str)]) -> Vec<RecordBatch> {
        let mut client = self.client().await;
        headers.iter().for_each(|(name, value)| client.set_header(*name, *value));
        let info = client.execute(sql.to_owned(), None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        let rows = client.do_get(ticket).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The rows of a statement as a text table.
    pub async fn table(&self, sql: &str) -> String {
        let batches = self.query(sql).await;
        arrow::util::pretty::pretty_format_batches(&batches).expect("printable").to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
