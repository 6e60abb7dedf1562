//! Settings of the HTTP server, and of how a request names its tenant.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::http::{HeaderValue, Uri};
use ipnet::IpNet;

use super::{joined, reader::Reader};
use crate::auth::{client_address::TrustedProxies, tenant_host::TenantResolver};

#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) listen_addr: SocketAddr,
    /// A second listener for metrics and probes. Metrics are then served there only, probes on both.
    pub(crate) admin_listen_addr: Option<SocketAddr>,
    /// On the public listener, at the same time.
    pub(crate) max_connections: usize,
    /// From the signal to stop until the process ends at the latest, the drain included.
    pub(crate) shutdown_grace: Duration,
    /// How long the service keeps serving after SIGTERM while `/readyz` fails, so that load balancers move on first.
    pub(crate) shutdown_drain: Duration,
    /// Origins that browsers may call from, in addition to the tenants' own hosts.
    pub(crate) cors_origins: Vec<HeaderValue>,
}

impl Http {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let grace = settings.number("SHUTDOWN_GRACE_SECONDS", 20, (0, 3600), "20");
        let drain = settings.number("SHUTDOWN_DRAIN_SECONDS", grace / 4, (0, 3600), "5");
        if drain > 0 && drain >= grace {
            settings.reject("SHUTDOWN_DRAIN_SECONDS", "must be less than SHUTDOWN_GRACE_SECONDS", "5");
        }
        let address = |text: &str| text.parse().map_err(|_| "must be an IP address and a port");
        Self {
            listen_addr: settings
                .parse("LISTEN_ADDR", "127.0.0.1:8080", address)
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin_listen_addr: settings.parse("ADMIN_LISTEN_ADDR", "127.0.0.1:9090", address),
            max_connections: settings.number("HTTP_MAX_CONNECTIONS", 10_000, (1, 1_000_000), "10000"),
            shutdown_grace: Duration::from_secs(grace),
            shutdown_drain: Duration::from_secs(drain),
            cors_origins: settings.list(
                "CORS_ALLOWED_ORIGINS",
                "https://app.example.com,http://localhost:5173",
                origin,
            ),
        }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let origin = |origin: &HeaderValue| String::from_utf8_lossy(origin.as_bytes()).into_owned();
        vec![
            ("LISTEN_ADDR", self.listen_addr.to_string()),
            ("ADMIN_LISTEN_ADDR", self.admin_listen_addr.map(|address| address.to_string()).unwrap_or_default()),
            ("CORS_ALLOWED_ORIGINS", joined(self.cors_origins.iter().map(origin))),
            ("HTTP_MAX_CONNECTIONS", self.max_connections.to_string()),
            ("SHUTDOWN_GRACE_SECONDS", self.shutdown_grace.as_secs().to_string()),
            ("SHUTDOWN_DRAIN_SECONDS", self.shutdown_drain.as_secs().to_string()),
        ]
    }
}

/// An origin (RFC 6454) as browsers send it: scheme, host and port only.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let problem = || format!("must be web origins, comma-separated; {text:?} is not scheme://host[:port]");
    let uri: Uri = text.parse().map_err(|_| problem())?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.path() == "/"
        && !text.ends_with('/')
        && uri.query().is_none();
    if !plain {
        return Err(problem());
    }
    HeaderValue::from_str(&text.to_ascii_lowercase()).map_err(|_| problem())
}

pub(super) fn tenancy(settings: &mut Reader) -> TenantResolver {
    TenantResolver {
        base_domain: settings.parse("BASE_DOMAIN", "rallycrm.io", base_domain).unwrap_or_else(|| "localhost".into()),
        trusted_proxies: TrustedProxies(settings.list("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8,127.0.0.1", |text| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into()))
                .map_err(|_| format!("must be IP addresses or CIDR blocks, comma-separated; {text:?} is neither"))
        })),
    }
}

fn base_domain(text: &str) -> Result<String, &'static str> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label =
        |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if domain.split('.').all(label) { Ok(domain) } else { Err("must be a domain name, without scheme and port") }
}

pub(super) fn effective_tenancy(tenancy: &TenantResolver) -> Vec<(&'static str, String)> {
    vec![
        ("BASE_DOMAIN", tenancy.base_domain.clone()),
        ("TRUSTED_PROXIES", joined(tenancy.trusted_proxies.0.iter().map(IpNet::to_string))),
    ]
}

#[cfg(test)]
mod tests {
    use crate::config::tests::config;

    #[test]
    fn the_drain_time_is_part_of_the_grace_time() {
        let drain = |pairs: &[(&str, &str)]| config(pairs).map(|config| config.http.shutdown_drain.as_secs());
        assert_eq!(drain(&[]), Ok(5));
        for grace in ["0", "1"] {
            assert_eq!(drain(&[("SHUTDOWN_GRACE_SECONDS", grace)]), Ok(0));
        }
        assert_eq!(drain(&[("SHUTDOWN_DRAIN_SECONDS", "19")]), Ok(19));
        assert!(drain(&[("SHUTDOWN_DRAIN_SECONDS", "20")]).unwrap_err().contains("SHUTDOWN_GRACE_SECONDS"));
    }
}
