//! What the service writes, read by second implementations of its formats (`.ci/test-programs` installs
//! them), and the examples of those formats' RFCs.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    binary::Home,
    client::{Credential, PATH, send},
    harness::{TestServer, not_tested, npm_project, sign},
};

/// The folder of PyPI's rfc8785. `None`, and said so, if it is not installed.
fn rfc8785() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/reference-implementations");
    if folder.join("rfc8785").is_dir() && Command::new("python3").arg("--version").output().is_ok() {
        return Some(folder);
    }
    not_tested("PyPI's rfc8785, or Python, is not installed");
    None
}

/// What the program prints for each of the lines.
fn lines_by(program: &str, script: &str, python_path: &Path, lines: &[String]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference-implementations").join(script);
    let mut process = Command::new(program)
        .arg(script)
        .env("PYTHONPATH", python_path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let (mut input, text) = (process.stdin.take().unwrap(), lines.join("\n") + "\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} fails");
    let printed: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(printed.len(), lines.len());
    printed
}

// ---- RFC 8785, the canonical form that the audit chain hashes

fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap()
}

#[test]
fn the_examples_of_rfc_8785_have_their_canonical_form() {
    // Section 3.2.2.
    let value = json!({
        "numbers": [333_333_333.333_333_3, 1E30, 4.50, 2e-3, 0.000_000_000_000_000_000_000_000_001],
        "string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
        "literals": [null, true, false],
    });
    let form = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
    assert_eq!(canonical(&value), form);

    // Section 3.2.3: members in the order of their names in UTF-16.
    let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
    let value: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    let form = "{\"\\r\":0,\"1\":0,\"\u{80}\":0,\"\u{f6}\":0,\"\u{20ac}\":0,\"\u{1f600}\":0,\"\u{fb33}\":0}";
    assert_eq!(canonical(&value.into()), form);

    // Appendix B: numbers by their bits.
    for (bits, form) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(canonical(&f64::from_bits(bits).into()), form, "{bits:016x}");
    }
}

/// JSON whose whole numbers a double represents exactly: RFC 8785 has no others.
fn documents() -> impl Strategy<Value = Value> {
    let text =
        prop_oneof![any::<String>(), "[\"\\\\/\u{0}-\u{1f}\u{7f}-\u{9f}\u{e000}-\u{ffff}\u{10000}-\u{10fff}]{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        let members = prop::collection::vec((text.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

#[test]
fn any_json_has_the_canonical_form_of_another_implementation() {
    let Some(folder) = rfc8785() else { return };
    let mut runner = TestRunner::deterministic();
    let documents: Vec<Value> = (0..2_000).map(|_| documents().new_tree(&mut runner).unwrap().current()).collect();
    let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    let theirs = lines_by("python3", "canonical_json.py", &folder, &texts);
    for (document, theirs) in documents.iter().zip(&theirs) {
        assert_eq!(&canonical(document), theirs, "{document}");
    }
    assert!(texts.iter().zip(&theirs).any(|(text, form)| text != form), "the documents are canonical already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_trail_has_the_hashes_of_another_implementation() {
    let Some(folder) = rfc8785() else { return };
    let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let end = (server.clock.now() + chrono::TimeDelta::hours(1)).timestamp();
    for (n, text) in ["Zoë", "e\u{301}", "Ключ \u{1f511}", "\u{fb33}\u{ffe6}", "\"q\" \\ / <&>", "\\u0041 %C3 'x'"]
        .iter()
        .enumerate()
    {
        let claims =
            json!({"sub": "7", "email": format!("{text}@acme.com"), "tenant": "acme", "scope": "admin", "exp": end});
        let user = server.client("acme", Credential::Bearer(sign(&claims)));
        let create = user.request(Method::POST, PATH).json(&json!({"name": text}));
        let created = send(create.header("x-forwarded-for", format!("[2001:db8::{n}]:80"))).await.expect(201);
        let path = format!("{PATH}/{}", created["id"].as_str().unwrap());
        let change =
            json!({"name": format!("{text} 2"), "scopes": "read,write", "expiresAt": "2099-12-31T23:59:59.000001Z"});
        user.patch(&path, &change).await.expect(200);
        for overlap in [604_800, 1, 0] {
            user.post(&format!("{path}/rotate"), &json!({"overlapSeconds": overlap})).await.expect(200);
        }
        user.delete(&path).await.expect(204);
    }
    let home = Home::new("reference-chain");
    let url = server.database.url_text(None).await;
    let export = home.succeed(&["events", "export", "--tenant", "acme"], &[("DATABASE_URL", &url)]).await;
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len(), 36);

    // Members in another order, and without the hash.
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reversed = |event: &Value, with_hash: bool| {
        let members = event.as_object().unwrap().iter().rev().filter(|(name, _)| with_hash || *name != "hash");
        Value::from(members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()).to_string()
    };
    let texts: Vec<String> = events.iter().flat_map(|event| [reversed(event, true), reversed(event, false)]).collect();
    let theirs = lines_by("python3", "canonical_json.py", &folder, &texts);
    let mut previous = "0".repeat(64);
    for ((line, event), theirs) in lines.iter().zip(&events).zip(theirs.chunks(2)) {
        assert_eq!(line, &theirs[0]);
        let hash: String = Sha256::digest(theirs[1].as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&event["hash"], &event["previousHash"]), (&json!(hash), &json!(previous)), "{line}");
        previous = hash;
    }

    // The program in docs/security.md, on the trail as it is and with a change.
    let page = include_str!("../../docs/security.md");
    let program = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let check = |trail: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", program]).env("PYTHONPATH", &folder).env("PYTHONDONTWRITEBYTECODE", "1");
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = python.spawn().unwrap();
        process.stdin.take().unwrap().write_all(trail.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let intact = format!("36 events, the chain is intact; last event: 36:{previous}\n");
    assert_eq!(check(&export), intact);
    assert!(check(&export.replacen("Zoë", "Zoe", 1)).contains("line 1: the event was changed"));
    assert!(check(&lines[1..].join("\n")).contains("line 1: the chain is broken"));
}

// ---- RFC 9651, structured fields

#[tokio::test]
async fn structured_fields_are_read_by_another_implementation() {
    let Some(folder) = npm_project("reference-implementations", "structured-field-values") else { return };
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let rotated_at = server.clock.now().timestamp();
    admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let own = admin.with_key(&key.secret);
    let origin = ("origin", "https://acme.localhost");
    let checked = own.get("/forward-auth").await;
    let page = admin.get("/docs").await;
    let refused = send(own.request(Method::PUT, PATH).header(origin.0, origin.1)).await;
    let preflight = own.request(Method::OPTIONS, PATH).header(origin.0, origin.1);
    let preflight = send(preflight.header("access-control-request-method", "PATCH")).await;
    server.database.execute("ALTER TABLE api_key_secrets RENAME TO gone").await;
    let failed = admin.with_key("rk_live_00000000000000000000000000000000").get("/forward-auth").await;

    let fields: [(&str, &HeaderMap, &str); 10] = [
        ("item", &checked.headers, "deprecation"),
        ("item", &page.headers, "cross-origin-opener-policy"),
        ("item", &failed.headers, "retry-after"),
        ("item", &preflight.headers, "access-control-max-age"),
        ("dictionary", &checked.headers, "cache-control"),
        ("list", &refused.headers, "allow"),
        ("list", &refused.headers, "vary"),
        ("list", &refused.headers, "access-control-expose-headers"),
        ("list", &preflight.headers, "access-control-allow-headers"),
        ("list", &preflight.headers, "access-control-allow-methods"),
    ];
    let mut asked: Vec<String> = fields
        .iter()
        .map(|(kind, headers, name)| {
            let value = headers.get(*name).unwrap_or_else(|| panic!("no {name}: {headers:?}")).to_str().unwrap();
            json!({"type": kind, "value": value}).to_string()
        })
        .collect();
    // Sunset is an HTTP date, and no structured field: the reader does not take everything.
    asked.push(json!({"type": "item", "value": checked.header("sunset")}).to_string());
    let read = lines_by("node", "structured_fields.mjs", &folder, &asked);
    let read: Vec<Value> = read.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let since = read[0]["date"].as_i64().unwrap();
    assert!((rotated_at..rotated_at + 60).contains(&since), "{since}");
    assert_eq!(read[1..5], [json!({"token": "same-origin"}), json!(1), json!(600), json!({"no-store": true})]);
    let tokens = |list: &Value| -> Vec<String> {
        list.as_array()
            .unwrap_or_else(|| panic!("{list}"))
            .iter()
            .map(|item| item["token"].as_str().unwrap().to_lowercase())
            .collect()
    };
    for (list, member) in read[5..10].iter().zip(["post", "origin", "etag", "traceparent", "patch"]) {
        assert!(tokens(list).contains(&member.to_owned()), "{member}: {list}");
    }
    assert!(read[10]["error"].is_string(), "{}", read[10]);
}
