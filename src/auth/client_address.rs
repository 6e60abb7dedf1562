//! The client's address: the peer's, or the one that trusted proxies pass on.

use std::net::{IpAddr, Ipv6Addr};

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

    /// The right-most address of `X-Forwarded-For` that is not a trusted proxy, if the peer is one. Empty elements are
    /// skipped. An element that is not an address ends the walk: the proxy that added it is then the client.
    pub(crate) fn client_address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
        // As bytes: what a client writes in front must not hide what a proxy has appended.
        let hops = values.flat_map(|value| value.as_bytes().rsplit(|b| *b == b',')).map(<[u8]>::trim_ascii);
        for hop in hops.filter(|hop| !hop.is_empty()) {
            if !self.contain(client) {
                break;
            }
            match std::str::from_utf8(hop).ok().and_then(parse_hop) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// An element of `X-Forwarded-For`. Proxies also write a port, brackets around IPv6, an IPv6 zone, and quotes (RFC 7239).
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.strip_prefix('"').and_then(|hop| hop.strip_suffix('"')).unwrap_or(hop).trim();
    let address = if let Some(bracketed) = hop.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        if !after.is_empty() && !after.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        parse_v6(address).map(IpAddr::V6).or_else(|| address.parse().ok())?
    } else if let Some((address, _)) = hop.split_once(':').filter(|(_, port)| is_port(port)) {
        IpAddr::V4(address.parse().ok()?)
    } else {
        hop.parse().ok().or_else(|| parse_v6(hop).map(IpAddr::V6))?
    };
    Some(address.to_canonical())
}

/// With or without a zone, as in `fe80::1%eth0`.
fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    let address = text.split_once('%').filter(|(_, zone)| !zone.is_empty()).map_or(text, |(address, _)| address);
    address.parse().ok()
}

/// May be empty, as RFC 3986 has it.
fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && (text.is_empty() || text.parse::<u16>().is_ok())
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

    #[test]
    fn an_element_is_an_address_without_its_port_brackets_zone_and_quotes() {
        for (element, address) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("\"198.51.100.7:4711\"", "198.51.100.7"),
            ("198.51.100.7:", "198.51.100.7"),
            ("[198.51.100.7]", "198.51.100.7"),
            ("[198.51.100.7]:4711", "198.51.100.7"),
            ("[2001:db8::1]:", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:198.51.100.7]:80", "198.51.100.7"),
            ("::ffff:c633:6407", "198.51.100.7"),
        ] {
            for list in [
                element.to_owned(),
                format!("1.2.3.4, {element}"),
                format!(",{element} , ,"),
                format!("\u{e9},{element},"),
            ] {
                assert_eq!(client_address("10.0.0.1", &list), address, "{list}");
            }
            assert_eq!(client_address("10.0.0.1", &format!("{element},[::1]:80,10.9.9.9:1,")), address, "{element}");
        }
        for no_address in [
            "unknown",
            "_hidden",
            "198.51.100.7:65536",
            "198.51.100.7:+1",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "198.51.100.7%eth0",
            "2001:db8::1%",
            "198.51.100",
            "\"",
            "for=198.51.100.7",
        ] {
            assert_eq!(client_address("10.0.0.1", &format!("1.2.3.4, {no_address}")), "10.0.0.1", "{no_address}");
        }
        assert_eq!(client_address("10.0.0.1", ", ,"), "10.0.0.1");
    }

    fn hops() -> impl Strategy<Value = String> {
        "(([0-9]{1,3}\\.){3}[0-9]{1,3}(:[0-9]{1,5})?|\\[?[0-9a-f:]{0,12}(%[a-z0-9]{0,4})?\\]?(:[0-9]{1,5})?|unknown|_hidden|é|\"|,| ){0,6}"
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_is_the_client(forged in hops()) {
            prop_assert_eq!(client_address("192.0.2.1", &forged), "192.0.2.1");
        }

        #[test]
        fn a_client_of_a_trusted_proxy_cannot_change_its_address(
            forged in hops(), last in 1_u8..=255, port in prop::option::of(any::<u16>()), proxies in 0_usize..4,
        ) {
            let client = format!("198.51.100.{last}");
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let chain = format!("{forged},{client}{port}{}", ", 10.2.2.2".repeat(proxies));
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
