//! Tokens that must not be taken: the classes of RFC 8725 and of every list of JWT mistakes, signed with the server's
//! own key where the signature is not the point. Good ones beside them, so that the tables can fail.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::KeyPair;
use black_box::{Server, shared};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::prepared::prepared;
use crate::{PING, header, read};
use black_box::forge::{Forge, decode, der, encode, now, pem};

type Table = Vec<(String, String)>;

/// Names of the tokens that are answered with anything but 401 `invalid_token`.
async fn not_refused(server: &Server, tokens: Table) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, token) in tokens {
        let response = server.mcp(&token).body(PING).send().await.unwrap();
        let challenge = header(server, &response, "www-authenticate");
        let (status, body) = read(response).await;
        let refused = status == 401
            && challenge.starts_with("Bearer error=\"invalid_token\", ")
            && body["error"]["data"]["code"] == "invalid_token";
        if !refused {
            wrong.push(format!("{name}: {status} {challenge} {body}"));
        }
    }
    wrong
}

/// Names of the tokens that are answered with anything but a result.
async fn not_accepted(server: &Server, tokens: Table) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, token) in tokens {
        let (status, body) = read(server.mcp(&token).body(PING).send().await.unwrap()).await;
        if (status, &body["result"]) != (200, &json!({})) {
            wrong.push(format!("{name}: {status} {body}"));
        }
    }
    wrong
}

fn named<'a>(tokens: impl IntoIterator<Item = (&'a str, String)>) -> Table {
    tokens.into_iter().map(|(name, token)| (name.to_owned(), token)).collect()
}

fn named_by_value(what: &str, values: Vec<Value>, token: impl Fn(Value) -> String) -> Table {
    let name = |value: &Value| format!("{what} {:.60}", value.to_string());
    values.into_iter().map(|value| (name(&value), token(value))).collect()
}

fn own() -> Forge {
    Forge::with_key_of(shared(), Algorithm::RS256)
}

const NONE: Vec<String> = Vec::new();

#[tokio::test]
async fn forged_tokens_that_keep_every_rule_are_accepted() {
    let (forge, now) = (own(), now());
    let tokens = named([
        ("as issued", forge.good()),
        ("typ in capitals", forge.header("typ", json!("AT+JWT"))),
        ("typ with its prefix", forge.header("typ", json!("application/at+jwt"))),
        (
            "expired within the tolerated difference of clocks",
            forge.claims(json!({ "iat": now - 900, "exp": now - 20 })),
        ),
        ("issued by a clock 20 s ahead", forge.claims(json!({ "iat": now + 20, "exp": now + 900 }))),
        ("valid since a minute", forge.claim("nbf", json!(now - 60))),
        ("an hour long", forge.claim("exp", json!(now + 3_600))),
        ("with a claim that nobody knows", forge.claim("tenant", json!({ "a": [1] }))),
        ("write alone", forge.claim("scope", json!("mcp.write"))),
        ("without any scope", forge.claim("scope", json!(""))),
        ("as long as a header may be", padded(&forge, 4_096 - "Bearer ".len())),
    ]);
    assert_eq!(not_accepted(shared(), tokens).await, NONE);
}

#[tokio::test]
async fn a_header_that_is_not_that_of_an_access_token_is_refused() {
    let forge = own();
    let mut tokens = named_by_value(
        "alg",
        vec![
            json!("none"),
            json!("None"),
            json!("NONE"),
            json!(""),
            json!("rs256"),
            json!("RS384"),
            json!("PS256"),
            json!("ES256"),
            json!("ES256K"),
            json!("ES512"),
            json!("EdDSA"),
            json!("HS256"),
            Value::Null,
            json!(256),
            json!(["RS256"]),
            json!({}),
            json!(true),
        ],
        |alg| forge.header("alg", alg),
    );
    tokens.extend(named_by_value(
        "typ",
        vec![
            json!("JWT"),
            json!("jwt"),
            json!("at+jwt "),
            json!(" at+jwt"),
            json!("at+jwt;v=1"),
            json!("id+jwt"),
            json!("client-authentication+jwt"),
            json!("dpop+jwt"),
            json!("application/jwt"),
            json!(""),
            Value::Null,
            json!(1),
            json!(["at+jwt"]),
        ],
        |typ| forge.header("typ", typ),
    ));
    tokens.extend(named_by_value(
        "kid",
        vec![
            Value::Null,
            json!(7),
            json!([forge.kid()]),
            json!(""),
            json!("unknown"),
            json!("x".repeat(65)),
            json!("x".repeat(10_000 / 4)),
            json!("../../dev/null"),
            json!("' OR 1=1--"),
            json!("|cmd"),
            json!(format!("{}\0", forge.kid())),
            json!(format!(" {}", forge.kid())),
            json!(forge.kid().replacen(|c: char| c.is_ascii_alphabetic(), "а", 1)),
            json!(forge.kid().to_lowercase() + "x"),
        ],
        |kid| forge.header("kid", kid),
    ));
    for (name, value) in [
        ("crit", json!(["x"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5")),
        ("x5c", json!(["AAAA"])),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
        ("nonce", json!("n")),
    ] {
        tokens.push((format!("{name} {value}"), forge.header(name, value)));
    }
    let twice = |member: &str, first: bool| {
        forge.header_text(|text| {
            if first {
                text.replacen('{', &format!("{{{member},"), 1)
            } else {
                text.replacen('}', &format!(",{member}}}"), 1)
            }
        })
    };
    tokens.extend(named([
        ("alg twice, none first", twice("\"alg\":\"none\"", true)),
        ("alg twice, none last", twice("\"alg\":\"none\"", false)),
        ("kid twice", twice("\"kid\":\"x\"", true)),
        ("typ twice", twice("\"typ\":\"at+jwt\"", false)),
        ("null", forge.header_text(|_| "null".into())),
        ("an array", forge.header_text(|text| format!("[{text}]"))),
        ("a text", forge.header_text(|_| "\"at+jwt\"".into())),
        ("not JSON", forge.header_text(|text| text.replace('}', ""))),
        ("more after the object", forge.header_text(|text| format!("{text}{{}}"))),
        (
            "deep",
            forge
                .header_text(|text| text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200)), 1)),
        ),
    ]));
    assert_eq!(not_refused(shared(), tokens).await, NONE);
}

#[tokio::test]
async fn claims_that_break_a_rule_are_refused_though_the_signature_is_right() {
    let (forge, now, url) = (own(), now(), &shared().url);
    let [other_scheme, other_host] = shared().near_urls();
    let mut tokens = Table::new();
    for (claim, values) in [
        (
            "iss",
            vec![
                json!("https://staging.example.com"),
                json!(format!("{url}/")),
                json!(url.to_uppercase()),
                json!([url]),
                json!(1),
                json!(""),
                Value::Null,
            ],
        ),
        (
            "aud",
            vec![
                json!(url),
                json!(format!("{url}/mcp/")),
                json!(format!("{url}/mcp2")),
                json!(format!("{url}/mc")),
                json!(format!("{url}/mcp/default")),
                json!(format!("{url}/mcp/orders")),
                json!(format!("{url}/mcp?x=1")),
                json!(format!("{url}/mcp#x")),
                json!(format!("{url}/MCP")),
                json!(format!("{url}/token")),
                json!(format!("{other_scheme}/mcp")),
                json!(format!("{other_host}/mcp")),
                json!(format!("{url}0/mcp")),
                json!("https://mcp.example.com/mcp"),
                json!(7),
                json!([]),
                json!([7]),
                json!([format!("{url}/mcp"), 7]),
                json!([format!("{url}/mcp"), "https://other.example/mcp"]),
                json!({}),
                json!(""),
                Value::Null,
            ],
        ),
        ("sub", vec![json!(""), json!(1), json!(["client:demo"]), Value::Null]),
        ("client_id", vec![json!(""), json!(1), Value::Null]),
        ("jti", vec![json!(""), json!(1), Value::Null]),
        (
            "scope",
            vec![
                json!("mcp.admin"),
                json!("mcp.read mcp.admin"),
                json!("mcp.read  mcp.write"),
                json!(["mcp.read"]),
                json!(1),
            ],
        ),
        (
            "exp",
            vec![
                json!(now - 31),
                json!(now - 3_600),
                json!(0),
                json!(-1),
                json!((now + 900).to_string()),
                json!(now as f64 + 900.5),
                json!(1e18),
                json!(1_000_000_000_000_000_000_u64),
                json!(u64::MAX),
                json!(now + 3_700),
                json!(true),
                json!([now + 900]),
                Value::Null,
            ],
        ),
        ("nbf", vec![json!(now + 90), json!(now.to_string()), json!(-1), json!(1.5)]),
        ("iat", vec![json!(now + 90), json!(now + 3_600), json!(now.to_string()), json!(-1), json!(0), Value::Null]),
    ] {
        tokens.extend(named_by_value(claim, values, |value| forge.claim(claim, value)));
    }
    let twice = |member: &str| forge.claims_text(|text| text.replacen('{', &format!("{{{member},"), 1));
    tokens.extend(named([
        ("exp twice", twice(&format!("\"exp\":{}", now + 900))),
        ("aud twice", twice(&format!("\"aud\":\"{url}/mcp\""))),
        ("scope twice", twice("\"scope\":\"mcp.write\"")),
        ("sub twice", twice("\"sub\":\"client:other\"")),
        ("exp NaN", forge.claims_text(|text| text.replace(&(now + 900).to_string(), "NaN"))),
        ("exp infinite", forge.claims_text(|text| text.replace(&(now + 900).to_string(), "1e999"))),
        ("by a clock an hour behind", forge.claims(json!({ "iat": now - 3_600, "exp": now - 2_700 }))),
        ("by a clock an hour ahead", forge.claims(json!({ "iat": now + 3_600, "exp": now + 4_500 }))),
        ("by a clock ten years ahead", forge.claims(json!({ "iat": now + 315_360_000, "exp": now + 315_360_900 }))),
        ("expires before it is issued", forge.claims(json!({ "iat": now, "exp": now - 10 }))),
        ("nothing", forge.claims_bytes(b"")),
        ("null", forge.claims_bytes(b"null")),
        ("an array", forge.claims_text(|text| format!("[{text}]"))),
        ("a text", forge.claims_bytes(b"\"demo\"")),
        ("a number", forge.claims_bytes(b"7")),
        ("invalid UTF-8", forge.claims_bytes(b"{\"iss\":\"\xff\"}")),
        ("more after the object", forge.claims_text(|text| format!("{text}{{}}"))),
        // What the same key signs for another purpose: an ID token, a client assertion.
        ("an ID token", forge.claims(json!({ "aud": "demo", "sub": "user", "nonce": "n" }))),
        ("a client assertion", forge.claims(json!({ "iss": "demo", "sub": "demo", "aud": url }))),
    ]));
    assert_eq!(not_refused(shared(), tokens).await, NONE);
}

#[tokio::test]
async fn claims_that_are_two_hundred_levels_deep_are_refused() {
    let deep = format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200));
    let token = own().claims_text(|text| text.replacen('{', &deep, 1));
    assert_eq!(not_refused(shared(), named([("200 levels", token)])).await, NONE);
}

#[tokio::test]
async fn tokens_that_the_servers_key_did_not_sign_are_refused() {
    let forge = own();
    let foreign = Forge::with_foreign_key(&shared().url, forge.kid());
    let unknown = Forge::with_foreign_key(&shared().url, "unknown");
    let jwks: Value = shared().request("GET", "/.well-known/jwks.json").send().await.unwrap().json().await.unwrap();
    let jwk = &jwks["keys"][0];
    let public =
        AsDer::<PublicKeyX509Der>::as_der(RsaKeyPair::from_pkcs8(&der(&forge.pem)).unwrap().public_key()).unwrap();
    let public = public.as_ref();
    let hmac = |secret: &[u8]| forge.signed_by("HS256", Algorithm::HS256, &EncodingKey::from_secret(secret));
    let attackers_jwk = access_token::SigningKey::from_pem(&foreign.pem).unwrap().public_jwk();
    let mut tokens = named([
        ("a foreign key under our key id", foreign.good()),
        ("a foreign key under its own key id", unknown.good()),
        ("a foreign key in the header", foreign.header("jwk", attackers_jwk.clone())),
        ("a foreign key in the header, by its own key id", unknown.header("jwk", attackers_jwk)),
        ("HS256 with our public key as PEM", hmac(pem("PUBLIC KEY", public).as_bytes())),
        (
            "HS256 with our public key as PEM without the last line end",
            hmac(pem("PUBLIC KEY", public).trim_end().as_bytes()),
        ),
        ("HS256 with our public key as DER", hmac(public)),
        ("HS256 with our modulus", hmac(&decode(jwk["n"].as_str().unwrap()))),
        ("HS256 with our JWK", hmac(jwk.to_string().as_bytes())),
        ("HS256 with nothing", hmac(b"")),
        ("PS256 with our own key", forge.signed_by("PS256", Algorithm::PS256, forge.key())),
        ("RS384 with our own key", forge.signed_by("RS384", Algorithm::RS384, forge.key())),
        ("RS512 with our own key", forge.signed_by("RS512", Algorithm::RS512, forge.key())),
        ("PS256 that calls itself RS256", forge.signed_by("RS256", Algorithm::PS256, forge.key())),
    ]);
    let good = forge.good();
    let [head, claims, signature] = parts(&good);
    let [_, other_claims, other_signature] = parts(&forge.claim("jti", json!("other"))).map(str::to_owned);
    let none = forge.header("alg", json!("none"));
    let none = parts(&none)[0];
    tokens.extend(named([
        ("no signature", format!("{head}.{claims}.")),
        ("alg none without a signature", format!("{none}.{claims}.")),
        ("the signature of another token", format!("{head}.{claims}.{other_signature}")),
        ("other claims under the signature", format!("{head}.{other_claims}.{signature}")),
        ("a signature of zeros", format!("{head}.{claims}.{}", encode([0; 256]))),
        ("a signature of ones", format!("{head}.{claims}.{}", encode([0xff; 256]))),
        ("a signature that is too short", format!("{head}.{claims}.{}", encode(&decode(signature)[1..]))),
        (
            "a signature with a zero before it",
            format!("{head}.{claims}.{}", encode([&[0], &decode(signature)[..]].concat())),
        ),
    ]));
    assert_eq!(not_refused(shared(), tokens).await, NONE);
}

#[tokio::test]
async fn a_good_token_in_another_spelling_is_refused() {
    let forge = own();
    // Base64url that differs from base64, so that the spellings differ.
    let good = (0..)
        .map(|index| forge.claim("jti", json!(format!("?>{index}~"))))
        .find(|token| token.contains(['-', '_']))
        .unwrap();
    let [head, claims, signature] = parts(&good);
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 256 bytes end in a character of which two bits count.
    let twin = alphabet.chars().nth(alphabet.find(last).unwrap() ^ 1).unwrap();
    let json_form = json!({ "protected": head, "payload": claims, "signature": signature });
    let tokens = named([
        ("one part", head.to_owned()),
        ("two parts", format!("{head}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as a JWE", format!("{head}.{claims}.{signature}.{claims}.{signature}")),
        ("a dot before it", format!(".{good}")),
        ("a dot after it", format!("{good}.")),
        ("an empty part in the middle", format!("{head}..{signature}")),
        ("dots alone", "..".to_owned()),
        ("the signature padded", format!("{good}==")),
        ("the header padded", format!("{head}=.{claims}.{signature}")),
        ("standard base64", good.replace('-', "+").replace('_', "/")),
        ("bits after the end", format!("{head}.{claims}.{}{twin}", &signature[..signature.len() - 1])),
        ("a space within", format!("{head}. {claims}.{signature}")),
        ("a tab after it", format!("{good}\t.")),
        ("two spaces before it", format!(" {good}")),
        ("in quotes", format!("\"{good}\"")),
        ("JSON serialization", json_form.to_string()),
        ("twice, joined as a gateway does", format!("{good}, Bearer {good}")),
        ("cut", good[..good.len() - 1].to_owned()),
        ("cut by half", good[..good.len() / 2].to_owned()),
        ("longer than a header may be", padded(&forge, 4_110)),
        ("8 KiB", padded(&forge, 8_192)),
        ("8 KiB of nothing", "a".repeat(8_192)),
    ]);
    assert_eq!(not_refused(shared(), tokens).await, NONE);
    assert_eq!(not_accepted(shared(), named([("as it was", good.clone())])).await, NONE);
}

#[tokio::test]
async fn a_changed_character_anywhere_makes_a_token_worthless() {
    let good = own().good();
    let changed = (0..good.len()).step_by(7).map(|index| {
        let mut token = good.clone().into_bytes();
        token[index] = if token[index] == b'A' { b'B' } else { b'A' };
        (format!("character {index}"), String::from_utf8(token).unwrap())
    });
    assert_eq!(not_refused(shared(), changed.collect()).await, NONE);
}

#[tokio::test]
async fn the_key_decides_the_algorithm_whichever_kinds_of_keys_there_are() {
    let server = &prepared().server;
    let [rsa, p256, ed25519] =
        [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| Forge::with_key_of(server, algorithm));
    let good = [("RS256", rsa.good()), ("ES256", p256.good()), ("EdDSA", ed25519.good())];
    assert_eq!(not_accepted(server, named(good)).await, NONE);

    let token = p256.good();
    let [head, claims, signature] = parts(&token);
    let signature = decode(signature);
    let (r, s) = signature.split_at(32);
    let ecdsa = |r: &[u8], s: &[u8]| format!("{head}.{claims}.{}", encode([r, s].concat()));
    let order = decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let der = [&[0x30, 0x46, 0x02, 0x21, 0x00], r, &[0x02, 0x21, 0x00], s].concat();
    let tokens = named([
        ("an RSA signature under the P-256 key id", rsa.header("kid", json!(p256.kid()))),
        ("an RSA signature that calls itself ES256", p256.signed_by("ES256", Algorithm::RS256, rsa.key())),
        ("a P-256 signature under the RSA key id", p256.header("kid", json!(rsa.kid()))),
        ("a P-256 signature that calls itself RS256", rsa.signed_by("RS256", Algorithm::ES256, p256.key())),
        ("an Ed25519 signature under the RSA key id", ed25519.header("kid", json!(rsa.kid()))),
        ("an Ed25519 signature that calls itself Ed25519", ed25519.header("alg", json!("Ed25519"))),
        ("r and s zero", ecdsa(&[0; 32], &[0; 32])),
        ("r zero", ecdsa(&[0; 32], s)),
        ("s zero", ecdsa(r, &[0; 32])),
        ("r the order of the curve", ecdsa(&order, s)),
        ("s the order of the curve", ecdsa(r, &order)),
        ("r and s exchanged", ecdsa(s, r)),
        ("DER instead of two numbers", format!("{head}.{claims}.{}", encode(der))),
        ("no signature", format!("{head}.{claims}.")),
    ]);
    assert_eq!(not_refused(server, tokens).await, NONE);
}

#[tokio::test]
async fn a_key_that_has_retired_verifies_nothing() {
    let prepared = prepared();
    let retired = access_token::SigningKey::from_pem(&prepared.retired).unwrap();
    let key = EncodingKey::from_rsa_pem(prepared.retired.as_bytes()).unwrap();
    let forge = Forge::new(&prepared.server.url, &prepared.retired, key, Algorithm::RS256, retired.kid());
    assert_eq!(not_refused(&prepared.server, named([("signed by a retired key", forge.good())])).await, NONE);
}

#[tokio::test]
async fn a_head_that_is_too_long_for_the_gateway_does_not_reach_the_server() {
    let response = shared().mcp(&"a".repeat(20_000)).body(PING).send().await.unwrap();
    assert_eq!(response.status(), 431);
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// A token that keeps every rule and is about `length` bytes long, never more.
fn padded(forge: &Forge, length: usize) -> String {
    let spare = length - forge.good().len();
    forge.claim("jti", json!("x".repeat(spare * 3 / 4)))
}
