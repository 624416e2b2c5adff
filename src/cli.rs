//! The command line: one file per subcommand.

mod check;
mod config;
mod connection;
#[cfg(feature = "emulator")]
mod emulator;
mod options;
mod output;
mod people;
mod policy;
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
    /// Check the connection to AWS step by step, and say what to do where it fails
    Check(check::Args),
    /// Print the IAM policy that the gateway needs, and what goes with it
    Policy(Box<policy::Args>),
    /// Print all options with their values, and where each came from
    Config(config::Args),
    /// Users who sign in with a password (--users-file)
    #[command(subcommand)]
    User(people::User),
    /// Bearer tokens that do not change (--tokens-file)
    #[command(subcommand)]
    Token(people::Token),
}

/// Stack of each thread: unoptimised, the futures of the AWS SDK inside of ours take more than half of the default.
const STACK_BYTES: usize = 8 << 20;
/// Exit code after a second signal, as shells have it for SIGINT.
const SECOND_SIGNAL: i32 = 130;
/// Exit code of a command that could not do its work; clap's own for wrong usage is 2.
const FAILED: u8 = 1;

/// Runs the command the process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("athena-flight: cannot start threads: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let result = runtime.block_on(async {
        let done = match cli.command {
            Command::Serve(args) => serve::run(args).await,
            #[cfg(feature = "emulator")]
            Command::Emulator(args) => emulator::run(args).await,
            Command::Query(args) => query::run(args).await,
            Command::Check(args) => return check::run(args).await,
            Command::Policy(args) => policy::run(*args),
            Command::Config(args) => config::run(args),
            Command::User(command) => people::user(command),
            Command::Token(command) => people::token(command),
        };
        done.map(|()| ExitCode::SUCCESS)
    });
    // Threads that still read or write must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
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
        tracing::info!("stopping; a second signal ends at once");
        cancelled.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::warn!("ended by a second signal: queries under way may go on in Athena");
        std::process::exit(SECOND_SIGNAL);
    });
    Ok(token)
}
