//! `POST /leaks/github`: the secret scanning partner program of GitHub.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{sync::oneshot, time::timeout};
use utoipa::ToSchema;

use super::{Findings, LeakReport, enqueue};
use crate::{
    auth::{
        github_keys::{GithubKey, GithubKeys, SignatureError},
        request::{Peer, RequestId},
    },
    domain::{LeakUrl, LookupDigest, Reporter, hex},
    http::{
        AppState,
        input::{NoQuery, read_raw_json_body},
        problem::{BODY, Code, FieldError, HOST, Problem, SERVER},
    },
};

/// Matches in one report.
const MAX_MATCHES: usize = 10_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// An ECDSA signature over P-256 has at most 72 bytes in DER.
const MAX_SIGNATURE: usize = 128;
/// GitHub gives up after 30 s.
const REPLY_TIMEOUT: Duration = Duration::from_secs(25);

const IDENTIFIER: HeaderName = HeaderName::from_static("github-public-key-identifier");
const SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");

/// A secret that GitHub found. Further properties are ignored
#[derive(Deserialize, ToSchema)]
#[schema(as = GithubMatch)]
pub(in crate::http) struct Match {
    /// The secret
    #[schema(example = "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c")]
    token: String,
    /// The name that GitHub has for this kind of secret
    #[serde(rename = "type")]
    #[schema(example = "rally_crm_api_key")]
    kind: String,
    /// Where it was found; may be empty
    #[serde(default)]
    #[schema(required = false, example = "https://github.com/octocat/Hello-World/blob/main/.env")]
    url: Option<String>,
}

/// Whether a match is a secret
#[derive(Serialize, ToSchema)]
#[schema(as = GithubLabel)]
pub(in crate::http) struct LabelledMatch {
    /// SHA-256 of the token, in lower-case hexadecimal
    #[schema(example = "a51687072d5fa2d21521fb685b6459177322f27cabbb32f3976cfa7dd3ef08a7")]
    token_hash: String,
    /// The match's `type`
    #[schema(example = "rally_crm_api_key")]
    token_type: String,
    /// `true_positive`: it is a secret of a key, in whatever state; else `false_positive`
    #[schema(example = "true_positive")]
    label: &'static str,
}

/// Takes the reports of GitHub's secret scanning.
///
/// For GitHub alone, which signs the body (ECDSA over P-256 and SHA-256). The secrets are handled before the response, which
/// says of each match whether it is a secret of a key. Served where `LEAKS_GITHUB_KEYS_URL` or `LEAKS_GITHUB_KEYS_FILE` is set.
#[utoipa::path(
    post,
    path = "/leaks/github",
    operation_id = "reportLeaksByGithub",
    tag = "Leaks",
    params(
        ("Github-Public-Key-Identifier" = String, Header, description = "Which of GitHub's keys signed the body", example = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c"),
        ("Github-Public-Key-Signature" = String, Header, description = "The signature of the body: DER in base64", example = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg=="),
    ),
    request_body(content = [Match]),
    responses((status = 200, description = "A label for each match, in the same order", body = [LabelledMatch])),
    extensions(("x-problems" = json!([HOST, BODY, SERVER, [Code::InvalidSignature, Code::SigningKeysUnavailable, Code::NotFound, Code::TooManyReports, Code::Busy, Code::DatabaseUnavailable]]))),
)]
pub(in crate::http) async fn github(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    Extension(request_id): Extension<RequestId>,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let keys = state.leaks.github_keys.as_deref().ok_or_else(not_configured)?;
    let signature = Signature::read(request.headers(), keys).await?;
    let address = state.authenticator.tenancy.trusted_proxies.client_address(request.headers(), peer.0);
    state.leaks.forgeries.check(address).map_err(|wait| Problem::too_many_reports(wait, state.clock.now()))?;
    let matches = read_signed(&state, request, &signature, address).await?;

    let mut findings = Findings::default();
    let add = |found: &Match| {
        let url = found.url.as_deref().and_then(|url| LeakUrl::parse(url).ok());
        findings.add(&found.token, url.as_ref())
    };
    let digests: Vec<_> = matches.iter().map(add).collect();
    let (reply, outcome) = oneshot::channel();
    let Findings(places) = findings;
    let request_id = request_id.as_str().to_owned();
    let report = LeakReport { places, reporter: Reporter::Github, address, request_id, reply: Some(reply) };
    enqueue(&state.leaks.of_github, report)?;
    match timeout(REPLY_TIMEOUT, outcome).await {
        Ok(Ok(known)) => Ok(Json(labels(&matches, &digests, &known?)).into_response()),
        Ok(Err(_)) => Err(Problem::internal()),
        Err(_) => Err(Code::Timeout.into()),
    }
}

async fn read_signed(
    state: &AppState,
    request: Request,
    signature: &Signature,
    address: IpAddr,
) -> Result<Vec<Match>, Problem> {
    // Bodies are large: only so many are read at once.
    let _permit = state.leaks.large_bodies.try_acquire().map_err(|_| Code::Busy)?;
    let count = |_: &Problem| {
        let _ = state.leaks.forgeries.take(address);
    };
    let body = read_raw_json_body(request, MAX_BYTES).await.inspect_err(count)?;
    signature.check(&body).inspect_err(count)?;
    parse(&body)
}

fn not_configured() -> Problem {
    Problem::with_detail(
        Code::NotFound,
        "Reports of GitHub are not accepted here. To accept them, set LEAKS_GITHUB_KEYS_URL to \
         https://api.github.com/meta/public_keys/secret_scanning, or LEAKS_GITHUB_KEYS_FILE to a file with what is published there. \
         Everybody else reports secrets to /leaks.",
    )
}

/// The signature of a body that was not read yet.
struct Signature {
    key: GithubKey,
    bytes: Vec<u8>,
}

impl Signature {
    async fn read(headers: &HeaderMap, keys: &GithubKeys) -> Result<Self, Problem> {
        let identifier = only(headers, &IDENTIFIER)?;
        let signature = only(headers, &SIGNATURE)?;
        let bytes = Some(signature).filter(|text| text.len() <= MAX_SIGNATURE);
        let bytes = bytes.and_then(|text| BASE64_STANDARD.decode(text).ok()).ok_or_else(|| {
            refused("Github-Public-Key-Signature is not base64 (RFC 4648, padded) of an ECDSA signature in DER.")
        })?;
        match keys.find(identifier).await {
            Ok(key) => Ok(Self { key, bytes }),
            Err(SignatureError::UnknownKey) => {
                Err(refused("Github-Public-Key-Identifier names no key by which GitHub signs its reports."))
            }
            Err(SignatureError::KeysUnavailable) => Err(Code::SigningKeysUnavailable.into()),
        }
    }

    fn check(&self, body: &[u8]) -> Result<(), Problem> {
        if self.key.verifies(body, &self.bytes) {
            return Ok(());
        }
        Err(refused(
            "The signature is not of this body by that key. It is made over the bytes of the body as they are sent.",
        ))
    }
}

fn refused(detail: &'static str) -> Problem {
    Problem::with_detail(Code::InvalidSignature, detail)
}

/// The header's only value.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(refused("Send Github-Public-Key-Identifier and Github-Public-Key-Signature, each once.")),
    }
}

fn parse(body: &[u8]) -> Result<Vec<Match>, Problem> {
    let matches: Vec<Match> = serde_json::from_slice(body).map_err(|_| {
        let what =
            "must be a JSON array of objects, each with the strings `token` and `type`, and `url`: a string or null";
        Problem::invalid_json(what.to_owned())
    })?;
    if matches.len() > MAX_MATCHES {
        let message = format!("must have at most {MAX_MATCHES} matches");
        return Err(Problem::invalid_request(vec![FieldError::new("body", message)]));
    }
    Ok(matches)
}

fn labels(matches: &[Match], digests: &[Option<LookupDigest>], known: &HashSet<LookupDigest>) -> Vec<LabelledMatch> {
    let label = |(found, digest): (&Match, &Option<LookupDigest>)| LabelledMatch {
        token_hash: hex(&Sha256::digest(found.token.as_bytes())),
        token_type: found.kind.clone(),
        label: if digest.is_some_and(|digest| known.contains(&digest)) { "true_positive" } else { "false_positive" },
    };
    matches.iter().zip(digests).map(label).collect()
}
