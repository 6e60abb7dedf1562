//! Commands of the program that are not about keys or tenants: the demo, completions, the manual.

use std::{fs, process::Command};

use crate::binary::Home;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_command_serves_on_a_private_database_and_refuses_another_one() {
    let home = Home::new("demo-command");
    let url = ("DATABASE_URL", "postgres://me@127.0.0.1:1/crm");
    let why = home.fail(&["demo"], &[url]).await;
    assert!(why.contains("DATABASE_URL is set") && why.contains("unset it"), "{why}");
    assert!(!home.data_dir().exists(), "{why}");
    let service = home.launch_by(&["demo"], &[("BASE_DOMAIN", "rallycrm.io")]).listening().await;
    service.printed("Stop with Ctrl-C").await;
    let (status, log) = service.terminate().await;
    assert!(status.success(), "{log}");
}

/// Whatever the settings are.
const BAD: (&str, &str) = ("LISTEN_ADDR", "nonsense");

#[tokio::test]
async fn completions_for_each_shell_name_every_command() {
    let home = Home::new("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.succeed(&["completions", shell], &[BAD]).await;
        for command in ["serve", "tenant", "suspend", "completions", "--external-id"] {
            assert!(script.contains(command.trim_start_matches('-')), "{command} for {shell}: {script}");
        }
        let file = home.dir().join(shell);
        fs::write(&file, script).unwrap();
        if shell == "bash" {
            // What bash offers after `rally-api-keys ten`.
            let ask = format!(
                "source {}; COMP_WORDS=(rally-api-keys ten); COMP_CWORD=1; set -- $(complete -p rally-api-keys); \
                 while [ \"$1\" != -F ]; do shift; done; $2 rally-api-keys ten rally-api-keys; echo \"${{COMPREPLY[@]}}\"",
                file.display()
            );
            let offered = Command::new("bash").args(["-c", &ask]).output().expect("bash");
            assert_eq!(String::from_utf8_lossy(&offered.stdout), "tenant\n", "{offered:?}");
        }
    }
}

#[tokio::test]
async fn the_manual_has_a_page_for_each_command() {
    let home = Home::new("manual");
    let page = home.succeed(&["man"], &[BAD]).await;
    assert!(page.contains(".TH rally-api-keys 1") && page.contains("Apply the database migrations"), "{page}");
    let folder = home.dir().join("man1");
    assert_eq!(home.succeed(&["man", folder.to_str().unwrap()], &[BAD]).await, "");
    for name in ["rally-api-keys", "rally-api-keys-migrate", "rally-api-keys-tenant-create"] {
        let page =
            fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
}
