//! The `athena-flight` binary; everything is in the library.

fn main() -> std::process::ExitCode {
    athena_flight::cli::run()
}
