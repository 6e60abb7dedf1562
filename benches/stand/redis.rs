//! A Redis on a loopback port, for rate limits that instances count together.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use tokio::{
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep},
};

use super::Outcome;

/// Ends the server when its stdin closes, which also happens when this process is killed.
const KEEPER: &str = r#"
    trap : INT TERM HUP
    redis-server --bind 127.0.0.1 --port "$0" --save "" --appendonly no >/dev/null &
    read -r _
    kill -TERM $! 2>/dev/null
    wait $!
"#;

/// A running server.
pub struct Redis {
    pub url: String,
    alive: ChildStdin,
    keeper: Child,
}

impl Redis {
    /// Needs `redis-server` in the PATH.
    pub async fn start(dir: &Path) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg(port.to_string()).current_dir(dir).stdin(Stdio::piped());
        let mut keeper = keeper.spawn()?;
        let alive = keeper.stdin.take().ok_or("the keeper has no stdin")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if Instant::now() > deadline {
                return Err("redis-server does not start; is it installed?".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), alive, keeper })
    }

    /// Stops it and waits.
    pub async fn stop(mut self) -> Outcome<()> {
        drop(self.alive);
        self.keeper.wait().await?;
        Ok(())
    }
}
