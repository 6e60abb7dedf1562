//! What the service is about, in types: pure, no I/O.
//!
//! Nothing here names axum, sqlx or tokio. A value of one of these types is valid by
//! construction: text from outside becomes a [`Slug`], a [`KeyName`], a [`ScopeSet`] or a
//! [`Secret`] through its `parse`, or does not become one.

pub mod access;
mod api_key;
mod audit_event;
mod clock;
mod principal;
mod random;
mod scope;
mod secret;
mod tenant;
mod usage_window;

pub use api_key::{ApiKey, ApiKeyId, ApiKeyPatch, FieldChange, InvalidName, KeyName, PreviousSecret, Status};
pub use audit_event::{ChainedEvent, Event, EventKind, NewEvent, hex};
pub use clock::{Clock, InvalidTimestamp, Timestamp, TimestampText, format_timestamp, parse_timestamp};
pub use principal::{Principal, RotatedAway};
pub use random::random_bytes;
pub use scope::{InvalidScopes, Scope, ScopeSet};
pub use secret::{KeyHint, LookupDigest, Secret};
pub use tenant::{InvalidSlug, Slug, Tenant, TenantId};
pub use usage_window::{InvalidWindow, UsageBucket, UsageInterval, UsageWindow};
