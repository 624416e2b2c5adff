//! Logs: to stderr, as text on a terminal and as JSON lines elsewhere; `ATHENA_FLIGHT_LOG` chooses what (`debug`,
//! `athena_flight=trace,aws_config=warn`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What is logged unless the environment says otherwise.
const DEFAULT: &str = "warn,athena_flight=info";

/// Starts logging. `quiet` leaves out all but warnings, for commands whose stderr a person reads.
pub fn start(quiet: bool) {
    let default = if quiet { "warn" } else { DEFAULT };
    let filter = EnvFilter::try_from_env("ATHENA_FLIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process, as in tests, keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        subscriber.with_target(false).try_init()
    } else {
        subscriber.json().flatten_event(true).try_init()
    };
}
