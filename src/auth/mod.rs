//! Authentication and access control: request → tenant, principal, decision.
//!
//! Whether a cached entry may be used now is decided by `cache::lease::Lease::valid_since`; [`cache`] asks it for all reads.
//!
//! Never guesses: two credentials, two hosts, or a forwarded host that differs are errors.
//!
//! Imports run one way: `error, headers, request ← cache, key_fetch ← api_key, github_keys, jwt ← authenticator, gauges`.

pub mod api_key;
pub mod authenticator;
pub mod cache;
pub mod client_address;
pub(crate) mod credential;
pub mod error;
pub(crate) mod gauges;
pub mod github_keys;
mod headers;
pub mod jwt;
pub mod key_fetch;
mod mac;
pub mod request;
mod request_span;
pub mod tenant_host;
mod verification_counter;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Parts in the order of their imports: a part names only parts of the lines before its own.
    const ORDER: [&[&str]; 5] = [
        &["error", "headers", "request", "client_address", "mac", "verification_counter"],
        &["cache", "key_fetch", "tenant_host", "credential", "request_span"],
        &["api_key", "github_keys", "jwt"],
        &["authenticator"],
        &["gauges"],
    ];

    fn code(path: &Path) -> String {
        if path.is_dir() {
            return fs::read_dir(path).unwrap().map(|entry| code(&entry.unwrap().path())).collect();
        }
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        lines.join("\n")
    }

    #[test]
    fn imports_between_parts_run_one_way() {
        let auth = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth");
        let parts: Vec<_> = fs::read_dir(&auth).unwrap().map(|entry| entry.unwrap().path()).collect();
        for part in parts.iter().filter(|part| !part.ends_with("mod.rs")) {
            let name = part.file_stem().unwrap().to_str().unwrap();
            let place = ORDER.iter().position(|line| line.contains(&name));
            let place = place.unwrap_or_else(|| panic!("{name} has no place in the order"));
            let code = code(part);
            for other in ORDER[place..].iter().copied().flatten().filter(|other| **other != name) {
                let named = |prefix| code.contains(&format!("{prefix}{other}::"));
                assert!(![" ", "{", "::", "("].into_iter().any(named), "{name} names {other}, which comes after it");
            }
        }
    }
}
