//! Fetching of public keys that others publish, such as the issuers of users' tokens.
//!
//! Refused are URLs without TLS (except on loopback), redirects, and long or slow responses.

use std::{error::Error as _, net::IpAddr, time::Duration};

use reqwest::{StatusCode, Url, redirect::Policy};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Per response.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes per response.
const MAX_RESPONSE: usize = 256 * 1024;

/// Requires TLS, except on loopback: a man in the middle could replace the keys.
pub(super) fn safe_url(text: &str) -> Result<Url, &'static str> {
    const PROBLEM: &str = "must be an https:// address (or http:// on a loopback one)";
    let url = Url::parse(text).map_err(|_| PROBLEM)?;
    let host = url.host_str().ok_or(PROBLEM)?;
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
        return Err(PROBLEM);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name and no password");
    }
    Ok(url)
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No response, or not in time.
    #[error("{}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// A status other than 200.
    #[error("{0} responded with status {1}")]
    Status(Url, StatusCode),
    /// The response is too long.
    #[error("{0} responded with more than {MAX_RESPONSE} bytes")]
    TooLong(Url),
    /// The response is not what it should be.
    #[error("{0}: {1}")]
    Content(Url, &'static str),
}

/// The error with its sources: reqwest's own text leaves the cause out.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The HTTP client for keys.
pub(super) struct KeyClient(reqwest::Client);

impl KeyClient {
    pub(super) fn new() -> Result<Self, FetchError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("rally-api-keys/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(http))
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let mut response = self.0.get(url.clone()).header("accept", "application/json").send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(url.clone(), response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_RESPONSE {
                return Err(FetchError::TooLong(url.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
