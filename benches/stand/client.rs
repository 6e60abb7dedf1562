//! A plain HTTP/1.1 client over persistent connections, for requests that are sent exactly once or timed singly.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::try_join_all;
use rally_api_keys::domain::Tenant;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{Outcome, keys::Key};

/// A request's bytes. `extra` contains header lines, each with its line end.
pub fn request(method: &str, path: &str, tenant: &Tenant, extra: &str, body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}.localhost\r\n{extra}", tenant.slug);
    if !body.is_empty() {
        let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// A gateway's check of a key.
pub fn check(key: &Key) -> String {
    let header = format!("X-Api-Key: {}\r\n", key.secret.reveal());
    request("GET", "/forward-auth", &key.tenant, &header, "")
}

/// A response.
pub struct Reply {
    pub status: u16,
    /// The status line and the headers.
    head: String,
    pub body: Vec<u8>,
    /// The server closes the connection after it.
    pub closes: bool,
}

impl Reply {
    /// The value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// A connection with one request at a time.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub async fn send(&mut self, request: &str) -> Outcome<Reply> {
        self.0.write_all(request.as_bytes()).await?;
        let (mut status, mut length, mut closes, mut head) = (None, 0, false, String::with_capacity(512));
        loop {
            let start = head.len();
            if self.0.read_line(&mut head).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let header = head[start..].trim_end();
            if header.is_empty() {
                break;
            } else if status.is_none() {
                status = header.split(' ').nth(1).and_then(|code| code.parse().ok());
            } else if let Some((name, value)) = header.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse()?;
                } else if name.eq_ignore_ascii_case("connection") {
                    closes = value.trim().eq_ignore_ascii_case("close");
                }
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(Reply { status: status.ok_or("a response without a status")?, head, body, closes })
    }
}

/// Sends a check: true for 200, false for 401, an error for another status.
pub async fn accepted(connection: &mut Connection, check: &str) -> Outcome<bool> {
    match connection.send(check).await?.status {
        200 => Ok(true),
        401 => Ok(false),
        status => Err(format!("a check has status {status}").into()),
    }
}

/// Sends each request once, over 32 connections. An error if a response has another status.
pub async fn send_each(address: SocketAddr, requests: &[String], status: u16) -> Outcome<()> {
    let next = &AtomicUsize::new(0);
    let workers = (0..32.min(requests.len())).map(|_| async move {
        let mut connection = Connection::open(address).await?;
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let reply = connection.send(request).await?;
            if reply.status != status {
                let first = request.lines().next().unwrap_or_default();
                return Err(format!("{first}: expected {status}, got {}", reply.status).into());
            }
        }
        Outcome::Ok(())
    });
    try_join_all(workers).await?;
    Ok(())
}
