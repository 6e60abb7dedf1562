//! Revocations while an instance is cut off or killed, or PostgreSQL is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    instances::{INSTANCES, Instances, Stale, revoke_all},
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, accepted, check},
        keys::Key,
        proxy::{Mode, Proxy},
        server::Server,
    },
};

/// Revoked with a receipt: the first half as the fault begins, the others during it.
const WITH_RECEIPT: usize = 24;
/// Revoked without one, during the fault.
const WITHOUT: usize = 12;
const CONNECTIONS: usize = 12;
const PAUSE: Duration = Duration::from_millis(5);
/// In seconds.
const WAIT: u64 = 60;
/// How long PostgreSQL is down.
const OUTAGE: Duration = Duration::from_secs(2);
/// How long checks go on after the last receipt, and again after the fault's end.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Of the last instance, or of PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The change feed of an instance is closed, and cannot be established.
    FeedCut,
    /// An instance is ended by SIGKILL, and started again afterwards.
    ProcessKilled,
    /// PostgreSQL ends as by a crash, and is started again.
    DatabaseKilled,
    /// No byte passes between an instance and PostgreSQL, and no connection is closed.
    NetworkSilent,
}

impl Fault {
    fn what(self) -> &'static str {
        match self {
            Self::FeedCut => "the feed of one of 3 instances cut",
            Self::ProcessKilled => "one of 3 instances killed",
            Self::DatabaseKilled => "PostgreSQL killed, and started 2 s later",
            Self::NetworkSilent => "the network between one of 3 instances and PostgreSQL silent",
        }
    }
}

/// Keys are checked on all instances throughout.
pub async fn during(fault: Fault, letter: char, scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let keys = scene.fresh_keys(WITH_RECEIPT + WITHOUT).await?;
    let (proven, plain) = keys.split_at(WITH_RECEIPT);
    let (first, second) = proven.split_at(WITH_RECEIPT / 2);
    let proxy = Proxy::start(scene.database.socket()).await;
    let through = scene.database.url_through(proxy.address);
    let settings: &[(&str, &str)] = match fault {
        Fault::FeedCut => &[("DATABASE_DIRECT_URL", &through)],
        Fault::NetworkSilent => &[("DATABASE_URL", &through)],
        Fault::ProcessKilled | Fault::DatabaseKilled => &[],
    };
    let name = format!("fault-{letter}");
    let mut instances = Instances::start_each(scene, &name, [&[], &[], settings]).await?;
    instances.cache(&keys).await?;
    let loads = instances.load(&keys, CONNECTIONS, PAUSE);
    sleep(Duration::from_millis(500)).await;
    let healthy: Vec<_> = instances.0.iter().take(INSTANCES - 1).map(|server| server.address).collect();

    let beginning = async {
        match fault {
            Fault::FeedCut => proxy.set(Mode::Cut),
            Fault::NetworkSilent => proxy.set(Mode::Blackhole),
            Fault::ProcessKilled => instances.0.remove(INSTANCES - 1).kill().await?,
            Fault::DatabaseKilled => {
                scene.database.crash_server().await?;
                sleep(OUTAGE).await;
                scene.database.start_server().await?;
            }
        }
        Outcome::Ok(Instant::now())
    };
    let during = async {
        let begun = beginning.await?;
        // Without a receipt at once, while the affected instances may hold their lease.
        let (without, receipts) =
            tokio::try_join!(revoke_all(&healthy, plain, None), revoke_all(&healthy, second, Some(WAIT)))?;
        Outcome::Ok((begun, without, receipts))
    };
    // The first half at the same time: some are acknowledged before the fault, some are interrupted by it.
    let (mut receipts, (begun, without, more)) = tokio::try_join!(revoke_all(&healthy, first, Some(WAIT)), during)?;
    let slowest = more.iter().map(|it| it.took).max().unwrap_or_default();
    let lapsed = more.iter().filter_map(|it| it.receipt.as_ref()).map(|receipt| receipt.lapsed).min();
    receipts.extend(more);
    let complete = receipts.iter().map(|it| it.at.saturating_duration_since(begun)).max().unwrap_or_default();
    sleep(AFTERWARDS).await;
    proxy.set(Mode::Pass);
    let mut again = 0;
    if fault == Fault::ProcessKilled {
        let server = Server::instance(&scene.database, &format!("{name}-again"), &[]).await?;
        again = count_accepted(&server, &keys).await?;
        instances.0.push(server);
    }
    sleep(AFTERWARDS).await;
    let mut samples = Vec::new();
    for load in loads {
        samples.extend(load.finish().await?);
    }
    instances.stop().await?;

    let stale = Stale::of(&samples, 0, &receipts);
    let what = format!(
        "{}, {WITH_RECEIPT} DELETEs with Prefer: wait: accepted after their receipts, of {} checks",
        fault.what(),
        stale.checks + again
    );
    report.never(letter, what, stale.accepted + again, "times");
    if fault == Fault::DatabaseKilled {
        report.info(letter, "PostgreSQL back → last receipt", complete.as_secs_f64(), "s");
    } else {
        // The lease, its margin of 0.06 s, and 0.2 s.
        report.at_most(letter, "DELETE during the fault → receipt, at worst", slowest.as_secs_f64(), "s", 5.26);
        let lapsed = as_figure(lapsed.unwrap_or_default());
        report.at_least(letter, "instances that each of these receipts counts as lapsed", lapsed, "", 1.0);
    }
    let stale = Stale::of(&samples, proven.len(), &without);
    let what = format!("{WITHOUT} DELETEs without Prefer meanwhile: keys that were accepted after the 204");
    report.info(letter, what, as_figure(stale.keys), "");
    report.info(letter, "204 → last accepted by any instance", stale.last, "s");
    Ok(())
}

/// The keys that the instance accepts.
async fn count_accepted(server: &Server, keys: &[Key]) -> Outcome<usize> {
    let (mut connection, mut count) = (Connection::open(server.address).await?, 0);
    for key in keys {
        count += usize::from(accepted(&mut connection, &check(key)).await?);
    }
    Ok(count)
}
