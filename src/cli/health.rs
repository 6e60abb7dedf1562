//! `rally-api-keys health`

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::StatusCode;

use super::Error;
use crate::{
    auth::key_fetch::chain,
    config::{Config, Http},
};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Succeeds if the service responds to `/healthz` with 200, on `ADMIN_LISTEN_ADDR` where that is set, else on `LISTEN_ADDR`.
pub(super) async fn health(config: &Config) -> Result<(), Error> {
    let Http { listen_addr, admin_listen_addr, tls, .. } = &config.http;
    let scheme = if tls.is_some() && admin_listen_addr.is_none() { "https" } else { "http" };
    let address = probe_address(admin_listen_addr.unwrap_or(*listen_addr));
    let refused = |why: String| Error::Refused(format!("the service at {address} is not healthy: {why}"));
    match probe(&format!("{scheme}://{address}/healthz")).await {
        Ok(StatusCode::OK) => Ok(()),
        Ok(status) => Err(refused(status.to_string())),
        Err(error) => Err(refused(chain(&error))),
    }
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

/// Accepts any certificate: the service is a process of this machine, and the URL's host is an address, which certificates
/// rarely name.
async fn probe(url: &str) -> reqwest::Result<StatusCode> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(TIMEOUT).tls_danger_accept_invalid_certs(true).build()?;
    Ok(client.get(url).send().await?.status())
}
