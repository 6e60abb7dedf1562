//! The keys by which GitHub signs its reports of leaked secrets (secret scanning partner program), kept up to date.
//!
//! They are fetched when a report comes: at most every `REFRESH`, or, for a key that is not known, at most once per
//! `COOLDOWN`. While they cannot be fetched, the last ones are used for `MAX_AGE`.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use jsonwebtoken::DecodingKey;
use reqwest::Url;
use serde::Deserialize;
use tracing::warn;

use super::key_fetch::{FetchError, KeyClient, safe_url};
use crate::domain::Moment;

const REFRESH: Duration = Duration::from_hours(1);
const COOLDOWN: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_hours(24);
/// Keys that are read; GitHub has two or three.
const MAX_KEYS: usize = 100;
/// The length of an uncompressed point on P-256 (SEC 1, 2.3.3).
const POINT: usize = 65;

/// Where the keys are.
#[derive(Clone, Debug)]
pub enum GithubKeysLocation {
    /// GitHub's API, or a copy of what it publishes.
    Url(Url),
    /// What was read from a file.
    File(GithubKeySet),
}

impl GithubKeysLocation {
    /// The keys at a URL, which must have TLS, except on loopback.
    pub(crate) fn at(url: &str) -> Result<Self, &'static str> {
        Ok(Self::Url(safe_url(url)?))
    }
}

/// Keys by their identifiers.
#[derive(Clone, Default)]
pub struct GithubKeySet(HashMap<String, Vec<u8>>);

impl fmt::Debug for GithubKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
}

impl GithubKeySet {
    /// From what `https://api.github.com/meta/public_keys/secret_scanning` responds with. Keys of another kind are left out.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, &'static str> {
        let published: Published = serde_json::from_slice(json)
            .map_err(|_| "is not JSON with `public_keys`, each with `key_identifier` and `key`")?;
        let keys = published.public_keys.into_iter().take(MAX_KEYS).filter_map(|published| {
            let key = DecodingKey::from_ec_pem(published.key.as_bytes()).ok()?;
            let point = key.try_get_as_bytes().ok().filter(|point| point.len() == POINT)?;
            Some((published.key_identifier, point.to_vec()))
        });
        let keys: HashMap<_, _> = keys.collect();
        if keys.is_empty() { Err("has no public key in PEM over P-256") } else { Ok(Self(keys)) }
    }
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// There is no key of that identifier.
    UnknownKey,
    /// The keys cannot be fetched.
    KeysUnavailable,
}

/// A key that is GitHub's.
pub(crate) struct GithubKey(Vec<u8>);

impl GithubKey {
    /// True if this key signed the message: ECDSA over P-256 and SHA-256, the signature in DER.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(message, signature).is_ok()
    }
}

#[derive(Clone, Default)]
struct State {
    keys: Arc<GithubKeySet>,
    fetched_at: Option<Moment>,
}

/// GitHub's keys.
pub struct GithubKeys {
    source: Source,
    state: Mutex<State>,
    /// Held while keys are fetched: others wait for them. The time of the last attempt.
    fetching: tokio::sync::Mutex<Option<Moment>>,
}

enum Source {
    File,
    Url(Url, KeyClient),
}

impl GithubKeys {
    /// Those at that place. Nothing is fetched yet.
    pub fn new(location: &GithubKeysLocation) -> Result<Self, FetchError> {
        let (source, keys) = match location {
            GithubKeysLocation::Url(url) => (Source::Url(url.clone(), KeyClient::new()?), GithubKeySet::default()),
            GithubKeysLocation::File(keys) => (Source::File, keys.clone()),
        };
        let state = State { keys: Arc::new(keys), fetched_at: None };
        Ok(Self { source, state: Mutex::new(state), fetching: tokio::sync::Mutex::default() })
    }

    /// The key of that identifier.
    pub(crate) async fn find(&self, identifier: &str) -> Result<GithubKey, SignatureError> {
        let Source::Url(url, client) = &self.source else {
            return self.known(identifier).ok_or(SignatureError::UnknownKey);
        };
        if !self.is_older_than(REFRESH)
            && let Some(key) = self.known(identifier)
        {
            return Ok(key);
        }
        self.fetch(url, client, identifier).await;
        if self.is_older_than(MAX_AGE) {
            return Err(SignatureError::KeysUnavailable);
        }
        self.known(identifier).ok_or(SignatureError::UnknownKey)
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn known(&self, identifier: &str) -> Option<GithubKey> {
        self.state().keys.0.get(identifier).cloned().map(GithubKey)
    }

    /// Also if they were never fetched.
    fn is_older_than(&self, age: Duration) -> bool {
        self.state().fetched_at.is_none_or(|at| Moment::now().since(at) > age)
    }

    /// Fetches the keys, unless that was tried within [`COOLDOWN`]. A failure is only logged.
    async fn fetch(&self, url: &Url, client: &KeyClient, identifier: &str) {
        let mut last = self.fetching.lock().await;
        let is_done = !self.is_older_than(REFRESH) && self.known(identifier).is_some();
        if is_done || last.is_some_and(|last| Moment::now().since(last) < COOLDOWN) {
            return;
        }
        let sent = Moment::now();
        *last = Some(sent);
        let fetched = client
            .get(url)
            .await
            .and_then(|json| GithubKeySet::parse(&json).map_err(|why| FetchError::Content(url.clone(), why)));
        match fetched {
            Ok(keys) => {
                let state = State { keys: Arc::new(keys), fetched_at: Some(sent) };
                *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
            }
            Err(error) => warn!(
                %error,
                "cannot fetch the keys by which GitHub signs its reports of leaked secrets (LEAKS_GITHUB_KEYS_URL); the last \
                 ones are used until they are a day old"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde_json::json;

    use super::*;

    /// The example of GitHub's documentation, with the key that it is signed by. The second number of the signature has 31 bytes.
    const IDENTIFIER: &str = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n";
    const BODY: &str =
        r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
    const SIGNATURE: &str =
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";

    fn keys() -> GithubKeySet {
        let published = json!({"public_keys": [
            {"key_identifier": "other", "key": "no key", "is_current": true},
            {"key_identifier": IDENTIFIER, "key": KEY, "is_current": false},
        ]});
        GithubKeySet::parse(published.to_string().as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn the_example_of_githubs_documentation_is_verified() {
        let keys = GithubKeys::new(&GithubKeysLocation::File(keys())).unwrap();
        let key = keys.find(IDENTIFIER).await.unwrap_or_else(|error| panic!("{error:?}"));
        let signature = BASE64_STANDARD.decode(SIGNATURE).unwrap();
        assert!(key.verifies(BODY.as_bytes(), &signature));
        assert!(!key.verifies(format!("{BODY}\n").as_bytes(), &signature));
        assert!(!key.verifies(BODY.as_bytes(), &signature[..signature.len() - 1]));
        assert!(!key.verifies(BODY.as_bytes(), &[&signature[..], &[0]].concat()));
        for n in 0..signature.len() {
            let mut changed = signature.clone();
            changed[n] ^= 1;
            assert!(!key.verifies(BODY.as_bytes(), &changed), "byte {n}");
        }
        assert_eq!(keys.find("other").await.err(), Some(SignatureError::UnknownKey));
    }

    #[test]
    fn what_is_no_list_of_keys_is_refused() {
        for json in ["", "{}", "[]", r#"{"public_keys":[]}"#, r#"{"public_keys":[{"key_identifier":"a","key":"b"}]}"#] {
            assert!(GithubKeySet::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
