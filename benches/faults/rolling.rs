//! A rolling deployment: instances behind nginx are replaced under load.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    Scene,
    load::{API, Load, Sample, by_admin, checks, count, lost, p99},
    report::{Report, as_figure},
    stand::{Outcome, server::Server},
};

const REPLACEMENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

/// Two instances behind nginx are stopped by SIGTERM and started again in turn. With the drain, no request fails; without
/// it, some may.
pub async fn replaced(scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    let Some(program) = find_nginx() else {
        report.skip('g', "nginx is not installed (apt-get install nginx-light)");
        return Ok(());
    };
    let Deployment { checked, created, slowest, took } = deploy(scene, &program, "2").await?;
    let failed = |samples: &[_]| count(samples, |sample: &Sample| !sample.succeeded());
    let what = format!(
        "{REPLACEMENTS} replacements of instances behind nginx in {:.0} s, by SIGTERM: checks that failed, of {}",
        took.as_secs_f64(),
        checked.len()
    );
    report.never('g', what, failed(&checked), "responses");
    report.never('g', format!("creates that failed, of {}", created.len()), failed(&created), "responses");
    report.never('g', "acknowledged creates that were lost", lost(scene, &created).await?, "keys");
    report.at_most('g', "SIGTERM → end of the process, with a drain of 2 s", slowest.as_secs_f64(), "s", 10.0);
    report.info('g', "checks through nginx meanwhile, p99", p99(&checked, |_| true), "ms");
    let Deployment { checked, created, .. } = deploy(scene, &program, "0").await?;
    let what = format!("the same without a drain: requests that failed, of {}", checked.len() + created.len());
    report.info('g', what, as_figure(failed(&checked) + failed(&created)), "responses");
    Ok(())
}

struct Deployment {
    checked: Vec<Sample>,
    created: Vec<Sample>,
    /// The longest stop.
    slowest: Duration,
    took: Duration,
}

async fn deploy(scene: &Scene, nginx: &Path, drain: &str) -> Outcome<Deployment> {
    let mut servers = Vec::new();
    for n in 0..2 {
        servers.push(start(scene, n, "127.0.0.1:0", drain).await?);
    }
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let gateway = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nginx = start_nginx(nginx, scene.database.dir(), gateway, &addresses).await?;

    let create = by_admin(scene, "POST", API, r#"{"name":"Created during a deployment"}"#)?;
    let checking = Load::start(gateway, checks(&scene.keys[400..500]), 16, PAUSE);
    let creating = Load::start(gateway, vec![create], 4, PAUSE);
    let (mut slowest, begun) = (Duration::ZERO, Instant::now());
    for replacement in 0..REPLACEMENTS {
        sleep(Duration::from_millis(500)).await;
        let stopping = Instant::now();
        servers.remove(0).stop().await?;
        slowest = slowest.max(stopping.elapsed());
        let n = replacement % 2;
        servers.push(start(scene, n, &addresses[n].to_string(), drain).await?);
    }
    sleep(Duration::from_millis(500)).await;
    let took = begun.elapsed();
    let (checked, created) = (checking.finish().await?, creating.finish().await?);
    drop(nginx);
    for server in servers {
        server.stop().await?;
    }
    Ok(Deployment { checked, created, slowest, took })
}

async fn start(scene: &Scene, n: usize, address: &str, drain: &str) -> Outcome<Server> {
    let settings = [("LISTEN_ADDR", address), ("SHUTDOWN_DRAIN_SECONDS", drain)];
    Server::instance(&scene.database, &format!("rolling-{n}"), &settings).await
}

fn find_nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

/// With persistent connections, as in the documented gateway. nginx sends a request that an upstream does not accept to
/// the next one. `max_fails=0`: by default, nginx excludes an upstream for 10 s after a failure, and meanwhile the other
/// one is replaced too.
async fn start_nginx(program: &Path, dir: &Path, at: SocketAddr, upstreams: &[SocketAddr]) -> Outcome<Child> {
    let dir = dir.join("nginx");
    fs::create_dir_all(&dir)?;
    let shown = dir.display();
    let servers =
        upstreams.iter().map(|address| format!("server {address} max_fails=0; ")).collect::<Vec<_>>().concat();
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders: String = folders.map(|name| format!("{name}_temp_path {shown}/{name};\n")).concat();
    let config = format!(
        "pid {shown}/pid; error_log {shown}/error.log; daemon off; master_process off;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; {folders}
            upstream api_keys {{ {servers} keepalive 32; keepalive_timeout 60s; }}
            server {{
                listen {at}; keepalive_requests 1000000;
                location / {{
                    proxy_pass http://api_keys;
                    proxy_set_header Host $http_host;
                    proxy_http_version 1.1;
                    proxy_set_header Connection \"\";
                    proxy_connect_timeout 1s;
                    proxy_read_timeout 10s;
                }}
            }}
        }}"
    );
    fs::write(dir.join("nginx.conf"), config)?;
    let mut nginx = Command::new(program);
    nginx.arg("-p").arg(&dir).arg("-e").arg(dir.join("error.log")).args(["-c", "nginx.conf"]);
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let nginx = nginx.spawn()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(at).await.is_err() {
        if Instant::now() > deadline {
            return Err(format!("nginx does not start: {}", fs::read_to_string(dir.join("error.log"))?).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(nginx)
}
