//! `GET /api/v1/api-keys/events`, and `GET /api/v1/api-keys/{id}/events`, also for `self`: the audit trail.

use super::{
    event_details::{self, GrantDetails, SuspensionDetails},
    paging::{self, PageParams, Paging},
    receipt_response::ReceiptDetails,
    responses::ApiKeyEventResponse,
    schema,
    streamed_list::{self, Items, ListSource},
};
use crate::{
    auth::error::Error,
    domain::{ApiKey, ApiKeyId, Clock, EventKind, Grant, Reason, Receipt, Revision, Timestamp, format_timestamp},
    http::{
        authorized::{AnyKey, Authorized, Read, ReadOrItself, Requirement},
        input::{InputFields, KeyIdParam, QueryParams, parse_principal, parse_query_timestamp},
        names::API_KEYS,
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
        response_buffers::ResponseBuffers,
    },
    store::{EventFilter, KeyOrder, Listed, Page, Position},
};
use axum::{extract::State, response::Response};
use form_urlencoded::Serializer;
use utoipa::IntoParams;

/// Of every list of events.
const ORDER: KeyOrder = KeyOrder::NEWEST_FIRST;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
struct EventParams {
    /// Only events of these types, comma-separated (default: all)
    #[param(schema_with = schema::event_types, required = false)]
    r#type: Option<String>,
    /// Only events whose `actor` is exactly this
    #[param(schema_with = schema::actor, required = false)]
    actor: Option<String>,
    /// Only events at this time or later
    #[param(value_type = Option<DateTime<Utc>>, nullable = false, example = "2026-11-01T00:00:00Z")]
    since: Option<Timestamp>,
    /// Only events before this time
    #[param(value_type = Option<DateTime<Utc>>, nullable = false, example = "2026-12-01T00:00:00Z")]
    until: Option<Timestamp>,
}

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameter is read by its name")]
struct EventKeyParam {
    /// Only events of this key
    #[param(value_type = Option<Uuid>, nullable = false, example = "a1b2c3d4-e5f6-7890-abcd-ef1234567890")]
    key_id: Option<ApiKeyId>,
}

fn read_filter(fields: &mut InputFields, key: Option<ApiKeyId>) -> EventFilter {
    let filter = EventFilter {
        key,
        kinds: fields.parse("type", parse_kinds),
        actor: fields.parse("actor", parse_principal),
        since: fields.parse("since", parse_query_timestamp),
        until: fields.parse("until", parse_query_timestamp),
    };
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && since >= until
    {
        fields.refuse("until", "must be after `since`");
    }
    filter
}

/// The query of the next page.
fn write_query(filter: &EventFilter) -> String {
    let EventFilter { kinds, key: _, actor, since, until } = filter;
    let names = |kinds: &Vec<EventKind>| kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
    let parameters = [
        ("type", kinds.as_ref().map(names)),
        ("actor", actor.clone()),
        ("since", since.map(format_timestamp)),
        ("until", until.map(format_timestamp)),
    ];
    let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Serializer::new(String::new()).extend_pairs(given).finish()
}

/// What a key grants, for the details of its events; of a revoked key: what it granted, and why it was revoked.
pub(crate) fn grant_details(grant: &Grant, reason: Option<&Reason>) -> serde_json::Value {
    event_details::json(&GrantDetails::new(grant, reason))
}

/// The suspension of a key, or what the resumption ended, for the details of its events.
pub(crate) fn suspension_details(key: &ApiKey, reason: Option<&Reason>) -> serde_json::Value {
    let until = key.suspension.and_then(|suspension| suspension.until);
    event_details::json(&SuspensionDetails::new(&key.name, key.hint, until, reason))
}

/// The receipt of a revision, for the details of its event.
pub(crate) fn receipt_details(revision: Revision, receipt: &Receipt) -> serde_json::Value {
    event_details::json(&ReceiptDetails::new(revision, receipt))
}

/// Lists the tenant's events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/events",
    operation_id = "listEvents",
    tag = "Usage and events",
    params(EventKeyParam, EventParams, PageParams),
    responses((status = 200, description = "The events", body = [ApiKeyEventResponse], headers(("Link"), ("X-Total-Count")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound]]))),
)]
pub(crate) async fn tenant_events(
    caller: Authorized<Read>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(mut fields): QueryParams,
) -> Result<Response, Problem> {
    let key = fields.parse("keyId", |text| ApiKeyId::parse(text).ok_or("must be a UUID"));
    let filter = read_filter(&mut fields, key);
    let mut query = write_query(&filter);
    if let Some(key) = key {
        query = Serializer::new(query).append_pair("keyId", &key.to_string()).finish();
    }
    respond(EventList { caller, clock, filter }, buffers, &format!("{API_KEYS}/events"), query, fields).await
}

/// Lists one key's events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/{id}/events",
    operation_id = "listApiKeyEvents",
    tag = "Usage and events",
    params(KeyIdParam, EventParams, PageParams),
    responses((status = 200, description = "The events", body = [ApiKeyEventResponse], headers(("Link"), ("X-Total-Count")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound]]))),
)]
pub(crate) async fn key_events(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(mut fields): QueryParams,
) -> Result<Response, Problem> {
    let filter = read_filter(&mut fields, Some(id));
    let query = write_query(&filter);
    respond(EventList { caller, clock, filter }, buffers, &format!("{API_KEYS}/{id}/events"), query, fields).await
}

/// Lists the calling key's events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self/events",
    operation_id = "listOwnEvents",
    tag = "The calling key",
    params(EventParams, PageParams),
    responses((status = 200, description = "The events", body = [ApiKeyEventResponse], headers(("Link"), ("X-Total-Count")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired]]))),
)]
pub(crate) async fn own_events(
    caller: Authorized<AnyKey>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(mut fields): QueryParams,
) -> Result<Response, Problem> {
    let filter = read_filter(&mut fields, Some(caller.key_id()?));
    let query = write_query(&filter);
    respond(EventList { caller, clock, filter }, buffers, &format!("{API_KEYS}/self/events"), query, fields).await
}

fn parse_kinds(text: &str) -> Result<Vec<EventKind>, String> {
    let kinds: Option<_> = text.split(',').map(|name| EventKind::from_name(name.trim())).collect();
    kinds.ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("must be a comma-separated list of {}", names.join(", "))
    })
}

async fn respond<R: Requirement>(
    list: EventList<R>,
    buffers: ResponseBuffers,
    path: &str,
    query: String,
    mut fields: InputFields,
) -> Result<Response, Problem> {
    let page = paging::read(&mut fields, ORDER);
    fields.finish(&[])?;
    let (tenant, url) = (list.caller.tenant.id, list.caller.url(path));
    streamed_list::respond(buffers, tenant, list, Paging { page, order: ORDER }, &url, query, None).await
}

struct EventList<R> {
    caller: Authorized<R>,
    clock: Clock,
    filter: EventFilter,
}

impl<R: Requirement> ListSource for EventList<R> {
    type Item = ApiKeyEventResponse;

    async fn read(&self, page: &Page) -> Result<Option<Items<ApiKeyEventResponse>>, Error> {
        let mut transaction = self.caller.begin_read_of_page(page, &self.clock).await?;
        if let Some(key) = self.filter.key
            && !transaction.key_exists(key).await?
        {
            return Ok(None);
        }
        let Listed { items, total } = transaction.events(&self.filter, page).await?;
        let events = items.into_iter().map(|event| {
            let position = Position::at(event.occurred_at, event.id);
            (position, ApiKeyEventResponse::from(event))
        });
        Ok(Some(Listed { items: events.collect(), total }))
    }
}
