//! The program without any configuration: a private PostgreSQL, a demo tenant and printed example
//! commands; and the command line.

use std::{fs, os::unix::fs::MetadataExt as _, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::{
    binary::{Home, Service, runs},
    client::{Client, Credential, PATH},
    harness::wait_until,
};

/// The uid of an account without a home directory or privileges.
const NOBODY: u32 = 65534;

/// The text that the program prints to the terminal at start.
struct Welcome {
    token: String,
    curls: Vec<String>,
}

impl Welcome {
    async fn read(service: &Service) -> Self {
        let text = service.printed("Stop with Ctrl-C").await;
        let url = format!("http://acme.localhost:{}", service.address.port());
        assert!(text.lines().any(|line| line.ends_with(&url)), "no {url} in {text}");
        let token = text.lines().skip_while(|line| !line.contains("JWT")).nth(1).expect("a token").to_owned();
        assert_eq!(token.split('.').count(), 3, "{text}");
        assert!(text.contains("/etc/hosts"), "{text}");
        let curls = text.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect();
        assert!(!service.log().contains(&token), "the log must not contain the token");
        Self { token, curls }
    }

    fn client(&self, service: &Service) -> Client {
        service.client("acme", Credential::Bearer(self.token.clone()))
    }
}

/// Runs a printed command. `None` if curl is not installed.
async fn run_printed_command(command: &str) -> Option<Value> {
    let shell = |command: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        shell.stdin(Stdio::null()).kill_on_drop(true);
        shell
    };
    if !shell("command -v curl").output().await.unwrap().status.success() {
        eprintln!("SKIPPED: curl is not installed, so the printed commands are not tested");
        return None;
    }
    let output = timeout(Duration::from_secs(20), shell(command).output()).await.expect("a response").unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {command}: {output:?}")))
}

async fn key_names(client: &Client) -> Vec<String> {
    let list = client.get(PATH).await.expect(200);
    list.as_array().unwrap().iter().rev().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

/// Stops the service and checks that it exits without errors and stops its PostgreSQL.
async fn stop_cleanly(home: &Home, service: Service) {
    let postgres = home.postgres().expect("a running PostgreSQL");
    let (status, log) = service.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(home.postgres(), None, "PostgreSQL (process {postgres}) still runs: {log}");
    // The pid file is gone; the process may take a moment longer to exit.
    wait_until(async || !runs(postgres)).await;
    assert!(log.contains("stopped") && !log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_data_and_tokens_survive_a_restart() {
    let home = Home::new("demo");
    let service = home.serve(&[]).await;
    let first = Welcome::read(&service).await;
    assert_eq!(first.curls.len(), 3, "{:?}", first.curls);

    let created = run_printed_command(&first.curls[0]).await;
    if let Some(created) = &created {
        assert_eq!(created["name"], "Zapier Sync");
        assert_eq!(created["scopes"], "read,write");
        let secret = created["key"].as_str().unwrap();
        let by_key = first.client(&service).with_key(secret).get(&format!("{PATH}/self")).await;
        assert_eq!(by_key.expect(200)["createdBy"], "admin@acme.com");
        let list = run_printed_command(&first.curls[1]).await.unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["id"], created["id"]);
        let itself = run_printed_command(&first.curls[2]).await.unwrap();
        assert_eq!((&itself["name"], &itself["scopes"]), (&"ETL Pipeline".into(), &"read".into()));
    }
    let key = first.client(&service).create("Kept", "read").await;
    let key_names_before = key_names(&first.client(&service)).await;
    for file in ["jwt-secret", "key-pepper"] {
        let mode = fs::metadata(home.data_dir().join(file)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    stop_cleanly(&home, service).await;

    // Data, keys and the old token stay valid after a stop and after a kill.
    for kill in [true, false] {
        let service = home.serve(&[]).await;
        assert_eq!(key_names(&first.client(&service)).await, key_names_before);
        first.client(&service).with_key(&key.secret).get(PATH).await.expect(200);
        let again = Welcome::read(&service).await;
        assert_eq!(key_names(&again.client(&service)).await, key_names_before);
        if kill {
            service.kill().await;
            assert!(home.postgres().is_some(), "PostgreSQL keeps running after a kill, for the next start");
        } else {
            stop_cleanly(&home, service).await;
        }
    }
}

/// Also without a DATA_DIR. If the tests do not run as root, the other tests cover this case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_runs_as_an_unprivileged_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can run the program as another user");
        return;
    }
    let home = Home::of_user("ordinary", NOBODY);
    let service = home.serve(&[]).await;
    assert_eq!(service.user(), NOBODY);
    let postgres = home.postgres().expect("a running PostgreSQL");
    assert_eq!(fs::metadata(format!("/proc/{postgres}")).unwrap().uid(), NOBODY);
    assert_eq!(fs::metadata(home.data_dir()).unwrap().mode() & 0o777, 0o700);
    let welcome = Welcome::read(&service).await;
    if let Some(created) = run_printed_command(&welcome.curls[0]).await {
        assert_eq!(created["name"], "Zapier Sync");
    }
    let key = welcome.client(&service).create("Kept", "read").await;
    stop_cleanly(&home, service).await;
    let service = home.serve(&[]).await;
    welcome.client(&service).with_key(&key.secret).get(PATH).await.expect(200);
    stop_cleanly(&home, service).await;
}

/// Two instances start at once on a new data directory and share PostgreSQL, JWT secret and pepper.
/// The last one to stop also stops PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_share_a_data_directory() {
    let home = Home::new("two-instances");
    let (first, second) = (home.launch(&[]), home.launch(&[]));
    let (first, second) = tokio::join!(first.listening(), second.listening());
    assert_ne!(first.address, second.address);
    let welcome = Welcome::read(&first).await;
    let other_welcome = Welcome::read(&second).await;
    let key = welcome.client(&first).create("Shared", "admin").await;
    // Each accepts the other's tokens, stamps and keys.
    assert_eq!(key_names(&welcome.client(&second)).await, ["Shared"]);
    assert_eq!(key_names(&other_welcome.client(&first)).await, ["Shared"]);
    let by_key = welcome.client(&second).with_key(&key.secret);
    by_key.get(PATH).await.expect(200);
    let unstamped = second.log().matches("wrote the stamp").count();
    assert_eq!(unstamped, 0, "both instances must use the same pepper");

    let (status, log) = first.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(home.postgres().is_some(), "PostgreSQL must run on for the other instance");
    by_key.create("Alone", "read").await;
    assert_eq!(key_names(&by_key).await, ["Shared", "Alone"]);

    // A third instance joins later.
    let third = home.serve(&[]).await;
    assert_eq!(key_names(&welcome.client(&third)).await, ["Shared", "Alone"]);
    stop_one_of_two(&home, second).await;
    welcome.client(&third).create("The third's", "read").await;
    stop_cleanly(&home, third).await;
}

async fn stop_one_of_two(home: &Home, service: Service) {
    let (status, log) = service.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(home.postgres().is_some(), "PostgreSQL must run on for the other instance");
}

/// Waits up to 2 s for this status: another process changes the tenant.
async fn wait_for_status(client: &Client, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let reply = client.get(PATH).await;
        if reply.status.as_u16() == status {
            break;
        }
        assert!(Instant::now() < deadline, "{reply:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_manage_tenants_and_tokens_beside_a_running_service() {
    let home = Home::new("command-line");
    // Without a running service, a command creates and starts the private PostgreSQL, and stops it again.
    let created = home.succeed(&["tenant", "create", "beta", "--name", "Beta Ltd"], &[]).await;
    let id = created.trim().strip_prefix("created tenant beta (").and_then(|rest| rest.strip_suffix(')'));
    let id: uuid::Uuid = id.unwrap_or_else(|| panic!("{created}")).parse().unwrap();
    assert_eq!(home.postgres(), None);

    let service = home.serve(&[]).await;
    assert_eq!(home.succeed(&["migrate"], &[]).await, "");
    let why = home.fail(&["tenant", "create", "beta"], &[]).await;
    assert_eq!(why, "tenant beta already exists\n");
    let why = home.fail(&["tenant", "create", "Not a slug"], &[]).await;
    assert!(why.starts_with("the tenant's slug "), "{why}");
    let why = home.fail(&["tenant", "suspend", "gamma"], &[]).await;
    assert!(why.starts_with("there is no tenant gamma"), "{why}");

    let list = home.succeed(&["tenant", "list"], &[]).await;
    let lines: Vec<_> = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert_eq!(lines[0], ["SLUG", "ID", "CREATED", "STATUS", "EXTERNAL-ID", "NAME"]);
    assert_eq!((lines[1][0], lines[1][3], lines[1][4], lines[1][5]), ("acme", "active", "-", "Acme"));
    assert_eq!((lines[2][0], lines[2][1].parse(), lines[2][3]), ("beta", Ok(id), "active"));
    assert!(list.trim_end().ends_with("Beta Ltd"), "{list}");

    let args = ["token", "--tenant", "beta", "--email", "ada@beta.com", "--scopes", "admin", "--ttl", "10m"];
    let token = home.succeed(&args, &[]).await.trim().to_owned();
    let ada = service.client("beta", Credential::Bearer(token.clone()));
    let key = ada.create("By Ada", "read").await;
    assert_eq!(ada.get(&key.path()).await.expect(200)["createdBy"], "ada@beta.com");
    service.client("acme", Credential::Bearer(token)).get(PATH).await.refused(403, "wrong_tenant");
    let args = ["token", "--tenant", "beta", "--email", "bob@beta.com", "--scopes", "read"];
    let token = home.succeed(&args, &[]).await.trim().to_owned();
    let bob = service.client("beta", Credential::Bearer(token));
    bob.get(PATH).await.expect(200);
    bob.delete(&key.path()).await.refused(403, "insufficient_scope");

    assert_eq!(home.succeed(&["tenant", "suspend", "beta"], &[]).await, "suspended tenant beta\n");
    wait_for_status(&ada, 404).await;
    wait_for_status(&ada.with_key(&key.secret), 404).await;
    assert!(home.succeed(&["tenant", "list"], &[]).await.contains("suspended"));
    assert_eq!(home.succeed(&["tenant", "resume", "beta"], &[]).await, "resumed tenant beta\n");
    wait_for_status(&ada, 200).await;
    wait_for_status(&ada.with_key(&key.secret), 200).await;

    let address = service.address.to_string();
    home.succeed(&["health"], &[("LISTEN_ADDR", &address)]).await;
    let everywhere = format!("0.0.0.0:{}", service.address.port());
    home.succeed(&["health"], &[("LISTEN_ADDR", &everywhere)]).await;
    assert!(home.postgres().is_some(), "the commands must leave the service's PostgreSQL running");
    stop_cleanly(&home, service).await;
    let why = home.fail(&["health"], &[("LISTEN_ADDR", &address)]).await;
    assert!(why.contains(&address) && why.contains("not healthy"), "{why}");
}

#[tokio::test]
async fn help_and_invalid_settings_need_no_database() {
    let home = Home::new("settings");
    let help = home.succeed(&["--help"], &[]).await;
    for word in ["serve", "migrate", "tenant", "token", "health", ".env.example"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    for args in [["tenant", "--help"], ["token", "--help"], ["migrate", "--help"]] {
        home.succeed(&args, &[]).await;
    }
    let version = home.succeed(&["--version"], &[]).await;
    assert_eq!(version, format!("rally-api-keys {}\n", env!("CARGO_PKG_VERSION")));

    for (name, value, hint) in [
        ("LISTEN_ADDR", "nonsense", "IP address and a port"),
        ("HTTP_MAX_CONNECTIONS", "0", "from 1 to"),
        ("JWT_SECRET", "too-short-and-secret", "32 bytes"),
        ("KEY_PEPPER", "p1:bm90LWxvbmc=", "32 bytes"),
        ("DATABASE_URL", "mysql://root:hunter2@db/crm", "postgres://"),
        ("DATABASE_URL", "postgres://root:hunter2@db:port/crm", "URL"),
        ("RUST_LOG", "rally=loud", "log filter"),
        ("LOG_FORMAT", "xml", "json"),
    ] {
        let why = home.fail(&[], &[(name, value)]).await;
        assert!(why.contains(name) && why.contains(hint), "{name}={value}: {why}");
        let repeats = ["JWT_SECRET", "KEY_PEPPER", "DATABASE_URL"].contains(&name) && why.contains(value);
        assert!(!repeats && !why.contains("hunter2"), "the error repeats the value of {name}: {why}");
    }
    // One error lists all problems, and suggests the correct name for a misspelt one.
    let why = home.fail(&["serve"], &[("KEY_PEPER", "p1:secret"), ("LISTEN_ADDR", "x"), ("LOG_FORMAT", "y")]).await;
    for word in ["KEY_PEPER", "KEY_PEPPER", "LISTEN_ADDR", "LOG_FORMAT"] {
        assert!(why.contains(word), "{word} in {why}");
    }
    assert!(!why.contains("p1:secret"), "{why}");
    let why = home.fail(&[], &[("DATABASE_URL", "postgres://me@127.0.0.1:1/crm")]).await;
    assert!(why.contains("JWT_SECRET"), "with a DATABASE_URL, JWT_SECRET is required: {why}");
    assert!(!home.data_dir().exists(), "the data directory must not be created");
}
