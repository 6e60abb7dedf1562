//! TLS to PostgreSQL, as `sslmode` and `sslrootcert` in DATABASE_URL require it.

use std::{fs, net::SocketAddr, path::PathBuf, process::Child, time::Duration};

use local_postgres::PrivatePostgres;
use rally_api_keys::{
    app::{Service, StartError, Stop},
    domain::Clock,
    store::{ConnectError, DatabaseUrl, create_database, migrate},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::Instant,
};

use crate::{
    client::{Client, Credential},
    harness::{clean_up_afterwards, config, scratch_dir},
};

/// A PostgreSQL that accepts the service over TLS only, with a certificate for `localhost`.
struct TlsPostgres {
    dir: PathBuf,
    server: PrivatePostgres,
    port: u16,
    cleaner: Child,
}

pub fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Forwards connections to `to`. Returns the local port.
async fn forward(to: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

impl TlsPostgres {
    async fn start() -> Self {
        let dir = scratch_dir("tls");
        let cleaner = clean_up_afterwards(&dir);
        let server = local_postgres::start(&dir, &[("fsync", "off")]).await.unwrap();
        let owner = DatabaseUrl::socket(server.socket_dir(), server.port(), server.user(), "postgres");
        create_database(&owner, "crm").await.unwrap();
        migrate(&owner.database("crm")).await.unwrap();

        let (ours, others) = (authority(), authority());
        fs::write(dir.join("ca.pem"), ours.pem()).unwrap();
        fs::write(dir.join("other.pem"), others.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
        // The port of the cluster is fixed, so it listens at a loopback address of its own. A free port
        // forwards to it.
        let pid = std::process::id();
        let address = format!("127.{}.{}.1", 1 + pid / 250 % 250, pid % 250);
        let port = forward(format!("{address}:{}", server.port())).await;

        let options = PgConnectOptions::new_without_pgpass()
            .socket(server.socket_dir())
            .port(server.port())
            .username(server.user())
            .database("postgres");
        let mut superuser = PgConnection::connect_with(&options).await.unwrap();
        // The server itself writes the files, so that it owns them.
        for (name, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            let sql =
                format!("COPY (SELECT unnest(string_to_array('{pem}', E'\\n'))) TO PROGRAM 'umask 77; cat > {name}'");
            superuser.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        let hba = "hostssl all rally_api 127.0.0.0/8 scram-sha-256";
        let sql = format!("COPY (SELECT '{hba}') TO PROGRAM 'cat - pg_hba.conf > new; mv new pg_hba.conf'");
        superuser.execute(AssertSqlSafe(sql)).await.unwrap();
        for sql in ["CREATE ROLE rally_api LOGIN PASSWORD 'secret' IN ROLE rally_app", "ALTER SYSTEM SET ssl = on"] {
            superuser.execute(sql).await.unwrap();
        }
        superuser.execute(AssertSqlSafe(format!("ALTER SYSTEM SET listen_addresses = '{address}'"))).await.unwrap();
        superuser.close().await.unwrap();
        server.stop().await.unwrap();
        let server = local_postgres::start(&dir, &[("fsync", "off")]).await.unwrap();
        Self { dir, server, port, cleaner }
    }

    fn url(&self, host: &str, ssl: &str) -> DatabaseUrl {
        let (port, dir) = (self.port, self.dir.display().to_string().replace('/', "%2F"));
        let ssl = ssl.replace("{dir}", &dir);
        DatabaseUrl::parse(&format!("postgres://rally_api:secret@{host}:{port}/crm?{ssl}")).unwrap()
    }

    async fn connect_error(&self, host: &str, ssl: &str) -> ConnectError {
        match Service::start(&config(&[]), &self.url(host, ssl), Clock::default()).await {
            Err(StartError::Database(error)) => error,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{host} {ssl}: the connection should have failed"),
        }
    }

    /// For each of the service's connections, true if it uses TLS.
    async fn tls_of_sessions(&self) -> Vec<bool> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.server.socket_dir())
            .port(self.server.port())
            .username(self.server.user())
            .database("crm");
        let mut superuser = PgConnection::connect_with(&options).await.unwrap();
        let sql = "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'rally_api'";
        sqlx::query_scalar(sql).fetch_all(&mut superuser).await.unwrap()
    }
}

impl Drop for TlsPostgres {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take()); // closing its stdin starts the clean-up
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_follow_sslmode_and_sslrootcert() {
    let postgres = TlsPostgres::start().await;
    for (host, ssl) in [
        ("localhost", "sslmode=verify-full&sslrootcert={dir}%2Fca.pem"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={dir}%2Fca.pem"),
        ("127.0.0.1", "sslmode=require"),
    ] {
        let service = Service::start(&config(&[]), &postgres.url(host, ssl), Clock::default()).await;
        let service = service.unwrap_or_else(|error| panic!("{host} {ssl}: {error}"));
        let (address, (stop, stopped)): (SocketAddr, _) = (service.address(), oneshot::channel::<()>());
        let running = tokio::spawn(service.run(async {
            let _ = stopped.await;
            Stop::AtOnce
        }));
        let probe = Client::new(reqwest::Client::new(), format!("http://{address}"), "localhost", Credential::None);
        assert_eq!(probe.get("/readyz").await.status, 200);
        // The connection pools and the change feed.
        crate::harness::wait_until(async || {
            let tls_of_sessions = postgres.tls_of_sessions().await;
            assert!(tls_of_sessions.iter().all(|ssl| *ssl), "{tls_of_sessions:?}");
            tls_of_sessions.len() >= 3
        })
        .await;
        drop(stop);
        running.await.unwrap();
    }

    let started = Instant::now();
    for (host, ssl, why) in [
        ("localhost", "sslmode=verify-full&sslrootcert={dir}%2Fother.pem", "sslrootcert"),
        ("localhost", "sslmode=verify-full", "no TLS"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={dir}%2Fca.pem", "not valid for"),
        ("localhost", "sslmode=disable", "no encryption"),
    ] {
        let error = postgres.connect_error(host, ssl).await.to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{host} {ssl}: {error}");
    }
    // These errors are permanent, so the service does not retry.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
