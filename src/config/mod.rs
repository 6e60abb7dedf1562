//! Every setting, typed, with its default. One file for each section.
//!
//! Settings are read from the environment and from `.env`; the environment has precedence. Secrets may be in files. A test keeps `.env.example`
//! in step. A bad setting stops the start, and so does a misspelt name: if `KEY_PEPER` were ignored, keys would be
//! created without a stamp.

mod console;
mod database;
mod env_file;
mod http;
mod jwt;
mod keys;
mod leaks;
mod limits;
mod mistaken_names;
mod reader;
mod replaceable;
mod revocation;
mod secret_file;
mod telemetry;

use std::collections::BTreeMap;

use chrono::TimeDelta;

pub use self::reader::ConfigError;
pub(crate) use self::{
    database::Database,
    http::Http,
    jwt::{ANY_AUDIENCE, Jwt},
    keys::Keys,
    leaks::Leaks,
    limits::Limits,
    revocation::Revocation,
    telemetry::{Log, TraceSampler, Traces},
};
use self::{
    reader::{BadSetting, Reader},
    secret_file::SECRETS,
};
use crate::{auth::tenant_host::TenantResolver, http::console::ConsoleSettings};

/// The names of all settings, in the order of `.env.example`.
pub(crate) const NAMES: &[&str] = &[
    "LISTEN_ADDR",
    "ADMIN_LISTEN_ADDR",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "TLS_CLIENT_CA_FILE",
    "BASE_DOMAIN",
    "PUBLIC_SCHEME",
    "TRUSTED_PROXIES",
    "PLAIN_HTTP",
    "CORS_ALLOWED_ORIGINS",
    "HTTP_MAX_CONNECTIONS",
    "SHUTDOWN_GRACE_SECONDS",
    "SHUTDOWN_DRAIN_SECONDS",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DATABASE_MIGRATION_URL",
    "DATABASE_MIGRATION_URL_FILE",
    "DATABASE_DIRECT_URL",
    "DATABASE_DIRECT_URL_FILE",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_CHECK_CONNECTIONS",
    "DATA_DIR",
    "JWT_SECRET",
    "JWT_SECRET_FILE",
    "JWT_PUBLIC_KEY_FILE",
    "JWT_JWKS_URL",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "JWT_ISSUER_TENANTS",
    "JWT_TENANT_CLAIM",
    "JWT_SCOPE_CLAIM",
    "JWT_SCOPE_MAP",
    "JWT_NAME_CLAIM",
    "CONSOLE_CLIENT_ID",
    "CONSOLE_RESOURCE",
    "CONSOLE_SCOPES",
    "CONSOLE_CONNECT_ORIGINS",
    "KEY_PEPPER",
    "KEY_PEPPER_FILE",
    "KEY_PEPPER_NEXT",
    "KEY_PEPPER_NEXT_FILE",
    "KEY_PEPPERS_RETIRED",
    "KEY_PEPPERS_RETIRED_FILE",
    "KEY_FALLBACK",
    "VERIFY_CACHE_ENTRIES",
    "LEASE_SECONDS",
    "STRICT_LEASE",
    "RECEIPT_MAX_WAIT_SECONDS",
    "LEAKS_GITHUB_KEYS_URL",
    "LEAKS_GITHUB_KEYS_FILE",
    "REDIS_URL",
    "REDIS_URL_FILE",
    "USAGE_RETENTION_DAYS",
    "ARGON2_MEMORY_KIB",
    "ARGON2_ITERATIONS",
    "ARGON2_PARALLELISM",
    "RUST_LOG",
    "LOG_FORMAT",
    "CORE_DUMPS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// Printed in place of a secret.
const HIDDEN: &str = "[hidden]";

/// The settings in effect.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) http: Http,
    pub(crate) database: Database,
    pub(crate) tenancy: TenantResolver,
    pub(crate) jwt: Jwt,
    pub(crate) console: ConsoleSettings,
    pub(crate) keys: Keys,
    pub(crate) revocation: Revocation,
    pub(crate) leaks: Leaks,
    pub(crate) limits: Limits,
    /// How long usage counts are stored.
    pub(crate) usage_retention: TimeDelta,
    pub(crate) log: Log,
    /// `None`: no traces are sent.
    pub(crate) traces: Option<Traces>,
    /// Whether the process may leave core dumps, and be debugged by another one.
    pub(crate) core_dumps: bool,
    /// Paths of files with secrets, by the name of the setting.
    secret_files: Vec<(&'static str, String)>,
    pub(crate) warnings: Vec<Warning>,
    /// The names of all settings that are set; others have their defaults.
    set_names: Vec<&'static str>,
    /// By `--demo`: the demo may run although the base domain is not `localhost`.
    pub(crate) demo: bool,
}

/// What is wrong about a variable, though it stops no start.
#[derive(Clone, Debug)]
pub(crate) struct Warning {
    pub(crate) name: String,
    /// The rest of a sentence that starts with the name.
    pub(crate) problem: String,
    /// The setting is unsafe as it is. False: the variable has no effect.
    pub(crate) is_unsafe: bool,
}

impl Warning {
    fn of_unsafe(name: &str, problem: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into(), is_unsafe: true }
    }
}

impl Config {
    /// Reads the process's environment, and the `.env` of the working folder.
    pub(crate) fn from_environment() -> Result<Self, ConfigError> {
        let folder = std::env::current_dir();
        let folder = folder.map_err(|error| ConfigError::of(".env", format!("cannot be looked for: {error}")))?;
        let mut values = BTreeMap::from_iter(env_file::read(&folder)?);
        values.extend(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
        );
        Self::from_values(values)
    }

    /// Reads settings from pairs of name and value.
    pub fn from_values(values: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut settings = Reader::new(values);
        let core_dumps = settings.parse("CORE_DUMPS", "allow", |text| match text {
            "allow" => Ok(true),
            "deny" => Ok(false),
            _ => Err("must be allow or deny"),
        });
        let http = Http::read(&mut settings);
        let database = Database::read(&mut settings);
        let tenancy = http::tenancy(&mut settings, &http);
        let jwt = Jwt::read(&mut settings);
        let mut config = Self {
            database,
            tenancy,
            http,
            console: console::read(&mut settings, &jwt.rules.issuers),
            jwt,
            keys: Keys::read(&mut settings),
            revocation: Revocation::read(&mut settings),
            leaks: Leaks::read(&mut settings),
            limits: Limits::read(&mut settings),
            usage_retention: TimeDelta::days(settings.number("USAGE_RETENTION_DAYS", 400, (1, 36_500), "400")),
            log: Log::read(&mut settings),
            traces: Traces::read(&mut settings),
            core_dumps: core_dumps.unwrap_or_default(),
            secret_files: Vec::new(),
            warnings: Vec::new(),
            set_names: settings.set_names(),
            demo: false,
        };
        if !config.is_local() {
            settings.warn_of_published_secrets();
        }
        config.secret_files = settings.secret_files();
        config.warnings = settings.take_warnings();
        settings.finish(config)
    }

    pub(crate) fn is_local(&self) -> bool {
        self.tenancy.base_domain == "localhost"
    }

    /// Whether a private PostgreSQL with generated secrets may take the place of settings that are missing.
    pub(crate) fn allows_demo(&self) -> bool {
        (self.demo || self.is_local()) && self.database.migration_url.is_none()
    }

    /// Fails where neither DATABASE_URL is set nor a private PostgreSQL may take its place.
    pub(crate) fn check_demo(&self) -> Result<(), ConfigError> {
        ConfigError::unless_empty(self.missing_database().into_iter().collect())
    }

    /// Fails where settings are missing without which a start would fail, and names all of them.
    pub(crate) fn check_complete(&self) -> Result<(), ConfigError> {
        let mut missing = Vec::from_iter(self.missing_database());
        let is_demo = self.database.url.is_none() && missing.is_empty();
        if self.jwt.is_empty() && !is_demo {
            let problem = "(or JWT_PUBLIC_KEY_FILE, JWT_JWKS_URL, JWT_SECRET) is not set: no user could log in";
            missing.push(BadSetting::new("JWT_ISSUER", problem, "https://login.rallycrm.io"));
        }
        if self.keys.peppers.current.is_none() && !missing.is_empty() {
            let problem = "is not set: a row that is forged in the database would be accepted";
            missing.push(BadSetting::new("KEY_PEPPER", problem, keys::EXAMPLE));
        }
        ConfigError::unless_empty(missing)
    }

    fn missing_database(&self) -> Option<BadSetting> {
        if self.database.url.is_some() || self.allows_demo() {
            return None;
        }
        if self.database.migration_url.is_some() {
            let problem =
                "is not set, and DATABASE_MIGRATION_URL is: the service does not work as the database's owner";
            return Some(BadSetting::new("DATABASE_URL", problem, database::EXAMPLE));
        }
        let problem = format!(
            "is not set. The demo, on a private PostgreSQL, is only for BASE_DOMAIN=localhost (it is {}), or with --demo",
            self.tenancy.base_domain
        );
        Some(BadSetting::new("DATABASE_URL", problem, database::EXAMPLE))
    }

    /// The settings in effect as pairs of name and value, in the order of [`NAMES`]. Secrets are hidden.
    pub(crate) fn effective(&self) -> Vec<(&'static str, String)> {
        let Self { http, database, tenancy, jwt, console, keys, revocation, leaks, limits, .. } = self;
        let Self { usage_retention, log, traces, core_dumps, secret_files, .. } = self;
        let file = |(_, name): &(_, &'static str)| {
            let path = secret_files.iter().find(|(of, _)| of == name);
            (*name, path.map(|(_, path)| path.clone()).unwrap_or_default())
        };
        let mut settings = [
            http.effective(),
            http::effective_tenancy(tenancy),
            database.effective(),
            jwt.effective(),
            console::effective(console),
            keys.effective(),
            revocation.effective(),
            leaks.effective(),
            limits.effective(),
            vec![("USAGE_RETENTION_DAYS", usage_retention.num_days().to_string())],
            log.effective(),
            vec![("CORE_DUMPS", if *core_dumps { "allow" } else { "deny" }.into())],
            SECRETS.iter().map(file).collect(),
            Traces::effective(traces.as_ref()),
        ]
        .concat();
        settings.sort_by_key(|(name, _)| NAMES.iter().position(|known| known == name));
        settings
    }
}

impl Config {
    /// The settings in effect, one a line. A comment says of each that is not set where its value is from.
    pub(crate) fn described(&self) -> String {
        let line = |(name, value): (&'static str, String)| {
            let origin = match name {
                _ if value.is_empty() || self.set_names.contains(&name) => "",
                "JWT_SECRET" | "KEY_PEPPER" => "  # kept in DATA_DIR",
                _ => "  # default",
            };
            format!("{name}={value}{origin}\n")
        };
        self.effective().into_iter().map(line).collect()
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn config(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_values(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))).map_err(|e| e.to_string())
    }

    #[test]
    fn effective_settings_are_complete_without_secrets_and_can_be_read_again() {
        let effective = |pairs: &[(&str, &str)]| config(pairs).unwrap().effective();
        let names: Vec<&str> = effective(&[]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, NAMES);
        let pepper = "p1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let set = effective(&[
            ("DATABASE_URL", "postgres://rally_api:hunter2@db/rally?sslmode=verify-full"),
            ("DATABASE_MIGRATION_URL", "postgres://owner:hunter2@db/rally"),
            ("JWT_SECRET", "hunter2 hunter2 hunter2 hunter2 hunter2"),
            ("JWT_ISSUER", "https://a.example,https://b.example"),
            ("JWT_ISSUER_TENANTS", "https://a.example = acme globex,https://b.example=*"),
            ("JWT_SCOPE_CLAIM", "realm_access.roles,scp"),
            ("JWT_SCOPE_MAP", "crm admins=admin, Reader=read"),
            ("JWT_NAME_CLAIM", "preferred_username"),
            ("KEY_PEPPER", pepper),
            ("KEY_PEPPER_NEXT", "p2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="),
            ("REDIS_URL", "rediss://rally:hunter2@redis:6380/1"),
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
        for hidden in ["hunter2", &pepper[3..], "ICEiIyQl"] {
            assert!(!text.contains(hidden), "{text}");
        }
        for shown in [
            "DATABASE_URL=postgres://rally_api@db:5432/rally?sslmode=verify-full\n",
            "DATABASE_MIGRATION_URL=postgres://owner@db:5432/rally?sslmode=prefer\n",
            "JWT_SECRET=[hidden]\n",
            "JWT_ISSUER_TENANTS=https://a.example=acme globex,https://b.example=*\n",
            "JWT_SCOPE_CLAIM=realm_access.roles,scp\n",
            "JWT_SCOPE_MAP=crm admins=admin,Reader=read\n",
            "JWT_NAME_CLAIM=preferred_username,sub\n",
            "KEY_PEPPER=p1:[hidden]\n",
            "REDIS_URL=rediss://rally:[hidden]@redis:6380/1\n",
            "TRUSTED_PROXIES=10.0.0.0/8,::1/128\n",
            "USAGE_RETENTION_DAYS=30\n",
            "OTEL_EXPORTER_OTLP_HEADERS=[hidden]\n",
            "OTEL_TRACES_SAMPLER=parentbased_traceidratio\n",
            "OTEL_TRACES_SAMPLER_ARG=0.25\n",
        ] {
            assert!(text.contains(shown), "{text}");
        }
        let again: Vec<_> = set.iter().filter(|(_, value)| !value.contains(HIDDEN)).cloned().collect();
        let pairs: Vec<(&str, &str)> = again.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (name, value) in effective(&pairs) {
            assert!(again.contains(&(name, value.clone())) || value.is_empty(), "{name}={value}");
        }
    }

    #[test]
    fn no_setting_is_required() {
        let config = config(&[]).unwrap();
        assert_eq!(config.http.listen_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(config.tenancy.base_domain, "localhost");
        assert!(config.database.url.is_none());
    }

    #[test]
    fn an_error_names_every_bad_setting_and_repeats_no_secret() {
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
    fn an_error_of_any_setting_names_it_and_repeats_no_secret() {
        // They hold no secrets, and their messages show the item that is wrong.
        const SHOWN: [&str; 4] = ["TRUSTED_PROXIES", "CORS_ALLOWED_ORIGINS", "CONSOLE_CONNECT_ORIGINS", "RUST_LOG"];
        let mut bad = 0;
        for name in NAMES {
            for value in [
                "hunter2",
                "hunter2=x=y",
                "p1:hunter2",
                "hunter2,hunter2",
                "https://hunter2:hunter2@host:port/hunter2?hunter2",
                "http://hunter2:hunter2@host/hunter2?hunter2",
                "postgres://hunter2:hunter2@host:port/hunter2",
                "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
            ] {
                let Err(error) = config(&[(name, value)]) else { continue };
                bad += 1;
                assert!(error.contains(name), "{name}: {error}");
                assert!(SHOWN.contains(name) || !error.contains("hunter2"), "{error}");
            }
        }
        assert!(bad > 100, "{bad}");
    }

    #[test]
    fn the_example_file_lists_every_setting_in_order() {
        let example = include_str!("../../.env.example");
        let names: Vec<&str> = example
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once('='))
            .map(|(name, _)| name)
            .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'))
            .collect();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let secret = "0123456789abcdef0123456789abcdef";
        let config = config(&[("JWT_SECRET", secret), ("DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
        let debug = format!("{config:?}");
        assert!(!debug.contains(secret) && !debug.contains("48, 49, 50") && !debug.contains("hunter2"), "{debug}");
    }
}
