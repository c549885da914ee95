//! The `sallyport` program: everything is in the library.

use std::process::ExitCode;

/// Gives the memory of ended sessions back to the system, on a thread of its own (`.cargo/config.toml` says how soon); the default allocator keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sallyport::cli::run()
}
