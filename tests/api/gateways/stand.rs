//! A real gateway in front of the test's CRM, with the service for its authorization requests.

use std::{
    fmt, fs, future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse as _,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    process::{Child, Command},
    sync::watch,
};

use crate::{
    client::{Client, Credential},
    harness::{TestDatabase, TestServer, free_address, not_tested, raw, scratch_dir, wait_until},
    programs,
    proxy::Proxy,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    Nginx,
    Caddy,
    Traefik,
    Envoy,
    HaProxy,
}

impl Gateway {
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Caddy, Self::Traefik, Self::Envoy, Self::HaProxy];

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Envoy => "envoy",
            Self::HaProxy => "haproxy",
        }
    }

    /// Its files under `docs/gateways`. The program is started with the first one.
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &["nginx.conf"],
            Self::Caddy => &["Caddyfile"],
            Self::Traefik => &["traefik.yml", "traefik-dynamic.yml"],
            Self::Envoy => &["envoy.yaml"],
            Self::HaProxy => &["haproxy.cfg", "rally-auth.lua"],
        }
    }

    /// The oldest version that its files work with.
    fn oldest(self) -> (u32, u32) {
        match self {
            Self::Nginx => (1, 18),
            Self::Caddy | Self::HaProxy => (2, 6),
            Self::Traefik => (3, 0),
            Self::Envoy => (1, 38),
        }
    }

    /// Every installed version that its files work with. Says so if there is none, or if one is too old.
    pub fn installed(self) -> Vec<Program> {
        let all = Program::find(self);
        let (supported, too_old): (Vec<_>, Vec<_>) = all.into_iter().partition(|found| found.version >= self.oldest());
        if supported.is_empty() {
            not_tested(&format!("{self:?} {:?} or newer is not installed; found: {too_old:?}", self.oldest()));
        }
        supported
    }

    fn arguments(self, dir: &Path) -> Vec<String> {
        let dir = dir.display();
        let text = match self {
            Self::Nginx => {
                return vec![
                    "-p".into(),
                    dir.to_string(),
                    "-e".into(),
                    format!("{dir}/error.log"),
                    "-c".into(),
                    "nginx.conf".into(),
                    "-g".into(),
                    format!("daemon off; pid {dir}/nginx.pid;"),
                ];
            }
            Self::Caddy => format!("run --config {dir}/Caddyfile"),
            Self::Traefik => format!("--configFile={dir}/traefik.yml"),
            Self::Envoy => format!("-c {dir}/envoy.yaml --disable-hot-restart --concurrency 1 --log-level warn"),
            Self::HaProxy => "-f haproxy.cfg".to_owned(),
        };
        text.split(' ').map(str::to_owned).collect()
    }

    /// The documented file with this run's ports, and with folders that the test can write to.
    fn adapt(self, text: &str, dir: &Path, ports: Ports) -> String {
        let text = text
            .replace("127.0.0.1:8080", &ports.service.to_string())
            .replace("127.0.0.1:9000", &ports.crm.to_string())
            .replace("port_value: 8080", &format!("port_value: {}", ports.service.port()))
            .replace("port_value: 9000", &format!("port_value: {}", ports.crm.port()))
            .replace("8000", &ports.gateway.port().to_string());
        let dir = dir.display();
        match self {
            Self::Nginx => {
                let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
                let folders: String = folders.map(|name| format!("{name}_temp_path {dir}/{name};\n")).concat();
                text.replace("http {\n", &format!("http {{\naccess_log off;\n{folders}"))
            }
            Self::Traefik => text.replace("filename: ", &format!("filename: {dir}/")),
            Self::Caddy | Self::Envoy | Self::HaProxy => text,
        }
    }
}

/// An installed gateway.
#[derive(Clone)]
pub struct Program {
    pub gateway: Gateway,
    pub version: (u32, u32),
    path: PathBuf,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{:?} {major}.{minor} ({})", self.gateway, self.path.display())
    }
}

impl Program {
    /// Every installed version of every gateway.
    pub fn all() -> Vec<Self> {
        Gateway::ALL.into_iter().flat_map(Gateway::installed).collect()
    }

    fn find(gateway: Gateway) -> Vec<Self> {
        let ours = ["gateways/bin", "gateways/debian/usr/bin", "gateways/debian/usr/sbin"];
        let flag = match gateway {
            Gateway::Nginx | Gateway::HaProxy => "-v",
            Gateway::Caddy | Gateway::Traefik => "version",
            Gateway::Envoy => "--version",
        };
        let found = programs::find(gateway.program(), &ours);
        found.into_iter().map(|path| Self { gateway, version: programs::version(&path, flag), path }).collect()
    }
}

#[derive(Clone, Copy)]
struct Ports {
    gateway: SocketAddr,
    service: SocketAddr,
    crm: SocketAddr,
}

/// A request that the CRM received.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
}

const TRUSTED: [(&str, &str); 1] = [("TRUSTED_PROXIES", "127.0.0.1")];

/// A gateway with the service and the CRM.
pub struct Stand {
    pub gateway: Gateway,
    pub program: Program,
    pub server: TestServer,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    freeze: watch::Sender<bool>,
    address: SocketAddr,
    http: reqwest::Client,
    process: Child,
    dir: PathBuf,
}

impl Stand {
    /// Starts the gateway with the documented files.
    pub async fn start(program: &Program) -> Self {
        Self::start_changed(program, "", str::to_owned).await
    }

    /// As [`Self::start`], with nothing where the CRM should be.
    pub async fn start_without_crm(program: &Program) -> Self {
        let absent = free_address().port().to_string();
        Self::start_changed(program, "-without-crm", |text| text.replace("9000", &absent)).await
    }

    /// As [`Self::start`], with a service that reaches its database through a proxy.
    pub async fn start_with_database_proxy(program: &Program) -> (Self, Proxy) {
        let database = TestDatabase::create().await;
        let proxy = Proxy::start(database.socket().await).await;
        let server = TestServer::through(proxy.address, database, &TRUSTED).await;
        (Self::start_before(server, program, "-proxy", |_, text| text.to_owned(), 401).await, proxy)
    }

    /// Starts the gateway with the documented files, changed so that each check requires the scope `admin`.
    pub async fn start_requiring_admin(program: &Program) -> Self {
        let (documented, changed) = match program.gateway {
            Gateway::Nginx => ("/forward-auth;", "/forward-auth?scope=admin;"),
            Gateway::Caddy => {
                ("rewrite /forward-auth?limited=429\n", "rewrite /forward-auth?limited=429&scope=admin\n")
            }
            Gateway::Traefik => (":8080/forward-auth?limited=429\n", ":8080/forward-auth?limited=429&scope=admin\n"),
            Gateway::Envoy => {
                ("path_override: /forward-auth?limited=429\n", "path_override: /forward-auth?limited=429&scope=admin\n")
            }
            Gateway::HaProxy => ("8080/forward-auth?limited=429\"", "8080/forward-auth?limited=429&scope=admin\""),
        };
        Self::start_changed(program, "-admin", move |text| text.replace(documented, changed)).await
    }

    /// As [`Self::start_requiring_admin`], with the lines that the README has for older versions of Envoy.
    pub async fn start_requiring_admin_by_header(envoy: &Program) -> Self {
        let changed = "path_prefix: /forward-auth/crm
                        authorization_request:
                          headers_to_add: [{ key: x-rally-required-scope, value: admin }]";
        Self::start_changed(envoy, "-header", |text| text.replace("path_override: /forward-auth?limited=429", changed))
            .await
    }

    async fn start_changed(program: &Program, name: &str, change: impl Fn(&str) -> String) -> Self {
        Self::start_before(TestServer::with(&TRUSTED).await, program, name, |_, text| change(text), 401).await
    }

    /// Starts the gateway before that service. `change` gets the name of each documented file and its text; `status` is
    /// what a request without a credential gets then.
    pub async fn start_before(
        server: TestServer,
        program: &Program,
        name: &str,
        change: impl Fn(&str, &str) -> String,
        status: u16,
    ) -> Self {
        let gateway = program.gateway;
        let (seen, connections) = (Arc::default(), Arc::default());
        let (freeze, frozen) = watch::channel(false);
        let ports = Ports {
            gateway: free_address(),
            service: relay(server.address, Arc::clone(&connections), frozen).await,
            crm: crm(Arc::clone(&seen)).await,
        };
        let dir = scratch_dir(&format!("{}-{}{name}-{}", gateway.program(), program.version.1, ports.gateway.port()));
        for name in gateway.files() {
            let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gateways").join(name);
            let text = fs::read_to_string(documented).unwrap();
            fs::write(dir.join(name), gateway.adapt(&change(name, &text), &dir, ports)).unwrap();
        }
        let process = launch(&program.path, &gateway.arguments(&dir), &dir);
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let stand = Self {
            gateway,
            program: program.clone(),
            server,
            seen,
            connections,
            freeze,
            address: ports.gateway,
            http,
            process,
            dir,
        };
        stand.wait_until_it_responds_with(status).await;
        stand
    }

    async fn wait_until_it_responds_with(&self, status: u16) {
        self.server.wait_for_feed().await;
        let url = format!("http://{}/", self.address);
        let has_started = async || {
            let reply = self.http.get(&url).header("host", "acme.localhost").send().await;
            reply.is_ok_and(|reply| reply.status() == status)
        };
        let started = tokio::time::timeout(Duration::from_secs(10), wait_until(has_started)).await;
        assert!(started.is_ok(), "{:?} does not start:\n{}", self.program, self.log());
        self.seen.lock().unwrap().clear();
    }

    /// The gateway's output.
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        read("output.log") + &read("error.log")
    }

    /// A client of the CRM on that tenant's host, through the gateway.
    pub fn client(&self, slug: &str, credential: Credential) -> Client {
        Client::new(self.http.clone(), format!("http://{}", self.address), format!("{slug}.localhost"), credential)
    }

    /// As [`Self::client`], with a local address of its own.
    #[cfg(target_os = "linux")]
    pub fn client_from(&self, address: &str, slug: &str, credential: Credential) -> Client {
        let http = reqwest::Client::builder().local_address(address.parse::<std::net::IpAddr>().unwrap());
        let http = http.timeout(Duration::from_secs(20)).build().unwrap();
        Client::new(http, format!("http://{}", self.address), format!("{slug}.localhost"), credential)
    }

    /// Sends bytes unchanged and reads until the gateway closes the connection, so a request needs `Connection: close`.
    pub async fn raw(&self, request: &str) -> String {
        raw(self.address, request).await
    }

    /// From now on the service accepts connections and does not respond.
    pub fn freeze_service(&self) {
        self.freeze.send_replace(true);
    }

    /// A connection to the gateway.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The requests that the CRM has received since the last call.
    pub fn reached(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// How many connections the gateway has made to the service so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Stops the gateway.
    pub async fn stop(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().await.unwrap();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts the gateway by a shell that terminates it when the shell's standard input is closed. That also happens when the
/// test process is killed.
fn launch(program: &Path, arguments: &[String], dir: &Path) -> Child {
    let script = r#"
        trap '' INT TERM HUP
        (trap - INT TERM HUP; exec "$@") &
        read -r _
        kill -TERM $! 2>/dev/null
        wait $!
        true
    "#;
    let log = fs::File::create(dir.join("output.log")).unwrap();
    Command::new("sh")
        .args(["-c", script, "keeper"])
        .arg(program)
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A CRM that records each request and responds with 200, or with what a client wants to upgrade to. It sends back all
/// bytes that arrive on an upgraded connection.
async fn crm(seen: Arc<Mutex<Vec<Seen>>>) -> SocketAddr {
    let respond = move |mut request: Request| async move {
        seen.lock().unwrap().push(Seen {
            method: request.method().to_string(),
            path: request.uri().to_string(),
            headers: request.headers().clone(),
        });
        let Some(protocol) = request.headers().get(header::UPGRADE).cloned() else {
            return "the CRM's response".into_response();
        };
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
        let headers = [
            (header::UPGRADE, protocol),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            // Of the key in RFC 6455, section 1.3.
            (header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(respond)).await });
    address
}

/// A TCP relay to the service that counts connections, and forwards nothing while it is frozen.
async fn relay(service: SocketAddr, connections: Arc<AtomicUsize>, frozen: watch::Receiver<bool>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            let mut frozen = frozen.clone();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(service).await else { return };
                tokio::select! {
                    biased; // so that nothing that arrives after the freeze is forwarded
                    // An error: the stand has ended.
                    is_frozen = async { frozen.wait_for(|frozen| *frozen).await.is_ok() } => if is_frozen {
                        future::pending::<()>().await;
                    },
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                }
            });
        }
    });
    address
}
