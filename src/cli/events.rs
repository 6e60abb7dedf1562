//! `rally-api-keys events …`: the audit trail as a chain.

use std::io::{Write, stdout};

use clap::{Args, Subcommand};

use super::{Error, OwnDatabase, tenant};
use crate::{
    config::Config,
    domain::{Tenant, hex},
    store::{self, ChainHead, Database, Link, ReadTx, TenantAdmin},
};

/// Entries per query.
const PAGE: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Walk a tenant's audit trail and name the first entry that was tampered with
    Verify {
        #[command(flatten)]
        of: OfTenant,
        /// An entry's number and hash that an earlier `verify` printed, as in `1204:9f86d0…`: what
        /// was there then must be there still
        #[arg(long, value_name = "NUMBER:HASH")]
        expect: Option<String>,
    },
    /// Write a tenant's audit trail, the oldest entry first, as JSON, one a line
    Export {
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Debug, Args)]
pub(super) struct OfTenant {
    /// The tenant's slug
    #[arg(long)]
    tenant: String,
}

pub(super) async fn run(mut config: Config, command: EventsCommand) -> Result<(), Error> {
    let database = OwnDatabase::open(&mut config).await?;
    let outcome = read(&database, command).await;
    database.close().await?;
    outcome
}

async fn read(database: &OwnDatabase, command: EventsCommand) -> Result<(), Error> {
    let (EventsCommand::Verify { of, .. } | EventsCommand::Export { of }) = &command;
    let tenant = find(database, &of.tenant).await?;
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

async fn find(database: &OwnDatabase, slug: &str) -> Result<Tenant, Error> {
    let slug = tenant::parse(slug)?;
    if database.private.is_some() {
        store::migrate(&database.url).await?;
    }
    let tenants = TenantAdmin::connect(&database.url).await?.tenants().await?;
    match tenants.into_iter().find(|tenant| tenant.slug == slug.as_str()) {
        Some(row) => Ok(Tenant { id: row.id, slug }),
        None => tenant::unknown(&slug),
    }
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
                return Err(broken(tenant, &format!("entry {} (id {id}): {fault}", link.event.seq)));
            }
            end = ChainHead { seq: link.event.seq, hash: link.hash.clone() };
            if let Some((number, hash)) = expected.take_if(|(number, _)| *number == end.seq)
                && hex(&end.hash) != hash
            {
                return Err(broken(
                    tenant,
                    &format!("entry {number} has another hash than expected: {}", hex(&end.hash)),
                ));
            }
        }
    }
    if let Some((number, _)) = expected {
        return Err(broken(tenant, &format!("entry {number} is expected, and the last one is {}", end.seq)));
    }
    let head = transaction.chain_head().await?;
    if head != end {
        let (last, noted) = (end.seq, head.seq);
        return Err(broken(tenant, &format!("the last entry is {last}, where {noted} was noted: the end was cut off")));
    }
    writeln!(
        stdout(),
        "tenant {}: {} entries, unbroken; the last: {}:{}",
        tenant.slug,
        end.seq,
        end.seq,
        hex(&end.hash)
    )?;
    Ok(())
}

/// What is wrong with an entry that follows `before`.
fn fault(link: &Link, before: &ChainHead) -> Option<String> {
    let event = &link.event;
    if event.seq != before.seq + 1 {
        return Some(format!("follows entry {}: what was between is missing", before.seq));
    }
    if event.previous_hash[..] != before.hash[..] {
        return Some(format!("does not carry the hash of entry {}", before.seq));
    }
    match event.hash() {
        Ok(hash) if hash[..] == link.hash[..] => None,
        _ => Some("is not what its hash was made of: it was changed".into()),
    }
}

fn broken(tenant: &Tenant, what: &str) -> Error {
    Error::Refused(format!("the audit trail of tenant {} was tampered with: {what}", tenant.slug))
}

async fn export(transaction: &mut ReadTx) -> Result<(), Error> {
    let mut output = std::io::BufWriter::new(stdout());
    let mut after = 0;
    loop {
        let links = transaction.chain(after, PAGE).await?;
        let Some(last) = links.last() else { break };
        after = last.event.seq;
        for link in &links {
            let line = link.event.line().map_err(|error| Error::Refused(format!("entry {after}: {error}")))?;
            writeln!(output, "{line}")?;
        }
    }
    Ok(output.flush()?)
}
