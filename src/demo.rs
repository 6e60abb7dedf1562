//! The start without settings: a private PostgreSQL, generated secrets, a demo tenant, and commands to paste. Only where
//! the base domain is `localhost`, or with `--demo`.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use etcetera::AppStrategy as _;
use local_postgres::PrivatePostgres;
use zeroize::Zeroizing;

use crate::{
    auth::{api_key::pepper::Pepper, jwt::signer::TokenSigner},
    config::{Config, ConfigError},
    domain::{Clock, Scope, ScopeSet, Slug, random_bytes},
    store::{ConnectError, DatabaseUrl, TenantAdmin, create_database},
};

const DATABASE: &str = "rally_api_keys";
const DEMO_TENANT: &str = "acme";
const DEMO_ADMIN: &str = "admin@acme.com";
const DEMO_TOKEN_DAYS: i64 = 30;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Postgres(#[from] local_postgres::Error),
    #[error(transparent)]
    Database(#[from] ConnectError),
    #[error(transparent)]
    Incomplete(#[from] ConfigError),
    #[error(
        "DATABASE_URL is not set, and there is no private PostgreSQL in {dir} yet: set DATABASE_URL, or start the service \
         once without it, which creates one for the demo",
        dir = .0.display()
    )]
    NoCluster(PathBuf),
    #[error("cannot find a data folder for the private PostgreSQL: {0}; set DATA_DIR")]
    NoDataDir(#[source] etcetera::HomeDirError),
    #[error("cannot read or write the secret in {path}: {1}", path = .0.display())]
    Secret(PathBuf, #[source] io::Error),
    #[error("{path} {1}; restore it, or remove it to have a new secret generated", path = .0.display())]
    BadSecret(PathBuf, &'static str),
    #[error("cannot sign the demo token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// What happens where there is no private PostgreSQL, or no generated secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// It is created.
    Create,
    /// Nothing is created: for commands that only read.
    Refuse,
}

/// The running private PostgreSQL.
pub(crate) struct PrivateDatabase {
    server: PrivatePostgres,
    /// The database under its owner's login.
    pub(crate) url: DatabaseUrl,
}

impl PrivateDatabase {
    /// Starts the server, or joins the running one, and [adds the generated secrets](add_generated_secrets).
    pub(crate) async fn open(config: &mut Config, if_missing: IfMissing) -> Result<Self, Error> {
        config.check_demo()?;
        let data_dir = data_dir(config)?;
        let server = match if_missing {
            IfMissing::Create => local_postgres::start(&data_dir, &[]).await?,
            IfMissing::Refuse => {
                local_postgres::start_existing(&data_dir, &[]).await?.ok_or(Error::NoCluster(data_dir))?
            }
        };
        add_generated_secrets(config, if_missing)?;
        let maintenance = DatabaseUrl::socket(server.socket_dir(), server.port(), server.user(), "postgres");
        if if_missing == IfMissing::Create {
            create_database(&maintenance, DATABASE).await?;
        }
        Ok(Self { url: maintenance.database(DATABASE), server })
    }

    /// Stops the server, unless another process uses it.
    pub(crate) async fn close(self) -> Result<(), Error> {
        Ok(self.server.stop().await?)
    }

    /// Creates the demo tenant if it does not exist, and returns the commands to print.
    pub(crate) async fn create_demo(
        &self,
        config: &Config,
        address: SocketAddr,
        clock: &Clock,
    ) -> Result<String, Error> {
        let Ok(slug) = Slug::parse(DEMO_TENANT) else {
            return Ok(String::new());
        };
        let mut admin = TenantAdmin::connect(&self.url).await?;
        admin.create_tenant(&slug, "Acme", clock.now()).await.map_err(ConnectError::from)?;
        let host = format!("{DEMO_TENANT}.{}", config.tenancy.base_domain);
        let url = format!("{}://{host}:{}", config.tenancy.public_scheme, address.port());
        let Some(secret) = config.jwt.secret.as_deref() else {
            return Ok(commands(&host, &url, None));
        };
        let signer = TokenSigner::hs256(secret, config.jwt.rules.clone())?;
        let now = clock.now();
        let scopes = ScopeSet::from_iter([Scope::Admin]);
        let token = signer.sign(&slug, DEMO_ADMIN, scopes, now, now + TimeDelta::days(DEMO_TOKEN_DAYS))?;
        Ok(commands(&host, &url, Some(&token)))
    }
}

/// The demo's commands. Each works on its own when pasted into a shell. Without a token, since an issuer signs them,
/// they read it from `$TOKEN`.
fn commands(host: &str, url: &str, token: Option<&str>) -> String {
    let mut text = format!(
        "\nRally API keys is running for the demo tenant \"{DEMO_TENANT}\":  {url}\n\
         Every call, to read about and to try in a browser:  {url}/docs\n"
    );
    // In a fragment, which browsers do not send.
    let signed_in = token.map(|token| format!("#token={token}")).unwrap_or_default();
    let _ = writeln!(text, "The console, to manage keys in a browser:  {url}/console{signed_in}\n");
    let bearer = if let Some(token) = token {
        let _ = writeln!(text, "An admin's JWT, valid for {DEMO_TOKEN_DAYS} days:\n{token}");
        format!("'Authorization: Bearer {token}'")
    } else {
        let _ = writeln!(text, "Your issuer signs the tokens. Put an admin's token into a variable:\nTOKEN=eyJ...");
        "\"Authorization: Bearer $TOKEN\"".to_owned()
    };
    let host_and_port = url.split_once("://").map_or(host, |(_, host_and_port)| host_and_port);
    let _ = write!(
        text,
        r#"
Create an API key:
curl -sS -X POST {url}/api/v1/api-keys -H {bearer} -H 'Content-Type: application/json' -d '{{"name": "Zapier Sync", "scopes": "read,write"}}'

List the API keys:
curl -sS {url}/api/v1/api-keys -H {bearer}

Create another key and let it read its own entry:
curl -sS {url}/api/v1/api-keys/self -H "X-Api-Key: $(curl -sS -X POST {url}/api/v1/api-keys -H {bearer} -H 'Content-Type: application/json' -d '{{"name": "ETL Pipeline"}}' | sed 's/.*"key":"\([^"]*\)".*/\1/')"

Where {host} is not found, as by Python, Node.js and wget on Debian, add the line "127.0.0.1 {host}"
to /etc/hosts, or call 127.0.0.1 with the header "Host: {host_and_port}" (not in fetch of Node.js, which does not send it).

Stop with Ctrl-C. The keys are still there at the next start.
"#
    );
    text
}

/// Adds the JWT secret and the pepper that are stored beside the private PostgreSQL to the settings, where those are unset
/// and the private PostgreSQL takes the place of DATABASE_URL.
pub(crate) fn add_generated_secrets(config: &mut Config, if_missing: IfMissing) -> Result<(), Error> {
    if config.database.url.is_some() || !config.allows_demo() {
        return Ok(());
    }
    let data_dir = data_dir(config)?;
    if config.jwt.is_empty() {
        let path = data_dir.join("jwt-secret");
        if let Some(secret) = stored_secret(&path, if_missing, random_base64::<48>)? {
            if secret.len() < 32 {
                return Err(Error::BadSecret(path, "has fewer than 32 bytes"));
            }
            config.jwt.secret = Some(Zeroizing::new(secret.as_bytes().to_vec()));
        }
    }
    if config.keys.peppers.current.is_none() {
        let path = data_dir.join("key-pepper");
        if let Some(pepper) = stored_secret(&path, if_missing, || format!("private:{}", random_base64::<32>()))? {
            let pepper = Pepper::parse(&pepper).map_err(|problem| Error::BadSecret(path, problem))?;
            config.keys.peppers.current = Some(pepper);
        }
    }
    Ok(())
}

fn data_dir(config: &Config) -> Result<PathBuf, Error> {
    match &config.database.data_dir {
        Some(dir) => std::path::absolute(dir).map_err(|error| Error::Secret(dir.clone(), error)),
        None => default_data_dir(),
    }
}

/// The platform's data folder. For root, a folder that PostgreSQL's unprivileged user can enter.
fn default_data_dir() -> Result<PathBuf, Error> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/rally-api-keys"));
    }
    let strategy = etcetera::choose_app_strategy(etcetera::AppStrategyArgs {
        top_level_domain: "io".into(),
        author: "Rally CRM".into(),
        app_name: "rally-api-keys".into(),
    })
    .map_err(Error::NoDataDir)?;
    Ok(strategy.data_dir())
}

fn random_base64<const BYTES: usize>() -> String {
    BASE64_STANDARD.encode(*random_bytes::<BYTES>())
}

/// Reads the secret from a file. `None`: there is none, and it must not be created.
fn stored_secret(
    path: &Path,
    if_missing: IfMissing,
    generate: impl FnOnce() -> String,
) -> Result<Option<Zeroizing<String>>, Error> {
    let stored = match read_secret(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && if_missing == IfMissing::Refuse => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_secret(path, generate),
        stored => stored,
    };
    stored.map(Some).map_err(|error| Error::Secret(path.to_owned(), error))
}

fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    fs::read_to_string(path).map(|text| Zeroizing::new(text.trim().to_owned()))
}

/// Generates the secret and writes it with mode 0600. Processes that do so at the same time all get the same secret.
fn create_secret(path: &Path, generate: impl FnOnce() -> String) -> io::Result<Zeroizing<String>> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(generate().as_bytes())?;
        file.sync_all()?;
        // Unlike a rename, a link does not replace the file of another process.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let outcome = write();
    let _ = fs::remove_file(&draft);
    outcome?;
    read_secret(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_stored_secret_is_generated_once_and_readable_by_its_owner_only() {
        let dir = std::env::temp_dir().join(format!("rally-stored-secret-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("secret");
        let stored = |if_missing, text: &str| {
            stored_secret(&path, if_missing, || text.into()).unwrap().map(|secret| (*secret).clone())
        };
        assert_eq!(stored(IfMissing::Refuse, "never"), None);
        assert_eq!(stored(IfMissing::Create, "first").as_deref(), Some("first"));
        assert_eq!(stored(IfMissing::Create, "second").as_deref(), Some("first"));
        assert_eq!(stored(IfMissing::Refuse, "third").as_deref(), Some("first"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(&dir).unwrap();
    }
}
