//! Client assertions (RFC 7523): what is accepted, and everything that is not. CA-01 … CA-12 are the rows of the
//! checklist.

use std::io::ErrorKind;
use std::net::TcpListener;

use access_token::key_set::SignatureAlgorithm;
use aws_lc_rs::hmac;
use black_box::forge::{Forge, decode, encode, now};
use black_box::key_pair::{KeyPair, assertion_claims};
use black_box::{Server, shared};
use jsonwebtoken::{Algorithm, jwk::Jwk};
use local::Home;
use local::store::STATE_TABLE;
use registry::{AssertionAudience, AuthMethod, ClientKeys, ClientStatus};
use serde_json::{Value, json};

use crate::answer::{Answer, basic, demo, post_as};
use crate::key_server::KeyServer;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client of a server and its key.
pub struct Signer<'a> {
    server: &'a Server,
    client_id: String,
    key: KeyPair,
}

impl<'a> Signer<'a> {
    async fn new(server: &'a Server) -> Signer<'a> {
        Signer::with(server, KeyPair::p256()).await
    }

    async fn with(server: &'a Server, key: KeyPair) -> Signer<'a> {
        Signer { server, client_id: server.new_client_with_keys(&[&key], |_| {}).await, key }
    }

    fn claims(&self) -> Value {
        assertion_claims(&self.client_id, &self.server.url)
    }

    /// A good assertion.
    fn assertion(&self) -> String {
        self.key.sign(&self.key.header(), &self.claims())
    }

    /// One with a member of its header changed; `null` takes it away.
    fn with_header(&self, name: &str, value: Value) -> String {
        self.key.sign(&changed(self.key.header(), name, value), &self.claims())
    }

    /// One with a claim changed; `null` takes it away.
    fn with_claim(&self, name: &str, value: Value) -> String {
        self.key.sign(&self.key.header(), &changed(self.claims(), name, value))
    }

    async fn send(&self, assertion: &str) -> Answer {
        send(self.server, assertion, &[]).await
    }

    async fn assert_refused(&self, what: &str, assertion: &str) {
        self.send(assertion).await.assert_refused(what, 401, "invalid_client");
    }

    /// Nothing before this took the client's way in.
    async fn assert_still_accepted(&self) {
        self.send(&self.assertion()).await.assert_issued("a good assertion after all of those");
    }
}

fn changed(mut object: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}

async fn send(server: &Server, assertion: &str, parameters: &[(&str, &str)]) -> Answer {
    let own =
        [("grant_type", "client_credentials"), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    Answer::to(server.request("POST", "/token").form(&[&own, parameters].concat())).await
}

// CA-01
#[tokio::test]
async fn an_assertion_of_every_algorithm_gets_a_token() {
    let server = shared();
    for key in [KeyPair::rsa(Algorithm::RS256), KeyPair::rsa(Algorithm::PS256), KeyPair::p256(), KeyPair::ed25519()] {
        let signer = Signer::with(server, key).await;
        let answer = signer.send(&signer.assertion()).await;
        answer.assert_issued(signer.key.alg());
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap();
        assert_eq!(claims["client_id"], signer.client_id.as_str());
        assert_eq!(
            server.mcp(&token).body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await.unwrap().status(),
            200
        );
    }
}

// CA-01, CA-03, CA-04, CA-08: what the specifications leave to the client.
#[tokio::test]
async fn an_assertion_may_be_written_in_more_ways_than_one() {
    let signer = Signer::new(shared()).await;
    let url = &shared().url;
    for (what, assertion) in [
        ("one audience in an array", signer.with_claim("aud", json!([url]))),
        ("no typ", signer.with_header("typ", Value::Null)),
        ("typ JWT", signer.with_header("typ", json!("JWT"))),
        ("typ in another case", signer.with_header("typ", json!("Client-Authentication+JWT"))),
        ("no kid where there is one key", signer.with_header("kid", Value::Null)),
        ("a header member of no meaning here", signer.with_header("x5t", json!("dGh1bWI"))),
        ("no iat", signer.with_claim("iat", Value::Null)),
        ("an nbf", signer.with_claim("nbf", json!(now()))),
        ("a clock 25 s ahead", signer.with_claim("iat", json!(now() + 25))),
        ("a clock 25 s behind", signer.with_claim("exp", json!(now() - 25))),
        ("ten minutes", signer.with_claim("exp", json!(now() + 600))),
        ("a fraction of a second", signer.with_claim("exp", json!(now() as f64 + 60.5))),
        ("an old iat", signer.with_claim("iat", json!(0))),
        ("the longest jti", signer.with_claim("jti", json!("j".repeat(256)))),
        ("a jti of any characters", signer.with_claim("jti", json!("j/#\u{e9}\0\u{1f600}"))),
        ("more claims", signer.with_claim("custom", json!({ "a": [1] }))),
    ] {
        signer.send(&assertion).await.assert_issued(what);
    }
    let named = [("client_id", signer.client_id.as_str()), ("resource", &format!("{url}/mcp")), ("scope", "mcp.read")];
    send(shared(), &signer.assertion(), &named).await.assert_issued("client_id, resource and scope");
}

// CA-02, CA-03
#[tokio::test]
async fn the_audience_is_the_issuer_and_nothing_else() {
    let signer = Signer::new(shared()).await;
    let url = &shared().url;
    let [other_scheme, other_host] = shared().near_urls();
    for audience in [
        json!(format!("{url}/token")),
        json!(format!("{url}/")),
        json!(url.to_uppercase()),
        json!(format!(" {url}")),
        json!(other_scheme),
        json!(other_host),
        json!(format!("{url}/mcp")),
        json!(format!("{url}?")),
        json!([url, "https://other.example"]),
        json!([url, url]),
        json!([[url]]),
        json!([]),
        json!([1]),
        json!([null]),
        json!({ "aud": url }),
        json!(1),
        json!(true),
        json!(""),
        json!("https://other.example"),
        Value::Null,
    ] {
        signer.assert_refused(&audience.to_string(), &signer.with_claim("aud", audience.clone())).await;
    }
    signer.assert_still_accepted().await;
}

// CA-02
#[tokio::test]
async fn a_client_may_be_registered_for_the_older_audience() {
    let server = shared();
    let key = KeyPair::p256();
    let older = AssertionAudience::TokenEndpoint;
    let client_id = server.new_client_with_keys(&[&key], |client| client.assertion_audience = older).await;
    let signer = Signer { server, client_id, key };
    let endpoint = format!("{}/token", server.url);
    signer.send(&signer.with_claim("aud", json!(endpoint))).await.assert_issued("the token endpoint");
    signer.send(&signer.with_claim("aud", json!([endpoint]))).await.assert_issued("the token endpoint in an array");
    signer.send(&signer.assertion()).await.assert_issued("the issuer");
    for audience in
        [json!([endpoint, server.url]), json!(format!("{endpoint}/")), json!(format!("{}/revoke", server.url))]
    {
        signer.assert_refused(&audience.to_string(), &signer.with_claim("aud", audience.clone())).await;
    }
}

// CA-04, CA-09, CA-10
#[tokio::test]
async fn a_header_of_another_kind_is_refused() {
    let signer = Signer::new(shared()).await;
    let kid = signer.key.jwk["kid"].as_str().unwrap();
    let deep = (0..200).fold(json!(0), |inner, _| json!([inner]));
    for (name, value) in [
        ("typ", json!("at+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("application/at+jwt")),
        ("typ", json!("")),
        ("typ", json!(" JWT")),
        ("typ", json!(1)),
        ("typ", json!(["JWT"])),
        ("alg", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("")),
        ("alg", json!("es256")),
        ("alg", json!("ES384")),
        ("alg", json!("ES256K")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("PS256")),
        ("alg", json!("EdDSA")),
        ("alg", json!(["ES256"])),
        ("alg", json!(256)),
        ("kid", json!("another")),
        ("kid", json!("")),
        ("kid", json!(format!("{kid} "))),
        ("kid", json!(kid.to_lowercase())),
        ("kid", json!(1)),
        ("kid", json!([kid])),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1--")),
        ("kid", json!("k".repeat(257))),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("cty", json!("JWT")),
        ("jwk", signer.key.jwk.clone()),
        ("x5c", json!(["MIIB"])),
        ("custom", deep),
    ] {
        let what = format!("{name}: {value:.40}");
        signer.assert_refused(&what, &signer.with_header(name, value)).await;
    }
    signer.assert_still_accepted().await;
}

// CA-06, CA-07, CA-08
#[tokio::test]
async fn claims_that_are_missing_or_wrong_are_refused() {
    let signer = Signer::new(shared()).await;
    let another = Signer::new(shared()).await;
    let now = now();
    for (name, value) in [
        ("iss", Value::Null),
        ("iss", json!("")),
        ("iss", json!(another.client_id)),
        ("iss", json!(shared().url)),
        ("iss", json!([signer.client_id])),
        ("iss", json!(1)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(another.client_id)),
        ("sub", json!(format!("client:{}", signer.client_id))),
        ("sub", json!([signer.client_id])),
        ("exp", Value::Null),
        ("exp", json!(now - 31)),
        ("exp", json!(now - 300)),
        ("exp", json!(now + 660)),
        ("exp", json!(now + 86_400)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(1e18)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(f64::MAX)),
        ("exp", json!((now + 60).to_string())),
        ("exp", json!([now + 60])),
        ("exp", json!(true)),
        ("nbf", json!(now + 60)),
        ("nbf", json!("0")),
        ("nbf", json!(-1)),
        ("iat", json!(now + 60)),
        ("iat", json!(now.to_string())),
        ("iat", json!({})),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("j".repeat(257))),
        ("jti", json!(1)),
        ("jti", json!(["j"])),
        ("custom", (0..200).fold(json!(0), |inner, _| json!([inner]))),
    ] {
        let what = format!("{name}: {value:.40}");
        signer.assert_refused(&what, &signer.with_claim(name, value)).await;
    }
    signer.assert_still_accepted().await;
}

// CA-07
#[tokio::test]
async fn the_client_id_beside_an_assertion_is_its_subject() {
    let (signer, another) = (Signer::new(shared()).await, Signer::new(shared()).await);
    for id in [another.client_id.as_str(), "nobody", "not/an/id"] {
        let answer = send(shared(), &signer.assertion(), &[("client_id", id)]).await;
        answer.assert_refused(id, 401, "invalid_client");
    }
    for foreign in ["nobody", "", "a b", "../x"] {
        let claims = assertion_claims(foreign, &shared().url);
        signer.assert_refused(foreign, &signer.key.sign(&signer.key.header(), &claims)).await;
    }
    let claims = assertion_claims(&signer.client_id, &shared().url);
    signer.assert_refused("another client's key", &another.key.sign(&another.key.header(), &claims)).await;
    let posing = changed(another.key.header(), "kid", signer.key.jwk["kid"].clone());
    signer.assert_refused("another client's key under this one's id", &another.key.sign(&posing, &claims)).await;
}

// CA-09
#[tokio::test]
async fn the_key_decides_the_algorithm() {
    let server = shared();
    // A public key is no secret: whoever takes it for one can sign anything.
    let signer = Signer::with(server, KeyPair::rsa(Algorithm::RS256)).await;
    let jwk: Jwk = serde_json::from_value(signer.key.jwk.clone()).unwrap();
    let modulus = decode(signer.key.jwk["n"].as_str().unwrap());
    for secret in [signer.key.jwk.to_string().into_bytes(), serde_json::to_vec(&jwk).unwrap(), modulus, vec![]] {
        let header = changed(signer.key.header(), "alg", json!("HS256"));
        let message = format!("{}.{}", encode(header.to_string()), encode(signer.claims().to_string()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        signer.assert_refused("HS256 with the public key", &format!("{message}.{}", encode(signature))).await;
    }
    let header = changed(signer.key.header(), "alg", json!("PS256"));
    let other = signer.key.sign_with(Algorithm::PS256, &header, &signer.claims());
    signer.assert_refused("PS256 by a key that is registered for RS256", &other).await;
    let mixed = signer.key.sign_with(Algorithm::PS256, &signer.key.header(), &signer.claims());
    signer.assert_refused("a PS256 signature under RS256", &mixed).await;
    let longer =
        signer.key.sign_with(Algorithm::RS512, &changed(signer.key.header(), "alg", json!("RS512")), &signer.claims());
    signer.assert_refused("RS512", &longer).await;
    signer.assert_still_accepted().await;

    // A key that names no algorithm signs with each of its type.
    let mut key = KeyPair::rsa(Algorithm::RS256);
    key.jwk.as_object_mut().unwrap().remove("alg");
    let signer = Signer::with(server, key).await;
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        let header = changed(signer.key.header(), "alg", json!(format!("{algorithm:?}")));
        signer.send(&signer.key.sign_with(algorithm, &header, &signer.claims())).await.assert_issued("no alg");
    }
}

#[tokio::test]
async fn with_two_keys_of_one_algorithm_the_kid_has_to_say_which() {
    let server = shared();
    let (first, second) = (KeyPair::p256(), KeyPair::p256());
    let client_id = server.new_client_with_keys(&[&first, &second], |_| {}).await;
    for key in [first, second] {
        let signer = Signer { server, client_id: client_id.clone(), key };
        signer.assert_still_accepted().await;
        signer.assert_refused("no kid", &signer.with_header("kid", Value::Null)).await;
    }
}

// CA-10: an address in an assertion is never asked.
#[tokio::test]
async fn keys_that_an_assertion_brings_along_are_not_looked_at() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", elsewhere.local_addr().unwrap());
    let signer = Signer::new(shared()).await;
    for (name, value) in [("jku", json!(url)), ("x5u", json!(url)), ("jwk", signer.key.jwk.clone())] {
        signer.assert_refused(name, &signer.with_header(name, value.clone())).await;
        let foreign = KeyPair::p256();
        let header = changed(foreign.header(), name, value);
        signer.assert_refused(name, &foreign.sign(&header, &signer.claims())).await;
    }
    signer.assert_still_accepted().await;
    assert_eq!(elsewhere.accept().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock));
}

// CA-11
#[tokio::test]
async fn an_assertion_comes_with_its_type_and_without_a_secret() {
    let server = shared();
    let signer = Signer::new(server).await;
    let (id, secret) = demo(server);
    let assertion = &signer.assertion();
    let type_and_assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.as_str())];
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        let all = [&[("grant_type", "client_credentials")], more].concat();
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    for (what, form) in [
        ("an assertion without a type", with(&type_and_assertion[1..])),
        ("a type without an assertion", with(&type_and_assertion[..1])),
        ("an empty type", with(&[("client_assertion_type", ""), type_and_assertion[1]])),
        ("SAML", with(&[("client_assertion_type", &JWT_BEARER.replace("jwt", "saml2")), type_and_assertion[1]])),
        (
            "the type in upper case",
            with(&[("client_assertion_type", &JWT_BEARER.to_uppercase()), type_and_assertion[1]]),
        ),
        ("two assertions", with(&[type_and_assertion, type_and_assertion].concat())),
        ("a secret too", with(&[&type_and_assertion[..], &[("client_secret", &secret)]].concat())),
        (
            "id and secret too",
            with(&[&type_and_assertion[..], &[("client_id", &id), ("client_secret", &secret)]].concat()),
        ),
        ("longer than 4 KiB", with(&[type_and_assertion[0], ("client_assertion", &"x".repeat(4097))])),
    ] {
        Answer::to(server.request("POST", "/token").form(&form)).await.assert_refused(what, 400, "invalid_request");
    }
    for header in [basic(&id, &secret), "Bearer x".to_owned()] {
        let request = server.request("POST", "/token").form(&with(&type_and_assertion)).header("authorization", header);
        Answer::to(request).await.assert_refused("an Authorization header too", 400, "invalid_request");
    }
    let query = format!("/token?client_assertion={assertion}");
    let request = server.request("POST", &query).form(&with(&type_and_assertion));
    Answer::to(request).await.assert_refused("in the query", 400, "invalid_request");
    signer.send(assertion).await.assert_issued("none of those used it up");
}

// CA-12
#[tokio::test]
async fn jwts_that_were_made_for_something_else_are_refused() {
    let server = shared();
    let signer = Signer::new(server).await;
    signer.assert_refused("an access token of ours", &server.token().await).await;
    let ours = Forge::with_key_of(server, Algorithm::RS256);
    let claims = json!({
        "iss": signer.client_id, "sub": signer.client_id, "aud": server.url, "exp": now() + 60, "jti": "j",
    });
    signer.assert_refused("an assertion by the server's own key", &ours.claims(claims)).await;
    // RFC 7523 §2.1, as Salesforce wants it for its own tokens: a grant, not an authentication.
    let grant = json!({
        "iss": signer.client_id, "sub": "admin@example.com", "aud": "https://login.salesforce.com", "exp": now() + 180,
    });
    signer.assert_refused("a JWT for Salesforce", &signer.key.sign(&json!({ "alg": "ES256" }), &grant)).await;
    let proof = json!({ "jti": "j", "htm": "POST", "htu": format!("{}/token", server.url), "iat": now() });
    let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": signer.key.jwk });
    signer.assert_refused("a DPoP proof", &signer.key.sign(&header, &proof)).await;
    signer.assert_still_accepted().await;
}

#[tokio::test]
async fn what_is_no_compact_jwt_is_refused() {
    let signer = Signer::new(shared()).await;
    let good = signer.assertion();
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let raw = |header: &str, claims: &[u8]| signer.key.sign_text(Algorithm::ES256, header, claims);
    let (header_text, claims_text) = (signer.key.header().to_string(), signer.claims().to_string());
    let twice = |text: &str, name: &str| text.replacen('{', &format!("{{\"{name}\":\"x\","), 1);
    // DER instead of the two numbers side by side (RFC 7518 §3.4).
    let rs = decode(signature);
    let der = [&[0x30, 0x46, 0x02, 0x21, 0x00], &rs[..32], &[0x02, 0x21, 0x00], &rs[32..]].concat();
    for (what, text) in [
        ("a word", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("no signature", format!("{header}.{claims}.")),
        ("four parts", format!("{good}.x")),
        ("a dot more", format!("{good}.")),
        ("a dot before", format!(".{good}")),
        ("five parts", format!("{header}.{claims}.{signature}.{claims}.{signature}")),
        ("padding", format!("{good}=")),
        ("a padded header", format!("{header}=.{claims}.{signature}")),
        ("a line end", format!("{good}\n")),
        ("a space before", format!(" {good}")),
        ("JSON", json!({ "payload": claims, "protected": header, "signature": signature }).to_string()),
        ("the signature of another", format!("{header}.{claims}.{}", signer.assertion().rsplit('.').next().unwrap())),
        ("a zero signature", format!("{header}.{claims}.{}", encode([0; 64]))),
        ("a signature in DER", format!("{header}.{claims}.{}", encode(der))),
        ("a short signature", format!("{header}.{claims}.{}", encode(&rs[..63]))),
        ("a header of null", raw("null", claims_text.as_bytes())),
        ("a header of a list", raw("[]", claims_text.as_bytes())),
        ("an empty header", raw("{}", claims_text.as_bytes())),
        ("a broken header", raw("{", claims_text.as_bytes())),
        ("alg twice", raw(&twice(&header_text, "alg"), claims_text.as_bytes())),
        ("kid twice", raw(&twice(&header_text, "kid"), claims_text.as_bytes())),
        ("an unknown member twice", raw(&twice(&twice(&header_text, "a"), "a"), claims_text.as_bytes())),
        ("claims of null", raw(&header_text, b"null")),
        ("claims in a list", raw(&header_text, format!("[{claims_text}]").as_bytes())),
        ("claims and more", raw(&header_text, format!("{claims_text}x").as_bytes())),
        ("iss twice", raw(&header_text, twice(&claims_text, "iss").as_bytes())),
        ("sub twice", raw(&header_text, twice(&claims_text, "sub").as_bytes())),
        ("jti twice", raw(&header_text, twice(&claims_text, "jti").as_bytes())),
        ("an unknown claim twice", raw(&header_text, twice(&twice(&claims_text, "a"), "a").as_bytes())),
        ("exp out of range", raw(&header_text, claims_text.replace("\"exp\":", "\"exp\":1e999,\"e\":").as_bytes())),
        ("invalid UTF-8", raw(&header_text, &[claims_text.as_bytes(), &[0xff]].concat())),
        ("a byte order mark", raw(&header_text, format!("\u{feff}{claims_text}").as_bytes())),
    ] {
        signer.assert_refused(what, &text).await;
    }
    // The first character of each part; a character in the middle of each.
    for index in
        [0, header.len() / 2, header.len() + 1, header.len() + claims.len() / 2, good.len() - 80, good.len() - 40]
    {
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        signer.assert_refused(&format!("character {index}"), &String::from_utf8(bytes).unwrap()).await;
    }
    signer.send(&good).await.assert_issued("none of those used its jti up");
}

// Every refusal is the same, and the same as for a wrong secret.
#[tokio::test]
async fn a_refused_assertion_is_told_like_a_wrong_secret() {
    let signer = Signer::new(shared()).await;
    let (id, _) = shared().new_client(&[]);
    let wrong_secret = post_as(shared(), &(id, "wrong".to_owned()), &[]).await.without_date_and_id();
    let nobody = assertion_claims("nobody", &shared().url);
    for assertion in [
        "x".to_owned(),
        signer.with_header("alg", json!("none")),
        signer.with_header("kid", json!("another")),
        signer.with_claim("exp", json!(0)),
        signer.with_claim("aud", json!("x")),
        signer.key.sign(&signer.key.header(), &nobody),
    ] {
        assert_eq!(signer.send(&assertion).await.without_date_and_id(), wrong_secret);
    }
}

// AS-40
#[tokio::test]
async fn a_client_that_may_not_sign_gets_nothing_for_a_good_assertion() {
    let server = shared();
    let key = || KeyPair::p256();
    for what in ["secrets alone", "disabled", "expired", "no keys", "keys that are none"] {
        let key = key();
        let client_id = server
            .new_client_with_keys(&[&key], |client| match what {
                "secrets alone" => client.auth_methods = AuthMethod::WITH_SECRET.to_vec(),
                "expired" => client.expires_at = Some(now() - 1),
                "no keys" => client.keys = None,
                "keys that are none" => client.keys = Some(ClientKeys::Jwks("{}".to_owned())),
                _ => {}
            })
            .await;
        if what == "disabled" {
            let open = Home::new(server.home()).open().await.unwrap();
            let earlier = open.registry.client_now(&client_id.clone().try_into().unwrap()).await.unwrap().unwrap();
            let change = registry::ClientChange { status: Some(ClientStatus::Disabled), ..Default::default() };
            assert!(open.registry.replace_client(&earlier, &earlier.changed(change), None).await.unwrap());
        }
        let signer = Signer { server, client_id, key };
        signer.assert_refused(what, &signer.assertion()).await;
    }
}

// CA-05
#[tokio::test]
async fn an_assertion_is_good_for_one_token() {
    let server = shared();
    let signer = Signer::new(server).await;
    let assertion = signer.assertion();
    signer.send(&assertion).await.assert_issued("the first time");
    signer.assert_refused("the second time", &assertion).await;
    let jti = json!("the same");
    signer.send(&signer.with_claim("jti", jti.clone())).await.assert_issued("another assertion");
    let longer = changed(changed(signer.claims(), "jti", jti.clone()), "exp", json!(now() + 120));
    signer.assert_refused("its jti in one that lives longer", &signer.key.sign(&signer.key.header(), &longer)).await;
    let another = Signer::new(server).await;
    another.send(&another.with_claim("jti", jti)).await.assert_issued("its jti by another client");
}

#[tokio::test]
async fn nobody_but_the_client_can_use_its_jti_up() {
    let signer = Signer::new(shared()).await;
    let claims = signer.claims();
    let foreign = KeyPair::p256();
    let posing = changed(foreign.header(), "kid", signer.key.jwk["kid"].clone());
    signer.assert_refused("by another key", &foreign.sign(&posing, &claims)).await;
    for (name, value) in [("aud", json!("https://other.example")), ("exp", json!(now() - 60))] {
        let wrong = changed(claims.clone(), name, value);
        signer.assert_refused(name, &signer.key.sign(&signer.key.header(), &wrong)).await;
    }
    signer.send(&signer.key.sign(&signer.key.header(), &claims)).await.assert_issued("by the client");
}

// CA-05
#[tokio::test]
async fn of_two_requests_with_one_assertion_at_the_same_moment_one_gets_a_token() {
    let signer = Signer::new(shared()).await;
    for _ in 0..10 {
        let assertion = signer.assertion();
        let (a, b, c) = tokio::join!(signer.send(&assertion), signer.send(&assertion), signer.send(&assertion));
        let mut statuses = [a.status, b.status, c.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401]);
    }
}

/// What was used is kept until the assertion has expired, in the table that every process reads.
#[tokio::test]
async fn a_used_assertion_is_remembered_as_long_as_it_could_be_used() {
    let server = Server::start(&[]);
    let signer = Signer::new(&server).await;
    let exp = now() + 60;
    signer.send(&signer.with_claim("exp", json!(exp))).await.assert_issued("good");
    let open = Home::new(server.home()).open().await.unwrap();
    let items = open.aws.dynamodb.scan().table_name(STATE_TABLE).send().await.unwrap().items.unwrap();
    let pk = format!("REPLAY#{}", signer.client_id);
    let used: Vec<_> = items.iter().filter(|item| item["pk"].as_s() == Ok(&pk)).collect();
    assert_eq!(used.len(), 1);
    assert_eq!(
        used[0]["expires_at"].as_n().unwrap(),
        &(exp + 30).to_string(),
        "and the clock difference that is tolerated"
    );
}

// CA-05: fail closed.
#[tokio::test]
async fn without_the_table_of_used_assertions_none_is_accepted() {
    let server = Server::start(&[]);
    let signer = Signer::new(&server).await;
    signer.assert_still_accepted().await;
    let open = Home::new(server.home()).open().await.unwrap();
    open.aws.dynamodb.delete_table().table_name(STATE_TABLE).send().await.unwrap();
    let assertion = signer.assertion();
    for what in ["once", "twice"] {
        signer.send(&assertion).await.assert_refused(what, 503, "temporarily_unavailable");
    }
    signer.assert_refused("a wrong one", &signer.with_claim("aud", json!("x"))).await;
}

/// A client whose keys are at a URL of its own.
async fn at_url<'a>(server: &'a Server, url: &str, key: KeyPair) -> Signer<'a> {
    let keys = ClientKeys::JwksUri(url.to_owned());
    Signer { server, client_id: server.new_client_with_keys(&[], |client| client.keys = Some(keys)).await, key }
}

#[tokio::test]
async fn a_client_changes_the_keys_at_its_url_and_goes_on() {
    let server = shared();
    let first = KeyPair::p256();
    let keys = KeyServer::start(&[&first.jwk]);
    let mut signer = at_url(server, &keys.url, first).await;
    for _ in 0..5 {
        signer.assert_still_accepted().await;
    }
    assert_eq!(keys.asked(), 1, "remembered");

    let second = KeyPair::rsa(Algorithm::PS256);
    keys.serve(&[&second.jwk]);
    let first = std::mem::replace(&mut signer.key, second);
    signer.assert_still_accepted().await;
    assert_eq!(keys.asked(), 2, "read again for a key that is not known");
    signer.assert_still_accepted().await;

    let second = std::mem::replace(&mut signer.key, first);
    signer.assert_refused("the key that is gone", &signer.assertion()).await;
    signer.key = second;
    for _ in 0..5 {
        signer.assert_refused("a key that never was", &signer.with_header("kid", json!("another"))).await;
    }
    assert_eq!(keys.asked(), 2, "not asked again within 30 s");
    signer.assert_still_accepted().await;
}

#[tokio::test]
async fn many_requests_at_once_cost_one_read_of_the_keys() {
    let key = KeyPair::p256();
    let keys = KeyServer::start(&[&key.jwk]);
    let signer = at_url(shared(), &keys.url, key).await;
    let send = async || signer.assert_still_accepted().await;
    tokio::join!(send(), send(), send(), send(), send());
    assert_eq!(keys.asked(), 1);
}

#[tokio::test]
async fn a_url_that_serves_no_keys_is_an_outage_not_a_wrong_client() {
    let server = shared();
    for (what, status, content_type, body) in [
        ("not found", "404 Not Found", "application/json", r#"{"keys":[]}"#.to_owned()),
        ("a redirect", "302 Found\r\nlocation: http://127.0.0.1:1/", "application/json", r#"{"keys":[]}"#.to_owned()),
        ("a page", "200 OK", "text/html", r#"{"keys":[]}"#.to_owned()),
        ("no JSON", "200 OK", "application/json", "<html>".to_owned()),
        ("no key set", "200 OK", "application/json", "{}".to_owned()),
        ("too large", "200 OK", "application/json", format!("{{\"keys\":[]}}{}", " ".repeat(65_536))),
    ] {
        let key = KeyPair::p256();
        let keys = KeyServer::start(&[&key.jwk]);
        keys.answer(status, content_type, &body);
        let signer = at_url(server, &keys.url, key).await;
        signer.send(&signer.assertion()).await.assert_refused(what, 503, "temporarily_unavailable");
        signer.send(&signer.assertion()).await.assert_refused(what, 503, "temporarily_unavailable");
        assert_eq!(keys.asked(), 1, "{what}: left alone for 5 s");
        assert!(server.log().contains("client_keys_unavailable"));
    }
    let signer = at_url(server, "https://client.invalid/jwks.json", KeyPair::p256()).await;
    signer.send(&signer.assertion()).await.assert_refused("no such host", 503, "temporarily_unavailable");
    for url in
        ["http://10.0.0.1/", "https://169.254.169.254/latest/meta-data/", "http://client.example.com/", "file:///"]
    {
        let signer = at_url(server, url, KeyPair::p256()).await;
        signer.send(&signer.assertion()).await.assert_refused(url, 503, "temporarily_unavailable");
    }
}

#[tokio::test]
async fn a_private_key_at_a_url_signs_nothing() {
    let server = shared();
    let key = KeyPair::p256();
    let leaked = changed(key.jwk.clone(), "d", json!("AA"));
    let keys = KeyServer::start(&[&leaked]);
    let signer = at_url(server, &keys.url, key).await;
    signer.assert_refused("its private half is there to read", &signer.assertion()).await;
}

#[tokio::test]
async fn keys_at_a_url_outlive_it() {
    let server = shared();
    let key = KeyPair::ed25519();
    let keys = KeyServer::start(&[&key.jwk]);
    let signer = at_url(server, &keys.url, key).await;
    signer.assert_still_accepted().await;
    keys.answer("500 Internal Server Error", "text/plain", "");
    signer.assert_still_accepted().await;
    signer.assert_refused("an unknown key", &signer.with_header("kid", json!("another"))).await;
    signer.assert_still_accepted().await;
}

// MD-04: what is advertised is taken.
#[tokio::test]
async fn the_advertised_algorithms_are_those_of_the_keys() {
    let metadata = Answer::to(shared().request("GET", "/.well-known/oauth-authorization-server")).await.json();
    assert_eq!(
        metadata["token_endpoint_auth_signing_alg_values_supported"],
        json!(SignatureAlgorithm::ALL.map(SignatureAlgorithm::as_str))
    );
}
