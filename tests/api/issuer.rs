//! A token issuer under the control of a test: it publishes and rotates keys, fails, or responds slowly.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    },
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A key pair. Only the public key is published.
pub struct SigningKey {
    pub id: String,
    pub algorithm: Algorithm,
    private: EncodingKey,
    /// PEM, `-----BEGIN PUBLIC KEY-----`.
    pub public_pem: String,
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", BASE64_STANDARD.encode(der))
}

impl SigningKey {
    pub fn generate(id: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let (private, public): (EncodingKey, Vec<u8>) = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => {
                let curve = match algorithm {
                    Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref()).unwrap();
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let private = EncodingKey::from_ec_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes()).unwrap();
                (private, public.as_ref().to_vec())
            }
            Algorithm::EdDSA => {
                // PKCS#8 v1 (RFC 5208): `jsonwebtoken` reads no other version.
                let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.as_ref()).unwrap();
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let private = EncodingKey::from_ed_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes()).unwrap();
                (private, public.as_ref().to_vec())
            }
            _ => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let private = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes()).unwrap();
                (private, public.as_ref().to_vec())
            }
        };
        Self { id: id.to_owned(), algorithm, private, public_pem: pem("PUBLIC KEY", &public) }
    }

    /// The public key as published in the JWKS.
    pub fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token signed with this key, with its `kid` in the header.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }, claims)
    }

    /// A token whose header names another algorithm than the key's, or names it in another way.
    pub fn sign_under_name(&self, algorithm: &str, claims: &Value) -> String {
        let base64 = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", base64(&json!({"alg": algorithm, "kid": self.id})), base64(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    pub fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private).unwrap()
    }
}

#[derive(Default)]
pub struct Behaviour {
    pub keys: Vec<Value>,
    /// Every response is a 503.
    pub down: bool,
    /// The delay before each response.
    pub delay: Duration,
    /// Replaces the discovery document.
    pub configuration: Option<Value>,
    /// Replaces the body of the JWKS response.
    pub response: Option<Vec<u8>>,
    /// The number of requests for the JWKS.
    pub key_requests: usize,
}

#[derive(Clone)]
pub struct Issuer {
    pub address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Issuer {
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = keys.iter().map(|key| key.jwk()).collect();
        let behaviour = Arc::new(Mutex::new(Behaviour { keys, ..Behaviour::default() }));
        let issuer = Self { address: listener.local_addr().unwrap(), behaviour };
        let router = Router::new()
            .route("/keys", get(jwks))
            // Below whatever path the issuer's name has.
            .fallback(configuration)
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    pub fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.name())
    }

    pub fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    pub fn publish(&self, keys: &[&SigningKey]) {
        self.behaviour().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    async fn respond(&self, key_requests: usize, body: impl FnOnce(&Behaviour) -> Vec<u8>) -> Response {
        let delay = self.behaviour().delay;
        tokio::time::sleep(delay).await;
        let mut behaviour = self.behaviour();
        behaviour.key_requests += key_requests;
        if behaviour.down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        ([(header::CONTENT_TYPE, "application/json")], body(&behaviour)).into_response()
    }
}

async fn configuration(State(issuer): State<Issuer>) -> Response {
    let own = json!({"issuer": issuer.name(), "jwks_uri": issuer.keys_url()});
    issuer.respond(0, |behaviour| behaviour.configuration.as_ref().unwrap_or(&own).to_string().into_bytes()).await
}

async fn jwks(State(issuer): State<Issuer>) -> Response {
    let keys = |behaviour: &Behaviour| {
        behaviour.response.clone().unwrap_or_else(|| json!({"keys": behaviour.keys}).to_string().into_bytes())
    };
    issuer.respond(1, keys).await
}
