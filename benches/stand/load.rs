//! Continuous requests during a fault, with the outcome of each.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Outcome,
    client::{Connection, Reply, check, request},
    keys::{Key, token},
    report::as_figure,
    scene::Scene,
};

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(40);

pub const API: &str = "/api/v1/api-keys";

/// A request and its outcome.
pub struct Sample {
    /// The index in the list of the load's requests.
    pub request: usize,
    pub begun: Instant,
    pub took: Duration,
    /// `None`: the connection failed.
    pub status: Option<u16>,
    /// Of a 201.
    pub body: Option<Value>,
}

impl Sample {
    pub fn ended(&self) -> Instant {
        self.begun + self.took
    }

    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A running load.
pub struct Load {
    done: Arc<AtomicBool>,
    workers: JoinSet<Vec<Sample>>,
}

impl Load {
    /// Repeats the requests over several connections. Each connection pauses after each response.
    pub fn start(address: SocketAddr, requests: Vec<String>, connections: usize, pause: Duration) -> Self {
        let (done, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(requests));
        let mut workers = JoinSet::new();
        for worker in 0..connections {
            let (done, requests) = (done.clone(), requests.clone());
            workers.spawn(async move {
                let (mut client, mut samples) = (Client::new(address), Vec::new());
                let mut turn = worker;
                while !done.load(Ordering::Relaxed) {
                    let index = turn % requests.len();
                    turn += connections;
                    let begun = Instant::now();
                    let reply = client.send(&requests[index]).await;
                    let took = begun.elapsed();
                    let status = reply.as_ref().map(|reply| reply.status);
                    let body = reply.filter(|reply| reply.status == 201);
                    let body = body.and_then(|reply| serde_json::from_slice(&reply.body).ok());
                    samples.push(Sample { request: index, begun, took, status, body });
                    sleep(pause).await;
                }
                samples
            });
        }
        Self { done, workers }
    }

    /// Stops the load and returns all samples, in the order in which they ended.
    pub async fn finish(mut self) -> Outcome<Vec<Sample>> {
        self.done.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(samples) = self.workers.join_next().await {
            all.extend(samples?);
        }
        all.sort_by_key(Sample::ended);
        Ok(all)
    }
}

/// Reconnects when the connection is closed.
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// The response, if there was one.
    pub async fn send(&mut self, request: &str) -> Option<Reply> {
        let sending = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(self.address).await?,
            };
            let reply = connection.send(request).await?;
            if !reply.closes {
                self.connection = Some(connection);
            }
            Outcome::Ok(reply)
        };
        let reply = timeout(TIMEOUT, sending).await.ok().and_then(Result::ok);
        if reply.is_none() {
            sleep(Duration::from_millis(5)).await; // as clients do before a retry
        }
        reply
    }
}

/// A gateway's checks of these keys.
pub fn checks(keys: &[Key]) -> Vec<String> {
    keys.iter().map(check).collect()
}

/// A request by an admin of the scene's tenant.
pub fn by_admin(scene: &Scene, method: &str, path: &str, body: &str) -> Outcome<String> {
    let token = token(&scene.tenant, rally_api_keys::domain::Scope::Admin)?;
    Ok(request(method, path, &scene.tenant, &format!("Authorization: Bearer {token}\r\n"), body))
}

pub fn count(samples: &[Sample], which: impl Fn(&Sample) -> bool) -> usize {
    samples.iter().filter(|sample| which(sample)).count()
}

/// The 99th percentile of durations, in milliseconds; NaN if there are no samples.
pub fn p99(samples: &[Sample], which: impl Fn(&Sample) -> bool) -> f64 {
    let took = samples.iter().filter(|it| which(it)).map(|it| it.took.as_secs_f64() * 1e3).collect();
    percentile(took, 99)
}

/// NaN if there are no values.
pub fn percentile(mut values: Vec<f64>, hundredths: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * hundredths).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The time from `after` to the end of the last failed request, in seconds.
pub fn last_failure(samples: &[Sample], after: Instant) -> f64 {
    let failures = samples.iter().filter(|sample| !sample.succeeded() && sample.ended() > after);
    failures.map(|sample| (sample.ended() - after).as_secs_f64()).fold(0.0, f64::max)
}

/// The number of acknowledged keys that are not in the database.
pub async fn lost(scene: &Scene, samples: &[Sample]) -> Outcome<usize> {
    let ids: Vec<uuid::Uuid> =
        samples.iter().filter_map(|sample| sample.body.as_ref()?["id"].as_str()?.parse().ok()).collect();
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE id = ANY($1)")
        .bind(&ids)
        .fetch_one(&mut scene.database.connect().await?)
        .await?;
    Ok(ids.len() - usize::try_from(found)?)
}

/// `17 of 400`.
pub fn share(part: usize, samples: &[Sample]) -> String {
    format!("{part} of {:.0}", as_figure(samples.len()))
}
