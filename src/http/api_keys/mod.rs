//! The management API: one file per endpoint, [`responses`] for the JSON of all.

pub(super) mod callers;
pub(super) mod create;
pub(super) mod event_details;
mod event_examples;
pub(super) mod event_schemas;
pub(super) mod events;
pub(super) mod examples;
pub(super) mod get;
mod grants;
mod idempotency;
mod key_sorts;
mod limit_fields;
pub(super) mod list;
mod paging;
pub(super) mod policy;
mod policy_rules;
mod preconditions;
pub(super) mod receipt_response;
pub(super) mod receipts;
mod responses;
pub(super) mod revoke;
pub(super) mod rotate;
mod schema;
mod streamed_list;
pub(super) mod suspend;
pub(super) mod update;
pub(super) mod usage;
