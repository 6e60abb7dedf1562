//! TLS of the public listener.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, body::Bytes};
use rally_api_keys::{
    app::{Service, StartError},
    domain::Clock,
};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair, SerialNumber};
use reqwest::{Certificate, Identity, StatusCode, tls::TlsInfo};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig, ProtocolVersion, RootCertStore},
};

use crate::{
    binary::Home,
    client::{Client, Credential, PATH},
    harness::{TestDatabase, TestServer, config, raw, scratch_dir, wait_until},
    http2,
    tls::authority,
};

const HOST: &str = "acme.localhost";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The files that the settings name.
struct Files {
    dir: PathBuf,
    authority: Authority,
}

impl Files {
    /// With a certificate for [`HOST`].
    fn new(name: &str) -> Self {
        let files = Self { dir: scratch_dir(name), authority: authority() };
        files.renew(1);
        fs::write(files.dir.join("ca.pem"), files.authority.pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Writes another certificate and key.
    fn renew(&self, serial: u64) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.dir.join("tls.crt"), certificate.pem()).unwrap();
        write_private(&self.dir.join("tls.key"), &key.serialize_pem());
    }

    async fn serve(&self, settings: &[(&str, &str)]) -> TestServer {
        let (certificate, key) = (self.path("tls.crt"), self.path("tls.key"));
        let files =
            [("TLS_CERT_FILE", certificate.as_str()), ("TLS_KEY_FILE", &key), ("ADMIN_LISTEN_ADDR", "127.0.0.1:0")];
        TestServer::with(&[&files, settings].concat()).await
    }

    /// With the client's cipher suites in their usual order, or in reverse.
    async fn connect(&self, server: &TestServer, protocols: &[&[u8]], reverse: bool) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if reverse {
            provider.cipher_suites.reverse();
        }
        let config =
            ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(server.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(HOST.try_into().unwrap(), stream).await.unwrap()
    }

    /// An HTTP client that trusts the authority and finds [`HOST`] at the server. Each has connections of its own.
    fn http(&self, server: &TestServer) -> reqwest::ClientBuilder {
        let root = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([root])
            .tls_info(true)
            .resolve(HOST, server.address)
            .timeout(Duration::from_secs(40))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A client's certificate and its key.
fn identity(authority: &Authority) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, authority).unwrap();
    Identity::from_pem(format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes()).unwrap()
}

fn url(server: &TestServer, path: &str) -> String {
    format!("https://{HOST}:{}{path}", server.address.port())
}

/// The server's certificate in a new connection.
async fn certificate(files: &Files, server: &TestServer) -> Vec<u8> {
    let client = files.http(server).build().unwrap();
    let response = client.get(url(server, "/healthz")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
}

async fn metrics(server: &TestServer) -> String {
    let address = server.admin_address.unwrap();
    reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap()
}

async fn metric(server: &TestServer, name: &str) -> i64 {
    let metrics = metrics(server).await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{name}: {metrics}"))
}

#[tokio::test]
async fn keys_are_created_and_checked_by_https_over_http_1_and_2() {
    let files = Files::new("tls-listener");
    let server = files.serve(&[]).await;
    let http = files.http(&server).build().unwrap();
    let host = format!("{HOST}:{}", server.address.port());
    let admin = Client::new(http, url(&server, ""), &host, Credential::Bearer(server.token("acme", "admin")));
    let reply = admin.post(PATH, &serde_json::json!({"name": "By TLS"})).await;
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with(&url(&server, PATH)), "{location}");
    let key = reply.expect(201)["key"].as_str().unwrap().to_owned();
    assert_eq!(admin.with_key(&key).get("/forward-auth").await.status, 200);

    let connection = files.connect(&server, &[b"http/1.1", b"h2"], false).await;
    assert_eq!(connection.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(connection.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let check =
        Request::get(url(&server, "/forward-auth")).header("x-api-key", key).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(http2::send_on(connection, check).await.status, 200);
}

#[tokio::test]
async fn the_servers_order_of_cipher_suites_decides() {
    let files = Files::new("tls-suites");
    let server = files.serve(&[]).await;
    let mut chosen = Vec::new();
    for reverse in [false, true] {
        let connection = files.connect(&server, &[], reverse).await;
        chosen.push(connection.get_ref().1.negotiated_cipher_suite().unwrap().suite());
    }
    assert_eq!(chosen[0], chosen[1]);
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_new_connections_and_open_ones_go_on() {
    let files = Files::new("tls-renewed");
    let server = files.serve(&[]).await;
    let open = files.http(&server).build().unwrap();
    let of_open = async || {
        let response = open.get(url(&server, "/healthz")).send().await.unwrap();
        response.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    };
    let first = certificate(&files, &server).await;
    assert_eq!(of_open().await, first);
    files.renew(2);
    wait_until(async || certificate(&files, &server).await != first).await;
    assert_eq!(of_open().await, first);
    assert!(
        metric(&server, "rally_tls_certificate_not_after_timestamp_seconds").await > server.clock.now().timestamp()
    );
}

#[tokio::test]
async fn a_renewal_that_cannot_be_used_keeps_the_certificate_before_it_and_a_metric_says_so() {
    let files = Files::new("tls-bad-renewal");
    let server = files.serve(&[]).await;
    let first = certificate(&files, &server).await;
    let key = fs::read_to_string(files.dir.join("tls.key")).unwrap();
    assert_eq!(metric(&server, "rally_tls_files_usable").await, 1);
    // The key of another certificate; no key; no file.
    for broken in [Some(KeyPair::generate().unwrap().serialize_pem()), Some("no key".to_owned()), None] {
        match &broken {
            Some(text) => write_private(&files.dir.join("tls.key"), text),
            None => fs::remove_file(files.dir.join("tls.key")).unwrap(),
        }
        wait_until(async || metric(&server, "rally_tls_files_usable").await == 0).await;
        assert_eq!(certificate(&files, &server).await, first);
        write_private(&files.dir.join("tls.key"), &key);
        wait_until(async || metric(&server, "rally_tls_files_usable").await == 1).await;
    }
    files.renew(2);
    wait_until(async || certificate(&files, &server).await != first).await;
}

#[tokio::test]
async fn where_clients_need_a_certificate_only_those_of_the_authority_are_served() {
    let files = Files::new("tls-clients");
    let ca = files.path("ca.pem");
    let server = files.serve(&[("TLS_CLIENT_CA_FILE", ca.as_str())]).await;
    let gateway = identity(&files.authority);
    let status = async |identity: Option<&Identity>| {
        let builder = files.http(&server);
        let builder = match identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        };
        let response = builder.build().unwrap().get(url(&server, "/healthz")).send().await;
        response.ok().map(|response| response.status().as_u16())
    };
    assert_eq!(status(Some(&gateway)).await, Some(200));
    let failed = metric(&server, "rally_tls_failed_handshakes_total").await;
    assert_eq!(status(None).await, None);
    let other = authority();
    assert_eq!(status(Some(&identity(&other))).await, None);
    wait_until(async || metric(&server, "rally_tls_failed_handshakes_total").await == failed + 2).await;

    // Another authority takes the place of the first.
    fs::write(&ca, other.pem()).unwrap();
    wait_until(async || status(Some(&identity(&other))).await == Some(200)).await;
    assert_eq!(status(Some(&gateway)).await, None);
}

#[tokio::test]
async fn a_client_that_calls_by_http_is_told_to_use_https() {
    let files = Files::new("tls-plain");
    let server = files.serve(&[]).await;
    let response = raw(server.address, format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nThis address speaks TLS only: call it by https://\n"), "{response}");
    let length = response.split_once("\r\n\r\n").unwrap().1.len();
    assert!(response.contains(&format!("Content-Length: {length}\r\n")), "{response}");
}

#[tokio::test]
async fn a_connection_without_a_handshake_is_closed_in_time() {
    let files = Files::new("tls-silent");
    let server = files.serve(&[]).await;
    let closed = async |address: SocketAddr, first: &'static [u8]| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, first).await.unwrap();
        timeout(Duration::from_secs(30), stream.read_to_end(&mut Vec::new())).await.map(drop)
    };
    // Nothing, and the start of a handshake record of 256 bytes.
    let (silent, slow) = tokio::join!(closed(server.address, b""), closed(server.address, b"\x16\x03\x01\x01\x00\x01"));
    assert_eq!((silent, slow), (Ok(()), Ok(())));
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_and_name_the_setting() {
    let files = Files::new("tls-start");
    fs::write(files.dir.join("empty"), "").unwrap();
    let other_key = files.dir.join("other.key");
    write_private(&other_key, &KeyPair::generate().unwrap().serialize_pem());
    let database = TestDatabase::create().await;
    let url = database.url().await;
    for (changed, file, problem) in [
        ("TLS_CERT_FILE", "missing", "TLS_CERT_FILE names"),
        ("TLS_CERT_FILE", "empty", "TLS_CERT_FILE names a file without certificates in PEM"),
        ("TLS_KEY_FILE", "tls.crt", "TLS_KEY_FILE names a file without an unencrypted private key in PEM"),
        ("TLS_KEY_FILE", "other.key", "TLS_CERT_FILE and TLS_KEY_FILE cannot be used together"),
        ("TLS_CLIENT_CA_FILE", "tls.key", "TLS_CLIENT_CA_FILE names a file without certificates"),
    ] {
        let mut settings = vec![("TLS_CERT_FILE", files.path("tls.crt")), ("TLS_KEY_FILE", files.path("tls.key"))];
        settings.push((changed, files.path(file)));
        let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.push(("ADMIN_LISTEN_ADDR", "127.0.0.1:0"));
        match Service::start(&config(&settings), &url, Clock::default()).await {
            Err(StartError::Tls(error)) => assert!(error.to_string().contains(problem), "{file}: {error}"),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{changed}={file}"),
        }
    }
}

#[tokio::test]
async fn doctor_and_health_know_of_tls() {
    let files = Files::new("tls-commands");
    let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
    let tls = [("TLS_CERT_FILE", certificate.as_str()), ("TLS_KEY_FILE", key.as_str())];
    let server = TestServer::with(&tls).await;
    let (address, home) = (server.address.to_string(), Home::new("tls-commands-home"));
    home.succeed(&["health"], &[tls.as_slice(), &[("LISTEN_ADDR", &address)]].concat()).await;

    let printed = String::from_utf8(home.run(&["doctor"], &tls).await.stdout).unwrap();
    let line = printed.lines().find(|line| line.contains("TLS: ")).unwrap_or_else(|| panic!("{printed}"));
    assert!(line.starts_with("ok    TLS: the certificate is valid until "), "{line}");
    fs::write(&certificate, "").unwrap();
    let printed = String::from_utf8(home.run(&["doctor"], &tls).await.stdout).unwrap();
    assert!(printed.contains("FAIL  TLS: TLS_CERT_FILE names a file without certificates"), "{printed}");

    let why = home.fail(&["config", "check"], &tls[..1]).await;
    assert!(why.contains("TLS_KEY_FILE must be set where TLS_CERT_FILE is"), "{why}");
    let why = home.fail(&["config", "check"], &[tls.as_slice(), &[("TLS_CLIENT_CA_FILE", "/ca.pem")]].concat()).await;
    assert!(why.contains("ADMIN_LISTEN_ADDR must be set where TLS_CLIENT_CA_FILE is"), "{why}");
}
