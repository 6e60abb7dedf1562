//! Authorization: every call, by every kind of caller with every scope.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::json;

use crate::{
    client::{Client, CreatedKey, PATH, Reply},
    harness::TestServer,
};

/// Each scope implies those before it. `""`: a token without scopes.
const SCOPES: [&str; 4] = ["", "read", "write", "admin"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    List,
    Get,
    Create,
    Update,
    Revoke,
    GetSelf,
    RevokeSelf,
    /// The calling key by its id. A user has none.
    GetOwn,
    UpdateOwn,
    RevokeOwn,
}

const CALLS: [Call; 10] = [
    Call::List,
    Call::Get,
    Call::Create,
    Call::Update,
    Call::Revoke,
    Call::GetSelf,
    Call::RevokeSelf,
    Call::GetOwn,
    Call::UpdateOwn,
    Call::RevokeOwn,
];

impl Call {
    async fn make(self, client: &Client, other: &CreatedKey, own: Option<&CreatedKey>) -> Reply {
        let own = || own.expect("the caller is a key").path();
        let itself = format!("{PATH}/self");
        let rename = json!({"name": "Renamed"});
        match self {
            Self::List => client.get(PATH).await,
            Self::Get => client.get(&other.path()).await,
            Self::Create => client.post(PATH, &json!({"name": "New"})).await,
            Self::Update => client.patch(&other.path(), &rename).await,
            Self::Revoke => client.delete(&other.path()).await,
            Self::GetSelf => client.get(&itself).await,
            Self::RevokeSelf => client.delete(&itself).await,
            Self::GetOwn => client.get(&own()).await,
            Self::UpdateOwn => client.patch(&own(), &rename).await,
            Self::RevokeOwn => client.delete(&own()).await,
        }
    }

    fn success(self) -> u16 {
        match self {
            Self::Create => 201,
            Self::Revoke | Self::RevokeSelf | Self::RevokeOwn => 204,
            _ => 200,
        }
    }

    /// `None`: any valid key may make the call.
    fn required_scope(self) -> Option<&'static str> {
        match self {
            Self::List | Self::Get => Some("read"),
            Self::Create | Self::Update | Self::UpdateOwn | Self::Revoke => Some("admin"),
            Self::GetSelf | Self::RevokeSelf | Self::GetOwn | Self::RevokeOwn => None,
        }
    }

    fn allowed(self, scope: &str) -> bool {
        let rank = |scope| SCOPES.iter().position(|known| *known == scope).unwrap();
        self.required_scope().is_none_or(|needed| rank(scope) >= rank(needed))
    }
}

fn assert_decision(call: Call, who: &str, scope: &str, reply: &Reply) {
    if call.allowed(scope) {
        assert_eq!(reply.status, call.success(), "{call:?} by {who} with {scope:?}: {reply:?}");
        reply.expect(call.success());
    } else {
        assert_eq!(reply.status, 403, "{call:?} by {who} with {scope:?}: {reply:?}");
        let problem = reply.refused(403, "insufficient_scope");
        assert_eq!(problem["requiredScope"], call.required_scope().unwrap());
        // RFC 6750, 3.1
        let challenge = format!("scope=\"{}\"", call.required_scope().unwrap());
        assert!(reply.header("www-authenticate").contains(&challenge), "{reply:?}");
    }
}

/// The number of keys that are neither renamed nor revoked.
async fn unchanged_keys(server: &TestServer) -> i64 {
    server
        .database
        .count("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL AND name = 'Key' AND version = 1")
        .await
}

#[tokio::test]
async fn a_user_is_allowed_exactly_the_calls_of_its_scopes() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scope in SCOPES {
        let user = server.user("acme", scope);
        for call in CALLS.into_iter().filter(|call| !matches!(call, Call::GetOwn | Call::UpdateOwn | Call::RevokeOwn)) {
            let other = admin.create("Key", "read").await;
            let before = unchanged_keys(&server).await;
            let reply = call.make(&user, &other, None).await;
            if matches!(call, Call::GetSelf | Call::RevokeSelf) {
                reply.refused(403, "key_required");
            } else {
                assert_decision(call, "a user", scope, &reply);
            }
            let changes = matches!(call, Call::Update | Call::Revoke) && call.allowed(scope);
            assert_eq!(unchanged_keys(&server).await, before - i64::from(changes), "{call:?} with {scope:?}");
        }
    }
}

#[tokio::test]
async fn a_key_is_allowed_exactly_the_calls_of_its_scopes_and_those_on_itself() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scope in &SCOPES[1..] {
        for call in CALLS {
            let (own, other) = (admin.create("Key", scope).await, admin.create("Key", "read").await);
            let before = unchanged_keys(&server).await;
            let client = admin.with_key(&own.secret);
            let reply = call.make(&client, &other, Some(&own)).await;
            assert_decision(call, "a key", scope, &reply);
            let changes = !matches!(call, Call::List | Call::Get | Call::GetSelf | Call::GetOwn | Call::Create)
                && call.allowed(scope);
            assert_eq!(unchanged_keys(&server).await, before - i64::from(changes), "{call:?} with {scope:?}");
            if matches!(call, Call::GetSelf | Call::GetOwn) {
                assert_eq!(reply.json()["id"], own.id);
            }
            if matches!(call, Call::RevokeSelf | Call::RevokeOwn) {
                client.get(PATH).await.refused(401, "key_revoked");
                admin.with_key(&other.secret).get(PATH).await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_key_may_revoke_itself_and_no_other_key_without_the_admin_scope() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("One", "write").await, admin.create("Other", "write").await);
    admin.with_key(&one.secret).delete(&other.path()).await.refused(403, "insufficient_scope");
    admin.with_key(&other.secret).get(PATH).await.expect(200);
    // An id in upper case is the same id.
    let upper = format!("{PATH}/{}", one.id.to_uppercase());
    admin.with_key(&one.secret).get(&upper).await.expect(200);
    admin.with_key(&one.secret).delete(&upper).await.expect(204);
    assert_eq!(admin.get(&one.path()).await.expect(200)["status"], "revoked");
}

#[tokio::test]
async fn a_key_created_by_another_key_names_it_as_its_creator() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let parent = admin.create("Parent", "admin").await;
    let child = admin.with_key(&parent.secret).create("Child", "read,write,admin").await;
    let child = admin.get(&child.path()).await.expect(200);
    assert_eq!(child["createdBy"], format!("api-key:{}", parent.id));
    assert_eq!(child["scopes"], "read,write,admin");
}

#[tokio::test]
async fn a_key_cannot_set_an_expiry_later_than_its_own() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let at = |hours| (server.clock.now() + TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let (sooner, end, later) = (at(1), at(2), at(3));
    let parent = admin.create_with(&json!({"name": "Parent", "scopes": "admin", "expiresAt": end})).await;
    let client = admin.with_key(&parent.secret);
    for body in [
        json!({"name": "Child", "expiresAt": later}),
        json!({"name": "Child", "expiresAt": null}),
        json!({"name": "Child"}),
    ] {
        client.post(PATH, &body).await.refused(403, "insufficient_scope");
    }
    let child = client.create_with(&json!({"name": "Child", "scopes": "admin", "expiresAt": end})).await;
    client.create_with(&json!({"name": "Child", "expiresAt": sooner})).await;

    // The same holds for updates of the key itself and of its child, by either of them.
    for caller in [&client, &admin.with_key(&child.secret)] {
        for path in [parent.path(), child.path()] {
            for end in [json!(later), json!(null)] {
                caller.patch(&path, &json!({"expiresAt": end})).await.refused(403, "insufficient_scope");
            }
        }
    }
    assert_eq!(admin.get(&child.path()).await.expect(200)["expiresAt"], end);
    assert_eq!(admin.get(&parent.path()).await.expect(200)["expiresAt"], end);
    // A user has no expiry.
    admin.patch(&child.path(), &json!({"expiresAt": null})).await.expect(200);
}
