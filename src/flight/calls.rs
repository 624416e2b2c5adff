//! Calls on a connection: they are what makes it busy.
//!
//! A request of one message counts when it has come whole. Before, nobody has looked at who sends it, and half a request
//! must not keep a place that others need; nor may it be waited for without end. A stream is read after that look, as it
//! comes, so its call counts from the start.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::connections::{Call, Watch};

/// How long a request of one message may take to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Calls whose request is a stream.
const STREAMS: [&str; 3] = ["/DoPut", "/DoExchange", "/Handshake"];

/// Tells a connection about its calls.
#[derive(Clone)]
pub struct CallsLayer {
    pub connection: Watch,
    /// How long a stream of a client's may pause.
    pub pause: Duration,
}

#[derive(Clone)]
pub struct Calls<S> {
    inner: S,
    layer: CallsLayer,
}

impl<S> Layer<S> for CallsLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, layer: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Started { connection: self.layer.connection.clone(), call: Arc::default() };
        let is_stream = STREAMS.iter().any(|method| request.uri().path().ends_with(method));
        let pause = is_stream.then_some(self.layer.pause);
        if is_stream || request.body().is_end_stream() {
            call.begin();
        }
        let begun = Arc::clone(&call.call);
        let answer = self.inner.call(request.map(|body| Body::new(RequestBody::new(body, pause, call))));
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Body::new(AnswerBody { body, _call: begun })))
        })
    }
}

/// A call whose request comes: it begins once.
struct Started {
    connection: Watch,
    call: Arc<OnceLock<Call>>,
}

impl Started {
    fn begin(&self) {
        self.call.get_or_init(|| self.connection.call());
    }
}

/// A request's body, which ends with an error when it stalls.
struct RequestBody {
    body: Body,
    until: Instant,
    /// Made when there is something to wait for: most requests are there at once.
    deadline: Option<Pin<Box<Sleep>>>,
    /// For a stream: how long it may pause.
    pause: Option<Duration>,
    call: Started,
}

impl RequestBody {
    fn new(body: Body, pause: Option<Duration>, call: Started) -> Self {
        Self { body, until: Instant::now() + pause.unwrap_or(REQUEST_TIMEOUT), deadline: None, pause, call }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(pause) = this.pause {
                this.until = Instant::now() + pause;
                this.deadline = None;
            }
            if frame.is_none() || this.body.is_end_stream() {
                this.call.begin();
            }
            return Poll::Ready(frame);
        }
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(this.until)));
        ready!(deadline.as_mut().poll(context));
        let seconds = this.pause.unwrap_or(REQUEST_TIMEOUT).as_secs();
        let what = if this.pause.is_some() { "the stream has paused" } else { "the request did not come" };
        Poll::Ready(Some(Err(Status::deadline_exceeded(format!("{what} for {seconds} s: send it again")))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; its call is over when it is.
struct AnswerBody {
    body: Body,
    _call: Arc<OnceLock<Call>>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use std::net::IpAddr;

    use tokio_util::sync::CancellationToken;

    use super::super::connections::{Connections, Limits, Slot};
    use super::*;

    fn connection() -> Slot {
        let connections = Connections::new(Limits { all: 1, per_peer: 1 });
        connections.admit(IpAddr::from([127, 0, 0, 1]), &CancellationToken::new()).expect("room")
    }

    #[tokio::test]
    async fn a_request_counts_when_it_has_come_whole() {
        let slot = connection();
        let started = || Started { connection: slot.watch(), call: Arc::default() };
        let is_busy = || slot.watch().idle_since().is_none();
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut body = RequestBody::new(Body::new(StreamBody::new(receiver)), None, started());
        sender.unbounded_send(Ok::<_, Status>(Frame::data(Bytes::from_static(b"half")))).expect("it is read");
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()) && !is_busy());
        drop(sender);
        assert!(body.frame().await.is_none() && is_busy());
        let answer = AnswerBody { body: Body::empty(), _call: Arc::clone(&body.call.call) };
        drop(body);
        assert!(is_busy(), "it is being answered");
        drop(answer);
        assert!(!is_busy());
    }

    fn body(frames: usize, every: Duration) -> Body {
        let frames = stream::iter(0..frames).then(move |_| async move {
            tokio::time::sleep(every).await;
            Ok::<_, Status>(Frame::data(Bytes::from_static(b"x")))
        });
        Body::new(StreamBody::new(frames.chain(stream::pending()).boxed()))
    }

    /// How many frames come before the end, and after how long it comes.
    async fn end(body: Body, pause: Option<Duration>) -> (usize, Duration, tonic::Code) {
        let slot = connection();
        let started = Started { connection: slot.watch(), call: Arc::default() };
        let (since, mut frames, mut body) = (Instant::now(), 0, RequestBody::new(body, pause, started));
        loop {
            match body.frame().await.expect("it does not end by itself") {
                Ok(_) => frames += 1,
                Err(status) => return (frames, since.elapsed(), status.code()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_to_come_whole_and_a_stream_may_take_its_time() {
        let second = Duration::from_secs(1);
        let code = tonic::Code::DeadlineExceeded;
        assert_eq!(end(body(0, second), None).await, (0, REQUEST_TIMEOUT, code));
        assert_eq!(end(body(3, second), None).await, (3, REQUEST_TIMEOUT, code));
        // Byte by byte does not help.
        assert_eq!(end(body(1000, 7 * second), None).await, (8, REQUEST_TIMEOUT, code));
        assert_eq!(end(body(100, 9 * second), Some(10 * second)).await, (100, 910 * second, code));
    }
}
