//! Many revocations with receipts, in batches, under load.

use std::{
    cell::{Cell, RefCell},
    env,
    time::Duration,
};

use futures_util::future::try_join_all;
use rally_api_keys::{domain::Tenant, store::TenantAdmin};
use tokio::time::Instant;

use crate::{
    Scene,
    instances::{INSTANCES, Instances, Receipt, revocation, revoke},
    load::percentile,
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, accepted, check},
        keys::{self, Key},
    },
};

const REVOCATIONS: usize = 100_000;
/// Keys that are seeded and cached together.
const BATCH: usize = 2_000;
/// Revoked without a receipt, for comparison.
const WITHOUT: usize = 2_000;
/// Concurrent calls.
const CALLERS: usize = 24;
/// So that the share of a single one does not limit the calls.
const TENANTS: usize = 8;
/// Checked meanwhile, over so many connections to each instance.
const BACKGROUND_KEYS: usize = 200;
const BACKGROUND_CONNECTIONS: usize = 8;
const PAUSE: Duration = Duration::from_millis(5);
/// In seconds.
const WAIT: u64 = 30;

/// The results of all batches.
#[derive(Default)]
struct Found {
    receipts: RefCell<Vec<Receipt>>,
    /// Of each call, in milliseconds.
    took: RefCell<Vec<f64>>,
    checks: Cell<usize>,
    accepted: Cell<usize>,
}

/// Each key is checked on every instance right after its receipt. Then the same without receipts, for comparison.
pub async fn revoked(scene: &Scene, report: &mut Report) -> Outcome<()> {
    let count = match env::var("BENCH_REVOCATIONS") {
        Ok(text) => text.parse().map_err(|_| "BENCH_REVOCATIONS is not a number")?,
        Err(_) => REVOCATIONS,
    };
    let mut admin = TenantAdmin::connect(&scene.database.url()).await?;
    let mut tenants = Vec::new();
    for n in 0..TENANTS {
        tenants.push(keys::tenant(&mut admin, &format!("many-{n}")).await?);
    }
    let background = scene.fresh_keys(BACKGROUND_KEYS).await?;
    let instances = Instances::start(scene, "many", &[]).await?;
    instances.cache(&background).await?;
    let (loads, started) = (instances.load(&background, BACKGROUND_CONNECTIONS, PAUSE), Instant::now());
    let (with, without) = (Found::default(), Found::default());
    let mut took = Duration::ZERO;
    for first in (0..count).step_by(BATCH) {
        took += batch(scene, &instances, &tenants, BATCH.min(count - first), Some(WAIT), &with).await?;
        for server in &instances.0 {
            server.empty_log()?;
        }
    }
    batch(scene, &instances, &tenants, WITHOUT, None, &without).await?;
    let loaded = started.elapsed();
    let (mut checks, mut failed) = (0, 0);
    for load in loads {
        let samples = load.finish().await?;
        checks += samples.len();
        failed += samples.iter().filter(|sample| !sample.succeeded()).count();
    }
    instances.stop().await?;

    let rate = as_figure(checks) / loaded.as_secs_f64();
    let what = format!(
        "{count} DELETEs with Prefer: wait, {CALLERS} at once, {rate:.0} checks/s on all instances: receipts per second"
    );
    report.info('b', what, as_figure(count) / took.as_secs_f64(), "");
    let receipts = with.receipts.into_inner();
    let slowest: Vec<_> = receipts.iter().map(|receipt| receipt.slowest_ms).collect();
    report.info('b', "slowest-ms of the receipts, p50", percentile(slowest.clone(), 50), "ms");
    report.info('b', "the same, p99", percentile(slowest, 99), "ms");
    report.info('b', "the whole call, p99", percentile(with.took.into_inner(), 99), "ms");
    let incomplete = receipts.iter().filter(|receipt| receipt.acknowledged != INSTANCES).count();
    report.never('b', "receipts without the acknowledgement of an instance", incomplete, "");
    let what = format!("{} checks, of each key on all instances right after its receipt: accepted", with.checks.get());
    report.never('b', what, with.accepted.get(), "times");
    let what =
        format!("{WITHOUT} DELETEs without Prefer, {} such checks right after the 204: accepted", without.checks.get());
    report.info('b', what, as_figure(without.accepted.get()), "times");
    report.never('b', format!("checks of other keys meanwhile that failed, of {checks}"), failed, "responses");
    Ok(())
}

/// Returns how long the revocations and their checks took.
async fn batch(
    scene: &Scene,
    instances: &Instances,
    tenants: &[Tenant],
    count: usize,
    wait: Option<u64>,
    found: &Found,
) -> Outcome<Duration> {
    let keys = keys::generate(tenants, count);
    keys::copy_stamped(&mut scene.database.connect().await?, &keys).await?;
    instances.cache(&keys).await?;
    let (next, begun) = (&Cell::new(0), Instant::now());
    let callers = (0..CALLERS).map(|caller| {
        let keys = &keys;
        async move {
            let mut connections = instances.connect().await?;
            while let Some(key) = keys.get(next.replace(next.get() + 1)) {
                revoke_and_check(&mut connections, caller % INSTANCES, key, wait, found).await?;
            }
            Outcome::Ok(())
        }
    });
    try_join_all(callers).await?;
    Ok(begun.elapsed())
}

async fn revoke_and_check(
    connections: &mut [Connection],
    at: usize,
    key: &Key,
    wait: Option<u64>,
    found: &Found,
) -> Outcome<()> {
    let begun = Instant::now();
    if let Some(wait) = wait {
        let receipt = revoke(&mut connections[at], key, wait).await?;
        found.receipts.borrow_mut().push(receipt);
    } else {
        let status = connections[at].send(&revocation(key, "")?).await?.status;
        if status != 204 {
            return Err(format!("a revocation has status {status}").into());
        }
    }
    found.took.borrow_mut().push(begun.elapsed().as_secs_f64() * 1e3);
    let check = check(key);
    let checked = try_join_all(connections.iter_mut().map(|connection| accepted(connection, &check))).await?;
    found.checks.set(found.checks.get() + checked.len());
    let accepted = checked.into_iter().filter(|is_accepted| *is_accepted).count();
    found.accepted.set(found.accepted.get() + accepted);
    Ok(())
}
