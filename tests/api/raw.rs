//! HTTP/1 by hand, for what a proper client would not do.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection on which a test writes what it likes.
pub struct RawConnection(BufReader<TcpStream>);

/// A response, read off a connection that may go on.
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

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("a connection that takes bytes");
    }

    /// The same, where the server may have gone. Tells whether it took them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Ends its own side; the other one may go on.
    pub async fn say_no_more(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// The next response.
    pub async fn reply(&mut self) -> RawReply {
        let reply = timeout(PATIENCE, self.read_reply()).await.expect("an answer in time");
        reply.expect("a connection that brings an answer").expect("an answer and not the end")
    }

    /// The next response; none when the connection ends (or is reset) instead.
    pub async fn reply_or_end(&mut self) -> Option<RawReply> {
        timeout(PATIENCE, self.read_reply()).await.expect("an answer or an end in time").ok().flatten()
    }

    /// Whether there is no response within that time.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.0.fill_buf()).await.is_err()
    }

    /// Waits until the server closes, and tells what it said before.
    pub async fn end(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("an end in time");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Goes away: by a reset, or in an orderly way.
    pub fn leave(self, reset: bool) {
        if reset {
            self.0.get_ref().set_zero_linger().expect("a socket");
        }
    }

    async fn read_reply(&mut self) -> std::io::Result<Option<RawReply>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await? == 0 {
                assert!(head.is_empty(), "an answer broke off: {head:?}");
                return Ok(None);
            }
        }
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        let mut body = Vec::new();
        if let Some(length) = header(&head, "content-length") {
            body.resize(length.parse().expect("a length"), 0);
            self.0.read_exact(&mut body).await?;
        } else if status >= 200 && status != 204 {
            panic!("an answer without a length: {head:?}");
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
