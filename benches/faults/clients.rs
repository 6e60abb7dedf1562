//! Clients that do not behave: slow ones, idle ones, headers without end, pipelines.

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

const DRIBBLING: usize = 1_000;
const IDLE: u64 = 10_000;
const BOMBS: usize = 200;
const BOMB: usize = 1 << 20;
const PIPELINED: usize = 1_000;
const REST: Duration = Duration::from_millis(2);

/// A thousand clients send a byte at a time, and ten thousand connections rest, while others work.
pub async fn slow(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    // Each connection has two ends, and the service inherits the limit.
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
    let before = working(address, keys, Duration::from_secs(3)).await?;
    let memory = server.memory("VmRSS")?;

    let mut resting = Vec::new();
    while (resting.len() as u64) < idle {
        for connection in join_all((0..200).map(|_| rest(address))).await {
            resting.push(connection?);
        }
    }
    let mut dribbling = JoinSet::new();
    let header = request("GET", "/healthz", &scene.tenant, &format!("X-Slow: {}\r\n", "a".repeat(1_000)), "");
    let body = by_admin(scene, "POST", API, &format!("{{\"name\":\"{}\"}}", "a".repeat(1_000)))?;
    let at_once = body.find("\r\n\r\n").ok_or("no body")? + 4;
    for n in 0..DRIBBLING {
        let (text, at_once) = if n % 2 == 0 { (header.clone(), 20) } else { (body.clone(), at_once) };
        dribbling.spawn(dribble(address, text, at_once));
    }
    let during = working(address, keys, Duration::from_secs(6)).await?;
    let full = server.memory("VmRSS")?;
    let (mut slowest, mut gone) = (0_f64, 0);
    while let Some(lasted) = dribbling.join_next().await {
        let lasted = lasted?;
        gone += usize::from(lasted.is_some());
        slowest = slowest.max(lasted.map_or(f64::INFINITY, |lasted| lasted.as_secs_f64()));
    }
    let open = resting.len();
    drop(resting);
    let after = working(address, keys, Duration::from_secs(2)).await?;
    server.stop().await?;

    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    let what = format!(
        "{DRIBBLING} connections that dribble, {open} that rest: checks that failed meanwhile, of {}",
        during.len()
    );
    report.never('h', what, failed(&during) + failed(&after), "answers");
    report.tell('h', "checks over 16 connections before, p99", p99(&before, |_| true), "ms");
    report.at_most('h', "meanwhile, p99", p99(&during, |_| true), "ms", 100.0);
    report.tell('h', "memory before", memory, "MiB");
    report.tell('h', "memory meanwhile", full, "MiB");
    let each = (full - memory) * 1024.0 / as_figure(open + DRIBBLING);
    report.at_most('h', "memory for each open connection", each, "KiB", 40.0);
    report.at_least('h', "dribbling clients that were sent away", as_figure(gone), "", as_figure(DRIBBLING));
    report.at_most('h', "after, at most", slowest, "s", 12.0);
    Ok(())
}

async fn working(address: SocketAddr, keys: &[Key], time: Duration) -> Outcome<Vec<Sample>> {
    let load = Load::start(address, checks(keys), 16, REST);
    sleep(time).await;
    load.finish().await
}

/// A connection with one request behind it.
async fn rest(address: SocketAddr) -> Outcome<Connection> {
    let mut connection = Connection::open(address).await?;
    connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    Ok(connection)
}

/// Sends some bytes, and then one at a time. Tells how long the server put up with it.
async fn dribble(address: SocketAddr, text: String, at_once: usize) -> Option<Duration> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let begun = Instant::now();
    let (first, rest) = text.as_bytes().split_at(at_once);
    stream.write_all(first).await.ok()?;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let dribbling = async {
        for byte in rest {
            sleep(Duration::from_millis(250)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = reader.read_to_end(&mut answer) => Some(begun.elapsed()),
        () = dribbling => Some(begun.elapsed()),
        () = sleep(Duration::from_secs(30)) => None,
    }
}

/// Headers of a mebibyte each; and a thousand requests in one go.
pub async fn bombs_and_pipelines(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "bombs", &[]).await?;
    let address = server.address;
    let keys = &scene.keys[600..700];
    send_each(address, &checks(keys), 200).await?;
    let memory = server.memory("VmRSS")?;
    let load = Load::start(address, checks(keys), 8, REST);
    let answers = join_all((0..BOMBS).map(|_| bomb(address))).await;
    let peak = server.memory("VmHWM")?;
    let samples = load.finish().await?;
    let refused = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 431")).count();
    let reset = answers.iter().filter(|answer| answer.is_empty()).count();
    let what = format!("{BOMBS} requests with 1 MiB of headers at once: answered by anything but 431 and an end");
    report.never('i', what, BOMBS - refused - reset, "");
    report.at_most('i', "memory that this took at its highest", peak - memory, "MiB", 64.0);
    report.never('i', "checks that failed meanwhile", count(&samples, |sample| !sample.succeeded()), "answers");

    let mut text = String::new();
    for n in 0..PIPELINED {
        let last = if n + 1 == PIPELINED { "Connection: close\r\n" } else { "" };
        let check = check(&keys[n % keys.len()]);
        text += &check.replacen("\r\n", &format!("\r\nX-Request-Id: {n}\r\n{last}"), 1);
    }
    let begun = Instant::now();
    let answer = exchange(address, text.into_bytes()).await;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let ids = answer.lines().filter_map(|line| line.strip_prefix("x-request-id: ")?.trim().parse::<usize>().ok());
    let in_order = ids.zip(0..).take_while(|(id, n)| id == n).count();
    let accepted = answer.lines().filter(|line| line.starts_with("HTTP/1.1 200")).count();
    let what = format!("{PIPELINED} checks pipelined on one connection: answered 200, in order");
    report.at_least('i', what, as_figure(in_order.min(accepted)), "", as_figure(PIPELINED));
    report.tell('i', "all of them took", took, "ms");
    server.stop().await
}

async fn bomb(address: SocketAddr) -> String {
    let mut text = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    while text.len() < BOMB {
        text.extend_from_slice(b"X-Bomb: ");
        text.resize(text.len() + 1_000, b'a');
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"Connection: close\r\n\r\n");
    exchange(address, text).await
}

/// Sends and reads at once, to the end.
async fn exchange(address: SocketAddr, text: Vec<u8>) -> String {
    let Ok(mut stream) = TcpStream::connect(address).await else { return "no connection".into() };
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let both = async {
        // What is refused early is not read to its end.
        let (_, _) = tokio::join!(writer.write_all(&text), reader.read_to_end(&mut answer));
    };
    if timeout(Duration::from_secs(30), both).await.is_err() {
        return "no end".into();
    }
    String::from_utf8_lossy(&answer).into_owned()
}
