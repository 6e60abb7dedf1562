//! Row j: the memory of an instance.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    Outcome,
    report::{Line, Report},
    rows::checks,
    seed::Seed,
    stand::{client::send_each, postgres::Database, server::Server},
};

/// Of a new instance: before its first request, and with 200,000 cached keys.
pub async fn measure(database: &Database, seed: &Seed, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(database, "memory", &[]).await?;
    sleep(Duration::from_secs(2)).await;
    let idle = server.memory("VmRSS")?;
    for keys in [&seed.keys, &seed.more] {
        send_each(server.address, &checks(keys), 200).await?;
    }
    database.settle().await?; // usage takes memory until it is written
    let (full, peak) = (server.memory("VmRSS")?, server.memory("VmHWM")?);
    server.stop().await?;
    let keys = seed.keys.len() + seed.more.len();
    for (name, what, mebibytes) in [
        ("j1", "memory, idle".to_owned(), idle),
        ("j2", format!("memory, {keys} cached keys"), full),
        ("j3", "memory, peak until then".to_owned(), peak),
    ] {
        let mut line = Line::new(name, &what, "MiB");
        line.add(mebibytes, None);
        report.lines.push(line);
        eprintln!("{what}: {mebibytes:.1} MiB");
    }
    Ok(())
}
