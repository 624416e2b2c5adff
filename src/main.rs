//! Sets the allocator up, parses the command line and runs the command.

/// Batches of megabytes come and go all the time: the system's allocator gives their pages back to the kernel and has them
/// cleared again, which costs a quarter of the decoding.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After how many milliseconds unused pages are given back; those of arenas after ten times as many.
const PURGE_DELAY: std::ffi::c_long = 200;

fn main() -> std::process::ExitCode {
    // `mi_option_purge_delay` of mimalloc 3, which the crate has no name for.
    const OPTION: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: it sets a number that is known to be an option's, before there are other threads.
    unsafe { libmimalloc_sys::mi_option_set(OPTION, PURGE_DELAY) };
    athena_flight::cli::run()
}
