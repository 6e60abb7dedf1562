//! The binary: sets the allocator and runs the command line.

use std::process::ExitCode;

use rally_api_keys::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::deny_core_dumps();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    cli::run().await
}
