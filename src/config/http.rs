//! Settings of the HTTP server, and of how a request names its tenant.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use axum::http::{HeaderValue, uri::Scheme};
use ipnet::{IpNet, Ipv4Net};
use reqwest::Url;

use super::{joined, reader::Reader};
use crate::{
    auth::{
        client_address::TrustedProxies,
        tenant_host::{TenantResolver, parse_scheme},
    },
    http::tls::TlsFiles,
};

#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) listen_addr: SocketAddr,
    /// A second listener for metrics and probes. Metrics are then served there only, probes on both.
    pub(crate) admin_listen_addr: Option<SocketAddr>,
    /// TLS on the public listener; `None`: plain HTTP.
    pub(crate) tls: Option<TlsFiles>,
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
        let listen_addr = settings
            .parse("LISTEN_ADDR", "127.0.0.1:8080", address)
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let admin_listen_addr = settings.parse("ADMIN_LISTEN_ADDR", "127.0.0.1:9090", address);
        if listen_addr.port() != 0 && admin_listen_addr == Some(listen_addr) {
            settings.reject("ADMIN_LISTEN_ADDR", "must be another address or port than LISTEN_ADDR", "127.0.0.1:9090");
        }
        Self {
            listen_addr,
            admin_listen_addr,
            tls: tls_files(settings, admin_listen_addr.is_some()),
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
        let file = |path: fn(&TlsFiles) -> Option<&PathBuf>| {
            self.tls.as_ref().and_then(path).map(|path| path.display().to_string()).unwrap_or_default()
        };
        let origin = |origin: &HeaderValue| String::from_utf8_lossy(origin.as_bytes()).into_owned();
        vec![
            ("LISTEN_ADDR", self.listen_addr.to_string()),
            ("ADMIN_LISTEN_ADDR", self.admin_listen_addr.map(|address| address.to_string()).unwrap_or_default()),
            ("TLS_CERT_FILE", file(|tls| Some(&tls.certificate))),
            ("TLS_KEY_FILE", file(|tls| Some(&tls.key))),
            ("TLS_CLIENT_CA_FILE", file(|tls| tls.client_ca.as_ref())),
            ("CORS_ALLOWED_ORIGINS", joined(self.cors_origins.iter().map(origin))),
            ("HTTP_MAX_CONNECTIONS", self.max_connections.to_string()),
            ("SHUTDOWN_GRACE_SECONDS", self.shutdown_grace.as_secs().to_string()),
            ("SHUTDOWN_DRAIN_SECONDS", self.shutdown_drain.as_secs().to_string()),
        ]
    }
}

fn tls_files(settings: &mut Reader, has_admin_listener: bool) -> Option<TlsFiles> {
    const KEY: &str = "/etc/rally-api-keys/tls.key";
    const CERTIFICATE: &str = "/etc/rally-api-keys/tls.crt";
    let [certificate, key, client_ca] =
        ["TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE"].map(|name| settings.get(name).map(PathBuf::from));
    let (certificate, key) = match (certificate, key, &client_ca) {
        (Some(certificate), Some(key), _) => (certificate, key),
        (None, None, None) => return None,
        (Some(_), None, _) => {
            settings.reject("TLS_KEY_FILE", "must be set where TLS_CERT_FILE is", KEY);
            return None;
        }
        (None, ..) => {
            let problem = "must be set where TLS_KEY_FILE or TLS_CLIENT_CA_FILE is";
            settings.reject("TLS_CERT_FILE", problem, CERTIFICATE);
            return None;
        }
    };
    if client_ca.is_some() && !has_admin_listener {
        let problem =
            "must be set where TLS_CLIENT_CA_FILE is: probes and `rally-api-keys health` have no client certificate";
        settings.reject("ADMIN_LISTEN_ADDR", problem, "127.0.0.1:9090");
    }
    settings.warn_if_exposed("TLS_KEY_FILE");
    for name in ["TLS_CERT_FILE", "TLS_CLIENT_CA_FILE"] {
        settings.warn_if_replaceable(name);
    }
    Some(TlsFiles { certificate, key, client_ca })
}

/// An origin (RFC 6454) as browsers send it: scheme, host and port only, without a port that is the scheme's own.
pub(super) fn origin(text: &str) -> Result<HeaderValue, String> {
    let problem = |why: &str| format!("must be web origins, comma-separated; {text:?} {why}");
    if text.contains('*') {
        return Err(problem("has a wildcard, which is not supported: list each origin by itself"));
    }
    let not_an_origin = || problem("is not scheme://host[:port] with the scheme http or https");
    let url = Url::parse(text).map_err(|_| not_an_origin())?;
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_origin {
        return Err(not_an_origin());
    }
    HeaderValue::from_str(&url.origin().ascii_serialization()).map_err(|_| not_an_origin())
}

const REFUSE: &str = "refuse";

pub(super) fn tenancy(settings: &mut Reader, http: &Http) -> TenantResolver {
    let base_domain =
        settings.parse("BASE_DOMAIN", "rallycrm.io", base_domain).unwrap_or_else(|| "localhost".to_owned());
    let default_scheme = if base_domain == "localhost" && http.tls.is_none() { Scheme::HTTP } else { Scheme::HTTPS };
    let scheme = |text: &str| parse_scheme(text).ok_or("must be http or https");
    let plain_http = settings.parse("PLAIN_HTTP", REFUSE, |text| match text {
        REFUSE => Ok(true),
        "allow" => Ok(false),
        _ => Err("must be refuse or allow"),
    });
    let refuses_plain_http = plain_http.unwrap_or(base_domain != "localhost");
    TenantResolver {
        public_scheme: settings.parse("PUBLIC_SCHEME", "https", scheme).unwrap_or(default_scheme),
        // Elsewhere a proxy stands in front, with a port of its own.
        example_port: (base_domain == "localhost").then_some(http.listen_addr.port()).filter(|port| *port != 0),
        base_domain,
        trusted_proxies: TrustedProxies(settings.list(
            "TRUSTED_PROXIES",
            "10.0.0.0/8,fd00::/8,127.0.0.1",
            address_block,
        )),
        refuses_plain_http,
    }
}

/// IPv4 addresses in IPv6 (`::ffff:10.0.0.0/104`) are IPv4, as the addresses of peers are.
fn address_block(text: &str) -> Result<IpNet, String> {
    let problem = |why: &str| format!("must be IP addresses or CIDR blocks, comma-separated; {text:?} {why}");
    let block = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let block = block.map_err(|_| problem("is neither"))?;
    let IpAddr::V4(v4) = block.addr().to_canonical() else { return Ok(block.trunc()) };
    let length =
        if matches!(block, IpNet::V6(_)) { block.prefix_len().checked_sub(96) } else { Some(block.prefix_len()) };
    let v4 = length.and_then(|length| Ipv4Net::new(v4, length).ok());
    let v4 = v4.ok_or_else(|| problem("is wider than IPv4: write the IPv4 block and the IPv6 block that you mean"))?;
    Ok(IpNet::V4(v4.trunc()))
}

fn base_domain(text: &str) -> Result<String, &'static str> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !domain.split('.').all(label) {
        return Err("must be a domain name, without scheme and port");
    }
    // As URLs are read: a host whose last label is a number is an IPv4 address (WHATWG URL, host parsing).
    if domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err("must be a domain name and no IP address, which no tenant's host can be below");
    }
    Ok(domain)
}

pub(super) fn effective_tenancy(tenancy: &TenantResolver) -> Vec<(&'static str, String)> {
    vec![
        ("BASE_DOMAIN", tenancy.base_domain.clone()),
        ("PUBLIC_SCHEME", tenancy.public_scheme.to_string()),
        ("TRUSTED_PROXIES", joined(tenancy.trusted_proxies.0.iter().map(IpNet::to_string))),
        ("PLAIN_HTTP", if tenancy.refuses_plain_http { REFUSE } else { "allow" }.to_owned()),
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

    #[test]
    fn addresses_that_could_serve_no_request_are_refused() {
        let same = config(&[("LISTEN_ADDR", "127.0.0.1:9090"), ("ADMIN_LISTEN_ADDR", "127.0.0.1:9090")]);
        assert!(same.unwrap_err().contains("ADMIN_LISTEN_ADDR must be another"));
        assert!(config(&[("LISTEN_ADDR", "127.0.0.1:0"), ("ADMIN_LISTEN_ADDR", "127.0.0.1:0")]).is_ok());
        for (domain, why) in
            [("127.0.0.1", "no IP address"), ("-a.example", "a domain name"), ("a-.example", "a domain")]
        {
            assert!(config(&[("BASE_DOMAIN", domain)]).unwrap_err().contains(why), "{domain}");
        }
        assert!(config(&[("BASE_DOMAIN", "0x.example")]).is_ok());
    }

    fn effective(name: &str, value: &str) -> Result<String, String> {
        let effective = config(&[(name, value)])?.effective();
        Ok(effective.into_iter().find(|(other, _)| *other == name).unwrap().1)
    }

    #[test]
    fn the_public_scheme_is_https_unless_the_base_domain_is_localhost() {
        let scheme = |pairs: &[(&str, &str)]| config(pairs).map(|config| config.tenancy.public_scheme.to_string());
        assert_eq!(scheme(&[]), Ok("http".to_owned()));
        assert_eq!(scheme(&[("PUBLIC_SCHEME", "HTTPS")]), Ok("https".to_owned()));
        assert_eq!(scheme(&[("BASE_DOMAIN", "rallycrm.io")]), Ok("https".to_owned()));
        assert_eq!(scheme(&[("BASE_DOMAIN", "rallycrm.io"), ("PUBLIC_SCHEME", "http")]), Ok("http".to_owned()));
        assert!(scheme(&[("PUBLIC_SCHEME", "https://")]).unwrap_err().contains("must be http or https"));
    }

    #[test]
    fn an_origin_is_normalised_to_what_browsers_send() {
        for (value, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80/", "http://app.example.com"),
            ("https://app.example.com:80", "https://app.example.com:80"),
            ("HTTPS://App.Example.COM:8443/", "https://app.example.com:8443"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("http://[0:0:0:0:0:0:0:1]:5173", "http://[::1]:5173"),
        ] {
            assert_eq!(effective("CORS_ALLOWED_ORIGINS", value), Ok(origin.to_owned()));
        }
        for (value, why) in [
            ("*", "wildcard"),
            ("https://*.example.com", "wildcard"),
            ("null", "scheme://host[:port]"),
            ("app.example.com", "scheme://host[:port]"),
            ("localhost:5173", "scheme://host[:port]"),
            ("https://", "scheme://host[:port]"),
            ("https://app.example.com/path", "scheme://host[:port]"),
            ("https://app.example.com?", "scheme://host[:port]"),
            ("https://user@app.example.com", "scheme://host[:port]"),
            ("chrome-extension://abc", "scheme://host[:port]"),
        ] {
            let error = effective("CORS_ALLOWED_ORIGINS", value).unwrap_err();
            assert!(error.contains(why), "{value}: {error}");
        }
    }

    #[test]
    fn a_block_of_ipv4_in_ipv6_is_ipv4() {
        for (value, block) in [
            ("::ffff:127.0.0.0/104", "127.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("fd00::1/8", "fd00::/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(effective("TRUSTED_PROXIES", value), Ok(block.to_owned()));
        }
        for wider in ["::ffff:10.0.0.0/95", "::ffff:10.0.0.0/8"] {
            let error = effective("TRUSTED_PROXIES", wider).unwrap_err();
            assert!(error.contains("write the IPv4 block"), "{error}");
        }
    }
}
