//! Host → tenant's slug, and which peers' forwarded headers are believed.

use std::{borrow::Cow, net::IpAddr};

use axum::http::{HeaderMap, HeaderName, Uri, header, header::AsHeaderName, uri::Authority};
use ipnet::IpNet;

use super::error::Error;
use crate::domain::Slug;

/// The header in which a gateway passes on the host that its client asked for.
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How requests name their tenant.
#[derive(Clone, Debug)]
pub struct TenantResolver {
    /// What follows the tenant's label in the host, lower-case, without a trailing dot.
    pub base_domain: String,
    /// Peers whose `X-Forwarded-Host` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl TenantResolver {
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|block| block.contains(&address))
    }

    /// The slug that the request's host names, which need not exist. `None`: it names none.
    ///
    /// The request's own host counts (the target's authority, else `Host`; RFC 9112, 3.2).
    /// Where that names no tenant, a trusted peer's `X-Forwarded-Host` does; where it names
    /// one, a differing `X-Forwarded-Host` from a trusted peer is refused: a gateway passes
    /// its client's headers along, and guessing which one is meant would cross tenants.
    pub fn slug(&self, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Slug>, Error> {
        let host = own_host(uri, headers)?;
        let slug = self.slug_of(&host);
        if !self.trusts(peer) {
            return Ok(slug);
        }
        let Some(forwarded) = forwarded_host(headers)? else {
            return Ok(slug);
        };
        match slug {
            None => Ok(self.slug_of(&forwarded)),
            Some(slug) if forwarded == host => Ok(Some(slug)),
            Some(_) => Err(Error::AmbiguousTenant("Host and X-Forwarded-Host name different hosts")),
        }
    }

    /// The one label in front of the base domain, if the host is of that form.
    fn slug_of(&self, host: &str) -> Option<Slug> {
        let label = host.strip_suffix(&self.base_domain)?.strip_suffix('.')?;
        Slug::parse(label).ok()
    }

    /// The client's address: the peer's, or what trusted peers tell of it. Of a chain of
    /// proxies in `X-Forwarded-For` that is the last address which is no trusted proxy itself.
    #[must_use]
    pub fn client_address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let hops: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }
}

/// The host that the request itself names, normalised.
fn own_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Cow<'a, str>, Error> {
    let header =
        single(headers, header::HOST).map_err(|()| Error::AmbiguousTenant("there is more than one Host header"))?;
    // An absolute-form target (HTTP/1.1) or `:authority` (HTTP/2) wins over `Host`.
    match (uri.authority().map(Authority::as_str), header) {
        (Some(target), Some(host)) if normalise(target) != normalise(host) => {
            Err(Error::AmbiguousTenant("the request target and Host name different hosts"))
        }
        (Some(host), _) | (None, Some(host)) => Ok(normalise(host)),
        (None, None) => Err(Error::MissingHost),
    }
}

/// `X-Forwarded-Host`, normalised. A chain of proxies may repeat the same host.
fn forwarded_host(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Error> {
    let mut hosts = headers
        .get_all(X_FORWARDED_HOST)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        // What is not text is no host of ours, and need not be told apart from other such.
        .map(|host| normalise(std::str::from_utf8(host).unwrap_or("\u{fffd}")));
    let Some(first) = hosts.next() else {
        return Ok(None);
    };
    if hosts.all(|host| host == first) {
        Ok(Some(first))
    } else {
        Err(Error::AmbiguousTenant("X-Forwarded-Host names more than one host"))
    }
}

/// Lower-case, without surrounding space, port and trailing dot.
fn normalise(host: &str) -> Cow<'_, str> {
    let host = host.trim();
    let before_port = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':');
    let name = before_port.unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// A header's one value, empty when it is not text; `Err` when there are several.
pub(super) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, ()> {
    // Where no header comes twice, as hardly ever one does, this one does not.
    let value = if headers.len() == headers.keys_len() {
        headers.get(name)
    } else {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(());
        }
        first
    };
    // What is not text cannot be a host, and names no tenant.
    Ok(value.map(|value| value.to_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn tenancy() -> TenantResolver {
        TenantResolver {
            base_domain: "rallycrm.io".into(),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        }
    }

    fn slug_of(host: &str) -> Option<String> {
        tenancy().slug_of(&normalise(host)).map(|slug| slug.to_string())
    }

    #[test]
    fn a_host_names_its_first_label() {
        for host in [
            "acme.rallycrm.io",
            "ACME.RallyCRM.io",
            "acme.rallycrm.io:8080",
            "acme.rallycrm.io.",
            "acme.rallycrm.io.:443",
            " acme.rallycrm.io ",
            "acme.rallycrm.io:",
        ] {
            assert_eq!(slug_of(host).as_deref(), Some("acme"), "{host:?}");
        }
        for host in [
            "",
            ".",
            "rallycrm.io",
            ".rallycrm.io",
            "a.b.rallycrm.io",
            "acmerallycrm.io",
            "acme.rallycrm.io..",
            "acme.rallycrm.com",
            "[::1]:8080",
            "[::1]",
            "127.0.0.1:8080",
            "acme_x.rallycrm.io",
            "acme.rallycrm.io:80:80",
            "-acme.rallycrm.io",
            "äcme.rallycrm.io",
            "acme.rallycrm.io@evil.example",
        ] {
            assert_eq!(slug_of(host), None, "{host:?}");
        }
    }

    #[test]
    fn the_client_is_the_last_untrusted_hop() {
        let address = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(forwarded).unwrap());
            tenancy().client_address(&headers, peer.parse().unwrap()).to_string()
        };
        assert_eq!(address("192.0.2.1", "198.51.100.7"), "192.0.2.1", "an untrusted peer is not believed");
        assert_eq!(address("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(
            address("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.0.0.2"),
            "198.51.100.7",
            "nor is what its client says"
        );
        assert_eq!(address("10.0.0.1", "garbage"), "10.0.0.1");
        assert_eq!(address("::ffff:10.0.0.1", "2001:db8::1"), "2001:db8::1", "IPv4 in IPv6 is IPv4");
    }

    proptest! {
        #[test]
        fn no_host_panics(host in any::<String>(), forwarded in any::<String>()) {
            let _ = slug_of(&host);
            let mut headers = HeaderMap::new();
            if let (Ok(host), Ok(forwarded)) = (HeaderValue::from_str(&host), HeaderValue::from_str(&forwarded)) {
                headers.insert(header::HOST, host);
                headers.insert(X_FORWARDED_HOST, forwarded.clone());
                headers.insert(X_FORWARDED_FOR, forwarded);
            }
            let peer = "10.1.1.1".parse().unwrap();
            let _ = tenancy().slug(&Uri::from_static("/"), &headers, peer);
            let _ = tenancy().client_address(&headers, peer);
        }

        #[test]
        fn only_a_port_is_cut_off(host in "[ ]?[a-z.]{0,3}(:[0-9a-z٣.]{0,4}){0,3}[.]?[ ]?") {
            let trimmed = host.trim();
            let name = match trimmed.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
                _ => trimmed,
            };
            prop_assert_eq!(normalise(&host), name.strip_suffix('.').unwrap_or(name));
        }

        /// Whichever other header comes twice.
        #[test]
        fn one_value_is_single(values in prop::collection::vec("[a-z]{0,3}", 0..3), others in prop::collection::vec("[a-z]{0,3}", 0..3)) {
            let mut headers = HeaderMap::new();
            for (name, values) in [("x-one", &values), ("x-other", &others)] {
                for value in values {
                    headers.append(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let expected = if values.len() > 1 { Err(()) } else { Ok(values.first().map(String::as_str)) };
            prop_assert_eq!(single(&headers, "x-one"), expected);
        }

        #[test]
        fn only_one_label_before_the_base_domain_is_a_slug(host in hosts()) {
            if let Some(slug) = slug_of(&host) {
                let host = host.trim().to_ascii_lowercase();
                let (name, port) = host.split_once(':').unwrap_or((&host, ""));
                prop_assert!(port.bytes().all(|b| b.is_ascii_digit()), "{}", host);
                prop_assert_eq!(name.strip_suffix('.').unwrap_or(name), format!("{slug}.rallycrm.io"));
                prop_assert!(!slug.contains('.'));
            }
        }

        #[test]
        fn every_slug_is_found(slug in slugs(), end in "\\.?(:[0-9]{0,5})?", upper in any::<bool>()) {
            let host = format!("{slug}.rallycrm.io{end}");
            prop_assert_eq!(slug_of(&if upper { host.to_uppercase() } else { host }), Some(slug));
        }

        /// Whoever is no trusted proxy cannot say who it is, nor whom it wants, by any header but `Host`.
        #[test]
        fn a_stranger_is_not_believed(host in hosts(), forged in hosts(), hop in hops()) {
            let (stranger, uri) = ("192.0.2.1".parse().unwrap(), Uri::from_static("/"));
            let (plain, forging) = (headers(&host, &[]), headers(&host, &forwarded(&forged, &hop)));
            let slug = |headers| tenancy().slug(&uri, headers, stranger).map_err(|error| error.to_string());
            prop_assert_eq!(slug(&plain), slug(&forging));
            prop_assert_eq!(tenancy().client_address(&forging, stranger), stranger);
        }

        /// A gateway that passes its client's headers along never makes one tenant out of another.
        #[test]
        fn a_proxys_client_cannot_change_the_tenant(slug in slugs(), forged in hosts(), hop in hops()) {
            let headers = headers(&format!("{slug}.rallycrm.io"), &forwarded(&forged, &hop));
            match tenancy().slug(&Uri::from_static("/"), &headers, "10.1.1.1".parse().unwrap()) {
                Ok(found) => prop_assert_eq!(found.map(|found| found.to_string()), Some(slug)),
                Err(error) => prop_assert!(matches!(error, Error::AmbiguousTenant(_)), "{}", error),
            }
        }

        /// What the client of the first trusted proxy says is not believed, however much of it there is.
        #[test]
        fn a_proxys_client_cannot_change_its_address(said in hops(), last in 1_u8..=255, proxies in 0_usize..4) {
            let client = format!("198.51.100.{last}");
            let chain = format!("{said},{client}{}", ", 10.2.2.2".repeat(proxies));
            let headers = headers("gateway", &[("x-forwarded-for", &chain)]);
            let found = tenancy().client_address(&headers, "10.1.1.1".parse().unwrap());
            prop_assert_eq!(found.to_string(), client);
        }
    }

    /// Near the base domain, where mistakes would matter.
    fn hosts() -> impl Strategy<Value = String> {
        "[ ]?([-a-zA-Z0-9_@\\[\\]:.,]{0,12})(\\.?(rallycrm\\.io|RallyCRM\\.IO|rallycrm|localhost))?(\\.{0,2})(:[0-9a-f]{0,6})?[ ]?"
    }

    fn slugs() -> impl Strategy<Value = String> {
        "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?"
    }

    fn hops() -> impl Strategy<Value = String> {
        "(([0-9]{1,3}\\.){3}[0-9]{1,3}|[0-9a-f:]{0,12}|unknown|_hidden|\"|,| ){0,6}"
    }

    fn forwarded<'a>(host: &'a str, hop: &'a str) -> [(&'static str, &'a str); 4] {
        [("x-forwarded-host", host), ("x-forwarded-for", hop), ("forwarded", hop), ("x-real-ip", hop)]
    }

    fn headers(host: &str, others: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        for (name, value) in others {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }
}
