//! Takes connections and serves each until it ends: by itself, because it has to make room, because it did not begin in
//! time, or because nothing was asked of it for a long time.
//!
//! Each connection has a server of its own, so that one alone can be told to go. TLS handshakes run side by side; a client
//! that is slow with its own keeps no other waiting.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use rustls::server::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::util::MapResponseLayer;

use super::calls::CallsLayer;
use super::connection::Connection;
use super::connections::{Connections, Limits, NoRoom, Slot, Watch};
use super::{do_get, status};
use crate::signin::certificate;
use crate::signin::watched::Watched;

/// How many connections there may be, and how long they may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// Unless it is said, as many as the process may open files for, less some for everything else.
    pub max: Option<usize>,
    /// Unless it is said, half of all.
    pub max_per_peer: Option<usize>,
    /// From the connection to the end of the HTTP/2 preface, TLS included.
    pub handshake_timeout: Duration,
    pub idle_timeout: Duration,
}

/// Most connections, unless more are asked for.
const DEFAULT_MAX: usize = 10_000;
/// Files that everything else may need: connections to AWS, the embedded endpoint's files, logs.
const RESERVED_FILES: usize = 512;
/// Largest list of request headers. Clients turn unknown connection options into headers.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Load balancers cut connections that are silent for minutes, and peers vanish without a word.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client that was told to go may take to close its connection, once its calls are over.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for a connection to be closed when no more files may be opened, and after other errors.
const RETRY: Duration = Duration::from_millis(50);
/// How often refused connections are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// The process, or the system, may not open more files; the same on every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

impl Default for ConnectionOptions {
    fn default() -> Self {
        let (handshake_timeout, idle_timeout) = (Duration::from_secs(10), Duration::from_secs(1800));
        Self { max: None, max_per_peer: None, handshake_timeout, idle_timeout }
    }
}

impl ConnectionOptions {
    /// For a process that may open so many files.
    fn limits(&self, files: usize) -> Limits {
        let all = self.max.unwrap_or_else(|| DEFAULT_MAX.min(files - reserved(files))).max(1);
        Limits { all, per_peer: self.max_per_peer.unwrap_or_else(|| all.div_ceil(2)) }
    }

    /// Lets the process open as many files as the connections need. What it says is wrong then is for whoever started it.
    pub fn raise_file_limit(&self) -> Option<String> {
        let before = open_files();
        let wanted = self.max.unwrap_or(DEFAULT_MAX) + RESERVED_FILES;
        match rlimit::increase_nofile_limit(wanted as u64) {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot raise the limit on open files"),
        }
        let files = open_files();
        if files != before {
            tracing::info!(before, now = files, "raised the limit on open files");
        }
        let limits = self.limits(files);
        if files - reserved(files) >= limits.all {
            let max_connections = limits.all;
            tracing::info!(max_connections, per_peer = limits.per_peer, open_files = files, "limits on connections");
            return None;
        }
        Some(format!(
            "this process may open {files} files, too few for --max-connections {}: raise the limit (ulimit -n, LimitNOFILE) \
             to {wanted}, or lower --max-connections",
            limits.all
        ))
    }
}

/// How many of so many files are not for connections.
fn reserved(files: usize) -> usize {
    RESERVED_FILES.min(files / 4)
}

/// Files that the process may open.
fn open_files() -> usize {
    let limit = rlimit::Resource::NOFILE.get().map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// What each connection is served with.
pub struct Listener {
    pub tls: Option<Watched<ServerConfig>>,
    pub routes: Routes,
    pub options: ConnectionOptions,
}

impl Listener {
    /// Serves those who connect until the token is cancelled; then connections end with the calls that are under way, and
    /// so does this.
    pub async fn serve(self, socket: TcpListener, stop: CancellationToken) {
        let connections = Connections::new(self.options.limits(open_files()));
        let (listener, tasks, mut refused) = (Arc::new(self), TaskTracker::new(), Refused::default());
        let accept = async || {
            connections.settled().await;
            socket.accept().await
        };
        while let Some(accepted) = stop.run_until_cancelled(accept()).await {
            match accepted {
                Ok((stream, address)) => match connections.admit(address.ip(), &stop) {
                    Ok(slot) => drop(tasks.spawn(Arc::clone(&listener).connection(stream, address, slot))),
                    Err(why) => refused.log(why, address),
                },
                Err(error) if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => {
                    let closed_one = connections.evict_one();
                    tracing::warn!(%error, closed_one, "cannot take a connection");
                    let _ = tokio::time::timeout(RETRY, connections.one_closed()).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot take a connection");
                    sleep(RETRY).await;
                }
            }
        }
        drop(socket);
        tasks.close();
        tasks.wait().await;
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, address: SocketAddr, slot: Slot) {
        let (watch, deadline) = (slot.watch(), Instant::now() + self.options.handshake_timeout);
        let begun = tokio::select! {
            begun = self.begin(stream, address, slot) => begun,
            () = watch.draining().cancelled() => return,
            () = sleep_until(deadline) => Err("too slow".into()),
        };
        let connection = match begun {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        };
        let calls = CallsLayer { connection: watch.clone(), pause: self.options.idle_timeout };
        let served = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .layer(calls)
            .layer(MapResponseLayer::new(|response| do_get::with_messages(status::of_undecodable(response))))
            .add_routes(self.routes.clone())
            .serve_with_incoming_shutdown(
                stream::iter([Ok::<_, io::Error>(connection)]).chain(stream::pending()),
                watch.draining().clone().cancelled_owned(),
            );
        tokio::select! {
            served = served => if let Err(error) = served {
                tracing::error!(%error, "a connection cannot be served");
            },
            never = self.supervise(&watch, deadline) => match never {},
        }
    }

    /// Agrees with the client on TLS, where there is TLS.
    async fn begin(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        slot: Slot,
    ) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Connection::plain(stream, address, slot)) };
        let config = tls.get().ok_or("the certificate could not be read")?;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let chain = stream.get_ref().1.peer_certificates();
        let owner = chain.and_then(|chain| certificate::principal(chain.first()?));
        Ok(Connection::encrypted(stream, address, owner, slot))
    }

    /// Ends a connection that does not begin, or is not used.
    async fn supervise(&self, connection: &Watch, deadline: Instant) -> Infallible {
        tokio::select! {
            () = connection.ready() => {}
            () = sleep_until(deadline) => {
                tracing::debug!("a client did not begin to speak HTTP/2 in time");
                connection.close();
            }
        }
        loop {
            let ends = connection.idle_since().unwrap_or_else(Instant::now) + self.options.idle_timeout;
            if ends <= Instant::now() {
                break;
            }
            tokio::select! {
                () = sleep_until(ends) => {}
                () = connection.draining().cancelled() => break,
            }
        }
        connection.draining().cancel();
        loop {
            sleep(DRAIN_TIMEOUT).await;
            if connection.idle_since().is_some() {
                connection.close();
            }
        }
    }
}

/// Refused connections, which are logged now and then: there may be thousands in a second.
#[derive(Default)]
struct Refused {
    since_then: u64,
    logged: Option<Instant>,
}

impl Refused {
    fn log(&mut self, why: NoRoom, address: SocketAddr) {
        self.since_then += 1;
        if self.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return;
        }
        let limit = match why {
            NoRoom::ForAnybody => "max-connections",
            NoRoom::ForThisPeer => "max-connections-per-peer",
        };
        tracing::warn!(%address, limit, refused = self.since_then, "no room for a connection: all have calls under way");
        *self = Self { since_then: 0, logged: Some(Instant::now()) };
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    struct Served {
        address: SocketAddr,
        stop: CancellationToken,
        done: tokio::task::JoinHandle<()>,
    }

    async fn serve(options: ConnectionOptions) -> Served {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, stop) = (socket.local_addr().expect("bound"), CancellationToken::new());
        let listener = Listener { tls: None, routes: Routes::default(), options };
        Served { address, stop: stop.clone(), done: tokio::spawn(listener.serve(socket, stop)) }
    }

    impl Served {
        async fn connect(&self, first: &[u8]) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.expect("it listens");
            stream.write_all(first).await.expect("it reads");
            stream
        }
    }

    /// What the server says before it closes the connection.
    async fn all(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    }

    // The paused clock goes on by itself when there is nothing to do but wait.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_begin_in_time_is_closed_byte_by_byte_or_silent() {
        let served = serve(ConnectionOptions::default()).await;
        let since = Instant::now();
        let mut silent = served.connect(b"").await;
        all(&mut silent).await;
        assert_eq!(since.elapsed().as_secs(), 10);
        let since = Instant::now();
        let mut slow = served.connect(b"").await;
        for byte in PREFACE {
            sleep(Duration::from_secs(1)).await;
            if slow.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        all(&mut slow).await;
        assert!((10..PREFACE.len() as u64).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_told_to_go() {
        let idle_timeout = Duration::from_secs(50);
        let served = serve(ConnectionOptions { idle_timeout, ..ConnectionOptions::default() }).await;
        let since = Instant::now();
        let mut idle = served.connect(PREFACE).await;
        let said = all(&mut idle).await;
        const GOAWAY: u8 = 7;
        assert!(said.windows(9).any(|header| header[3] == GOAWAY && header[4..9] == [0; 5]), "{said:?}");
        assert!((50..=52).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn one_that_says_nothing_makes_room_and_a_stop_ends_all() {
        // Nothing but the newcomer can end the silent one in the time that a test may take.
        let handshake_timeout = Duration::from_secs(3600);
        let options =
            ConnectionOptions { max: Some(2), max_per_peer: Some(2), handshake_timeout, ..Default::default() };
        let served = serve(options).await;
        let mut first = served.connect(b"").await;
        let mut second = served.connect(PREFACE).await;
        second.read_u8().await.expect("its settings");
        let mut third = served.connect(PREFACE).await;
        third.read_u8().await.expect("its settings");
        all(&mut first).await;
        served.stop.cancel();
        all(&mut second).await;
        all(&mut third).await;
        served.done.await.expect("no panic");
        assert!(TcpStream::connect(served.address).await.is_err(), "it does not listen any more");
    }

    #[test]
    fn limits_fit_the_files_that_may_be_opened() {
        let of = |max, max_per_peer, files| {
            let Limits { all, per_peer } =
                ConnectionOptions { max, max_per_peer, ..ConnectionOptions::default() }.limits(files);
            (all, per_peer)
        };
        assert_eq!(of(None, None, 1_048_576), (10_000, 5000));
        assert_eq!(of(None, None, 4096), (3584, 1792));
        assert_eq!(of(None, None, 1024), (768, 384));
        assert_eq!(of(Some(3), None, 1024), (3, 2));
        assert_eq!(of(Some(5000), Some(7), 1024), (5000, 7));
        assert_eq!(of(None, None, 0), (1, 1));
    }
}
