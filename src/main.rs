//! The `sallyport` program: everything is in the library.

use std::process::ExitCode;

/// Gives the memory of ended sessions back to the system; the default allocator keeps it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sallyport::cli::run()
}
