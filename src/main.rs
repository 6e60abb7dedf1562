//! The binary: sets the allocator and runs the command line.

use std::process::ExitCode;

use rally_api_keys::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
