//! Faults of the database: it goes away, its connections are killed, its pools are exhausted.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _};
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    load::{API, Load, Sample, by_admin, checks, count, last_failure, lost, p99, share},
    report::{Report, as_figure},
    stand::{Outcome, client::send_each, server::Server},
};

/// After a revocation is committed, nobody accepts the key for longer.
const REVOKED_WITHIN: Duration = Duration::from_millis(100);
const REST: Duration = Duration::from_millis(5);
const OUTAGES: usize = 4;

/// PostgreSQL is stopped, or crashes, and comes back, under load. Right after that somebody
/// revokes a key: an instance that has not heard of it yet must not accept it.
pub async fn outages(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "outages", &[]).await?;
    let keys = &scene.keys[..32];
    send_each(server.address, &checks(keys), 200).await?;
    let load = Load::start(server.address, checks(keys), 16, REST);
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
    let of_live_keys: Vec<_> = samples.into_iter().filter(|sample| sample.request >= OUTAGES).collect();
    // Of each outage, what was still told 503 after PostgreSQL had come back, and before the next one.
    let recovery = back.iter().enumerate().map(|(round, back)| {
        let end = back.checked_add(Duration::from_millis(500)).filter(|_| round + 1 < OUTAGES);
        let ours: Vec<_> =
            of_live_keys.iter().filter(|it| it.ended() > *back && end.is_none_or(|end| it.begun < end)).collect();
        ours.iter().filter(|it| !it.succeeded()).map(|it| (it.ended() - *back).as_secs_f64()).fold(0.0, f64::max)
    });
    let recovery = recovery.fold(0.0, f64::max);
    let unknown = count(&of_live_keys, |sample| sample.status == Some(503));
    let wrong = count(&of_live_keys, |sample| !sample.succeeded() && sample.status != Some(503));
    let what = format!("PostgreSQL stopped or crashed {OUTAGES} times under load: accepted although revoked");
    report.never('a', what, stale, "times");
    report.never('a', "checks of live keys answered by anything but 200 and 503", wrong, "answers");
    report.tell(
        'a',
        format!("checks that could not be made (503), of {}", of_live_keys.len()),
        as_figure(unknown),
        "answers",
    );
    report.at_most('a', "PostgreSQL back → last 503, at worst", recovery, "s", 2.0);
    report.at_most('a', "PostgreSQL back → readyz says ready (feed and cache too), at worst", ready, "s", 5.0);
    Ok(())
}

/// All of the service's connections are terminated, again and again, under load of every kind.
pub async fn killed_connections(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'rally-api-keys'";
    let server = Server::instance(&scene.database, "killed-connections", &[]).await?;
    let keys = &scene.keys[100..200];
    send_each(server.address, &checks(keys), 200).await?;
    let create = by_admin(scene, "POST", API, r#"{"name":"Made while connections die"}"#)?;
    let list = by_admin(scene, "GET", &format!("{API}?limit=10"), "")?;
    let checking = Load::start(server.address, checks(keys), 16, REST);
    let creating = Load::start(server.address, vec![create], 4, REST);
    let listing = Load::start(server.address, vec![list], 4, REST);
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
    let odd = [&checked, &created, &listed].into_iter();
    let odd = odd.map(|it| count(it, |sample| !sample.succeeded() && sample.status != Some(503))).sum();
    let recovery = [&checked, &created, &listed].into_iter().map(|it| last_failure(it, end)).fold(0.0, f64::max);
    report.tell('b', "all connections terminated, every 200 ms for 5 s: connections killed", as_figure(killed), "");
    report.tell(
        'b',
        format!("checks that failed (503), {}", share(failed(&checked), &checked)),
        as_figure(failed(&checked)),
        "answers",
    );
    report.tell(
        'b',
        format!("lists that failed (503), {}", share(failed(&listed), &listed)),
        as_figure(failed(&listed)),
        "answers",
    );
    report.tell(
        'b',
        format!("creates that failed (503), {}", share(failed(&created), &created)),
        as_figure(failed(&created)),
        "answers",
    );
    report.never('b', "answers that were neither a success nor 503", odd, "answers");
    report.never('b', "acknowledged creates that are lost", lost(scene, &created).await?, "keys");
    report.at_most('b', "last kill → last failure", recovery, "s", 1.0);
    Ok(())
}

/// Somebody holds a lock, so that everything that reads keys waits and fills the pools.
pub async fn exhausted_pools(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "exhausted", &[]).await?;
    let known = &scene.keys[200..300];
    send_each(server.address, &checks(known), 200).await?;
    let list = by_admin(scene, "GET", &format!("{API}?limit=10"), "")?;
    let create = by_admin(scene, "POST", API, r#"{"name":"Made while nothing goes"}"#)?;
    let mut locking = scene.database.connect().await?;
    locking.execute("BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE").await?;
    let checking = Load::start(server.address, checks(known), 8, REST);
    let managing = Load::start(server.address, vec![list, create], 64, REST);
    let asking = Load::start(server.address, checks(&scene.keys[300..400]), 64, REST);
    sleep(Duration::from_secs(10)).await;
    locking.execute("ROLLBACK").await?;
    let released = Instant::now();
    sleep(Duration::from_secs(2)).await;
    let (checked, managed, asked) = (checking.finish().await?, managing.finish().await?, asking.finish().await?);
    locking.close().await?;
    server.stop().await?;

    let unknown = |sample: &Sample| sample.status == Some(503);
    let failed = count(&checked, |sample| !sample.succeeded());
    let what = "api_keys locked for 10 s, 128 requests at a time waiting for it: checks of remembered keys that failed";
    report.never('c', what, failed, "answers");
    report.at_most('c', "checks of remembered keys meanwhile, p99", p99(&checked, |_| true), "ms", 100.0);
    let (of_managing, of_asking) = (count(&managed, unknown), count(&asked, unknown));
    report.at_most(
        'c',
        format!("503 to managing requests ({of_managing}), p99"),
        p99(&managed, unknown),
        "ms",
        8_000.0,
    );
    report.at_most('c', format!("503 to checks of other keys ({of_asking}), p99"), p99(&asked, unknown), "ms", 4_000.0);
    let odd = [&managed, &asked].into_iter();
    let odd = odd.map(|it| count(it, |sample| !sample.succeeded() && !unknown(sample))).sum();
    report.never('c', "answers that were neither a success nor 503", odd, "answers");
    let after = last_failure(&managed, released).max(last_failure(&asked, released));
    report.at_most('c', "lock released → last 503", after, "s", 1.0);
    Ok(())
}
