//! `POST /leaks`

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Findings, LeakReport, enqueue};
use crate::{
    auth::request::{Peer, RequestId},
    domain::{LeakUrl, Reporter},
    http::{
        AppState,
        input::{InputFields, NoQuery, read_json_body},
        operator_endpoints::ping_database,
        problem::{BODY, Code, HOST, Problem},
    },
};

/// Secrets in one report.
const MAX_SECRETS: usize = 1_000;
/// So many secrets with what JSON needs around them, and the longest URL.
const MAX_BYTES: usize = 64 * 1024;

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description; the members are read one by one")]
pub(in crate::http) struct LeakReportRequest {
    /// The secrets as they were found, whole; what is no secret of an API key has no effect
    #[schema(min_items = 1, max_items = 1000)]
    secrets: Vec<String>,
    /// Where they were found: an http:// or https:// URL (null: not said)
    #[schema(value_type = Option<String>, max_length = 2000)]
    url: Option<String>,
}

/// Always the same
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct LeakReportResponse {
    /// Always `accepted`
    #[schema(example = "accepted")]
    status: &'static str,
}

/// Reports secrets that were found where they should not be.
///
/// For whoever finds them: on any host, without a credential. A secret of a key is handled as the policy of its tenant
/// says (`onLeak`), a single one within a second. The response does not depend on whether there is such a key. At most 10 reports a minute
/// are accepted from one address.
#[utoipa::path(
    post,
    path = "/leaks",
    operation_id = "reportLeaks",
    tag = "Leaks",
    request_body(content = LeakReportRequest),
    responses((status = 202, description = "The report is accepted, whatever the secrets are", body = LeakReportResponse)),
    extensions(("x-problems" = json!([HOST, BODY, [Code::TooManyReports, Code::Busy, Code::DatabaseUnavailable]]))),
)]
pub(in crate::http) async fn report(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    Extension(request_id): Extension<RequestId>,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let proxies = &state.authenticator.tenancy.trusted_proxies;
    let address = proxies.client_address(request.headers(), peer.0);
    state.leaks.limit.take(address).map_err(|wait| Problem::too_many_reports(wait, state.clock.now()))?;
    let findings = read(read_json_body(request, MAX_BYTES).await?)?;
    // A report that cannot be handled now is refused. Whether a secret is one of a key is looked up after the
    // response, which therefore takes the same time for all.
    ping_database(&state.authenticator).await?;
    let Findings(places) = findings;
    let request_id = request_id.as_str().to_owned();
    let report = LeakReport { places, reporter: Reporter::Anyone, address, request_id, reply: None };
    enqueue(&state.leaks.of_anyone, report)?;
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(LeakReportResponse { status: "accepted" }))
        .into_response())
}

fn read(mut fields: InputFields) -> Result<Findings, Problem> {
    let secrets = fields.required_list("secrets", MAX_SECRETS, |text| Ok::<_, String>(text.to_owned()));
    if secrets.as_ref().is_some_and(Vec::is_empty) {
        fields.refuse("secrets", "must have at least one secret");
    }
    let url = fields.parse_nullable("url", LeakUrl::parse).flatten();
    fields.finish(&[])?;
    let mut findings = Findings::default();
    for secret in secrets.unwrap_or_default() {
        findings.add(&secret, url.as_ref());
    }
    Ok(findings)
}
