//! Timing side channel of `POST /leaks`: the latency for a secret of a key and for an unknown one.

use std::time::Duration;

use rally_api_keys::domain::Secret;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    load::percentile,
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, request},
        server::Server,
    },
};

const REPORTS_OF_EACH: usize = 1_000;
/// Until what the response did not wait for is done.
const PAUSE: Duration = Duration::from_millis(15);
/// A difference of the means of that many standard errors is one chance in 16,000.
const STANDARD_ERRORS: f64 = 4.0;

/// Reports of one secret each, known and unknown ones in random order, as if each was from another address.
pub async fn of_reports(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let server = Server::instance(&scene.database, "timing", &[("TRUSTED_PROXIES", "127.0.0.1")]).await?;
    let known = scene.fresh_keys(REPORTS_OF_EACH).await?;
    let known = known.into_iter().map(|key| (true, key.secret));
    let unknown = std::iter::repeat_with(|| (false, Secret::generate())).take(REPORTS_OF_EACH);
    let mut secrets: Vec<_> = known.chain(unknown).collect();
    // A random order.
    secrets.sort_by_key(|(_, secret)| secret.lookup_digest().as_bytes().to_vec());

    let mut connection = Connection::open(server.address).await?;
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for (n, (is_known, secret)) in secrets.iter().enumerate() {
        let headers = format!("X-Forwarded-For: 198.18.{}.{}\r\n", n / 250, n % 250 + 1);
        let call =
            request("POST", "/leaks", &scene.tenant, &headers, &json!({"secrets": [secret.reveal()]}).to_string());
        let begun = Instant::now();
        let reply = connection.send(&call).await?;
        let took = begun.elapsed().as_secs_f64() * 1e6;
        if reply.status != 202 {
            return Err(format!("a report of a leak has status {}", reply.status).into());
        }
        if *is_known { &mut of_known } else { &mut of_unknown }.push(took);
        sleep(PAUSE).await;
    }
    server.stop().await?;

    for (what, times) in [("of a key", &mut of_known), ("unknown", &mut of_unknown)] {
        times.sort_by(f64::total_cmp);
        report.info(
            'p',
            format!("POST /leaks with a secret that is {what}, median of {REPORTS_OF_EACH}"),
            percentile(times.clone(), 50),
            "µs",
        );
    }
    // Without the slowest hundredth, which is of the machine.
    let [known, unknown] = [&of_known, &of_unknown].map(|times| Sample::of(&times[..times.len() * 99 / 100]));
    let difference = (known.mean - unknown.mean).abs() / (known.variance_of_mean + unknown.variance_of_mean).sqrt();
    report.at_most('p', "difference of the means", difference, "standard errors", STANDARD_ERRORS);
    Ok(())
}

struct Sample {
    mean: f64,
    variance_of_mean: f64,
}

impl Sample {
    fn of(values: &[f64]) -> Self {
        let count = as_figure(values.len());
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, variance_of_mean: squares / (count - 1.0) / count }
    }
}
