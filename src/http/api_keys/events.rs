//! `GET /api/v1/api-keys/events`, and `GET /api/v1/api-keys/{id}/events`, also for `self`: the audit trail.

use super::{
    paging::{self, PageParams},
    responses::ApiKeyEventResponse,
    schema,
};
use crate::{
    domain::{ApiKeyId, Event, EventKind, KeyHint, KeyName, ScopeSet, Timestamp, format_timestamp},
    http::{
        authorized::{AnyKey, Authorized, Read, ReadOrItself},
        input::{InputFields, KeyIdParam, QueryParams},
        names::API_KEYS,
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
    },
    store::{EventFilter, Listed, Position},
};
use axum::{Json, http::HeaderMap, response::IntoResponse};
use form_urlencoded::Serializer;
use serde_json::json;
use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
struct EventParams {
    /// Only events of this type
    #[param(schema_with = schema::event_type, required = false)]
    r#type: Option<String>,
    /// Only events of this key
    #[param(value_type = Option<Uuid>, nullable = false)]
    key_id: Option<ApiKeyId>,
}

/// What a key grants, for the details of its events.
pub(super) fn grant_details(
    name: &KeyName,
    hint: KeyHint,
    scopes: ScopeSet,
    expires_at: Option<Timestamp>,
) -> serde_json::Value {
    json!({
        "name": name.as_str(),
        "keyHint": hint.to_string(),
        "scopes": scopes.to_string(),
        "expiresAt": expires_at.map(format_timestamp),
    })
}

type Events = (HeaderMap, Json<Vec<ApiKeyEventResponse>>);

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
    QueryParams(mut fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    let kind = fields.parse("type", parse_kind);
    let key = fields.parse("keyId", |text| ApiKeyId::parse(text).ok_or("must be a UUID"));
    let query = [("type", kind.map(|kind| kind.as_str().to_owned())), ("keyId", key.map(|key| key.to_string()))];
    read(&caller, EventFilter { kind, key }, &format!("{API_KEYS}/events"), &query, fields).await
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
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    let filter = EventFilter { kind: None, key: Some(id) };
    read(&caller, filter, &format!("{API_KEYS}/{id}/events"), &[], fields).await
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
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    let filter = EventFilter { kind: None, key: Some(caller.key_id()?) };
    read(&caller, filter, &format!("{API_KEYS}/self/events"), &[], fields).await
}

fn parse_kind(text: &str) -> Result<EventKind, String> {
    EventKind::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

async fn read<R>(
    caller: &Authorized<R>,
    filter: EventFilter,
    path: &str,
    query: &[(&str, Option<String>)],
    mut fields: InputFields,
) -> Result<Events, Problem> {
    let page = paging::read(&mut fields);
    fields.finish(&[])?;
    let mut transaction = caller.begin_read().await?;
    if let Some(key) = filter.key
        && !transaction.key_exists(key).await?
    {
        return Err(Code::KeyNotFound.into());
    }
    let Listed { items: mut events, total } = transaction.events(filter, paging::with_lookahead(page)).await?;
    let position = |event: &Event| Position { at: event.occurred_at, id: event.id };
    let mut own_filters = Serializer::new(String::new());
    own_filters.extend_pairs(query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    let headers = paging::finish(page, &mut events, total, &caller.url(path), own_filters, position);
    Ok((headers, Json(events.into_iter().map(ApiKeyEventResponse::from).collect())))
}
