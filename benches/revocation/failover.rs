//! A failover to a standby, whose address the database's moves to.

use std::time::Duration;

use futures_util::future::try_join_all;
use sqlx::Executor as _;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Scene,
    instances::{INSTANCES, Instances, Revoked, Stale, revocation, revoke_all},
    load::{Client, Sample},
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, check},
        keys::Key,
        postgres::Database,
        proxy::{Mode, Proxy},
    },
};

/// The lease, in seconds, which the failover may be shorter than.
const LEASE: &str = "2";
/// Keys that stay active.
const ACTIVE: usize = 12;
/// Revoked with a receipt before the failover; the standby has these.
const BEFORE: usize = 12;
/// Revoked with a receipt, with asynchronous replication, while the standby is disconnected: it does not have these.
const LOST: usize = 6;
/// Revoked at the old primary after the failover, by the instance that still reaches it.
const AT_THE_OLD: usize = 3;
/// Revoked with a receipt after the failover.
const AFTER: usize = 12;
/// Revoked after the failover without a receipt.
const WITHOUT: usize = 12;
const CONNECTIONS: usize = 12;
const PAUSE: Duration = Duration::from_millis(5);
/// In seconds.
const WAIT: u64 = 60;
/// How long checks go on after the last receipt.
const AFTERWARDS: Duration = Duration::from_secs(4);
const REPLICATED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    Synchronous,
    Asynchronous,
}

/// The state of the old primary after the failover. If it still runs, one of the instances is connected to it only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OldPrimary {
    Dead,
    /// By `default_transaction_read_only`, as an operator fences it off.
    ReadOnly,
    /// It takes writes.
    Isolated,
}

pub async fn to_a_standby(by: Replication, old: OldPrimary, letter: char, report: &mut Report) -> Outcome<()> {
    run(by, old, "true", letter, report).await?;
    if by == Replication::Synchronous && old == OldPrimary::Isolated {
        run(by, old, "false", letter, report).await?;
    }
    Ok(())
}

async fn run(by: Replication, old: OldPrimary, strict: &'static str, letter: char, report: &mut Report) -> Outcome<()> {
    let mut scene = Scene::seed(Database::start("primary").await?, 0).await?;
    let standby = scene.database.dir().with_extension("standby");
    let standby = match scene.database.standby(standby).await {
        Ok(standby) => standby,
        Err(error) => {
            scene.database.stop().await?;
            report.skip(letter, error);
            return Ok(());
        }
    };
    let found = fail_over(&mut scene, &standby, by, old, strict).await;
    standby.stop().await?;
    scene.database.stop().await?;
    found?.report(by, old, strict, letter, report);
    Ok(())
}

/// The measurements of one failover.
struct Found {
    samples: Vec<Sample>,
    /// When the address led to the new primary.
    moved: Instant,
    before: Vec<Revoked>,
    after: Vec<Revoked>,
    without: Vec<Revoked>,
    /// Revoked with a receipt, and accepted in the end.
    lost: usize,
    /// Acknowledged by the old primary after the failover.
    at_the_old: usize,
}

/// The keys in the order of the load's requests.
const FIRST_AFTER: usize = BEFORE;
const FIRST_WITHOUT: usize = FIRST_AFTER + AFTER;
const FIRST_ACTIVE: usize = FIRST_WITHOUT + WITHOUT;
const FIRST_LOST: usize = FIRST_ACTIVE + ACTIVE;
const FIRST_AT_THE_OLD: usize = FIRST_LOST + LOST;
const ALL: usize = FIRST_AT_THE_OLD + AT_THE_OLD;

async fn fail_over(
    scene: &mut Scene,
    standby: &Database,
    by: Replication,
    old: OldPrimary,
    strict: &str,
) -> Outcome<Found> {
    let keys = scene.fresh_keys(ALL).await?;
    if by == Replication::Synchronous {
        // After the base backup, so that the standby does not wait for one in its turn.
        let mut connection = scene.database.connect().await?;
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
        connection.execute("SELECT pg_reload_conf()").await?;
        let replicated = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
        wait_until(&scene.database, replicated).await?;
    }
    let proxies = [scene.database.socket(), scene.database.socket(), scene.database.socket()].map(Proxy::start);
    let proxies = futures_util::future::join_all(proxies).await;
    let urls: Vec<_> = proxies.iter().map(|proxy| scene.database.url_through(proxy.address)).collect();
    let settings: Vec<_> = urls
        .iter()
        .map(|url| [("DATABASE_URL", url.as_str()), ("LEASE_SECONDS", LEASE), ("STRICT_LEASE", strict)])
        .collect();
    let settings = [&settings[0][..], &settings[1][..], &settings[2][..]];
    let instances = Instances::start_each(scene, "failover", settings).await?;
    let addresses: Vec<_> = instances.0.iter().map(|server| server.address).collect();
    instances.cache(&keys).await?;
    let loads = instances.load(&keys[..FIRST_LOST], CONNECTIONS, PAUSE);
    let before = revoke_all(&addresses, &keys[..BEFORE], Some(WAIT)).await?;
    catch_up(scene, standby).await?;
    let lost = &keys[FIRST_LOST..FIRST_AT_THE_OLD];
    if by == Replication::Asynchronous {
        standby.connect().await?.execute("ALTER SYSTEM SET primary_conninfo = ''").await?;
        standby.connect().await?.execute("SELECT pg_reload_conf()").await?;
        wait_until(standby, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)").await?;
        revoke_all(&addresses, lost, Some(WAIT)).await?;
    }

    // One of the instances still reaches the old primary, if there is one.
    let moving = if old == OldPrimary::Dead { INSTANCES } else { INSTANCES - 1 };
    let (moving, staying) = (&proxies[..moving], &addresses[moving..]);
    let moved_addresses = &addresses[..moving.len()];
    for proxy in moving {
        proxy.set(Mode::Cut);
    }
    match old {
        OldPrimary::Dead => scene.database.crash_server().await?,
        OldPrimary::ReadOnly => {
            let mut connection = scene.database.connect().await?;
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on").await?;
            connection.execute("SELECT pg_reload_conf()").await?;
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            connection.execute(end).await?;
        }
        OldPrimary::Isolated => {}
    }
    standby.connect().await?.execute("SELECT pg_promote()").await?;
    for proxy in moving {
        proxy.move_to(standby.socket());
        proxy.set(Mode::Pass);
    }
    let moved = Instant::now();
    let at_the_old = &keys[FIRST_AT_THE_OLD..];
    let (without, after, at_the_old) = tokio::try_join!(
        revoke_all(moved_addresses, &keys[FIRST_WITHOUT..FIRST_ACTIVE], None),
        revoke_all(moved_addresses, &keys[FIRST_AFTER..FIRST_WITHOUT], Some(WAIT)),
        count_acknowledged(staying.first().copied(), at_the_old),
    )?;
    sleep(AFTERWARDS).await;
    let mut samples = Vec::new();
    for load in loads {
        samples.extend(load.finish().await?);
    }
    samples.sort_by_key(Sample::ended);
    let lost = if by == Replication::Asynchronous { count_accepted(&instances, moving.len(), lost).await? } else { 0 };
    instances.stop().await?;
    Ok(Found { samples, moved, before, after, without, lost, at_the_old })
}

/// The keys whose revocation that instance acknowledges.
async fn count_acknowledged(address: Option<std::net::SocketAddr>, keys: &[Key]) -> Outcome<usize> {
    let Some(address) = address else { return Ok(0) };
    let calls = keys.iter().map(|key| async move {
        let call = revocation(key, "")?;
        let reply = timeout(Duration::from_secs(15), Client::new(address).send(&call)).await.ok().flatten();
        Outcome::Ok(usize::from(reply.is_some_and(|reply| reply.status == 204)))
    });
    Ok(try_join_all(calls).await?.into_iter().sum())
}

/// The keys that one of the first instances accepts.
async fn count_accepted(instances: &Instances, of: usize, keys: &[Key]) -> Outcome<usize> {
    let mut count = 0;
    for key in keys {
        let mut is_accepted = false;
        for server in &instances.0[..of] {
            is_accepted |= Connection::open(server.address).await?.send(&check(key)).await?.status == 200;
        }
        count += usize::from(is_accepted);
    }
    Ok(count)
}

/// Waits until the standby has what the primary has.
async fn catch_up(scene: &Scene, standby: &Database) -> Outcome<()> {
    let position: String = sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text")
        .fetch_one(&mut scene.database.connect().await?)
        .await?;
    wait_until(standby, &format!("SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn")).await
}

async fn wait_until(database: &Database, query: &str) -> Outcome<()> {
    let (mut connection, deadline) = (database.connect().await?, Instant::now() + REPLICATED_WITHIN);
    while !sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await? {
        if Instant::now() > deadline {
            return Err(format!("not true within 20 s: {query}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

impl Found {
    fn report(&self, by: Replication, old: OldPrimary, strict: &str, letter: char, report: &mut Report) {
        let replication = match by {
            Replication::Synchronous => "synchronous",
            Replication::Asynchronous => "asynchronous",
        };
        let old_is = match old {
            OldPrimary::Dead => "dead",
            OldPrimary::ReadOnly => "read-only, one of 3 instances stays there",
            OldPrimary::Isolated => "isolated and writable, one of 3 instances stays there",
        };
        let what = format!("failover, {replication}, old primary {old_is}, STRICT_LEASE={strict}");
        // What the documentation says cannot be promised.
        let is_promised = old != OldPrimary::Isolated || by == Replication::Synchronous && strict == "true";
        let mut accepted = |what: String, stale: &Stale| {
            let what = format!("{what}: accepted after their receipts, of {} checks", stale.checks);
            if is_promised {
                report.never(letter, what, stale.accepted, "times");
            } else {
                report.info(letter, what, as_figure(stale.accepted), "times");
            }
        };
        let stale = Stale::of(&self.samples, 0, &self.before);
        accepted(format!("{what}: {BEFORE} DELETEs with Prefer: wait before it"), &stale);
        let stale = Stale::of(&self.samples, FIRST_AFTER, &self.after);
        accepted(format!("{AFTER} DELETEs with Prefer: wait after it"), &stale);
        if by == Replication::Asynchronous {
            let what =
                format!("{LOST} keys revoked with a receipt that the standby had not received: accepted afterwards");
            if old == OldPrimary::Dead {
                report.never(letter, what, self.lost, "keys"); // the instances that acknowledged them repeat them
            } else {
                report.info(letter, what, as_figure(self.lost), "keys"); // one of these cannot
            }
        }
        if old != OldPrimary::Dead {
            let what =
                format!("{AT_THE_OLD} DELETEs without Prefer at the old primary after the failover: acknowledged");
            if by == Replication::Asynchronous && old == OldPrimary::Isolated {
                report.info(letter, what, as_figure(self.at_the_old), "");
            } else {
                report.never(letter, what, self.at_the_old, "");
            }
        }
        let first = self.without.iter().chain(&self.after).map(|it| (it.at - self.moved).as_secs_f64());
        let first = first.fold(f64::INFINITY, f64::min);
        report.at_most(letter, "address moved → first revocation", first, "s", 5.0);
        let last = self.after.iter().map(|it| (it.at - self.moved).as_secs_f64()).fold(0.0, f64::max);
        report.info(letter, "address moved → last receipt", last, "s");
        let active = FIRST_ACTIVE..FIRST_LOST;
        let active: Vec<_> = self.samples.iter().filter(|sample| active.contains(&sample.request)).collect();
        let failed = active.iter().filter(|sample| !sample.succeeded()).count();
        let what = format!("checks of active keys on all instances that failed, of {}", active.len());
        report.info(letter, what, as_figure(failed), "responses");
        let stale = Stale::of(&self.samples, FIRST_WITHOUT, &self.without);
        let what = format!("{WITHOUT} DELETEs without Prefer right after it: keys that were accepted after the 204");
        report.info(letter, what, as_figure(stale.keys), "");
    }
}
