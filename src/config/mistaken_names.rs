//! Names of variables that are no settings of this service, but were most likely meant to be.

use super::NAMES;

/// What other programs call a setting, and what it is called here. A platform may set some of them for other reasons, so
/// they are warned of, and not refused as misspelt names are.
const ALIASES: &[(&str, &str)] = &[
    ("PORT", "LISTEN_ADDR"),
    ("HTTP_PORT", "LISTEN_ADDR"),
    ("SERVER_PORT", "LISTEN_ADDR"),
    ("BIND_ADDR", "LISTEN_ADDR"),
    ("BIND_ADDRESS", "LISTEN_ADDR"),
    ("LISTEN_ADDRESS", "LISTEN_ADDR"),
    ("METRICS_ADDR", "ADMIN_LISTEN_ADDR"),
    ("METRICS_PORT", "ADMIN_LISTEN_ADDR"),
    ("DOMAIN", "BASE_DOMAIN"),
    ("ROOT_DOMAIN", "BASE_DOMAIN"),
    ("TRUST_PROXY", "TRUSTED_PROXIES"),
    ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ("FORWARDED_ALLOW_IPS", "TRUSTED_PROXIES"),
    ("ALLOWED_ORIGINS", "CORS_ALLOWED_ORIGINS"),
    ("CORS_ORIGIN", "CORS_ALLOWED_ORIGINS"),
    ("CORS_ORIGINS", "CORS_ALLOWED_ORIGINS"),
    ("MAX_CONNECTIONS", "HTTP_MAX_CONNECTIONS"),
    ("SHUTDOWN_TIMEOUT", "SHUTDOWN_GRACE_SECONDS"),
    ("DB_URL", "DATABASE_URL"),
    ("PG_URL", "DATABASE_URL"),
    ("POSTGRES_URL", "DATABASE_URL"),
    ("DB_POOL_SIZE", "DATABASE_MAX_CONNECTIONS"),
    ("DATABASE_POOL_SIZE", "DATABASE_MAX_CONNECTIONS"),
    ("MIGRATION_DATABASE_URL", "DATABASE_MIGRATION_URL"),
    ("DIRECT_URL", "DATABASE_DIRECT_URL"),
    ("JWKS_URI", "JWT_JWKS_URL"),
    ("JWKS_URL", "JWT_JWKS_URL"),
    ("JWT_PUBLIC_KEY", "JWT_PUBLIC_KEY_FILE"),
    ("CONSOLE_ISSUER", "JWT_ISSUER"),
    ("OIDC_CLIENT_ID", "CONSOLE_CLIENT_ID"),
    ("OIDC_ISSUER", "JWT_ISSUER"),
    ("OIDC_ISSUER_URL", "JWT_ISSUER"),
    ("PEPPER", "KEY_PEPPER"),
    ("REDIS_URI", "REDIS_URL"),
    ("REDIS_HOST", "REDIS_URL"),
    ("VALKEY_URL", "REDIS_URL"),
    ("LOG", "RUST_LOG"),
    ("LOGLEVEL", "RUST_LOG"),
    ("LOG_FILTER", "RUST_LOG"),
    ("LOG_LEVEL", "RUST_LOG"),
    ("LOG_JSON", "LOG_FORMAT"),
];

/// Variables of other programs whose names are near to a setting's. Cargo sets `SSL_CERT_FILE` for the programs that it runs.
const OF_OTHER_PROGRAMS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

const OPENTELEMETRY: &str = "OTEL_";
/// Its variables for traces alone, which take precedence over the general ones.
const FOR_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";

/// The setting whose name was misspelt: almost the same name, in any case of letters.
pub(super) fn misspelt(name: &str) -> Option<&'static str> {
    if NAMES.contains(&name) || OF_OTHER_PROGRAMS.contains(&name) || ALIASES.iter().any(|(alias, _)| *alias == name) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let is_near = |known: &str| {
        let most = if known.len() >= 15 { 3 } else { 2 };
        known.len() >= 8 && strsim::damerau_levenshtein(&upper, known) <= most
    };
    NAMES.iter().copied().find(|known| is_near(known))
}

/// Why the variable has no effect, and what to set: the rest of a sentence that starts with its name. `is_set` tells of a
/// setting: where the right one is set too, all is well.
pub(super) fn warning(name: &str, value: &str, is_set: impl Fn(&'static str) -> bool) -> Option<String> {
    if let Some((_, setting)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return (!is_set(setting))
            .then(|| format!("is not a setting of this service and has no effect: set {setting}"));
    }
    if !name.starts_with(OPENTELEMETRY) || NAMES.contains(&name) {
        return None;
    }
    if name.ends_with("_PROTOCOL") {
        let problem =
            "has no effect: traces are sent by http/protobuf; name a collector that takes it, usually on port 4318";
        return (value != "http/protobuf").then(|| problem.to_owned());
    }
    if let Some(rest) = name.strip_prefix(FOR_TRACES) {
        return Some(format!("is not read and has no effect: set OTEL_EXPORTER_OTLP_{rest}"));
    }
    let read: Vec<_> = NAMES.iter().copied().filter(|known| known.starts_with(OPENTELEMETRY)).collect();
    Some(format!("is not read and has no effect: of OpenTelemetry's variables, only {} are", read.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_name_settings_and_are_none() {
        for (alias, setting) in ALIASES {
            assert!(NAMES.contains(setting) && !NAMES.contains(alias), "{alias}");
            assert_eq!(misspelt(alias), None, "{alias}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_a_setting_is_misspelt() {
        for (name, setting) in [
            ("KEY_PEPER", "KEY_PEPPER"),
            ("database_url", "DATABASE_URL"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
            ("CORS_ALLOW_ORIGINS", "CORS_ALLOWED_ORIGINS"),
            ("OTEL_TRACES_SAMPLER_ARGS", "OTEL_TRACES_SAMPLER_ARG"),
        ] {
            assert_eq!(misspelt(name), Some(setting), "{name}");
        }
        for name in ["PATH", "HOME", "PGPASSWORD", "RUST_BACKTRACE", "OTEL_TRACES_EXPORTER", "no_proxy", "KEY_PEPPER"]
            .into_iter()
            .chain(OF_OTHER_PROGRAMS)
        {
            assert_eq!(misspelt(name), None, "{name}");
        }
    }

    #[test]
    fn a_variable_without_effect_is_warned_of_unless_the_right_one_is_set() {
        let warned = |name, value| warning(name, value, |_| false);
        assert!(warned("PORT", "80").unwrap().ends_with("set LISTEN_ADDR"));
        assert_eq!(warning("PORT", "80", |name| name == "LISTEN_ADDR"), None);
        assert!(warned("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").unwrap().contains("http/protobuf"));
        assert_eq!(warned("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), None);
        let endpoint = warned("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x").unwrap();
        assert!(endpoint.ends_with("set OTEL_EXPORTER_OTLP_ENDPOINT"), "{endpoint}");
        assert!(warned("OTEL_SDK_DISABLED", "true").unwrap().contains("OTEL_SERVICE_NAME"));
        for name in ["OTEL_SERVICE_NAME", "PATH", "LISTEN_ADDR"] {
            assert_eq!(warned(name, "x"), None, "{name}");
        }
    }
}
