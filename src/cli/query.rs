//! `athena-flight query`: one statement through a gateway, its rows to stdout, its figures to stderr.

use std::io::{BufWriter, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightInfo, Ticket};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::options::{AtGateway, OptionArgs};
use super::output::{self, Format, Output};
use super::{source, stop_on_signal};
use crate::statement::Statement;
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    /// The statement
    #[arg(value_name = "SQL")]
    sql: String,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Gateway to ask, for example grpc://127.0.0.1:31337 or grpc+tls://HOST:PORT; without it one is started in this process.
    /// Of the options below, --catalog, --database, --workgroup, --result-path and --read-only go with it, as flags or from
    /// the environment. The others are settings of a gateway: as flags they are refused, and the environment's are not read
    #[arg(long, env = "ATHENA_FLIGHT_URL")]
    url: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    options: OptionArgs<false>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(true);
    let at_gateway = match &args.url {
        Some(_) => args.options.at_gateway()?,
        None => AtGateway::default(),
    };
    if at_gateway.read_only && Statement::of(&args.sql).may_write {
        anyhow::bail!("the statement may do more than read, and --read-only is set: it was not sent to the gateway");
    }
    let interrupted = stop_on_signal()?;
    let stop = CancellationToken::new();
    let (url, running) = match args.url {
        Some(url) => (url, None),
        None => {
            let config = args.options.config()?.for_this_process();
            let running = source::start(config, stop.clone()).await?;
            (running.gateway.url(), Some(running))
        }
    };
    let result = tokio::select! {
        result = statement(&url, &args.connection, &at_gateway, &args.sql, args.format) => result,
        // Dropping the call stops the query.
        () = interrupted.cancelled() => Err(anyhow::anyhow!("interrupted: the query is stopped")),
    };
    stop.cancel();
    if let Some(running) = running {
        running.stopped().await;
    }
    result
}

async fn statement(
    url: &str,
    connection: &Connection,
    at_gateway: &AtGateway,
    sql: &str,
    format: Format,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let progress = progress();
    let mut client = connection.open(url).await?;
    for (header, value) in &at_gateway.headers {
        client.set_header(*header, value);
    }
    progress.set_message("running");
    let info = client.execute(sql.to_owned(), None).await.map_err(without_debug)?;
    let schema: SchemaRef = Arc::new(info.clone().try_decode_schema().context("the answer has no schema")?);
    output::check(format, &schema)?;
    // Nothing is printed before there are rows, or it is known that there are none.
    let begin = || Output::new(format, &schema, BufWriter::new(std::io::stdout()));
    let mut output = None;
    let mut rows = 0;
    progress.set_message("reading rows");
    for ticket in tickets(&info) {
        let mut batches = client.do_get(ticket).await.map_err(without_debug)?;
        while let Some(batch) = batches.try_next().await.map_err(without_debug)? {
            rows += batch.num_rows();
            progress.set_message(format!("{rows} rows"));
            let output = match &mut output {
                Some(output) => output,
                none => none.insert(begin()?),
            };
            progress.suspend(|| output.write(&batch))?;
        }
    }
    progress.finish_and_clear();
    let output = match output {
        Some(output) => output,
        None => begin()?,
    };
    output.finish()?;
    let figures: serde_json::Value = serde_json::from_slice(&info.app_metadata).unwrap_or_default();
    let number = |name: &str| figures[name].as_i64().unwrap_or_default();
    eprintln!(
        "{rows} rows, {} bytes scanned, {:.3} s, query id {}",
        number("data_scanned_bytes"),
        started.elapsed().as_secs_f64(),
        figures["query_id"].as_str().unwrap_or("unknown"),
    );
    Ok(())
}

fn tickets(info: &FlightInfo) -> Vec<Ticket> {
    info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.clone()).collect()
}

/// The server's words, without the wrapping that Flight's client puts around them.
pub fn without_debug(error: arrow_flight::error::FlightError) -> anyhow::Error {
    match error {
        arrow_flight::error::FlightError::Tonic(status) => anyhow::anyhow!("{}", status.message()),
        other => other.into(),
    }
}

/// A spinner on a terminal, nothing elsewhere.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("a fixed template"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
