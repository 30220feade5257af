//! Hostile tokens of many classes, each with random values, most of them signed with the server's own key; and good
//! ones between them.

use std::time::Instant;

use black_box::forge::{Forge, decode, encode, now};
use black_box::in_process::{InProcess, PUBLIC_URL, event};
use black_box::report;
use fastrand::Rng;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::{count, seed};

type Make = Box<dyn Fn(&mut Rng) -> String>;
type Random = fn(&mut Rng) -> Value;
type Break = fn(&str, &mut Rng) -> String;

#[tokio::test]
async fn no_hostile_token_is_accepted_and_no_good_one_refused() {
    let (hostile, good, seed) = (count(3_000, 100_000), count(300, 10_000), seed());
    request_log::write_to(std::io::sink());
    let folder = tempfile::tempdir().unwrap();
    let functions = InProcess::start(folder.path()).await;
    let classes = classes(&|| Forge::with_key_in(folder.path(), PUBLIC_URL, Algorithm::RS256));
    assert!(classes.len() >= 60, "{} classes", classes.len());
    let forge = Forge::with_key_in(folder.path(), PUBLIC_URL, Algorithm::RS256);
    let mut rng = Rng::with_seed(seed);

    let start = Instant::now();
    for index in 0..hostile {
        let (name, make) = &classes[index % classes.len()];
        let token = make(&mut rng);
        let status = ping(&functions, &token).await;
        assert_eq!(status, 401, "hostile token {index} of seed {seed}, {name}: {token}");
        // Every so often a good one: neither the refusals nor what is remembered may harm it.
        if index % (hostile / good) == 0 {
            let now = now();
            let issued = now - rng.u64(0..600);
            let claims = json!({ "jti": text(&mut rng), "iat": issued, "exp": issued + rng.u64(700..3_600) });
            let status = ping(&functions, &forge.claims(claims.clone())).await;
            assert_eq!(status, 200, "good token beside {index} of seed {seed}: {claims}");
        }
    }
    report(&format!(
        "{hostile} hostile tokens of {} classes, seed {seed}: 0 accepted; {good} good ones: 0 refused; {:.0} a second",
        classes.len(),
        (hostile + good) as f64 / start.elapsed().as_secs_f64(),
    ));
}

async fn ping(functions: &InProcess, token: &str) -> u16 {
    let headers = json!({ "authorization": format!("Bearer {token}"), "content-type": "application/json" });
    let event = event("POST", "/mcp", headers, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    functions.mcp_answer(&event.to_string()).await.status_code()
}

fn classes(own: &dyn Fn() -> Forge) -> Vec<(String, Make)> {
    let mut classes: Vec<(String, Make)> = Vec::new();
    let mut add = |name: String, make: Make| classes.push((name, make));

    for member in ["alg", "typ", "kid"] {
        let kinds: [(&str, Random); 5] = [
            ("absent", |_| Value::Null),
            ("a number", |rng| json!(rng.i32(..))),
            ("an array", |rng| json!([text(rng)])),
            ("another text", |rng| json!(text(rng))),
            ("a hostile text", |rng| {
                pick(rng, &["none", "HS256", "JWT", "at+jwt ", "../../dev/null", "' OR 1=1--", "\0", "|cmd"])
            }),
        ];
        for (kind, value) in kinds {
            let forge = own();
            add(format!("{member} is {kind}"), Box::new(move |rng| forge.header(member, value(rng))));
        }
    }
    for member in ["crit", "b64", "zip", "enc", "jku", "x5u", "x5c", "jwk", "x5t", "cty"] {
        let forge = own();
        add(format!("{member} in the header"), Box::new(move |rng| forge.header(member, any_value(rng))));
    }
    for claim in ["iss", "aud", "sub", "client_id", "jti", "iat", "exp", "scope"] {
        let kinds: [(&str, Random); 4] = [
            ("absent", |_| Value::Null),
            ("of another type", |rng| json!([text(rng)])),
            ("an object", |rng| json!({ text(rng): 1 })),
            ("a boolean", |rng| json!(rng.bool())),
        ];
        for (kind, value) in kinds {
            let forge = own();
            add(format!("{claim} is {kind}"), Box::new(move |rng| forge.claim(claim, value(rng))));
        }
    }
    let semantic: [(&str, Random); 12] = [
        ("another issuer", |rng| json!({ "iss": format!("https://{}.example", text(rng)) })),
        ("another audience", |rng| json!({ "aud": format!("{PUBLIC_URL}/mcp/{}", text(rng)) })),
        ("an audience that only begins alike", |rng| json!({ "aud": format!("{PUBLIC_URL}/mcp{}", text(rng)) })),
        ("two audiences", |rng| json!({ "aud": [format!("{PUBLIC_URL}/mcp"), text(rng)] })),
        ("expired", |rng| {
            let age = rng.u64(31..1_000_000);
            json!({ "iat": now() - age - 900, "exp": now() - age })
        }),
        ("issued in the future", |rng| {
            let ahead = rng.u64(60..1_000_000);
            json!({ "iat": now() + ahead, "exp": now() + ahead + 900 })
        }),
        ("not valid yet", |rng| json!({ "nbf": now() + rng.u64(60..1_000_000) })),
        ("living too long", |rng| json!({ "exp": now() + rng.u64(3_700..10_000_000_000) })),
        ("expiring before its issue", |rng| json!({ "iat": now(), "exp": now() - rng.u64(1..30) })),
        ("a scope that does not exist", |rng| json!({ "scope": format!("mcp.{}x", text(rng)) })),
        ("a subject without a name", |_| json!({ "sub": "" })),
        ("a fractional expiry", |rng| json!({ "exp": now() as f64 + 100.0 + rng.f64() })),
    ];
    for (name, claims) in semantic {
        let forge = own();
        add(name.to_owned(), Box::new(move |rng| forge.claims(claims(rng))));
    }
    let foreign = Forge::with_foreign_key(PUBLIC_URL, own().kid());
    add("a foreign key under our key id".to_owned(), Box::new(move |rng| foreign.claim("jti", json!(text(rng)))));
    let forge = own();
    add(
        "HS256 with a guessed secret".to_owned(),
        Box::new(move |rng| {
            forge.signed_by("HS256", Algorithm::HS256, &EncodingKey::from_secret(text(rng).as_bytes()))
        }),
    );
    let broken: [(&str, Break); 8] = [
        ("a changed character", |token, rng| {
            let mut bytes = token.as_bytes().to_vec();
            let at = rng.usize(0..bytes.len());
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8_lossy(&bytes).into_owned()
        }),
        ("cut", |token, rng| token[..rng.usize(0..token.len())].to_owned()),
        ("more parts", |token, rng| format!("{token}.{}", encode(text(rng)))),
        ("fewer parts", |token, rng| token.splitn(3, '.').take(rng.usize(1..3)).collect::<Vec<_>>().join(".")),
        ("another signature", |token, rng| {
            let mut signature = vec![0; rng.usize(0..300)];
            rng.fill(&mut signature);
            format!("{}.{}", token.rsplit_once('.').unwrap().0, encode(signature))
        }),
        ("a changed bit of the signature", |token, rng| {
            let (message, signature) = token.rsplit_once('.').unwrap();
            let mut signature = decode(signature);
            let at = rng.usize(0..signature.len());
            signature[at] ^= 1 << rng.u8(0..8);
            format!("{message}.{}", encode(signature))
        }),
        ("claims that are noise", |token, rng| {
            let mut noise = vec![0; rng.usize(0..200)];
            rng.fill(&mut noise);
            let (head, rest) = token.split_once('.').unwrap();
            format!("{head}.{}.{}", encode(noise), rest.split_once('.').unwrap().1)
        }),
        ("noise alone", |_, rng| {
            let mut noise = vec![0; rng.usize(1..600)];
            rng.fill(&mut noise);
            encode(noise)
        }),
    ];
    for (name, change) in broken {
        let good = own().good();
        add(name.to_owned(), Box::new(move |rng| change(&good, rng)));
    }
    classes
}

/// Letters and digits, never none.
fn text(rng: &mut Rng) -> String {
    (0..rng.usize(1..30)).map(|_| rng.alphanumeric()).collect()
}

fn pick(rng: &mut Rng, texts: &[&str]) -> Value {
    json!(texts[rng.usize(0..texts.len())])
}

fn any_value(rng: &mut Rng) -> Value {
    match rng.u8(0..5) {
        0 => json!(rng.bool()),
        1 => json!(rng.i64(..)),
        2 => json!([text(rng)]),
        3 => json!({ text(rng): text(rng) }),
        _ => json!(text(rng)),
    }
}
