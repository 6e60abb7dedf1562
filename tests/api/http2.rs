//! HTTP/2 without TLS, for requests that the usual client does not send.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Request, Version,
    body::{Body, Bytes, Frame},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::Reply;

/// Sends a request on a connection of its own. The authority of its URI becomes `:authority`.
pub async fn send<B>(address: SocketAddr, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    send_on(tokio::net::TcpStream::connect(address).await.unwrap(), request).await
}

/// As [`send`], on an open connection.
pub async fn send_on<S, B>(stream: S, request: Request<B>) -> Reply
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    assert_eq!(head.version, Version::HTTP_2);
    Reply { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// A body of unknown length: each of `parts` is a DATA frame, and an empty one ends the stream.
pub fn streamed<const N: usize>(
    parts: [&'static str; N],
) -> StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Unpin + 'static> {
    let frames = parts.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
    StreamBody::new(futures_util::stream::iter(frames))
}
