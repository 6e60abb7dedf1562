//! The wall clock of an instance jumps (by libfaketime), while PostgreSQL's does not.

use std::{fs, path::PathBuf, time::Duration};

use chrono::{TimeDelta, Utc};
use rally_api_keys::domain::Scope;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    Scene,
    load::{API, Load, by_admin, checks, count},
    report::Report,
    stand::{
        Outcome,
        client::{Connection, request, send_each},
        keys::token,
        server::Server,
    },
};

const PAUSE: Duration = Duration::from_millis(5);

/// An hour forward, back, and an hour back, as if the machine's clock were set by hand. Expiry follows the wall clock; the
/// lease, the change feed and timeouts do not.
pub async fn jumps(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let Some(library) = find_library() else {
        report.skip('j', "libfaketime is not installed (apt-get install faketime)");
        return Ok(());
    };
    let offset = scene.database.dir().join("clock");
    let set_clock = |text: &str| fs::write(&offset, text);
    set_clock("+0")?;
    let (library, file) = (library.display().to_string(), offset.display().to_string());
    let settings = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        // Setting a machine's clock changes the wall clock only.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let server = Server::instance(&scene.database, "clock", &settings).await?;
    let admin = format!("Authorization: Bearer {}\r\n", token(&scene.tenant, Scope::Admin)?);
    let mut client =
        Client { connection: Connection::open(server.address).await?, scene, admin, unexpected: Vec::new() };
    let end = (Utc::now() + TimeDelta::minutes(30)).format("%Y-%m-%dT%H:%M:%SZ");
    let short = client.create(&format!(r#"{{"name":"Ends in half an hour","expiresAt":"{end}"}}"#)).await?;
    let endless = client.create(r#"{"name":"Has no end"}"#).await?;
    let keys = &scene.keys[700..800];
    send_each(server.address, &checks(keys), 200).await?;
    let load = Load::start(server.address, checks(keys), 8, PAUSE);

    let mut wrong = 0;
    let mut checked = 0;
    for (jump, alive) in [("+0", true), ("+3600", false), ("+0", true), ("-3600", true), ("+0", true)] {
        set_clock(jump)?;
        sleep(Duration::from_millis(300)).await;
        wrong += usize::from(client.check(&short).await? != if alive { 200 } else { 401 });
        wrong += usize::from(client.check(&endless).await? != 200);
        checked += 2;
        // A key that is created at this time, and used, changed, rotated and revoked at another.
        let mut other = client.create(r#"{"name":"Made at another time"}"#).await?;
        for back in ["+0", jump] {
            set_clock(back)?;
            sleep(Duration::from_millis(100)).await;
            wrong += usize::from(client.check(&other).await? != 200);
            checked += 1;
            client.manage(&mut other).await?;
        }
        set_clock("+0")?;
        client.expect(204, "DELETE", &format!("{API}/{}", other.id), "").await?;
        wrong += usize::from(client.check(&other).await? != 401);
        checked += 1;
    }
    // Longer than the lease is valid without a heartbeat.
    set_clock("+3600")?;
    sleep(Duration::from_secs(6)).await;
    server.wait_until_ready().await?;
    set_clock("+0")?;
    let jumped = Instant::now();
    sleep(Duration::from_secs(6)).await;
    let degraded = !client.is_ready().await?;
    let lasted = jumped.elapsed();
    let samples = load.finish().await?;
    let unexpected = std::mem::take(&mut client.unexpected);
    server.stop().await?;
    // The stop writes all usage.
    let mut connection = scene.database.connect().await?;
    let counted: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(requests), 0)::bigint FROM api_key_usage WHERE key_id = ANY($1)")
            .bind(keys.iter().map(|key| key.id.0).collect::<Vec<_>>())
            .fetch_one(&mut connection)
            .await?;

    for response in &unexpected {
        eprintln!("j: {response}");
    }
    report.never(
        'j',
        format!("the clock jumps by an hour, forward and back, 6 times: checks that did not follow the wall clock, of {checked}"),
        wrong,
        "responses",
    );
    report.never(
        'j',
        format!("checks under load that failed, of {}", samples.len()),
        count(&samples, |sample| !sample.succeeded()),
        "responses",
    );
    report.never('j', "responses of the management API that a jump changed", unexpected.len(), "responses");
    report.never('j', format!("not ready {:.0} s after a jump", lasted.as_secs_f64()), usize::from(degraded), "");
    let sent = i64::try_from(samples.len() + keys.len())?;
    report.never(
        'j',
        format!("difference between requests sent and counted, of {sent}"),
        usize::try_from((sent - counted).abs())?,
        "",
    );
    Ok(())
}

struct CreatedKey {
    id: String,
    secret: String,
}

struct Client<'a> {
    connection: Connection,
    scene: &'a Scene,
    admin: String,
    /// Responses with an unexpected status.
    unexpected: Vec<String>,
}

impl Client<'_> {
    async fn create(&mut self, body: &str) -> Outcome<CreatedKey> {
        let reply = self.connection.send(&by_admin(self.scene, "POST", API, body)?).await?;
        if reply.status != 201 {
            return Err(format!("a create has status {}", reply.status).into());
        }
        let created: Value = serde_json::from_slice(&reply.body)?;
        let text = |name: &str| created[name].as_str().unwrap_or_default().to_owned();
        Ok(CreatedKey { id: text("id"), secret: text("key") })
    }

    async fn check(&mut self, key: &CreatedKey) -> Outcome<u16> {
        let header = format!("X-Api-Key: {}\r\n", key.secret);
        let reply = self.connection.send(&request("GET", "/forward-auth", &self.scene.tenant, &header, "")).await?;
        Ok(reply.status)
    }

    async fn expect(&mut self, status: u16, method: &str, path: &str, body: &str) -> Outcome<Value> {
        let reply = self.connection.send(&request(method, path, &self.scene.tenant, &self.admin, body)).await?;
        if reply.status != status {
            self.unexpected.push(format!("{method} {path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body)));
        }
        Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// Calls everything that reads or changes a key. It has another secret afterwards.
    async fn manage(&mut self, key: &mut CreatedKey) -> Outcome<()> {
        let path = format!("{API}/{}", key.id);
        self.expect(200, "GET", &path, "").await?;
        self.expect(200, "PATCH", &path, r#"{"scopes":"read,write"}"#).await?;
        self.expect(200, "PATCH", &path, r#"{"scopes":"read"}"#).await?;
        let rotated = self.expect(200, "POST", &format!("{path}/rotate"), r#"{"overlapSeconds":60}"#).await?;
        rotated["key"].as_str().unwrap_or_default().clone_into(&mut key.secret);
        self.expect(204, "DELETE", &format!("{path}/previous-secret"), "").await?;
        self.expect(200, "GET", &format!("{path}/usage?interval=hour"), "").await?;
        self.expect(200, "GET", &format!("{path}/events"), "").await?;
        self.expect(200, "GET", &format!("{API}?limit=10"), "").await?;
        Ok(())
    }

    async fn is_ready(&mut self) -> Outcome<bool> {
        let reply = self.connection.send(&request("GET", "/readyz", &self.scene.tenant, "", "")).await?;
        Ok(reply.status == 200 && reply.body.windows(7).any(|part| part == b"\"ready\""))
    }
}

fn find_library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files.chain(["/usr/local/lib/faketime/libfaketime.so.1".into()]).find(|file| file.is_file())
}
