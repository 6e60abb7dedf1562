//! A real pooler in front of the tests' PostgreSQL, with the configuration of docs/deployment.md.

use std::{
    fmt, fs,
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::unistd::{Uid, User};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

use crate::{
    harness::{TestDatabase, free_address, not_tested, say, scratch_dir, wait_until},
    programs,
};

const DEPLOYMENT: &str = include_str!("../../../docs/deployment.md");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PgBouncer,
    Odyssey,
    Pgpool,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::PgBouncer => "pgbouncer",
            Self::Odyssey => "odyssey",
            Self::Pgpool => "pgpool",
        }
    }

    /// Every installed version. Says so if there is none; Odyssey is not required, since neither Debian 12 nor 13 has it.
    pub fn installed(self) -> Vec<Program> {
        let ours = ["poolers/trixie/programs", "poolers/forky/programs", "poolers/debian/usr/sbin"];
        let found = programs::find(self.program(), &ours).into_iter();
        let found: Vec<_> =
            found.map(|path| Program { kind: self, version: programs::version(&path, "--version"), path }).collect();
        match self {
            _ if !found.is_empty() => {}
            Self::Odyssey => say("Odyssey is not installed: NOT TESTED"),
            Self::PgBouncer | Self::Pgpool => not_tested(&format!("{self:?} is not installed")),
        }
        found
    }
}

/// An installed pooler.
#[derive(Clone)]
pub struct Program {
    pub kind: Kind,
    pub version: (u32, u32),
    path: PathBuf,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{:?} {major}.{minor} ({})", self.kind, self.path.display())
    }
}

/// The documented configuration that has this line.
pub fn documented(line: &str) -> String {
    let (_, section) = DEPLOYMENT.split_once("### Poolers\n").expect("the section");
    let mut blocks = section.split("```").skip(1).step_by(2).filter_map(|block| Some(block.split_once('\n')?.1));
    let block = blocks.find(|block| block.lines().any(|other| other.trim() == line));
    block.unwrap_or_else(|| panic!("no documented block with {line}")).to_owned()
}

/// The configuration with another value of a setting.
pub fn with(documented: &str, setting: &str, value: u32) -> String {
    assert!(documented.lines().any(|line| line.trim_start().starts_with(setting)), "{setting}: {documented}");
    let lines = documented.lines().map(|line| {
        let Some(is) = line.trim_start().strip_prefix(setting) else { return line.to_owned() };
        let is = if is.starts_with(" =") { " = " } else { " " };
        format!("{setting}{is}{value}")
    });
    lines.map(|line| line + "\n").collect()
}

pub struct Pooler {
    pub address: SocketAddr,
    dir: PathBuf,
    process: Child,
}

impl Pooler {
    /// `settings` is a documented configuration: this run's names and addresses replace those in it.
    pub async fn start(program: &Program, database: &TestDatabase, settings: &str) -> Self {
        let socket = database.socket().await;
        let (socket_dir, port) = (socket.parent().unwrap(), socket.extension().unwrap().to_str().unwrap());
        let address = free_address();
        let (major, minor) = program.version;
        let name = program.kind.program();
        let dir = scratch_dir(&format!("{name}-{major}.{minor}-{}", address.port()));
        let replaced = replacements(program.kind, &database.name, socket_dir, port, address, &dir);
        let mut text = settings.to_owned();
        for (part, here) in replaced {
            assert!(text.contains(part), "{part}: {settings}");
            text = text.replace(part, &here);
        }
        let config = dir.join("config");
        fs::write(&config, text).unwrap();
        fs::write(dir.join("users"), "\"rally_owner\" \"\"\n").unwrap();
        let process = spawn(program, &config, &dir, socket_dir);
        let pooler = Self { address, dir, process };
        let responds = async || tokio::net::TcpStream::connect(address).await.is_ok();
        let started = tokio::time::timeout(Duration::from_secs(10), wait_until(responds)).await;
        assert!(started.is_ok(), "{program:?} does not start:\n{}", pooler.log());
        pooler
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn url(&self, database: &TestDatabase, query: &str) -> String {
        database.url_through(self.address) + query
    }

    /// A client that has nothing to do with the service.
    pub async fn other_client(&self, database: &TestDatabase) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass().extra_float_digits(None);
        let options = options.host("127.0.0.1").port(self.address.port()).username("rally_owner");
        options.database(&database.name).connect().await.expect("a connection")
    }

    /// Stops its process, until [`Self::thaw`]. Connections stay open.
    pub async fn freeze(&self) {
        self.signal("STOP");
        // One thread after the other.
        wait_until(async || self.states().iter().all(|state| *state == 'T')).await;
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// The state of each thread (proc(5)).
    fn states(&self) -> Vec<char> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("Linux");
        let state = |stat: &str| stat.rsplit(')').next()?.trim_start().chars().next();
        threads.filter_map(|thread| state(&fs::read_to_string(thread.ok()?.path().join("stat")).ok()?)).collect()
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // INT ends the other processes of Pgpool, too.
        if matches!(self.process.try_wait(), Ok(None)) {
            self.signal("CONT");
            self.signal("INT");
        }
        for _ in 0..50 {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Parts of the documented configuration, and what replaces them.
fn replacements(
    kind: Kind,
    database: &str,
    socket_dir: &Path,
    port: &str,
    address: SocketAddr,
    dir: &Path,
) -> Vec<(&'static str, String)> {
    let (socket_dir, dir) = (socket_dir.display(), dir.display());
    match kind {
        Kind::PgBouncer => vec![
            ("rally = host=db.internal port=5432", format!("{database} = host={socket_dir} port={port}")),
            ("listen_addr = 0.0.0.0", format!("listen_addr = 127.0.0.1\nlisten_port = {}", address.port())),
            ("auth_type = scram-sha-256", "auth_type = trust\nunix_socket_dir =".to_owned()),
            ("/etc/pgbouncer/userlist.txt", format!("{dir}/users")),
        ],
        Kind::Odyssey => vec![
            ("host \"0.0.0.0\"\n    port 6432", format!("host \"127.0.0.1\"\n    port {}", address.port())),
            ("host \"db.internal\"\n    port 5432", format!("port {port}")),
            (
                "storage \"server\" {",
                format!("unix_socket_dir \"{socket_dir}\"\nunix_socket_mode \"0600\"\nstorage \"server\" {{"),
            ),
            ("database \"rally\"", format!("database \"{database}\"")),
            ("user \"rally_api\"", "user \"rally_owner\"".to_owned()),
            ("authentication \"scram-sha-256\"\n        password \"…\"", "authentication \"none\"".to_owned()),
        ],
        Kind::Pgpool => vec![
            ("backend_hostname0 = 'db.internal'", format!("backend_hostname0 = '{socket_dir}'")),
            ("backend_port0 = 5432", format!("backend_port0 = {port}")),
            (
                "listen_addresses = '*'\nport = 6432",
                format!(
                    "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{dir}'\nsocket_dir = '{dir}'\n\
                     pcp_socket_dir = '{dir}'\npcp_listen_addresses = '127.0.0.1'\npcp_port = {}\n\
                     wd_ipc_socket_dir = '{dir}'\npid_file_name = '{dir}/pid'\nlogdir = '{dir}'\nwork_dir = '{dir}'",
                    address.port(),
                    free_address().port(),
                ),
            ),
            ("enable_pool_hba = on", "enable_pool_hba = off".to_owned()),
        ],
    }
}

fn spawn(program: &Program, config: &Path, dir: &Path, socket_dir: &Path) -> Child {
    let mut command = Command::new(&program.path);
    match program.kind {
        Kind::PgBouncer => {
            command.arg("-q").arg(config);
            // It refuses to run as root: then it changes to the user that PostgreSQL runs as.
            let owner = fs::metadata(socket_dir).unwrap();
            if owner.uid() != fs::metadata(dir).unwrap().uid() {
                chown(dir, Some(owner.uid()), Some(owner.gid())).unwrap();
                let user = User::from_uid(Uid::from_raw(owner.uid())).unwrap().expect("a user");
                command.args(["-u", &user.name]);
            }
        }
        Kind::Odyssey => {
            command.arg(config);
        }
        Kind::Pgpool => {
            let users = dir.join("users");
            command.arg("-n").arg("-f").arg(config).arg("-F").arg(&users).arg("-a").arg(&users);
        }
    }
    let log = fs::File::create(dir.join("log")).unwrap();
    command.current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{program:?}: {error}"))
}
