//! Faults within a lease: an outage of PostgreSQL, and a frozen instance.

use std::time::Duration;

use futures_util::future::{join, try_join_all};
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    instances::{INSTANCES, Instances, revocation, revoke, revoke_once_possible},
    load::Sample,
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, accepted, check},
        keys::Key,
    },
};

const OUTAGE: Duration = Duration::from_secs(45);
/// Keys that are checked through the outage, each over a connection of its own to each instance.
const ACTIVE: usize = 20;
const REVOKED_BEFORE: usize = 5;
const PAUSE: Duration = Duration::from_millis(10);
/// How long checks go on after the last revocation.
const AFTERWARDS: Duration = Duration::from_secs(6);

const FREEZES: usize = 3;
/// Keys that are revoked in each freeze, at the same time.
const FROZEN_KEYS: usize = 8;

/// PostgreSQL is away for less than the lease, while keys are checked on three instances.
pub async fn outlasts_an_outage(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let keys = scene.fresh_keys(ACTIVE + REVOKED_BEFORE + 1).await?;
    let revoked_before = ACTIVE..ACTIVE + REVOKED_BEFORE;
    let revoked_after = revoked_before.end;
    let instances = Instances::start(scene, "long-lease", &[("LEASE_SECONDS", "60")]).await?;
    instances.cache(&keys).await?;
    let loads = instances.load(&keys, keys.len(), PAUSE);
    let mut proven = Vec::new();
    for (n, key) in keys[revoked_before.clone()].iter().enumerate() {
        let mut connection = Connection::open(instances.0[n % INSTANCES].address).await?;
        revoke(&mut connection, key, 30).await?;
        proven.push(Instant::now());
    }
    sleep(Duration::from_secs(1)).await;
    scene.database.crash_server().await?;
    sleep(OUTAGE).await;
    scene.database.start_server().await?;
    let back = Instant::now();
    revoke_once_possible(&[instances.0[0].address], &keys[revoked_after], None).await?;
    sleep(AFTERWARDS).await;
    let mut samples = Vec::new();
    for load in loads {
        samples.extend(load.finish().await?);
    }
    instances.stop().await?;

    let active: Vec<_> = samples.iter().filter(|sample| sample.request < ACTIVE).collect();
    let failed = active.iter().filter(|sample| !sample.succeeded()).count();
    let is_stale = |sample: &&Sample| {
        let proven = revoked_before.clone().position(|key| key == sample.request).map(|place| proven[place]);
        sample.succeeded() && proven.is_some_and(|proven| sample.begun > proven)
    };
    let stale = samples.iter().filter(is_stale).count();
    let accepts = samples.iter().filter(|sample| sample.request == revoked_after && sample.succeeded());
    let last = accepts.map(|sample| sample.ended().duration_since(back).as_secs_f64()).fold(0.0, f64::max);
    let what = format!(
        "PostgreSQL away for {} s, {INSTANCES} instances with LEASE_SECONDS=60: checks of cached keys that failed, of {}",
        OUTAGE.as_secs(),
        active.len()
    );
    report.never('h', what, failed, "responses");
    let what = format!("{REVOKED_BEFORE} keys revoked before, with a receipt: accepted after the receipt");
    report.never('h', what, stale, "times");
    report.at_most(
        'h',
        "PostgreSQL back → a key that is revoked then was last accepted by any instance",
        last,
        "s",
        5.0,
    );
    Ok(())
}

/// Keys are revoked while one of three instances is frozen. It gets checks of them before it goes on.
pub async fn of_a_frozen_instance(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let keys = scene.fresh_keys((FREEZES + 1) * FROZEN_KEYS).await?;
    let instances = Instances::start(scene, "frozen", &[]).await?;
    let (with_receipt, without) = keys.split_at(FREEZES * FROZEN_KEYS);
    let (mut slowest, mut lapsed, mut stale) = (0_f64, usize::MAX, 0);
    for keys in with_receipt.chunks(FROZEN_KEYS) {
        let mut checking = freeze(&instances, keys).await?;
        let begun = Instant::now();
        let revoking = keys
            .iter()
            .zip(instances.0.iter().take(INSTANCES - 1).cycle())
            .map(|(key, server)| async move { revoke(&mut Connection::open(server.address).await?, key, 30).await });
        let receipts = try_join_all(revoking).await?;
        slowest = slowest.max(begun.elapsed().as_secs_f64());
        lapsed = receipts.iter().map(|receipt| receipt.lapsed).fold(lapsed, usize::min);
        stale += thaw(&instances, keys, &mut checking).await?;
    }
    let mut checking = freeze(&instances, without).await?;
    let mut connection = Connection::open(instances.0[0].address).await?;
    for key in without {
        let status = connection.send(&revocation(key, "")?).await?.status;
        if status != 204 {
            return Err(format!("a revocation has status {status}").into());
        }
    }
    let without_receipt = thaw(&instances, without, &mut checking).await?;
    instances.stop().await?;

    let what = format!(
        "one of {INSTANCES} instances frozen, {FREEZES} times: DELETE of {FROZEN_KEYS} keys at once → their receipts, at worst"
    );
    report.at_most('c', what, slowest, "s", 5.26); // the lease, its margin of 0.06 s, and 0.2 s
    report.at_least('c', "instances that each receipt counts as lapsed", as_figure(lapsed), "", 1.0);
    let what = format!("checks that wait for it when it goes on, of {}: accepted", with_receipt.len());
    report.never('c', what, stale, "times");
    let what = format!("the same without a receipt, right after the 204, of {FROZEN_KEYS}: accepted");
    report.info('c', what, as_figure(without_receipt), "times");
    Ok(())
}

/// Freezes the last instance, which has cached the keys. Returns a connection to it for each.
async fn freeze(instances: &Instances, keys: &[Key]) -> Outcome<Vec<Connection>> {
    let frozen = &instances.0[INSTANCES - 1];
    // Two heartbeats, so that it has its lease again after an earlier freeze.
    sleep(Duration::from_secs(2)).await;
    frozen.wait_until_ready().await?;
    instances.cache(keys).await?;
    let mut connections = try_join_all(keys.iter().map(|_| Connection::open(frozen.address))).await?;
    for (connection, key) in connections.iter_mut().zip(keys) {
        accepted(connection, &check(key)).await?.then_some(()).ok_or("a key was refused before its revocation")?;
    }
    frozen.signal("STOP").await?;
    Ok(connections)
}

/// Sends a check of each key, then lets the instance go on. Returns how many it accepts.
async fn thaw(instances: &Instances, keys: &[Key], connections: &mut [Connection]) -> Outcome<usize> {
    let checks: Vec<_> = keys.iter().map(check).collect();
    let checking =
        try_join_all(connections.iter_mut().zip(&checks).map(|(connection, check)| accepted(connection, check)));
    // In this order: the requests are written when `checking` is first polled.
    let (found, continued) = join(checking, instances.0[INSTANCES - 1].signal("CONT")).await;
    continued?;
    Ok(found?.into_iter().filter(|is_accepted| *is_accepted).count())
}
