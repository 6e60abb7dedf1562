//! `rally-api-keys migrate`

use super::{Error, OwnDatabase};
use crate::{config::Config, store};

/// Brings the database up to date, as its owner.
pub(super) async fn migrate(mut config: Config) -> Result<(), Error> {
    let database = OwnDatabase::open(&mut config).await?;
    let outcome = store::migrate(&database.url).await;
    database.close().await?;
    Ok(outcome?)
}
