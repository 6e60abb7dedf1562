//! `rally-api-keys keys …`: an operator manages a tenant's API keys, as the tenant's admins do by the API.

use std::{
    io::{Write as _, stderr, stdout},
    num::NonZeroUsize,
};

use clap::{Args, Subcommand};

use super::{
    Error,
    owner_database::OwnerDatabase,
    receipt::{self, ReceiptWaiter},
};
use crate::{
    auth::api_key::hasher::SecretHasher,
    config::Config,
    demo::IfMissing,
    domain::{
        ApiKey, ApiKeyId, Clock, EventKind, KeyLimits, KeyName, NewEvent, Principal, Reason, Revision, ScopeSet,
        Secret, Status, Tenant, Timestamp, format_timestamp, parse_timestamp, visible_text::find_invisible,
    },
    http::{grant_details, receipt_details, suspension_details},
    store::{Database, KeyCaller, KeyFilter, KeyOrder, Page, Revocation, TenantStore},
};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List a tenant's API keys, newest first
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// List who used an API key in the last 30 days: what to look at before revoking it
    Callers {
        #[command(flatten)]
        of: OfTenant,
        /// The key's id, as `keys list` prints it
        #[arg(value_parser = parse_id)]
        id: ApiKeyId,
    },
    /// Create an API key and print its secret, which cannot be shown again
    Create {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        by: Operator,
        /// What the key is for, such as `Zapier Sync`
        #[arg(long, value_parser = KeyName::parse)]
        name: KeyName,
        /// Comma-separated: read, write, admin
        #[arg(long, default_value = "read", value_parser = ScopeSet::parse)]
        scopes: ScopeSet,
        /// When it ends, such as `2030-01-01T00:00:00Z` [default: never]
        #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
        expires_at: Option<Timestamp>,
    },
    /// Suspend an API key until it is resumed, or until a time, on all instances at once
    Suspend {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        by: Operator,
        /// The key's id, as `keys list` prints it
        #[arg(value_parser = parse_id)]
        id: ApiKeyId,
        /// When the suspension ends by itself, such as `2030-01-01T00:00:00Z` [default: not until it is resumed]
        #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
        until: Option<Timestamp>,
        #[command(flatten)]
        why: Why,
    },
    /// End the suspension of an API key
    Resume {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        by: Operator,
        /// The key's id, as `keys list` prints it
        #[arg(value_parser = parse_id)]
        id: ApiKeyId,
        #[command(flatten)]
        why: Why,
    },
    /// Revoke an API key for good, on all instances at once
    Revoke {
        #[command(flatten)]
        of: OfTenant,
        #[command(flatten)]
        by: Operator,
        /// The key's id, as `keys list` prints it
        #[arg(value_parser = parse_id)]
        id: ApiKeyId,
        #[command(flatten)]
        why: Why,
        /// Wait for the proof that no instance accepts the key any more, which takes LEASE_SECONDS, and print it
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct OfTenant {
    /// The tenant's slug
    #[arg(long)]
    pub(super) tenant: String,
}

/// Why a key is changed, for the audit trail.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// Why, for the audit trail: at most 200 characters
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    reason: Option<Reason>,
}

/// Who runs the command, for the audit trail.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Who you are, for the audit trail [default: your login on this machine]
    #[arg(long = "as", value_name = "NAME", value_parser = parse_operator)]
    operator: Option<String>,
}

impl Operator {
    fn audit_name(&self) -> String {
        let name = self.operator.clone().unwrap_or_else(|| {
            let uid = nix::unistd::getuid();
            let user = nix::unistd::User::from_uid(uid).ok().flatten();
            user.map_or_else(|| format!("uid {uid}"), |user| user.name)
        });
        format!("{}{name}", Principal::OPERATOR)
    }

    pub(super) fn event(&self, kind: EventKind, key: ApiKeyId, at: Timestamp) -> NewEvent {
        NewEvent { actor: Some(self.audit_name()), ..NewEvent::anonymous(kind, key, at) }
            .with_request(None, COMMAND_LINE)
    }
}

/// In place of a request's id.
const COMMAND_LINE: &str = "command-line";

fn parse_id(text: &str) -> Result<ApiKeyId, &'static str> {
    ApiKeyId::parse(text).ok_or("is not the id of a key, which is a UUID; see `rally-api-keys keys list`")
}

fn parse_reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).map_err(|error| error.to_string())?.ok_or_else(|| "must not be blank".to_owned())
}

fn parse_operator(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if find_invisible(name).is_none() && (1..=200).contains(&name.chars().count()) {
        Ok(name.to_owned())
    } else {
        Err("must have 1 to 200 characters, and none that are invisible")
    }
}

pub(super) async fn run(mut config: Config, command: KeysCommand) -> Result<(), Error> {
    let database = OwnerDatabase::open(&mut config, IfMissing::Refuse).await?;
    let outcome = execute(&config, &database, command).await;
    database.close().await?;
    outcome
}

async fn execute(config: &Config, database: &OwnerDatabase, command: KeysCommand) -> Result<(), Error> {
    let (KeysCommand::List { of }
    | KeysCommand::Callers { of, .. }
    | KeysCommand::Create { of, .. }
    | KeysCommand::Suspend { of, .. }
    | KeysCommand::Resume { of, .. }
    | KeysCommand::Revoke { of, .. }) = &command;
    let tenant = database.tenant(&of.tenant).await?;
    let opened = Database::open_for_command(&database.url).await?;
    let keys = opened.tenant_stores().tenant(tenant.id);
    let now = Clock::default().now();
    match command {
        KeysCommand::List { .. } => list(&keys, now).await?,
        KeysCommand::Callers { id, .. } => {
            if !callers(&keys, id, now).await? {
                return Err(no_such_key(&tenant, id));
            }
        }
        KeysCommand::Create { by, name, scopes, expires_at, .. } => {
            if expires_at.is_some_and(|end| end <= now) {
                return Err(Error::Refused("--expires-at must be in the future".into()));
            }
            let secret = Secret::generate();
            let key = ApiKey {
                id: ApiKeyId::generate(),
                name,
                scopes,
                hint: secret.hint(),
                expires_at,
                last_used_at: None,
                previous: None,
                created_at: now,
                created_by: Some(by.audit_name()),
                revoked_at: None,
                suspension: None,
                suspension_reason: None,
                description: None,
                limits: KeyLimits::default(),
                is_decoy: false,
                version: 1,
            };
            create(config, &tenant, &keys, &by, key, &secret).await?;
        }
        KeysCommand::Revoke { by, id, why: Why { reason }, wait, .. } => {
            let waiter = wait.then(|| ReceiptWaiter::start(config, &database.url));
            let (revocation, revision) = revoke(&keys, id, reason.as_ref(), &by, now).await?;
            match revocation {
                Revocation::Done(_) => writeln!(stdout(), "revoked API key {id}")?,
                Revocation::Repeated => writeln!(stdout(), "API key {id} was revoked before")?,
                Revocation::NotFound => return Err(no_such_key(&tenant, id)),
            }
            if let Some(waiter) = waiter {
                let receipt = waiter.receipt().await?;
                if let Some(revision) = revision {
                    let event = by.event(EventKind::Receipt, id, Clock::default().now());
                    keys.append_receipt(revision, &event.with_details(receipt_details(revision, &receipt))).await?;
                }
                writeln!(stdout(), "{}", receipt::describe(revision, &receipt))?;
            }
        }
        KeysCommand::Suspend { by, id, until, why: Why { reason }, .. } => {
            if until.is_some_and(|until| until <= now) {
                return Err(Error::Refused("--until must be in the future".into()));
            }
            let apply = |key: &ApiKey| key.suspend(now, until, reason.clone());
            let event = by.event(EventKind::Suspended, id, now);
            let end =
                until.map_or_else(|| "until it is resumed".into(), |end| format!("until {}", format_timestamp(end)));
            if change_suspension(&keys, &tenant, id, event, reason.as_ref(), apply).await? {
                writeln!(stdout(), "suspended API key {id} {end}")?;
            } else {
                writeln!(stdout(), "API key {id} was suspended {end} before")?;
            }
        }
        KeysCommand::Resume { by, id, why: Why { reason }, .. } => {
            let event = by.event(EventKind::Resumed, id, now);
            if change_suspension(&keys, &tenant, id, event, reason.as_ref(), |key| key.resume(now)).await? {
                writeln!(stdout(), "resumed API key {id}")?;
            } else {
                writeln!(stdout(), "API key {id} is not suspended")?;
            }
        }
    }
    opened.close().await;
    Ok(())
}

/// False: there is no such key.
async fn callers(keys: &TenantStore, id: ApiKeyId, now: Timestamp) -> Result<bool, Error> {
    let mut transaction = keys.begin_read().await?;
    if !transaction.key_exists(id).await? {
        return Ok(false);
    }
    let mut output = std::io::BufWriter::new(stdout());
    let row = |[address, secret, first, last, requests, agent]: [&str; 6]| {
        format!("{address:<39} {secret:<8} {first:<27} {last:<27} {requests:>10} {agent}")
    };
    writeln!(output, "{}", row(["ADDRESS", "SECRET", "FIRST-SEEN", "LAST-SEEN", "REQUESTS", "USER-AGENT"]))?;
    for KeyCaller { caller, uses_current_secret } in transaction.callers(id, now).await? {
        writeln!(
            output,
            "{}",
            row([
                &caller.address.map_or_else(|| "(others)".to_owned(), |address| address.to_string()),
                if uses_current_secret { "current" } else { "previous" },
                &format_timestamp(caller.first_seen_at),
                &format_timestamp(caller.last_seen_at),
                &caller.requests.to_string(),
                caller.user_agent.as_deref().unwrap_or("-"),
            ])
        )?;
    }
    output.flush()?;
    Ok(true)
}

async fn list(keys: &TenantStore, now: Timestamp) -> Result<(), Error> {
    let mut output = std::io::BufWriter::new(stdout());
    let row = |[id, secret, scopes, status, created, expires, used, name]: [&str; 8]| {
        format!("{id:<36} {secret:<13} {scopes:<16} {status:<9} {created:<27} {expires:<27} {used:<27} {name}")
    };
    writeln!(output, "{}", row(["ID", "SECRET", "SCOPES", "STATUS", "CREATED", "EXPIRES", "LAST-USED", "NAME"]))?;
    for key in all(keys, &Status::ALL, now).await? {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), format_timestamp);
        writeln!(
            output,
            "{}",
            row([
                &key.id.to_string(),
                &key.hint.to_string(),
                &key.scopes.to_string(),
                key.status(now).as_str(),
                &time(Some(key.created_at)),
                &time(key.expires_at),
                &time(key.last_used_at),
                key.name.as_str(),
            ])
        )?;
    }
    Ok(output.flush()?)
}

/// Stores the key, and prints its secret alone to the standard output, so that a script can read it.
async fn create(
    config: &Config,
    tenant: &Tenant,
    keys: &TenantStore,
    by: &Operator,
    mut key: ApiKey,
    secret: &Secret,
) -> Result<(), Error> {
    if config.keys.peppers.current.is_none() {
        writeln!(
            stderr(),
            "KEY_PEPPER is not set here: the key gets no stamp, and does not work where the service has \
             KEY_FALLBACK=deny. Set it as the service has it"
        )?;
    }
    let hasher = SecretHasher::new(config.keys.argon2, config.keys.peppers.clone(), NonZeroUsize::MIN, 1);
    let sealed = hasher.seal(tenant.id, key.id, secret).await.map_err(crate::store::Error::from)?;
    let mut transaction = keys.begin_write().await?;
    let now = key.created_at;
    if let Some(violation) = transaction.apply_policy(&mut key, now).await? {
        return Err(Error::Refused(format!(
            "no key was created: {violation}. An admin of the tenant can change the policy"
        )));
    }
    transaction.insert_key(&key, &sealed).await?;
    let details = grant_details(&key.grant(), None);
    transaction.commit_with(&by.event(EventKind::Created, key.id, key.created_at).with_details(details)).await?;
    writeln!(stderr(), "created API key {} of tenant {}; its secret is not shown again:", key.id, tenant.slug)?;
    Ok(writeln!(stdout(), "{}", secret.reveal())?)
}

fn no_such_key(Tenant { slug, .. }: &Tenant, id: ApiKeyId) -> Error {
    Error::Refused(format!("tenant {slug} has no API key {id}; see `rally-api-keys keys list --tenant {slug}`"))
}

/// Applies a change that returns the changed key. False: it returned none, since the key is as wanted already.
async fn change_suspension(
    keys: &TenantStore,
    tenant: &Tenant,
    id: ApiKeyId,
    event: NewEvent,
    reason: Option<&Reason>,
    apply: impl FnOnce(&ApiKey) -> Option<ApiKey>,
) -> Result<bool, Error> {
    let mut transaction = keys.begin_revocation().await?;
    let key = transaction.lock_key(id).await?.ok_or_else(|| no_such_key(tenant, id))?;
    if key.revoked_at.is_some() {
        return Err(Error::Refused(format!("API key {id} is revoked, which is final")));
    }
    let Some(mut changed) = apply(&key) else { return Ok(false) };
    transaction.update_suspension(&key, &mut changed, event.occurred_at).await?;
    let details = suspension_details(&changed, reason);
    transaction.commit_with(&event.with_details(details)).await?;
    Ok(true)
}

/// Returns the revision of the revocation too, or, of one that was made before, a later one.
pub(super) async fn revoke(
    keys: &TenantStore,
    id: ApiKeyId,
    reason: Option<&Reason>,
    by: &Operator,
    now: Timestamp,
) -> Result<(Revocation, Option<Revision>), Error> {
    let mut transaction = keys.begin_revocation().await?;
    let revocation = transaction.revoke_key(id, now).await?;
    let revision = if let Revocation::Done(key) = &revocation {
        let details = grant_details(key, reason);
        Some(transaction.commit_with(&by.event(EventKind::Revoked, id, now).with_details(details)).await?)
    } else {
        transaction.newest_revision().await?
    };
    Ok((revocation, revision))
}

/// Revokes every key that is not revoked, one by one. Returns their number.
pub(super) async fn revoke_all(keys: &TenantStore, by: &Operator) -> Result<usize, Error> {
    let now = Clock::default().now();
    let working = all(keys, &[Status::Active, Status::Suspended, Status::Expired], now).await?;
    for key in &working {
        revoke(keys, key.id, None, by, now).await?;
    }
    Ok(working.len())
}

/// The keys with one of these states, newest first.
pub(super) async fn all(keys: &TenantStore, statuses: &[Status], now: Timestamp) -> Result<Vec<ApiKey>, Error> {
    let filter = KeyFilter { statuses: statuses.to_vec(), ..KeyFilter::all(now) };
    let listed = keys.begin_read().await?.keys(&filter, KeyOrder::NEWEST_FIRST, &Page::default()).await?;
    Ok(listed.items.into_iter().map(|(_, key)| key).collect())
}
