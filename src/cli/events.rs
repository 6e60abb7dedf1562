//! `rally-api-keys events …`: verifies and exports the audit trail, a hash chain for each tenant.

use std::io::{Write, stdout};

use clap::Subcommand;

use super::{Error, keys::OfTenant, owner_database::OwnerDatabase};
use crate::{
    config::Config,
    demo::IfMissing,
    domain::{Tenant, hex},
    store::{ChainHead, Database, Link, ReadTx},
};

/// Events per query.
const PAGE: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Verify the hash chain of a tenant's audit trail and print the first event that was tampered with
    Verify {
        #[command(flatten)]
        of: OfTenant,
        /// The number and hash that an earlier `verify` printed, such as `1204:9f86d0…`. Fails if that event is
        /// missing or has another hash. Only this finds a trail that was rewritten as a whole
        #[arg(long, value_name = "NUMBER:HASH")]
        expect: Option<String>,
    },
    /// Print a tenant's audit trail as JSON, one event per line, oldest first
    Export {
        #[command(flatten)]
        of: OfTenant,
    },
}

pub(super) async fn run(mut config: Config, command: EventsCommand) -> Result<(), Error> {
    let database = OwnerDatabase::open(&mut config, IfMissing::Refuse).await?;
    let outcome = execute(&database, command).await;
    database.close().await?;
    outcome
}

async fn execute(database: &OwnerDatabase, command: EventsCommand) -> Result<(), Error> {
    let (EventsCommand::Verify { of, .. } | EventsCommand::Export { of }) = &command;
    let tenant = database.tenant(&of.tenant).await?;
    let opened = Database::open_for_command(&database.url).await?;
    let mut transaction = opened.tenant_stores().tenant(tenant.id).begin_export().await?;
    match command {
        EventsCommand::Verify { expect, .. } => {
            let expect = expect.as_deref().map(parse_expected).transpose()?;
            verify(&mut transaction, &tenant, expect).await?;
        }
        EventsCommand::Export { .. } => export(&mut transaction).await?,
    }
    drop(transaction);
    opened.close().await;
    Ok(())
}

fn parse_expected(text: &str) -> Result<(i64, String), Error> {
    let parsed = text.split_once(':').and_then(|(number, hash)| {
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        Some((number.parse().ok().filter(|number| *number > 0 && is_hash)?, hash.to_ascii_lowercase()))
    });
    parsed.ok_or_else(|| Error::Refused("--expect must be a number, a colon and 64 hexadecimal digits".into()))
}

async fn verify(transaction: &mut ReadTx, tenant: &Tenant, mut expected: Option<(i64, String)>) -> Result<(), Error> {
    let mut end = ChainHead { seq: 0, hash: vec![0; 32] };
    loop {
        let links = transaction.chain(end.seq, PAGE).await?;
        if links.is_empty() {
            break;
        }
        for link in &links {
            if let Some(fault) = fault(link, &end) {
                let id = link.event.event.id;
                return Err(broken(tenant, &format!("event {} (id {id}): {fault}", link.event.seq)));
            }
            end = ChainHead { seq: link.event.seq, hash: link.hash.clone() };
            if let Some((number, hash)) = expected.take_if(|(number, _)| *number == end.seq)
                && hex(&end.hash) != hash
            {
                let what = format!("event {number} has another hash than expected: {}", hex(&end.hash));
                return Err(not_as_expected(tenant, &what));
            }
        }
    }
    let head = transaction.chain_head().await?;
    if head != end {
        let (last, recorded) = (end.seq, head.seq);
        return Err(broken(
            tenant,
            &format!("the last event is {last}, but {recorded} were recorded: the end was cut off"),
        ));
    }
    if let Some((number, _)) = expected {
        let what = format!("event {number} is expected, but the last one is {}", end.seq);
        return Err(not_as_expected(tenant, &what));
    }
    writeln!(
        stdout(),
        "tenant {}: {} {}, the chain is intact; last event: {}:{}",
        tenant.slug,
        end.seq,
        if end.seq == 1 { "event" } else { "events" },
        end.seq,
        hex(&end.hash)
    )?;
    Ok(())
}

/// What is wrong with an event that should follow `before`.
fn fault(link: &Link, before: &ChainHead) -> Option<String> {
    let event = &link.event;
    if event.seq != before.seq + 1 {
        return Some(format!("follows event {}: events are missing between them", before.seq));
    }
    if event.previous_hash[..] != before.hash[..] {
        return Some(format!("does not contain the hash of event {}", before.seq));
    }
    match event.hash() {
        Ok(hash) if hash[..] == link.hash[..] => None,
        _ => Some("does not match its hash: it was changed".into()),
    }
}

fn broken(tenant: &Tenant, what: &str) -> Error {
    Error::Refused(format!("the audit trail of tenant {} was tampered with: {what}", tenant.slug))
}

/// The chain is intact as far as it goes.
fn not_as_expected(tenant: &Tenant, what: &str) -> Error {
    Error::Refused(format!(
        "the audit trail of tenant {} was tampered with, or the database was restored or has lost its last changes in a failover: \
         {what}",
        tenant.slug
    ))
}

async fn export(transaction: &mut ReadTx) -> Result<(), Error> {
    let mut output = std::io::BufWriter::new(stdout());
    let mut after = 0;
    loop {
        let links = transaction.chain(after, PAGE).await?;
        let Some(last) = links.last() else { break };
        after = last.event.seq;
        for link in &links {
            let line = link.event.line().map_err(|error| Error::Refused(format!("event {after}: {error}")))?;
            writeln!(output, "{line}")?;
        }
    }
    Ok(output.flush()?)
}
