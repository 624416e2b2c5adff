//! Logs: to stderr, as text on a terminal and as JSON lines elsewhere; `ATHENA_FLIGHT_LOG` chooses what (`debug`,
//! `athena_flight=trace,aws_config=warn`).

use std::io::IsTerminal;

use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// What is logged unless the environment says otherwise.
const DEFAULT: &str = "warn,athena_flight=info";

/// Crates that write down whole requests, headers and keys when they are asked for details. Nobody gets those: whoever reads a
/// log must not be able to sign in with it.
const NO_DETAILS: [&str; 22] = [
    "aws_config",
    "aws_credential_types",
    "aws_runtime",
    "aws_sdk_athena",
    "aws_sdk_glue",
    "aws_sdk_s3",
    "aws_sdk_sso",
    "aws_sdk_ssooidc",
    "aws_sdk_sts",
    "aws_sigv4",
    "aws_smithy_http",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "tonic",
    "tower",
    "ureq",
];

/// Starts logging. `quiet` leaves out all but warnings, for commands whose stderr a person reads.
pub fn start(quiet: bool) {
    let default = if quiet { "warn" } else { DEFAULT };
    let asked = EnvFilter::try_from_env("ATHENA_FLIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let most = NO_DETAILS.iter().fold(Targets::new().with_default(LevelFilter::TRACE), |targets, name| {
        targets.with_target(*name, LevelFilter::INFO)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    // A second start in one process, as in tests, keeps the first.
    let _ = tracing_subscriber::registry().with(lines.with_filter(asked.and(most))).try_init();
}
