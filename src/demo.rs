//! The start without settings: a private PostgreSQL, generated secrets, a demo tenant, and commands to paste.

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
    config::Config,
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
    #[error("cannot find a data folder for the private PostgreSQL: {0}; set DATA_DIR")]
    NoDataDir(#[source] etcetera::HomeDirError),
    #[error("cannot read or write the secret in {path}: {1}", path = .0.display())]
    Secret(PathBuf, #[source] io::Error),
    #[error("{path} {1}; restore it, or remove it to have a new secret generated", path = .0.display())]
    BadSecret(PathBuf, &'static str),
    #[error("cannot sign the demo token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// The running private PostgreSQL.
pub(crate) struct PrivateDatabase {
    server: PrivatePostgres,
    /// The database under its owner's login.
    pub(crate) url: DatabaseUrl,
}

impl PrivateDatabase {
    /// Starts the server, or joins the running one. Adds the JWT secret and the pepper that are stored beside it to the
    /// settings, where those are unset.
    pub(crate) async fn open(config: &mut Config) -> Result<Self, Error> {
        let data_dir = match &config.database.data_dir {
            Some(dir) => std::path::absolute(dir).map_err(|error| Error::Secret(dir.clone(), error))?,
            None => default_data_dir()?,
        };
        let server = local_postgres::start(&data_dir, &[]).await?;
        if config.jwt.is_empty() {
            let path = data_dir.join("jwt-secret");
            let secret =
                stored_secret(&path, random_base64::<48>).map_err(|error| Error::Secret(path.clone(), error))?;
            if secret.len() < 32 {
                return Err(Error::BadSecret(path, "has fewer than 32 bytes"));
            }
            config.jwt.secret = Some(Zeroizing::new(secret.as_bytes().to_vec()));
        }
        if config.keys.peppers.current.is_none() {
            let path = data_dir.join("key-pepper");
            let pepper = stored_secret(&path, || format!("private:{}", random_base64::<32>()))
                .map_err(|error| Error::Secret(path.clone(), error))?;
            config.keys.peppers.current =
                Some(Pepper::parse(&pepper).map_err(|problem| Error::BadSecret(path, problem))?);
        }
        let maintenance = DatabaseUrl::socket(server.socket_dir(), server.port(), server.user(), "postgres");
        create_database(&maintenance, DATABASE).await?;
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
        let url = format!("http://{DEMO_TENANT}.{}:{}", config.tenancy.base_domain, address.port());
        let Some(secret) = config.jwt.secret.as_deref() else {
            return Ok(commands(&url, None));
        };
        let signer = TokenSigner::hs256(secret, config.jwt.rules.clone())?;
        let now = clock.now();
        let scopes = ScopeSet::from_iter([Scope::Admin]);
        let token = signer.sign(&slug, DEMO_ADMIN, scopes, now, now + TimeDelta::days(DEMO_TOKEN_DAYS))?;
        Ok(commands(&url, Some(&token)))
    }
}

/// The demo's commands. Each works on its own when pasted into a shell. Without a token, since an issuer signs them,
/// they read it from `$TOKEN`.
fn commands(url: &str, token: Option<&str>) -> String {
    let mut text = format!("\nRally API keys is running for the demo tenant \"{DEMO_TENANT}\":  {url}\n\n");
    let bearer = if let Some(token) = token {
        let _ = writeln!(text, "An admin's JWT, valid for {DEMO_TOKEN_DAYS} days:\n{token}");
        format!("'Authorization: Bearer {token}'")
    } else {
        let _ = writeln!(text, "Your issuer signs the tokens. Put an admin's token into a variable:\nTOKEN=eyJ...");
        "\"Authorization: Bearer $TOKEN\"".to_owned()
    };
    let _ = write!(
        text,
        r#"
Create an API key:
curl -sS -X POST {url}/api/v1/api-keys -H {bearer} -H 'Content-Type: application/json' -d '{{"name": "Zapier Sync", "scopes": "read,write"}}'

List the API keys:
curl -sS {url}/api/v1/api-keys -H {bearer}

Create another key and let it read its own entry:
curl -sS {url}/api/v1/api-keys/self -H "X-Api-Key: $(curl -sS -X POST {url}/api/v1/api-keys -H {bearer} -H 'Content-Type: application/json' -d '{{"name": "ETL Pipeline"}}' | sed 's/.*"key":"\([^"]*\)".*/\1/')"

Stop with Ctrl-C. The keys are still there at the next start.
"#
    );
    text
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

/// Reads the secret from a file. If there is none, generates it and writes it with mode 0600. Processes that do so at
/// the same time all get the same secret.
fn stored_secret(path: &Path, generate: impl FnOnce() -> String) -> io::Result<Zeroizing<String>> {
    let read = || fs::read_to_string(path).map(|text| Zeroizing::new(text.trim().to_owned()));
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => return outcome,
    }
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
    read()
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
        assert_eq!(*stored_secret(&path, || "first".into()).unwrap(), "first");
        assert_eq!(*stored_secret(&path, || "second".into()).unwrap(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(&dir).unwrap();
    }
}
