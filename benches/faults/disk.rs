//! The disk of the database is full.

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
const REST: Duration = Duration::from_millis(5);

/// On a small disk of its own, in memory, which only root can make.
pub async fn full(report: &mut Report) -> Outcome<()> {
    let dir = std::env::temp_dir().join(format!("rally-api-keys-disk-{}", std::process::id()));
    fs::create_dir(&dir)?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "none"]).arg(&dir).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        fs::remove_dir(&dir)?;
        report.skip('d', "a small disk could not be mounted, which takes root");
        return Ok(());
    }
    let settings = [("min_wal_size", "32MB"), ("max_wal_size", "48MB")];
    let mut scene = Scene::set(Database::start_in(dir, &settings).await?, 100).await?;
    let outcome = fill(&mut scene, report).await;
    scene.database.stop().await?;
    outcome
}

async fn fill(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "full", &[]).await?;
    // Its checks ask the database each time.
    let cold = Server::instance(&scene.database, "full-cold", &[("VERIFY_CACHE_ENTRIES", "0")]).await?;
    send_each(server.address, &checks(&scene.keys), 200).await?;
    let create = by_admin(scene, "POST", API, r#"{"name":"Made until there is no room"}"#)?;
    let creating = Load::start(server.address, vec![create.clone()], 4, REST);
    let checking = Load::start(server.address, checks(&scene.keys), 8, REST);
    let asking = Load::start(cold.address, checks(&scene.keys), 4, REST);
    sleep(Duration::from_secs(1)).await;
    let filler = scene.database.dir().join("filler");
    fill_up(&filler)?;
    let no_room = Instant::now();
    sleep(Duration::from_secs(6)).await;
    fs::remove_file(&filler)?;
    let freed = Instant::now();
    sleep(Duration::from_secs(3)).await;
    let (created, checked, asked) = (creating.finish().await?, checking.finish().await?, asking.finish().await?);

    let refused = count(&created, |sample| sample.status == Some(503));
    let odd = count(&created, |sample| !sample.succeeded() && sample.status != Some(503));
    report.at_least(
        'd',
        format!("the disk of PostgreSQL full for 6 s: creates told 503, {}", share(refused, &created)),
        as_figure(refused),
        "answers",
        1.0,
    );
    report.never('d', "creates answered by anything but 201 and 503", odd, "answers");
    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    report.never('d', "checks of remembered keys that failed", failed(&checked), "answers");
    report.never('d', "checks that ask the database that failed", failed(&asked), "answers");
    report.never('d', "acknowledged creates that are lost", lost(scene, &created).await?, "keys");
    let first = created.iter().find(|sample| sample.begun > freed && sample.succeeded());
    let recovery = first.map_or(f64::INFINITY, |sample| (sample.ended() - freed).as_secs_f64());
    report.at_most('d', "room again → first create", recovery, "s", 2.0);
    let before_failing = created.iter().find(|sample| sample.ended() > no_room && !sample.succeeded());
    eprintln!(
        "d: the first create failed {:.2?} after the disk was full",
        before_failing.map(|it| it.ended() - no_room)
    );

    // No room for the log either: PostgreSQL gives up, and comes back when somebody has made room.
    let creating = Load::start(server.address, vec![create], 4, REST);
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
    let gave_up = scene.database.connect().await.is_err();
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
    let odd = count(&created, |sample| !sample.succeeded() && sample.status != Some(503));
    let what = if gave_up { "its log full too, so that it gives up and is started again" } else { "its log full too" };
    report.never('d', format!("{what}: creates answered by anything but 201 and 503"), odd, "answers");
    report.never('d', "acknowledged creates that are lost", lost(scene, &created).await?, "keys");
    report.at_most('d', "PostgreSQL back → readyz says ready on both instances", ready, "s", 5.0);
    server.stop().await?;
    cold.stop().await
}

/// Writes until nothing goes in any more.
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
