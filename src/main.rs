//! Calls the command line and returns its exit code.

/// The allocator with the least overhead a request under many small allocations from many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    portcullis::cli::main(std::env::args_os())
}
