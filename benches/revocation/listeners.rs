//! What idle sessions of other programs that `LISTEN` in the same database cost a receipt: each commit with a notification wakes
//! them, whatever their channel is.

use futures_util::future::try_join_all;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    Scene,
    instances::Instances,
    receipts::{report_receipts, with_receipts},
    report::Report,
    stand::{Outcome, postgres::Database},
};

const SESSIONS: usize = 1_000;
/// Of each measurement.
const REVOCATIONS: usize = 200;

/// Receipts of idle instances: without such sessions, with many in the service's database, with as many in another database of
/// the server, and without them again.
pub async fn of_other_programs(report: &mut Report) -> Outcome<()> {
    let dir = std::env::temp_dir().join(format!("rally-api-keys-listeners-{}", std::process::id()));
    let database = Database::start_in(dir, &[("max_connections", "1300")]).await?;
    let scene = Scene::seed(database, 0).await?;
    let instances = Instances::start(&scene, "listeners", &[]).await?;
    for (database, place) in [
        (None, "no other session listens".to_owned()),
        (Some("bench"), format!("{SESSIONS} other sessions listen in the same database")),
        (Some("postgres"), format!("{SESSIONS} other sessions listen in another database")),
        (None, "no other session listens any more".to_owned()),
    ] {
        let sessions = match database {
            Some(name) => listen(&scene.database, name).await?,
            None => Vec::new(),
        };
        let keys = scene.fresh_keys(REVOCATIONS).await?;
        instances.cache(&keys).await?;
        let observed = with_receipts(&instances, &keys).await?;
        report_receipts(report, 'p', &place, None, &observed);
        for session in sessions {
            session.close().await?;
        }
    }
    instances.stop().await?;
    scene.database.stop().await
}

async fn listen(database: &Database, name: &str) -> Outcome<Vec<PgConnection>> {
    let mut sessions = try_join_all((0..SESSIONS).map(|_| database.connect_to(name))).await?;
    for session in &mut sessions {
        session.execute("LISTEN another_channel").await?;
    }
    Ok(sessions)
}
