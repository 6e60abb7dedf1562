//! The examples in docs/clients.md, run against the service, and the Zapier app that the page describes.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    client::{Client, CreatedKey, Credential, PATH},
    harness::{TestDatabase, TestServer, has_node, not_tested, npm_project, scratch_dir, wait_until},
    proxy::{Mode, Proxy},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The code of a section of the page, in one language.
fn examples(heading: &str, language: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/clients.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the page has the section");
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("\n```{language}\n");
    let blocks = section.split(&fence).skip(1);
    blocks.map(|rest| rest.split_once("\n```").expect("a block has an end").0).collect()
}

/// A folder in which examples run, and the credential that they use.
struct Examples<'a> {
    server: &'a TestServer,
    caller: &'a CreatedKey,
    dir: PathBuf,
}

impl<'a> Examples<'a> {
    fn new(name: &str, server: &'a TestServer, caller: &'a CreatedKey) -> Self {
        Self { server, caller, dir: scratch_dir(name) }
    }

    /// Writes a module of the page, whose name is in its first line.
    fn write_module(&self, name: &str, code: &str) {
        assert!(code.lines().next().unwrap().ends_with(&format!(" {name}")), "{name}");
        fs::write(self.dir.join(name), code).unwrap();
    }

    /// The program in the folder, with `*.localhost` and the packages of the page.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.dir)
            .env("RALLY_URL", format!("http://acme.localhost:{}", self.server.address.port()))
            .env("RALLY_API_KEY", &self.caller.secret)
            .env("PYTHONPATH", format!("{ROOT}/target/python-clients:{ROOT}/tests/localhost"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NODE_OPTIONS", format!("--import={ROOT}/tests/localhost/resolve.mjs"))
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs code, and returns what it printed.
    async fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            self.command(program, arguments).output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {arguments:?}\n{printed}\n{errors}");
        printed.into_owned()
    }

    async fn bash(&self, code: &str) -> String {
        self.run("bash", &["-euo", "pipefail", "-c", code]).await
    }

    async fn node(&self, code: &str) -> String {
        fs::write(self.dir.join("example.mjs"), code).unwrap();
        self.run("node", &["example.mjs"]).await
    }

    async fn python(&self, code: &str) -> String {
        self.run("python3", &["-c", code]).await
    }
}

impl Drop for Examples<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// False, and said so, if Python or what the page's examples import is not installed.
fn has_python() -> bool {
    let found = Path::new(ROOT).join("target/python-clients/requests").is_dir();
    if !found {
        not_tested("PyPI's requests is not installed");
    }
    found
}

/// More keys than the page's examples read in one page.
async fn many_keys(admin: &Client) -> Vec<String> {
    let names: Vec<String> = (0..105).map(|n| format!("Key {n:03}")).collect();
    for name in &names {
        admin.create(name, "read").await;
    }
    names
}

/// Each of the names stands once in the text.
fn assert_each_once(text: &str, names: &[String]) {
    for name in names {
        assert_eq!(text.matches(name.as_str()).count(), 1, "{name}");
    }
}

/// The status of the only key with that name.
async fn status_of(admin: &Client, name: &str) -> Value {
    let found = admin.get(&format!("{PATH}?search={}", name.replace(' ', "%20"))).await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1, "{name}");
    found[0]["status"].clone()
}

#[tokio::test]
async fn the_examples_for_curl_create_page_and_revoke() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (names, caller) = (many_keys(&admin).await, admin.create("curl", "admin").await);
    let examples_dir = Examples::new("clients-curl", &server, &caller);
    let blocks = examples("curl", "sh");
    let [own, create, pages, revoke] = blocks[..] else { panic!("{blocks:?}") };
    assert!(examples_dir.bash(own).await.contains(&caller.id));
    examples_dir.bash(create).await;
    let mode = fs::metadata(examples_dir.dir.join("created.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(status_of(&admin, "ETL Pipeline").await, "active");
    assert_each_once(&examples_dir.bash(pages).await, &names);
    examples_dir.bash(revoke).await;
    assert_eq!(status_of(&admin, "ETL Pipeline").await, "revoked");
}

#[tokio::test]
async fn the_examples_for_python_create_page_change_and_revoke() {
    if !has_python() {
        return;
    }
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (names, caller) = (many_keys(&admin).await, admin.create("python", "admin").await);
    let examples_dir = Examples::new("clients-python", &server, &caller);
    let blocks = examples("Python", "python");
    let [module, program] = blocks[..] else { panic!("{blocks:?}") };
    examples_dir.write_module("rally.py", module);
    assert_each_once(&examples_dir.python(program).await, &names);
    assert_eq!(status_of(&admin, "Weekly report").await, "revoked");
}

#[tokio::test]
async fn the_examples_for_node_create_page_and_revoke() {
    if !has_node() {
        return not_tested("Node.js 20 is not installed");
    }
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (names, caller) = (many_keys(&admin).await, admin.create("node", "admin").await);
    let examples_dir = Examples::new("clients-node", &server, &caller);
    let blocks = examples("Node.js", "js");
    let [module, program] = blocks[..] else { panic!("{blocks:?}") };
    examples_dir.write_module("rally.mjs", module);
    let printed = examples_dir.node(program).await;
    // As a key, and in its event.
    for name in &names {
        assert_eq!(printed.matches(name.as_str()).count(), 2, "{name}");
    }
    assert_eq!(status_of(&admin, "Webhook relay").await, "revoked");
}

#[tokio::test]
async fn the_rotation_step_by_step_leaves_one_secret_in_the_file() {
    if !has_python() {
        return;
    }
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let caller = admin.create("Rotated", "read").await;
    let examples_dir = Examples::new("clients-rotation", &server, &caller);
    examples_dir.write_module("rally.py", examples("Python", "python")[0]);
    let blocks = examples("Rotate a secret, step by step", "python");
    let [program] = blocks[..] else { panic!("{blocks:?}") };
    examples_dir.python(program).await;
    let file = examples_dir.dir.join("secret");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(file).unwrap();
    admin.with_key(&secret).get(&format!("{PATH}/self")).await.expect(200);
    admin.with_key(&caller.secret).get(&format!("{PATH}/self")).await.refused(401, "invalid_key");
}

/// What the page says of a rotation whose response is lost.
#[tokio::test]
async fn a_secret_whose_rotation_was_lost_works_on_but_rotates_no_more() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Rotated", "read").await;
    let (own, rotate) = (format!("{PATH}/self"), format!("{PATH}/self/rotate"));
    let caller = admin.with_key(&key.secret);
    let etag = caller.get(&own).await.header("etag").to_owned();
    let request = || caller.request(reqwest::Method::POST, &rotate).header("if-match", &etag);
    crate::client::send(request()).await.expect(200);
    crate::client::send(request()).await.refused(403, "secret_retired");
    let shown = caller.get(&own).await.expect(200);
    assert_ne!(shown["keyHint"], key.hint());
    assert_eq!(shown["rotation"]["previousKeyHint"], key.hint());
    // An admin's repetition is refused too, and tells that the first attempt was made.
    let again = admin.request(reqwest::Method::POST, &format!("{}/rotate", key.path())).header("if-match", &etag);
    crate::client::send(again).await.refused(412, "precondition_failed");
    admin.post(&format!("{}/rotate", key.path()), &serde_json::json!({})).await.expect(200);
    caller.get(&own).await.refused(401, "invalid_key");
}

/// The number of requests of a method to the collection of keys that got a 503.
async fn unavailable(server: &TestServer, method: &str) -> u64 {
    let name = format!(r#"rally_http_requests_total{{method="{method}",route="/api/v1/api-keys",status="503"}} "#);
    let metrics = server.client("nobody", Credential::None).get("/metrics").await.body;
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// `list` and `create`, programs of their own, while the database is away: the first is repeated and succeeds, the second
/// is sent once.
async fn repeats_only_what_is_safe(name: &str, module: (&str, &str), program: &str, list: &[&str], create: &[&str]) {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = TestServer::through(proxy.address, database, &[]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let caller = admin.create("Caller", "admin").await;
    // Cached, so that only the calls themselves need the database.
    admin.with_key(&caller.secret).get(PATH).await.expect(200);
    let examples = Examples::new(name, &server, &caller);
    examples.write_module(module.0, module.1);

    proxy.set(Mode::Cut);
    let refused = examples.command(program, create).output().await.unwrap();
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("database_unavailable"), "{errors}");
    assert_eq!(unavailable(&server, "POST").await, 1);

    let back = async {
        wait_until(async || unavailable(&server, "GET").await >= 1).await;
        proxy.set(Mode::Pass);
    };
    let (printed, ()) = tokio::join!(examples.run(program, list), back);
    assert!(printed.contains(&caller.id), "{printed}");
}

#[tokio::test]
async fn the_module_for_python_repeats_only_what_is_safe() {
    if !has_python() {
        return;
    }
    let start = "import os, rally; api = rally.session(os.environ['RALLY_API_KEY']);";
    let list = format!("{start} print([key['id'] for key in rally.pages(api, rally.URL)])");
    let create = format!("{start} rally.call(api, 'POST', rally.URL, json={{'name': 'Once'}})");
    let module = ("rally.py", examples("Python", "python")[0]);
    repeats_only_what_is_safe("clients-retry-python", module, "python3", &["-c", &list], &["-c", &create]).await;
}

#[tokio::test]
async fn the_module_for_node_repeats_only_what_is_safe() {
    if !has_node() {
        return not_tested("Node.js 20 is not installed");
    }
    let start = "const { Rally } = await import('./rally.mjs'); const api = new Rally(process.env.RALLY_API_KEY);";
    let list = format!("{start} for await (const key of api.pages('/api/v1/api-keys')) console.log(key.id)");
    let create = format!("{start} await api.call('POST', '/api/v1/api-keys', {{ body: {{ name: 'Once' }} }})");
    let module = ("rally.mjs", examples("Node.js", "js")[0]);
    let eval = ["--input-type=module", "--eval"];
    let (list, create) = ([eval[0], eval[1], &list], [eval[0], eval[1], &create]);
    repeats_only_what_is_safe("clients-retry-node", module, "node", &list, &create).await;
}

#[tokio::test]
async fn the_zapier_app_connects_triggers_and_revokes() {
    let Some(_) = npm_project("../examples/zapier", "zapier-platform-core") else { return };
    let app = Path::new(ROOT).join("examples/zapier");
    let snippets = examples("Zapier", "js");
    let [snippet] = snippets[..] else { panic!("{snippets:?}") };
    assert!(fs::read_to_string(app.join("authentication.js")).unwrap().contains(snippet));

    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (caller, revoked) = (admin.create("Zapier", "admin").await, admin.create("Revoked", "read").await);
    let examples_dir = Examples::new("clients-zapier", &server, &caller);
    let test = app.join("integration.test.js");
    let mut command = examples_dir.command("node", &["--test", test.to_str().unwrap()]);
    let tested = tokio::time::timeout(Duration::from_mins(2), command.env("KEY_ID", &revoked.id).output());
    let output = tested.await.expect("an end").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(status_of(&admin, "Revoked").await, "revoked");
}

/// Follows the pages of the n8n workflow by its expressions, as n8n does.
#[tokio::test]
async fn the_n8n_workflow_reads_every_page() {
    const FOLLOW: &str = r"
        import { readFileSync } from 'node:fs';
        const workflow = JSON.parse(readFileSync(process.env.WORKFLOW));
        const { url, queryParameters, options } = workflow.nodes.find((node) => node.name === 'List keys').parameters;
        const { nextURL, completeExpression } = options.pagination.pagination;
        const evaluate = (text, $response) => new Function('$response', `return ${text.slice(4, -3)}`)($response);
        let next = url.replace('https://your-tenant.rallycrm.io', process.env.RALLY_URL);
        next += '?' + new URLSearchParams(queryParameters.parameters.map(({ name, value }) => [name, value]));
        for (;;) {
            const response = await fetch(next, { headers: { 'X-Api-Key': process.env.RALLY_API_KEY } });
            const $response = { headers: Object.fromEntries(response.headers) };
            for (const key of await response.json()) console.log(key.name);
            if (evaluate(completeExpression, $response)) break;
            next = evaluate(nextURL, $response);
        }
    ";
    if !has_node() {
        return not_tested("Node.js 20 is not installed");
    }
    let workflow = fs::read_to_string(Path::new(ROOT).join("examples/n8n/list-keys.json")).unwrap();
    let workflow: Value = serde_json::from_str(&workflow).unwrap();
    let page = include_str!("../../docs/clients.md");
    for name in ["nextURL", "completeExpression"] {
        let node = &workflow["nodes"][1]["parameters"]["options"]["pagination"]["pagination"];
        let expression = node[name].as_str().unwrap().strip_prefix('=').unwrap();
        assert!(page.contains(&format!("`{expression}`")), "{name}");
    }
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (names, caller) = (many_keys(&admin).await, admin.create("n8n", "read").await);
    let examples_dir = Examples::new("clients-n8n", &server, &caller);
    fs::write(examples_dir.dir.join("follow.mjs"), FOLLOW).unwrap();
    let mut command = examples_dir.command("node", &["follow.mjs"]);
    let output = command.env("WORKFLOW", Path::new(ROOT).join("examples/n8n/list-keys.json")).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_each_once(&String::from_utf8_lossy(&output.stdout), &names);
}
