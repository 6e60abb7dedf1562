//! `Idempotency-Key`: a request that makes a secret and is sent again gets the same response
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A request with the header is looked up first. If it was made before, the recorded response is returned, with the secret
//! derived again. Otherwise it is made, with a derived secret, in a transaction that [claims](IdempotentRequest::claim) it.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, request::Parts},
};
use chrono::TimeDelta;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::{error, warn};
use utoipa::IntoParams;

use super::responses::ApiKeyCreatedResponse;
use crate::{
    auth::api_key::hasher::SecretHasher,
    domain::{Clock, IdempotencyKey, LookupDigest, Secret, Timestamp},
    http::{
        authorized::{Authorized, Requirement},
        input::InputFields,
        problem::{Code, Problem},
    },
    store::{Claim, Derivation, IdempotencyRecord, ReadTx, RecordedResponse, WriteTx},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// As errors name it.
const FIELD: &str = "Idempotency-Key";
/// For so long a repetition gets the same response.
const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// Both labels are part of the stored format.
const KEY_LABEL: &[u8] = b"rally-api-keys idempotency key v1\0";
const REQUEST_LABEL: &[u8] = b"rally-api-keys idempotent request v1\0";

/// The parameter for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "for the description; the header is read by `IdempotencyKeyHeader`")]
pub(super) struct IdempotencyKeyParam {
    /// Choose a random one for each request. For 24 hours, the same request with the same value makes no second secret, and gets
    /// the same response. Bare or in double quotes
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        pattern = r#"^([!#-~]{1,255}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#,
        example = "9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10"
    )]
    idempotency_key: Option<String>,
}

/// The header of a request. Its errors are returned together with those of the body.
pub(crate) struct IdempotencyKeyHeader(Option<Result<IdempotencyKey, &'static str>>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKeyHeader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        Ok(Self(match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => Some(IdempotencyKey::parse(value.as_bytes())),
            (Some(_), Some(_)) => Some(Err("must appear only once")),
        }))
    }
}

/// A request with an `Idempotency-Key`.
pub(super) struct IdempotentRequest {
    key: IdempotencyKey,
    /// Of the principal.
    identity: String,
    record: IdempotencyRecord,
    // Of the secret, if the request is made now.
    derivation: Derivation,
    lookup_digest: LookupDigest,
}

impl IdempotentRequest {
    /// A secret for the request, derived if it has the header. To be called before any field is taken; `fields` then returns what
    /// is wrong with the header. `operation`: method and path.
    pub(super) fn read<R>(
        header: IdempotencyKeyHeader,
        fields: &mut InputFields,
        operation: &str,
        caller: &Authorized<R>,
        hasher: &SecretHasher,
    ) -> (Secret, Option<Self>) {
        let Some(key) = header.0 else { return (Secret::generate(), None) };
        let identity = caller.principal.identity();
        let derived = key.and_then(|key| {
            let (derivation, secret) = hasher.derive_new(caller.tenant.id, &identity, &key)?;
            Ok((key, derivation, secret))
        });
        match derived {
            Err(message) => {
                fields.refuse(FIELD, message);
                (Secret::generate(), None)
            }
            Ok((key, derivation, secret)) => {
                let tenant = caller.tenant.id.0;
                let record = IdempotencyRecord {
                    key_digest: digest(KEY_LABEL, &[tenant.as_bytes(), identity.as_bytes(), key.as_bytes()]),
                    request_digest: digest(REQUEST_LABEL, &[operation.as_bytes(), &fields.canonical()]),
                };
                let lookup_digest = secret.lookup_digest();
                (secret, Some(Self { key, identity, record, derivation, lookup_digest }))
            }
        }
    }

    /// The JSON of the response, if the request was made before.
    pub(super) async fn recorded_response<R: Requirement>(
        &self,
        reading: &mut ReadTx,
        caller: &Authorized<R>,
        hasher: &SecretHasher,
        clock: &Clock,
    ) -> Result<Option<Value>, Problem> {
        let Some(recorded) = reading.recorded_response(&self.record.key_digest).await? else { return Ok(None) };
        // The response has a secret, so a calling key that was revoked or narrowed since the request began does not get it.
        caller.read_own_key(reading, clock).await?;
        if recorded.request_digest != self.record.request_digest {
            return Err(Code::IdempotencyKeyReused.into());
        }
        if clock.now() >= recorded.created_at + LIFETIME || !recorded.is_current {
            return Err(Code::IdempotencyKeyExpired.into());
        }
        let secret = self.derive_again(&recorded, caller, hasher).ok_or(Code::IdempotencyKeyExpired)?;
        let body = ApiKeyCreatedResponse::with_secret(&recorded.body, &secret);
        Ok(Some(body.map_err(|error| {
            error!(%error, "the recorded response to a request with an Idempotency-Key is not valid JSON");
            Problem::internal()
        })?))
    }

    /// `None`, and a warning in the log: the secret cannot be derived again.
    fn derive_again<R>(
        &self,
        recorded: &RecordedResponse,
        caller: &Authorized<R>,
        hasher: &SecretHasher,
    ) -> Option<Secret> {
        let secret = hasher.derive(&recorded.derivation, caller.tenant.id, &self.identity, &self.key);
        let secret = secret.filter(|secret| secret.lookup_digest() == recorded.lookup_digest);
        if secret.is_none() {
            warn!(
                pepper_id = recorded.derivation.pepper_id,
                "could not repeat the response to a request with an Idempotency-Key: the pepper that its secret was derived \
                 from is not configured, or has another value under its id. Keep a replaced pepper in KEY_PEPPERS_RETIRED \
                 for 24 hours"
            );
        }
        secret
    }

    /// Claims the request for the transaction. False: another transaction has made it meanwhile.
    pub(super) async fn claim(&self, transaction: &mut WriteTx, now: Timestamp) -> Result<bool, Problem> {
        match transaction.claim(&self.record, &self.derivation, self.lookup_digest, now).await? {
            Claim::Taken => Ok(true),
            Claim::Done => Ok(false),
            Claim::InUse => Err(Code::IdempotencyKeyInUse.into()),
        }
    }

    /// The JSON of the response to a request that [another transaction](Self::claim) has made.
    pub(super) async fn response_of_concurrent<R: Requirement>(
        &self,
        caller: &Authorized<R>,
        hasher: &SecretHasher,
        clock: &Clock,
    ) -> Result<Value, Problem> {
        let mut reading = caller.begin_read().await?;
        let response = self.recorded_response(&mut reading, caller, hasher, clock).await?;
        Ok(response.ok_or(Code::IdempotencyKeyInUse)?)
    }

    /// Records the response in the transaction that has claimed the request.
    pub(super) async fn record(
        &self,
        transaction: &mut WriteTx,
        response: &ApiKeyCreatedResponse,
    ) -> Result<(), Problem> {
        Ok(transaction.record_response(&self.record, &response.without_secret()).await?)
    }
}

fn digest(label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(label);
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern() -> regex::Regex {
        let parameters = serde_json::to_value(IdempotencyKeyParam::into_params(|| None)).unwrap();
        regex::Regex::new(&parameters[0]["schema"]["pattern"].as_str().unwrap().replace('$', r"\z")).unwrap()
    }

    proptest! {
        #[test]
        fn the_pattern_of_the_header_matches_what_the_parser_accepts(
            text in r#"[ab\\" ~é]{0,6}|"?[!-~]{0,6}"?|[!#-~]{254,256}|"[!#-\[\]-~]{254,256}""#,
        ) {
            prop_assert_eq!(pattern().is_match(&text), IdempotencyKey::parse(text.as_bytes()).is_ok(), "{}", text);
        }
    }

    #[test]
    fn parts_of_a_digest_do_not_run_together() {
        assert_ne!(digest(b"x", &[b"ab", b"c"]), digest(b"x", &[b"a", b"bc"]));
        assert_ne!(digest(b"x", &[b"a"]), digest(b"y", &[b"a"]));
    }
}
