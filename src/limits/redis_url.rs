//! The address and login of a Redis or Valkey.

use std::fmt;

use redis::{Client, ConnectionAddr, IntoConnectionInfo as _};

const FORM: &str =
    "must be redis://host:port, or rediss:// for TLS, with a login if there is one: rediss://user:password@host:port/0";

/// Has no password in its text forms.
#[derive(Clone)]
pub struct RedisUrl {
    client: Client,
    text: String,
}

impl RedisUrl {
    /// The error does not repeat the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|scheme| ["redis", "rediss", "valkey", "valkeys"].contains(&scheme)) {
            return Err(FORM);
        }
        let info = text.into_connection_info().map_err(|_| FORM)?;
        let (address, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (format!("{host}:{port}"), ""),
            ConnectionAddr::TcpTls { host, port, insecure: false, .. } => (format!("{host}:{port}"), "s"),
            _ => return Err("must not switch off the check of certificates: name your authority in SSL_CERT_FILE"),
        };
        let settings = info.redis_settings();
        let login = match (settings.username(), settings.password()) {
            (user, Some(_)) => format!("{}:[hidden]@", user.unwrap_or_default()),
            (Some(user), None) => format!("{user}@"),
            (None, None) => String::new(),
        };
        let text = format!("redis{tls}://{login}{address}/{}", settings.db());
        Ok(Self { client: Client::open(info).map_err(|_| FORM)?, text })
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password_and_refused_without_repeating_it() {
        for (url, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("redis://:hunter2@redis.internal:6380/3", "redis://:[hidden]@redis.internal:6380/3"),
            ("rediss://rally:hunter2@redis.internal", "rediss://rally:[hidden]@redis.internal:6379/0"),
            ("valkey://rally:hunt%40er2@h", "redis://rally:[hidden]@h:6379/0"),
            ("redis://[::1]:6379", "redis://::1:6379/0"),
        ] {
            let url = RedisUrl::parse(url).unwrap();
            assert_eq!([url.to_string(), format!("{url:?}")], [shown, shown]);
        }
        for bad in [
            "",
            "redis",
            "hunter2",
            "http://h",
            "unix:///s",
            "redis://u:hunter2@h:port",
            "rediss://u:hunter2@h/#insecure",
            "redis://u:hunter2@h/x",
        ] {
            let error = RedisUrl::parse(bad).unwrap_err();
            assert!(error.starts_with("must ") && !error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
