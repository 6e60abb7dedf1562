//! `/console`: the page on which a tenant's admin manages API keys, and the custom element that other pages embed. On any
//! host, without a credential: the page signs its user in, and calls the API with that token. Sources are in `console/`.

use std::sync::{Arc, LazyLock};

use axum::{
    Extension,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use rust_embed::{Embed, EmbeddedFile};
use serde::Serialize;
use serde_json::json;

use super::{
    landing::escape,
    problem::{Code, HOST, Problem},
    static_files::{File, HTML, SCRIPT, STYLES},
};

/// The element's script, by a name that stays the same.
const ELEMENT: &str = "rally-api-keys.js";
/// In the page, in place of the settings.
const PLACEHOLDER: &str = "%CONFIG%";

/// What `console/` is built into.
#[derive(Embed)]
#[folder = "console/dist"]
struct Dist;

/// How the page signs its users in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleSettings {
    /// The issuer's URL (OpenID Connect Discovery 1.0). `None`: the page asks for a token.
    pub issuer: Option<String>,
    /// The page's client at the issuer, a public one.
    pub client_id: Option<String>,
    /// The service as the issuer knows it (RFC 8707), where it makes a JWT only for one that is named.
    pub resource: Option<String>,
    /// The scopes that the page asks for.
    pub scopes: Vec<String>,
    /// Origins of the issuer's endpoints that are not its own.
    #[serde(skip)]
    pub connect_origins: Vec<String>,
}

impl ConsoleSettings {
    /// The origins that the page may call beside its own.
    fn origins_of_issuer(&self) -> Vec<String> {
        self.issuer.as_deref().and_then(origin).into_iter().chain(self.connect_origins.iter().cloned()).collect()
    }

    /// The URL's origin, if the page may not call it.
    pub(crate) fn forbidden_origin(&self, url: &str) -> Option<String> {
        origin(url).filter(|origin| !self.origins_of_issuer().contains(origin))
    }

    /// Content Security Policy Level 3: only resources of this service, and the issuer's endpoints.
    fn content_policy(&self) -> HeaderValue {
        let origins = self.origins_of_issuer();
        let sources: Vec<&str> = ["'self'"].into_iter().chain(origins.iter().map(String::as_str)).collect();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types lit-html",
            sources.join(" ")
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")) // origins are ASCII
    }
}

fn origin(url: &str) -> Option<String> {
    Some(reqwest::Url::parse(url).ok()?.origin().ascii_serialization())
}

/// The page, with the settings in it.
#[derive(Clone)]
pub(super) struct Console(Arc<File>);

impl Console {
    pub(super) fn new(settings: &ConsoleSettings) -> Self {
        let template = Dist::get("index.html").map(|file| file.data).unwrap_or_default();
        let page = String::from_utf8_lossy(&template).replace(PLACEHOLDER, &escape(&json!(settings).to_string()));
        Self(Arc::new(File::new("", HTML, page).with_policy(settings.content_policy())))
    }
}

/// What the page, and pages that embed the element, load from `/console/`.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let names = Dist::iter().filter(|name| content_type(name).is_some());
    let mut files: Vec<File> =
        names.filter_map(|name| embedded(&name, name.clone().into_owned())).map(File::immutable).collect();
    files.extend(manifest_entry(ELEMENT).and_then(|name| embedded(&name, ELEMENT.to_owned())));
    files
});

/// The name, with a hash in it, of what is built from an entry.
fn manifest_entry(entry: &str) -> Option<String> {
    let manifest: serde_json::Value = serde_json::from_slice(&Dist::get("manifest.json")?.data).ok()?;
    Some(manifest[entry].as_str()?.to_owned())
}

fn embedded(name: &str, served_as: String) -> Option<File> {
    let EmbeddedFile { data, .. } = Dist::get(name)?;
    let brotli = Dist::get(&format!("{name}.br")).map(|file| file.data.into_owned().into());
    Some(File::new(served_as, content_type(name)?, data.into_owned()).with_brotli(brotli).shared())
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some(SCRIPT),
        "css" => Some(STYLES),
        _ => None,
    }
}

/// The console: a page on which a tenant's admin manages API keys.
#[utoipa::path(
    get,
    path = "/console",
    operation_id = "showConsole",
    tag = "Service",
    responses((status = 200, description = "The page", content_type = "text/html", body = String, example = json!("<!DOCTYPE html>"))),
    extensions(("x-problems" = json!([HOST]))),
)]
pub(super) async fn page(Extension(console): Extension<Console>, request: HeaderMap) -> Response {
    console.0.respond(&request)
}

pub(super) async fn file(name: Result<Path<String>, PathRejection>, request: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|_not_utf8| Code::NotFound)?;
    let file = FILES.iter().find(|file| file.name == name).ok_or(Code::NotFound)?;
    Ok(file.respond(&request))
}
