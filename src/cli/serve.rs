//! `athena-flight serve`: the gateway, until SIGINT or SIGTERM.

use std::io::Write as _;

use super::options::SourceArgs;
use super::{source, stop_on_signal};
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:31337]
    #[arg(long, value_name = "HOST:PORT", env = "ATHENA_FLIGHT_LISTEN")]
    listen: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(false);
    let config = args.source.config(args.listen)?;
    let stop = stop_on_signal()?;
    let running = source::start(config, stop).await?;
    print_ready(&running);
    running.stopped().await;
    Ok(())
}

/// One line with the addresses, then how to connect. Whoever started us may have closed stdout.
fn print_ready(running: &source::Running) {
    let url = running.gateway.url();
    #[cfg(feature = "emulator")]
    let behind = running.endpoint.as_ref().map(|endpoint| format!(", AWS endpoint {}", endpoint.url()));
    #[cfg(not(feature = "emulator"))]
    let behind: Option<String> = None;
    let _ = writeln!(
        std::io::stdout(),
        "ready: Flight SQL {url}{}\n\n\
         from adbc_driver_flightsql import dbapi\n\
         with dbapi.connect(\"{url}\") as connection, connection.cursor() as cursor:\n    \
         cursor.execute(\"SELECT 1\")\n    \
         print(cursor.fetch_arrow_table())",
        behind.unwrap_or_default()
    );
}
