//! `/`: a page for somebody who opens the service's address in a browser. It says what a tenant's host serves, and on any
//! other host, how to get to one. It asks no database: a tenant that exists looks like one that does not.

use std::sync::{Arc, LazyLock};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use crate::auth::{authenticator::Authenticator, error::Error, request::Peer};

const STYLE: &str = "body{max-width:44em;margin:2em auto;padding:0 1em;font:1rem/1.5 system-ui,sans-serif}\
                     pre{overflow-x:auto;padding:.75em;border:1px solid}";

/// Content Security Policy Level 3: nothing but the page's own style, no script.
static CONTENT_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")) // always valid
});

pub(super) async fn page(
    State(authenticator): State<Arc<Authenticator>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let tenancy = &authenticator.tenancy;
    let (status, text) = match tenancy.slug(&uri, &headers, peer.0)? {
        Some(_) => (StatusCode::OK, of_tenant(&tenancy.base_url(&uri, &headers, peer.0))),
        None => (StatusCode::NOT_FOUND, of_no_tenant(&tenancy.example_url(&uri, &headers, peer.0))),
    };
    let note = if tenancy.base_domain == "localhost" { NOT_RESOLVED } else { "" };
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY.clone()),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Rally CRM API keys</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Rally CRM API keys</h1>\n{text}{note}</main>\n</body>\n</html>\n"
    );
    Ok((status, headers, page).into_response())
}

/// `url` is the tenant's own, as the client named it.
fn of_tenant(url: &str) -> String {
    let url = escape(url);
    format!(
        r#"<p>This host serves the API keys of one tenant, <strong>{url}</strong>.</p>
<ul>
<li><a href="/console">The console</a>, to manage them</li>
<li><a href="/docs">Every call</a>, to read about and to try</li>
<li><a href="/openapi.json">The same for programs</a> (OpenAPI 3.1)</li>
</ul>
<p>To create a key, send a token of an admin (<code>rally-api-keys token</code> makes one for a demo):</p>
<pre>curl -X POST {url}/api/v1/api-keys \
  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \
  -d '{{"name": "Zapier Sync", "scopes": "read,write"}}'</pre>
<p>Then use it, for example to list the keys:</p>
<pre>curl {url}/api/v1/api-keys -H "X-Api-Key: $KEY"</pre>
"#
    )
}

fn of_no_tenant(example: &str) -> String {
    let example = escape(example);
    format!(
        r#"<p>This host names no tenant. Each tenant has a host of its own, <strong>{example}</strong>: put your tenant's name in place of <code>your-tenant</code>.</p>
<ul>
<li><a href="/docs">Every call</a>, to read about</li>
</ul>
<p>For operators: <code>rally-api-keys tenant list</code> shows the tenants, and <code>BASE_DOMAIN</code> sets the rest of the host.</p>
"#
    )
}

/// For where names below `localhost` reach this machine in browsers and curl, but not in everything.
const NOT_RESOLVED: &str = "<p>Browsers and curl find names below <code>localhost</code> by themselves. Python, Node.js and wget ask \
     the system, which may not know them (Debian does not): add a line <code>127.0.0.1 your-tenant.localhost</code> to \
     <code>/etc/hosts</code>, or call <code>127.0.0.1</code> with the header <code>Host: your-tenant.localhost</code> (not in <code>fetch</code> of Node.js, \
     which does not send it).</p>\n";

/// A host has none of these characters; a defence in depth.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
