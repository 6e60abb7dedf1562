//! API keys for Rally CRM: the management API under `/api/v1/api-keys`, and the check of a key
//! on every request.
//!
//! # The map
//! | room | owns |
//! |---|---|
//! | [`cli`] | the command line: `serve`, `migrate`, `tenant`, `events`, `token`, `config check`, `doctor`, `health` |
//! | [`app`] | the composition root: configuration → parts → router; starting and stopping |
//! | [`demo`] | what runs when nothing is configured: private PostgreSQL, demo tenant, commands to paste |
//! | [`config`] | every setting, typed, with its default |
//! | [`telemetry`] | logs; where spans of requests are sent |
//! | [`http`] | routes, layers, the accept loop, the one place where an error becomes a response, and the API's description of itself |
//! | [`auth`] | credential → principal: host, JWT, secret; argon2 and the stamp; what is remembered, and until when |
//! | [`usage`] | usage of keys: counted per cached secret, written in batches, read by plain queries; no request waits for it |
//! | [`store`] | PostgreSQL; the only room that names sqlx |
//! | [`domain`] | what it is about, in types; pure |
//!
//! # The import rule
//! Imports run one way: `domain ← store ← usage ← auth ← http ← app ← demo ← cli`. `config` and
//! `telemetry` are read by `app`, `demo` and `cli` only; every other part receives its own
//! section. The test `imports_run_one_way` reads the `use` lines and holds this.
//!
//! # A create, from outside in
//! `http::dispatch` (request id, span, panic → 500) → `http::middleware` (CORS, a task of its own) →
//! `http::authorized::Authorized` (host → tenant, one credential → principal, scope) →
//! `http::input` (a body, with every bad field named at once) →
//! `http::api_keys::create` (scopes and end within the caller's; a secret; argon2 on the pool
//! *before* the transaction; key, secret and event in one) → 201.
//!
//! # A request with an API key
//! Host → tenant → form of the secret (malformed: 401, and no question to the database) → what is remembered of the secret, by a
//! keyed digest ([`auth::cache`]), if the lease of the change feed holds ([`auth::cache::lease`]) → else
//! a ticket of the cache's epoch, and the secret's row by its lookup digest, in one round trip,
//! shared by those who ask for it at once ([`auth::cache::single_flight`]), and with other secrets that come meanwhile
//! (`store::batcher`) → its stamp in constant time (argon2 only
//! where there is no usable stamp, on a bounded pool) → remembered, if the epoch is still the
//! ticket's → revoked? expired, by the clock? → its use noted → the key as principal. Where all of it is
//! remembered, a gateway's question is answered at once, without a future ([`http::dispatch`]).
//!
//! # A request with a JWT
//! What is remembered of the token, while whoever vouches for its key still does ([`auth::jwt::verifier`]) →
//! else its signature under a configured key, or the one of its issuer's that it names
//! ([`auth::jwt::jwks`]: asked again, now and then, for a key that is not known) → `iss`, `aud` → `exp` and
//! `nbf`, by the clock → tenant → the user as principal.
//!
//! # A revoke
//! One guarded `UPDATE`, and its event, in one transaction; a trigger notifies at commit → the
//! commit tells the cache here to forget the key, and counts its epoch up → 204. Peers: the feed
//! ([`auth::cache::invalidation`]) receives the change and does the same. Where the feed breaks, the lease ends
//! and everything is forgotten; it is back only after a new LISTEN, and a heartbeat of one's own
//! that has come back through the database.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod http;
pub mod store;
pub mod telemetry;
pub mod usage;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Each room, and the rooms that it may name.
    const RULE: &[(&str, &[&str])] = &[
        ("domain", &[]),
        ("store", &["domain"]),
        ("usage", &["domain", "store"]),
        ("auth", &["domain", "store", "usage"]),
        ("http", &["domain", "store", "usage", "auth"]),
        ("config", &["domain", "store", "auth", "http"]),
        ("telemetry", &["config"]),
        ("app", &["domain", "store", "usage", "auth", "http", "config", "telemetry"]),
        ("demo", &["domain", "store", "auth", "http", "config", "app"]),
        ("cli", &["domain", "store", "auth", "http", "config", "telemetry", "app", "demo"]),
    ];

    fn sources(path: &Path, found: &mut Vec<(String, String)>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                sources(&entry.unwrap().path(), found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
        }
    }

    #[test]
    fn imports_run_one_way() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for (room, allowed) in RULE {
            let mut files = Vec::new();
            let folder = src.join(room);
            sources(if folder.is_dir() { &folder } else { &src }, &mut files);
            files.retain(|(path, _)| folder.is_dir() || path.ends_with(&format!("src/{room}.rs")));
            assert!(!files.is_empty(), "no room {room}");
            for (path, text) in files {
                for (other, _) in RULE.iter().filter(|(other, _)| other != room && !allowed.contains(other)) {
                    let named = text.contains(&format!("crate::{other}::")) || {
                        // `use crate::{ … }` groups, nested or not
                        text.split("use crate::{").skip(1).any(|group| {
                            let group = group.split(";\n").next().unwrap_or_default();
                            group.lines().any(|line| {
                                let line = line.trim();
                                line.starts_with(&format!("{other}::")) || line.trim_end_matches([',', '}']) == *other
                            })
                        })
                    };
                    assert!(!named, "{path} names `{other}`, which {room} may not");
                }
                let names_sqlx = text.contains("sqlx::") && *room != "store";
                assert!(!names_sqlx, "{path} names sqlx, which only `store` may");
            }
        }
    }
}
