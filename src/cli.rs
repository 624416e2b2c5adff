//! The command line: one file per subcommand.

#[cfg(feature = "emulator")]
mod emulator;
mod options;
mod query;
mod serve;
mod source;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "athena-flight", version, about, arg_required_else_help = true, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer Arrow Flight SQL clients: the gateway
    Serve(serve::Args),
    /// Answer Athena, Glue, STS and S3 clients over a folder of local files: the embedded endpoint alone
    #[cfg(feature = "emulator")]
    Emulator(emulator::Args),
    /// Run one statement and print its rows
    Query(query::Args),
}

/// Exit code of a command that could not do its work; clap's own for wrong usage is 2.
const FAILED: u8 = 1;

/// Runs the command the process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("athena-flight: cannot start threads: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            #[cfg(feature = "emulator")]
            Command::Emulator(args) => emulator::run(args).await,
            Command::Query(args) => query::run(args).await,
        }
    });
    // Threads that still read or write must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("athena-flight: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Cancels the token it gives on SIGINT or SIGTERM.
fn stop_on_signal() -> anyhow::Result<tokio_util::sync::CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = tokio_util::sync::CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        cancelled.cancel();
    });
    Ok(token)
}
