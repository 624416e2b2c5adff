//! Sets the allocator up, parses the command line and runs the command.

/// Buffers of some hundred KiB come and go all the time, made by one thread and freed by another. What is freed has to be
/// used again at once, whichever thread it was: then a large result takes a third of the memory that thread by thread
/// allocators hold, which keeps it in the processor's caches, and little of it is given back to the kernel and cleared.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Few places where freed memory is kept; what has not been used for five seconds is given back, also when nothing else
/// happens.
// SAFETY: this is the name by which the allocator looks for its settings, a text that ends with a zero byte.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Settings =
    Settings(c"narenas:4,dirty_decay_ms:5000,muzzy_decay_ms:0,background_thread:true".as_ptr());

/// A C string that never changes.
#[repr(transparent)]
struct Settings(*const std::ffi::c_char);

// SAFETY: nobody writes to it.
unsafe impl Sync for Settings {}

fn main() -> std::process::ExitCode {
    athena_flight::cli::run()
}
