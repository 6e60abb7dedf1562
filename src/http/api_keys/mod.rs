//! The management API: one file per endpoint, [`responses`] for the JSON.

pub mod create;
mod etag;
pub mod events;
pub mod get;
pub mod list;
mod paging;
pub mod responses;
pub mod revoke;
pub mod rotate;
mod schema;
pub mod update;
pub mod usage;

use utoipa_axum::{router::OpenApiRouter, routes};

use super::AppState;

/// Where the API keys are.
pub const PATH: &str = "/api/v1/api-keys";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get_self, revoke::revoke_self))
        .routes(routes!(rotate::rotate_self))
        .routes(routes!(rotate::end_own_previous_secret))
        .routes(routes!(usage::own_usage))
        .routes(routes!(events::tenant_events))
        .routes(routes!(events::key_events))
        .routes(routes!(usage::usage))
        .routes(routes!(rotate::rotate))
        .routes(routes!(rotate::end_previous_secret))
        .routes(routes!(get::get, update::update, revoke::revoke))
}
