//! `athena-flight emulator`: the embedded endpoint alone, for boto3, PyAthena, awswrangler and the AWS CLI.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::stop_on_signal;
use crate::config::{DEFAULT_DEMO_SCALE, DEFAULT_EMULATOR_LISTEN};
use crate::emulator::{Emulator, Settings, demo};
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
    /// Behave as a JSON document says: quotas, limits, latencies, faults, credentials, policies (docs/emulator.md)
    #[arg(long, value_name = "FILE", env = "ATHENA_FLIGHT_BEHAVIOUR")]
    behaviour: Option<PathBuf>,
    /// Throttle calls at Athena's published rates
    #[arg(long)]
    quotas: bool,
    /// Refuse statements beyond so many queued and running ones [default: 200]
    #[arg(long, value_name = "COUNT")]
    concurrent_queries: Option<usize>,
    /// Check signatures against the known access keys [default: any credentials are accepted]
    #[arg(long)]
    verify_signatures: bool,
}

impl Args {
    /// File and flags together.
    fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = match &self.behaviour {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                Settings::parse(&text).with_context(|| format!("{} is not a behaviour document", path.display()))?
            }
            None => Settings::default(),
        };
        settings.quotas |= self.quotas;
        settings.concurrent_queries = self.concurrent_queries.or(settings.concurrent_queries);
        if self.verify_signatures || settings.verify_signatures {
            settings = settings.verifying_signatures();
        }
        Ok(settings)
    }
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(false);
    let settings = args.settings()?;
    let stop = stop_on_signal()?;
    let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<Emulator> {
        let emulator = Emulator::open_with(&args.data, settings)?;
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
