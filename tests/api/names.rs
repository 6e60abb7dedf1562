//! Names of keys: which are accepted, and that those come back to the byte.

use form_urlencoded::byte_serialize;
use naughty_strings::BLNS;
use reqwest::Method;
use serde_json::{Value, json};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::{
    client::{Client, PATH, Reply, send},
    harness::TestServer,
};

async fn search(client: &Client, text: &str) -> Reply {
    let text: String = byte_serialize(text.as_bytes()).collect();
    client.get(&format!("{PATH}?search={text}")).await
}

fn has_control_characters(text: &str) -> bool {
    text.chars().any(|c| c.general_category() == GeneralCategory::Control)
}

/// Whether a name out of the Big List of Naughty Strings is to be refused. The joiners and selectors in it are all within
/// emoji or words that need them.
fn is_refused(name: &str) -> bool {
    let is_hidden = |c: char| {
        use GeneralCategory::{Format, LineSeparator, ParagraphSeparator};
        let is_noncharacter = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
        matches!(c.general_category(), Format | LineSeparator | ParagraphSeparator) && !"\u{200c}\u{200d}".contains(c)
            || is_noncharacter
    };
    !(1..=100).contains(&name.chars().count()) || has_control_characters(name) || name.chars().any(is_hidden)
}

#[tokio::test]
async fn naughty_strings_are_stored_and_found_to_the_byte_or_refused_by_the_rule() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let (mut accepted, mut refused) = (0, 0);
    for text in BLNS {
        let name = text.trim();
        let patched = admin.patch(&key.path(), &json!({"name": text})).await;
        if is_refused(name) {
            assert_eq!(patched.bad_fields(), ["name"], "{text:?}");
            assert_eq!(admin.post(PATH, &json!({"name": text})).await.bad_fields(), ["name"], "{text:?}");
            refused += 1;
        } else {
            assert_eq!(patched.expect(200)["name"], name, "{text:?}");
            assert_eq!(admin.get(&key.path()).await.expect(200)["name"], name, "{text:?}");
            assert_eq!(search(&admin, name).await.expect(200)[0]["name"], name, "{text:?}");
            accepted += 1;
        }
        let found = search(&admin, text).await;
        if text.chars().count() > 100 || has_control_characters(text) {
            assert_eq!(found.bad_fields(), ["search"], "{text:?}");
        } else {
            found.expect(200);
        }
    }
    assert!(accepted > 450 && refused >= 30, "{accepted} names were accepted and {refused} refused");
}

#[tokio::test]
async fn names_that_hide_something_are_refused_with_the_character() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    for (name, character) in [
        ("Zapier\u{202e}cnyS", "U+202E"),
        ("\u{2067}Zapier", "U+2067"),
        ("Zapier\u{200b} Sync", "U+200B"),
        ("Zap\u{200d}ier", "U+200D"),
        ("Zapier\u{fe0f}", "U+FE0F"),
        ("\u{3164}", "U+3164"),
        ("\u{2800}\u{2800}", "U+2800"),
        ("\u{1160}\u{115f}", "U+1160"),
        ("\u{e0067}", "U+E0067"),
    ] {
        for reply in
            [admin.post(PATH, &json!({"name": name})).await, admin.patch(&key.path(), &json!({"name": name})).await]
        {
            assert_eq!(reply.bad_fields(), ["name"]);
            let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(character), "{name:?}: {message}");
        }
    }
    for name in
        ["می\u{200c}خواهم", "ශ්\u{200d}රී", "👩\u{200d}💻 👍🏽 ❤\u{fe0f} 1\u{fe0f}\u{20e3}", "葛\u{e0100}", "مفتاح שלום"]
    {
        assert_eq!(admin.post(PATH, &json!({"name": name})).await.expect(201)["name"], name);
    }
}

/// An admin pastes a secret into the wrong field.
#[tokio::test]
async fn a_secret_is_refused_as_a_name_and_as_a_search_and_repeated_nowhere() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    for text in [key.secret.clone(), format!("Zapier {}", key.secret), format!("({}0)", key.secret.to_uppercase())] {
        let mut replies = vec![search(&admin, &text).await];
        for (method, path) in [(Method::POST, PATH), (Method::PATCH, &*key.path())] {
            replies.push(send(admin.request(method, path).json(&json!({"name": text}))).await);
        }
        for (reply, field) in replies.iter().zip(["search", "name", "name"]) {
            assert_eq!(reply.bad_fields(), [field]);
            assert!(!reply.body.to_lowercase().contains(&key.secret[8..]), "{reply:?}");
        }
    }
    let events = admin.get(&format!("{PATH}/events")).await;
    assert_eq!(events.expect(200).as_array().map(Vec::len), Some(1));
    assert!(!events.body.contains(&key.secret[8..]));
}

/// As names may be that were stored under other rules.
#[tokio::test]
async fn a_stored_name_that_would_be_refused_is_shown_and_can_be_changed() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let sql = format!(
        "UPDATE api_keys SET name = E'a\\u202eb', folded_name = E'a\\u202eb', version = version + 1 WHERE id = '{}'",
        key.id
    );
    server.database.execute(&sql).await;
    let listed: Value = admin.get(PATH).await.expect(200);
    assert_eq!(listed[0]["name"], "a\u{202e}b");
    assert_eq!(admin.patch(&key.path(), &json!({"name": "ab"})).await.expect(200)["name"], "ab");
}
