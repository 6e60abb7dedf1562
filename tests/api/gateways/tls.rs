//! TLS between the gateway and the service, by the changes of `docs/gateways/tls.md`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use reqwest::Method;

use super::stand::{Gateway, Program, Stand};
use crate::{
    client::{Credential, send},
    harness::{TestServer, scratch_dir},
    tls::authority,
    tls_listener::write_private,
};

/// What each documented file changes: texts and their replacements.
type Changes = BTreeMap<String, Vec<(String, String)>>;

fn documented_changes() -> Changes {
    let mut changes = Changes::new();
    for section in include_str!("../../../docs/gateways/tls.md").split("\n## ").skip(1) {
        let name = section.lines().next().unwrap().to_owned();
        let block = section.split("```diff\n").nth(1).unwrap().split("```").next().unwrap();
        let lines: Vec<&str> = block.lines().collect();
        let is_addition = |line: &&str| line.starts_with('+');
        for change in lines.chunk_by(|one, other| !is_addition(one) || is_addition(other)) {
            let texts =
                |sign: char| change.iter().filter_map(|line| line.strip_prefix(sign)).collect::<Vec<_>>().join("\n");
            changes.entry(name.clone()).or_default().push((texts('-'), texts('+')));
        }
    }
    changes
}

/// A certificate of the service, and the authority that the gateway trusts.
struct Certificates(PathBuf);

impl Certificates {
    fn new(name: &str, names: &[&str], is_of_the_authority: bool) -> Self {
        let dir = scratch_dir(name);
        let (trusted, other) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        // OpenSSL takes a certificate for self-signed whose subject is its authority's.
        params.distinguished_name.push(DnType::CommonName, "rally-api-keys");
        let certificate = params.signed_by(&key, if is_of_the_authority { &trusted } else { &other }).unwrap();
        fs::write(dir.join("tls.crt"), certificate.pem()).unwrap();
        write_private(&dir.join("tls.key"), &key.serialize_pem());
        fs::write(dir.join("ca.pem"), trusted.pem()).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The gateway responds with that status as soon as it has started.
    async fn start(&self, program: &Program, name: &str, status: u16) -> Stand {
        let (certificate, key) = (self.path("tls.crt"), self.path("tls.key"));
        let settings = [
            ("TLS_CERT_FILE", certificate.as_str()),
            ("TLS_KEY_FILE", &key),
            ("ADMIN_LISTEN_ADDR", "127.0.0.1:0"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ];
        let server = TestServer::with(&settings).await;
        let changes = documented_changes();
        let change = |file: &str, text: &str| {
            changes.get(file).into_iter().flatten().fold(text.to_owned(), |text, (before, after)| {
                assert!(text.contains(before), "{file} has no {before:?}");
                text.replace(before, after).replace("/etc/ssl/rally-ca.pem", &self.path("ca.pem"))
            })
        };
        Stand::start_before(server, program, name, change, status).await
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NAMES: [&str; 3] = ["api-keys.internal", "*.localhost", "127.0.0.1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_calls_the_service_by_tls_and_accepts_its_certificate_alone() {
    for program in Program::all() {
        let right = Certificates::new("gateway-tls", &NAMES, true);
        let stand = right.start(&program, "-tls", 401).await;
        let admin = stand.client("acme", Credential::Bearer(stand.server.token("acme", "admin")));
        let key = admin.create("Zapier Sync", "read").await;
        stand.forwards(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
        stand.stop().await;
        // As where there is no service.
        let absent = if program.gateway == Gateway::Traefik { 500 } else { 503 };
        for (name, names, is_of_the_authority) in
            [("-other-authority", &NAMES[..], false), ("-other-name", &["other.internal"], true)]
        {
            let wrong = Certificates::new(&format!("gateway-tls{name}"), names, is_of_the_authority);
            let stand = wrong.start(&program, name, absent).await;
            let reply = send(stand.client("acme", Credential::None).request(Method::GET, "/contacts")).await;
            assert_eq!(reply.status, absent, "{program:?}{name}: {reply:?}");
            assert!(stand.reached().is_empty(), "{program:?}{name}");
            stand.stop().await;
        }
    }
}
