//! The host of a request, and the tenant's slug in it.

use std::{borrow::Cow, net::IpAddr, str::FromStr as _};

use axum::http::{
    HeaderMap, HeaderName, Request, Uri, Version, header,
    uri::{Authority, Scheme},
};

use super::{client_address::TrustedProxies, error::Error, headers::single_value};
use crate::domain::Slug;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Finds the tenant's slug in a request's host.
#[derive(Clone, Debug)]
pub struct TenantResolver {
    /// The rest of the host after the tenant's label: lower-case, without a trailing dot.
    pub base_domain: String,
    /// The scheme of URLs in responses, if no trusted proxy names the client's.
    pub public_scheme: Scheme,
    /// The port of example URLs, if the request names none.
    pub example_port: Option<u16>,
    /// The peers whose `X-Forwarded-Host` and `X-Forwarded-Proto` are trusted.
    pub trusted_proxies: TrustedProxies,
    /// Requests are refused that a trusted proxy reports as plain HTTP.
    pub refuses_plain_http: bool,
}

impl TenantResolver {
    /// The slug in the request's host; a tenant of that slug need not exist. `None`: the host has no slug.
    ///
    /// The host is the target's authority, else `Host` (RFC 9112, 3.2). If it has no slug, `X-Forwarded-Host` of a
    /// trusted proxy is read instead. If it has one, a different `X-Forwarded-Host` of a trusted proxy is an error: a
    /// gateway passes on its client's headers, and a guess could cross tenants.
    pub(crate) fn slug(&self, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Slug>, Error> {
        let host = own_host(uri, headers)?;
        let slug = self.slug_of(&host);
        if !self.trusted_proxies.contain(peer) {
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

    /// `https://acme.rallycrm.io`: scheme, host and port as the client named them, for URLs in responses. The host is
    /// valid if [`Self::slug`] has found a slug in it.
    ///
    /// `X-Forwarded-Port` is not read: it is often a port between two proxies. Clients name their port in `Host`.
    pub(crate) fn base_url(&self, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> String {
        let (scheme, host) = self.scheme_and_host(uri, headers, peer);
        format!("{scheme}://{}", host.to_ascii_lowercase())
    }

    /// `https://your-tenant.rallycrm.io`: the URL of no tenant in particular, with the client's port.
    pub(crate) fn example_url(&self, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> String {
        let (scheme, host) = self.scheme_and_host(uri, headers, peer);
        let named = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let port = named.or(self.example_port).map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://your-tenant.{}{port}", self.base_domain)
    }

    /// Whether a trusted proxy reports that its client spoke plain HTTP, and such requests are refused.
    pub(crate) fn must_refuse_plain_http(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        self.refuses_plain_http
            && self.forwarded(X_FORWARDED_PROTO, headers, peer).and_then(parse_scheme) == Some(Scheme::HTTP)
    }

    /// What a trusted proxy reports of its client: the first element.
    fn forwarded<'a>(&self, name: HeaderName, headers: &'a HeaderMap, peer: IpAddr) -> Option<&'a str> {
        let value = headers.get(name).filter(|_| self.trusted_proxies.contain(peer))?.to_str().ok()?;
        value.split(',').next().map(str::trim).filter(|first| !first.is_empty())
    }

    /// As the client named them.
    fn scheme_and_host<'a>(&self, uri: &'a Uri, headers: &'a HeaderMap, peer: IpAddr) -> (Scheme, &'a str) {
        let forwarded = |name| self.forwarded(name, headers, peer);
        let scheme = forwarded(X_FORWARDED_PROTO).and_then(parse_scheme).unwrap_or_else(|| self.public_scheme.clone());
        let own = || uri.authority().map(Authority::as_str).or_else(|| headers.get(header::HOST)?.to_str().ok());
        (scheme, forwarded(X_FORWARDED_HOST).or_else(own).unwrap_or_default().trim())
    }

    /// `https://your-tenant.rallycrm.io`, as the settings have it: for the API's description.
    pub(crate) fn configured_example_url(&self) -> String {
        format!("{}://your-tenant.{}", self.public_scheme, self.base_domain)
    }

    /// The label before the base domain, if there is exactly one and it is a slug.
    fn slug_of(&self, host: &str) -> Option<Slug> {
        let label = host.strip_suffix(&self.base_domain)?.strip_suffix('.')?;
        Slug::parse(label).ok()
    }
}

/// `http` or `https`, in any case.
pub(crate) fn parse_scheme(text: &str) -> Option<Scheme> {
    [Scheme::HTTP, Scheme::HTTPS].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
}

/// Refuses a request with more than one host or an invalid one, and one of HTTP/1.1 without a Host header (RFC 9112, section
/// 3.2). HTTP/1.0 does not know that header.
pub(crate) fn check_host<B>(request: &Request<B>) -> Result<(), Error> {
    let (version, headers) = (request.version(), request.headers());
    if version == Version::HTTP_11 && !headers.contains_key(header::HOST) {
        return Err(Error::MissingHost);
    }
    match own_host(request.uri(), headers) {
        Ok(host) if host.is_empty() || Authority::from_str(&host).is_ok() => Ok(()),
        Ok(_) => Err(Error::AmbiguousTenant("Host is not a valid host (RFC 9110, section 7.2)")),
        Err(Error::MissingHost) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The request's own host, normalised.
fn own_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Cow<'a, str>, Error> {
    let header = single_value(headers, header::HOST)
        .map_err(|()| Error::AmbiguousTenant("there is more than one Host header"))?;
    // An absolute-form target (HTTP/1.1) or `:authority` (HTTP/2) wins over `Host`.
    match (uri.authority().map(Authority::as_str), header) {
        (Some(target), Some(host)) if normalise(target) != normalise(host) => {
            Err(Error::AmbiguousTenant("the request target and Host name different hosts"))
        }
        (Some(host), _) | (None, Some(host)) => Ok(normalise(host)),
        (None, None) => Err(Error::MissingHost),
    }
}

/// `X-Forwarded-Host`, normalised. A chain of proxies may repeat one host.
fn forwarded_host(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Error> {
    let mut hosts = headers
        .get_all(X_FORWARDED_HOST)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        // A host that is not UTF-8 has no slug; all of them are one host here.
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

/// Lower-case, without surrounding spaces, port and trailing dot.
fn normalise(host: &str) -> Cow<'_, str> {
    let host = host.trim();
    let before_port = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':');
    let name = before_port.unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn resolver() -> TenantResolver {
        TenantResolver {
            base_domain: "rallycrm.io".into(),
            public_scheme: Scheme::HTTPS,
            example_port: None,
            trusted_proxies: TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]),
            refuses_plain_http: true,
        }
    }

    fn slug_of(host: &str) -> Option<String> {
        resolver().slug_of(&normalise(host)).map(|slug| slug.to_string())
    }

    #[test]
    fn a_host_of_one_label_before_the_base_domain_has_a_slug() {
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
    fn a_base_url_has_the_scheme_and_the_host_that_the_client_named() {
        let base_url = |peer: &str, target: &'static str, host: &str, others: &[(&'static str, &str)]| {
            resolver().base_url(&Uri::from_static(target), &headers(host, others), peer.parse().unwrap())
        };
        let [acme, gateway] = ["acme.rallycrm.io", "gateway.internal"];
        for (target, host, others, url) in [
            ("/", acme, &[][..], "https://acme.rallycrm.io"),
            ("/", "ACME.RallyCRM.io:8443", &[], "https://acme.rallycrm.io:8443"),
            ("http://acme.rallycrm.io:8080/", acme, &[], "https://acme.rallycrm.io:8080"),
            ("/", acme, &[("x-forwarded-proto", "http")], "http://acme.rallycrm.io"),
            ("/", acme, &[("x-forwarded-proto", "HTTPS, http")], "https://acme.rallycrm.io"),
            ("/", acme, &[("x-forwarded-proto", "javascript")], "https://acme.rallycrm.io"),
            ("/", acme, &[("x-forwarded-proto", "")], "https://acme.rallycrm.io"),
            (
                "/",
                gateway,
                &[("x-forwarded-host", "acme.rallycrm.io:8443, acme.rallycrm.io")],
                "https://acme.rallycrm.io:8443",
            ),
            ("/", acme, &[("x-forwarded-host", "acme.rallycrm.io:8443")], "https://acme.rallycrm.io:8443"),
            ("/", acme, &[("x-forwarded-port", "8443")], "https://acme.rallycrm.io"),
        ] {
            assert_eq!(base_url("10.1.1.1", target, host, others), url, "{target} {host} {others:?}");
        }
        let forged = [("x-forwarded-proto", "http"), ("x-forwarded-host", "evil.example")];
        assert_eq!(base_url("192.0.2.1", "/", acme, &forged), "https://acme.rallycrm.io", "not a trusted peer");
    }

    proptest! {
        /// A page may follow such a URL with its credential.
        #[test]
        fn a_base_url_of_a_request_with_a_slug_is_of_that_tenant(host in hosts(), forged in hosts(), hop in hops(), peer in prop::sample::select(vec!["192.0.2.1", "10.1.1.1"])) {
            let (headers, uri, peer) = (headers(&host, &forwarded(&forged, &hop)), Uri::from_static("/"), peer.parse().unwrap());
            if let Ok(Some(slug)) = resolver().slug(&uri, &headers, peer) {
                let url: Uri = resolver().base_url(&uri, &headers, peer).parse().unwrap();
                prop_assert_eq!(resolver().slug_of(&normalise(url.authority().unwrap().as_str())), Some(slug));
                prop_assert_eq!(url.path(), "/");
            }
        }

        #[test]
        fn no_host_panics(host in any::<String>(), forwarded in any::<String>()) {
            let _ = slug_of(&host);
            let mut headers = HeaderMap::new();
            if let (Ok(host), Ok(forwarded)) = (HeaderValue::from_str(&host), HeaderValue::from_str(&forwarded)) {
                headers.insert(header::HOST, host);
                headers.insert(X_FORWARDED_HOST, forwarded);
            }
            let peer = "10.1.1.1".parse().unwrap();
            let _ = resolver().slug(&Uri::from_static("/"), &headers, peer);
        }

        #[test]
        fn normalising_removes_only_a_port_and_one_dot(host in "[ ]?[a-z.]{0,3}(:[0-9a-z٣.]{0,4}){0,3}[.]?[ ]?") {
            let trimmed = host.trim();
            let name = match trimmed.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
                _ => trimmed,
            };
            prop_assert_eq!(normalise(&host), name.strip_suffix('.').unwrap_or(name));
        }

        #[test]
        fn a_slug_is_only_found_before_the_base_domain(host in hosts()) {
            if let Some(slug) = slug_of(&host) {
                let host = host.trim().to_ascii_lowercase();
                let (name, port) = host.split_once(':').unwrap_or((&host, ""));
                prop_assert!(port.bytes().all(|b| b.is_ascii_digit()), "{}", host);
                prop_assert_eq!(name.strip_suffix('.').unwrap_or(name), format!("{slug}.rallycrm.io"));
                prop_assert!(!slug.contains('.'));
            }
        }

        #[test]
        fn a_slug_is_found_whatever_the_case_port_and_trailing_dot(slug in slugs(), end in "\\.?(:[0-9]{0,5})?", upper in any::<bool>()) {
            let host = format!("{slug}.rallycrm.io{end}");
            prop_assert_eq!(slug_of(&if upper { host.to_uppercase() } else { host }), Some(slug));
        }

        #[test]
        fn forwarded_headers_of_an_untrusted_peer_are_ignored(host in hosts(), forged in hosts(), hop in hops()) {
            let (peer, uri) = ("192.0.2.1".parse().unwrap(), Uri::from_static("/"));
            let (plain, forged) = (headers(&host, &[]), headers(&host, &forwarded(&forged, &hop)));
            let slug = |headers| resolver().slug(&uri, headers, peer).map_err(|error| error.to_string());
            prop_assert_eq!(slug(&plain), slug(&forged));
        }

        #[test]
        fn a_client_of_a_trusted_proxy_cannot_change_the_tenant(slug in slugs(), forged in hosts(), hop in hops()) {
            let headers = headers(&format!("{slug}.rallycrm.io"), &forwarded(&forged, &hop));
            match resolver().slug(&Uri::from_static("/"), &headers, "10.1.1.1".parse().unwrap()) {
                Ok(found) => prop_assert_eq!(found.map(|found| found.to_string()), Some(slug)),
                Err(error) => prop_assert!(matches!(error, Error::AmbiguousTenant(_)), "{}", error),
            }
        }
    }

    /// Hosts close to a valid one.
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
