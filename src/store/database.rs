//! The opened database, and its parts.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _, postgres::PgPoolOptions};
use tracing::info;

use super::{
    ChangeObserver, ConnectError, DatabaseUrl, IdleKeyStore, KnownRevocations, LeakStore, Lookups, TenantStores,
    UsageStore,
    connect::{Role, begin_inspection, check_durability, check_server, check_statements, connect_when_up},
    connection_turns::ConnectionTurns,
    feed_server::FeedServer,
    key_list::check_search_index,
    migrate,
    safeguards::{check_creators, check_row_level_security, check_triggers},
};

/// How connections are pooled.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Most connections for managing keys and for usage.
    pub max_connections: u32,
    /// Most connections for checks of keys.
    pub max_check_connections: u32,
    /// How long a request that manages keys waits for a connection before it is refused.
    pub acquire_timeout: Duration,
    /// How long a check waits for a connection before it is refused.
    pub check_acquire_timeout: Duration,
}

/// The connection pools, and the parts of the store that are built on them.
#[derive(Clone)]
pub struct Database {
    pub(super) tenant_stores: TenantStores,
    pub(super) check_pool: PgPool,
    pub(super) lookups: Lookups,
    feed_server: FeedServer,
}

impl Database {
    /// Connects, migrates if the login may, and checks that row-level security binds the role of transactions. `observer`
    /// is called for each key that this instance changes.
    pub async fn open(
        url: &DatabaseUrl,
        settings: PoolSettings,
        observer: ChangeObserver,
    ) -> Result<Self, ConnectError> {
        let mut connection = connect_when_up(url).await?;
        check_server(&mut connection).await?;
        check_durability(&mut connection, url).await?;
        let login = Role::of(&mut *begin_inspection(&mut connection).await?).await?;
        if login.is_superuser || login.owns || login.may_create {
            migrate::migrate_on(&mut connection, url).await?;
        } else if login.app_exists && !login.is_app {
            return Err(ConnectError::unbound(login.name));
        } else {
            check_creators(&mut connection).await?;
            migrate::check_migrated(&mut connection, &login.name).await?;
        }
        check_triggers(&mut connection).await?;
        check_row_level_security(&mut connection).await?;
        check_bound(&mut connection, &login.name).await?;
        check_statements(&mut connection, url).await?;
        if let Err(missing) = check_search_index(&mut connection).await? {
            info!("the index api_key_texts_trigrams does not exist: {missing}");
        }
        connection.close().await?;

        let feed_server = FeedServer::default();
        let pool = pool_options(&feed_server)
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .connect_with(url.options())
            .await
            .map_err(|source| ConnectError::unreachable(url, source))?;
        let check_pool = pool_options(&feed_server)
            .max_connections(settings.max_check_connections)
            .acquire_timeout(settings.check_acquire_timeout)
            .connect_lazy_with(url.options());
        info!(database = %url, login = login.name, "connected to PostgreSQL");
        let database = Self::of(url, pool, check_pool, observer, feed_server);
        database.lookups.warm_up().await;
        Ok(database)
    }

    /// Connects for a command that reads: with one connection, and without migrating.
    pub async fn open_for_command(url: &DatabaseUrl) -> Result<Self, ConnectError> {
        let mut connection = connect_when_up(url).await?;
        check_server(&mut connection).await?;
        let login = Role::of(&mut *begin_inspection(&mut connection).await?).await?;
        migrate::check_migrated(&mut connection, &login.name).await?;
        check_bound(&mut connection, &login.name).await?;
        connection.close().await?;
        let feed_server = FeedServer::default();
        let pool = pool_options(&feed_server).max_connections(1).connect_with(url.options()).await?;
        Ok(Self::of(url, pool.clone(), pool, Arc::new(|_, _| {}), feed_server))
    }

    fn of(
        url: &DatabaseUrl,
        pool: PgPool,
        check_pool: PgPool,
        observer: ChangeObserver,
        feed_server: FeedServer,
    ) -> Self {
        let options = pool.options();
        let turns = ConnectionTurns::new(options.get_max_connections(), options.get_acquire_timeout());
        let tenant_stores = TenantStores {
            pool,
            turns,
            statements: url.statements,
            observer,
            known_revocations: KnownRevocations::default(),
        };
        let lookups = Lookups::new(check_pool.clone(), url.statements, tenant_stores.clone(), &feed_server);
        Self { tenant_stores, check_pool, lookups, feed_server }
    }

    /// For the change feed.
    #[must_use]
    pub fn feed_server(&self) -> FeedServer {
        self.feed_server.clone()
    }

    /// What this process has revoked, or has seen revoked.
    #[must_use]
    pub fn known_revocations(&self) -> KnownRevocations {
        self.tenant_stores.known_revocations.clone()
    }

    /// For the authentication, which gives each caller its tenant's store.
    #[must_use]
    pub fn tenant_stores(&self) -> TenantStores {
        self.tenant_stores.clone()
    }

    /// For the authentication.
    #[must_use]
    pub fn lookups(&self) -> Lookups {
        self.lookups.clone()
    }

    /// For the usage worker.
    #[must_use]
    pub fn usage(&self) -> UsageStore {
        UsageStore { tenant_stores: self.tenant_stores() }
    }

    /// For the job that suspends idle keys.
    #[must_use]
    pub fn idle_keys(&self) -> IdleKeyStore {
        IdleKeyStore { tenant_stores: self.tenant_stores() }
    }

    /// For reports of leaked secrets.
    #[must_use]
    pub fn leaks(&self) -> LeakStore {
        LeakStore { tenant_stores: self.tenant_stores() }
    }

    /// Waits for the connections in use and closes all.
    pub async fn close(&self) {
        self.tenant_stores.pool.close().await;
        self.check_pool.close().await;
    }
}

/// Connections to a standby are refused, as are those from before a new connection of the change feed.
fn pool_options(feed_server: &FeedServer) -> PgPoolOptions {
    let feed_server = feed_server.clone();
    PgPoolOptions::new()
        .test_before_acquire(false) // see `retry`
        .after_connect(|connection, _| refuse_standby(connection).boxed())
        .before_acquire(move |_, connection| {
            let is_usable = feed_server.is_usable(connection.age);
            async move { Ok(is_usable) }.boxed()
        })
}

async fn refuse_standby(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // Behind a pooler, too: a statement without arguments is not prepared.
    let is_standby: bool = connection.fetch_one("SELECT pg_catalog.pg_is_in_recovery()").await?.try_get(0)?;
    if is_standby {
        return Err(sqlx::Error::Protocol("the server is a standby, which takes no writes".into()));
    }
    Ok(())
}

/// Checks the role under which transactions work.
pub(super) async fn check_bound(connection: &mut PgConnection, login: &str) -> Result<(), ConnectError> {
    let mut transaction =
        match connection.begin_with("SET LOCAL ROLE rally_app; SET LOCAL search_path = ''; BEGIN").await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
                return Err(ConnectError::unbound(login.to_owned()));
            }
            begun => begun?,
        };
    let role = Role::of(&mut transaction).await?;
    transaction.rollback().await?;
    match role.unbound() {
        None => Ok(()),
        Some(why) => Err(ConnectError::Unbound { role: role.name, why }),
    }
}
