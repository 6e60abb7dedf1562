//! Three instances of the service on one database, and revocations that wait for a receipt.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::try_join_all;
use rally_api_keys::domain::Scope;
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    load::{API, Client, Load, Sample, checks},
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
/// Of a revocation that is repeated while it is refused.
const REVOKED_BY: Duration = Duration::from_mins(1);

/// Three instances whose receipts are not delayed by their start.
pub struct Instances(pub Vec<Server>);

impl Instances {
    pub async fn start(scene: &Scene, name: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::start_each(scene, name, [settings; INSTANCES]).await
    }

    /// Each with settings of its own.
    pub async fn start_each(scene: &Scene, name: &str, settings: [&[(&str, &str)]; INSTANCES]) -> Outcome<Self> {
        let starting = settings.into_iter().enumerate().map(|(n, settings)| async move {
            let longest = LONGEST_WAIT.to_string();
            let settings = [settings, &[("RECEIPT_MAX_WAIT_SECONDS", longest.as_str())]].concat();
            Server::instance(&scene.database, &format!("{name}-{n}"), &settings).await
        });
        let servers = try_join_all(starting).await?;
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

/// An acknowledged revocation.
pub struct Revoked {
    /// When its response came.
    pub at: Instant,
    pub took: Duration,
    /// `None`: it did not wait for one.
    pub receipt: Option<Receipt>,
}

/// Revokes the key at the first of these instances that does it, and repeats the call while it is refused with 503 or the
/// connection fails. `wait`: for a receipt, in seconds.
pub async fn revoke_once_possible(addresses: &[SocketAddr], key: &Key, wait: Option<u64>) -> Outcome<Revoked> {
    let prefer = wait.map_or_else(String::new, |seconds| format!("Prefer: wait={seconds}\r\n"));
    let (request, begun) = (revocation(key, &prefer)?, Instant::now());
    for address in addresses.iter().cycle() {
        let reply = Client::new(*address).send(&request).await;
        let receipt = reply.as_ref().and_then(|reply| Receipt::parse(reply.header("rally-receipt")?));
        match (reply.map(|reply| reply.status), receipt) {
            (Some(204), receipt) if receipt.is_some() == wait.is_some() => {
                return Ok(Revoked { at: Instant::now(), took: begun.elapsed(), receipt });
            }
            // 202: the receipt is not complete yet. The repeated call waits for it again.
            (Some(202 | 503) | None, _) if begun.elapsed() < REVOKED_BY => sleep(Duration::from_millis(20)).await,
            (status, _) => return Err(format!("a revocation has status {status:?}").into()),
        }
    }
    Err("no instance to revoke a key at".into())
}

/// Revokes all keys at once, each at another one of these instances first.
pub async fn revoke_all(addresses: &[SocketAddr], keys: &[Key], wait: Option<u64>) -> Outcome<Vec<Revoked>> {
    let revoking = keys.iter().enumerate().map(|(n, key)| async move {
        let mut addresses = addresses.to_vec();
        let first = n % addresses.len();
        addresses.rotate_left(first);
        revoke_once_possible(&addresses, key, wait).await
    });
    try_join_all(revoking).await
}

/// Accepted checks of keys that had been revoked when the check was sent.
#[derive(Default)]
pub struct Stale {
    /// Checks that were sent after the revocation.
    pub checks: usize,
    pub accepted: usize,
    /// Keys of which a check was accepted.
    pub keys: usize,
    /// From the revocation's response to the end of the last check that was accepted, in seconds.
    pub last: f64,
}

impl Stale {
    /// `first`: the index of the first of these keys in the load's requests.
    pub fn of(samples: &[Sample], first: usize, revoked: &[Revoked]) -> Self {
        let mut found = Self::default();
        for (n, revoked) in revoked.iter().enumerate() {
            let later = samples.iter().filter(|sample| sample.request == first + n && sample.begun > revoked.at);
            let (mut checks, mut accepted) = (0, 0);
            for sample in later {
                checks += 1;
                if sample.succeeded() {
                    accepted += 1;
                    found.last = found.last.max((sample.ended() - revoked.at).as_secs_f64());
                }
            }
            found.checks += checks;
            found.accepted += accepted;
            found.keys += usize::from(accepted > 0);
        }
        found
    }
}
