//! Three instances of the service on one database, and revocations that wait for a receipt.

use std::time::Duration;

use futures_util::future::try_join_all;
use rally_api_keys::domain::Scope;

use crate::{
    Scene,
    load::{API, Load, checks},
    stand::{
        Outcome,
        client::{Connection, request, send_each},
        keys::{Key, token},
        server::Server,
    },
};

pub const INSTANCES: usize = 3;
/// In seconds; longer than any lease here.
const LONGEST_WAIT: u64 = 70;

/// Three instances whose receipts are not delayed by their start.
pub struct Instances(pub Vec<Server>);

impl Instances {
    pub async fn start(scene: &Scene, name: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        let names: Vec<_> = (0..INSTANCES).map(|n| format!("{name}-{n}")).collect();
        let longest = LONGEST_WAIT.to_string();
        let settings = [settings, &[("RECEIPT_MAX_WAIT_SECONDS", longest.as_str())]].concat();
        let servers = try_join_all(names.iter().map(|name| Server::instance(&scene.database, name, &settings))).await?;
        // An instance gives its first receipt once it has listened for a whole lease.
        let keys = scene.fresh_keys(INSTANCES).await?;
        let first = servers.iter().zip(&keys).map(|(server, key)| async move {
            revoke(&mut Connection::open(server.address).await?, key, LONGEST_WAIT).await
        });
        try_join_all(first).await?;
        Ok(Self(servers))
    }

    /// A connection to each instance.
    pub async fn connect(&self) -> Outcome<Vec<Connection>> {
        try_join_all(self.0.iter().map(|server| Connection::open(server.address))).await
    }

    /// Lets every instance cache the keys.
    pub async fn cache(&self, keys: &[Key]) -> Outcome<()> {
        for server in &self.0 {
            send_each(server.address, &checks(keys), 200).await?;
        }
        Ok(())
    }

    /// Checks of the keys on every instance, over so many connections to each.
    pub fn load(&self, keys: &[Key], connections: usize, pause: Duration) -> Vec<Load> {
        self.0.iter().map(|server| Load::start(server.address, checks(keys), connections, pause)).collect()
    }

    pub async fn stop(self) -> Outcome<()> {
        for server in self.0 {
            server.stop().await?;
        }
        Ok(())
    }
}

/// The members of `Rally-Receipt` that are measured.
pub struct Receipt {
    pub acknowledged: usize,
    pub lapsed: usize,
    pub slowest_ms: f64,
}

impl Receipt {
    fn parse(text: &str) -> Option<Self> {
        let member = |name: &str| text.split(", ").find_map(|member| member.strip_prefix(name)?.strip_prefix('='));
        Some(Self {
            acknowledged: member("acknowledged")?.parse().ok()?,
            lapsed: member("lapsed")?.parse().ok()?,
            slowest_ms: member("slowest-ms")?.parse().ok()?,
        })
    }
}

/// A request that revokes the key. `prefer`: a header line, or nothing.
pub fn revocation(key: &Key, prefer: &str) -> Outcome<String> {
    let headers = format!("Authorization: Bearer {}\r\n{prefer}", token(&key.tenant, Scope::Admin)?);
    Ok(request("DELETE", &format!("{API}/{}", key.id), &key.tenant, &headers, ""))
}

/// Revokes the key and waits for the receipt, for so many seconds. An error if it is not complete by then.
pub async fn revoke(connection: &mut Connection, key: &Key, wait: u64) -> Outcome<Receipt> {
    let reply = connection.send(&revocation(key, &format!("Prefer: wait={wait}\r\n"))?).await?;
    let receipt = reply.header("rally-receipt").and_then(Receipt::parse);
    match (reply.status, receipt) {
        (204, Some(receipt)) => Ok(receipt),
        (status, _) => Err(format!("a revocation has status {status} and no complete receipt").into()),
    }
}
