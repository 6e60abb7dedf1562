//! Faults of the database: outages, killed connections, exhausted pools.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _};
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    load::{API, Load, Sample, by_admin, checks, count, last_failure, lost, p99, share},
    report::{Report, as_figure},
    stand::{Outcome, client::send_each, server::Server},
};

/// From the commit of a revocation until every instance refuses the key.
const REVOKED_WITHIN: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(5);
const OUTAGES: usize = 4;

/// PostgreSQL is stopped or crashes under load, and is started again. A key is revoked right after that, before the
/// instance has reconnected: it must not accept the key.
pub async fn outages(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "outages", &[]).await?;
    let keys = &scene.keys[..32];
    send_each(server.address, &checks(keys), 200).await?;
    let load = Load::start(server.address, checks(keys), 16, PAUSE);
    let (mut revoked, mut back) = (Vec::new(), Vec::new());
    let mut ready = 0_f64;
    for round in 0..OUTAGES {
        sleep(Duration::from_millis(500)).await;
        if round % 2 == 0 {
            scene.database.stop_server().await?;
        } else {
            scene.database.crash_server().await?;
        }
        sleep(Duration::from_millis(500)).await;
        scene.database.start_server().await?;
        back.push(Instant::now());
        let mut connection = scene.database.connect().await?;
        sqlx::query("UPDATE api_keys SET revoked_at = now() WHERE id = $1")
            .bind(keys[round].id.0)
            .execute(&mut connection)
            .await?;
        revoked.push(Instant::now());
        server.wait_until_ready().await?;
        ready = ready.max(back[round].elapsed().as_secs_f64());
    }
    sleep(Duration::from_millis(500)).await;
    let samples = load.finish().await?;
    server.stop().await?;

    let stale = count(&samples, |sample| {
        let at = revoked.get(sample.request);
        sample.succeeded() && at.is_some_and(|at| sample.begun >= *at + REVOKED_WITHIN)
    });
    let of_active_keys: Vec<_> = samples.into_iter().filter(|sample| sample.request >= OUTAGES).collect();
    // For each outage: responses of 503 after PostgreSQL was back and before the next outage.
    let recovery = back.iter().enumerate().map(|(round, back)| {
        let end = back.checked_add(Duration::from_millis(500)).filter(|_| round + 1 < OUTAGES);
        let samples: Vec<_> =
            of_active_keys.iter().filter(|it| it.ended() > *back && end.is_none_or(|end| it.begun < end)).collect();
        samples.iter().filter(|it| !it.succeeded()).map(|it| (it.ended() - *back).as_secs_f64()).fold(0.0, f64::max)
    });
    let recovery = recovery.fold(0.0, f64::max);
    let unavailable = count(&of_active_keys, |sample| sample.status == Some(503));
    let wrong = count(&of_active_keys, |sample| !sample.succeeded() && sample.status != Some(503));
    let what = format!("PostgreSQL stopped or crashed {OUTAGES} times under load: revoked keys accepted");
    report.never('a', what, stale, "times");
    report.never('a', "checks of active keys with another status than 200 and 503", wrong, "responses");
    report.info(
        'a',
        format!("checks refused with 503, of {}", of_active_keys.len()),
        as_figure(unavailable),
        "responses",
    );
    report.at_most('a', "PostgreSQL back → last 503, at worst", recovery, "s", 2.0);
    report.at_most('a', "PostgreSQL back → readyz says ready (change feed too), at worst", ready, "s", 5.0);
    Ok(())
}

/// All of the service's connections are terminated repeatedly, under checks, creates and lists.
pub async fn killed_connections(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'rally-api-keys'";
    let server = Server::instance(&scene.database, "killed-connections", &[]).await?;
    let keys = &scene.keys[100..200];
    send_each(server.address, &checks(keys), 200).await?;
    let create = by_admin(scene, "POST", API, r#"{"name":"Created while connections are killed"}"#)?;
    let list = by_admin(scene, "GET", &format!("{API}?limit=10"), "")?;
    let checking = Load::start(server.address, checks(keys), 16, PAUSE);
    let creating = Load::start(server.address, vec![create], 4, PAUSE);
    let listing = Load::start(server.address, vec![list], 4, PAUSE);
    let mut connection = scene.database.connect().await?;
    let mut killed = 0;
    for _ in 0..25 {
        sleep(Duration::from_millis(200)).await;
        killed += sqlx::query_scalar::<_, i64>(KILL).fetch_one(&mut connection).await?;
    }
    let end = Instant::now();
    sleep(Duration::from_secs(2)).await;
    let (checked, created, listed) = (checking.finish().await?, creating.finish().await?, listing.finish().await?);
    server.wait_until_ready().await?;
    server.stop().await?;

    let killed = usize::try_from(killed)?;
    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    let unexpected = [&checked, &created, &listed].into_iter();
    let unexpected = unexpected.map(|it| count(it, |sample| !sample.succeeded() && sample.status != Some(503))).sum();
    let recovery = [&checked, &created, &listed].into_iter().map(|it| last_failure(it, end)).fold(0.0, f64::max);
    report.info('b', "all connections terminated, every 200 ms for 5 s: connections killed", as_figure(killed), "");
    report.info(
        'b',
        format!("checks that failed (503), {}", share(failed(&checked), &checked)),
        as_figure(failed(&checked)),
        "responses",
    );
    report.info(
        'b',
        format!("lists that failed (503), {}", share(failed(&listed), &listed)),
        as_figure(failed(&listed)),
        "responses",
    );
    report.info(
        'b',
        format!("creates that failed (503), {}", share(failed(&created), &created)),
        as_figure(failed(&created)),
        "responses",
    );
    report.never('b', "responses that were neither a success nor 503", unexpected, "responses");
    report.never('b', "acknowledged creates that were lost", lost(scene, &created).await?, "keys");
    report.at_most('b', "last kill → last failure", recovery, "s", 1.0);
    Ok(())
}

/// A lock on the table of keys blocks every query of a key, so that the pools are exhausted.
pub async fn exhausted_pools(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "exhausted", &[]).await?;
    let cached = &scene.keys[200..300];
    send_each(server.address, &checks(cached), 200).await?;
    let list = by_admin(scene, "GET", &format!("{API}?limit=10"), "")?;
    let create = by_admin(scene, "POST", API, r#"{"name":"Created while the table is locked"}"#)?;
    let mut locking = scene.database.connect().await?;
    locking.execute("BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE").await?;
    let checking = Load::start(server.address, checks(cached), 8, PAUSE);
    let managing = Load::start(server.address, vec![list, create], 64, PAUSE);
    let missing = Load::start(server.address, checks(&scene.keys[300..400]), 64, PAUSE);
    sleep(Duration::from_secs(10)).await;
    locking.execute("ROLLBACK").await?;
    let released = Instant::now();
    sleep(Duration::from_secs(2)).await;
    let (checked, managed, missed) = (checking.finish().await?, managing.finish().await?, missing.finish().await?);
    locking.close().await?;
    server.stop().await?;

    let unavailable = |sample: &Sample| sample.status == Some(503);
    let failed = count(&checked, |sample| !sample.succeeded());
    let what = "api_keys locked for 10 s, 128 concurrent requests waiting: checks of cached keys that failed";
    report.never('c', what, failed, "responses");
    report.at_most('c', "checks of cached keys meanwhile, p99", p99(&checked, |_| true), "ms", 100.0);
    let (of_managing, of_missed) = (count(&managed, unavailable), count(&missed, unavailable));
    report.at_most(
        'c',
        format!("503 of the management API ({of_managing}), p99"),
        p99(&managed, unavailable),
        "ms",
        8_000.0,
    );
    report.at_most(
        'c',
        format!("503 to checks of keys that are not cached ({of_missed}), p99"),
        p99(&missed, unavailable),
        "ms",
        4_000.0,
    );
    let unexpected = [&managed, &missed].into_iter();
    let unexpected = unexpected.map(|it| count(it, |sample| !sample.succeeded() && !unavailable(sample))).sum();
    report.never('c', "responses that were neither a success nor 503", unexpected, "responses");
    let after = last_failure(&managed, released).max(last_failure(&missed, released));
    report.at_most('c', "lock released → last 503", after, "s", 1.0);
    Ok(())
}
