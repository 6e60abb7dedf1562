//! `rally-api-keys serve`

use std::io::Write as _;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::Error;
use crate::{
    app::{Service, Stop},
    config::Config,
    demo::PrivateDatabase,
    domain::Clock,
};

/// Answers requests until SIGTERM or SIGINT (whoever presses Ctrl-C waits for no drain); a second one
/// ends the process at once.
pub(super) async fn serve(mut config: Config) -> Result<(), Error> {
    // Before anything starts, so that an early signal stops in order too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    raise_file_limit(config.http.max_connections);

    let (url, private) = if let Some(url) = config.database.url.clone() {
        (url, None)
    } else {
        let private = PrivateDatabase::open(&mut config).await?;
        (private.url.clone(), Some(private))
    };
    let outcome = answer(&config, &url, private.as_ref(), &mut terminate, &mut interrupt).await;
    if let Some(private) = private {
        private.close().await?;
    }
    outcome
}

/// Files that are open besides clients' connections: the database's, logs, the private PostgreSQL's.
const OTHER_FILES: usize = 1_000;

/// Each connection is an open file. The usual limit of 1,024 is meant for programs that call select(2), and
/// may be raised by any process; were it reached, the database could not be connected to either.
fn raise_file_limit(max_connections: usize) {
    let wanted = (max_connections + OTHER_FILES) as u64;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard); // seen below
    }
    if let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE)
        && limit < wanted
    {
        warn!(limit, wanted, "HTTP_MAX_CONNECTIONS needs more open files (ulimit -Hn): raise that, or lower this");
    }
}

async fn answer(
    config: &Config,
    url: &crate::store::DatabaseUrl,
    private: Option<&PrivateDatabase>,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> Result<(), Error> {
    let clock = Clock::default();
    let service = Service::start(config, url, clock.clone()).await?;
    if let Some(private) = private {
        let welcome = private.welcome(config, service.address(), &clock).await?;
        // Not a log line: it holds a token, and it is meant for the person at the terminal.
        let _ = writeln!(std::io::stdout(), "{welcome}");
    }
    service.run(first_of(terminate, interrupt)).await;
    Ok(())
}

/// Done at the first signal; the second then ends the process.
async fn first_of(terminate: &mut Signal, interrupt: &mut Signal) -> Stop {
    let how = tokio::select! {
        _ = terminate.recv() => Stop::Drain,
        _ = interrupt.recv() => Stop::AtOnce,
    };
    info!(?how, "told to stop");
    tokio::spawn(async {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to stop again; ending at once");
        std::process::exit(1);
    });
    how
}
