//! API keys for Rally CRM: the management API under `/api/v1/api-keys` (and `/api/v1/me`), and `/forward-auth`, by which a
//! gateway checks the credential of every request to the CRM.
//!
//! # Rooms
//! The modules at the top, called rooms, from the command line down:
//!
//! | room | contents |
//! |---|---|
//! | [`cli`] | the command line: the commands and what they share |
//! | `demo` | the start on a private PostgreSQL, for BASE_DOMAIN=localhost or with --demo: demo tenant, commands to paste |
//! | [`app`] | the composition root: builds the parts from the settings, serves, drains, stops; the job that suspends idle keys; the job that repeats lost revocations; the workers that handle reports of leaks |
//! | `telemetry` | the logger, and the export of traces |
//! | [`config`] | every setting, typed, with its default |
//! | [`http`] | server (HTTP or TLS), routes, middleware; the handlers, with `/leaks`; the console's page; the one place where an error becomes a response; the OpenAPI document |
//! | [`auth`] | tenant and credential of a request → principal; the verification cache; argon2, stamps and JWTs |
//! | [`limits`] | rate limits, counted in process or in Redis (quotas are in `usage`) |
//! | [`usage`] | the counters of usage, callers and quotas (`auth` calls them); the worker that writes them, records secret alerts, and removes old hours, callers, secrets and idempotency records |
//! | [`store`] | PostgreSQL: the only room that imports sqlx |
//! | `queue_worker` | the worker of a queue: what failed is retried without delaying the rest |
//! | `turns` | what tenants share (connections, cores, buffers) is used in turns |
//! | [`domain`] | types and rules without I/O, such as `access`: whether a request is allowed |
//!
//! The crate `local-postgres` runs the private PostgreSQL for the demo, the tests and the benchmarks.
//!
//! # The import rule
//! Rooms import one way: `domain ← queue_worker, turns ← store ← usage ← limits ← auth ← http ← config ← telemetry ← app ← demo ← cli`. Rooms below
//! `config` receive their settings as arguments. Within a folder, sibling modules import one another without a circle.
//! The tests in `import_rule` check both.
//!
//! # Glossary
//! | word | meaning |
//! |---|---|
//! | tenant | a customer of the CRM, known by its slug, the first label of the host: `acme.rallycrm.io` |
//! | API key | the named object that a tenant's admin manages: id, name, scopes, expiry. It keeps its id for life |
//! | secret | the credential `rk_live_…`. A key has one, or two during the overlap of a rotation |
//! | principal | the authenticated caller: a user (by JWT) or an API key |
//! | scope | `read`, `write` or `admin`. Each implies the ones before it |
//! | lookup digest | a hash of the secret that its row is found by |
//! | stamp | the HMAC of a secret under the pepper: what a check compares |
//! | pepper | a key outside the database, so that a forged row fails verification |
//! | cache hit | everything that a check needs is cached: it runs without I/O and without a future |
//! | single flight | requests that miss on the same entry at the same time share one lookup |
//! | batch | many lookups, or many usage counts, in one round trip to the database |
//! | invalidation | removes a changed key from the caches of all instances |
//! | change feed | the LISTEN connection on which invalidations and the messages of all instances arrive |
//! | revision | the name of a committed change: the id of its audit event |
//! | receipt | the proof that no instance uses a state from before a revision |
//! | lease | how long cached results may be used: until some seconds after the newest heartbeat that came back was sent |
//! | epoch | a counter that invalidations increment. A lookup that began in an earlier epoch is not cached |
//! | flush | writes the usage counts that have changed to the database |
//! | rate limit | so many requests in a window, all of which may come at once (the burst); the budget is how many may come now |
//! | quota | so many requests in a day or month, by the usage counts of all instances |
//! | decoy | a key that never works; its use is recorded |
//! | secret alert | an event about a secret: its use after its end, the use of a decoy, or its exposure over plain HTTP |
//! | leak report | secrets that somebody found, as `POST /leaks` or GitHub sends them; a worker deals with their keys |
//! | lost revocation | one that a failover or a restore has undone; it is refused meanwhile and made again |
//! | suspension | a key does not work until a time, or until it is resumed |
//! | policy | a tenant's rules for all of its keys |
//! | caller | an address and a program that use a key |
//! | idempotency record | a creation or rotation that can be repeated for a day, without its secret |
//! | drain | keeps serving after SIGTERM while `/readyz` fails, so that load balancers move on first |
//!
//! # Walks
//! **Creating a key.** `http::dispatch` gives the request its id and span, and turns a panic into a 500. The middleware
//! runs the handler in a task of its own, so that a disconnect cannot cancel a transaction. The extractor
//! `http::authorized` authenticates the caller and requires the scope `admin`, and of a key its current secret.
//! `http::input` reads the body and reports every bad field at once. `http::api_keys::create` limits scopes and expiry to
//! the caller's own, generates the secret, hashes it with argon2 *before* the transaction, and inserts key, secret and
//! audit event in one transaction. The 201 is the only response that contains the secret; a repetition with the same
//! `Idempotency-Key` derives it again (`auth::api_key::derivation`).
//!
//! **A request with an API key.** `auth::tenant_host` finds the tenant, `auth::credential` the secret. A malformed
//! secret is refused without a lookup. On a cache hit under a valid lease (`auth::cache`), `auth::authenticator` has the
//! facts at once. On a miss it takes the current epoch, looks up the secret's row by its digest (single flight, then
//! `store::batcher`), and compares the stamp in constant time (a decoy is refused first); without a usable stamp it verifies the argon2 hash
//! on a bounded pool (`auth::api_key`), unless KEY_FALLBACK=deny. The result is cached if the epoch is unchanged. From the facts,
//! `domain::access` allows or denies; then the key's rate limit decides (`limits`: in process or in Redis), then its quota
//! (`usage::quotas`). `usage` counts the request, and the key is the principal.
//!
//! **A request with a JWT.** A verified token is cached while its signing key is trusted. Otherwise `auth::jwt` verifies
//! the signature with a configured key, or with a key of its issuer's key set: the one that `kid` names, or any for a token
//! without `kid`. The set is fetched again (rarely) if none of its keys verifies the token. It then checks `iss`, `aud`,
//! `exp`, `nbf`, the user's name and the tenant claim (`auth::jwt::claims`). The user is the principal, with the scopes of
//! the first claim that has any (`auth::jwt::scope_claims`).
//!
//! **Revoking a key.** One guarded `UPDATE` and its audit event are committed; a trigger notifies at the commit. The
//! instance invalidates its own cache, increments the epoch, and responds 204. Other instances receive the notification
//! (`auth::cache::invalidation`) and do the same. If the feed breaks, the cache is used until the lease ends, a lookup
//! reaches another server, or a new LISTEN empties the cache. Then every check asks the database, until a heartbeat has come back. With `Prefer: wait` the response
//! comes when every instance has acknowledged the change, or lost its lease (`auth::cache::protocol`).

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
mod demo;
pub mod domain;
pub mod http;
#[cfg(test)]
mod import_rule;
pub mod limits;
mod queue_worker;
#[allow(clippy::disallowed_types, reason = "the room that owns the pools")]
pub mod store;
mod telemetry;
mod turns;
pub mod usage;
