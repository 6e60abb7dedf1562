//! Secrets that are reported as leaked: where one was found, and what then happens to its key.

use std::{fmt, sync::Arc};

use super::{ApiKey, OnLeak, Secret, access::SecretState};

/// Why the place of a leak is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLeakUrl {
    /// Too long.
    #[error("must have at most {} characters", LeakUrl::MAX_CHARS)]
    Length,
    /// Not a URL of the web, or with characters that a URL has percent-encoded.
    #[error("must be an absolute URL with http:// or https://, a host, and visible ASCII characters only")]
    Form,
    /// Its user information would be stored, and shown to others.
    #[error("must hold no user name and no password")]
    UserInformation,
    /// Contains the form of a secret, which would be shown to everybody who may read the event.
    #[error("must not contain an API key's secret")]
    Secret,
}

/// Where a secret was found. It is shown to people, and never fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeakUrl(Arc<str>);

impl LeakUrl {
    pub const MAX_CHARS: usize = 2_000;

    pub fn parse(text: &str) -> Result<Self, InvalidLeakUrl> {
        let text = text.trim();
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidLeakUrl::Length);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidLeakUrl::Form)?;
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        let is_visible = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
        if !is_web || !is_visible || authority.is_empty() || authority.starts_with(':') {
            return Err(InvalidLeakUrl::Form);
        }
        if authority.contains('@') {
            return Err(InvalidLeakUrl::UserInformation);
        }
        if Secret::is_in(text) {
            return Err(InvalidLeakUrl::Secret);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for LeakUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens because of a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeakAction {
    /// The policy says so, or the secret did not work: it had ended, or is a decoy's.
    None,
    /// Only the leaked secret is ended: a rotation had replaced it, and the key's current secret did not leak.
    EndSecret,
    Suspend,
    Revoke,
}

impl LeakAction {
    pub const ALL: [Self; 4] = [Self::None, Self::EndSecret, Self::Suspend, Self::Revoke];

    /// `secret`: the one that leaked, of this key. Repeated, it is [`LeakAction::None`].
    #[must_use]
    pub fn of(on_leak: OnLeak, key: &ApiKey, secret: SecretState) -> Self {
        // Not by the time: by the clock of another instance, an expired secret may still work.
        if key.is_decoy || key.revoked_at.is_some() || secret.is_ended {
            return Self::None;
        }
        let is_suspended = key.suspension.is_some_and(|suspension| suspension.until.is_none());
        match on_leak {
            OnLeak::Notify => Self::None,
            OnLeak::Revoke | OnLeak::Suspend if secret.is_retired => Self::EndSecret,
            OnLeak::Revoke => Self::Revoke,
            OnLeak::Suspend if is_suspended => Self::None,
            OnLeak::Suspend => Self::Suspend,
        }
    }

    /// The name in the event's JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::EndSecret => "secret_ended",
            Self::Suspend => "suspended",
            Self::Revoke => "revoked",
        }
    }
}

/// Who reported a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    /// Whoever found it.
    Anyone,
    /// GitHub's secret scanning, by its signature.
    Github,
}

impl Reporter {
    pub const ALL: [Self; 2] = [Self::Anyone, Self::Github];

    /// The name in the event's JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Github => "github",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_of_the_web_and_holds_no_credential() {
        for good in [
            "https://github.com/octocat/Hello-World/blob/12345600b9cbe38a219f39a9941c9319b600c002/foo/bar.txt#L7",
            "HTTP://[2001:db8::1]:8080/a?b=c@d",
            "  https://example.com ",
        ] {
            assert_eq!(&*LeakUrl::parse(good).unwrap().0, good.trim());
        }
        let secret = "https://example.com/?key=RK_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";
        for (bad, why) in [
            ("", InvalidLeakUrl::Form),
            ("example.com/a", InvalidLeakUrl::Form),
            ("https://", InvalidLeakUrl::Form),
            ("https:///path", InvalidLeakUrl::Form),
            ("https://:80/path", InvalidLeakUrl::Form),
            ("javascript://example.com/%0aalert(1)", InvalidLeakUrl::Form),
            ("https://example.com/a b", InvalidLeakUrl::Form),
            ("https://example.com/\nb", InvalidLeakUrl::Form),
            ("https://example.com/\u{202e}", InvalidLeakUrl::Form),
            ("https://example.com/<script>", InvalidLeakUrl::Form),
            ("https://user:password@example.com/", InvalidLeakUrl::UserInformation),
            ("https://user@example.com", InvalidLeakUrl::UserInformation),
            (secret, InvalidLeakUrl::Secret),
        ] {
            assert_eq!(LeakUrl::parse(bad), Err(why), "{bad}");
        }
        let long = format!("https://example.com/{}", "a".repeat(LeakUrl::MAX_CHARS));
        assert_eq!(LeakUrl::parse(&long), Err(InvalidLeakUrl::Length));
        assert!(LeakUrl::parse(&long[..LeakUrl::MAX_CHARS]).is_ok());
    }

    proptest! {
        #[test]
        fn an_accepted_url_is_visible_ascii_without_a_secret(text in "(https?://)?[ -~\u{0}-\u{20}é]{0,40}(rk_live_[0-9a-f]{31,33})?") {
            if let Ok(url) = LeakUrl::parse(&text) {
                let text = url.to_string();
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()) && !Secret::is_in(&text), "{}", text);
            }
        }
    }
}
