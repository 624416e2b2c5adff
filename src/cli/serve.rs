//! `athena-flight serve`: the gateway, until SIGINT or SIGTERM.

use std::io::Write as _;

use super::options::OptionArgs;
use super::{source, stop_on_signal};
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: OptionArgs<true>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(false);
    let config = args.options.config()?;
    let too_few_files = config.connections.raise_file_limit();
    for warning in config.warnings.iter().chain(&too_few_files) {
        eprintln!("athena-flight: {warning}");
        tracing::warn!("{warning}");
    }
    let stop = stop_on_signal()?;
    let running = source::start(config, stop).await?;
    print_ready(&running);
    running.stopped().await;
    Ok(())
}

/// One line with the addresses, then how to connect. Whoever started us may have closed stdout.
fn print_ready(running: &source::Running) {
    let url = running.gateway.url();
    let behind = running.endpoint_url().map(|url| format!(", AWS endpoint {url}"));
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
