//! What instances tell one another through the database, as text with a code (HMAC-SHA-256) at its end.
//!
//! Any role of the database can send a notification and read all of them. A message counts only with the code:
//! - Heartbeats and questions have one under a key that is derived from a secret in the database: all instances share it by
//!   construction, so no instance overlooks another, whatever the settings.
//! - Acknowledgements and goodbyes, which shorten the wait for a receipt, have one under a key that is derived from the pepper, if there
//!   is one. An instance without the pepper in common is waited for until its lease is over.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::{hex, random_bytes};

/// Of RFC 5869, and part of the format.
const SALT: &[u8] = b"rally-api-keys messages of instances v1";
const SHARED: &[u8] = b"heartbeats";
const ACKNOWLEDGING: &[u8] = b"acknowledgements";

/// A process that serves requests, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Uuid);

impl InstanceId {
    pub(crate) fn random() -> Self {
        Self(uuid::Builder::from_random_bytes(*random_bytes()).into_uuid())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a heartbeat: a random number, so that nobody can send it before it was sent. (Whoever listens learns it
/// then, and may send it again.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce(u128);

impl Nonce {
    pub(super) fn random() -> Self {
        Self(u128::from_le_bytes(*random_bytes()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A heartbeat: renews the sender's lease when it comes back to it.
    Beat { from: InstanceId, number: u64, lease: Duration, nonce: Nonce },
    /// Asks every instance to acknowledge what was committed before.
    Ask { from: InstanceId, number: u64 },
    /// `from` has invalidated all that was committed before that question of `to`.
    Acknowledge { from: InstanceId, to: InstanceId, number: u64 },
    /// `from` has given its lease up for good.
    Goodbye { from: InstanceId },
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beat { from, number, lease, nonce } => {
                write!(f, "beat {from} {number} {} {:032x}", lease.as_secs(), nonce.0)
            }
            Self::Ask { from, number } => write!(f, "ask {from} {number}"),
            Self::Acknowledge { from, to, number } => write!(f, "ack {from} {to} {number}"),
            Self::Goodbye { from } => write!(f, "bye {from}"),
        }
    }
}

impl Message {
    fn parse(text: &str) -> Option<Self> {
        let id = |text| Some(InstanceId(Uuid::try_parse(text).ok()?));
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["beat", from, number, lease, nonce] => Some(Self::Beat {
                from: id(from)?,
                number: number.parse().ok()?,
                lease: Duration::from_secs(lease.parse::<u16>().ok()?.into()),
                nonce: Nonce(u128::from_str_radix(nonce, 16).ok()?),
            }),
            ["ask", from, number] => Some(Self::Ask { from: id(from)?, number: number.parse().ok()? }),
            ["ack", from, to, number] => {
                Some(Self::Acknowledge { from: id(from)?, to: id(to)?, number: number.parse().ok()? })
            }
            ["bye", from] => Some(Self::Goodbye { from: id(from)? }),
            _ => None,
        }
    }

    const fn shortens_a_wait(&self) -> bool {
        matches!(self, Self::Acknowledge { .. } | Self::Goodbye { .. })
    }
}

/// An HMAC key.
#[derive(Clone)]
pub(crate) struct MessageKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey([redacted])")
    }
}

impl MessageKey {
    pub(crate) const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The expand step of HKDF (RFC 5869), for the one block that is needed.
    fn expand(pseudorandom: &[u8; 32], info: &[u8]) -> Self {
        Self(Zeroizing::new(finish(pseudorandom, &[info, &[1]])))
    }

    fn derive(secret: &[u8], info: &[u8]) -> Self {
        Self::expand(&Zeroizing::new(finish(SALT, &[secret])), info)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        mac(&*self.0, &[text.as_bytes()])
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // HMAC takes keys of any length; the trait's other implementations do not.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("a key of any length"));
    for part in parts {
        mac.update(part);
    }
    mac
}

fn finish(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

/// Of acknowledgements, by the peppers of the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcknowledgingKeys {
    /// Of the current pepper. `None`: the secret in the database takes its place.
    pub(crate) own: Option<MessageKey>,
    /// Of other peppers, which other instances may have as their current one.
    pub(crate) others: Vec<MessageKey>,
}

/// All keys of one connection.
pub(super) struct MessageKeys {
    shared: MessageKey,
    acknowledging: MessageKey,
    others: Vec<MessageKey>,
}

impl MessageKeys {
    /// `secret`: the one in the database.
    pub(super) fn new(secret: &[u8], acknowledging: &AcknowledgingKeys) -> Self {
        let AcknowledgingKeys { own, others } = acknowledging.clone();
        Self {
            shared: MessageKey::derive(secret, SHARED),
            acknowledging: own.unwrap_or_else(|| MessageKey::derive(secret, ACKNOWLEDGING)),
            others,
        }
    }

    pub(super) fn seal(&self, message: Message) -> String {
        let text = message.to_string();
        let key = if message.shortens_a_wait() { &self.acknowledging } else { &self.shared };
        let code = hex(&key.mac(&text).finalize().into_bytes());
        format!("{text} {code}")
    }

    /// `None`: it is not of an instance.
    pub(super) fn open(&self, payload: &str) -> Option<Message> {
        let (text, code) = payload.rsplit_once(' ')?;
        let code = from_hex(code)?;
        let message = Message::parse(text)?;
        let is_by = |key: &MessageKey| key.mac(text).verify_slice(&code).is_ok();
        let is_genuine = if message.shortens_a_wait() {
            is_by(&self.acknowledging) || self.others.iter().any(is_by)
        } else {
            is_by(&self.shared)
        };
        is_genuine.then_some(message)
    }
}

/// 32 bytes in lower-case hexadecimal.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(secret: u8, own: Option<u8>, others: &[u8]) -> MessageKeys {
        let key = |byte: u8| MessageKey::new(Zeroizing::new([byte; 32]));
        let others = others.iter().map(|byte| key(*byte)).collect();
        MessageKeys::new(&[secret; 32], &AcknowledgingKeys { own: own.map(key), others })
    }

    fn all() -> [Message; 4] {
        let [from, to] = std::array::from_fn(|_| InstanceId::random());
        let (number, lease) = (7, Duration::from_mins(1));
        [
            Message::Beat { from, number, lease, nonce: Nonce::random() },
            Message::Ask { from, number },
            Message::Acknowledge { from, to, number },
            Message::Goodbye { from },
        ]
    }

    #[test]
    fn a_message_opens_for_instances_with_the_same_keys_alone() {
        let sender = keys(1, Some(5), &[]);
        for message in all() {
            let sealed = sender.seal(message);
            assert_eq!(sender.open(&sealed), Some(message), "{sealed}");
            assert_eq!(keys(1, Some(6), &[5]).open(&sealed), Some(message), "a pepper that is being rotated");
            let shares_pepper = message.shortens_a_wait();
            assert_eq!(keys(2, Some(5), &[]).open(&sealed).is_some(), shares_pepper, "another database: {sealed}");
            // Whatever the peppers, no instance overlooks another's heartbeat.
            for other in [keys(1, None, &[]), keys(1, Some(6), &[])] {
                assert_eq!(other.open(&sealed).is_some(), !shares_pepper, "{sealed}");
            }
        }
        let without_pepper = keys(1, None, &[]);
        for message in all() {
            assert_eq!(keys(1, None, &[]).open(&without_pepper.seal(message)), Some(message));
        }
    }

    /// RFC 5869, appendix A.3, cut to one block.
    #[test]
    fn keys_are_derived_as_by_hkdf() {
        let pseudorandom = finish(&[0; 32], &[&[0x0b; 22]]);
        assert_eq!(hex(&pseudorandom), "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
        let key = MessageKey::expand(&pseudorandom, b"");
        assert_eq!(hex(&*key.0), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    }

    proptest! {
        #[test]
        fn a_message_with_any_change_is_refused(which in 0..4_usize, place in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f) {
            let keys = keys(1, None, &[]);
            let sealed = keys.seal(all()[which]);
            let place = place.index(sealed.len());
            prop_assert!(keys.open(&sealed[..place]).is_none(), "truncated");
            let mut changed = sealed.clone().into_bytes();
            changed[place] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(changed == sealed || keys.open(&changed).is_none());
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>(), code in "[0-9a-f]{62,66}") {
            let keys = keys(1, None, &[]);
            let with_code = format!("{text} {code}");
            prop_assert!(keys.open(&text).is_none() && keys.open(&with_code).is_none());
        }
    }
}
