//! Misbehaving clients: slow ones, idle ones, oversized headers, pipelines.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    Scene,
    load::{API, Load, Sample, by_admin, checks, count, p99},
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, check, request, send_each},
        keys::Key,
        server::Server,
    },
};

const SLOW: usize = 1_000;
const IDLE: u64 = 10_000;
const OVERSIZED: usize = 200;
const OVERSIZED_BYTES: usize = 1 << 20;
const PIPELINED: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(2);

/// A thousand clients send one byte at a time, and ten thousand connections are idle, while others send checks.
pub async fn slow(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    // Both ends of each connection are open files. The service inherits the limit.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let idle = IDLE.min(hard.saturating_sub(2_000));
    if idle < IDLE {
        report.skip('h', format!("{IDLE} idle connections: `ulimit -Hn` is {hard}, so there were {idle}"));
    }
    let server = Server::instance(&scene.database, "slow", &[("HTTP_MAX_CONNECTIONS", "20000")]).await?;
    let address = server.address;
    let keys = &scene.keys[500..600];
    send_each(address, &checks(keys), 200).await?;
    let before = checking(address, keys, Duration::from_secs(3)).await?;
    let memory = server.memory("VmRSS")?;

    let mut idle_connections = Vec::new();
    while (idle_connections.len() as u64) < idle {
        for connection in join_all((0..200).map(|_| open_idle(address))).await {
            idle_connections.push(connection?);
        }
    }
    let mut slow_clients = JoinSet::new();
    let header = request("GET", "/healthz", &scene.tenant, &format!("X-Slow: {}\r\n", "a".repeat(1_000)), "");
    let body = by_admin(scene, "POST", API, &format!("{{\"name\":\"{}\"}}", "a".repeat(1_000)))?;
    let at_once = body.find("\r\n\r\n").ok_or("no body")? + 4;
    for n in 0..SLOW {
        let (text, at_once) = if n % 2 == 0 { (header.clone(), 20) } else { (body.clone(), at_once) };
        slow_clients.spawn(send_slowly(address, text, at_once));
    }
    let during = checking(address, keys, Duration::from_secs(6)).await?;
    let full = server.memory("VmRSS")?;
    let (mut slowest, mut closed) = (0_f64, 0);
    while let Some(lasted) = slow_clients.join_next().await {
        let lasted = lasted?;
        closed += usize::from(lasted.is_some());
        slowest = slowest.max(lasted.map_or(f64::INFINITY, |lasted| lasted.as_secs_f64()));
    }
    let open = idle_connections.len();
    drop(idle_connections);
    let after = checking(address, keys, Duration::from_secs(2)).await?;
    server.stop().await?;

    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    let what = format!("{SLOW} slow connections, {open} idle ones: checks that failed meanwhile, of {}", during.len());
    report.never('h', what, failed(&during) + failed(&after), "responses");
    report.info('h', "checks over 16 connections before, p99", p99(&before, |_| true), "ms");
    report.at_most('h', "meanwhile, p99", p99(&during, |_| true), "ms", 100.0);
    report.info('h', "memory before", memory, "MiB");
    report.info('h', "memory meanwhile", full, "MiB");
    let each = (full - memory) * 1024.0 / as_figure(open + SLOW);
    report.at_most('h', "memory for each open connection", each, "KiB", 40.0);
    report.at_least('h', "slow clients that were disconnected", as_figure(closed), "", as_figure(SLOW));
    report.at_most('h', "after at most", slowest, "s", 12.0);
    Ok(())
}

async fn checking(address: SocketAddr, keys: &[Key], time: Duration) -> Outcome<Vec<Sample>> {
    let load = Load::start(address, checks(keys), 16, PAUSE);
    sleep(time).await;
    load.finish().await
}

/// A connection that has sent one request.
async fn open_idle(address: SocketAddr) -> Outcome<Connection> {
    let mut connection = Connection::open(address).await?;
    connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    Ok(connection)
}

/// Sends some bytes and then one at a time. Returns how long the server kept the connection open.
async fn send_slowly(address: SocketAddr, text: String, at_once: usize) -> Option<Duration> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let begun = Instant::now();
    let (first, rest) = text.as_bytes().split_at(at_once);
    stream.write_all(first).await.ok()?;
    let (mut reader, mut writer) = stream.split();
    let mut response = Vec::new();
    let sending = async {
        for byte in rest {
            sleep(Duration::from_millis(250)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = reader.read_to_end(&mut response) => Some(begun.elapsed()),
        () = sending => Some(begun.elapsed()),
        () = sleep(Duration::from_secs(30)) => None,
    }
}

/// Requests with a mebibyte of headers, and a thousand requests in one write.
pub async fn oversized_and_pipelined(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "oversized", &[]).await?;
    let address = server.address;
    let keys = &scene.keys[600..700];
    send_each(address, &checks(keys), 200).await?;
    let memory = server.memory("VmRSS")?;
    let load = Load::start(address, checks(keys), 8, PAUSE);
    let responses = join_all((0..OVERSIZED).map(|_| oversized(address))).await;
    let peak = server.memory("VmHWM")?;
    let samples = load.finish().await?;
    let refused = responses.iter().filter(|response| response.starts_with("HTTP/1.1 431")).count();
    let reset = responses.iter().filter(|response| response.is_empty()).count();
    let what = format!(
        "{OVERSIZED} concurrent requests with 1 MiB of headers: responses other than 431 or a closed connection"
    );
    report.never('i', what, OVERSIZED - refused - reset, "");
    report.at_most('i', "peak of the additional memory", peak - memory, "MiB", 64.0);
    report.never('i', "checks that failed meanwhile", count(&samples, |sample| !sample.succeeded()), "responses");

    let mut text = String::new();
    for n in 0..PIPELINED {
        let last = if n + 1 == PIPELINED { "Connection: close\r\n" } else { "" };
        let check = check(&keys[n % keys.len()]);
        text += &check.replacen("\r\n", &format!("\r\nX-Request-Id: {n}\r\n{last}"), 1);
    }
    let begun = Instant::now();
    let response = exchange(address, text.into_bytes()).await;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let ids = response.lines().filter_map(|line| line.strip_prefix("x-request-id: ")?.trim().parse::<usize>().ok());
    let in_order = ids.zip(0..).take_while(|(id, n)| id == n).count();
    let accepted = response.lines().filter(|line| line.starts_with("HTTP/1.1 200")).count();
    let what = format!("{PIPELINED} checks pipelined on one connection: responses of 200 in order");
    report.at_least('i', what, as_figure(in_order.min(accepted)), "", as_figure(PIPELINED));
    report.info('i', "duration of all", took, "ms");
    server.stop().await
}

async fn oversized(address: SocketAddr) -> String {
    let mut text = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    while text.len() < OVERSIZED_BYTES {
        text.extend_from_slice(b"X-Oversized: ");
        text.resize(text.len() + 1_000, b'a');
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"Connection: close\r\n\r\n");
    exchange(address, text).await
}

/// Sends and reads concurrently, until the server closes the connection.
async fn exchange(address: SocketAddr, text: Vec<u8>) -> String {
    let Ok(mut stream) = TcpStream::connect(address).await else { return "no connection".into() };
    let (mut reader, mut writer) = stream.split();
    let mut response = Vec::new();
    let both = async {
        // The server does not read a refused request to its end.
        let (_, _) = tokio::join!(writer.write_all(&text), reader.read_to_end(&mut response));
    };
    if timeout(Duration::from_secs(30), both).await.is_err() {
        return "no end".into();
    }
    String::from_utf8_lossy(&response).into_owned()
}
