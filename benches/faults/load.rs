//! Requests without a pause while something goes wrong, each with what became of it.

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

use crate::{
    Scene,
    report::as_figure,
    stand::{
        Outcome,
        client::{Connection, Reply, check, request},
        keys::{Key, token},
    },
};

/// No answer takes longer; what does has failed.
const PATIENCE: Duration = Duration::from_secs(40);

pub const API: &str = "/api/v1/api-keys";

/// What became of a request.
pub struct Sample {
    /// Which one it was, in the list that the load goes through.
    pub request: usize,
    pub begun: Instant,
    pub took: Duration,
    /// None: the connection broke.
    pub status: Option<u16>,
    /// Of what was made.
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

/// A load, under way.
pub struct Load {
    done: Arc<AtomicBool>,
    workers: JoinSet<Vec<Sample>>,
}

impl Load {
    /// Goes through the requests again and again, over so many connections, each of which rests
    /// after each answer.
    pub fn start(address: SocketAddr, requests: Vec<String>, connections: usize, rest: Duration) -> Self {
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
                    sleep(rest).await;
                }
                samples
            });
        }
        Self { done, workers }
    }

    /// All that it sent.
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

/// Connects anew where that is needed.
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// The answer, if there was one.
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
        let reply = timeout(PATIENCE, sending).await.ok().and_then(Result::ok);
        if reply.is_none() {
            sleep(Duration::from_millis(5)).await; // as any client does before it tries again
        }
        reply
    }
}

/// What gateways ask about these keys.
pub fn checks(keys: &[Key]) -> Vec<String> {
    keys.iter().map(check).collect()
}

/// By an admin of the scene's tenant.
pub fn by_admin(scene: &Scene, method: &str, path: &str, body: &str) -> Outcome<String> {
    let token = token(&scene.tenant, rally_api_keys::domain::Scope::Admin)?;
    Ok(request(method, path, &scene.tenant, &format!("Authorization: Bearer {token}\r\n"), body))
}

/// How many of them end so.
pub fn count(samples: &[Sample], which: impl Fn(&Sample) -> bool) -> usize {
    samples.iter().filter(|sample| which(sample)).count()
}

/// The 99th percentile of how long they took, in milliseconds; NaN of none.
pub fn p99(samples: &[Sample], which: impl Fn(&Sample) -> bool) -> f64 {
    let mut took: Vec<f64> = samples.iter().filter(|it| which(it)).map(|it| it.took.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    took.get((took.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// How long after that moment the last failure was told, in seconds.
pub fn last_failure(samples: &[Sample], after: Instant) -> f64 {
    let failures = samples.iter().filter(|sample| !sample.succeeded() && sample.ended() > after);
    failures.map(|sample| (sample.ended() - after).as_secs_f64()).fold(0.0, f64::max)
}

/// Of the keys that were acknowledged, how many are not in the database.
pub async fn lost(scene: &Scene, samples: &[Sample]) -> Outcome<usize> {
    let ids: Vec<uuid::Uuid> =
        samples.iter().filter_map(|sample| sample.body.as_ref()?["id"].as_str()?.parse().ok()).collect();
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE id = ANY($1)")
        .bind(&ids)
        .fetch_one(&mut scene.database.connect().await?)
        .await?;
    Ok(ids.len() - usize::try_from(found)?)
}

/// `17 of 400`, for what is told of a load.
pub fn share(part: usize, samples: &[Sample]) -> String {
    format!("{part} of {:.0}", as_figure(samples.len()))
}
