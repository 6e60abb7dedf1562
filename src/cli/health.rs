//! `rally-api-keys health`

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::Error;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(3);

/// Succeeds when the service that listens on LISTEN_ADDR answers `/healthz`.
pub(super) async fn health(config: &Config) -> Result<(), Error> {
    let address = reachable(config.http.listen_addr);
    let refused = |why: String| Error::Refused(format!("the service at {address} is not healthy: {why}"));
    let status = timeout(PATIENCE, ask(address))
        .await
        .map_err(|_| refused("it does not answer in time".into()))?
        .map_err(|error| refused(error.to_string()))?;
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(refused(status)) }
}

/// An address that listens on every interface is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or("it answered nothing").to_owned())
}
