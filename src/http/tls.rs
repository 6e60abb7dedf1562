//! TLS of the public listener, by PEM files that may be replaced while the service runs.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::DateTime;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::spawn_blocking,
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::{VerifierBuilderError, WebPkiClientVerifier},
    },
    server::TlsStream,
};
use tracing::{info, warn};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::domain::{Clock, Timestamp};

/// How often the files are read. New contents are loaded after the second read in which they are the same, since the files
/// are rarely replaced all at once.
const READ_INTERVAL: Duration = Duration::from_secs(2);
/// The first byte of a TLS connection: the type of a handshake record (RFC 8446, section 5.1).
pub(super) const HANDSHAKE: u8 = 22;
/// In the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// At most one failed handshake is logged in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\n\
                          This address speaks TLS only: call it by https://\n";
const MAX_DISCARDED: u64 = 64 * 1024;

const CERTIFICATE: &str = "TLS_CERT_FILE";
const KEY: &str = "TLS_KEY_FILE";
const CLIENT_CA: &str = "TLS_CLIENT_CA_FILE";

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or must not be read.
    #[error("{setting} names {}, which cannot be read: {source}", path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file does not hold what it has to.
    #[error("{0} names a file without {1}")]
    Missing(&'static str, &'static str),
    /// The certificate is malformed, or is not of this key.
    #[error("TLS_CERT_FILE and TLS_KEY_FILE cannot be used together: {0}")]
    KeyPair(#[from] rustls::Error),
    /// An authority's certificate is malformed.
    #[error("TLS_CLIENT_CA_FILE names a file that cannot be used: {0}")]
    ClientAuthority(#[from] VerifierBuilderError),
}

/// The files' paths.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    /// The server's certificate, followed by those of intermediate authorities.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The authorities whose certificates clients have to present; `None`: clients need none.
    pub(crate) client_ca: Option<PathBuf>,
}

/// The files' contents.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

/// A usable set of files.
pub(crate) struct LoadedTls {
    config: Arc<ServerConfig>,
    /// Until when the server's certificate is valid.
    pub(crate) not_after: Timestamp,
}

impl TlsFiles {
    pub(crate) fn load(&self) -> Result<LoadedTls, TlsError> {
        self.read()?.load()
    }

    fn read(&self) -> Result<Contents, TlsError> {
        let read = |setting, path: &Path| {
            fs::read(path).map_err(|source| TlsError::Unreadable { setting, path: path.to_owned(), source })
        };
        Ok(Contents {
            certificate: read(CERTIFICATE, &self.certificate)?,
            key: Zeroizing::new(read(KEY, &self.key)?),
            client_ca: self.client_ca.as_deref().map(|path| read(CLIENT_CA, path)).transpose()?,
        })
    }
}

impl Contents {
    fn load(&self) -> Result<LoadedTls, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut authorities = RootCertStore::empty();
                for authority in certificates(CLIENT_CA, pem)? {
                    authorities.add(authority)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let not_after = not_after(&chain)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|_| TlsError::Missing(KEY, "an unencrypted private key in PEM"))?;
        let mut config = builder.with_single_cert(chain, key)?;
        config.ignore_client_order = true;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(LoadedTls { config: Arc::new(config), not_after })
    }
}

fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
    certificates.ok_or(TlsError::Missing(setting, "certificates in PEM"))
}

fn not_after(chain: &[CertificateDer<'_>]) -> Result<Timestamp, TlsError> {
    let read = || {
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
    };
    read().ok_or(TlsError::Missing(CERTIFICATE, "a certificate of X.509"))
}

/// Accepts TLS connections under the newest usable configuration.
#[derive(Clone)]
pub(crate) struct ReloadableAcceptor {
    config: watch::Receiver<Arc<ServerConfig>>,
    failed: Counter,
    started: Instant,
    /// From which second on a failure is logged again.
    next_line: Arc<AtomicU64>,
}

impl ReloadableAcceptor {
    pub(super) async fn accept<S>(&self, stream: S, peer: IpAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config.borrow().clone();
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        accepted.inspect_err(|error| self.report(peer, error))
    }

    /// Logs one of the failures, so that whoever opens many connections does not fill the log.
    fn report(&self, peer: IpAddr, error: &io::Error) {
        self.failed.inc();
        let second = self.started.elapsed().as_secs();
        let is_due = |next: u64| (next <= second).then_some(second + LOG_INTERVAL.as_secs());
        if self.next_line.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_ok() {
            warn!(%peer, %error, "a TLS handshake failed; further ones are not logged for {} s", LOG_INTERVAL.as_secs());
        }
    }

    /// Responds 400 to a client that sends plain HTTP.
    pub(super) async fn refuse_plain_http(&self, mut stream: TcpStream) -> io::Result<()> {
        self.failed.inc();
        stream.write_all(PLAIN_HTTP.as_bytes()).await?;
        stream.shutdown().await?;
        // The rest of the request is read, since a close before that would reset the connection and lose the response.
        tokio::io::copy(&mut stream.take(MAX_DISCARDED), &mut tokio::io::sink()).await.map(drop)
    }
}

/// Polls the files, and publishes a new configuration when they have changed.
pub(crate) struct TlsReloader {
    files: TlsFiles,
    clock: Clock,
    /// The contents of the latest read, or its error.
    latest: Result<Contents, String>,
    /// The contents of the latest attempt to load a configuration, or the error of their read.
    attempted: Result<Contents, String>,
    config: watch::Sender<Arc<ServerConfig>>,
    metrics: TlsMetrics,
}

impl TlsReloader {
    pub(crate) fn start(files: TlsFiles, clock: Clock, registry: &mut Registry) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let LoadedTls { config, not_after } = contents.load()?;
        let metrics = TlsMetrics::register(registry);
        let reloader = Self {
            files,
            clock,
            latest: Ok(contents.clone()),
            attempted: Ok(contents),
            config: watch::Sender::new(config),
            metrics,
        };
        reloader.report(not_after);
        Ok(reloader)
    }

    pub(crate) fn acceptor(&self) -> ReloadableAcceptor {
        ReloadableAcceptor {
            config: self.config.subscribe(),
            failed: self.metrics.failed_handshakes.clone(),
            started: Instant::now(),
            next_line: Arc::default(),
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            sleep(READ_INTERVAL).await;
            let files = self.files.clone();
            #[allow(clippy::disallowed_methods, reason = "one call at a time")]
            let read = spawn_blocking(move || files.read().map_err(|error| error.to_string()));
            let Ok(read) = read.await else { continue };
            if self.latest != read {
                self.latest = read;
            } else if self.attempted != read {
                self.reload(read);
            }
        }
    }

    /// Loads contents that have changed. Where that fails, the previous configuration stays in use.
    fn reload(&mut self, read: Result<Contents, String>) {
        let loaded =
            read.as_ref().map_err(Clone::clone).and_then(|contents| contents.load().map_err(|error| error.to_string()));
        self.attempted = read;
        match loaded {
            Ok(LoadedTls { config, not_after }) => {
                self.config.send_replace(config);
                self.report(not_after);
            }
            Err(error) => {
                self.metrics.files_usable.set(0);
                warn!(
                    error,
                    "the changed TLS files cannot be loaded: mend them; the previous certificate stays in use"
                );
            }
        }
    }

    fn report(&self, not_after: Timestamp) {
        self.metrics.files_usable.set(1);
        self.metrics.not_after.set(not_after.timestamp());
        if not_after <= self.clock.now() {
            warn!(%not_after, "the TLS certificate in use has expired, so clients refuse it: renew TLS_CERT_FILE");
        } else {
            info!(%not_after, "TLS certificate loaded; new connections use it");
        }
    }
}

struct TlsMetrics {
    not_after: Gauge,
    files_usable: Gauge,
    failed_handshakes: Counter,
}

impl TlsMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics =
            Self { not_after: Gauge::default(), files_usable: Gauge::default(), failed_handshakes: Counter::default() };
        let help = "When the TLS certificate in use expires, as a Unix time";
        let name = "rally_tls_certificate_not_after_timestamp";
        registry.register_with_unit(name, help, Unit::Seconds, metrics.not_after.clone());
        let help = "1: the files of TLS_CERT_FILE, TLS_KEY_FILE and TLS_CLIENT_CA_FILE are in use; 0: they have changed and cannot \
                    be loaded, as the log says, and their previous contents stay in use";
        registry.register("rally_tls_files_usable", help, metrics.files_usable.clone());
        let help =
            "Connections that ended in the TLS handshake, as of clients without a certificate, or that speak no TLS";
        registry.register("rally_tls_failed_handshakes", help, metrics.failed_handshakes.clone());
        metrics
    }
}
