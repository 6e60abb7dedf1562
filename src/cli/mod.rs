//! The command line: one file for each command.

mod core_dumps;
mod doctor;
mod events;
mod health;
mod keys;
mod manual;
mod migrate;
mod owner_database;
mod receipt;
mod revocations;
mod serve;
mod service_manager;
mod tenant;
mod token;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use tracing::warn;

use crate::{
    app::StartError,
    config::{Config, ConfigError, Warning},
    demo::{self, IfMissing},
    store::{self, ConnectError},
    telemetry,
};

/// API keys for Rally CRM.
///
/// Settings are read from the environment and from `.env` in the working folder; `.env.example` lists them. Without
/// settings, the service runs on a private PostgreSQL with a demo tenant.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Use a private PostgreSQL where DATABASE_URL is not set, although BASE_DOMAIN is not `localhost`; for trying out
    #[arg(long, global = true)]
    demo: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve requests (the default)
    Serve,
    /// Serve requests on a private PostgreSQL with a demo tenant, and print commands to try, whatever BASE_DOMAIN is
    Demo,
    /// Apply the database migrations
    Migrate,
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Manage a tenant's API keys, as an operator
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Verify or export a tenant's audit trail
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Keep revocations through the restore of a backup
    #[command(subcommand)]
    Revocations(revocations::RevocationsCommand),
    /// Sign a JWT with JWT_SECRET, for development or for the first admin
    Token(token::TokenArgs),
    /// Check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check everything that the service depends on, and print what to do about each failure
    Doctor {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Probe the running service on ADMIN_LISTEN_ADDR, else LISTEN_ADDR; for container health checks
    Health,
    /// Print a script by which a shell completes the commands and options of this program
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of this program
    Man {
        /// Write this page and one for each command into this folder instead, such as `/usr/local/share/man/man1`
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the settings in effect with secrets hidden; fail if one is bad or missing
    Check,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Demo(#[from] demo::Error),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot sign the token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error("{0}")]
    Refused(String),
}

/// Keeps secrets out of core dumps. For the very start, before threads and settings.
pub fn deny_core_dumps() {
    core_dumps::deny();
}

/// Parses the command line and runs the command.
pub async fn run() -> ExitCode {
    match Box::pin(execute(Cli::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe, as in `rally-api-keys tenant list | head`.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "the error of a command, whatever the log level")]
            {
                eprintln!("rally-api-keys: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn execute(cli: Cli) -> Result<(), Error> {
    // These need no settings, and work where the settings are bad.
    match &cli.command {
        Some(Command::Completions { shell }) => return Ok(manual::completions(*shell)?),
        Some(Command::Man { folder }) => return Ok(manual::man(folder.as_deref())?),
        _ => {}
    }
    let mut config = Config::from_environment()?;
    config.demo = cli.demo;
    if config.core_dumps {
        core_dumps::allow();
    }
    telemetry::start(&config.log);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(config).await,
        Command::Demo => serve::serve(serve::for_demo(config)?).await,
        Command::Migrate => migrate::migrate(config).await,
        Command::Tenant(command) => tenant::run(config, command).await,
        Command::Keys(command) => keys::run(config, command).await,
        Command::Events(command) => events::run(config, command).await,
        Command::Revocations(command) => revocations::run(config, command).await,
        Command::Token(args) => token::token(config, args).await,
        Command::Config(ConfigCommand::Check) => {
            warn_of(&config);
            demo::add_generated_secrets(&mut config, IfMissing::Refuse)?;
            io::stdout().write_all(config.described().as_bytes())?;
            Ok(config.check_complete()?)
        }
        Command::Doctor { json } => doctor::doctor(config, json).await,
        Command::Health => health::health(&config).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(()), // above
    }
}

/// Logs what is unsafe about the settings, for a start and for `config check`.
fn warn_of(config: &Config) {
    for Warning { name, problem, .. } in &config.warnings {
        warn!("{name} {problem}");
    }
}
