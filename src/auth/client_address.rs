//! The client's address: the peer's, or the one that trusted proxies pass on.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peers whose `X-Forwarded-Host` and `X-Forwarded-For` are trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|block| block.contains(&address))
    }

    /// The right-most address of `X-Forwarded-For` that is not a trusted proxy, if the peer is one. An element that is
    /// not an address ends the walk: the proxy that added it is then the client.
    pub(crate) fn client_address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.contain(client) {
            return client;
        }
        let hops: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in hops.iter().rev() {
            if !self.contain(client) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn client_address(peer: &str, forwarded: &str) -> String {
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let headers = [(X_FORWARDED_FOR, HeaderValue::from_str(forwarded).unwrap())].into_iter().collect();
        proxies.client_address(&headers, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        assert_eq!(client_address("192.0.2.1", "198.51.100.7"), "192.0.2.1", "an untrusted peer is not trusted");
        assert_eq!(client_address("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        let chain = "1.2.3.4, 198.51.100.7, 10.0.0.2";
        assert_eq!(client_address("10.0.0.1", chain), "198.51.100.7", "the client itself is not trusted");
        assert_eq!(client_address("10.0.0.1", "garbage"), "10.0.0.1");
        assert_eq!(client_address("::ffff:10.0.0.1", "2001:db8::1"), "2001:db8::1", "IPv4 in IPv6 is IPv4");
    }

    fn hops() -> impl Strategy<Value = String> {
        "(([0-9]{1,3}\\.){3}[0-9]{1,3}|[0-9a-f:]{0,12}|unknown|_hidden|\"|,| ){0,6}"
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_is_the_client(forged in hops()) {
            prop_assert_eq!(client_address("192.0.2.1", &forged), "192.0.2.1");
        }

        #[test]
        fn a_client_of_a_trusted_proxy_cannot_change_its_address(
            forged in hops(), last in 1_u8..=255, proxies in 0_usize..4,
        ) {
            let client = format!("198.51.100.{last}");
            let chain = format!("{forged},{client}{}", ", 10.2.2.2".repeat(proxies));
            prop_assert_eq!(client_address("10.1.1.1", &chain), client);
        }

        #[test]
        fn no_header_panics(forwarded in any::<Vec<u8>>()) {
            let value = HeaderValue::from_bytes(&forwarded);
            let headers = value.into_iter().map(|value| (X_FORWARDED_FOR, value)).collect();
            let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
            proxies.client_address(&headers, [10, 0, 0, 1].into());
        }
    }
}
