//! The management API: one file per endpoint, [`view`] for the JSON.

pub mod create;
mod etag;
pub mod events;
pub mod get;
pub mod list;
mod paging;
pub mod revoke;
pub mod rotate;
pub mod update;
pub mod usage;
pub mod view;

use axum::{
    Router,
    routing::{delete, get, post},
};

use super::AppState;

/// Where the API keys are.
pub const PATH: &str = "/api/v1/api-keys";

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(PATH, post(create::create).get(list::list))
        .route("/api/v1/api-keys/self", get(get::get_self).delete(revoke::revoke_self))
        .route("/api/v1/api-keys/self/rotate", post(rotate::rotate_self))
        .route("/api/v1/api-keys/self/previous-secret", delete(rotate::end_own_previous_secret))
        .route("/api/v1/api-keys/self/usage", get(usage::own_usage))
        .route("/api/v1/api-keys/events", get(events::tenant_events))
        .route("/api/v1/api-keys/{id}/events", get(events::key_events))
        .route("/api/v1/api-keys/{id}/usage", get(usage::usage))
        .route("/api/v1/api-keys/{id}/rotate", post(rotate::rotate))
        .route("/api/v1/api-keys/{id}/previous-secret", delete(rotate::end_previous_secret))
        .route("/api/v1/api-keys/{id}", get(get::get).patch(update::update).delete(revoke::revoke))
}
