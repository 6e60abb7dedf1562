//! A TCP proxy in front of the tests' PostgreSQL that counts round trips and can interrupt connections.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// What the proxy does with connections and their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards all bytes.
    Pass,
    /// Forwards nothing in either direction. Connections stay open.
    Blackhole,
    /// Closes all connections, and each new one at once.
    Cut,
}

/// A proxy on a loopback port.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    socket: Arc<Mutex<PathBuf>>,
    round_trips: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy in front of the server at that Unix socket.
    pub async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (mode, modes) = watch::channel(Mode::Pass);
        let round_trips = Arc::<AtomicUsize>::default();
        let counter = round_trips.clone();
        let socket = Arc::new(Mutex::new(socket));
        let current = socket.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let socket = current.lock().expect("no panic").clone();
                tokio::spawn(relay(client, socket, modes.clone(), counter.clone()));
            }
        });
        Self { address, mode, socket, round_trips }
    }

    /// The address moves to another server: new connections lead there.
    pub fn move_to(&self, socket: PathBuf) {
        *self.socket.lock().expect("no panic") = socket;
    }

    /// The number of round trips on all connections: how often a client has sent bytes after the server had sent some.
    /// Statements that are sent together count as one. The bytes that sqlx sends when a connection returns to its pool
    /// do not count, since no request waits for their response.
    pub fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }

    /// Changes the mode of all connections, including those that are open.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn relay(client: TcpStream, socket: PathBuf, modes: watch::Receiver<Mode>, round_trips: Arc<AtomicUsize>) {
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // In this protocol the client sends first.
    let is_clients_turn = AtomicBool::new(true);
    let from_client = |bytes: &[u8]| {
        if is_clients_turn.swap(false, Ordering::SeqCst) && !is_sent_on_release(bytes) {
            round_trips.fetch_add(1, Ordering::SeqCst);
        }
    };
    let from_server = |_: &[u8]| is_clients_turn.store(true, Ordering::SeqCst);
    tokio::select! {
        () = pump(client_read, server_write, modes.clone(), from_client) => {}
        () = pump(server_read, client_write, modes, from_server) => {}
    }
}

/// True for the ROLLBACK of a dropped transaction, and for the Sync message of a returned connection.
fn is_sent_on_release(bytes: &[u8]) -> bool {
    const SYNC: &[u8] = b"S\0\0\0\x04";
    const ROLLBACK: &[u8] = b"Q\0\0\0\x0dROLLBACK\0";
    bytes == ROLLBACK || bytes == SYNC
}

/// Copies bytes in one direction. `on_bytes` is called before the bytes are forwarded.
async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut modes: watch::Receiver<Mode>,
    on_bytes: impl Fn(&[u8]),
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mode = *modes.borrow_and_update();
        tokio::select! {
            changed = modes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            read = from.read(&mut buffer), if mode == Mode::Pass => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    on_bytes(&buffer[..length]);
                    if to.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
            },
            () = std::future::ready(()), if mode == Mode::Cut => return,
        }
    }
}
