//! docs/deployment.md: the roles, the database and the first commands work as they are printed.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use crate::{
    harness::{JWT_SECRET, PEPPER, clean_up_afterwards, not_tested, scratch_dir},
    one_server::execute,
};

/// The first block in that language that contains the text.
fn printed(language: &str, part: &str) -> String {
    let page = include_str!("../../docs/deployment.md");
    let fence = format!("```{language}\n");
    let mut blocks = page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(part)).expect("a block with this text").to_owned()
}

/// Runs a program with the built one in its `PATH`.
fn run(dir: &Path, program: &str, arguments: &[&str]) -> Output {
    let built = Path::new(env!("CARGO_BIN_EXE_rally-api-keys")).parent().expect("a folder");
    let path = format!("{}:{}", built.display(), env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).env_clear().env("PATH", path).env("HOME", dir);
    command.env("JWT_SECRET", JWT_SECRET).env("KEY_PEPPER", PEPPER).output().expect("the program starts")
}

#[tokio::test]
async fn the_printed_roles_database_and_first_commands_work() {
    if Command::new("psql").arg("--version").output().is_err() {
        not_tested("psql is not in PATH");
        return;
    }
    let dir = scratch_dir("deployment-page");
    let mut cleaner = clean_up_afterwards(&dir);
    let server = local_postgres::start(&dir, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    let socket = server.socket_dir().to_str().unwrap();

    // The private server's own superuser is called rally_owner. The page's logins have to give their passwords.
    execute(&server, "CREATE ROLE superuser LOGIN SUPERUSER").await;
    let hba = "local all rally_owner,rally_api scram-sha-256";
    let change = format!("COPY (SELECT '{hba}') TO PROGRAM 'cat - pg_hba.conf > new; mv new pg_hba.conf'");
    execute(&server, &change).await;
    execute(&server, "SELECT pg_reload_conf()").await;
    let sql = printed("sql", "CREATE ROLE rally_owner");
    assert_eq!(sql.matches("'…'").count(), 2, "{sql}");
    let sql = sql.replacen("'…'", "'of-owner'", 1).replacen("'…'", "'of-service'", 1);
    fs::write(dir.join("printed.sql"), format!("ALTER ROLE rally_owner RENAME TO another;\n{sql}")).unwrap();
    let as_superuser = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--host", socket, "--username=superuser", "postgres"];
    let output = run(&dir, "psql", &[&as_superuser[..], &["--file=printed.sql"]].concat());
    assert!(output.status.success(), "{output:?}");

    let commands = printed("sh", "rally-api-keys migrate");
    let with = |owner: &str| {
        let address = format!("@localhost/rally?host={socket}");
        let commands = commands.replace("@db.internal:5432/rally?sslmode=verify-full", &address);
        let commands = commands.replace("rally_owner:…", &format!("rally_owner:{owner}"));
        let commands = commands.replace("rally_api:…", "rally_api:of-service");
        assert!(!commands.contains('…') && !commands.contains("db.internal"), "{commands}");
        commands
    };
    let wrong = run(&dir, "sh", &["-eu", "-c", &with("wrong")]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("password"), "{wrong:?}");
    let checked = format!("{}rally-api-keys tenant list\nrally-api-keys doctor", with("of-owner"));
    let output = run(&dir, "sh", &["-eu", "-c", &checked]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("\nacme "), "{said}");
    server.stop().await.unwrap();
    cleaner.wait().unwrap(); // closes its standard input
}
