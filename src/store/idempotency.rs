//! Records of requests with an `Idempotency-Key`.

use super::{Error, ReadTx, WriteTx};
use crate::domain::{LookupDigest, Timestamp};

const TABLE: &str = "api_key_idempotency_records";

/// What is stored of how a secret was derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// Random.
    pub salt: [u8; 32],
    /// `None`: without a pepper.
    pub pepper_id: Option<String>,
}

/// What identifies a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Of principal and `Idempotency-Key`.
    pub key_digest: [u8; 32],
    /// Of method, path and body.
    pub request_digest: [u8; 32],
}

/// The response to an earlier request.
#[derive(Clone, Debug)]
pub struct RecordedResponse {
    /// Of method, path and body of that request.
    pub request_digest: [u8; 32],
    /// When the request was made.
    pub created_at: Timestamp,
    /// How its secret was derived.
    pub derivation: Derivation,
    /// Of its secret.
    pub lookup_digest: LookupDigest,
    /// Whether its secret is still the current one of its key, in whatever state that is.
    pub is_current: bool,
    /// The JSON, without the secret.
    pub body: String,
}

/// The outcome of [`WriteTx::claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The request is to be made, by this transaction.
    Taken,
    /// Another transaction is making it.
    InUse,
    /// It has been made: see [`ReadTx::recorded_response`].
    Done,
}

struct RecordedRow {
    request_digest: Vec<u8>,
    created_at: Timestamp,
    salt: Vec<u8>,
    pepper_id: Option<String>,
    lookup_digest: Vec<u8>,
    is_current: bool,
    response: String,
}

impl TryFrom<RecordedRow> for RecordedResponse {
    type Error = Error;

    fn try_from(row: RecordedRow) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: TABLE, column };
        Ok(Self {
            request_digest: row.request_digest.try_into().map_err(|_| bad("request_digest"))?,
            created_at: row.created_at,
            derivation: Derivation { salt: row.salt.try_into().map_err(|_| bad("salt"))?, pepper_id: row.pepper_id },
            lookup_digest: LookupDigest::from_bytes(row.lookup_digest.try_into().map_err(|_| bad("lookup_digest"))?),
            is_current: row.is_current,
            body: row.response,
        })
    }
}

impl ReadTx {
    /// The response to an earlier request with that [`IdempotencyRecord::key_digest`].
    pub async fn recorded_response(&mut self, key_digest: &[u8; 32]) -> Result<Option<RecordedResponse>, Error> {
        let row = sqlx::query_as!(
            RecordedRow,
            r#"SELECT r.request_digest, r.created_at, r.salt, r.pepper_id, r.lookup_digest, r.response,
                      EXISTS (SELECT FROM public.api_key_secrets s
                              WHERE s.tenant_id = $1 AND s.lookup_digest = r.lookup_digest AND s.retired_at IS NULL)
                          AS "is_current!"
               FROM public.api_key_idempotency_records r
               WHERE r.tenant_id = $1 AND r.key_digest = $2"#,
            self.tenant.0,
            &key_digest[..],
        )
        .fetch_optional(self.transaction.session())
        .await?;
        row.map(RecordedResponse::try_from).transpose()
    }
}

impl WriteTx {
    /// Claims a request for this transaction, which has to call [`Self::record_response`] before its commit. A rollback gives the
    /// claim back. To be called before whatever the first of two equal requests changes is read.
    pub async fn claim(
        &mut self,
        record: &IdempotencyRecord,
        derivation: &Derivation,
        secret: LookupDigest,
        now: Timestamp,
    ) -> Result<Claim, Error> {
        // The lock tells a claim of an open transaction, for which the insert alone would wait, from one of a committed
        // transaction: a lock is released after its transaction's rows can be seen by this check of the primary key.
        let row = sqlx::query!(
            r#"WITH lock AS MATERIALIZED (
                   SELECT pg_try_advisory_xact_lock($8) AS is_free
               ), inserted AS (
                   INSERT INTO public.api_key_idempotency_records
                       (tenant_id, key_digest, request_digest, created_at, salt, pepper_id, lookup_digest)
                   SELECT $1, $2, $3, $4, $5, $6, $7 FROM lock WHERE lock.is_free
                   ON CONFLICT (tenant_id, key_digest) DO NOTHING
                   RETURNING key_digest
               )
               SELECT lock.is_free AS "is_free!", EXISTS (SELECT FROM inserted) AS "is_new!" FROM lock"#,
            self.tenant.0,
            &record.key_digest[..],
            &record.request_digest[..],
            now,
            &derivation.salt[..],
            derivation.pepper_id,
            secret.as_bytes(),
            lock_number(&record.key_digest),
        )
        .fetch_one(self.transaction.session())
        .await?;
        Ok(match (row.is_free, row.is_new) {
            (false, _) => Claim::InUse,
            (true, true) => Claim::Taken,
            (true, false) => Claim::Done,
        })
    }

    /// Records the JSON of the response, which must not contain the secret.
    pub async fn record_response(&mut self, record: &IdempotencyRecord, body: &str) -> Result<(), Error> {
        sqlx::query!(
            "UPDATE public.api_key_idempotency_records SET response = $3 WHERE tenant_id = $1 AND key_digest = $2",
            self.tenant.0,
            &record.key_digest[..],
            body,
        )
        .execute(self.transaction.session())
        .await?;
        Ok(())
    }
}

/// The number of an advisory lock. Two records of one number would merely refuse each other for as long as one of them is
/// being written.
fn lock_number(key_digest: &[u8; 32]) -> i64 {
    key_digest.iter().take(8).fold(0, |number, byte| number << 8 | i64::from(*byte))
}
