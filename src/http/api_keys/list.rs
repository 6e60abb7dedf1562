//! `GET /api/v1/api-keys`

use std::collections::HashMap;

use axum::{extract::State, response::Response};
use chrono::TimeDelta;
use form_urlencoded::Serializer;
use utoipa::IntoParams;

use super::{
    key_sorts::{parse_sort, sort_name},
    paging::{self, PageParams, Paging},
    preconditions::{ListPreconditionParams, Preconditions},
    responses::ApiKeyResponse,
    schema,
    streamed_list::{self, Items, ListSource},
};
use crate::{
    auth::error::Error,
    domain::{ApiKeyId, Clock, Scope, Secret, Status, Timestamp, UsageBucket, UsageWindow, format_timestamp},
    http::{
        authorized::{Authorized, Read},
        input::{InputFields, QueryParams, parse_principal, parse_query_timestamp},
        names::API_KEYS,
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
        response_buffers::ResponseBuffers,
    },
    store::{self, KeyFilter, KeyOrder, Listed, Page, ReadTx},
};

const MAX_SEARCH_CHARS: usize = 100;
const MAX_UNUSED_DAYS: i64 = 3650;
/// Of a list with usage, of which a key may have 720 rows.
const MAX_LIMIT_WITH_USAGE: i64 = 100;

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
struct ListParams {
    /// Only keys with one of these states, comma-separated (default: all)
    #[param(schema_with = schema::statuses, required = false)]
    status: Option<String>,
    /// Only keys whose name or description contains this text (case-insensitive)
    #[param(schema_with = schema::search, required = false)]
    search: Option<String>,
    /// Only keys that have this scope, also if another one implies it
    #[param(schema_with = schema::scope, required = false)]
    scope: Option<Scope>,
    /// Only keys whose `createdBy` is exactly this
    #[param(schema_with = schema::created_by, required = false)]
    created_by: Option<String>,
    /// Only keys that expire before this time, or have expired
    #[param(value_type = Option<DateTime<Utc>>, nullable = false, example = "2030-01-01T00:00:00Z")]
    expires_before: Option<Timestamp>,
    /// Only keys that were not used for this number of days; a key that was never used counts from its creation
    #[param(value_type = Option<i64>, minimum = 1, maximum = 3650, nullable = false, example = 90)]
    unused_for_days: Option<i64>,
    /// The order, descending with `-` (default: `-createdAt`)
    #[param(schema_with = schema::sort, required = false)]
    sort: Option<KeyOrder>,
    /// `usage`: with the requests of each of the last 30 days. Needs a `limit` of at most 100
    #[param(schema_with = schema::include, required = false)]
    include: Option<String>,
}

fn read_filter(fields: &mut InputFields, now: Timestamp) -> KeyFilter {
    let unused_for_days = fields.parse("unusedForDays", parse_days);
    KeyFilter {
        statuses: fields.parse("status", parse_statuses).unwrap_or_else(|| Status::ALL.to_vec()),
        search: fields.parse("search", parse_search).flatten(),
        scope: fields.parse("scope", |name| Scope::from_name(name).ok_or("must be one of read, write, admin")),
        created_by: fields.parse("createdBy", parse_principal),
        expires_before: fields.parse("expiresBefore", parse_query_timestamp),
        unused_since: unused_for_days.map(|days| now - TimeDelta::days(days)),
        now,
    }
}

/// The query of the next page.
fn write_query(filter: &KeyFilter, order: KeyOrder, with_usage: bool) -> String {
    let KeyFilter { statuses, search, scope, created_by, expires_before, unused_since, now } = filter;
    let mut query = Serializer::new(String::new());
    if statuses.len() < Status::ALL.len() {
        let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        query.append_pair("status", &names.join(","));
    }
    let others = [
        ("search", search.clone()),
        ("scope", scope.map(|scope| scope.to_string())),
        ("createdBy", created_by.clone()),
        ("expiresBefore", expires_before.map(format_timestamp)),
        ("unusedForDays", unused_since.map(|since| (*now - since).num_days().to_string())),
        ("sort", (order != KeyOrder::NEWEST_FIRST).then(|| sort_name(order).to_owned())),
        ("include", with_usage.then(|| "usage".to_owned())),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    query.finish()
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

/// Lists the tenant's keys, including inactive ones.
///
/// All keys in one response, unless there is a `limit`.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys",
    operation_id = "listApiKeys",
    tag = "API keys",
    params(ListParams, PageParams, ListPreconditionParams),
    responses(
        (
            status = 200,
            description = "The keys",
            body = [ApiKeyResponse],
            headers(("Link"), ("X-Total-Count"), ("ETag")),
        ),
        (status = 304, description = "The list is as `If-None-Match` names it", headers(("ETag"))),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::PreconditionFailed]]))),
)]
pub(crate) async fn list(
    caller: Authorized<Read>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    conditions: Preconditions,
    QueryParams(mut fields): QueryParams,
) -> Result<Response, Problem> {
    let filter = read_filter(&mut fields, clock.now());
    let order = fields.parse("sort", parse_sort);
    let order = order.unwrap_or(KeyOrder::NEWEST_FIRST);
    let page = paging::read(&mut fields, order);
    let with_usage =
        fields.parse("include", |name| if name == "usage" { Ok(()) } else { Err("must be usage") }).is_some();
    if with_usage && fields.is_good("limit") && page.limit.is_none_or(|limit| limit > MAX_LIMIT_WITH_USAGE) {
        fields.refuse("include", "needs a `limit` of at most 100");
    }
    fields.finish(&[])?;
    let query = write_query(&filter, order, with_usage);
    let (tenant, url) = (caller.tenant.id, caller.url(API_KEYS));
    let list = KeyList { caller, clock, filter, order, with_usage };
    let paging = Paging { page, order };
    streamed_list::respond(buffers, tenant, list, paging, &url, query, Some(&conditions)).await
}

struct KeyList {
    caller: Authorized<Read>,
    clock: Clock,
    filter: KeyFilter,
    order: KeyOrder,
    with_usage: bool,
}

impl KeyList {
    /// The requests with each of the keys on each of the last 30 days.
    async fn usage(
        transaction: &mut ReadTx,
        keys: &[ApiKeyId],
        now: Timestamp,
    ) -> Result<HashMap<ApiKeyId, Vec<i64>>, store::Error> {
        let Ok(window) = UsageWindow::new(None, None, None, now) else { return Ok(HashMap::new()) };
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for (key, start, requests) in transaction.requests_of(keys, &window).await? {
            by_key.entry(key).or_default().push(UsageBucket { requests, ..UsageBucket::empty(start) });
        }
        let daily = |mut counted: Vec<UsageBucket>| {
            counted.sort_by_key(|bucket| bucket.start);
            window.fill(counted).into_iter().map(|bucket| bucket.requests).collect()
        };
        Ok(keys.iter().map(|key| (*key, daily(by_key.remove(key).unwrap_or_default()))).collect())
    }
}

impl ListSource for KeyList {
    type Item = ApiKeyResponse;

    async fn read(&self, page: &Page) -> Result<Option<Items<ApiKeyResponse>>, Error> {
        let mut transaction = self.caller.begin_read_of_page(page, &self.clock).await?;
        let mut filter = self.filter.clone();
        let now = self.clock.now(); // after the wait for a connection
        filter.move_to(now);
        let Listed { items, total } = transaction.keys(&filter, self.order, page).await?;
        let ids: Vec<_> = items.iter().map(|(_, key)| key.id).collect();
        let mut usage = if self.with_usage { Self::usage(&mut transaction, &ids, now).await? } else { HashMap::new() };
        let keys = items.into_iter().map(|(position, key)| {
            let usage = usage.remove(&key.id);
            (position, ApiKeyResponse { usage, ..ApiKeyResponse::new(key, now) })
        });
        Ok(Some(Listed { items: keys.collect(), total }))
    }
}
