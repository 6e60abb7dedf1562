//! `rally-api-keys migrate`

use super::{Error, owner_database::OwnerDatabase};
use crate::{config::Config, demo::IfMissing, store};

/// Applies the missing migrations, as the database's owner.
pub(super) async fn migrate(mut config: Config) -> Result<(), Error> {
    let database = OwnerDatabase::open(&mut config, IfMissing::Create).await?;
    let outcome = store::migrate(&database.url).await;
    database.close().await?;
    Ok(outcome?)
}
