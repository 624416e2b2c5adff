//! Logs: to stderr, as text on a terminal and as JSON lines elsewhere; `ATHENA_FLIGHT_LOG` chooses what (`debug`,
//! `athena_flight=trace,aws_config=warn`).

use std::io::IsTerminal;

use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// What is logged unless the environment says otherwise.
const DEFAULT: &str = "warn,athena_flight=info";

/// What is logged at all, whatever is asked for. The crates in between write down whole requests, headers and keys when they are
/// asked for details, and the next version of any of them may: whoever reads a log must not be able to sign in with it. So
/// details are this crate's own, and those of crates that see no credentials; of all others there are warnings and errors.
const DETAILS: [(&str, LevelFilter); 4] = [
    ("athena_flight", LevelFilter::TRACE),
    // The embedded endpoint's engine: plans and files.
    ("datafusion", LevelFilter::TRACE),
    ("sqlparser", LevelFilter::TRACE),
    ("parquet", LevelFilter::TRACE),
];

/// The most that is logged of each crate.
fn limits() -> Targets {
    Targets::new().with_default(LevelFilter::WARN).with_targets(DETAILS)
}

/// Starts logging. `quiet` leaves out all but warnings, for commands whose stderr a person reads.
pub fn start(quiet: bool) {
    let default = if quiet { "warn" } else { DEFAULT };
    let asked = EnvFilter::try_from_env("ATHENA_FLIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    // A second start in one process, as in tests, keeps the first.
    let _ = tracing_subscriber::registry().with(lines.with_filter(asked.and(limits()))).try_init();
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn only_crates_that_are_known_are_logged_in_detail() {
        for (target, level, is_logged) in [
            ("athena_flight", Level::TRACE, true),
            ("athena_flight::flight::service", Level::TRACE, true),
            ("datafusion_optimizer::optimizer", Level::DEBUG, true),
            ("hyper::proto::h1", Level::TRACE, false),
            ("h2::codec", Level::DEBUG, false),
            ("aws_sigv4::http_request", Level::INFO, false),
            ("a_crate_of_tomorrow", Level::INFO, false),
            ("a_crate_of_tomorrow", Level::WARN, true),
        ] {
            assert_eq!(limits().would_enable(target, &level), is_logged, "{target} {level}");
        }
    }
}
