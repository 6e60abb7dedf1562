//! A connection's socket, as hyper writes to it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::watched_body::STALL_LIMIT;

/// Bytes that the kernel keeps which the peer has not made room for. With its default, some megabytes, it would take in
/// most of a response that nobody reads, and a slow reader would seem to read nothing for longer than `STALL_LIMIT`.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 64 * 1024;

/// Writes a single buffer by send(2), which takes the kernel less time than writev(2). hyper writes each response as
/// a list of buffers, so that it need not copy bodies; the response of a check has no body, so its list has one entry.
/// A peer that takes no byte for [`STALL_LIMIT`] is an error.
pub(super) struct Socket {
    stream: TcpStream,
    /// While a write waits for the peer.
    limit: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT)?;
        Ok(Self { stream, limit: None })
    }

    fn within_limit(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.limit = None;
            return written;
        }
        let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(STALL_LIMIT)));
        limit.poll_unpin(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl Drop for Socket {
    /// A peer that has not taken what was written gets a reset. An orderly end would wait behind those bytes, which the
    /// kernel would keep for as long as the peer is there.
    fn drop(&mut self) {
        if self.limit.is_some() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_limit(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match buffers {
            [one] => Pin::new(&mut self.stream).poll_write(context, one),
            several => Pin::new(&mut self.stream).poll_write_vectored(context, several),
        };
        self.within_limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
