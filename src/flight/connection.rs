//! A client's connection, encrypted or not, whose small writes are put together. It says when HTTP/2 has begun, and ends
//! when it has to make room.
//!
//! HTTP/2 writes and flushes each frame by itself, and many clients take frames of 16 KiB at most: a large result would
//! be tens of thousands of system calls, each of which wakes the client. So frames wait here until there are enough of
//! them. A flush does not send: it asks for the connection's task to run again, and what waits is sent then, behind all
//! that the task had to write. A task that runs always reads first.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::connections::Slot;
use crate::signin::Principal;

/// Bytes that are sent at once.
const TOGETHER: usize = 256 << 10;
/// What is sent from where it is: pyarrow's client takes frames that need not wait for others.
const LARGE: usize = 64 << 10;

/// A client's connection.
pub struct Connection {
    transport: Transport,
    /// Whom the client's certificate names.
    owner: Option<Principal>,
    address: SocketAddr,
    unsent: Unsent,
    preface: Preface,
    slot: Slot,
}

/// What is left to come before HTTP/2 has begun: 24 bytes that are always the same, and a SETTINGS frame, whose length its
/// first three bytes say.
#[derive(Default)]
struct Preface {
    seen: usize,
    settings: [u8; 3],
    is_over: bool,
}

const MAGIC_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 9;

/// What bytes go through.
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Bytes that wait to be sent.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// How many of them have been sent.
    sent: usize,
    is_flush_due: bool,
}

/// What calls know of the connection they came by: where it comes from, and whom its client certificate names.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub owner: Option<Principal>,
}

impl Connection {
    pub fn plain(stream: TcpStream, address: SocketAddr, slot: Slot) -> Self {
        Self::new(Transport::Plain(stream), address, None, slot)
    }

    pub fn encrypted(stream: TlsStream<TcpStream>, address: SocketAddr, owner: Option<Principal>, slot: Slot) -> Self {
        Self::new(Transport::Tls(Box::new(stream)), address, owner, slot)
    }

    fn new(transport: Transport, address: SocketAddr, owner: Option<Principal>, slot: Slot) -> Self {
        Self { transport, owner, address, unsent: Unsent::default(), preface: Preface::default(), slot }
    }

    /// Whether it may go on; if so, the task is woken when it has to end.
    fn may_go_on(&self, context: &Context<'_>) -> io::Result<()> {
        if self.slot.must_close(context.waker()) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Preface {
    /// Looks at the next bytes; says whether it is over with them.
    fn ends_with(&mut self, bytes: &[u8]) -> bool {
        for (at, byte) in (self.seen..MAGIC_BYTES + self.settings.len()).zip(bytes) {
            if let Some(place) = at.checked_sub(MAGIC_BYTES) {
                self.settings[place] = *byte;
            }
        }
        self.seen += bytes.len();
        let length = self.settings.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.is_over = self.seen >= MAGIC_BYTES + FRAME_HEADER_BYTES + length;
        self.is_over
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer { address: self.address, owner: self.owner.clone() }
    }
}

/// The same for either transport.
macro_rules! each {
    ($transport:expr, $stream:ident => $call:expr) => {
        match $transport {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Transport::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl Unsent {
    /// Sends all that waits. Memory for it is given back: most connections are idle most of the time.
    fn poll_send(&mut self, transport: &mut Transport, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let rest = &self.bytes[self.sent..];
            match ready!(each!(transport, stream => stream.poll_write(context, rest)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.sent = 0;
        if self.is_flush_due {
            self.bytes = Vec::new();
            ready!(each!(transport, stream => stream.poll_flush(context)))?;
            self.is_flush_due = false;
        } else {
            self.bytes.clear();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        let Self { transport, unsent, .. } = this;
        // What cannot be sent now does not keep from reading: the socket wakes the task for either.
        if unsent.is_flush_due
            && let Poll::Ready(Err(error)) = unsent.poll_send(transport, context)
        {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        ready!(each!(transport, stream => stream.poll_read(context, buffer)))?;
        if !this.preface.is_over && this.preface.ends_with(&buffer.filled()[before..]) {
            this.slot.is_ready();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        let Self { transport, unsent, .. } = this;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length >= LARGE || unsent.bytes.len() + length > TOGETHER {
            ready!(unsent.poll_send(transport, context))?;
        }
        if length >= LARGE {
            return each!(transport, stream => stream.poll_write_vectored(context, parts));
        }
        if unsent.bytes.capacity() == 0 && length >= TOGETHER / 16 {
            // More of the kind will follow.
            unsent.bytes.reserve_exact(TOGETHER);
        }
        parts.iter().for_each(|part| unsent.bytes.extend_from_slice(part));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { transport, unsent, .. } = self.get_mut();
        if unsent.bytes.is_empty() {
            return each!(transport, stream => stream.poll_flush(context));
        }
        if !unsent.is_flush_due {
            unsent.is_flush_due = true;
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.may_go_on(context)?;
        let Self { transport, unsent, .. } = this;
        ready!(unsent.poll_send(transport, context))?;
        each!(transport, stream => stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::super::connections::{Connections, Limits};
    use super::*;

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (stream, address) = listener.accept().await.expect("a peer");
        let connections = Connections::new(Limits { all: 1, per_peer: 1 });
        let slot = connections.admit(address.ip(), &CancellationToken::new()).expect("room");
        (Connection::plain(stream, address, slot), peer)
    }

    #[tokio::test]
    async fn all_bytes_come_in_order_whatever_their_pieces() {
        let (mut connection, mut peer) = pair().await;
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
        let reading = tokio::spawn(async move {
            // Slower than they are written, so that the socket is full now and then.
            let (mut all, mut piece) = (Vec::new(), vec![0; 50_000]);
            loop {
                match peer.read(&mut piece).await.expect("bytes") {
                    0 => return all,
                    count => all.extend_from_slice(&piece[..count]),
                }
                tokio::task::yield_now().await;
            }
        });
        let (mut rest, mut sizes) =
            (bytes.as_slice(), [1, 9, 16_384, 300_000, 200, 70_000, TOGETHER].into_iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(sizes.next().unwrap_or_default().min(rest.len()));
            connection.write_all(piece).await.expect("the peer reads");
            connection.flush().await.expect("the peer reads");
            rest = behind;
        }
        connection.shutdown().await.expect("the peer reads");
        assert!(reading.await.expect("no panic") == bytes);
    }

    #[test]
    fn http2_has_begun_when_its_settings_are_there() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 12, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0; 12]);
        for piece in 1..=bytes.len() {
            let mut preface = Preface::default();
            let pieces: Vec<_> = bytes.chunks(piece).map(|piece| preface.ends_with(piece)).collect();
            assert_eq!(pieces.iter().position(|is_over| *is_over), Some(pieces.len() - 1), "{piece} at a time");
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_to_go_ends_though_its_peer_does_not_read() {
        let (mut connection, peer) = pair().await;
        let watch = connection.slot.watch();
        let writing = tokio::spawn(async move {
            let piece = vec![0; TOGETHER];
            loop {
                connection.write_all(&piece).await?;
            }
            #[allow(unreachable_code, reason = "it says what the block gives")]
            Ok::<(), io::Error>(())
        });
        peer.readable().await.expect("bytes");
        watch.close();
        assert_eq!(
            writing.await.expect("no panic").map_err(|error| error.kind()),
            Err(io::ErrorKind::ConnectionAborted)
        );
        drop(peer);
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn what_was_flushed_is_sent_when_the_task_runs_again() {
        let (mut connection, mut peer) = pair().await;
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        for part in [b"one ", b"two "] {
            assert!(matches!(Pin::new(&mut connection).poll_write(&mut context, part), Poll::Ready(Ok(4))));
            assert!(Pin::new(&mut connection).poll_flush(&mut context).is_ready());
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "one wake is enough for both");
        let mut bytes = [0; 8];
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), peer.peek(&mut bytes)).await;
        assert!(nothing.is_err(), "both wait for the task");
        let mut room = [0; 8];
        assert!(Pin::new(&mut connection).poll_read(&mut context, &mut ReadBuf::new(&mut room)).is_pending());
        peer.read_exact(&mut bytes).await.expect("they were sent");
        assert_eq!(&bytes, b"one two ");
        assert_eq!(connection.unsent.bytes.capacity(), 0, "an idle connection keeps no memory");
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error() {
        let (mut connection, peer) = pair().await;
        drop(peer);
        let piece = vec![0; TOGETHER];
        let mut written = Ok(());
        for _ in 0..100 {
            written = connection.write_all(&piece).await;
            if written.is_err() {
                break;
            }
        }
        assert!(written.is_err());
    }
}
