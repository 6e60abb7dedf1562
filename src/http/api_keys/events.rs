//! `GET /api/v1/api-keys/events`, and `GET /api/v1/api-keys/{id}/events`, also for `self`: the audit trail.

use super::{
    event_details::{self, GrantDetails, ReceiptDetails, SuspensionDetails},
    paging::{self, PageParams, Paging},
    responses::ApiKeyEventResponse,
    schema,
    streamed_list::{self, Items, ListSource},
};
use crate::{
    auth::error::Error,
    domain::{
        ApiKey, ApiKeyId, Clock, EventKind, KeyHint, KeyLimits, KeyName, Reason, Receipt, Revision, ScopeSet, Timestamp,
    },
    http::{
        authorized::{AnyKey, Authorized, Read, ReadOrItself, Requirement},
        input::{InputFields, KeyIdParam, QueryParams},
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
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
struct EventParams {
    /// Only events of this type
    #[param(schema_with = schema::event_type, required = false)]
    r#type: Option<String>,
    /// Only events of this key
    #[param(value_type = Option<Uuid>, nullable = false, example = "a1b2c3d4-e5f6-7890-abcd-ef1234567890")]
    key_id: Option<ApiKeyId>,
}

/// What a key grants, for the details of its events.
pub(crate) fn grant_details(
    name: &KeyName,
    hint: KeyHint,
    scopes: ScopeSet,
    expires_at: Option<Timestamp>,
    limits: &KeyLimits,
) -> serde_json::Value {
    event_details::json(&GrantDetails::new(name, hint, scopes, expires_at, limits))
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
    params(EventParams, PageParams),
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
    let kind = fields.parse("type", parse_kind);
    let key = fields.parse("keyId", |text| ApiKeyId::parse(text).ok_or("must be a UUID"));
    let query = [("type", kind.map(|kind| kind.as_str().to_owned())), ("keyId", key.map(|key| key.to_string()))];
    let list = EventList { caller, clock, filter: EventFilter { kind, key } };
    respond(list, buffers, &format!("{API_KEYS}/events"), &query, fields).await
}

/// Lists one key's events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/{id}/events",
    operation_id = "listApiKeyEvents",
    tag = "Usage and events",
    params(KeyIdParam, PageParams),
    responses((status = 200, description = "The events", body = [ApiKeyEventResponse], headers(("Link"), ("X-Total-Count")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound]]))),
)]
pub(crate) async fn key_events(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(fields): QueryParams,
) -> Result<Response, Problem> {
    let list = EventList { caller, clock, filter: EventFilter { kind: None, key: Some(id) } };
    respond(list, buffers, &format!("{API_KEYS}/{id}/events"), &[], fields).await
}

/// Lists the calling key's events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self/events",
    operation_id = "listOwnEvents",
    tag = "The calling key",
    params(PageParams),
    responses((status = 200, description = "The events", body = [ApiKeyEventResponse], headers(("Link"), ("X-Total-Count")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired]]))),
)]
pub(crate) async fn own_events(
    caller: Authorized<AnyKey>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(fields): QueryParams,
) -> Result<Response, Problem> {
    let filter = EventFilter { kind: None, key: Some(caller.key_id()?) };
    respond(EventList { caller, clock, filter }, buffers, &format!("{API_KEYS}/self/events"), &[], fields).await
}

fn parse_kind(text: &str) -> Result<EventKind, String> {
    EventKind::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

async fn respond<R: Requirement>(
    list: EventList<R>,
    buffers: ResponseBuffers,
    path: &str,
    query: &[(&str, Option<String>)],
    mut fields: InputFields,
) -> Result<Response, Problem> {
    let page = paging::read(&mut fields, ORDER);
    fields.finish(&[])?;
    let own_filters = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let own_filters = Serializer::new(String::new()).extend_pairs(own_filters).finish();
    let (tenant, url) = (list.caller.tenant.id, list.caller.url(path));
    streamed_list::respond(buffers, tenant, list, Paging { page, order: ORDER }, &url, own_filters, None).await
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
        let Listed { items, total } = transaction.events(self.filter, page).await?;
        let events = items.into_iter().map(|event| {
            let position = Position::at(event.occurred_at, event.id);
            (position, ApiKeyEventResponse::from(event))
        });
        Ok(Some(Listed { items: events.collect(), total }))
    }
}
