//! CA: `private_key_jwt` (RFC 7521, RFC 7523, draft-ietf-oauth-rfc7523bis).

use std::io::ErrorKind;
use std::net::TcpListener;

use aws_lc_rs::hmac;
use black_box::answer::{Answer, basic};
use black_box::forge::{encode, now};
use black_box::key_pair::{KeyPair, assertion_claims};
use black_box::shared;
use jsonwebtoken::Algorithm;
use registry::AssertionAudience;
use serde_json::{Value, json};

use crate::verdict::{alike, told};
use crate::{Case, case};

const TOKEN: &str = "200 token";
const BAD_CLIENT: &str = "401 invalid_client, Basic challenge";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub fn cases() -> Vec<Case> {
    vec![
        case("CA-01", "ES256, RS256, PS256, EdDSA; `aud` is the issuer", "RFC 7523 §3", TOKEN, async {
            let rsa = [Algorithm::RS256, Algorithm::PS256].map(KeyPair::rsa);
            let keys = [KeyPair::p256(), KeyPair::ed25519()].into_iter().chain(rsa);
            let mut seen = Vec::new();
            for key in keys {
                seen.push(told(&Signer::with(key).await.authenticate(|_, _| {}).await));
            }
            alike(seen)
        }),
        case(
            "CA-02",
            "`aud` is the token endpoint; the same for a client with `--assertion-audience token-endpoint`",
            "draft-ietf-oauth-rfc7523bis",
            "401 invalid_client, Basic challenge; 200 token",
            audience_is_the_token_endpoint(),
        ),
        case(
            "CA-03",
            "`aud` [issuer]; [issuer, x], a slash at its end, upper case",
            "draft-ietf-oauth-rfc7523bis",
            "200 token; 401 invalid_client, Basic challenge",
            async {
                let issuer = || shared().url.clone();
                let audiences = [
                    json!([issuer()]),
                    json!([issuer(), "x"]),
                    json!(format!("{}/", issuer())),
                    json!(issuer().to_uppercase()),
                ];
                with_claims(audiences.map(|audience| ("aud", audience))).await
            },
        ),
        case(
            "CA-04",
            "`typ` client-authentication+jwt, none, JWT; at+jwt, dpop+jwt",
            "draft-ietf-oauth-rfc7523bis",
            "200 token; 401 invalid_client, Basic challenge",
            async {
                let types = ["client-authentication+jwt", "", "JWT", "at+jwt", "dpop+jwt"];
                with_headers(types.map(|typ| json!({ "typ": (!typ.is_empty()).then_some(typ) }))).await
            },
        ),
        case(
            "CA-05",
            "the same assertion twice",
            "RFC 7523 §3",
            "200 token; 401 invalid_client, Basic challenge",
            async {
                let signer = Signer::new().await;
                let assertion = signer.assertion(|_, _| {});
                alike([told(&send(&assertion, &[]).await), told(&send(&assertion, &[]).await)])
            },
        ),
        case("CA-06", "without `jti`, `exp`, `aud`, `iss`, `sub`, one at a time", "RFC 7523 §3", BAD_CLIENT, async {
            with_claims(["jti", "exp", "aud", "iss", "sub"].map(|name| (name, Value::Null))).await
        }),
        case(
            "CA-07",
            "`iss` is another, `sub` is another, `client_id` beside it is another",
            "RFC 7523 §3, RFC 7521 §4.2",
            BAD_CLIENT,
            async {
                let (another, signer) = (Signer::new().await, Signer::new().await);
                let another = another.client_id.as_str();
                let seen = with_claims(["iss", "sub"].map(|name| (name, json!(another)))).await;
                alike([seen, told(&send(&signer.assertion(|_, _| {}), &[("client_id", another)]).await)])
            },
        ),
        case(
            "CA-08",
            "`exp` a minute ago, `exp` in 11 minutes, `nbf` and `iat` in a minute",
            "RFC 7523 §3",
            BAD_CLIENT,
            async {
                let times = [("exp", now() - 60), ("exp", now() + 660), ("nbf", now() + 60), ("iat", now() + 60)];
                with_claims(times.map(|(name, time)| (name, json!(time)))).await
            },
        ),
        case(
            "CA-09",
            "`alg` none, HS256 with the public key for a secret, PS256 for a key registered for RS256",
            "RFC 8725 §3.1",
            BAD_CLIENT,
            other_algorithms(),
        ),
        case(
            "CA-10",
            "unknown `kid`; another key in `jwk`; another key at `jku`, `x5u`",
            "RFC 8725 §3.10",
            "401 invalid_client, Basic challenge; no request went out",
            keys_from_elsewhere(),
        ),
        case(
            "CA-11",
            "type wrong, type without assertion, assertion without type, assertion and Basic",
            "RFC 7521 §4.2, RFC 6749 §2.3",
            "400 invalid_request",
            mixed_methods(),
        ),
        case("CA-12", "an access token of ours; a JWT of another issuer", "RFC 8725 §3.11", BAD_CLIENT, async {
            let ours = shared().token().await;
            let signer = Signer::new().await;
            let foreign = KeyPair::rsa(Algorithm::RS256);
            let mut claims = assertion_claims(&signer.client_id, &shared().url);
            claims["iss"] = json!("https://login.example.com");
            let foreign = foreign.sign(&json!({ "alg": "RS256", "kid": foreign.jwk["kid"] }), &claims);
            alike([told(&send(&ours, &[]).await), told(&send(&foreign, &[]).await)])
        }),
    ]
}

/// A new client and its key.
struct Signer {
    client_id: String,
    key: KeyPair,
}

impl Signer {
    async fn new() -> Signer {
        Signer::with(KeyPair::p256()).await
    }

    async fn with(key: KeyPair) -> Signer {
        Signer { client_id: shared().new_client_with_keys(&[&key], |_| {}).await, key }
    }

    /// A good assertion but for a change of its header and claims; `null` takes a member away.
    fn assertion(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (header, claims) = self.parts(change);
        self.key.sign(&header, &claims)
    }

    fn parts(&self, change: impl FnOnce(&mut Value, &mut Value)) -> (Value, Value) {
        let (mut header, mut claims) = (self.key.header(), assertion_claims(&self.client_id, &shared().url));
        change(&mut header, &mut claims);
        for part in [&mut header, &mut claims] {
            part.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        (header, claims)
    }

    async fn authenticate(&self, change: impl FnOnce(&mut Value, &mut Value)) -> Answer {
        send(&self.assertion(change), &[]).await
    }
}

/// A token request with an assertion, and more parameters.
async fn send(assertion: &str, parameters: &[(&str, &str)]) -> Answer {
    let own =
        [("grant_type", "client_credentials"), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    Answer::to(shared().request("POST", "/token").form(&[&own, parameters].concat())).await
}

/// Good assertions but for one claim each, of a client each.
async fn with_claims<const COUNT: usize>(claims: [(&'static str, Value); COUNT]) -> String {
    let mut seen = Vec::new();
    for (name, value) in claims {
        seen.push(told(&Signer::new().await.authenticate(|_, claims| claims[name] = value).await));
    }
    alike(seen)
}

/// Good assertions but for some members of the header, of a client each.
async fn with_headers<const COUNT: usize>(changes: [Value; COUNT]) -> String {
    let mut seen = Vec::new();
    for change in changes {
        seen.push(told(&Signer::new().await.authenticate(|header, _| extend(header, change)).await));
    }
    alike(seen)
}

fn extend(object: &mut Value, members: Value) {
    for (name, value) in members.as_object().unwrap() {
        object[name] = value.clone();
    }
}

async fn audience_is_the_token_endpoint() -> String {
    let endpoint = json!(format!("{}/token", shared().url));
    let refused = with_claims([("aud", endpoint.clone())]).await;
    let key = KeyPair::p256();
    let switch = AssertionAudience::TokenEndpoint;
    let client_id = shared().new_client_with_keys(&[&key], |client| client.assertion_audience = switch).await;
    let taken = Signer { client_id, key }.authenticate(|_, claims| claims["aud"] = endpoint).await;
    alike([refused, told(&taken)])
}

async fn other_algorithms() -> String {
    let mut seen = Vec::new();
    let signer = Signer::new().await;
    let (header, claims) = signer.parts(|header, _| header["alg"] = json!("none"));
    seen.push(told(&send(&format!("{}.{}.", encode(header.to_string()), encode(claims.to_string())), &[]).await));

    let signer = Signer::new().await;
    let (header, claims) = signer.parts(|header, _| header["alg"] = json!("HS256"));
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, signer.key.jwk.to_string().as_bytes());
    let signature = hmac::sign(&secret, message.as_bytes());
    seen.push(told(&send(&format!("{message}.{}", encode(signature)), &[]).await));

    let signer = Signer::with(KeyPair::rsa(Algorithm::RS256)).await;
    let (header, claims) = signer.parts(|header, _| header["alg"] = json!("PS256"));
    seen.push(told(&send(&signer.key.sign_with(Algorithm::PS256, &header, &claims), &[]).await));
    alike(seen)
}

async fn keys_from_elsewhere() -> String {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", elsewhere.local_addr().unwrap());
    let unknown_kid = with_headers([json!({ "kid": "another" })]).await;
    let mut seen = vec![unknown_kid];
    let other = KeyPair::p256();
    for member in [json!({ "jwk": other.jwk }), json!({ "jku": url }), json!({ "x5u": url })] {
        for kid in [&Value::Null, &other.jwk["kid"]] {
            let (mut header, claims) = Signer::new().await.parts(|_, _| {});
            extend(&mut header, member.clone());
            if !kid.is_null() {
                header["kid"] = kid.clone();
            }
            seen.push(told(&send(&other.sign(&header, &claims), &[]).await));
        }
    }
    let asked = elsewhere.accept().map_err(|error| error.kind());
    let requests = if matches!(asked, Err(ErrorKind::WouldBlock)) { "no request" } else { "a request" };
    format!("{}; {requests} went out", alike(seen))
}

async fn mixed_methods() -> String {
    let signer = Signer::new().await;
    let (id, secret) = shared().new_client(&[]);
    let assertion = signer.assertion(|_, _| {});
    let mut seen = Vec::new();
    for (basic, parameters) in [
        (None, vec![("client_assertion_type", "x"), ("client_assertion", assertion.as_str())]),
        (None, vec![("client_assertion_type", JWT_BEARER)]),
        (None, vec![("client_assertion", &assertion)]),
        (Some(basic(&id, &secret)), vec![("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)]),
    ] {
        let parameters = [&[("grant_type", "client_credentials")], &parameters[..]].concat();
        let mut request = shared().request("POST", "/token").form(&parameters);
        if let Some(basic) = basic {
            request = request.header("authorization", basic);
        }
        seen.push(told(&Answer::to(request).await));
    }
    alike(seen)
}
