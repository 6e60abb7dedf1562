//! What the service tells systemd, and the unit file.

use std::{fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

use crate::{
    binary::Home,
    harness::{JWT_SECRET, PEPPER, TestDatabase, not_tested},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_of_readiness_of_life_and_of_a_stop() {
    let (database, home) = (TestDatabase::create().await, Home::new("systemd"));
    let path = home.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut message = [0; 100];
        let length = socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    };
    let url = database.url_text(None).await;
    let service = home.launch(&[
        ("DATABASE_URL", &url),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "200000"),
    ]);
    let service = service.listening().await;
    let mut seen = Vec::new();
    while seen.iter().filter(|message| *message == "WATCHDOG=1").count() < 3 || seen.iter().all(|m| m != "READY=1") {
        seen.push(next());
    }
    assert_eq!(seen.iter().filter(|message| *message == "READY=1").count(), 1, "{seen:?}");
    assert!(seen.iter().all(|message| ["READY=1", "WATCHDOG=1"].contains(&message.as_str())), "{seen:?}");
    service.signal("TERM").await;
    while next() != "STOPPING=1" {}
    let (status, log) = service.ended().await;
    assert!(status.success(), "{log}");
}

/// A start that fails tells no readiness; a service without systemd tells nobody anything.
#[tokio::test]
async fn systemd_is_not_told_of_a_start_that_fails() {
    let home = Home::new("systemd-fails");
    let path = home.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    home.fail(&["serve"], &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("DATABASE_URL", "postgres://u@h/d")]).await;
    assert!(socket.recv(&mut [0; 100]).is_err());
}

#[test]
fn the_unit_file_is_valid_and_waits_longer_than_the_grace() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/rally-api-keys.service");
    let text = fs::read_to_string(unit).unwrap();
    assert!(text.contains("\nType=notify\n"), "{text}");
    let seconds = text.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(seconds.parse::<u32>().unwrap() > 20, "the default of SHUTDOWN_GRACE_SECONDS is 20");
    // With the program of the tests, since systemd-analyze looks for it.
    let dir = crate::harness::scratch_dir("unit");
    let copy = dir.join("rally-api-keys.service");
    fs::write(&copy, text.replace("/usr/local/bin/rally-api-keys", env!("CARGO_BIN_EXE_rally-api-keys"))).unwrap();
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&copy).output() else {
        return not_tested("systemd-analyze is not installed");
    };
    let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<&str> = complaints.lines().filter(|line| line.contains("rally-api-keys")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{complaints}");
    fs::remove_dir_all(&dir).unwrap();
}
