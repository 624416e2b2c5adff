//! `athena-flight config`: what is in force, and where each value came from.

use std::io::Write as _;

use clap::ValueEnum;

use super::options::OptionArgs;
use crate::config::{Config, show};

#[derive(clap::Args)]
pub struct Args {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Toml)]
    format: Format,
    #[command(flatten)]
    options: OptionArgs<true>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A config file with comments
    Toml,
    /// One JSON object
    Json,
    /// All options there are, without values: the reference page
    Markdown,
}

/// Prints the options, secrets hidden, and fails if they do not fit together.
pub fn run(args: Args) -> anyhow::Result<()> {
    let given = args.options.given();
    let text = match args.format {
        Format::Toml => show::as_toml(&given),
        Format::Markdown => show::as_markdown(),
        Format::Json => format!("{:#}\n", show::as_json(&given)),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Config::check(&given)?;
    Ok(())
}
