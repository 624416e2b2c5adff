//! `athena-flight emulator`: the embedded endpoint alone, for boto3, PyAthena, awswrangler and the AWS CLI.

use std::io::Write as _;
use std::path::PathBuf;

use super::stop_on_signal;
use crate::config::{DEFAULT_DEMO_SCALE, DEFAULT_EMULATOR_LISTEN};
use crate::emulator::{Emulator, demo};
use crate::telemetry;

#[derive(clap::Args)]
pub struct Args {
    /// Folder for catalog, query history and buckets; made if missing
    #[arg(long, value_name = "DIR", env = "ATHENA_FLIGHT_DATA")]
    data: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_EMULATOR_LISTEN)]
    listen: String,
    /// Add TPC-H data (database tpch)
    #[arg(long)]
    demo: bool,
    /// Scale factor of the demo data
    #[arg(long, value_name = "FACTOR", default_value_t = DEFAULT_DEMO_SCALE, requires = "demo")]
    demo_scale: f64,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(false);
    let stop = stop_on_signal()?;
    let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<Emulator> {
        let emulator = Emulator::open(&args.data)?;
        if args.demo {
            demo::make(&emulator, args.demo_scale)?;
        }
        Ok(emulator)
    });
    let listening = opened.await??.listen(&args.listen, stop).await?;
    let url = listening.url();
    let _ = writeln!(
        std::io::stdout(),
        "ready: Athena, Glue, STS and S3 {url}\n\n\
         export AWS_ENDPOINT_URL={url} AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
    );
    listening.stopped().await;
    Ok(())
}
