//! `athena-flight query`: one statement through a gateway, its rows to stdout, its figures to stderr.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightInfo, Ticket};
use clap::ValueEnum;
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::options::OptionArgs;
use super::{source, stop_on_signal};
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    /// The statement
    #[arg(value_name = "SQL")]
    sql: String,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Gateway to ask, as grpc://127.0.0.1:31337 or grpc+tls://HOST:PORT; without it one is started in this process
    #[arg(long, env = "ATHENA_FLIGHT_URL")]
    url: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    options: OptionArgs<false>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns in a frame
    Table,
    /// RFC 4180, with a header
    Csv,
    /// One JSON object a line
    Json,
    /// An Arrow IPC stream
    Arrow,
}

/// Rows of the table format: a frame needs to know all its rows before the first is printed.
const MAX_TABLE_ROWS: usize = 10_000;

pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(true);
    if args.url.is_some() && args.options.says_where() {
        anyhow::bail!(
            "--url names a gateway that runs already: it goes without --demo, --local, --config and --endpoint-url"
        );
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
        result = statement(&url, &args.connection, &args.sql, args.format) => result,
        // Dropping the call stops the query.
        () = interrupted.cancelled() => Err(anyhow::anyhow!("interrupted: the query is stopped")),
    };
    stop.cancel();
    if let Some(running) = running {
        running.stopped().await;
    }
    result
}

async fn statement(url: &str, connection: &Connection, sql: &str, format: Format) -> anyhow::Result<()> {
    let started = Instant::now();
    let progress = progress();
    let mut client = connection.open(url).await?;
    progress.set_message("running");
    let info = client.execute(sql.to_owned(), None).await.map_err(without_debug)?;
    let schema: SchemaRef = std::sync::Arc::new(info.clone().try_decode_schema().context("the answer has no schema")?);
    let mut output = Output::new(format, &schema)?;
    let mut rows = 0;
    progress.set_message("reading rows");
    for ticket in tickets(&info) {
        let mut batches = client.do_get(ticket).await.map_err(without_debug)?;
        while let Some(batch) = batches.try_next().await.map_err(without_debug)? {
            rows += batch.num_rows();
            progress.set_message(format!("{rows} rows"));
            progress.suspend(|| output.write(&batch))?;
        }
    }
    progress.finish_and_clear();
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

/// Where rows go.
enum Output {
    Table { schema: SchemaRef, batches: Vec<RecordBatch>, rows: usize },
    Csv(Box<arrow::csv::Writer<std::io::Stdout>>),
    Json(arrow::json::LineDelimitedWriter<std::io::Stdout>),
    Arrow(Box<arrow::ipc::writer::StreamWriter<std::io::Stdout>>),
}

impl Output {
    fn new(format: Format, schema: &SchemaRef) -> anyhow::Result<Self> {
        let stdout = std::io::stdout();
        Ok(match format {
            Format::Table => Self::Table { schema: schema.clone(), batches: Vec::new(), rows: 0 },
            Format::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(stdout);
                // An empty result has its header too.
                writer.write(&RecordBatch::new_empty(schema.clone()))?;
                Self::Csv(Box::new(writer))
            }
            Format::Json => Self::Json(arrow::json::LineDelimitedWriter::new(stdout)),
            Format::Arrow => Self::Arrow(Box::new(arrow::ipc::writer::StreamWriter::try_new(stdout, schema)?)),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::Table { batches, rows, .. } => {
                let left = MAX_TABLE_ROWS.saturating_sub(*rows);
                *rows += batch.num_rows();
                if left > 0 {
                    batches.push(batch.slice(0, left.min(batch.num_rows())));
                }
            }
            Self::Csv(writer) => writer.write(batch)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Arrow(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Table { schema, batches, rows } => {
                if schema.fields().is_empty() {
                    return Ok(());
                }
                let batches = if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches };
                let frame = arrow::util::pretty::pretty_format_batches(&batches)?;
                writeln!(std::io::stdout(), "{frame}")?;
                if rows > MAX_TABLE_ROWS {
                    eprintln!("the first {MAX_TABLE_ROWS} of {rows} rows; --format csv, json or arrow prints all");
                }
            }
            Self::Csv(_) => {}
            Self::Json(mut writer) => writer.finish()?,
            Self::Arrow(mut writer) => writer.finish()?,
        }
        Ok(())
    }
}
