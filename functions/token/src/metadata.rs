//! What the authorization server says of itself: metadata (RFC 8414) and public keys (RFC 7517). Made once.

use access_token::SignatureAlgorithm;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use registry::{AuthMethod, PublicUrl};
use serde_json::json;

/// The metadata document.
pub struct Metadata {
    document: Bytes,
}

impl Metadata {
    /// The document of an issuer; nothing in it comes from a request.
    pub fn new(public_url: &PublicUrl) -> Metadata {
        let issuer = public_url.as_str();
        let auth_methods = AuthMethod::ALL.map(AuthMethod::as_str);
        let signing_algs = SignatureAlgorithm::ALL.map(SignatureAlgorithm::as_str);
        let document = json!({
            "issuer": issuer,
            // The SDK clients refuse a document without it. It answers 400: there is no code flow, and
            // `response_types_supported`, which RFC 8414 §2 requires, is empty.
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": auth_methods,
            "token_endpoint_auth_signing_alg_values_supported": signing_algs,
            "revocation_endpoint": format!("{issuer}/revoke"),
            "revocation_endpoint_auth_methods_supported": auth_methods,
            "revocation_endpoint_auth_signing_alg_values_supported": signing_algs,
            "introspection_endpoint": format!("{issuer}/introspect"),
            "introspection_endpoint_auth_methods_supported": auth_methods,
            "introspection_endpoint_auth_signing_alg_values_supported": signing_algs,
            "scopes_supported": access_token::Scope::ALL.map(access_token::Scope::as_str),
        });
        Metadata { document: Bytes::from(document.to_string()) }
    }

    /// The document as an answer.
    pub fn answer(&self) -> Response<Bytes> {
        public(self.document.clone(), "application/json", "public, max-age=3600")
    }
}

/// The key set as an answer. Verifiers may keep it for 5 minutes; a new key is published 15 minutes before it signs.
pub fn jwks_answer(key_set: &Bytes) -> Response<Bytes> {
    public(key_set.clone(), "application/jwk-set+json", "public, max-age=300")
}

fn public(body: Bytes, content_type: &'static str, cache_control: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    // Public documents, read without credentials: any page may.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
