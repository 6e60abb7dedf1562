//! The addresses that a key may be used from, and the networks of clients.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};

/// An address, or a CIDR block, as `203.0.113.7` or `2001:db8::/32`. It has no host bits, and none is IPv4-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock(IpNet);

/// Why a text is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlock {
    /// Neither an address nor a CIDR block.
    #[error("must be an IP address or a CIDR block, as in 203.0.113.7 or 2001:db8::/32")]
    Form,
    /// An IPv6 zone, which means something on one machine only.
    #[error("must have no zone (`%…`), since a zone means something on one machine only")]
    Zone,
    /// The network, and the address.
    #[error("is an address within a block; send {0} for the block, or {1} for the address")]
    HostBits(AddressBlock, AddressBlock),
}

impl AddressBlock {
    /// IPv4-mapped IPv6 (`::ffff:203.0.113.7`) becomes IPv4, as clients' addresses do.
    pub fn parse(text: &str) -> Result<Self, InvalidBlock> {
        let text = text.trim();
        if text.contains('%') {
            return Err(InvalidBlock::Zone);
        }
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address = address.parse::<IpAddr>().map_err(|_| InvalidBlock::Form)?;
        let block = match length {
            None => IpNet::from(address),
            Some(length) => {
                prefix_length(length).and_then(|length| IpNet::new(address, length).ok()).ok_or(InvalidBlock::Form)?
            }
        };
        let block = unmapped(block);
        if block.trunc() != block {
            return Err(InvalidBlock::HostBits(Self(block.trunc()), Self(block.addr().to_canonical().into())));
        }
        Ok(Self(block))
    }

    /// A block from the database, which has no host bits in a `cidr`.
    #[must_use]
    pub fn stored(block: IpNet) -> Self {
        Self(unmapped(block).trunc())
    }

    #[must_use]
    pub const fn as_net(&self) -> IpNet {
        self.0
    }

    /// Whether an address is in it. IPv4 and IPv6 are apart: `::/0` has no IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// The unit by which clients are counted: an IPv4 address, or an IPv6 network of 64 bits.
pub(crate) fn client_network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Decimal, without a sign or a leading zero.
fn prefix_length(text: &str) -> Option<u8> {
    let is_canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_canonical)
}

fn unmapped(block: IpNet) -> IpNet {
    let IpNet::V6(v6) = block else { return block };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(block, IpNet::V4)
}

/// A whole block as CIDR, an address without its length.
impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// The blocks that a key may be used from, in the order in which they were sent, without duplicates. None: any address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedAddresses(Box<[AddressBlock]>);

impl AllowedAddresses {
    pub const MAX: usize = 50;

    #[must_use]
    pub fn new(blocks: Vec<AddressBlock>) -> Self {
        let mut unique = Vec::with_capacity(blocks.len());
        for block in blocks {
            if !unique.contains(&block) {
                unique.push(block);
            }
        }
        Self(unique.into())
    }

    /// True if every address is allowed.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn blocks(&self) -> &[AddressBlock] {
        &self.0
    }

    /// True if these allow every address that the others do. Blocks that adjoin are not joined.
    #[must_use]
    pub fn is_superset_of(&self, others: &Self) -> bool {
        let is_within = |block: &AddressBlock| self.0.iter().any(|own| own.0.contains(&block.0));
        self.is_any() || (!others.is_any() && others.0.iter().all(is_within))
    }

    /// Whether a request from that address is allowed. `None`: the address is not known.
    #[must_use]
    pub fn allow(&self, address: Option<IpAddr>) -> bool {
        self.is_any()
            || address.is_some_and(|address| {
                let address = address.to_canonical();
                self.0.iter().any(|block| block.contains(address))
            })
    }
}

impl Serialize for AllowedAddresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(AddressBlock::to_string))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, InvalidBlock> {
        AddressBlock::parse(text).map(|block| block.to_string())
    }

    #[test]
    fn blocks_are_shown_in_one_form() {
        for (text, shown) in [
            ("203.0.113.7", "203.0.113.7"),
            (" 203.0.113.7/32 ", "203.0.113.7"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("::", "::"),
            ("::1/128", "::1"),
            ("2001:DB8:0:0:0:0:0:0/32", "2001:db8::/32"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:cb00:7107/128", "203.0.113.7"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("64:ff9b::203.0.113.7", "64:ff9b::cb00:7107"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn a_malformed_block_is_refused_and_host_bits_are_explained() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "010.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "10.0.0.1-10.0.0.9",
            "10.0.*",
            "localhost",
            "::ffff:10.0.0.0/256",
        ] {
            assert_eq!(parsed(text), Err(InvalidBlock::Form), "{text}");
        }
        for text in ["fe80::1%eth0", "fe80::%1/64", "10.0.0.1%x"] {
            assert_eq!(parsed(text), Err(InvalidBlock::Zone), "{text}");
        }
        for (text, message) in [
            ("10.1.2.3/8", "send 10.0.0.0/8 for the block, or 10.1.2.3 for the address"),
            ("2001:db8::1/64", "send 2001:db8::/64 for the block, or 2001:db8::1 for the address"),
            ("::ffff:10.1.2.3/104", "send 10.0.0.0/8 for the block, or 10.1.2.3 for the address"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert_eq!(error, format!("is an address within a block; {message}"), "{text}");
        }
        assert!(matches!(parsed("::ffff:0:0/90"), Err(InvalidBlock::HostBits(..))));
    }

    /// The reference: bit by bit, on the 128 bits of each family's own space.
    fn contains(block: AddressBlock, address: IpAddr) -> bool {
        let bits = |address| match address {
            IpAddr::V4(v4) => (32, u128::from(u32::from(v4))),
            IpAddr::V6(v6) => (128, u128::from(v6)),
        };
        let ((width, network), (other_width, address)) = (bits(block.0.network()), bits(address.to_canonical()));
        let first = width - u32::from(block.0.prefix_len());
        width == other_width && (first..width).all(|bit| (network >> bit) & 1 == (address >> bit) & 1)
    }

    fn addresses() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
            (0_u32..16).prop_map(|bits| Ipv4Addr::from(0x0a00_0000 | bits).into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
            (0_u128..16).prop_map(|bits| Ipv6Addr::from(bits).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_ipv6_mapped().into()),
        ]
    }

    fn blocks() -> impl Strategy<Value = AddressBlock> {
        (addresses(), any::<u8>()).prop_map(|(address, length)| {
            let width = IpNet::from(address).max_prefix_len();
            AddressBlock::stored(IpNet::new(address, length % (width + 1)).unwrap())
        })
    }

    proptest! {
        #[test]
        fn a_shown_block_parses_to_itself(block in blocks()) {
            prop_assert_eq!(AddressBlock::parse(&block.to_string()), Ok(block));
        }

        #[test]
        fn an_address_is_allowed_if_and_only_if_a_block_has_its_leading_bits(
            blocks in prop::collection::vec(blocks(), 0..50), address in addresses(),
        ) {
            let allowed = AllowedAddresses::new(blocks.clone());
            let expected = blocks.is_empty() || blocks.iter().any(|block| contains(*block, address));
            prop_assert_eq!(allowed.allow(Some(address)), expected);
            prop_assert_eq!(allowed.allow(None), blocks.is_empty());
        }

        #[test]
        fn wider_blocks_allow_every_address_of_the_others(
            wide in prop::collection::vec(blocks(), 0..4), narrow in prop::collection::vec(blocks(), 0..4), address in addresses(),
        ) {
            let [wide, narrow] = [wide, narrow].map(AllowedAddresses::new);
            prop_assert!(wide.is_superset_of(&wide));
            if wide.is_superset_of(&narrow) {
                prop_assert!(wide.allow(Some(address)) || !narrow.allow(Some(address)));
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f:./% ]{0,40}") {
            let _ = AddressBlock::parse(&text);
        }
    }
}
