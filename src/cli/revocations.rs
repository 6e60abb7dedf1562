//! `rally-api-keys revocations …`: what was taken away since a backup, to be taken away again after its restore.

use std::{
    fs,
    io::{BufWriter, Read as _, Write as _, stdin, stdout},
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
        ApiKeyId, Clock, EventKind, LookupDigest, Reason, Status, Suspension, TenantId, Timestamp, access::SecretState,
        format_timestamp, hex, parse_timestamp,
    },
    http::{ended_secret_details, suspension_details},
    store::{Database, Revocation, TakenAway, TenantAdmin, TenantStore},
};

#[derive(Debug, Subcommand)]
pub(super) enum RevocationsCommand {
    /// Print what does not work any more of all tenants: revoked and suspended keys, and ended secrets, as JSON, one a line
    Export {
        /// Only what was taken away at this time or later, such as that of the last backup but one
        #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
        since: Option<Timestamp>,
    },
    /// Take away again what an export says, from a database that was restored to a time before
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
            let lines = read(&file)?;
            let known = admin.tenants().await?.into_iter().map(|tenant| tenant.id);
            apply(&opened, &known.collect::<Vec<_>>(), &lines, &by).await?;
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
    fn new(tenant_id: TenantId, tenant: &str, taken: &TakenAway) -> Self {
        let (key, at, what) = match *taken {
            TakenAway::Key { key, at } => (key, at, What::KeyRevoked),
            TakenAway::Suspended { key, suspension: Suspension { since, until } } => {
                (key, since, What::KeySuspended { until: until.map(format_timestamp) })
            }
            TakenAway::Secret { key, lookup_digest, at } => {
                (key, at, What::SecretEnded { lookup_digest: hex(lookup_digest.as_bytes()) })
            }
        };
        Self { what, tenant_id: tenant_id.0, tenant: tenant.to_owned(), key_id: key.0, at: format_timestamp(at) }
    }

    /// `None`: a time or a digest is malformed.
    fn parse(&self) -> Option<(TenantId, TakenAway)> {
        let (key, at) = (ApiKeyId(self.key_id), parse_timestamp(&self.at).ok()?);
        let taken = match &self.what {
            What::KeyRevoked => TakenAway::Key { key, at },
            What::KeySuspended { until } => {
                let until = until.as_deref().map(parse_timestamp).transpose().ok()?;
                TakenAway::Suspended { key, suspension: Suspension { since: at, until } }
            }
            What::SecretEnded { lookup_digest } => {
                let bytes = u128::from_str_radix(lookup_digest, 16).ok().filter(|_| lookup_digest.len() == 32)?;
                TakenAway::Secret { key, lookup_digest: LookupDigest::from_bytes(bytes.to_be_bytes()), at }
            }
        };
        Some((TenantId(self.tenant_id), taken))
    }
}

async fn export(admin: &mut TenantAdmin, database: &Database, since: Option<Timestamp>) -> Result<(), Error> {
    let mut output = BufWriter::new(stdout());
    let now = Clock::default().now();
    for tenant in admin.tenants().await? {
        let mut transaction = database.tenant_stores().tenant(tenant.id).begin_export().await?;
        for taken in transaction.taken_away(since.unwrap_or_default(), now).await? {
            let line = serde_json::to_string(&Line::new(tenant.id, &tenant.slug, &taken)).unwrap_or_default();
            writeln!(output, "{line}")?;
        }
    }
    Ok(output.flush()?)
}

/// All lines, or the first that is malformed.
fn read(file: &Path) -> Result<Vec<(TenantId, TakenAway)>, Error> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(file).map(|read| text = read)
    };
    outcome.map_err(|error| Error::Refused(format!("cannot read {}: {error}", file.display())))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| {
        let bad = |why: &str| Error::Refused(format!("line {}: {why}; nothing was changed", index + 1));
        let line: Line = serde_json::from_str(line).map_err(|error| bad(&error.to_string()))?;
        line.parse().ok_or_else(|| bad("a time or a digest is malformed"))
    });
    parsed.collect()
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Counts {
    revoked: usize,
    suspended: usize,
    ended: usize,
    unchanged: usize,
    unknown: usize,
}

async fn apply(
    database: &Database,
    tenants: &[TenantId],
    lines: &[(TenantId, TakenAway)],
    by: &Operator,
) -> Result<(), Error> {
    let mut counts = Counts::default();
    for (tenant, taken) in lines {
        let outcome = if tenants.contains(tenant) {
            take_away(&database.tenant_stores().tenant(*tenant), taken, by).await?
        } else {
            Outcome::Unknown
        };
        match outcome {
            Outcome::Revoked => counts.revoked += 1,
            Outcome::Suspended => counts.suspended += 1,
            Outcome::Ended => counts.ended += 1,
            Outcome::Unchanged => counts.unchanged += 1,
            Outcome::Unknown => counts.unknown += 1,
        }
    }
    let Counts { revoked, suspended, ended, unchanged, unknown } = counts;
    writeln!(
        stdout(),
        "revoked {revoked} keys, suspended {suspended}, ended {ended} previous secrets; {unchanged} lines were true already, and {unknown} are of keys \
         that this database does not have"
    )?;
    Ok(())
}

enum Outcome {
    Revoked,
    Suspended,
    Ended,
    Unchanged,
    Unknown,
}

/// Does nothing that was done before.
async fn take_away(keys: &TenantStore, taken: &TakenAway, by: &Operator) -> Result<Outcome, Error> {
    let now = Clock::default().now();
    match taken {
        TakenAway::Key { key, at } => {
            let reason = Reason::stored(format!("revoked on {}, and again after a restore", format_timestamp(*at)));
            Ok(match revoke(keys, *key, Some(&reason), by, now).await?.0 {
                Revocation::Done(_) => Outcome::Revoked,
                Revocation::Repeated => Outcome::Unchanged,
                Revocation::NotFound => Outcome::Unknown,
            })
        }
        TakenAway::Suspended { suspension: Suspension { until: Some(until), .. }, .. } if *until <= now => {
            Ok(Outcome::Unchanged)
        }
        TakenAway::Suspended { key, suspension: Suspension { since, until } } => {
            let why = format!("suspended on {}, and again after a restore", format_timestamp(*since));
            suspend(keys, *key, *until, &Reason::stored(why), by, now).await
        }
        TakenAway::Secret { key, lookup_digest, at } => end_secret(keys, *key, *lookup_digest, *at, by, now).await,
    }
}

async fn suspend(
    keys: &TenantStore,
    id: ApiKeyId,
    until: Option<Timestamp>,
    reason: &Reason,
    by: &Operator,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let mut transaction = keys.begin_revocation().await?;
    let Some(key) = transaction.lock_key(id).await? else { return Ok(Outcome::Unknown) };
    if matches!(key.status(now), Status::Revoked | Status::Suspended) {
        return Ok(Outcome::Unchanged);
    }
    let Some(mut changed) = key.suspend(now, until, Some(reason.clone())) else { return Ok(Outcome::Unchanged) };
    transaction.update_suspension(&key, &mut changed, now).await?;
    let details = suspension_details(&changed, Some(reason));
    transaction.commit_with(&by.event(EventKind::Suspended, id, now).with_details(details)).await?;
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
            drop(transaction);
            let at = format_timestamp(at);
            let why = format!("its secret was replaced before {at}, and a restore has lost the new one: rotate it");
            suspend(keys, id, None, &Reason::stored(why), by, now).await
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
