//! `GET /api/v1/api-keys`

use axum::{extract::State, response::Response};
use chrono::TimeDelta;
use form_urlencoded::Serializer;
use utoipa::IntoParams;

use super::{
    paging::{self, PageParams},
    responses::ApiKeyResponse,
    schema,
    streamed_list::{self, Items, ListSource},
};
use crate::{
    auth::error::Error,
    domain::{Clock, Secret, Status, Timestamp},
    http::{
        authorized::{Authorized, Read},
        input::{InputFields, QueryParams},
        names::API_KEYS,
        problem::{CALLER, PARAMS, Problem, SERVER},
        response_buffers::ResponseBuffers,
    },
    store::{KeyFilter, Listed, Page, Position},
};

const MAX_SEARCH_CHARS: usize = 100;
const MAX_UNUSED_DAYS: i64 = 3650;

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
struct ListParams {
    /// Only keys with one of these states, comma-separated (default: all)
    #[param(schema_with = schema::statuses, required = false)]
    status: Option<String>,
    /// Only keys whose name contains this text (case-insensitive)
    #[param(schema_with = schema::search, required = false)]
    search: Option<String>,
    /// Only keys that were not used for this number of days; a key that was never used counts from its creation
    #[param(value_type = Option<i64>, minimum = 1, maximum = 3650, nullable = false, example = 90)]
    unused_for_days: Option<i64>,
}

fn read_filter(fields: &mut InputFields, now: Timestamp) -> KeyFilter {
    let statuses = fields.parse("status", parse_statuses).unwrap_or_else(|| Status::ALL.to_vec());
    let search = fields.parse("search", parse_search).flatten();
    let unused_for_days = fields.parse("unusedForDays", parse_days);
    KeyFilter { statuses, search, unused_since: unused_for_days.map(|days| now - TimeDelta::days(days)), now }
}

/// The query of the next page.
fn write_filter(filter: &KeyFilter) -> Serializer<'static, String> {
    let mut query = Serializer::new(String::new());
    if filter.statuses.len() < Status::ALL.len() {
        let names: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        query.append_pair("status", &names.join(","));
    }
    if let Some(search) = &filter.search {
        query.append_pair("search", search);
    }
    if let Some(since) = filter.unused_since {
        query.append_pair("unusedForDays", &(filter.now - since).num_days().to_string());
    }
    query
}

fn parse_statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    let statuses: Option<Vec<_>> = text.split(',').map(|name| Status::from_name(name.trim())).collect();
    let mut statuses = statuses.ok_or("must be a comma-separated list of active, suspended, expired, revoked")?;
    statuses.sort_by_key(|status| *status as u8);
    statuses.dedup();
    Ok(statuses)
}

fn parse_days(text: &str) -> Result<i64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|days| digits && (1..=MAX_UNUSED_DAYS).contains(days))
        .ok_or("must be a number from 1 to 3650")
}

fn parse_search(text: &str) -> Result<Option<String>, &'static str> {
    if text.chars().count() > MAX_SEARCH_CHARS {
        return Err("must have at most 100 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    // It would be in the URL of the next page, and in the logs of proxies.
    if Secret::is_in(text) {
        return Err("must not contain an API key's secret; search for its last 4 digits");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Lists the tenant's keys, newest first, including inactive ones.
///
/// All keys in one response, unless there is a `limit`.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys",
    operation_id = "listApiKeys",
    tag = "API keys",
    params(ListParams, PageParams),
    responses((status = 200, description = "The keys", body = [ApiKeyResponse], headers(("Link"), ("X-Total-Count")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS]))),
)]
pub(crate) async fn list(
    caller: Authorized<Read>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(mut fields): QueryParams,
) -> Result<Response, Problem> {
    let filter = read_filter(&mut fields, clock.now());
    let page = paging::read(&mut fields);
    fields.finish(&[])?;
    let (tenant, url, query) = (caller.tenant.id, caller.url(API_KEYS), write_filter(&filter).finish());
    streamed_list::respond(buffers, tenant, KeyList { caller, clock, filter }, page, &url, query).await
}

struct KeyList {
    caller: Authorized<Read>,
    clock: Clock,
    filter: KeyFilter,
}

impl ListSource for KeyList {
    type Item = ApiKeyResponse;

    async fn read(&self, page: Page) -> Result<Option<Items<ApiKeyResponse>>, Error> {
        let mut transaction = self.caller.begin_read_of_page(page, &self.clock).await?;
        let mut filter = self.filter.clone();
        let now = self.clock.now(); // after the wait for a connection
        filter.move_to(now);
        let Listed { items, total } = transaction.keys(&filter, page).await?;
        let keys = items.into_iter().map(|key| {
            let position = Position { at: key.created_at, id: key.id.0 };
            (position, ApiKeyResponse::new(key, now))
        });
        Ok(Some(Listed { items: keys.collect(), total }))
    }
}
