//! Parses the command line and runs the command.

/// Batches of megabytes come and go all the time: the system's allocator gives their pages back to the kernel and has them
/// cleared again, which costs a third of the decoding.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    athena_flight::cli::run()
}
