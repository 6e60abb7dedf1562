//! What a start needs, and where settings and secrets come from: the demo's limits, `.env`, files with secrets, core dumps.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::ExitStatusExt as _,
    },
};

use jsonwebtoken::Algorithm;

use crate::{
    binary::Home,
    client::Credential,
    harness::{JWT_SECRET, PEPPER, TestDatabase, sign},
    issuer::SigningKey,
};

const PRODUCTION: (&str, &str) = ("BASE_DOMAIN", "rallycrm.io");

/// As in `docker-compose.yml`.
const PUBLISHED_SECRET: &str = "only-for-trying-out-only-for-trying-out";
const PUBLISHED_PEPPER: &str = "demo:b25seS1mb3ItdHJ5aW5nLW91dC1vbmx5LWZvci10cnlpbmc=";

#[tokio::test]
async fn a_start_in_production_without_a_database_names_what_is_missing_and_creates_nothing() {
    let home = Home::new("production");
    for settings in
        [&[PRODUCTION][..], &[PRODUCTION, ("JWT_SECRET", JWT_SECRET)], &[PRODUCTION, ("KEY_PEPPER", PEPPER)]]
    {
        let output = home.run(&[], settings).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty(), "no token is printed: {output:?}");
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains("DATABASE_URL is not set") && why.contains("DATABASE_URL=postgres://"), "{why}");
        assert!(why.contains("--demo") && why.contains("rallycrm.io"), "{why}");
        for (missing, name) in [("JWT_ISSUER (or", "JWT_SECRET"), ("KEY_PEPPER is not set", "KEY_PEPPER")] {
            let is_set = settings.iter().any(|(set, _)| *set == name);
            assert_eq!(why.contains(missing), !is_set, "{missing}: {why}");
        }
        assert!(home.fail(&["config", "check"], settings).await.contains("DATABASE_URL is not set"));
    }
    for command in [
        &["tenant", "list"][..],
        &["tenant", "create", "acme"],
        &["migrate"],
        &["events", "export", "--tenant", "acme"],
        &["keys", "list", "--tenant", "acme"],
    ] {
        assert!(home.fail(command, &[PRODUCTION]).await.contains("DATABASE_URL is not set"), "{command:?}");
    }
    assert!(!home.data_dir().exists());
    let why = home.fail(&["serve"], &[PRODUCTION, ("DATABASE_URL", "postgres://me@127.0.0.1:1/crm")]).await;
    assert!(why.contains("JWT_ISSUER (or") && !why.contains("DATABASE_URL is not set"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_runs_under_another_base_domain_only_with_its_option() {
    let home = Home::new("demo-option");
    let created = home.succeed(&["tenant", "create", "beta", "--demo"], &[PRODUCTION]).await;
    assert!(created.starts_with("created tenant beta"), "{created}");
    assert!(home.succeed(&["--demo", "tenant", "list"], &[PRODUCTION]).await.contains("beta"));
    // The private database that is there now is not used by mistake either.
    assert!(home.fail(&["tenant", "list"], &[PRODUCTION]).await.contains("DATABASE_URL is not set"));
    assert!(home.fail(&["serve"], &[PRODUCTION]).await.contains("DATABASE_URL is not set"));
    assert_eq!(home.postgres(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_read_create_no_database_and_use_an_existing_one() {
    let home = Home::new("reads");
    let token = ["token", "--tenant", "acme", "--email", "a@b.c", "--scopes", "read"];
    let reads = [
        &["tenant", "list"][..],
        &["tenant", "suspend", "acme"],
        &["tenant", "resume", "acme"],
        &["events", "verify", "--tenant", "acme"],
        &["events", "export", "--tenant", "acme"],
        &["keys", "list", "--tenant", "acme"],
    ];
    for command in reads {
        let why = home.fail(command, &[]).await;
        assert!(why.contains("DATABASE_URL is not set, and there is no private PostgreSQL in"), "{command:?}: {why}");
    }
    assert!(home.fail(&token, &[]).await.contains("JWT_SECRET is not set"));
    let doctor = String::from_utf8(home.run(&["doctor"], &[]).await.stdout).unwrap();
    assert!(doctor.contains("FAIL  database: DATABASE_URL is not set, and there is no private"), "{doctor}");
    let check = home.succeed(&["config", "check"], &[]).await;
    assert!(check.contains("KEY_PEPPER=\n"), "{check}");
    assert!(!home.data_dir().exists());

    home.succeed(&["tenant", "create", "acme"], &[]).await;
    for command in reads {
        home.succeed(command, &[]).await;
    }
    home.succeed(&token, &[]).await;
    let check = home.succeed(&["config", "check"], &[("KEY_FALLBACK", "deny")]).await;
    assert!(check.contains("KEY_PEPPER=private:[hidden]  # kept in DATA_DIR\n"), "{check}");
    assert!(check.contains("JWT_SECRET=[hidden]  # kept in DATA_DIR\n"), "{check}");
    let doctor = String::from_utf8(home.run(&["doctor"], &[]).await.stdout).unwrap();
    assert!(doctor.contains("ok    migrations: all are applied"), "{doctor}");
    assert_eq!(home.postgres(), None, "each command stops the server again");
}

#[tokio::test]
async fn env_file_counts_unless_others_can_write_it() {
    let home = Home::new("env-file");
    let file = home.dir().join(".env");
    fs::write(&file, "BASE_DOMAIN=env.example\nJWT_SECRET=hunter2-hunter2-hunter2-hunter2-hunter2\n").unwrap();
    let url = ("DATABASE_URL", "postgres://u@h/d");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(home.succeed(&["config", "check"], &[url]).await.contains("BASE_DOMAIN=env.example\n"));
    fs::set_permissions(&file, Permissions::from_mode(0o602)).unwrap();
    let why = home.fail(&["config", "check"], &[url]).await;
    assert!(why.contains(".env is refused") && why.contains("mode 0602") && !why.contains("hunter2"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_without_effect_are_warned_of_and_a_filter_that_silences_the_log_is_refused() {
    let (database, home) = (TestDatabase::create().await, Home::new("mistaken-names"));
    let url = database.url_text(None).await;
    let mistaken = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("LOG_LEVEL", "debug"),
        ("TRUSTED_PROXY", "10.0.0.1"),
        ("CORS_ORIGINS", "https://app.example"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        // LISTEN_ADDR is set by the test, so that this one changes nothing.
        ("PORT", "8080"),
    ];
    let named = |text: &str| {
        ["LOG_LEVEL is", "TRUSTED_PROXY is", "CORS_ORIGINS is", "OTEL_EXPORTER_OTLP_PROTOCOL has", "PORT is"]
            .map(|name| text.contains(name))
    };
    let service = home.serve(&mistaken).await;
    assert_eq!(named(&service.log()), [true, true, true, true, false], "{}", service.log());
    assert!(service.log().contains("no effect: set TRUSTED_PROXIES"), "{}", service.log());
    let doctor = String::from_utf8(home.run(&["doctor"], &mistaken).await.stdout).unwrap();
    assert_eq!(named(&doctor), [true; 5], "{doctor}");
    assert!(doctor.contains("WARN  settings: PORT is not a setting"), "{doctor}");

    for (filter, problem) in [("inof", "did you mean info?"), ("sqlx=debug", "would silence the service")] {
        let why = home.fail(&["config", "check"], &[("RUST_LOG", filter)]).await;
        assert!(why.contains("RUST_LOG ") && why.contains(problem), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_from_files() {
    let (database, home) = (TestDatabase::create().await, Home::new("secret-files"));
    let file = |name: &str, text: &str| {
        let path = home.dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let url = file("url", &format!("{}\n", database.url_text(None).await));
    let (secret, pepper) = (file("secret", &format!("{JWT_SECRET}\n")), file("pepper", &format!("{PEPPER}\r\n")));
    let next = file("next", "next:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    let settings = [
        ("DATABASE_URL_FILE", url.as_str()),
        ("DATABASE_DIRECT_URL_FILE", &url),
        ("JWT_SECRET_FILE", &secret),
        ("KEY_PEPPER_FILE", &pepper),
        ("KEY_PEPPER_NEXT_FILE", &next),
        ("KEY_FALLBACK", "deny"),
    ];
    let service = home.serve(&settings).await;
    let claims = serde_json::json!({"sub": "1", "tenant": "acme", "scope": "admin", "exp": 4_000_000_000_u32});
    let key = service.client("acme", Credential::Bearer(sign(&claims))).create("From files", "read").await;
    let stamped = database.texts(&format!("SELECT pepper_id FROM api_key_secrets WHERE key_id = '{}'", key.id)).await;
    assert_eq!(stamped, ["test"]);
    assert!(!service.log().contains("_FILE"), "nothing to warn of: {}", service.log());
    let check = home.succeed(&["config", "check"], &settings).await;
    assert!(check.contains(&format!("KEY_PEPPER_FILE={pepper}\n")) && check.contains("KEY_PEPPER=test:[hidden]\n"));

    let both = home.fail(&[], &[&settings[..], &[("JWT_SECRET", JWT_SECRET)]].concat()).await;
    assert!(both.contains("JWT_SECRET_FILE must not be set where JWT_SECRET is set too"), "{both}");
    let bad = file("bad", "p1:hunter2");
    for (name, value, problem) in [
        ("KEY_PEPPER_FILE", bad.as_str(), "KEY_PEPPER_FILE holds a KEY_PEPPER that must be"),
        ("JWT_SECRET_FILE", &bad, "JWT_SECRET_FILE holds a JWT_SECRET that must be 32 bytes or more"),
        ("JWT_SECRET_FILE", &file("empty", "\n"), "JWT_SECRET_FILE names an empty file"),
        // The secret itself instead of a path.
        ("KEY_PEPPER_FILE", "p1:hunter2", "KEY_PEPPER_FILE cannot be read: No such file"),
    ] {
        let why = home.fail(&["config", "check"], &[(name, value)]).await;
        assert!(why.contains(problem) && !why.contains("hunter2"), "{why}");
    }
}

/// The database's URL is in a volume as Kubernetes mounts it, of which there is nothing to warn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_others_may_replace_are_warned_of_at_the_start_and_by_doctor() {
    let (database, home) = (TestDatabase::create().await, Home::new("replaceable-files"));
    let allow = |name: &str, mode| fs::set_permissions(home.dir().join(name), Permissions::from_mode(mode)).unwrap();
    let file = |name: &str, text: &str, mode| {
        fs::write(home.dir().join(name), text).unwrap();
        allow(name, mode);
        home.dir().join(name).to_str().unwrap().to_owned()
    };
    fs::create_dir_all(home.dir().join("volume/..2026_01")).unwrap();
    fs::create_dir_all(home.dir().join("open")).unwrap();
    file("volume/..2026_01/url", &database.url_text(None).await, 0o440);
    symlink("..2026_01", home.dir().join("volume/..data")).unwrap();
    symlink("..data/url", home.dir().join("volume/url")).unwrap();
    allow("volume", 0o1777);
    let url = home.dir().join("volume/url").to_str().unwrap().to_owned();
    let key = SigningKey::generate("k", Algorithm::ES256);
    let (public_key, pepper) = (file("key.pem", &key.public_pem, 0o666), file("open/pepper", PEPPER, 0o400));
    allow("open", 0o777);
    let settings =
        [("DATABASE_URL_FILE", url.as_str()), ("JWT_PUBLIC_KEY_FILE", &public_key), ("KEY_PEPPER_FILE", &pepper)];
    let service = home.serve(&settings).await;
    let doctor = String::from_utf8(home.run(&["doctor"], &settings).await.stdout).unwrap();
    for text in [service.log(), doctor] {
        for (name, place) in [("JWT_PUBLIC_KEY_FILE", "key.pem (mode 0666)"), ("KEY_PEPPER_FILE", "open (mode 0777)")] {
            let warned = |line: &str| line.contains(&format!("{name} names")) && line.contains(place);
            assert!(text.lines().any(warned), "{name}: {text}");
        }
        assert!(!text.contains("DATABASE_URL_FILE"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsafe_secrets_are_warned_of_at_the_start_and_by_doctor() {
    let (database, home) = (TestDatabase::create().await, Home::new("unsafe-secrets"));
    let url = database.url_text(None).await.replacen('@', ":only-for-trying-out@", 1);
    let file = home.dir().join("secret");
    fs::write(&file, PUBLISHED_SECRET).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let local =
        [("DATABASE_URL", url.as_str()), ("JWT_SECRET_FILE", file.to_str().unwrap()), ("KEY_PEPPER", PUBLISHED_PEPPER)];
    let warnings = |text: &str| {
        let named =
            ["DATABASE_URL", "JWT_SECRET", "KEY_PEPPER"].map(|name| format!("{name} holds a secret that is published"));
        (
            named.map(|named| text.contains(&named)),
            text.contains("JWT_SECRET_FILE names ") && text.contains("(mode 0644)"),
        )
    };
    let service = home.serve(&local).await;
    assert_eq!(warnings(&service.log()), ([false; 3], true), "{}", service.log());
    let production = [&local[..], &[PRODUCTION]].concat();
    let service = home.serve(&production).await;
    assert_eq!(warnings(&service.log()), ([true; 3], true), "{}", service.log());
    let doctor = String::from_utf8(home.run(&["doctor"], &production).await.stdout).unwrap();
    assert_eq!(warnings(&doctor), ([true; 3], true), "{doctor}");
    assert_eq!(doctor.lines().filter(|line| line.starts_with("FAIL  settings: ")).count(), 4, "{doctor}");
    for text in [service.log(), doctor] {
        assert!(!text.contains("only-for-trying-out"), "{text}");
    }
}

/// A process that may leave a core dump is the negative control.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_no_core_dump_unless_they_are_allowed() {
    let (database, home) = (TestDatabase::create().await, Home::new("core-dumps"));
    let url = database.url_text(None).await;
    let mut dumped = Vec::new();
    for setting in ["", "deny", "allow"] {
        let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("CORE_DUMPS", setting)];
        let service = home.launch_under("-c unlimited", &settings).listening().await;
        service.signal("ABRT").await;
        let (status, _) = service.ended().await;
        assert_eq!(status.signal(), Some(6));
        dumped.push(status.core_dumped());
    }
    assert_eq!(dumped[..2], [false, false]);
    if !dumped[2] {
        eprintln!("SKIPPED: this machine writes no core dumps (ulimit -Hc, kernel.core_pattern)");
    }
}
