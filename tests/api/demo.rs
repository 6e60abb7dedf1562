//! The real program with nothing configured: a private PostgreSQL, a demo tenant, and commands
//! to paste; and the command line beside it.

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

/// An account without a name, a home or any right.
const NOBODY: u32 = 65534;

/// What is printed for the person at the terminal.
struct Welcome {
    token: String,
    curls: Vec<String>,
}

impl Welcome {
    async fn of(service: &Service) -> Self {
        let text = service.printed("Stop with Ctrl-C").await;
        let url = format!("http://acme.localhost:{}", service.address.port());
        assert!(text.lines().any(|line| line.ends_with(&url)), "no {url} in {text}");
        let token = text.lines().skip_while(|line| !line.contains("JWT")).nth(1).expect("a token").to_owned();
        assert_eq!(token.split('.').count(), 3, "{text}");
        let curls = text.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect();
        assert!(!service.log().contains(&token), "the token is for the terminal, not for the log");
        Self { token, curls }
    }

    fn client(&self, service: &Service) -> Client {
        service.client("acme", Credential::Bearer(self.token.clone()))
    }
}

/// Pastes a command. None where there is no curl to paste it for.
async fn paste(command: &str) -> Option<Value> {
    let shell = |command: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        shell.stdin(Stdio::null()).kill_on_drop(true);
        shell
    };
    if !shell("command -v curl").output().await.unwrap().status.success() {
        eprintln!("SKIPPED: curl is not installed, so the printed commands are not tried out");
        return None;
    }
    let output = timeout(Duration::from_secs(20), shell(command).output()).await.expect("an answer").unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {command}: {output:?}")))
}

async fn names(client: &Client) -> Vec<String> {
    let list = client.get(PATH).await.expect(200);
    list.as_array().unwrap().iter().rev().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

/// Stops it, which must be in order, and its PostgreSQL with it.
async fn stop(home: &Home, service: Service) {
    let postgres = home.postgres().expect("a server");
    let (status, log) = service.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(home.postgres(), None, "PostgreSQL (process {postgres}) still runs: {log}");
    // It has said goodbye; its process may take a moment longer to go.
    wait_until(async || !runs(postgres)).await;
    assert!(log.contains("stopped") && !log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_kept() {
    let home = Home::new("demo");
    let service = home.serve(&[]).await;
    let first = Welcome::of(&service).await;
    assert_eq!(first.curls.len(), 3, "{:?}", first.curls);

    let created = paste(&first.curls[0]).await;
    if let Some(created) = &created {
        assert_eq!(created["name"], "Zapier Sync");
        assert_eq!(created["scopes"], "read,write");
        let secret = created["key"].as_str().unwrap();
        let by_key = first.client(&service).with_key(secret).get(&format!("{PATH}/self")).await;
        assert_eq!(by_key.expect(200)["createdBy"], "admin@acme.com");
        let list = paste(&first.curls[1]).await.unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["id"], created["id"]);
        let itself = paste(&first.curls[2]).await.unwrap();
        assert_eq!((&itself["name"], &itself["scopes"]), (&"ETL Pipeline".into(), &"read".into()));
    }
    let key = first.client(&service).create("Kept", "read").await;
    let kept = names(&first.client(&service)).await;
    for file in ["jwt-secret", "key-pepper"] {
        let mode = fs::metadata(home.data_dir().join(file)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    stop(&home, service).await;

    // As it was left, and the old token still holds; and so after a kill.
    for kill in [true, false] {
        let service = home.serve(&[]).await;
        assert_eq!(names(&first.client(&service)).await, kept);
        first.client(&service).with_key(&key.secret).get(PATH).await.expect(200);
        let again = Welcome::of(&service).await;
        assert_eq!(names(&again.client(&service)).await, kept);
        if kill {
            service.kill().await;
            assert!(home.postgres().is_some(), "a kill leaves PostgreSQL to the next start");
        } else {
            stop(&home, service).await;
        }
    }
}

/// The same as an ordinary user, without even a DATA_DIR. Where the tests run as one, all the
/// others show that already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_user_needs_no_more() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can run the program as somebody else");
        return;
    }
    let home = Home::of_user("ordinary", NOBODY);
    let service = home.serve(&[]).await;
    assert_eq!(service.user(), NOBODY);
    let postgres = home.postgres().expect("a server");
    assert_eq!(fs::metadata(format!("/proc/{postgres}")).unwrap().uid(), NOBODY);
    assert_eq!(fs::metadata(home.data_dir()).unwrap().mode() & 0o777, 0o700);
    let welcome = Welcome::of(&service).await;
    if let Some(created) = paste(&welcome.curls[0]).await {
        assert_eq!(created["name"], "Zapier Sync");
    }
    let key = welcome.client(&service).create("Kept", "read").await;
    stop(&home, service).await;
    let service = home.serve(&[]).await;
    welcome.client(&service).with_key(&key.secret).get(PATH).await.expect(200);
    stop(&home, service).await;
}

/// Two start on one new folder at once and share everything; the last to stop stops PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_share_a_folder() {
    let home = Home::new("two-instances");
    let (first, second) = (home.launch(&[]), home.launch(&[]));
    let (first, second) = tokio::join!(first.listening(), second.listening());
    assert_ne!(first.address, second.address);
    let welcome = Welcome::of(&first).await;
    let other_welcome = Welcome::of(&second).await;
    let key = welcome.client(&first).create("Shared", "admin").await;
    // Each knows the other's tokens, stamps and keys.
    assert_eq!(names(&welcome.client(&second)).await, ["Shared"]);
    assert_eq!(names(&other_welcome.client(&first)).await, ["Shared"]);
    let by_key = welcome.client(&second).with_key(&key.secret);
    by_key.get(PATH).await.expect(200);
    let unstamped = second.log().matches("wrote the stamp").count();
    assert_eq!(unstamped, 0, "both have the same pepper");

    let (status, log) = first.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(home.postgres().is_some(), "the other one still needs it");
    by_key.create("Alone", "read").await;
    assert_eq!(names(&by_key).await, ["Shared", "Alone"]);

    // And one that joins later.
    let third = home.serve(&[]).await;
    assert_eq!(names(&welcome.client(&third)).await, ["Shared", "Alone"]);
    stop_one_of_two(&home, second).await;
    welcome.client(&third).create("The third's", "read").await;
    stop(&home, third).await;
}

async fn stop_one_of_two(home: &Home, service: Service) {
    let (status, log) = service.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(home.postgres().is_some(), "the other one still needs it");
}

/// Waits until a request is answered so: a suspension is done by another process.
async fn becomes(client: &Client, status: u16) {
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
async fn the_command_line() {
    let home = Home::new("command-line");
    // Each command starts the private PostgreSQL, which does not even exist yet, and stops it.
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
    assert_eq!(lines[0], ["SLUG", "ID", "CREATED", "STATUS", "NAME"]);
    assert_eq!((lines[1][0], lines[1][3], lines[1][4]), ("acme", "active", "Acme"));
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
    becomes(&ada, 404).await;
    becomes(&ada.with_key(&key.secret), 404).await;
    assert!(home.succeed(&["tenant", "list"], &[]).await.contains("suspended"));
    assert_eq!(home.succeed(&["tenant", "resume", "beta"], &[]).await, "resumed tenant beta\n");
    becomes(&ada, 200).await;
    becomes(&ada.with_key(&key.secret), 200).await;

    let address = service.address.to_string();
    home.succeed(&["health"], &[("LISTEN_ADDR", &address)]).await;
    let everywhere = format!("0.0.0.0:{}", service.address.port());
    home.succeed(&["health"], &[("LISTEN_ADDR", &everywhere)]).await;
    assert!(home.postgres().is_some(), "the commands joined the service's PostgreSQL and left it running");
    stop(&home, service).await;
    let why = home.fail(&["health"], &[("LISTEN_ADDR", &address)]).await;
    assert!(why.contains(&address) && why.contains("not healthy"), "{why}");
}

/// Neither needs a database, nor makes one.
#[tokio::test]
async fn help_and_bad_settings() {
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
        assert!(!repeats && !why.contains("hunter2"), "{name}'s value is repeated: {why}");
    }
    // All at once, and misspelt names with what was meant.
    let why = home.fail(&["serve"], &[("KEY_PEPER", "p1:secret"), ("LISTEN_ADDR", "x"), ("LOG_FORMAT", "y")]).await;
    for word in ["KEY_PEPER", "KEY_PEPPER", "LISTEN_ADDR", "LOG_FORMAT"] {
        assert!(why.contains(word), "{word} in {why}");
    }
    assert!(!why.contains("p1:secret"), "{why}");
    let why = home.fail(&[], &[("DATABASE_URL", "postgres://me@127.0.0.1:1/crm")]).await;
    assert!(why.contains("JWT_SECRET"), "without the private PostgreSQL there is no kept secret: {why}");
    assert!(!home.data_dir().exists(), "nothing was made");
}
