//! What a start needs, and where settings come from: the demo's limits, `.env`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use crate::{
    binary::Home,
    harness::{JWT_SECRET, PEPPER},
};

const PRODUCTION: (&str, &str) = ("BASE_DOMAIN", "rallycrm.io");

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
    assert!(check.contains("KEY_PEPPER=private:[hidden]\n") && check.contains("JWT_SECRET=[hidden]\n"), "{check}");
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
