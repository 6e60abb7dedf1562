//! What connections of others that listen on a channel of theirs cost a receipt: each commit that notifies wakes every
//! listening session of the same database.

use futures_util::future::try_join_all;
use sqlx::{Executor as _, PgConnection};

use crate::{
    Scene,
    instances::Instances,
    load::percentile,
    receipts::with_receipts,
    report::Report,
    stand::{Outcome, postgres::Database},
};

const LISTENERS: usize = 1_000;
/// Of each measurement.
const REVOCATIONS: usize = 200;

/// Receipts of idle instances with no foreign listeners, with many in the service's database, and with as many in another.
pub async fn of_others(report: &mut Report) -> Outcome<()> {
    let dir = std::env::temp_dir().join(format!("rally-api-keys-listeners-{}", std::process::id()));
    let database = Database::start_in(dir, &[("max_connections", "1300")]).await?;
    let scene = Scene::seed(database, 0).await?;
    let instances = Instances::start(&scene, "listeners", &[]).await?;
    let mut measure = async |others: &str| -> Outcome<()> {
        let keys = scene.fresh_keys(REVOCATIONS).await?;
        instances.cache(&keys).await?;
        let observed = with_receipts(&instances, &keys).await?;
        let what = format!("{} DELETEs with Prefer: wait, {others}: slowest-ms of the receipts", observed.len());
        let slowest: Vec<_> = observed.iter().map(|it| it.receipt.slowest_ms).collect();
        let took: Vec<_> = observed.iter().map(|it| it.took).collect();
        report.info('p', format!("{what}, p50"), percentile(slowest.clone(), 50), "ms");
        report.info('p', "the same, p99", percentile(slowest, 99), "ms");
        report.info('p', "the whole call, p50", percentile(took.clone(), 50), "ms");
        report.info('p', "the same, p99", percentile(took, 99), "ms");
        Ok(())
    };

    measure("nobody else listens").await?;
    for (name, place) in [("bench", "the same database"), ("postgres", "another database of the server")] {
        let listeners = listen(&scene.database, name).await?;
        measure(&format!("{LISTENERS} idle sessions of others listen in {place}")).await?;
        drop(listeners);
    }
    instances.stop().await?;
    scene.database.stop().await
}

async fn listen(database: &Database, name: &str) -> Outcome<Vec<PgConnection>> {
    let mut listeners = try_join_all((0..LISTENERS).map(|_| database.connect_to(name))).await?;
    for connection in &mut listeners {
        connection.execute("LISTEN somebody_elses_channel").await?;
    }
    Ok(listeners)
}
