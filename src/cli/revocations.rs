//! `rally-api-keys revocations …`: keeps revocations through the restore of a backup.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufWriter, Read as _, Write as _, stdin, stdout},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Error,
    keys::{Operator, revoke},
    owner_database::OwnerDatabase,
};
use crate::{
    config::Config,
    demo::IfMissing,
    domain::{
        ApiKey, ApiKeyId, Clock, EventKind, LookupDigest, Reason, Status, Suspension, TenantId, Timestamp,
        access::SecretState, format_timestamp, hex, parse_timestamp,
    },
    http::{ended_secret_details, suspension_details},
    store::{Database, Locked, Revocation, RevocationRecord, TenantAdmin, TenantStore, WriteTx},
};

#[derive(Debug, Subcommand)]
pub(super) enum RevocationsCommand {
    /// Print the revoked and suspended keys and the ended secrets of all tenants as JSON, one a line, to apply after a restore
    Export {
        /// Only what was revoked or ended at this time or later, such as the time of the backup before the last one; suspended
        /// keys are all printed
        #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
        since: Option<Timestamp>,
    },
    /// Revoke, suspend and end again what an export lists, in a database that was restored from an older backup
    Apply {
        /// The export; `-` reads the standard input
        file: PathBuf,
        #[command(flatten)]
        by: Operator,
    },
}

pub(super) async fn run(mut config: Config, command: RevocationsCommand) -> Result<(), Error> {
    let database = OwnerDatabase::open(&mut config, IfMissing::Refuse).await?;
    let outcome = execute(&database, command).await;
    database.close().await?;
    outcome
}

async fn execute(database: &OwnerDatabase, command: RevocationsCommand) -> Result<(), Error> {
    let mut admin = TenantAdmin::connect(&database.url).await?;
    let opened = Database::open_for_command(&database.url).await?;
    match command {
        RevocationsCommand::Export { since } => export(&mut admin, &opened, since).await?,
        RevocationsCommand::Apply { file, by } => {
            let records = read(&file)?;
            let known: HashSet<_> = admin.tenants().await?.into_iter().map(|tenant| tenant.id.0).collect();
            apply(&opened, &known, &records, &by).await?;
        }
    }
    opened.close().await;
    Ok(())
}

/// A line of the export.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(flatten)]
    what: What,
    tenant_id: Uuid,
    /// For people.
    tenant: String,
    key_id: Uuid,
    at: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum What {
    KeyRevoked,
    KeySuspended { until: Option<String> },
    SecretEnded { lookup_digest: String },
}

impl Line {
    fn new(tenant_id: TenantId, tenant: &str, record: &RevocationRecord) -> Self {
        let (key, at, what) = match *record {
            RevocationRecord::KeyRevoked { key, at } => (key, at, What::KeyRevoked),
            RevocationRecord::KeySuspended { key, suspension: Suspension { since, until } } => {
                (key, since, What::KeySuspended { until: until.map(format_timestamp) })
            }
            RevocationRecord::SecretEnded { key, lookup_digest, at } => {
                (key, at, What::SecretEnded { lookup_digest: hex(lookup_digest.as_bytes()) })
            }
        };
        Self { what, tenant_id: tenant_id.0, tenant: tenant.to_owned(), key_id: key.0, at: format_timestamp(at) }
    }

    /// `None`: a time or a digest is malformed.
    fn parse(&self) -> Option<(TenantId, RevocationRecord)> {
        let (key, at) = (ApiKeyId(self.key_id), parse_timestamp(&self.at).ok()?);
        let record = match &self.what {
            What::KeyRevoked => RevocationRecord::KeyRevoked { key, at },
            What::KeySuspended { until } => {
                let until = until.as_deref().map(parse_timestamp).transpose().ok()?;
                RevocationRecord::KeySuspended { key, suspension: Suspension { since: at, until } }
            }
            What::SecretEnded { lookup_digest } => {
                RevocationRecord::SecretEnded { key, lookup_digest: parse_digest(lookup_digest)?, at }
            }
        };
        Some((TenantId(self.tenant_id), record))
    }
}

fn parse_digest(text: &str) -> Option<LookupDigest> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    Some(LookupDigest::from_bytes(number.to_be_bytes()))
}

async fn export(admin: &mut TenantAdmin, database: &Database, since: Option<Timestamp>) -> Result<(), Error> {
    let mut output = BufWriter::new(stdout());
    let now = Clock::default().now();
    for tenant in admin.tenants().await? {
        let mut transaction = database.tenant_stores().tenant(tenant.id).begin_export().await?;
        for record in transaction.revocations_since(since.unwrap_or_default(), now).await? {
            serde_json::to_writer(&mut output, &Line::new(tenant.id, &tenant.slug, &record))
                .map_err(io::Error::from)?;
            writeln!(output)?;
        }
    }
    Ok(output.flush()?)
}

/// A record, with the number of its line.
type Numbered = (usize, TenantId, RevocationRecord);

/// All records, or an error about the first line that is malformed.
fn read(file: &Path) -> Result<Vec<Numbered>, Error> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(file).map(|read| text = read)
    };
    outcome.map_err(|error| Error::Refused(format!("cannot read {}: {error}", file.display())))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let parsed = lines.map(|(line, number)| {
        let bad = |why: &str| Error::Refused(format!("line {number}: {why}; nothing was changed"));
        let line: Line = serde_json::from_str(line).map_err(|error| bad(&error.to_string()))?;
        let (tenant, record) = line.parse().ok_or_else(|| bad("a time or a digest is malformed"))?;
        Ok((number, tenant, record))
    });
    parsed.collect()
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Revoked,
    Suspended,
    Ended,
    Unchanged,
    /// There is no such tenant, key or secret.
    Unknown,
}

async fn apply(database: &Database, tenants: &HashSet<Uuid>, records: &[Numbered], by: &Operator) -> Result<(), Error> {
    let mut outcomes = Vec::new();
    for (number, tenant, record) in records {
        let outcome = if tenants.contains(&tenant.0) {
            apply_record(&database.tenant_stores().tenant(*tenant), record, by).await.map_err(|error| {
                let why = format!("line {number}: {error}; the lines before it were applied. Repeat the command");
                Error::Refused(why)
            })?
        } else {
            Outcome::Unknown
        };
        outcomes.push(outcome);
    }
    let count = |of: Outcome| outcomes.iter().filter(|outcome| **outcome == of).count();
    writeln!(
        stdout(),
        "keys revoked: {}, keys suspended: {}, previous secrets ended: {}; lines without a change: {}, lines about a tenant, key \
         or secret that this database does not have: {}",
        count(Outcome::Revoked),
        count(Outcome::Suspended),
        count(Outcome::Ended),
        count(Outcome::Unchanged),
        count(Outcome::Unknown),
    )?;
    Ok(())
}

async fn apply_record(keys: &TenantStore, record: &RevocationRecord, by: &Operator) -> Result<Outcome, Error> {
    let now = Clock::default().now();
    match record {
        RevocationRecord::KeyRevoked { key, at } => {
            let reason = Reason::stored(format!("revoked on {}, and again after a restore", format_timestamp(*at)));
            Ok(match revoke(keys, *key, Some(&reason), by, now).await?.0 {
                Revocation::Done(_) => Outcome::Revoked,
                Revocation::Repeated => Outcome::Unchanged,
                Revocation::NotFound => Outcome::Unknown,
            })
        }
        RevocationRecord::KeySuspended { suspension: Suspension { until: Some(until), .. }, .. } if *until <= now => {
            Ok(Outcome::Unchanged)
        }
        RevocationRecord::KeySuspended { key, suspension: Suspension { since, until } } => {
            let mut transaction = keys.begin_revocation().await?;
            let Some(key) = transaction.lock_key(*key).await? else { return Ok(Outcome::Unknown) };
            let why = format!("suspended on {}, and again after a restore", format_timestamp(*since));
            suspend(transaction, &key, *until, Reason::stored(why), by, now).await
        }
        RevocationRecord::SecretEnded { key, lookup_digest, at } => {
            end_secret(keys, *key, *lookup_digest, *at, by, now).await
        }
    }
}

/// Does nothing to a key that is suspended for as long, or revoked.
async fn suspend(
    mut transaction: WriteTx,
    key: &Locked<ApiKey>,
    until: Option<Timestamp>,
    reason: Reason,
    by: &Operator,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let lasts_as_long = |suspension: Suspension| match (suspension.until, until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(end), Some(until)) => end >= until,
    };
    let is_done = match key.status(now) {
        Status::Revoked => true,
        Status::Suspended => key.suspension.is_some_and(lasts_as_long),
        _ => false,
    };
    let changed = if is_done { None } else { key.suspend(now, until, Some(reason.clone())) };
    let Some(mut changed) = changed else { return Ok(Outcome::Unchanged) };
    transaction.update_suspension(key, &mut changed, now).await?;
    let details = suspension_details(&changed, Some(&reason));
    transaction.commit_with(&by.event(EventKind::Suspended, key.id, now).with_details(details)).await?;
    Ok(Outcome::Suspended)
}

/// A previous secret is ended. A current one was replaced by a secret that the restore has lost: its key is suspended, until it
/// is rotated and resumed.
async fn end_secret(
    keys: &TenantStore,
    id: ApiKeyId,
    lookup_digest: LookupDigest,
    at: Timestamp,
    by: &Operator,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let mut transaction = keys.begin_revocation().await?;
    let Some(key) = transaction.lock_key(id).await? else { return Ok(Outcome::Unknown) };
    match transaction.secret_state(&key, lookup_digest).await? {
        None => Ok(Outcome::Unknown),
        Some(SecretState { is_retired: false, .. }) => {
            let at = format_timestamp(at);
            let why = format!("its secret was replaced before {at}, and a restore has lost the new one: rotate it");
            suspend(transaction, &key, None, Reason::stored(why), by, now).await
        }
        Some(state) if state.is_ended || state.expires_at.is_some_and(|end| end <= now) => Ok(Outcome::Unchanged),
        Some(_) => match transaction.end_previous_secret(&key, now).await? {
            Some(previous) => {
                let event = by.event(EventKind::PreviousSecretEnded, id, now);
                transaction.commit_with(&event.with_details(ended_secret_details(previous))).await?;
                Ok(Outcome::Ended)
            }
            None => Ok(Outcome::Unchanged),
        },
    }
}
