//! `rally-api-keys serve`

use std::io::Write as _;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::{Error, service_manager};
use crate::{
    app::{Service, Stop},
    config::Config,
    demo::{IfMissing, PrivateDatabase},
    domain::Clock,
};

/// Serves until SIGTERM, or SIGINT, which skips the drain. A second signal ends the process at once.
pub(super) async fn serve(mut config: Config) -> Result<(), Error> {
    // Registered before anything starts, so that an early signal stops the service in order too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    raise_file_limit(config.http.max_connections);
    config.check_complete()?;
    super::warn_of(&config);

    let (url, private) = if let Some(url) = config.database.url.clone() {
        (url, None)
    } else {
        let private = PrivateDatabase::open(&mut config, IfMissing::Create).await?;
        (private.url.clone(), Some(private))
    };
    let outcome = serve_on(&config, &url, private.as_ref(), &mut terminate, &mut interrupt).await;
    if let Some(private) = private {
        private.close().await?;
    }
    outcome
}

/// The settings of the demo. A DATABASE_URL is refused: to ignore it would surprise.
pub(super) fn for_demo(mut config: Config) -> Result<Config, Error> {
    if config.database.url.is_some() {
        return Err(Error::Refused(
            "DATABASE_URL is set, and the demo runs on a private PostgreSQL: unset it (it may be in .env), or run \
             `rally-api-keys serve`"
                .into(),
        ));
    }
    config.demo = true;
    Ok(config)
}

/// Open files other than clients' connections: those to the database, for example.
const OTHER_FILES: usize = 1_000;

/// Raises the soft limit of open files for the connections of clients, up to the hard limit. At the limit, connections
/// to the database would fail too. The usual soft limit of 1,024 exists for programs that call select(2).
fn raise_file_limit(max_connections: usize) {
    let needed = (max_connections + OTHER_FILES) as u64;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < needed
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard); // checked below
    }
    if let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE)
        && limit < needed
    {
        warn!(
            limit,
            needed,
            "the hard limit of open files is too low for HTTP_MAX_CONNECTIONS: raise it (ulimit -Hn), or lower \
             HTTP_MAX_CONNECTIONS"
        );
    }
}

async fn serve_on(
    config: &Config,
    url: &crate::store::DatabaseUrl,
    private: Option<&PrivateDatabase>,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> Result<(), Error> {
    let clock = Clock::default();
    let service = tokio::select! {
        started = Service::start(config, url, clock.clone()) => started?,
        () = any_of(terminate, interrupt) => {
            info!("received a signal before the start was complete: ending at once");
            return Ok(());
        }
    };
    if let Some(private) = private {
        let demo = private.create_demo(config, service.address(), &clock).await?;
        // Printed and not logged: it contains a token.
        let _ = writeln!(std::io::stdout(), "{demo}");
    }
    let _reports = service_manager::keep_watchdog_quiet();
    service_manager::ready();
    service.run(first_signal(terminate, interrupt)).await;
    Ok(())
}

async fn any_of(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Completes at the first signal, and makes the second one end the process.
async fn first_signal(terminate: &mut Signal, interrupt: &mut Signal) -> Stop {
    let stop = tokio::select! {
        _ = terminate.recv() => Stop::Drain,
        _ = interrupt.recv() => Stop::AtOnce,
    };
    info!(?stop, "received a signal to stop");
    service_manager::stopping();
    tokio::spawn(async {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        any_of(&mut terminate, &mut interrupt).await;
        info!("received a second signal: ending at once");
        std::process::exit(1);
    });
    stop
}
