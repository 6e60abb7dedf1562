//! Every setting, typed, with its default. Read from the environment and from `.env`; the
//! environment wins. `.env.example` mirrors the list, and a test holds it to that.
//!
//! A bad setting stops the start, and so does a name that is nearly one of ours: `KEY_PEPER`
//! silently ignored would mean keys without a pepper.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use axum::http::{HeaderName, HeaderValue, Uri};
use chrono::TimeDelta;
use ipnet::IpNet;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::{
    auth::{
        hashing::Argon2Cost,
        host::Tenancy,
        jwk::{ClaimRules, PublicKey},
        jwks::JwksLocation,
        pepper::{Pepper, Peppers},
        verifier::KeyFallback,
    },
    store::DatabaseUrl,
};

/// The names of all settings, in `.env.example`'s order.
pub const NAMES: &[&str] = &[
    "LISTEN_ADDR",
    "ADMIN_LISTEN_ADDR",
    "BASE_DOMAIN",
    "TRUSTED_PROXIES",
    "CORS_ALLOWED_ORIGINS",
    "HTTP_MAX_CONNECTIONS",
    "SHUTDOWN_GRACE_SECONDS",
    "SHUTDOWN_DRAIN_SECONDS",
    "DATABASE_URL",
    "DATABASE_MIGRATION_URL",
    "DATABASE_DIRECT_URL",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_CHECK_CONNECTIONS",
    "DATA_DIR",
    "JWT_SECRET",
    "JWT_PUBLIC_KEY_FILE",
    "JWT_JWKS_URL",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "JWT_TENANT_CLAIM",
    "KEY_PEPPER",
    "KEY_PEPPERS_RETIRED",
    "KEY_FALLBACK",
    "VERIFY_CACHE_ENTRIES",
    "USAGE_RETENTION_DAYS",
    "ARGON2_MEMORY_KIB",
    "ARGON2_ITERATIONS",
    "ARGON2_PARALLELISM",
    "RUST_LOG",
    "LOG_FORMAT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// What is shown in a secret's place.
const HIDDEN: &str = "[hidden]";

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP side.
    pub http: Http,
    /// The database.
    pub database: Database,
    /// How requests name their tenant.
    pub tenancy: Tenancy,
    /// Which tokens are trusted.
    pub jwt: Jwt,
    /// How secrets are kept.
    pub keys: Keys,
    /// How long the figures of keys' usage are kept.
    pub usage_retention: TimeDelta,
    /// What is logged, and how.
    pub log: Log,
    /// Where spans of requests are sent; none = nowhere.
    pub traces: Option<Traces>,
}

/// The HTTP side.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where it listens.
    pub listen_addr: SocketAddr,
    /// Where metrics and probes are, if not (metrics) or not only (probes) there.
    pub admin_listen_addr: Option<SocketAddr>,
    /// At most as many connections at once.
    pub max_connections: usize,
    /// How long the service may take to end once it is told to: the drain, and then the requests in
    /// flight.
    pub shutdown_grace: Duration,
    /// How long it goes on serving before that, while `/readyz` says that it is about to end.
    pub shutdown_drain: Duration,
    /// Web origins that may call, besides the tenants' own.
    pub cors_origins: Vec<HeaderValue>,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Which one; none = a private PostgreSQL in `data_dir`.
    pub url: Option<DatabaseUrl>,
    /// The same one as its owner, for migrations and tenants.
    pub migration_url: Option<DatabaseUrl>,
    /// The same one past any pooler, for the change feed.
    pub direct_url: Option<DatabaseUrl>,
    /// At most as many connections for managing keys.
    pub max_connections: u32,
    /// At most as many for checking them.
    pub check_connections: u32,
    /// Where the private PostgreSQL and its secrets are; none = the platform's data folder.
    pub data_dir: Option<PathBuf>,
}

/// Which tokens are trusted: those that any of these keys has signed.
#[derive(Clone)]
pub struct Jwt {
    /// The secret of HS256.
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// A public key, out of that file.
    pub public_key: Option<(PathBuf, PublicKey)>,
    /// Issuers that publish their keys.
    pub issuers: Vec<JwksLocation>,
    /// What else a token must hold.
    pub rules: ClaimRules,
}

impl Jwt {
    /// Whether nobody could log in.
    #[must_use]
    pub fn trusts_nobody(&self) -> bool {
        self.secret.is_none() && self.public_key.is_none() && self.issuers.is_empty()
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("secret", &self.secret.as_ref().map(|_| "[redacted]"))
            .field("public_key", &self.public_key)
            .field("issuers", &self.issuers)
            .field("rules", &self.rules)
            .finish()
    }
}

/// How secrets are kept.
#[derive(Clone, Debug)]
pub struct Keys {
    /// What stamps are made and checked under.
    pub peppers: Peppers,
    /// What happens to a secret without a usable stamp.
    pub fallback: KeyFallback,
    /// The cost of argon2id.
    pub argon2: Argon2Cost,
    /// At most as many checked secrets are remembered.
    pub cache_entries: usize,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// In `RUST_LOG`'s syntax.
    pub filter: String,
    /// One JSON object per line, for machines.
    pub json: bool,
}

/// Where spans of requests are sent, and which. The settings are OpenTelemetry's own.
#[derive(Clone)]
pub struct Traces {
    /// The collector's address, without `/v1/traces`.
    pub endpoint: String,
    /// What it is sent with each batch, such as a credential of its own.
    pub headers: Vec<(String, String)>,
    /// What the service is called.
    pub service_name: Option<String>,
    /// What else is said of it.
    pub resource: Vec<(String, String)>,
    /// Which requests have one.
    pub sampler: TraceSampler,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Traces")
            .field("endpoint", &self.endpoint)
            .field("headers", &headers)
            .field("service_name", &self.service_name)
            .field("resource", &self.resource)
            .field("sampler", &self.sampler)
            .finish()
    }
}

/// Which requests have a span that is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceSampler {
    /// Where the caller is traced, those whose caller's is; only the others as below.
    pub parent_based: bool,
    /// Which share; none = all.
    pub ratio: Option<f64>,
}

impl fmt::Display for TraceSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.parent_based { "parentbased_" } else { "" })?;
        f.write_str(match self.ratio {
            None => "always_on",
            Some(0.0) => "always_off",
            Some(_) => "traceidratio",
        })
    }
}

/// The settings that are wrong, all of them.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(Vec<BadSetting>);

#[derive(Debug)]
struct BadSetting {
    name: String,
    problem: String,
    example: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad settings:")?;
        for BadSetting { name, problem, example } in &self.0 {
            write!(f, "\n  {name} {problem}")?;
            if !example.is_empty() {
                write!(f, "\n      for example: {name}={example}")?;
            }
        }
        Ok(())
    }
}

/// The settings as text, and what turned out to be wrong with them.
struct Reader {
    values: BTreeMap<String, String>,
    bad: Vec<BadSetting>,
}

impl Reader {
    /// An empty value counts as unset, so that `docker compose` can pass settings through.
    fn get(&self, name: &'static str) -> Option<&str> {
        debug_assert!(NAMES.contains(&name), "{name} is not listed");
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn refuse(&mut self, name: impl Into<String>, problem: impl Into<String>, example: &'static str) {
        self.bad.push(BadSetting { name: name.into(), problem: problem.into(), example });
    }

    /// A setting that `parse` accepts; its error message reads after the name. The value is not
    /// repeated: it may be a secret.
    fn parse<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.get(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(name, problem.to_string(), example);
                None
            }
        }
    }

    fn number<T: FromStr + PartialOrd + fmt::Display>(
        &mut self,
        name: &'static str,
        default: T,
        (min, max): (T, T),
        example: &'static str,
    ) -> T {
        self.parse(name, example, |text| {
            text.parse()
                .ok()
                .filter(|number| (&min..=&max).contains(&number))
                .ok_or_else(|| format!("must be a number from {min} to {max}"))
        })
        .unwrap_or(default)
    }

    fn list<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        self.parse(name, example, |text| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(&parse).collect::<Result<Vec<_>, E>>()
        })
        .unwrap_or_default()
    }
}

impl Config {
    /// Reads the process' environment, and `.env` of the working directory or one above it.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        match dotenvy::dotenv_iter() {
            Ok(lines) => {
                for line in lines {
                    // The error would repeat the line, which may hold a secret.
                    let (name, value) = line.map_err(|_| {
                        ConfigError(vec![BadSetting {
                            name: ".env".into(),
                            problem: "has a line that is not NAME=value".into(),
                            example: "",
                        }])
                    })?;
                    values.insert(name, value);
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => {
                let problem = format!("cannot be read: {error}");
                return Err(ConfigError(vec![BadSetting { name: ".env".into(), problem, example: "" }]));
            }
        }
        values.extend(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
        );
        Self::from_values(values)
    }

    /// Reads settings from pairs of name and value.
    pub fn from_values(values: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut settings = Reader { values: values.into_iter().collect(), bad: Vec::new() };
        refuse_misspelt(&mut settings);
        let config = Self {
            http: http(&mut settings),
            database: database(&mut settings),
            tenancy: tenancy(&mut settings),
            jwt: jwt(&mut settings),
            keys: keys(&mut settings),
            usage_retention: TimeDelta::days(settings.number("USAGE_RETENTION_DAYS", 400, (1, 36_500), "400")),
            log: log(&mut settings),
            traces: traces(&mut settings),
        };
        if settings.bad.is_empty() { Ok(config) } else { Err(ConfigError(settings.bad)) }
    }

    /// The settings in effect, as text, in the order of [`NAMES`]. Secrets are hidden.
    #[must_use]
    pub fn effective(&self) -> Vec<(&'static str, String)> {
        let Self { http, database, tenancy, jwt, keys, usage_retention, log, traces } = self;
        let of_traces = |tell: fn(&Traces) -> Option<String>| traces.as_ref().and_then(tell).unwrap_or_default();
        let joined = |items: Vec<String>| items.join(",");
        let url = |url: &Option<DatabaseUrl>| url.as_ref().map(DatabaseUrl::to_string).unwrap_or_default();
        let pepper = |pepper: &Pepper| format!("{}:{HIDDEN}", pepper.id());
        let origin = |origin: &HeaderValue| String::from_utf8_lossy(origin.as_bytes()).into_owned();
        vec![
            ("LISTEN_ADDR", http.listen_addr.to_string()),
            ("ADMIN_LISTEN_ADDR", http.admin_listen_addr.map(|address| address.to_string()).unwrap_or_default()),
            ("BASE_DOMAIN", tenancy.base_domain.clone()),
            ("TRUSTED_PROXIES", joined(tenancy.trusted_proxies.iter().map(IpNet::to_string).collect())),
            ("CORS_ALLOWED_ORIGINS", joined(http.cors_origins.iter().map(origin).collect())),
            ("HTTP_MAX_CONNECTIONS", http.max_connections.to_string()),
            ("SHUTDOWN_GRACE_SECONDS", http.shutdown_grace.as_secs().to_string()),
            ("SHUTDOWN_DRAIN_SECONDS", http.shutdown_drain.as_secs().to_string()),
            ("DATABASE_URL", url(&database.url)),
            ("DATABASE_MIGRATION_URL", url(&database.migration_url)),
            ("DATABASE_DIRECT_URL", url(&database.direct_url)),
            ("DATABASE_MAX_CONNECTIONS", database.max_connections.to_string()),
            ("DATABASE_CHECK_CONNECTIONS", database.check_connections.to_string()),
            ("DATA_DIR", database.data_dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default()),
            ("JWT_SECRET", jwt.secret.as_ref().map(|_| HIDDEN.to_owned()).unwrap_or_default()),
            (
                "JWT_PUBLIC_KEY_FILE",
                jwt.public_key.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default(),
            ),
            ("JWT_JWKS_URL", joined(jwt.issuers.iter().filter_map(JwksLocation::url).map(str::to_owned).collect())),
            ("JWT_ISSUER", joined(jwt.rules.issuers.clone())),
            ("JWT_AUDIENCE", joined(jwt.rules.audiences.clone())),
            ("JWT_TENANT_CLAIM", jwt.rules.tenant_claim.clone()),
            ("KEY_PEPPER", keys.peppers.current.as_ref().map(pepper).unwrap_or_default()),
            ("KEY_PEPPERS_RETIRED", joined(keys.peppers.retired.iter().map(pepper).collect())),
            (
                "KEY_FALLBACK",
                match keys.fallback {
                    KeyFallback::Argon2 => "argon2".into(),
                    KeyFallback::Deny => "deny".into(),
                },
            ),
            ("VERIFY_CACHE_ENTRIES", keys.cache_entries.to_string()),
            ("USAGE_RETENTION_DAYS", usage_retention.num_days().to_string()),
            ("ARGON2_MEMORY_KIB", keys.argon2.memory_kib.to_string()),
            ("ARGON2_ITERATIONS", keys.argon2.iterations.to_string()),
            ("ARGON2_PARALLELISM", keys.argon2.parallelism.to_string()),
            ("RUST_LOG", log.filter.clone()),
            ("LOG_FORMAT", if log.json { "json".into() } else { "text".into() }),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", of_traces(|traces| Some(traces.endpoint.clone()))),
            ("OTEL_EXPORTER_OTLP_HEADERS", of_traces(|traces| (!traces.headers.is_empty()).then(|| HIDDEN.to_owned()))),
            ("OTEL_SERVICE_NAME", of_traces(|traces| traces.service_name.clone())),
            ("OTEL_RESOURCE_ATTRIBUTES", of_traces(|traces| Some(told_pairs(&traces.resource)))),
            ("OTEL_TRACES_SAMPLER", of_traces(|traces| Some(traces.sampler.to_string()))),
            (
                "OTEL_TRACES_SAMPLER_ARG",
                of_traces(|traces| traces.sampler.ratio.filter(|ratio| *ratio > 0.0).map(|ratio| ratio.to_string())),
            ),
        ]
    }
}

fn refuse_misspelt(settings: &mut Reader) {
    let misspelt: Vec<_> = settings
        .values
        .keys()
        .filter(|name| !NAMES.contains(&name.as_str()))
        .filter_map(|name| {
            let near = |known: &&&str| known.len() >= 8 && strsim::damerau_levenshtein(name, known) <= 2;
            Some((name.clone(), *NAMES.iter().find(near)?))
        })
        .collect();
    for (name, known) in misspelt {
        settings.refuse(name, format!("is not a setting; did you mean {known}?"), "");
    }
}

fn http(settings: &mut Reader) -> Http {
    let grace = settings.number("SHUTDOWN_GRACE_SECONDS", 20, (0, 3600), "20");
    let drain = settings.number("SHUTDOWN_DRAIN_SECONDS", grace / 4, (0, 3600), "5");
    if drain > 0 && drain >= grace {
        settings.refuse("SHUTDOWN_DRAIN_SECONDS", "must be less than SHUTDOWN_GRACE_SECONDS", "5");
    }
    let address = |text: &str| text.parse().map_err(|_| "must be an IP address and a port");
    Http {
        listen_addr: settings
            .parse("LISTEN_ADDR", "127.0.0.1:8080", address)
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        admin_listen_addr: settings.parse("ADMIN_LISTEN_ADDR", "127.0.0.1:9090", address),
        max_connections: settings.number("HTTP_MAX_CONNECTIONS", 10_000, (1, 1_000_000), "10000"),
        shutdown_grace: Duration::from_secs(grace),
        shutdown_drain: Duration::from_secs(drain),
        cors_origins: settings.list("CORS_ALLOWED_ORIGINS", "https://app.example.com,http://localhost:5173", origin),
    }
}

/// An origin (RFC 6454) as browsers send it: scheme, host and port, nothing behind.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let problem = || format!("must be web origins, comma-separated; {text:?} is not scheme://host[:port]");
    let uri: Uri = text.parse().map_err(|_| problem())?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.path() == "/"
        && !text.ends_with('/')
        && uri.query().is_none();
    if !plain {
        return Err(problem());
    }
    HeaderValue::from_str(&text.to_ascii_lowercase()).map_err(|_| problem())
}

fn database(settings: &mut Reader) -> Database {
    const EXAMPLE: &str = "postgres://rally_api:password@db.internal:5432/rally?sslmode=verify-full";
    let url = settings.parse("DATABASE_URL", EXAMPLE, DatabaseUrl::parse);
    let migration_url = settings.parse("DATABASE_MIGRATION_URL", EXAMPLE, DatabaseUrl::parse);
    let direct_url = settings.parse("DATABASE_DIRECT_URL", EXAMPLE, DatabaseUrl::parse);
    for (name, url) in [("DATABASE_MIGRATION_URL", &migration_url), ("DATABASE_DIRECT_URL", &direct_url)] {
        if url.is_some() && settings.get("DATABASE_URL").is_none() {
            settings.refuse(name, "needs DATABASE_URL beside it", "");
        }
    }
    Database {
        url,
        migration_url,
        direct_url,
        max_connections: settings.number("DATABASE_MAX_CONNECTIONS", 10, (1, 1000), "10"),
        check_connections: settings.number("DATABASE_CHECK_CONNECTIONS", 10, (1, 1000), "10"),
        data_dir: settings.get("DATA_DIR").map(PathBuf::from),
    }
}

fn tenancy(settings: &mut Reader) -> Tenancy {
    Tenancy {
        base_domain: settings.parse("BASE_DOMAIN", "rallycrm.io", base_domain).unwrap_or_else(|| "localhost".into()),
        trusted_proxies: settings.list("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8,127.0.0.1", |text| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into()))
                .map_err(|_| format!("must be IP addresses or CIDR blocks, comma-separated; {text:?} is neither"))
        }),
    }
}

fn base_domain(text: &str) -> Result<String, &'static str> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label =
        |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if domain.split('.').all(label) { Ok(domain) } else { Err("must be a domain name, without scheme and port") }
}

fn jwt(settings: &mut Reader) -> Jwt {
    let secret = settings.parse("JWT_SECRET", "<the output of `openssl rand -base64 48`>", |text| {
        if text.len() < 32 {
            return Err("must be 32 bytes or more");
        }
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    });
    let public_key = settings.parse("JWT_PUBLIC_KEY_FILE", "/etc/rally/jwt.pem", |path| {
        let pem = fs::read(path).map_err(|error| format!("cannot be read: {path}: {error}"))?;
        let key = PublicKey::from_pem(&pem).map_err(|problem| format!("{problem}: {path}"))?;
        Ok::<_, String>((PathBuf::from(path), key))
    });
    let any = |text: &str| Ok::<_, &str>(text.to_owned());
    let issuers = settings.list("JWT_ISSUER", "", any);
    let urls = settings.list("JWT_JWKS_URL", "", any);
    let discovers =
        urls.is_empty() && ["JWT_SECRET", "JWT_PUBLIC_KEY_FILE"].into_iter().all(|name| settings.get(name).is_none());
    let rules = ClaimRules {
        issuers,
        audiences: settings.list("JWT_AUDIENCE", "", any),
        tenant_claim: settings.get("JWT_TENANT_CLAIM").unwrap_or("tenant").to_owned(),
    };
    let issuers = if discovers { discovered(settings, &rules) } else { published(settings, &rules, &urls) };
    Jwt { secret, public_key, issuers, rules }
}

/// Issuers that tell themselves where their keys are.
fn discovered(settings: &mut Reader, rules: &ClaimRules) -> Vec<JwksLocation> {
    let locations: Result<_, _> = rules.issuers.iter().map(|issuer| JwksLocation::of(issuer)).collect();
    locations.unwrap_or_else(|problem| {
        let problem = format!("{problem}, since without JWT_SECRET and the like it is where keys are looked for");
        settings.refuse("JWT_ISSUER", problem, "https://login.rallycrm.io");
        vec![]
    })
}

/// Issuers whose keys are where we are told.
fn published(settings: &mut Reader, rules: &ClaimRules, urls: &[String]) -> Vec<JwksLocation> {
    const EXAMPLE: &str = "https://login.rallycrm.io/jwks";
    let issuers = &rules.issuers;
    if !urls.is_empty() && !issuers.is_empty() && urls.len() != issuers.len() {
        let problem = "must hold as many addresses as JWT_ISSUER holds issuers, in the same order";
        settings.refuse("JWT_JWKS_URL", problem, EXAMPLE);
        return vec![];
    }
    let issuers = issuers.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let locations: Result<_, _> = urls.iter().zip(issuers).map(|(url, issuer)| JwksLocation::at(url, issuer)).collect();
    locations.unwrap_or_else(|problem| {
        settings.refuse("JWT_JWKS_URL", problem, EXAMPLE);
        vec![]
    })
}

fn keys(settings: &mut Reader) -> Keys {
    const EXAMPLE: &str = "2026-01:<the output of `openssl rand -base64 32`>";
    let current = settings.parse("KEY_PEPPER", EXAMPLE, Pepper::parse);
    let retired = settings.list("KEY_PEPPERS_RETIRED", EXAMPLE, Pepper::parse);
    let mut ids: Vec<&str> = current.iter().chain(&retired).map(Pepper::id).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < all {
        settings.refuse("KEY_PEPPERS_RETIRED", "must not repeat an id; each pepper needs its own", "");
    }
    let fallback = settings
        .parse("KEY_FALLBACK", "argon2", |text| match text {
            "argon2" => Ok(KeyFallback::Argon2),
            "deny" => Ok(KeyFallback::Deny),
            _ => Err("must be argon2 or deny"),
        })
        .unwrap_or_default();
    if fallback == KeyFallback::Deny && settings.get("KEY_PEPPER").is_none() {
        settings.refuse(
            "KEY_FALLBACK",
            "can be deny only where KEY_PEPPER is set: nothing else would let a key in",
            "",
        );
    }
    Keys {
        peppers: Peppers { current, retired },
        fallback,
        argon2: argon2(settings),
        cache_entries: settings.number("VERIFY_CACHE_ENTRIES", 200_000, (0, 10_000_000), "200000"),
    }
}

fn argon2(settings: &mut Reader) -> Argon2Cost {
    let (default, max) = (Argon2Cost::default(), Argon2Cost::MAX);
    let cost = Argon2Cost {
        memory_kib: settings.number("ARGON2_MEMORY_KIB", default.memory_kib, (8, max.memory_kib), "19456"),
        iterations: settings.number("ARGON2_ITERATIONS", default.iterations, (1, max.iterations), "2"),
        parallelism: settings.number("ARGON2_PARALLELISM", default.parallelism, (1, max.parallelism), "1"),
    };
    if !cost.is_valid() {
        settings.refuse("ARGON2_MEMORY_KIB", "must be at least 8 times ARGON2_PARALLELISM", "19456");
    }
    cost
}

fn log(settings: &mut Reader) -> Log {
    let filter = settings.parse("RUST_LOG", "info,rally_api_keys=debug", |text| {
        text.parse::<tracing_subscriber::EnvFilter>()
            .map(|_| text.to_owned())
            .map_err(|error| format!("is not a log filter: {error}"))
    });
    let json = settings.parse("LOG_FORMAT", "json", |text| match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("must be text or json"),
    });
    Log { filter: filter.unwrap_or_else(|| "info".into()), json: json.unwrap_or_default() }
}

fn traces(settings: &mut Reader) -> Option<Traces> {
    const ENDPOINT: &str = "http://127.0.0.1:4318";
    let endpoint = settings.parse("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT, |text| {
        let uri = text.parse::<Uri>().ok();
        let plain = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
        let authority = plain.as_ref().and_then(Uri::authority).filter(|authority| !authority.as_str().contains('@'));
        authority.map(|_| text.to_owned()).ok_or("must be http(s)://host[:port][/path], without a user name")
    });
    let headers = settings.parse("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token", |text| {
        pairs(text)
            .filter(|pairs| {
                let is_header = |(name, value): &(String, String)| {
                    name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok()
                };
                pairs.iter().all(is_header)
            })
            .ok_or("must be name=value pairs, comma-separated, values percent-encoded")
    });
    let resource = settings.parse("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production", |text| {
        pairs(text).ok_or("must be name=value pairs, comma-separated, values percent-encoded")
    });
    let ratio = settings.parse("OTEL_TRACES_SAMPLER_ARG", "0.1", |text| {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or("must be a number from 0 to 1")
    });
    let sampler = settings.parse("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", |text| {
        let (parent_based, kind) = text.strip_prefix("parentbased_").map_or((false, text), |kind| (true, kind));
        let ratio = match kind {
            "always_on" => None,
            "always_off" => Some(0.0),
            "traceidratio" => ratio.filter(|ratio| *ratio < 1.0),
            _ => return Err("must be always_on, always_off or traceidratio, or parentbased_ and one of them"),
        };
        Ok(TraceSampler { parent_based, ratio })
    });
    Some(Traces {
        endpoint: endpoint?,
        headers: headers.unwrap_or_default(),
        service_name: settings.get("OTEL_SERVICE_NAME").map(str::to_owned),
        resource: resource.unwrap_or_default(),
        sampler: sampler.unwrap_or(TraceSampler { parent_based: true, ratio: None }),
    })
}

/// `a=1,b=2`, the values percent-encoded, as OpenTelemetry's settings are.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value))
    });
    pairs.collect()
}

/// The same back.
fn told_pairs(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_values(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_in_effect_is_told_without_secrets() {
        let told = |pairs: &[(&str, &str)]| config(pairs).unwrap().effective();
        let names: Vec<&str> = told(&[]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, NAMES);
        let pepper = "p1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let set = told(&[
            ("DATABASE_URL", "postgres://rally_api:hunter2@db/rally"),
            ("DATABASE_MIGRATION_URL", "postgres://owner:hunter2@db/rally"),
            ("JWT_SECRET", "hunter2 hunter2 hunter2 hunter2 hunter2"),
            ("KEY_PEPPER", pepper),
            ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("USAGE_RETENTION_DAYS", "30"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://traces.example/otlp"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%2Cb, x=y"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let lines: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let text = lines.concat();
        for hidden in ["hunter2", &pepper[3..]] {
            assert!(!text.contains(hidden), "{text}");
        }
        for shown in [
            "DATABASE_URL=postgres://rally_api@db:5432/rally\n",
            "JWT_SECRET=[hidden]\n",
            "KEY_PEPPER=p1:[hidden]\n",
            "TRUSTED_PROXIES=10.0.0.0/8,::1/128\n",
            "USAGE_RETENTION_DAYS=30\n",
            "OTEL_EXPORTER_OTLP_HEADERS=[hidden]\n",
            "OTEL_TRACES_SAMPLER=parentbased_traceidratio\n",
            "OTEL_TRACES_SAMPLER_ARG=0.25\n",
        ] {
            assert!(text.contains(shown), "{text}");
        }
        // What is not hidden can be set again, to the same effect.
        let again: Vec<_> = set.iter().filter(|(_, value)| !value.contains(HIDDEN)).cloned().collect();
        let pairs: Vec<(&str, &str)> = again.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (name, value) in told(&pairs) {
            assert!(again.contains(&(name, value.clone())) || value.is_empty(), "{name}={value}");
        }
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let config = config(&[]).unwrap();
        assert_eq!(config.http.listen_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(config.tenancy.base_domain, "localhost");
        assert!(config.database.url.is_none());
    }

    #[test]
    fn every_bad_setting_is_named_at_once_and_no_secret_is_repeated() {
        let error = config(&[
            ("LISTEN_ADDR", "8080"),
            ("DATABASE_URL", "mysql://root:hunter2@db/x"),
            ("DATABASE_MAX_CONNECTIONS", "0"),
            ("BASE_DOMAIN", "https://rallycrm.io"),
            ("TRUSTED_PROXIES", "10.0.0.0/33"),
            ("CORS_ALLOWED_ORIGINS", "*"),
            ("JWT_SECRET", "hunter2"),
            ("KEY_PEPPER", "hunter2"),
            ("KEY_FALLBACK", "maybe"),
            ("ARGON2_MEMORY_KIB", "1000000"),
            ("ARGON2_PARALLELISM", "many"),
            ("RUST_LOG", "a=b=c"),
            ("LOG_FORMAT", "xml"),
            ("JWT_AUDIENC", "crm"),
        ])
        .unwrap_err();
        insta::assert_snapshot!(error);
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn issuers_publish_their_keys_here_or_there() {
        let trusted = |pairs: &[(&str, &str)]| {
            config(pairs).map(|config| config.jwt.issuers.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let (secret, a, b) =
            (("JWT_SECRET", "0123456789abcdef0123456789abcdef"), "https://a.example", "https://b.example/");
        let both = format!("{a}, {b}");
        assert_eq!(trusted(&[("JWT_ISSUER", &both)]).unwrap(), [a, b], "discovered");
        assert!(trusted(&[secret, ("JWT_ISSUER", "anything")]).unwrap().is_empty(), "asked of our own tokens");
        let keys = "https://a.example/keys?for=us,https://b.example/keys";
        assert_eq!(trusted(&[("JWT_JWKS_URL", keys)]).unwrap(), ["https://a.example/keys", "https://b.example/keys"]);
        assert_eq!(trusted(&[secret, ("JWT_JWKS_URL", keys), ("JWT_ISSUER", &both)]).unwrap(), [a, b]);
        for (pairs, wrong) in [
            (vec![("JWT_ISSUER", "login")], "JWT_ISSUER must be an https://"),
            (vec![("JWT_ISSUER", "http://login.example")], "JWT_ISSUER must be an https://"),
            (vec![("JWT_ISSUER", "https://a.example?x")], "JWT_ISSUER must have no query"),
            (vec![("JWT_ISSUER", "https://u:p@a.example")], "JWT_ISSUER must hold no user name"),
            (vec![("JWT_JWKS_URL", "http://10.0.0.1/keys")], "JWT_JWKS_URL must be an https://"),
            (vec![("JWT_JWKS_URL", keys), ("JWT_ISSUER", a)], "JWT_JWKS_URL must hold as many"),
            (vec![("JWT_PUBLIC_KEY_FILE", "/nowhere")], "JWT_PUBLIC_KEY_FILE cannot be read: /nowhere"),
            (vec![("JWT_PUBLIC_KEY_FILE", "Cargo.toml")], "JWT_PUBLIC_KEY_FILE holds no public key"),
        ] {
            let error = trusted(&pairs).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
        for loopback in ["http://localhost:3000", "http://127.0.0.1:3000/realm", "http://[::1]:3000"] {
            assert_eq!(trusted(&[("JWT_ISSUER", loopback)]).unwrap(), [loopback]);
        }
    }

    #[test]
    fn opentelemetrys_settings_are_read_as_its_sdk_reads_them() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let traces =
            |more: &[(&str, &str)]| config(&[&[endpoint][..], more].concat()).map(|config| config.traces.unwrap());
        assert!(config(&[("OTEL_SERVICE_NAME", "keys")]).unwrap().traces.is_none());
        let default = traces(&[]).unwrap();
        assert_eq!(default.sampler, TraceSampler { parent_based: true, ratio: None });
        let set = traces(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3Db, x-scope=1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a.b=c%2Cd"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ])
        .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(set.headers, [pair("authorization", "Bearer a=b"), pair("x-scope", "1")]);
        assert_eq!(set.resource, [pair("a.b", "c,d")]);
        assert_eq!(set.sampler, TraceSampler { parent_based: false, ratio: Some(0.5) });
        assert!(!format!("{set:?}").contains("Bearer"));
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:p@host"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            let error = config(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && !error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn deny_needs_a_pepper() {
        assert!(config(&[("KEY_FALLBACK", "deny")]).unwrap_err().contains("KEY_PEPPER"));
        let pepper = format!("a:{}=", "A".repeat(43));
        assert!(config(&[("KEY_FALLBACK", "deny"), ("KEY_PEPPER", &pepper)]).is_ok());
        let twice = config(&[("KEY_PEPPER", &pepper), ("KEY_PEPPERS_RETIRED", &pepper)]);
        assert!(twice.unwrap_err().contains("repeat"));
    }

    #[test]
    fn the_drain_is_a_part_of_the_grace() {
        let drain = |pairs: &[(&str, &str)]| config(pairs).map(|config| config.http.shutdown_drain.as_secs());
        assert_eq!(drain(&[]), Ok(5));
        for grace in ["0", "1"] {
            assert_eq!(drain(&[("SHUTDOWN_GRACE_SECONDS", grace)]), Ok(0));
        }
        assert_eq!(drain(&[("SHUTDOWN_DRAIN_SECONDS", "19")]), Ok(19));
        assert!(drain(&[("SHUTDOWN_DRAIN_SECONDS", "20")]).unwrap_err().contains("SHUTDOWN_GRACE_SECONDS"));
    }

    #[test]
    fn the_example_file_lists_every_setting_in_order() {
        let example = include_str!("../.env.example");
        let names: Vec<&str> = example
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once('='))
            .map(|(name, _)| name)
            .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'))
            .collect();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = "0123456789abcdef0123456789abcdef";
        let config = config(&[("JWT_SECRET", secret), ("DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
        let debug = format!("{config:?}");
        assert!(!debug.contains(secret) && !debug.contains("48, 49, 50") && !debug.contains("hunter2"), "{debug}");
    }
}
