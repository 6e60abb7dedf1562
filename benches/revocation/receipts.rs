//! Receipts while all is well: how long they take, and that they are true.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::{
    Scene,
    instances::{INSTANCES, Instances, Receipt, revocation, revoke},
    load::percentile,
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, accepted, check},
        keys::Key,
    },
};

const REVOCATIONS: usize = 500;
/// On a slow machine, the revocations that are left after this time are skipped.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Checked meanwhile, over so many connections to each instance.
const BACKGROUND_KEYS: usize = 200;
const BACKGROUND_CONNECTIONS: usize = 8;
const PAUSE: Duration = Duration::from_millis(5);
/// Until every instance refuses a key that was revoked without waiting; more is an error.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Revocations with a receipt, one after the other, on idle instances and on busy ones. Then the same without a receipt.
pub async fn healthy(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let keys = scene.fresh_keys(4 * REVOCATIONS).await?;
    let background = scene.fresh_keys(BACKGROUND_KEYS).await?;
    let instances = Instances::start(scene, "receipts", &[]).await?;
    instances.cache(&keys).await?;
    instances.cache(&background).await?;
    let keys: Vec<_> = keys.chunks(REVOCATIONS).collect();
    let idle = (with_receipts(&instances, keys[0]).await?, without(&instances, keys[1]).await?);
    let (loads, begun) = (instances.load(&background, BACKGROUND_CONNECTIONS, PAUSE), Instant::now());
    let busy = (with_receipts(&instances, keys[2]).await?, without(&instances, keys[3]).await?);
    let took = begun.elapsed();
    let mut checks = 0;
    for load in loads {
        checks += load.finish().await?.len();
    }
    instances.stop().await?;

    let rate = as_figure(checks) / took.as_secs_f64();
    let [when_idle, when_busy] = ["idle instances".to_owned(), format!("{rate:.0} checks/s on all instances")];
    for (when, most, (receipts, last_accepts)) in [(when_idle, 10.0, idle), (when_busy, 25.0, busy)] {
        report_receipts(report, 'a', &when, Some(most), &receipts);
        report_last_accepts(report, &when, last_accepts);
    }
    Ok(())
}

pub struct Observed {
    pub receipt: Receipt,
    /// The whole call, in milliseconds.
    pub took: f64,
    /// Instances that accepted the key after the receipt.
    stale: usize,
}

/// Revokes the keys one after the other, each with a receipt.
pub async fn with_receipts(instances: &Instances, keys: &[Key]) -> Outcome<Vec<Observed>> {
    let mut connections = instances.connect().await?;
    let (mut observed, started) = (Vec::new(), Instant::now());
    for (n, key) in keys.iter().enumerate().take_while(|_| started.elapsed() < TIME_LIMIT) {
        let (begun, check) = (Instant::now(), check(key));
        let receipt = revoke(&mut connections[n % INSTANCES], key, 30).await?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let checked = try_join_all(connections.iter_mut().map(|connection| accepted(connection, &check))).await?;
        let stale = checked.into_iter().filter(|is_accepted| *is_accepted).count();
        observed.push(Observed { receipt, took, stale });
    }
    Ok(observed)
}

/// Revokes keys while the other instances check them without a pause. Returns for each, in milliseconds, how long after the
/// 204 another instance accepted a check that was sent after it; 0 if none did.
async fn without(instances: &Instances, keys: &[Key]) -> Outcome<Vec<f64>> {
    let mut connections = instances.connect().await?;
    let (mut last_accepts, started) = (Vec::new(), Instant::now());
    for key in keys.iter().take_while(|_| started.elapsed() < TIME_LIMIT) {
        let (revocation, check) = (revocation(key, "")?, check(key));
        let (one, others) = connections.split_first_mut().ok_or("no instance")?;
        let revoking = async {
            match one.send(&revocation).await?.status {
                204 => Ok(Instant::now()),
                status => Outcome::Err(format!("a revocation has status {status}").into()),
            }
        };
        let checking = try_join_all(others.iter_mut().map(|connection| until_refused(connection, &check)));
        let (acknowledged, last) = tokio::try_join!(revoking, checking)?;
        let stale = last.into_iter().flatten().filter(|(begun, _)| *begun > acknowledged);
        let after = stale.map(|(_, ended)| (ended - acknowledged).as_secs_f64() * 1e3);
        last_accepts.push(after.fold(0.0, f64::max));
        connections.rotate_left(1);
    }
    Ok(last_accepts)
}

/// Start and end of the last check that was accepted.
async fn until_refused(connection: &mut Connection, check: &str) -> Outcome<Option<(Instant, Instant)>> {
    let (mut last, deadline) = (None, Instant::now() + REFUSAL_TIMEOUT);
    loop {
        let begun = Instant::now();
        if !accepted(connection, check).await? {
            return Ok(last);
        }
        last = Some((begun, Instant::now()));
        if begun > deadline {
            return Err("a revoked key was still accepted after ten seconds".into());
        }
    }
}

/// `most`: the goal for the p99 of the slowest acknowledgement, in milliseconds.
pub fn report_receipts(report: &mut Report, row: char, when: &str, most: Option<f64>, observed: &[Observed]) {
    let slowest: Vec<_> = observed.iter().map(|it| it.receipt.slowest_ms).collect();
    let took: Vec<_> = observed.iter().map(|it| it.took).collect();
    let incomplete = observed.iter().filter(|it| it.receipt.acknowledged != INSTANCES).count();
    let what = format!("{} DELETEs with Prefer: wait, {when}: slowest-ms of the receipts, p50", observed.len());
    report.info(row, what, percentile(slowest.clone(), 50), "ms");
    let p99 = percentile(slowest, 99);
    match most {
        Some(most) => report.at_most(row, "the same, p99", p99, "ms", most),
        None => report.info(row, "the same, p99", p99, "ms"),
    }
    report.info(row, "the whole call, p50", percentile(took.clone(), 50), "ms");
    report.info(row, "the same, p99", percentile(took, 99), "ms");
    report.never(row, "receipts without the acknowledgement of an instance", incomplete, "");
    let stale = observed.iter().map(|it| it.stale).sum();
    report.never(row, "checked on all instances right after the receipt: accepted", stale, "times");
}

fn report_last_accepts(report: &mut Report, when: &str, last: Vec<f64>) {
    let stale = as_figure(last.iter().filter(|after| **after > 0.0).count());
    let count = last.len();
    let what = format!("{count} DELETEs without Prefer, {when}: keys that another instance accepted after the 204");
    report.info('a', what, stale, "");
    report.info('a', "204 → last accepted by another instance, p50", percentile(last.clone(), 50), "ms");
    report.info('a', "the same, p99", percentile(last.clone(), 99), "ms");
    report.info('a', "the same, max", percentile(last, 100), "ms");
}
