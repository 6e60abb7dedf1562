//! The command line: one file per command.

mod doctor;
mod events;
mod health;
mod migrate;
mod serve;
mod tenant;
mod token;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    app::StartError,
    config::{Config, ConfigError},
    demo::{self, PrivateDatabase},
    store::{self, ConnectError, DatabaseUrl},
    telemetry,
};

/// API keys for Rally CRM.
///
/// Settings are read from the environment and from `.env`; see `.env.example`. With
/// nothing set, the service runs on a private PostgreSQL.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests (the default)
    Serve,
    /// Bring the database up to date, and end
    Migrate,
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Read a tenant's audit trail
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Sign a JWT with JWT_SECRET, for development and for a first admin
    Token(token::TokenArgs),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at everything that the service needs, and say what to do about what is wrong
    Doctor,
    /// Ask the running service whether it is alive; for container health checks
    Health,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the settings in effect, with secrets hidden; fail where one is bad
    Check,
}

/// Why a command failed. The message says what to do.
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
    Quickstart(#[from] demo::Error),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot sign the token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error("{0}")]
    Refused(String),
}

/// Parses the command line and runs it.
pub async fn run() -> ExitCode {
    match execute(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has seen enough, as in `rally-api-keys tenant list | head`.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "the program's last words, whatever the log level")]
            {
                eprintln!("rally-api-keys: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn execute(cli: Cli) -> Result<(), Error> {
    let config = Config::from_environment()?;
    telemetry::start(&config.log);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(config).await,
        Command::Migrate => migrate::migrate(config).await,
        Command::Tenant(command) => tenant::run(config, command).await,
        Command::Events(command) => events::run(config, command).await,
        Command::Token(args) => token::token(config, args).await,
        Command::Config(ConfigCommand::Check) => {
            for (name, value) in config.effective() {
                writeln!(io::stdout(), "{name}={value}")?;
            }
            Ok(())
        }
        Command::Doctor => doctor::doctor(config).await,
        Command::Health => health::health(&config).await,
    }
}

/// The database as its owner, for the length of a command: DATABASE_MIGRATION_URL, else
/// DATABASE_URL, else the private PostgreSQL, which is started for it where it does not run.
struct OwnDatabase {
    url: DatabaseUrl,
    private: Option<PrivateDatabase>,
}

impl OwnDatabase {
    async fn open(config: &mut Config) -> Result<Self, Error> {
        let urls = &config.database;
        if let Some(url) = urls.migration_url.clone().or_else(|| urls.url.clone()) {
            return Ok(Self { url, private: None });
        }
        let private = PrivateDatabase::open(config).await?;
        Ok(Self { url: private.url.clone(), private: Some(private) })
    }

    async fn close(self) -> Result<(), Error> {
        if let Some(private) = self.private {
            private.close().await?;
        }
        Ok(())
    }
}
