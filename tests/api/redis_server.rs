//! A Redis for one test, on a loopback port.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use redis::{Client, FromRedisValue, aio::MultiplexedConnection};

use crate::harness::{free_address, not_tested, scratch_dir, wait_until};

pub struct RedisServer {
    pub address: SocketAddr,
    dir: PathBuf,
    options: Vec<String>,
    process: Child,
    /// Ends the server when this process ends, however it ends.
    cleaner: Child,
}

impl RedisServer {
    /// `None`, and said so: there is no Redis on this machine.
    pub async fn start(name: &str) -> Option<Self> {
        Self::with(name, &[]).await
    }

    /// Starts a server with additional options of its command line.
    pub async fn with(name: &str, options: &[&str]) -> Option<Self> {
        let mut server = Self::launch(name, options)?;
        server.wait().await;
        Some(server)
    }

    /// Like [`Self::with`], without waiting until it responds to plain connections.
    pub fn launch(name: &str, options: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            not_tested("redis-server is not installed");
            return None;
        }
        let (address, dir) = (free_address(), scratch_dir(&format!("redis-{name}")));
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = run(address, &dir, &options);
        let cleaner = clean_up_after(&process, &dir);
        Some(Self { address, dir, options, process, cleaner })
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Waits until it responds.
    async fn wait(&mut self) {
        wait_until(async || self.connect().await.is_some()).await;
    }

    async fn connect(&self) -> Option<MultiplexedConnection> {
        let mut connection = Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.ok()?;
        redis::cmd("PING").query_async::<String>(&mut connection).await.ok()?;
        Some(connection)
    }

    /// Runs a command, words separated by spaces.
    pub async fn query<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut query = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            query.arg(word);
        });
        let mut connection = self.connect().await.expect("the server responds");
        query.query_async(&mut connection).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// How often the script was called.
    pub async fn calls(&self) -> usize {
        let stats: String = self.query("INFO commandstats").await;
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// Sends a signal, such as STOP.
    pub fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([format!("-{signal}"), self.process.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts it again, at the same address, without its data.
    pub async fn restart(&mut self) {
        self.end_cleaner();
        self.process = run(self.address, &self.dir, &self.options);
        self.cleaner = clean_up_after(&self.process, &self.dir);
        self.wait().await;
    }

    /// The files of the next one are in the same folder.
    fn end_cleaner(&mut self) {
        let _ = self.cleaner.kill();
        let _ = self.cleaner.wait();
    }
}

fn run(address: SocketAddr, dir: &std::path::Path, options: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &address.port().to_string()])
        .args(options)
        .current_dir(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

fn clean_up_after(process: &Child, dir: &std::path::Path) -> Child {
    let script = r#"trap '' INT TERM HUP; read -r _; kill -KILL "$0" 2>/dev/null; rm -rf "$1""#;
    Command::new("sh")
        .args(["-c", script, &process.id().to_string()])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("sh starts")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.end_cleaner();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
