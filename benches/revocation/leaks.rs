//! Many keys leak at once: how soon no instance accepts any of them.

use std::{fs, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    instances::{INSTANCES, Instances},
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, request},
        keys::Key,
    },
};

/// The largest number of secrets in one report.
const BY_ANYONE: usize = 1_000;
const BY_GITHUB: usize = 10_000;
/// Of the reported keys, those that are checked all the time. The newest, which are revoked last.
const WATCHED: usize = 100;
/// How long checks go on after the response.
const AFTERWARDS: Duration = Duration::from_secs(6);
const CONNECTIONS: usize = 4;
/// Leaves the cores to the instances.
const PAUSE: Duration = Duration::from_millis(4);

/// A thousand keys are reported by anyone, ten thousand by GitHub, with a signing key of this program.
pub async fn reported(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let github = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let file = scene.database.dir().join("github-keys.json");
    fs::write(&file, published(&github)?)?;
    let file = file.to_str().ok_or("the folder is not UTF-8")?;
    let instances = Instances::start(scene, "leaks", &[("LEAKS_GITHUB_KEYS_FILE", file)]).await?;

    let (keys, watched) = (scene.fresh_keys(BY_ANYONE - WATCHED).await?, scene.fresh_keys(WATCHED).await?);
    let secrets: Vec<_> = keys.iter().chain(&watched).map(|key| key.secret.reveal()).collect();
    let call = request("POST", "/leaks", &scene.tenant, "", &json!({"secrets": secrets}).to_string());
    let leak = leak(&instances, &watched, &call, 202).await?;
    let what = format!(
        "{BY_ANYONE} keys reported by POST /leaks: 202 → the last {WATCHED} last accepted by any of {INSTANCES} instances"
    );
    report.at_most('o', what, leak.last_accept, "s", 1.0);
    report.info('o', "each of these was checked by each instance every", leak.interval, "s");

    let (keys, watched) = (scene.fresh_keys(BY_GITHUB - WATCHED).await?, scene.fresh_keys(WATCHED).await?);
    let found = keys
        .iter()
        .chain(&watched)
        .map(|key| json!({"token": key.secret.reveal(), "type": "rally_crm_api_key", "url": null}));
    let body = found.collect::<Value>().to_string();
    let signature = github.sign(&SystemRandom::new(), body.as_bytes())?;
    let headers = format!(
        "Github-Public-Key-Identifier: bench\r\nGithub-Public-Key-Signature: {}\r\n",
        BASE64_STANDARD.encode(signature)
    );
    let leak = self::leak(&instances, &watched, &request("POST", "/leaks/github", &scene.tenant, &headers, &body), 200)
        .await?;
    report.info('o', format!("{BY_GITHUB} keys reported by POST /leaks/github: call → 200"), leak.took, "s");
    report.at_most('o', "200 → last accepted by any instance", leak.last_accept, "s", 1.0);
    report.info('o', "each of these was checked by each instance every", leak.interval, "s");
    instances.stop().await
}

/// GitHub's document of public keys, with this key.
fn published(key: &EcdsaKeyPair) -> Outcome<String> {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    let der = BASE64_STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    Ok(json!({"public_keys": [{"key_identifier": "bench", "key": pem, "is_current": true}]}).to_string())
}

/// In seconds.
struct Leak {
    /// From the call to its response.
    took: f64,
    /// From the response to the end of the last check that was accepted.
    last_accept: f64,
    /// Between two checks of a key by an instance, on average.
    interval: f64,
}

/// Reports the keys while all instances check them.
async fn leak(instances: &Instances, keys: &[Key], call: &str, status: u16) -> Outcome<Leak> {
    instances.cache(keys).await?;
    let mut connection = Connection::open(instances.0[0].address).await?;
    let (loads, started) = (instances.load(keys, CONNECTIONS, PAUSE), Instant::now());
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let reply = connection.send(call).await?;
    let responded = Instant::now();
    if reply.status != status {
        return Err(format!("a report of leaks has status {}", reply.status).into());
    }
    sleep(AFTERWARDS).await;
    let checked_for = started.elapsed().as_secs_f64();
    let mut samples = Vec::new();
    for load in loads {
        samples.extend(load.finish().await?);
    }
    let accepted = samples.iter().filter(|sample| sample.succeeded());
    let last_accept = accepted.map(|it| it.ended().duration_since(responded).as_secs_f64()).fold(0.0, f64::max);
    let interval = checked_for * as_figure(INSTANCES * keys.len()) / as_figure(samples.len());
    Ok(Leak { took: (responded - begun).as_secs_f64(), last_accept, interval })
}
