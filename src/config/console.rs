//! Settings of the console.

use axum::http::HeaderValue;

use super::{http::origin, joined, reader::Reader};
use crate::http::console::ConsoleSettings;

const DEFAULT_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The console signs its users in at the first of `issuers`.
pub(super) fn read(settings: &mut Reader, issuers: &[String]) -> ConsoleSettings {
    let client_id = settings.parse("CONSOLE_CLIENT_ID", "rally-console", visible_text);
    let resource = settings.parse("CONSOLE_RESOURCE", "https://api.rallycrm.io", visible_text);
    let scopes = settings.parse("CONSOLE_SCOPES", "openid profile email offline_access", scopes);
    let connect_origins = settings.list("CONSOLE_CONNECT_ORIGINS", "https://tokens.example.com", |text| {
        origin(text).map(|origin: HeaderValue| String::from_utf8_lossy(origin.as_bytes()).into_owned())
    });
    if client_id.is_some() && issuers.is_empty() {
        let problem = "must be set where CONSOLE_CLIENT_ID is: the console signs its users in at the first issuer";
        settings.reject("JWT_ISSUER", problem, "https://login.rallycrm.io");
    }
    let issuer = client_id.is_some().then(|| issuers.first().cloned()).flatten();
    let scopes = scopes.unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).into());
    ConsoleSettings { issuer, client_id, resource, scopes, connect_origins }
}

pub(super) fn effective(console: &ConsoleSettings) -> Vec<(&'static str, String)> {
    vec![
        ("CONSOLE_CLIENT_ID", console.client_id.clone().unwrap_or_default()),
        ("CONSOLE_RESOURCE", console.resource.clone().unwrap_or_default()),
        ("CONSOLE_SCOPES", console.scopes.join(" ")),
        ("CONSOLE_CONNECT_ORIGINS", joined(console.connect_origins.iter().cloned())),
    ]
}

fn scopes(text: &str) -> Result<Vec<String>, &'static str> {
    let scopes: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err("must contain openid; scopes are separated by spaces");
    }
    Ok(scopes)
}

fn visible_text(text: &str) -> Result<String, &'static str> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible { Ok(text.to_owned()) } else { Err("must be visible ASCII characters without spaces") }
}
