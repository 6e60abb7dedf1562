//! The messages between instances, sent through the database: text, and an authentication tag (HMAC-SHA-256).
//!
//! Any role of the database can send a notification and read all of them. A message counts only with its tag:
//! - That of heartbeats and questions is made under a key that is derived from a secret in the database: all instances share
//!   it by construction, so no instance overlooks another, whatever the settings.
//! - That of acknowledgements and goodbyes, which shorten the wait for a receipt, is made under a key that is derived from
//!   the pepper, if there is one. An instance without the pepper in common is waited for until its lease is over.

use std::{fmt, time::Duration};

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    auth::mac::hmac,
    domain::{hex, random_bytes},
};

/// Of HKDF (RFC 5869), and part of the format.
const SALT: &[u8] = b"rally-api-keys messages of instances v1";
const SHARED: &[u8] = b"heartbeats";
const ACKNOWLEDGING: &[u8] = b"acknowledgements";

/// A process that serves requests, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub(crate) Uuid);

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

/// The content of a heartbeat: a random number, so that nobody can forge one in advance. Whoever listens learns it, and may
/// replay it.
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

    pub(super) const fn is_question(&self) -> bool {
        matches!(self, Self::Ask { .. })
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

    fn derive(secret: &[u8], info: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(SALT), secret)
            .expand(info, &mut *key)
            .unwrap_or_else(|_| unreachable!("32 bytes are fewer than HKDF can expand"));
        Self(key)
    }

    /// The authentication tag of a message, in hexadecimal.
    fn tag(&self, text: &str) -> String {
        hex(&hmac(&*self.0, &[text.as_bytes()]))
    }
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

    /// The message with its authentication tag.
    pub(super) fn sign(&self, message: Message) -> String {
        let text = message.to_string();
        let key = if message.shortens_a_wait() { &self.acknowledging } else { &self.shared };
        format!("{text} {}", key.tag(&text))
    }

    /// `None`: it is no message of an instance.
    pub(super) fn verify(&self, payload: &str) -> Option<Message> {
        let (text, tag) = payload.rsplit_once(' ')?;
        let message = Message::parse(text)?;
        let is_by = |key: &MessageKey| key.tag(text).as_bytes().ct_eq(tag.as_bytes()).into();
        let is_authentic = if message.shortens_a_wait() {
            is_by(&self.acknowledging) || self.others.iter().any(is_by)
        } else {
            is_by(&self.shared)
        };
        is_authentic.then_some(message)
    }
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
            let signed = sender.sign(message);
            assert_eq!(sender.verify(&signed), Some(message), "{signed}");
            assert_eq!(keys(1, Some(6), &[5]).verify(&signed), Some(message), "a pepper that is being rotated");
            let shares_pepper = message.shortens_a_wait();
            assert_eq!(keys(2, Some(5), &[]).verify(&signed).is_some(), shares_pepper, "another database: {signed}");
            // Whatever the peppers, no instance overlooks another's heartbeat.
            for other in [keys(1, None, &[]), keys(1, Some(6), &[])] {
                assert_eq!(other.verify(&signed).is_some(), !shares_pepper, "{signed}");
            }
        }
        let without_pepper = keys(1, None, &[]);
        for message in all() {
            assert_eq!(keys(1, None, &[]).verify(&without_pepper.sign(message)), Some(message));
        }
    }

    proptest! {
        #[test]
        fn a_message_with_any_change_is_refused(which in 0..4_usize, place in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f) {
            let keys = keys(1, None, &[]);
            let signed = keys.sign(all()[which]);
            let place = place.index(signed.len());
            prop_assert!(keys.verify(&signed[..place]).is_none(), "truncated");
            let mut changed = signed.clone().into_bytes();
            changed[place] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(changed == signed || keys.verify(&changed).is_none());
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>(), tag in "[0-9a-f]{62,66}") {
            let keys = keys(1, None, &[]);
            let with_tag = format!("{text} {tag}");
            prop_assert!(keys.verify(&text).is_none() && keys.verify(&with_tag).is_none());
        }
    }
}
