//! One port for all services: which one a request is for, who it is from, and its answer.
//!
//! A request goes through the same gates whatever it asks: the caller's credentials, the faults and quotas that are set,
//! the caller's policy, the service.

use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::api::{ApiError, respond};
use super::auth::{self, Refusal, Signed};
use super::behaviour::{Call, FaultKind};
use super::iam::Caller;
use super::model::now;
use super::{Emulator, admin, athena, glue, lakeformation, s3, sts};

/// The largest JSON or form request: a statement has at most 256 KiB, a batch of partitions may have a few MiB.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// How long requests under way may go on after the stop.
const GRACE: Duration = Duration::from_millis(300);

pub async fn serve(listener: TcpListener, emulator: Arc<Emulator>, stop: CancellationToken) {
    let router = Router::new().fallback(answer).with_state(Arc::clone(&emulator));
    let service = router.into_make_service_with_connect_info::<Socket>();
    let serve = axum::serve(NoDelay(listener), service).with_graceful_shutdown(stop.clone().cancelled_owned());
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = serve.into_future() => if let Err(error) = result {
            tracing::error!(%error, "embedded endpoint failed");
        },
        () = deadline => {}
    }
    emulator.executions.stop_all().await;
}

/// A second handle on the connection, so that a fault can reset it.
#[derive(Clone)]
struct Socket(Option<Arc<TcpStream>>);

/// Answers are small and waited for: with Nagle's algorithm each would wait for the client's delayed acknowledgement.
struct NoDelay(TcpListener);

impl Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, NoDelay>> for Socket {
    fn connect_info(stream: IncomingStream<'_, NoDelay>) -> Self {
        let second = stream.io().as_fd().try_clone_to_owned();
        Self(second.ok().map(|socket| Arc::new(TcpStream::from(socket))))
    }
}

impl Socket {
    fn reset(&self) {
        if let Some(socket) = &self.0 {
            // Closing with no time to linger sends a reset.
            let _ = socket2::SockRef::from(socket.as_ref()).set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A service as requests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Athena,
    Glue,
    LakeFormation,
    Sts,
    S3,
    Unknown,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Athena => "athena",
            Self::Glue => "glue",
            Self::LakeFormation => "lakeformation",
            Self::Sts => "sts",
            Self::S3 => "s3",
            Self::Unknown => "unknown",
        }
    }

    fn refuse(self, status: StatusCode, code: &'static str, message: &str) -> Response<Body> {
        match self {
            Self::S3 => s3::error(status, code, message),
            Self::Sts => sts::error(status, code, message),
            _ => respond(Err(ApiError { status: status.as_u16(), ..ApiError::plain(code, message) })),
        }
    }
}

/// What is known of a request before it is answered.
struct Asked {
    service: Service,
    operation: String,
    /// What faults look into: an object's key, a request's body.
    text: String,
    body: Option<Bytes>,
}

async fn answer(
    State(emulator): State<Arc<Emulator>>,
    ConnectInfo(socket): ConnectInfo<Socket>,
    request: Request<Body>,
) -> Response<Body> {
    if request.uri().path().starts_with(admin::PREFIX) {
        return admin::answer(&emulator, request).await;
    }
    let (parts, body) = request.into_parts();
    let (asked, body) = match read(&parts, body).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let signature = auth::signature(&parts.headers, &parts.uri);
    let text = |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut call = Call {
        service: asked.service.name().to_owned(),
        operation: asked.operation.clone(),
        access_key_id: signature.as_ref().map(|signature| signature.access_key_id.clone()),
        region: signature.as_ref().map(|signature| signature.region.clone()),
        has_session_token: signature.as_ref().is_some_and(|signature| signature.session_token.is_some()),
        host: text(header::HOST),
        user_agent: text(header::HeaderName::from_static("x-amz-user-agent")).or_else(|| text(header::USER_AGENT)),
        request: asked.text.chars().take(Call::REQUEST_BYTES).collect(),
        expected_bucket_owner: text(header::HeaderName::from_static("x-amz-expected-bucket-owner")),
        status: 0,
        at: now(),
    };
    let settings = emulator.behaviour.settings();
    let signed =
        Signed { method: &parts.method, uri: &parts.uri, headers: &parts.headers, body: asked.body.as_deref() };
    let caller = auth::identify(signature.as_ref(), &signed, &emulator.sessions, &settings);
    let response = match caller {
        Err(refusal) => refused(asked.service, refusal),
        Ok(caller) => {
            if let Some(delay) = settings.latency.call {
                tokio::time::sleep(delay.sample()).await;
            }
            let fault = emulator.behaviour.strikes(asked.service.name(), &asked.operation, &asked.text);
            let request = Request::from_parts(parts, body);
            match fault {
                Some(fault) => strike(&emulator, asked, request, &caller, fault, &socket).await,
                None => pass(&emulator, asked, request, &caller).await,
            }
        }
    };
    call.status = response.status().as_u16();
    tracing::debug!(service = call.service, operation = call.operation, status = call.status, "API call");
    emulator.behaviour.record(call);
    response
}

/// Tells which service and operation it is, and reads the body of everything but S3.
async fn read(parts: &axum::http::request::Parts, body: Body) -> Result<(Asked, Body), Response<Body>> {
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let form = is_form(&parts.headers) && parts.uri.path() == "/";
    // Lake Formation names its operations by paths; no bucket's name has a capital letter.
    let path = parts.uri.path().trim_start_matches('/');
    let named = (parts.method == Method::POST && path.starts_with(|c: char| c.is_ascii_uppercase())).then_some(path);
    if target.is_none() && !form && named.is_none() {
        let target = s3::Target::of(&parts.uri);
        let operation = target.action(&parts.method).0.to_owned();
        let text = format!("{}/{}", target.bucket, target.key);
        return Ok((Asked { service: Service::S3, operation, text, body: None }, body));
    }
    let bytes = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await.map_err(|_| {
        respond(Err(ApiError::plain("RequestEntityTooLargeException", "the request is too large or was cut off")))
    })?;
    let (service, operation) = match target.map(|target| target.split_once('.').unwrap_or((target, ""))) {
        Some(("AmazonAthena", operation)) => (Service::Athena, operation.to_owned()),
        Some(("AWSGlue", operation)) => (Service::Glue, operation.to_owned()),
        Some((_, operation)) => (Service::Unknown, operation.to_owned()),
        None => match named {
            Some(operation) => (Service::LakeFormation, operation.to_owned()),
            None => (Service::Sts, sts::action(&bytes)),
        },
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((Asked { service, operation, text, body: Some(bytes) }, Body::empty()))
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

/// A refusal of credentials, in the words of each service.
fn refused(service: Service, refusal: Refusal) -> Response<Body> {
    let s3 = service == Service::S3;
    let (status, code, message) = match refusal {
        Refusal::Missing if s3 => (403, "AccessDenied", "Access Denied"),
        Refusal::Missing => (400, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        Refusal::UnknownKey if s3 => {
            (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
        }
        Refusal::UnknownKey => {
            (400, "UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        Refusal::Expired if s3 => (400, "ExpiredToken", "The provided token has expired."),
        Refusal::Expired if service == Service::Sts => {
            (403, "ExpiredToken", "The security token included in the request is expired")
        }
        Refusal::Expired => (400, "ExpiredTokenException", "The security token included in the request is expired"),
        Refusal::WrongSignature if s3 => (
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method.",
        ),
        Refusal::WrongSignature => (
            400,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ),
        Refusal::Skewed if s3 => {
            (403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
        }
        Refusal::Skewed => {
            (400, "InvalidSignatureException", "Signature expired: the time of the request is too far from now")
        }
    };
    service.refuse(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), code, message)
}

/// The ordinary way: quota, policy, service.
async fn pass(emulator: &Emulator, asked: Asked, request: Request<Body>, caller: &Caller) -> Response<Body> {
    if asked.service == Service::S3 {
        let target = s3::Target::of(request.uri());
        let (_, action, resource) = target.action(request.method());
        let mut denied = caller.check(action, &[resource]);
        if let Some(source) = request.headers().get("x-amz-copy-source").and_then(|value| value.to_str().ok()) {
            let source = super::engine::unescaped(source.trim_start_matches('/'));
            denied = denied.and(caller.check("s3:GetObject", &[format!("arn:aws:s3:::{source}")]));
        }
        return match denied {
            Ok(()) => emulator.s3.answer(request).await,
            Err(message) => s3::error(StatusCode::FORBIDDEN, "AccessDenied", &message),
        };
    }
    let body = asked.body.unwrap_or_default();
    if asked.service == Service::Athena && !emulator.behaviour.allows(&asked.operation) {
        return respond(Err(ApiError::throttled()));
    }
    match asked.service {
        Service::Athena => respond(athena::answer(emulator, &asked.operation, &body, caller).await),
        Service::Glue => respond(glue::answer(emulator, &asked.operation, &body, caller)),
        Service::LakeFormation => respond(lakeformation::answer(emulator, &asked.operation, &body, caller)),
        Service::Sts => sts::answer(emulator, &body, caller),
        Service::S3 | Service::Unknown => respond(Err(ApiError::unknown_operation(&asked.operation))),
    }
}

async fn strike(
    emulator: &Emulator,
    asked: Asked,
    request: Request<Body>,
    caller: &Caller,
    fault: FaultKind,
    socket: &Socket,
) -> Response<Body> {
    let service = asked.service;
    let s3 = service == Service::S3;
    match fault {
        FaultKind::Throttling if s3 => {
            service.refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
        }
        FaultKind::Throttling => service.refuse(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded"),
        FaultKind::ServerError(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let code = if s3 { "InternalError" } else { "InternalServerException" };
            service.refuse(status, code, "We encountered an internal error. Please try again.")
        }
        FaultKind::ConnectionReset => {
            socket.reset();
            service.refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", "the connection was reset")
        }
        FaultKind::MissingObject if request.method() == Method::HEAD => {
            Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap_or_default()
        }
        FaultKind::MissingObject => {
            service.refuse(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
        }
        FaultKind::ExpiredToken => refused(service, Refusal::Expired),
        FaultKind::WrongRegion if s3 => service.refuse(
            StatusCode::MOVED_PERMANENTLY,
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint.",
        ),
        FaultKind::WrongRegion => {
            let message = "Credential should be scoped to a valid region.";
            service.refuse(StatusCode::BAD_REQUEST, "InvalidSignatureException", message)
        }
        FaultKind::AccessDenied if s3 => service.refuse(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
        FaultKind::AccessDenied => {
            let message =
                format!("User: {} is not authorized to perform: {}:{}", caller.arn, service.name(), asked.operation);
            service.refuse(StatusCode::BAD_REQUEST, "AccessDeniedException", &message)
        }
        FaultKind::TruncatedBody(bytes) => truncated(pass(emulator, asked, request, caller).await, bytes),
        FaultKind::SlowBody(rate) => slowed(pass(emulator, asked, request, caller).await, rate),
        FaultKind::QueryFailure { .. } => pass(emulator, asked, request, caller).await,
    }
}

/// The same answer, with its length promised, cut off after so many bytes.
fn truncated(response: Response<Body>, bytes: u64) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let cut = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        if left == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "cut off"));
        }
        let kept = piece.slice(..left.min(piece.len()));
        left -= kept.len();
        Ok(kept)
    });
    let end = futures::stream::once(async { Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "cut off")) });
    Response::from_parts(parts, Body::from_stream(cut.chain(end)))
}

/// The same answer at so many bytes a second.
fn slowed(response: Response<Body>, rate: u64) -> Response<Body> {
    const TICK: Duration = Duration::from_millis(50);
    let (parts, body) = response.into_parts();
    let size = usize::try_from((rate / 20).max(1)).unwrap_or(usize::MAX);
    let slow = body.into_data_stream().flat_map(move |piece| {
        let pieces = match piece {
            Ok(piece) => {
                let cuts = (0..piece.len()).step_by(size);
                cuts.map(|at| Ok(piece.slice(at..piece.len().min(at + size)))).collect::<Vec<_>>()
            }
            Err(error) => vec![Err(std::io::Error::other(error))],
        };
        futures::stream::iter(pieces).then(|piece| async move {
            tokio::time::sleep(TICK).await;
            piece
        })
    });
    Response::from_parts(parts, Body::from_stream(slow))
}
