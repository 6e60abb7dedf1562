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

const TIMEOUT: Duration = Duration::from_secs(3);

/// Succeeds if the service on LISTEN_ADDR responds to `/healthz` with 200.
pub(super) async fn health(config: &Config) -> Result<(), Error> {
    let address = probe_address(config.http.listen_addr);
    let refused = |why: String| Error::Refused(format!("the service at {address} is not healthy: {why}"));
    let status = timeout(TIMEOUT, probe(address))
        .await
        .map_err(|_| refused(format!("no response within {} s", TIMEOUT.as_secs())))?
        .map_err(|error| refused(error.to_string()))?;
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(refused(status)) }
}

/// A wildcard address is probed on loopback.
fn probe_address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn probe(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response.lines().next().unwrap_or("empty response").to_owned())
}
