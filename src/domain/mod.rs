//! The domain's types and rules: pure, without I/O.
//!
//! Nothing here imports axum, sqlx or tokio. Values are valid by construction: input becomes a [`Slug`], a
//! [`KeyName`], a [`ScopeSet`] or a [`Secret`] only through its `parse`.

pub mod access;
mod addresses;
mod api_key;
mod audit_event;
mod clock;
mod fold_case;
mod free_text;
mod gcra;
mod idempotency_key;
mod idle;
mod key_name;
mod leak;
mod limits;
mod moment;
mod policy;
mod principal;
mod random;
mod receipt;
mod remaining_limits;
mod revocation_record;
mod scope;
mod secret;
mod tenant;
mod usage_window;
pub mod visible_text;

pub(crate) use addresses::{AddressBlock, AllowedAddresses, client_network};
pub(crate) use api_key::{ApiKey, ApiKeyPatch, FieldChange, Grant, PreviousSecret, Status, Suspension};
pub(crate) use audit_event::{ChainedEvent, Event, EventKind, NewEvent, hex};
pub(crate) use clock::{TimestampText, parse_timestamp};
pub(crate) use fold_case::fold_case;
pub(crate) use free_text::{Description, Reason};
pub(crate) use idempotency_key::IdempotencyKey;
pub(crate) use idle::{IdleAction, IdleFacts, IdleRule};
pub(crate) use key_name::KeyName;
pub(crate) use leak::{LeakAction, LeakUrl, Reporter};
pub(crate) use limits::{KeyLimits, LimitsPatch, Quota, QuotaPeriod};
pub(crate) use policy::{OnLeak, Policy, PolicyFacts, Violation};
pub(crate) use principal::{Principal, RotatedAway, User};
pub(crate) use random::random_bytes;
pub(crate) use remaining_limits::{QuotaUse, RemainingLimits};
pub(crate) use secret::LookupDigest;
pub(crate) use usage_window::{UsageBucket, UsageInterval, UsageWindow};
// Tests and benchmarks use these.
pub use api_key::ApiKeyId;
pub use clock::{Clock, Timestamp, clock_offset, format_timestamp};
pub use gcra::{Budget, RateDecision};
pub use limits::RateLimit;
pub use moment::Moment;
pub use receipt::{Receipt, Revision};
pub use revocation_record::RevocationRecord;
pub use scope::{Scope, ScopeSet};
pub use secret::{KeyHint, Secret};
pub use tenant::{ExternalId, Slug, Tenant, TenantId};
