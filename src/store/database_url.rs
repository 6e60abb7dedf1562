//! The setting `DATABASE_URL` and its kin: where the database is, and under which login.

use std::{fmt, net::IpAddr, path::Path, str::FromStr as _};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::statements::Statements;

/// The database's address and login. `Debug` and `Display` show no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: PgConnectOptions,
    pub(super) statements: Statements,
}

/// `user:password@host:port`
fn authority(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

impl DatabaseUrl {
    /// Parses `postgres://user:password@host:port/database?sslmode=…`.
    pub fn parse(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("must begin with postgres://".into());
        }
        let (_, query) = url.split_once('?').unwrap_or_default();
        let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let hosts = authority(url).rsplit('@').next().unwrap_or_default();
        if hosts.contains(',') || parameters.iter().any(|(name, value)| name == "host" && value.contains(',')) {
            return Err(
                "must name one server. The service does not choose among several, as libpq does: name the primary, \
                        by an address that moves with it"
                    .into(),
            );
        }
        // The parser's error could contain the password.
        let options = PgConnectOptions::from_str(url).map_err(|_| "is not a valid PostgreSQL URL")?;
        let is_unnamed =
            parameters.iter().any(|(name, value)| name == "statement-cache-capacity" && value.trim() == "0");
        let statements = if is_unnamed { Statements::Unnamed } else { Statements::Named };
        Ok(Self { statements, ..Self::with(options) })
    }

    /// A server that listens on a Unix socket in `socket_dir`, without a password.
    #[must_use]
    pub fn socket(socket_dir: &Path, port: u16, user: &str, database: &str) -> Self {
        Self::with(
            PgConnectOptions::new_without_pgpass().socket(socket_dir).port(port).username(user).database(database),
        )
    }

    /// Another database of the same server.
    #[must_use]
    pub fn database(&self, name: &str) -> Self {
        Self { options: self.options.clone().database(name), ..*self }
    }

    fn with(options: PgConnectOptions) -> Self {
        // PgBouncer refuses the parameter by default. It is for text of floating-point numbers, of which there is none.
        let options = options.extra_float_digits(None);
        let options = options.application_name("rally-api-keys").disable_statement_logging();
        Self { options, statements: Statements::Named }
    }

    /// The URL without the password, with what it says about TLS.
    #[must_use]
    pub fn with_ssl_mode(&self) -> String {
        let mode = match self.options.get_ssl_mode() {
            _ if self.options.get_socket().is_some() => return self.to_string(),
            PgSslMode::Disable => "disable",
            PgSslMode::Allow => "allow",
            PgSslMode::Prefer => "prefer",
            PgSslMode::Require => "require",
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::VerifyFull => "verify-full",
        };
        format!("{self}?sslmode={mode}")
    }

    /// True if the server is on another machine, and could be an impostor or be listened to.
    pub(super) fn is_unverified_remote(&self) -> bool {
        let host = self.options.get_host();
        let is_local = self.options.get_socket().is_some()
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        !is_local && !matches!(self.options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |dir| dir.display().to_string());
        write!(
            f,
            "postgres://{}@{host}:{}/{}",
            options.get_username(),
            options.get_port(),
            options.get_database().unwrap_or(options.get_username()),
        )
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_server() {
        for one in [
            "postgres://a:b,c@db.internal:5432/rally?sslmode=verify-full",
            "postgresql://a@[::1]/rally",
            "postgres://a@%2Frun%2Fpostgresql/rally",
            "postgres://a@localhost/rally?host=/run/postgresql",
        ] {
            assert!(DatabaseUrl::parse(one).is_ok(), "{one}");
        }
        for several in [
            "postgres://a:b@one:5432,two:5432/rally?target_session_attrs=read-write",
            "postgres://one,two/rally",
            "postgres://a@/rally?host=one,two",
        ] {
            let refused = DatabaseUrl::parse(several).unwrap_err();
            assert!(refused.starts_with("must name one server."), "{refused}");
        }
        assert_eq!(DatabaseUrl::parse("mysql://a@b/c").unwrap_err(), "must begin with postgres://");
    }
}
