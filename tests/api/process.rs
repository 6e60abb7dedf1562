//! The real program, in a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    client::{Client, Credential},
    harness::{JWT_SECRET, PEPPER, TestDatabase},
};

/// A running `rally-api-keys serve`, killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// Starts it on that database, and waits until it listens.
    pub async fn start(database: &TestDatabase, settings: &[(&str, &str)]) -> Self {
        let url = database.url_text(None).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_rally-api-keys"));
        command
            .env_clear()
            .envs([("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)])
            .envs([("LISTEN_ADDR", "127.0.0.1:0"), ("ARGON2_MEMORY_KIB", "8"), ("ARGON2_ITERATIONS", "1")])
            .envs(settings.iter().copied())
            .current_dir(std::env::temp_dir()) // where there is no `.env`
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (found, address) = mpsc::channel();
        // Reads on to the end, or the program would stop at a full pipe.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening address=") {
                    let address = rest.split_whitespace().next().and_then(|text| text.parse().ok());
                    let _ = found.send(address.expect("an address"));
                }
            }
        });
        let address = tokio::task::spawn_blocking(move || address.recv_timeout(Duration::from_secs(20)))
            .await
            .expect("no panic")
            .expect("a program that listens");
        Self { child, address }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, signal).expect("a process to signal");
    }

    /// A client of tenant acme with that key.
    pub fn with_key(&self, secret: &str) -> Client {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        let base = format!("http://{}", self.address);
        Client::new(http, base, "acme.localhost", Credential::ApiKey(secret.to_owned()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
