//! Receipts: `Prefer: wait=N` on a change that takes something away, and `GET /api/v1/api-keys/receipts/{revision}`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRef, FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{Instrument as _, warn};
use utoipa::IntoParams;

use super::{
    events::receipt_details,
    preconditions::Shown,
    receipt_response::{self, ReceiptDetails, ReceiptResponse},
    responses::ApiKeyCreatedResponse,
};
use crate::{
    auth::cache::receipts::{Progress, Receipts, Wait},
    domain::{ApiKeyId, Clock, EventKind, Moment, NewEvent, Receipt, Revision},
    http::{
        authorized::{Authorized, Read, ReceiptLog, Requirement},
        input::{NoQuery, RevisionParam},
        names::{API_KEYS, PREFERENCE_APPLIED, RALLY_RECEIPT},
        prefer::{self, MaxWait},
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
    },
};

/// How long a response waits until its receipt is recorded in the audit trail.
const RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// The parameter for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "for the description; the header is read by `ReceiptWanted`")]
pub(super) struct PreferParams {
    /// `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
    /// change any more. Anything else is ignored
    #[param(rename = "Prefer", nullable = false, example = "wait=10")]
    prefer: Option<String>,
}

/// Whether, and how long, the client waits for a receipt.
pub(crate) struct ReceiptWanted {
    wait: Option<Duration>,
    receipts: Receipts,
}

impl<S> FromRequestParts<S> for ReceiptWanted
where
    S: Send + Sync,
    Receipts: FromRef<S>,
    MaxWait: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let wait = prefer::wait(&parts.headers, MaxWait::from_ref(state));
        Ok(Self { wait, receipts: Receipts::from_ref(state) })
    }
}

/// The response to a change: as it is without a wait, and with what is outstanding.
pub(super) trait ChangeResponse: IntoResponse {
    fn with_outstanding(self, receipt: ReceiptResponse) -> Response;
}

impl ChangeResponse for StatusCode {
    fn with_outstanding(self, receipt: ReceiptResponse) -> Response {
        Json(receipt).into_response()
    }
}

impl ChangeResponse for Shown {
    fn with_outstanding(mut self, receipt: ReceiptResponse) -> Response {
        self.1.receipt = Some(receipt);
        self.into_response()
    }
}

impl ChangeResponse for Json<ApiKeyCreatedResponse> {
    fn with_outstanding(mut self, receipt: ReceiptResponse) -> Response {
        self.receipt = Some(receipt);
        self.into_response()
    }
}

/// A response that is repeated.
impl ChangeResponse for Json<Value> {
    fn with_outstanding(mut self, receipt: ReceiptResponse) -> Response {
        // Texts, numbers and booleans are always valid in JSON.
        self["receipt"] = serde_json::to_value(receipt).unwrap_or_default();
        self.into_response()
    }
}

impl ReceiptWanted {
    pub(super) const fn is_wanted(&self) -> bool {
        self.wait.is_some()
    }

    /// The response to a change of a key, that is committed; with a receipt, if one is wanted. `revision`: `None` if the
    /// change has none.
    pub(super) async fn respond<R: Requirement>(
        self,
        caller: &Authorized<R>,
        key: ApiKeyId,
        revision: Option<Revision>,
        clock: &Clock,
        response: impl ChangeResponse,
    ) -> Response {
        let (Some(limit), Some(revision)) = (self.wait, revision) else { return response.into_response() };
        let wait = self.receipts.wait_for_revision(revision, Moment::now());
        let proof = Proof {
            wait: wait.clone(),
            revision,
            log: caller.receipt_log(),
            event: caller.event(EventKind::Receipt, key, clock.now()),
            clock: clock.clone(),
        };
        let (receipts, tenant) = (self.receipts, caller.tenant.id);
        // Goes on when the time is over, so that the audit trail gets the receipt all the same.
        let proving = tokio::spawn(
            async move {
                let receipt = proof.complete().await?;
                receipts.set_contained(revision, tenant);
                Some(receipt)
            }
            .in_current_span(),
        );
        let mut response = if let Ok(Ok(Some(receipt))) = timeout(limit, proving).await {
            let mut response = response.into_response();
            insert_receipt(&mut response, receipt_response::header(revision, &receipt));
            response
        } else {
            let mut response = response.with_outstanding(ReceiptResponse::new(revision, wait.progress()));
            *response.status_mut() = StatusCode::ACCEPTED;
            // A URL of the request's own host and a UUID are always valid in a header.
            if let Ok(url) = HeaderValue::try_from(caller.url(&format!("{API_KEYS}/receipts/{revision}"))) {
                response.headers_mut().insert(header::LOCATION, url);
            }
            response
        };
        insert_applied(&mut response, limit);
        response
    }
}

fn insert_receipt(response: &mut Response, receipt: Option<HeaderValue>) {
    if let Some(receipt) = receipt {
        response.headers_mut().insert(RALLY_RECEIPT, receipt);
    }
}

fn insert_applied(response: &mut Response, limit: Duration) {
    if let Ok(applied) = HeaderValue::try_from(format!("wait={}", limit.as_secs())) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
}

/// A receipt that is waited for, and then recorded.
struct Proof {
    wait: Arc<Wait>,
    revision: Revision,
    log: ReceiptLog,
    event: NewEvent,
    clock: Clock,
}

impl Proof {
    /// `None`: the instance stops.
    async fn complete(self) -> Option<Receipt> {
        let Self { wait, revision, log, event, clock } = self;
        let receipt = wait.receipt().await?;
        let details = receipt_details(revision, &receipt);
        let event = NewEvent { occurred_at: clock.now(), ..event }.with_details(details);
        let recording = async move {
            if let Err(error) = log.append(revision, &event).await {
                warn!(%error, %revision, "a receipt is missing in the audit trail; the change and its receipt are valid");
            }
        };
        // The receipt is valid even if it cannot be recorded.
        let _ = timeout(RECORD_TIMEOUT, tokio::spawn(recording.in_current_span())).await;
        Some(receipt)
    }
}

/// Gets the receipt of a change.
///
/// Any revision of the tenant has one: the id of any event of its audit trail. If nobody has waited for it, the instances
/// are asked now.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/receipts/{revision}",
    operation_id = "getReceipt",
    tag = "API keys",
    params(RevisionParam, PreferParams),
    responses((
        status = 200,
        description = "The receipt, complete or not",
        body = ReceiptResponse,
        headers(("Preference-Applied"), ("Rally-Receipt")),
    )),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::ReceiptNotFound]]))),
)]
pub(crate) async fn get(
    caller: Authorized<Read>,
    RevisionParam(revision): RevisionParam,
    _: NoQuery,
    wanted: ReceiptWanted,
    State(receipts): State<Receipts>,
) -> Result<Response, Problem> {
    let mut transaction = caller.begin_read().await?;
    if !transaction.revision_exists(revision).await? {
        return Err(Code::ReceiptNotFound.into());
    }
    let recorded = transaction.receipt_details(revision).await?;
    drop(transaction);
    let recorded = recorded.and_then(|details| serde_json::from_value::<ReceiptDetails>(details).ok());
    let progress = if let Some(recorded) = recorded {
        Progress::complete(recorded.receipt())
    } else {
        let wait = receipts.find(revision).unwrap_or_else(|| ask_now(&receipts, revision));
        if let Some(limit) = wanted.wait {
            let _ = timeout(limit, wait.receipt()).await;
        }
        wait.progress()
    };
    let complete = progress.is_complete.then_some(progress.receipt);
    let mut response = Json(ReceiptResponse::new(revision, progress)).into_response();
    insert_receipt(&mut response, complete.and_then(|receipt| receipt_response::header(revision, &receipt)));
    if let Some(limit) = wanted.wait {
        insert_applied(&mut response, limit);
    }
    Ok(response)
}

/// A wait that goes on by itself.
fn ask_now(receipts: &Receipts, revision: Revision) -> Arc<Wait> {
    let wait = receipts.wait_for_revision(revision, Moment::now());
    let waiting = wait.clone();
    tokio::spawn(async move { waiting.receipt().await });
    wait
}
