//! Faults of the service's processes: killed during changes, started all at the same time.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use futures_util::future::{join_all, try_join_all};
use rally_api_keys::{
    domain::{Scope, Secret, Tenant},
    store::{self, TenantAdmin},
};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::{
    Scene,
    load::API,
    report::{Report, as_figure},
    stand::{
        Outcome,
        client::{Connection, request, send_each},
        keys::{self, Key, token},
        server::Server,
    },
};

const KILLS: usize = 100;
const WRITERS: usize = 6;
/// With a cheap argon2, most of the time is spent in the database, where a kill might do harm.
const CHEAP: [(&str, &str); 2] = [("ARGON2_MEMORY_KIB", "8"), ("ARGON2_ITERATIONS", "1")];
const INSTANCES: usize = 10;

/// A key that a writer created, in the state that was acknowledged last.
struct WrittenKey {
    id: String,
    /// `None`: the key is revoked.
    current: Option<String>,
    /// Secrets that must be refused.
    ended: Vec<String>,
    /// A change was in flight at the kill: it may have taken effect.
    in_doubt: bool,
}

/// Counts of acknowledged changes.
#[derive(Default)]
struct Acknowledged {
    creates: usize,
    rotations: usize,
    revocations: usize,
}

/// The service is killed a hundred times during creates, rotations and revocations. Then every acknowledged change is
/// verified.
pub async fn killed(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let admin = format!("Authorization: Bearer {}\r\n", token(&scene.tenant, Scope::Admin)?);
    let (mut made, mut acknowledged, mut slowest) = (Vec::new(), Acknowledged::default(), 0_f64);
    for round in 0..KILLS {
        let begun = Instant::now();
        let server = Server::launch(&scene.database, "killed", &CHEAP).await?;
        slowest = slowest.max(begun.elapsed().as_secs_f64());
        let address = server.address;
        let writers = join_all((0..WRITERS).map(|n| write_until_killed(address, &scene.tenant, &admin, round + n)));
        let kill = async {
            // At another time each round.
            sleep(Duration::from_millis(100 + (round as u64 * 37) % 150)).await;
            server.kill().await
        };
        let (writers, killed) = tokio::join!(writers, kill);
        killed?;
        for (keys, counted) in writers {
            made.extend(keys);
            acknowledged.creates += counted.creates;
            acknowledged.rotations += counted.rotations;
            acknowledged.revocations += counted.revocations;
        }
    }
    let server = Server::instance(&scene.database, "after-kills", &[]).await?;
    let parts = made.chunks(made.len().div_ceil(8).max(1));
    let counts = parts.map(|part| count_lost(server.address, &scene.tenant, &admin, part));
    let lost = try_join_all(counts).await?.into_iter().sum();
    server.stop().await?;
    let in_doubt = made.iter().filter(|key| key.in_doubt).count();
    let Acknowledged { creates, rotations, revocations } = acknowledged;
    report.at_least(
        'e',
        format!("kill -9, {KILLS} times: acknowledged creates"),
        as_figure(creates),
        "",
        as_figure(KILLS),
    );
    report.info('e', "acknowledged rotations", as_figure(rotations), "");
    report.info('e', "acknowledged revocations", as_figure(revocations), "");
    report.never('e', "acknowledged changes that were lost", lost, "keys");
    report.info(
        'e',
        "keys with an unacknowledged change in flight, which may or may not have taken effect",
        as_figure(in_doubt),
        "",
    );
    report.never('e', "breaks of the audit trail's hash chain", usize::from(!chain_is_intact(scene).await?), "");
    report.info('e', "start → listening, at worst", slowest, "s");
    Ok(())
}

/// Creates keys, and rotates and revokes some of them, until the service is killed.
async fn write_until_killed(
    address: SocketAddr,
    tenant: &Tenant,
    admin: &str,
    turn: usize,
) -> (Vec<WrittenKey>, Acknowledged) {
    let (mut made, mut counted) = (Vec::new(), Acknowledged::default());
    let Ok(mut connection) = Connection::open(address).await else { return (made, counted) };
    let create = request("POST", API, tenant, admin, r#"{"name":"Created before a kill"}"#);
    loop {
        let Some(response) = send(&mut connection, &create, 201).await else { return (made, counted) };
        counted.creates += 1;
        let text = |name: &str| response[name].as_str().unwrap_or_default().to_owned();
        let mut key = WrittenKey { id: text("id"), current: Some(text("key")), ended: Vec::new(), in_doubt: true };
        let path = format!("{API}/{}", key.id);
        let turn = turn + counted.creates;
        if !turn.is_multiple_of(3) {
            let rotate = request("POST", &format!("{path}/rotate"), tenant, admin, r#"{"overlapSeconds":0}"#);
            let Some(response) = send(&mut connection, &rotate, 200).await else {
                made.push(key);
                return (made, counted);
            };
            counted.rotations += 1;
            key.ended.extend(key.current.replace(response["key"].as_str().unwrap_or_default().to_owned()));
        }
        if turn.is_multiple_of(2) {
            let revoke = request("DELETE", &path, tenant, admin, "");
            if send(&mut connection, &revoke, 204).await.is_none() {
                made.push(key);
                return (made, counted);
            }
            counted.revocations += 1;
            key.ended.extend(key.current.take());
        }
        key.in_doubt = false;
        made.push(key);
    }
}

/// The JSON of a response with the expected status.
async fn send(connection: &mut Connection, request: &str, status: u16) -> Option<Value> {
    let reply = connection.send(request).await.ok()?;
    (reply.status == status).then(|| serde_json::from_slice(&reply.body).unwrap_or_default())
}

async fn count_lost(address: SocketAddr, tenant: &Tenant, admin: &str, made: &[WrittenKey]) -> Outcome<usize> {
    let (mut connection, mut lost) = (Connection::open(address).await?, 0);
    for key in made {
        lost += usize::from(!matches_acknowledged(&mut connection, tenant, admin, key).await?);
    }
    Ok(lost)
}

async fn matches_acknowledged(
    connection: &mut Connection,
    tenant: &Tenant,
    admin: &str,
    key: &WrittenKey,
) -> Outcome<bool> {
    let reply = connection.send(&request("GET", &format!("{API}/{}", key.id), tenant, admin, "")).await?;
    let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status != 200 {
        return Ok(false);
    }
    if key.in_doubt {
        return Ok(true);
    }
    let mut right = found["isActive"] == key.current.is_some();
    let secrets = key.current.iter().map(|secret| (secret, 200)).chain(key.ended.iter().map(|secret| (secret, 401)));
    for (secret, status) in secrets {
        let header = format!("X-Api-Key: {secret}\r\n");
        right &= connection.send(&request("GET", "/forward-auth", tenant, &header, "")).await?.status == status;
    }
    Ok(right)
}

/// Runs `events verify`.
async fn chain_is_intact(scene: &Scene) -> Outcome<bool> {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_rally-api-keys"));
    verify.args(["events", "verify", "--tenant", scene.tenant.slug.as_str()]);
    verify.env_clear().env("DATABASE_URL", scene.database.url_text()).current_dir(scene.database.dir());
    let output = verify.stdin(Stdio::null()).output().await?;
    eprint!("e: {}", String::from_utf8_lossy(&output.stdout));
    Ok(output.status.success())
}

/// Ten instances start at the same time on an empty database.
pub async fn started_together(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    const NAME: &str = "empty";
    let database = &scene.database;
    store::create_database(&database.url_of("postgres"), NAME).await?;
    let url = database.url_text_of(NAME);
    let settings = [("DATABASE_URL", url.as_str())];
    let begun = Instant::now();
    let names: Vec<String> = (0..INSTANCES).map(|n| format!("together-{n}")).collect();
    let servers = try_join_all(names.iter().map(|name| Server::instance(database, name, &settings))).await?;
    let took = begun.elapsed().as_secs_f64();
    let mut tenants = TenantAdmin::connect(&database.url_of(NAME)).await?;
    let tenant = keys::tenant(&mut tenants, "together").await?;
    let admin = format!("Authorization: Bearer {}\r\n", token(&tenant, Scope::Admin)?);
    let mut serve = 0;
    for (n, server) in servers.iter().enumerate() {
        let mut connection = Connection::open(server.address).await?;
        let create = request("POST", API, &tenant, &admin, r#"{"name":"Created by one of ten"}"#);
        let response = send(&mut connection, &create, 201).await.ok_or("a create failed")?;
        let secret = Secret::parse(response["key"].as_str().unwrap_or_default().as_bytes()).ok_or("no secret")?;
        let id = rally_api_keys::domain::ApiKeyId::parse(response["id"].as_str().unwrap_or_default()).ok_or("no id")?;
        let key = Key { tenant, id, secret };
        // Another instance checks the key.
        let other = servers[(n + 1) % servers.len()].address;
        serve += usize::from(send_each(other, &crate::load::checks(&[key]), 200).await.is_ok());
    }
    for server in servers {
        server.stop().await?;
    }
    let what = format!("{INSTANCES} instances started at the same time on an empty database: instances that serve");
    report.at_least('f', what, as_figure(serve), "", as_figure(INSTANCES));
    report.at_most('f', "start → readyz says ready on all of them", took, "s", 30.0);
    Ok(())
}
