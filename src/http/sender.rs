//! Who sent a request and to which host, for the log.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};

use crate::{auth::client_address::TrustedProxies, usage::Client};

/// What is logged of a host at most: the longest name of the DNS, and a port.
const MAX_HOST: usize = 260;
/// Half of a secret's digits.
const MAX_HEX_DIGITS: usize = 15;

/// Who sent a request. A clone shares the request's buffers.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// The client's address, as far as trusted proxies tell it.
    pub(super) address: IpAddr,
    user_agent: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Sender {
    pub(super) fn new(uri: &Uri, headers: &HeaderMap, proxies: Option<&TrustedProxies>, peer: IpAddr) -> Self {
        let address = proxies.map_or(peer, |proxies| proxies.client_address(headers, peer));
        let target = uri.authority().and_then(|target| HeaderValue::from_str(Authority::as_str(target)).ok());
        let host = target.or_else(|| headers.get(header::HOST).cloned());
        Self { address, user_agent: headers.get(header::USER_AGENT).cloned(), host }
    }

    /// The `User-Agent`, shortened and without a secret.
    pub(super) fn user_agent(&self) -> Option<Box<str>> {
        let user_agent = self.user_agent.as_ref().map(HeaderValue::as_bytes);
        Client { address: None, user_agent }.shortened_user_agent()
    }

    /// The request's own host, unless it has other characters than a host, or could hold a secret.
    pub(super) fn host(&self) -> Option<&str> {
        let host = self.host.as_ref()?;
        Some(host.to_str().ok().filter(|host| is_plain_host(host)).unwrap_or("[redacted]"))
    }
}

fn is_plain_host(host: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let mut runs = host.split(|c: char| !c.is_ascii_hexdigit());
    host.len() <= MAX_HOST && host.bytes().all(is_plain) && runs.all(|run| run.len() <= MAX_HEX_DIGITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_is_plain_unless_it_could_hold_a_secret_or_is_no_host() {
        for plain in ["acme.rallycrm.io", "ACME.localhost:8080", "[::1]:8080", "10.1.2.3", "rally-api_keys"] {
            assert!(is_plain_host(plain), "{plain}");
        }
        for other in ["a b", "user:pass@host", "é", "<script>", &"a.".repeat(200)] {
            assert!(!is_plain_host(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_host_with_half_of_a_secret_is_not_plain(before in "[a-z.-]{0,10}", half in "[0-9a-f]{16,32}", after in "[a-z.-]{0,10}") {
            let host = format!("{before}{half}{after}");
            prop_assert!(!is_plain_host(&host), "{}", host);
        }
    }
}
