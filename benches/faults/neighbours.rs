//! A greedy tenant beside one that revokes keys and checks keys.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rally_api_keys::{
    domain::{Scope, Tenant},
    store::TenantAdmin,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
    time::sleep,
};

use crate::{
    Scene,
    load::{API, Load, Sample, checks, count, p99},
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{request, send_each},
        keys::{self, Key, token},
        server::Server,
    },
};

const MEASURED: Duration = Duration::from_secs(15);
/// After the greedy clients have left.
const AFTERWARDS: Duration = Duration::from_secs(15);
const UNREAD: usize = 200;

/// The greedy tenants, and the keys of the modest one.
pub struct Neighbours {
    /// With 100,000 keys.
    large: Tenant,
    /// With 2,000 keys.
    medium: Tenant,
    /// With 7,000 keys, whose list has 3 MB.
    unread: Tenant,
    /// Of the medium tenant.
    rotated: Vec<Key>,
    modest: Vec<Key>,
}

impl Neighbours {
    async fn seed(scene: &Scene) -> Outcome<Self> {
        let mut admin = TenantAdmin::connect(&scene.database.url()).await?;
        let mut connection = scene.database.connect().await?;
        let mut seed = async |slug, count| {
            let tenant = keys::tenant(&mut admin, slug).await?;
            let keys = keys::generate(std::slice::from_ref(&tenant), count);
            keys::copy_stamped(&mut connection, &keys).await?;
            Outcome::Ok((tenant, keys))
        };
        let (large, _) = seed("large", 100_000).await?;
        let (medium, mut rotated) = seed("medium", 2_000).await?;
        rotated.truncate(20);
        let (unread, _) = seed("unread", 7_000).await?;
        let (_, modest) = seed("modest", 20_000).await?;
        sqlx::query("ANALYZE").execute(&mut connection).await?;
        Ok(Self { large, medium, unread, rotated, modest })
    }
}

/// What the greedy tenant does, over and over.
#[derive(Clone, Copy)]
pub enum Greed {
    /// 12 lists of 100,000 keys at once.
    LargeLists,
    /// 40 lists of 2,000 keys at once.
    MediumLists,
    /// 200 connections that do not read their list.
    Unread,
    /// 200 requests on one HTTP/2 connection with closed windows.
    UnreadStreams,
    /// 40 calls at once that create a key or rotate the calling one.
    Changes,
}

/// `seeded`: from an earlier fault.
pub async fn beside(
    greed: Greed,
    letter: char,
    scene: &Scene,
    seeded: &mut Option<Neighbours>,
    report: &mut Report,
) -> Outcome<()> {
    let neighbours = match seeded {
        Some(neighbours) => neighbours,
        None => seeded.insert(Neighbours::seed(scene).await?),
    };
    // Each fault revokes keys of its own.
    let modest = neighbours.modest.split_off(neighbours.modest.len().saturating_sub(3_000));
    let (checked, revoked) = modest.split_at(100);
    let server = Server::instance(&scene.database, &format!("neighbours-{letter}"), &[]).await?;
    let address = server.address;
    let admin = token(&checked[0].tenant, Scope::Admin)?;
    let deletes = revoked.iter().map(|key| {
        let authorization = format!("Authorization: Bearer {admin}\r\n");
        request("DELETE", &format!("{API}/{}", key.id), &key.tenant, &authorization, "")
    });
    let deletes: Vec<_> = deletes.collect();
    send_each(address, &checks(checked), 200).await?;
    let idle = server.memory("VmRSS")?;

    let (requests, at_once) = greed.requests(neighbours)?;
    let greedy = Clients::start(address, greed, requests, at_once);
    sleep(Duration::from_secs(1)).await;
    let (checking, deleting) = (
        Load::start(address, checks(checked), 4, Duration::from_millis(2)),
        Load::start(address, deletes, 2, Duration::from_millis(20)),
    );
    sleep(MEASURED).await;
    let (checking, deleting) = (checking.finish().await?, deleting.finish().await?);
    let peak = server.memory("VmHWM")?;
    let responses = as_figure(greedy.stop()?);
    sleep(AFTERWARDS).await;
    let afterwards = server.memory("VmRSS")?;
    server.stop().await?;

    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    report.info(letter, format!("{}: its successful responses", greed.what()), responses, "");
    let what = format!("another tenant's revocations that failed, of {}", deleting.len());
    report.never(letter, what, failed(&deleting), "responses");
    report.at_most(letter, "another tenant's revocations, p99", p99(&deleting, |_| true), "ms", 100.0);
    let what = format!("another tenant's checks that failed, of {}", checking.len());
    report.never(letter, what, failed(&checking), "responses");
    report.at_most(letter, "another tenant's checks of cached keys, p99", p99(&checking, |_| true), "ms", 10.0);
    report.at_most(letter, "peak of the additional memory", peak - idle, "MiB", 128.0);
    report.info(letter, "additional memory 15 s later", afterwards - idle, "MiB");
    Ok(())
}

impl Greed {
    fn what(self) -> &'static str {
        match self {
            Self::LargeLists => "12 lists of 100,000 keys at once",
            Self::MediumLists => "40 lists of 2,000 keys at once",
            Self::Unread => "200 lists of 3 MB at once that are not read, over HTTP/1.1",
            Self::UnreadStreams => "200 lists of 3 MB at once that are not read, over HTTP/2",
            Self::Changes => "40 creates and rotations at once",
        }
    }

    /// The requests, and how many of them are sent at once.
    fn requests(self, neighbours: &Neighbours) -> Outcome<(Vec<String>, usize)> {
        let tenant = match self {
            Self::LargeLists => &neighbours.large,
            Self::Unread | Self::UnreadStreams => &neighbours.unread,
            Self::MediumLists | Self::Changes => &neighbours.medium,
        };
        let header = format!("Authorization: Bearer {}\r\nConnection: close\r\n", token(tenant, Scope::Admin)?);
        let list = request("GET", API, tenant, &header, "");
        Ok(match self {
            Self::LargeLists => (vec![list], 12),
            Self::MediumLists => (vec![list], 40),
            Self::Unread | Self::UnreadStreams => (vec![list], UNREAD),
            Self::Changes => {
                let rotate = |key: &Key| request("POST", &format!("{API}/{}/rotate", key.id), tenant, &header, "{}");
                let create = request("POST", API, tenant, &header, r#"{"name":"greedy"}"#);
                let changes = neighbours.rotated.iter().flat_map(|key| [create.clone(), rotate(key)]);
                (changes.collect(), 40)
            }
        })
    }
}

/// Greedy clients, on a thread of their own: to read megabytes would delay the measurement.
struct Clients {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Outcome<usize>>,
}

impl Clients {
    fn start(address: SocketAddr, greed: Greed, requests: Vec<String>, at_once: usize) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (mut workers, succeeded) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
                for worker in 0..at_once {
                    let request = requests[worker % requests.len()].clone();
                    let succeeded = succeeded.clone();
                    match greed {
                        Greed::Unread => workers.spawn(leave_unread(address, request, succeeded)),
                        Greed::UnreadStreams if worker == 0 => {
                            workers.spawn(leave_streams_unread(address, request, succeeded))
                        }
                        Greed::UnreadStreams => continue,
                        _ => workers.spawn(repeat(address, request, succeeded)),
                    };
                }
                let _ = stopped.await;
                Ok(succeeded.load(Ordering::Relaxed))
            })
        });
        Self { stop, thread }
    }

    /// The number of responses of 200 and 201.
    fn stop(self) -> Outcome<usize> {
        drop(self.stop);
        self.thread.join().map_err(|_| "a greedy client panicked")?
    }
}

fn is_success(response: &[u8]) -> bool {
    response.starts_with(b"HTTP/1.1 20")
}

/// Sends the request again and again, each time over a new connection, and reads the response to its end.
async fn repeat(address: SocketAddr, request: String, succeeded: Arc<AtomicUsize>) {
    let mut part = vec![0; 256 * 1024];
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let _ = stream.write_all(request.as_bytes()).await;
        let mut is_first = true;
        while let Ok(length) = stream.read(&mut part).await
            && length > 0
        {
            succeeded.fetch_add(usize::from(is_first && is_success(&part[..length])), Ordering::Relaxed);
            is_first = false;
        }
    }
}

/// Sends the request and reads the status only. When the connection has ended, once more.
async fn leave_unread(address: SocketAddr, request: String, succeeded: Arc<AtomicUsize>) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let _ = stream.write_all(request.as_bytes()).await;
        let mut status = [0; 12];
        if stream.read_exact(&mut status).await.is_ok() && is_success(&status) {
            succeeded.fetch_add(1, Ordering::Relaxed);
            // Until the server resets the connection.
            let _ = stream.ready(Interest::ERROR).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The same over HTTP/2, with as many streams of one connection as the server allows.
async fn leave_streams_unread(address: SocketAddr, request: String, succeeded: Arc<AtomicUsize>) {
    let header = |name: &str| {
        let line = request.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(": ").to_owned()
    };
    let uri = format!("http://{}{API}", header("Host"));
    loop {
        let streams = async {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(0);
            let stream = TokioIo::new(TcpStream::connect(address).await?);
            let (sender, connection) = builder.handshake::<_, Empty<Bytes>>(stream).await?;
            let connection = tokio::spawn(connection);
            let responses = (0..UNREAD).map(|_| {
                let (mut sender, succeeded) = (sender.clone(), succeeded.clone());
                let list = Request::get(&uri).header("authorization", header("Authorization")).body(Empty::new());
                async move {
                    let response = sender.send_request(list?).await?;
                    succeeded.fetch_add(usize::from(response.status() == 200), Ordering::Relaxed);
                    Outcome::Ok(response)
                }
            });
            let _unread = join_all(responses).await;
            let _ = connection.await;
            Outcome::Ok(())
        };
        let _ = streams.await;
        sleep(Duration::from_millis(100)).await;
    }
}
