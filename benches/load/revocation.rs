//! Row k: how soon another instance refuses a revoked key, and that the instance that acknowledged the revocation never
//! accepts it again.

use std::{
    cell::Cell,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use rally_api_keys::domain::Scope;

use crate::{
    Outcome,
    report::{Line, Report},
    rows::checks,
    seed::Seed,
    stand::{
        client::{Connection, accepted, check, request, send_each},
        exact,
        keys::{Key, token},
        postgres::Database,
        server::Server,
    },
    wrk::{Wrk, write_requests},
};

const REVOCATIONS: usize = 1_000;
const CONCURRENT: usize = 10;
/// On a slow machine, the revocations that are left after this time are skipped.
const TIME_LIMIT: Duration = Duration::from_secs(50);
/// Keys of the same tenants, for the background load.
const BACKGROUND_KEYS: usize = 1_000;
const BACKGROUND_CONNECTIONS: usize = 32;
/// How often the acknowledging instance checks each revoked key.
const CHECKS: usize = 3;
/// Until the other instance refuses; more is an error.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Observed {
    /// From the 204 to the first refusal of the other instance, in milliseconds.
    delays: Vec<f64>,
    /// From the 204 to the last acceptance by the other instance, in milliseconds; 0 if there was none after it.
    last_accepted: Vec<f64>,
    /// Acceptances after the 204 by the instance that sent it.
    stale: u64,
    /// Acceptances by the other instance after its first refusal.
    flapping: u64,
}

pub async fn measure(wrk: &Wrk, database: &Database, seed: &Seed, report: &mut Report) -> Outcome<()> {
    let one = Server::instance(database, "one", &[]).await?;
    let other = Server::instance(database, "other", &[]).await?;
    let (background, revoked) = (&seed.keys[..BACKGROUND_KEYS], &seed.keys[BACKGROUND_KEYS..][..REVOCATIONS]);
    let file = database.dir().join("background.requests");
    write_requests(&file, &checks(background))?;
    for server in [&one, &other] {
        send_each(server.address, &checks(background), 200).await?;
    }
    let done = Cell::new(false);
    let revocations = async {
        let outcome = revoke_all(one.address, other.address, revoked).await;
        done.set(true);
        outcome
    };
    let (outcome, rate_of_one, rate_of_other) = tokio::join!(
        revocations,
        load_until(&done, wrk, one.address, &file),
        load_until(&done, wrk, other.address, &file)
    );
    let mut all = outcome?;
    one.stop().await?;
    other.stop().await?;
    let background = format!("{:.0} and {:.0} requests/s in the background", rate_of_one?, rate_of_other?);
    all.delays.sort_by(f64::total_cmp);
    all.last_accepted.sort_by(f64::total_cmp);
    let slowest = &all.delays[all.delays.len().saturating_sub(5)..];
    eprintln!("{} revocations, the slowest refused after {slowest:.1?} ms, {background}", all.delays.len());
    let count = all.delays.len();
    let percentile =
        |of: &[f64], hundredths: usize| of.get((count * hundredths).div_ceil(100).saturating_sub(1)).copied();
    for (name, what, of, hundredths) in [
        ("k p50", format!("{count} revocations: 204 on one → refused on the other, p50"), &all.delays, 50),
        ("k p99", format!("the same, p99; {background}"), &all.delays, 99),
        ("k max", "the same, max".to_owned(), &all.delays, 100),
        ("k in p99", "204 on one → last accepted by the other, p99".to_owned(), &all.last_accepted, 99),
        ("k in max", "the same, max".to_owned(), &all.last_accepted, 100),
    ] {
        let mut line = Line::new(name, &what, "ms");
        line.add(percentile(of, hundredths).ok_or("no revocation was made")?, None);
        report.lines.push(line);
    }
    for (name, what, found) in [
        ("k stale", "accepted by the one after its 204", all.stale),
        ("k again", "accepted by the other after its first refusal", all.flapping),
    ] {
        let mut line = Line::new(name, what, "times");
        line.add(exact(found), None);
        report.lines.push(line);
    }
    Ok(())
}

async fn load_until(done: &Cell<bool>, wrk: &Wrk, address: SocketAddr, requests: &Path) -> Outcome<f64> {
    let (mut sent, mut seconds) = (0.0, 0.0);
    while !done.get() {
        let load = wrk.run(address, requests, BACKGROUND_CONNECTIONS, 2).await?;
        if load.refused + load.broken > 0 {
            return Err(format!("{} background requests failed", load.refused + load.broken).into());
        }
        sent += exact(load.requests);
        seconds += load.seconds;
    }
    Ok(sent / seconds)
}

async fn revoke_all(one: SocketAddr, other: SocketAddr, keys: &[Key]) -> Outcome<Observed> {
    let (next, started) = (&AtomicUsize::new(0), Instant::now());
    let workers = (0..CONCURRENT).map(|_| async move {
        let mut observed = Observed::default();
        let (mut at_one, mut at_other) = (Connection::open(one).await?, Connection::open(other).await?);
        while started.elapsed() < TIME_LIMIT
            && let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed))
        {
            revoke(key, &mut at_one, &mut at_other, &mut observed).await?;
        }
        Outcome::Ok(observed)
    });
    let each = try_join_all(workers).await?;
    Ok(each.into_iter().fold(Observed::default(), |mut all, one| {
        all.delays.extend(one.delays);
        all.last_accepted.extend(one.last_accepted);
        Observed { stale: all.stale + one.stale, flapping: all.flapping + one.flapping, ..all }
    }))
}

async fn revoke(key: &Key, one: &mut Connection, other: &mut Connection, observed: &mut Observed) -> Outcome<()> {
    let check = check(key);
    for connection in [&mut *one, &mut *other] {
        accepted(connection, &check).await?.then_some(()).ok_or("a key was refused before its revocation")?;
    }
    let admin = format!("Authorization: Bearer {}\r\n", token(&key.tenant, Scope::Admin)?);
    let path = format!("/api/v1/api-keys/{}", key.id);
    let reply = one.send(&request("DELETE", &path, &key.tenant, &admin, "")).await?;
    let acknowledged = Instant::now();
    if reply.status != 204 {
        return Err(format!("a revocation has status {}", reply.status).into());
    }
    let check_one = async {
        let mut stale = 0;
        for _ in 0..CHECKS {
            stale += u64::from(accepted(one, &check).await?);
        }
        Outcome::Ok(stale)
    };
    let check_other = async {
        let mut last_accepted = Duration::ZERO;
        while accepted(other, &check).await? {
            last_accepted = acknowledged.elapsed();
            if acknowledged.elapsed() > REFUSAL_TIMEOUT {
                return Err("a revoked key was still accepted after ten seconds".into());
            }
        }
        // Measured when the refusal has arrived: an upper bound.
        let delay = acknowledged.elapsed();
        Outcome::Ok((delay, last_accepted, u64::from(accepted(other, &check).await?)))
    };
    let (stale, (delay, last_accepted, flapping)) = tokio::try_join!(check_one, check_other)?;
    observed.delays.push(delay.as_secs_f64() * 1e3);
    observed.last_accepted.push(last_accepted.as_secs_f64() * 1e3);
    observed.stale += stale;
    observed.flapping += flapping;
    Ok(())
}
