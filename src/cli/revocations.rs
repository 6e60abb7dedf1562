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

use super::{Error, keys::Operator, owner_database::OwnerDatabase};
use crate::{
    app::{Cause, Repeated, repeat_revocation},
    config::Config,
    demo::IfMissing,
    domain::{
        ApiKeyId, Clock, LookupDigest, RevocationRecord, Suspension, TenantId, Timestamp, format_timestamp, hex,
        parse_timestamp,
    },
    store::{Database, TenantAdmin},
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

async fn apply(database: &Database, tenants: &HashSet<Uuid>, records: &[Numbered], by: &Operator) -> Result<(), Error> {
    let mut outcomes = Vec::new();
    for (number, tenant, record) in records {
        if !tenants.contains(&tenant.0) {
            outcomes.push(Repeated::Unknown);
            continue;
        }
        let keys = database.tenant_stores().tenant(*tenant);
        let event = |kind, key, at| by.event(kind, key, at);
        let outcome = repeat_revocation(&keys, record, Cause::Restore, event, Clock::default().now()).await;
        outcomes.push(outcome.map_err(|error| {
            Error::Refused(format!("line {number}: {error}; the lines before it were applied. Repeat the command"))
        })?);
    }
    let count = |of: Repeated| outcomes.iter().filter(|outcome| **outcome == of).count();
    writeln!(
        stdout(),
        "keys revoked: {}, keys suspended: {}, previous secrets ended: {}; lines without a change: {}, lines about a tenant, key \
         or secret that this database does not have: {}",
        count(Repeated::Revoked),
        count(Repeated::Suspended),
        count(Repeated::Ended),
        count(Repeated::Unchanged),
        count(Repeated::Unknown),
    )?;
    Ok(())
}
