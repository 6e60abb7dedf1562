//! A full disk of the database.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    process::Command,
    time::Duration,
};

use sqlx::Executor as _;
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    load::{API, Load, Sample, by_admin, checks, count, lost, share},
    report::{Report, as_figure},
    stand::{Outcome, client::send_each, postgres::Database, server::Server},
};

const SIZE: &str = "160m";
const PAUSE: Duration = Duration::from_millis(5);

/// On a small file system in memory, which only root can mount.
pub async fn full(report: &mut Report) -> Outcome<()> {
    let dir = std::env::temp_dir().join(format!("rally-api-keys-disk-{}", std::process::id()));
    fs::create_dir(&dir)?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "none"]).arg(&dir).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        fs::remove_dir(&dir)?;
        report.skip('d', "cannot mount a small file system: run as root");
        return Ok(());
    }
    let settings = [("min_wal_size", "32MB"), ("max_wal_size", "48MB")];
    let mut scene = Scene::seed(Database::start_in(dir, &settings).await?, 100).await?;
    let outcome = fill(&mut scene, report).await;
    scene.database.stop().await?;
    outcome
}

async fn fill(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "full", &[]).await?;
    // Without a cache.
    let cold = Server::instance(&scene.database, "full-cold", &[("VERIFY_CACHE_ENTRIES", "0")]).await?;
    send_each(server.address, &checks(&scene.keys), 200).await?;
    let create = by_admin(scene, "POST", API, r#"{"name":"Created until the disk is full"}"#)?;
    let creating = Load::start(server.address, vec![create.clone()], 4, PAUSE);
    let checking = Load::start(server.address, checks(&scene.keys), 8, PAUSE);
    let uncached = Load::start(cold.address, checks(&scene.keys), 4, PAUSE);
    sleep(Duration::from_secs(1)).await;
    let filler = scene.database.dir().join("filler");
    fill_up(&filler)?;
    let full_since = Instant::now();
    sleep(Duration::from_secs(6)).await;
    fs::remove_file(&filler)?;
    let freed = Instant::now();
    sleep(Duration::from_secs(3)).await;
    let (created, checked, read) = (creating.finish().await?, checking.finish().await?, uncached.finish().await?);

    let refused = count(&created, |sample| sample.status == Some(503));
    let unexpected = count(&created, |sample| !sample.succeeded() && sample.status != Some(503));
    report.at_least(
        'd',
        format!("the disk of PostgreSQL full for 6 s: creates refused with 503, {}", share(refused, &created)),
        as_figure(refused),
        "responses",
        1.0,
    );
    report.never('d', "creates with another status than 201 and 503", unexpected, "responses");
    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    report.never('d', "checks of cached keys that failed", failed(&checked), "responses");
    report.never('d', "checks without a cache that failed", failed(&read), "responses");
    report.never('d', "acknowledged creates that were lost", lost(scene, &created).await?, "keys");
    let first = created.iter().find(|sample| sample.begun > freed && sample.succeeded());
    let recovery = first.map_or(f64::INFINITY, |sample| (sample.ended() - freed).as_secs_f64());
    report.at_most('d', "space freed → first create", recovery, "s", 2.0);
    let before_failing = created.iter().find(|sample| sample.ended() > full_since && !sample.succeeded());
    eprintln!(
        "d: the first create failed {:.2?} after the disk was full",
        before_failing.map(|it| it.ended() - full_since)
    );

    // Without space for the WAL either, PostgreSQL ends, and is started again once there is space.
    let creating = Load::start(server.address, vec![create], 4, PAUSE);
    fill_up(&filler)?;
    let mut connection = scene.database.connect().await?;
    for _ in 0..20 {
        if connection
            .execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)), pg_switch_wal()")
            .await
            .is_err()
        {
            break;
        }
    }
    sleep(Duration::from_secs(2)).await;
    let ended = scene.database.connect().await.is_err();
    fs::remove_file(&filler)?;
    sleep(Duration::from_millis(500)).await;
    scene.database.start_server().await?;
    let back = Instant::now();
    server.wait_until_ready().await?;
    cold.wait_until_ready().await?;
    let ready = back.elapsed().as_secs_f64();
    sleep(Duration::from_secs(1)).await;
    let created = creating.finish().await?;
    send_each(server.address, &checks(&scene.keys), 200).await?;
    send_each(cold.address, &checks(&scene.keys), 200).await?;
    let unexpected = count(&created, |sample| !sample.succeeded() && sample.status != Some(503));
    let what = if ended {
        "no space for the WAL, so that PostgreSQL ends and is started again"
    } else {
        "no space for the WAL"
    };
    report.never('d', format!("{what}: creates with another status than 201 and 503"), unexpected, "responses");
    report.never('d', "acknowledged creates that were lost", lost(scene, &created).await?, "keys");
    report.at_most('d', "PostgreSQL back → readyz says ready on both instances", ready, "s", 5.0);
    server.stop().await?;
    cold.stop().await
}

/// Writes until the file system is full.
fn fill_up(path: &Path) -> Outcome<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    for size in [1 << 20, 4096] {
        let zeros = vec![0; size];
        while write_all(&mut file, &zeros) {}
    }
    Ok(())
}

fn write_all(file: &mut File, bytes: &[u8]) -> bool {
    file.write_all(bytes).is_ok()
}
