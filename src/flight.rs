//! Arrow Flight SQL: the only place that knows gRPC.
//!
//! | module | says |
//! | --- | --- |
//! | [`service`] | each RPC, and where it goes |
//! | [`command`] | descriptors, tickets and actions → commands; what is not one is refused |
//! | [`listener`], [`tls`] | connections are taken, encrypted or not, and end |
//! | [`connections`] | which there are, and which goes when there is no room |
//! | [`connection`] | its bytes |
//! | [`calls`] | what makes a connection busy, and how long a request may take to come |
//! | [`callers`] | who calls, and the server that each principal has |
//! | [`handshake`] | the first call of clients with a user name: a bearer token |
//! | [`statement`], [`prepared`], [`update`], [`poll`], [`cancel`] | statements |
//! | [`parameters`] | streams of values → SQL literals |
//! | [`ingest`] | streams of rows → tables |
//! | [`metadata`], [`sql_info`], [`xdbc_types`] | what there is, what the server can |
//! | [`session_options`] | sessions, which are signed cookies |
//! | [`ticket`] | signed handles, so that any gateway with the key can serve any of them |
//! | [`options`] | the session of a call: the server's, its cookie's, its headers' |
//! | [`do_get`] | batches → messages, on their way to the socket |
//! | [`encode`] | schemas and tickets → FlightInfo |
//! | [`status`] | errors → gRPC codes |

mod callers;
mod calls;
mod cancel;
mod command;
mod connection;
mod connections;
mod do_get;
mod encode;
mod handshake;
mod ingest;
mod listener;
mod metadata;
mod options;
mod parameters;
mod poll;
mod prepared;
mod service;
mod session_options;
mod sql_info;
mod statement;
mod status;
mod ticket;
mod tls;
mod update;
mod xdbc_types;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::access::Rules;
use crate::gateway::Tenant;
use crate::signin::SignInOptions;
use callers::Callers;
pub use listener::ConnectionOptions;
use listener::Listener;
use service::Rpcs;
pub use ticket::Keys;
pub use tls::TlsOptions;

/// Messages of `proto/`.
mod messages {
    include!(concat!(env!("OUT_DIR"), "/athena_flight.rs"));

    #[allow(clippy::enum_variant_names, reason = "the names are Flight's")]
    pub mod flight {
        include!(concat!(env!("OUT_DIR"), "/arrow.flight.protocol.rs"));
    }
}

/// Largest message taken from a client: a statement has at most 256 KiB, a batch of parameters a few MiB.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// How long answers under way may take when all that they are about has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(700);

/// A gateway that answers.
pub struct Listening {
    pub address: SocketAddr,
    has_tls: bool,
    served: tokio::task::JoinHandle<()>,
}

/// How a gateway is served.
#[derive(Default)]
pub struct Serving {
    pub tls: Option<TlsOptions>,
    pub sign_in: SignInOptions,
    pub rules: Rules,
    /// How long statements and streams under way may go on after the stop.
    pub grace: Duration,
    pub connections: ConnectionOptions,
}

/// Answers Flight calls on a bound socket until the token is cancelled. Then no statement begins any more, those under way and
/// their streams have the grace time to end, and what is left is stopped.
pub fn serve(
    listener: TcpListener,
    tenant: Arc<Tenant>,
    keys: Keys,
    serving: Serving,
    stop: CancellationToken,
) -> std::io::Result<Listening> {
    let address = listener.local_addr()?;
    let Serving { tls, sign_in, rules, grace, connections } = serving;
    let has_tls = tls.is_some();
    let gateway = Arc::clone(&tenant.gateway);
    let callers = Arc::new(Callers::new(tenant, keys, sign_in, rules));
    let service = FlightServiceServer::new(Rpcs(callers))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(usize::MAX);
    let served = tokio::spawn(async move {
        let tls = tls.map(TlsOptions::watched);
        let server = Listener { tls, routes: Routes::new(service), options: connections };
        // Connections are taken until all has ended: a client whose statement has run may come for its rows by another one.
        let closing = CancellationToken::new();
        let deadline = async {
            stop.cancelled().await;
            gateway.drain(grace).await;
            closing.cancel();
            gateway.stop().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            () = server.serve(listener, closing.clone()) => gateway.stop().await,
            () = deadline => {}
        }
    });
    Ok(Listening { address, has_tls, served })
}

impl Listening {
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "grpc+tls" } else { "grpc" };
        format!("{scheme}://{}", self.address)
    }

    /// Waits until the gateway has stopped.
    pub async fn stopped(self) {
        if let Err(error) = self.served.await {
            tracing::error!(%error, "Flight server panicked");
        }
    }
}
