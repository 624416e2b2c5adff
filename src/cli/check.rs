//! `athena-flight check`: the connection to AWS, step by step.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};

use super::options::OptionArgs;
use super::source;
use crate::check::{self, Report};
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    /// How the steps are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// How long each step may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    limit: u64,
    #[command(flatten)]
    options: OptionArgs<false>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns in a frame
    Table,
    /// One JSON object
    Json,
}

/// Prints how each step went; the exit code is 1 when a mandatory one failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::start(true);
    let config = args.options.config()?.for_this_process();
    let behind = source::start_behind(config).await?;
    let report = check::run(&behind.tenant, Duration::from_secs(args.limit)).await;
    behind.end().await;
    let text = match args.format {
        Format::Table => table(&report),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["step", "verdict", "ms", "found", "what to do"]);
    for step in &report.steps {
        let name = if step.mandatory { step.name.to_owned() } else { format!("{} (optional)", step.name) };
        let advice = step.advice.clone().unwrap_or_default();
        table.add_row([name, step.verdict.name().to_owned(), step.took_ms.to_string(), step.found.clone(), advice]);
    }
    let verdict = if report.passed { "The connection works." } else { "The connection does not work." };
    format!("{table}\n{verdict}\n")
}
