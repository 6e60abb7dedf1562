//! HTTP/1 over a plain TCP connection, for requests that an HTTP client does not send.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// The time limit for a response or the end of a connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to which a test can write any bytes.
pub struct RawConnection(BufReader<TcpStream>);

/// A response, read from a connection that may stay open.
#[derive(Clone, Debug)]
pub struct RawReply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawConnection {
    pub async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.expect("a connection")
    }

    pub async fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes unchanged.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the bytes are sent");
    }

    /// Sends bytes over a connection that the server may have closed. Returns whether they were sent.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Closes the client's direction of the connection. The server may still send.
    pub async fn say_no_more(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// The next response.
    pub async fn reply(&mut self) -> RawReply {
        let reply = timeout(PATIENCE, self.read_reply()).await.expect("a response within the time limit");
        reply.expect("a connection without errors").expect("a response before the end of the connection")
    }

    /// The next response, or `None` if the connection is closed or reset before.
    pub async fn reply_or_end(&mut self) -> Option<RawReply> {
        timeout(PATIENCE, self.read_reply())
            .await
            .expect("a response or the end of the connection within the time limit")
            .ok()
            .flatten()
    }

    /// True if no byte arrives within that time.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.0.fill_buf()).await.is_err()
    }

    /// Waits until the server closes the connection, and returns the bytes that it sent before.
    pub async fn end(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset counts as the end, too.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest))
            .await
            .expect("the end of the connection within the time limit");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Closes the connection, by a reset if `reset`.
    pub fn leave(self, reset: bool) {
        if reset {
            self.0.get_ref().set_zero_linger().expect("a socket");
        }
    }

    async fn read_reply(&mut self) -> std::io::Result<Option<RawReply>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await? == 0 {
                assert!(head.is_empty(), "the connection ended within a response: {head:?}");
                return Ok(None);
            }
        }
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        let mut body = Vec::new();
        if let Some(length) = header(&head, "content-length") {
            body.resize(length.parse().expect("a length"), 0);
            self.0.read_exact(&mut body).await?;
        } else if status >= 200 && status != 204 {
            panic!("a response without Content-Length: {head:?}");
        }
        Ok(Some(RawReply { status, head, body: String::from_utf8_lossy(&body).into_owned() }))
    }
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

impl RawReply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}
