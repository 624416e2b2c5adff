//! One port for all services: which one a request is for, and its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, header};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::api::{ApiError, respond};
use super::{Emulator, athena, glue, sts};

/// The largest JSON or form request: a statement has at most 256 KiB, a batch of partitions may have a few MiB.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// How long requests under way may go on after the stop.
const GRACE: Duration = Duration::from_millis(300);

pub async fn serve(listener: TcpListener, emulator: Arc<Emulator>, stop: CancellationToken) {
    let router = Router::new().fallback(answer).with_state(Arc::clone(&emulator));
    // Answers are small and waited for: without this each would wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let serve = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
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

async fn answer(State(emulator): State<Arc<Emulator>>, request: Request<Body>) -> Response<Body> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if target.is_none() && !(is_form && request.uri().path() == "/") {
        return emulator.s3.answer(request).await;
    }
    let access_key = access_key(request.headers());
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_REQUEST_BYTES).await else {
        return respond(Err(ApiError::plain(
            "RequestEntityTooLargeException",
            "the request is too large or was cut off",
        )));
    };
    let Some(target) = target else { return sts::answer(&body, access_key.as_deref()) };
    let (service, operation) = target.split_once('.').unwrap_or((target.as_str(), ""));
    tracing::debug!(service, operation, bytes = body.len(), "API call");
    respond(match service {
        "AmazonAthena" => athena::answer(&emulator, operation, &body).await,
        "AWSGlue" => glue::answer(&emulator, operation, &body),
        _ => Err(ApiError::unknown_operation(&target)),
    })
}

/// The access key id that signed the request: `Credential=<id>/<date>/…`.
fn access_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, rest) = value.split_once("Credential=")?;
    rest.split('/').next().map(str::to_owned)
}
