//! Settings of the database.

use std::path::PathBuf;

use super::reader::Reader;
use crate::store::DatabaseUrl;

pub(super) const EXAMPLE: &str = "postgres://rally_api:password@db.internal:5432/rally?sslmode=verify-full";

#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// `None`: a private PostgreSQL in `data_dir`.
    pub(crate) url: Option<DatabaseUrl>,
    /// The same database under its owner's login, for migrations and for managing tenants.
    pub(crate) migration_url: Option<DatabaseUrl>,
    /// The same database without a pooler in between, for the change feed, which needs a session of its own.
    pub(crate) direct_url: Option<DatabaseUrl>,
    /// The pool's limit for the management API.
    pub(crate) max_connections: u32,
    /// The pool's limit for checks of keys.
    pub(crate) check_connections: u32,
    /// The folder of the private PostgreSQL and its secrets. `None`: the platform's data folder.
    pub(crate) data_dir: Option<PathBuf>,
}

impl Database {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let url = settings.parse("DATABASE_URL", EXAMPLE, DatabaseUrl::parse);
        let migration_url = settings.parse("DATABASE_MIGRATION_URL", EXAMPLE, DatabaseUrl::parse);
        let direct_url = settings.parse("DATABASE_DIRECT_URL", EXAMPLE, DatabaseUrl::parse);
        if direct_url.is_some() && settings.get("DATABASE_URL").is_none() {
            settings.reject("DATABASE_DIRECT_URL", "needs DATABASE_URL to be set too", "");
        }
        Self {
            url,
            migration_url,
            direct_url,
            max_connections: settings.number("DATABASE_MAX_CONNECTIONS", 10, (1, 1000), "10"),
            check_connections: settings.number("DATABASE_CHECK_CONNECTIONS", 10, (1, 1000), "10"),
            data_dir: settings.get("DATA_DIR").map(PathBuf::from),
        }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let url = |url: &Option<DatabaseUrl>| url.as_ref().map(DatabaseUrl::with_ssl_mode).unwrap_or_default();
        vec![
            ("DATABASE_URL", url(&self.url)),
            ("DATABASE_MIGRATION_URL", url(&self.migration_url)),
            ("DATABASE_DIRECT_URL", url(&self.direct_url)),
            ("DATABASE_MAX_CONNECTIONS", self.max_connections.to_string()),
            ("DATABASE_CHECK_CONNECTIONS", self.check_connections.to_string()),
            ("DATA_DIR", self.data_dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default()),
        ]
    }
}
