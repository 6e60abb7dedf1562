//! `GET /api/v1/me`: who is calling, for pages and clients.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Type},
};

use super::{
    authorized::{Admin, Authorized, OwnKey, Read},
    input::NoQuery,
    problem::{CALLER, Code, PARAMS, Problem, SERVER},
};
use crate::domain::{Clock, Principal};

const USER: &str = "user";
const API_KEY: &str = "api-key";

/// The caller
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeResponse {
    principal: PrincipalResponse,
    tenant: TenantResponse,
    /// What the credential grants, without implied scopes
    #[schema(example = "read,write")]
    scopes: String,
    /// Whether the caller may create keys: it has the scope `admin`, and if it is a key, it sent its current secret
    can_create: bool,
}

/// Who is calling
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Principal)]
struct PrincipalResponse {
    #[schema(schema_with = principal_kind)]
    kind: &'static str,
    /// The key's id, or the `sub` of the user's token (null: the token has none)
    #[schema(example = "a1b2c3d4-e5f6-7890-abcd-ef1234567890")]
    id: Option<String>,
    /// The key's name, or the user's as it stands in `createdBy`
    #[schema(example = "Zapier Sync")]
    name: String,
}

/// The tenant of the request's host
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantResponse {
    /// The first label of its host
    #[schema(example = "acme")]
    slug: String,
    /// Its name
    #[schema(example = "Acme")]
    name: String,
}

fn principal_kind() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .title(Some("PrincipalKind"))
        .enum_values(Some([USER, API_KEY]))
        .description(Some("Whether the caller is a user or an API key"))
}

/// Shows who is calling.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "getMe",
    tag = "The calling key",
    responses((status = 200, description = "The caller", body = MeResponse)),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS]))),
)]
pub(crate) async fn me(
    caller: Authorized<Read>,
    _: NoQuery,
    State(clock): State<Clock>,
) -> Result<Json<MeResponse>, Problem> {
    let mut transaction = caller.begin_read().await?;
    let own = caller.read_own_key(&mut transaction, &clock).await?;
    let slug = &caller.tenant.slug;
    let name = transaction.tenant_name(slug).await?.ok_or(Code::TenantNotFound)?;
    let scopes = own.as_ref().map_or(caller.principal.scopes(), |own| own.key.scopes);
    Ok(Json(MeResponse {
        principal: principal(&caller.principal, own.as_ref()),
        tenant: TenantResponse { slug: slug.to_string(), name },
        scopes: scopes.to_string(),
        can_create: caller.may::<Admin>(own.as_ref(), clock.now()),
    }))
}

fn principal(principal: &Principal, own: Option<&OwnKey>) -> PrincipalResponse {
    let (kind, id) = match principal {
        Principal::User { user, .. } => (USER, user.subject.clone()),
        Principal::ApiKey { id, .. } => (API_KEY, Some(id.to_string())),
    };
    let name = own.map_or_else(|| principal.audit_name(), |own| own.key.name.to_string());
    PrincipalResponse { kind, id, name }
}
