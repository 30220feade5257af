//! Client assertions: `private_key_jwt` (RFC 7521, RFC 7523, draft-ietf-oauth-rfc7523bis).
//!
//! In this order: form and header → key → signature → claims → first use. The client hears the same of every refusal.

use std::fmt;
use std::time::SystemTime;

use access_token::key_set::{KeySet, SignatureAlgorithm};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use registry::client::seconds;
use registry::{AssertionAudience, Client, ClientId, PublicUrl};
use request_log::Timings;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::client_keys::ClientKeySets;
use crate::error::TokenError;
use crate::replay::Replays;

/// Longest assertion that is looked at, in bytes.
const MAX_LENGTH: usize = 4096;
/// Clock difference that is tolerated, in seconds.
const SKEW: u64 = 30;
/// How far ahead an assertion may expire, in seconds.
const MAX_LIFETIME: u64 = 10 * 60;
/// Longest `jti` and `kid`, in bytes.
const MAX_ID: usize = 256;

/// Checks assertions.
pub struct Assertions {
    issuer: String,
    token_endpoint: String,
    replays: Replays,
    keys: ClientKeySets,
}

impl Assertions {
    /// For the issuer `public_url`.
    pub fn new(public_url: &PublicUrl, replays: Replays, keys: ClientKeySets) -> Assertions {
        let issuer = public_url.as_str().to_owned();
        Assertions { token_endpoint: format!("{issuer}/token"), issuer, replays, keys }
    }

    /// Whether the assertion is by `client` and is used for the first time.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`] for every refusal; [`TokenError::Unavailable`] when the table of used assertions
    /// does not answer, or the client's keys cannot be read and none are remembered.
    pub async fn check(
        &self,
        client: &Client,
        unverified_assertion: &SecretString,
        timings: &Timings,
        now: SystemTime,
    ) -> Result<(), TokenError> {
        let unverified = Unverified::parse(unverified_assertion.expose_secret()).map_err(refused)?;
        let has = |keys: &KeySet| keys.find(unverified.kid.as_deref(), unverified.algorithm).is_some();
        let keys = timings.table(self.keys.of(client, has, now)).await?.ok_or(TokenError::InvalidClient)?;
        let expected = Expected {
            client_id: &client.client_id,
            issuer: &self.issuer,
            token_endpoint: match client.assertion_audience {
                AssertionAudience::Issuer => None,
                AssertionAudience::TokenEndpoint => Some(&self.token_endpoint),
            },
        };
        let verified = timings.verify(|| unverified.verify(&keys, &expected, now)).map_err(refused)?;
        // Last, so that nobody but the client can use its ids up.
        let recorded = Box::pin(self.replays.record(&client.client_id, &verified.jti, verified.exp + SKEW, now));
        if timings.table(recorded).await? { Ok(()) } else { Err(TokenError::InvalidClient) }
    }
}

fn refused(_: Refusal) -> TokenError {
    TokenError::InvalidClient
}

/// Why an assertion is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Not a compact JWT, or one with a header of another kind.
    Malformed,
    /// No key of the client has this id and this algorithm.
    UnknownKey,
    /// The signature is not by that key.
    Signature,
    /// Claims missing or of the wrong type.
    Claims,
    /// `iss` or `sub` is not the client.
    Client,
    /// For another server.
    Audience,
    /// Expired, not valid yet, or living too long.
    Time,
}

/// What an assertion is compared with.
struct Expected<'a> {
    client_id: &'a ClientId,
    issuer: &'a str,
    /// Its URL, where it is an audience too.
    token_endpoint: Option<&'a str>,
}

/// An assertion of the right form.
struct Unverified<'a> {
    algorithm: SignatureAlgorithm,
    kid: Option<String>,
    /// Header and claims, as they were signed.
    message: &'a str,
    claims: &'a str,
    signature: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
struct Verified {
    jti: String,
    exp: u64,
}

impl<'a> Unverified<'a> {
    fn parse(text: &'a str) -> Result<Unverified<'a>, Refusal> {
        // These change what is signed or how (`crit`, `b64`, `zip`, `enc`, `cty`), or bring a key along that anybody could
        // have made (`jwk`, `jku`, `x5u`, `x5c`): RFC 7515 §4.1, RFC 8725 §3.10.
        const REFUSED: [&str; 9] = ["crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c"];
        if text.len() > MAX_LENGTH {
            return Err(Refusal::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Refusal::Malformed)?;
        if claims.contains('.') {
            return Err(Refusal::Malformed);
        }
        let header = members(header).ok_or(Refusal::Malformed)?;
        let text_of = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Refusal::Malformed),
        };
        let algorithm = text_of("alg")?.and_then(SignatureAlgorithm::parse).ok_or(Refusal::Malformed)?;
        let kid = text_of("kid")?.map(str::to_owned);
        let of_an_assertion = text_of("typ")?.is_none_or(|typ| {
            // The draft registers the type; RFC 7523 knew none. `at+jwt` and `dpop+jwt` are other things.
            ["jwt", "client-authentication+jwt"].iter().any(|expected| typ.eq_ignore_ascii_case(expected))
        });
        let too_long = kid.as_ref().is_some_and(|kid| kid.len() > MAX_ID);
        if !of_an_assertion || too_long || REFUSED.iter().any(|name| header.contains_key(*name)) {
            return Err(Refusal::Malformed);
        }
        Ok(Unverified { algorithm, kid, message, claims, signature })
    }

    fn verify(&self, keys: &KeySet, expected: &Expected<'_>, now: SystemTime) -> Result<Verified, Refusal> {
        let key = keys.find(self.kid.as_deref(), self.algorithm).ok_or(Refusal::UnknownKey)?;
        if !key.verifies(self.algorithm, self.message.as_bytes(), self.signature) {
            return Err(Refusal::Signature);
        }
        let claims = members(self.claims).ok_or(Refusal::Claims)?;
        let claims: Claims = Claims::deserialize(Value::Object(claims)).map_err(|_| Refusal::Claims)?;
        claims.check(expected, seconds(now))
    }
}

/// Claims of RFC 7523 §3. Others are ignored.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    List([String; 1]),
}

impl Claims {
    fn check(self, expected: &Expected<'_>, now: u64) -> Result<Verified, Refusal> {
        let client_id = expected.client_id.as_str();
        if self.iss != client_id || self.sub != client_id {
            return Err(Refusal::Client);
        }
        // The draft: one audience, and simple string comparison (RFC 3986 §6.2.1).
        let (Audience::One(audience) | Audience::List([audience])) = self.aud;
        if audience != expected.issuer && Some(audience.as_str()) != expected.token_endpoint {
            return Err(Refusal::Audience);
        }
        let from = self.nbf.map_or(0, |date| date.0).max(self.iat.map_or(0, |date| date.0));
        let exp = self.exp.0;
        if exp + SKEW <= now || exp > now + SKEW + MAX_LIFETIME || from > now + SKEW {
            return Err(Refusal::Time);
        }
        if self.jti.is_empty() || self.jti.len() > MAX_ID {
            return Err(Refusal::Claims);
        }
        Ok(Verified { jti: self.jti, exp })
    }
}

/// Seconds since 1970 (RFC 7519 §2), which may have a fraction; it is dropped.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct NumericDate(u64);

impl TryFrom<f64> for NumericDate {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        // Up to the year 5138: sums do not overflow, and the cast is exact.
        if (0.0..1e11).contains(&number) { Ok(NumericDate(number as u64)) } else { Err("not a time") }
    }
}

/// The members of a part of a JWT; `None` for what is not base64url, no JSON object, too deep, or has a name twice.
fn members(part: &str) -> Option<Map<String, Value>> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice::<Members>(&json).ok().map(|members| members.0)
}

struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object without a name that is there twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name is there twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const ISSUER: &str = "https://mcp.example.com";

    struct Signer {
        key: Ed25519KeyPair,
        keys: KeySet,
    }

    impl Signer {
        fn new() -> Signer {
            let key = Ed25519KeyPair::generate().unwrap();
            let x = BASE64_URL_SAFE_NO_PAD.encode(key.public_key());
            let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] });
            Signer { key, keys: KeySet::parse(&jwks.to_string()).unwrap() }
        }

        fn sign(&self, header: &[u8], claims: &[u8]) -> String {
            let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
            let message = format!("{header}.{claims}");
            let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
            format!("{message}.{signature}")
        }

        fn verify(&self, assertion: &str, now: u64) -> Result<Verified, Refusal> {
            let client_id = ClientId::parse("client").unwrap();
            let expected = Expected { client_id: &client_id, issuer: ISSUER, token_endpoint: None };
            Unverified::parse(assertion)?.verify(&self.keys, &expected, UNIX_EPOCH + Duration::from_secs(now))
        }

        /// What becomes of good claims with some of them changed.
        fn outcome(&self, changes: Value, now: u64) -> Result<u64, Refusal> {
            let mut claims =
                json!({ "iss": "client", "sub": "client", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "j" });
            for (name, value) in changes.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let header = br#"{"alg":"EdDSA","kid":"k"}"#;
            self.verify(&self.sign(header, claims.to_string().as_bytes()), now).map(|verified| verified.exp)
        }
    }

    #[test]
    fn an_assertion_lives_for_ten_minutes_and_clocks_may_differ_by_thirty_seconds() {
        let signer = Signer::new();
        let outcome = |changes, now| signer.outcome(changes, now);
        assert_eq!(outcome(json!({}), NOW), Ok(NOW + 60));
        assert_eq!(outcome(json!({}), NOW + 89), Ok(NOW + 60), "a clock behind");
        assert_eq!(outcome(json!({}), NOW + 90), Err(Refusal::Time));
        assert_eq!(outcome(json!({ "exp": NOW + 630 }), NOW), Ok(NOW + 630), "a clock ahead");
        assert_eq!(outcome(json!({ "exp": NOW + 631 }), NOW), Err(Refusal::Time));
        assert_eq!(outcome(json!({ "exp": 99_999_999_999_u64 }), NOW), Err(Refusal::Time));
        assert_eq!(outcome(json!({ "exp": 100_000_000_000_u64 }), NOW), Err(Refusal::Claims));
        assert_eq!(outcome(json!({ "exp": NOW as f64 + 60.9 }), NOW), Ok(NOW + 60));
        for name in ["iat", "nbf"] {
            assert_eq!(outcome(json!({ name: NOW + 30 }), NOW), Ok(NOW + 60), "{name}");
            assert_eq!(outcome(json!({ name: NOW + 31 }), NOW), Err(Refusal::Time), "{name}");
            assert_eq!(outcome(json!({ name: null }), NOW), Ok(NOW + 60), "{name}");
        }
    }

    #[test]
    fn each_rule_has_its_refusal() {
        let signer = Signer::new();
        for (changes, refusal) in [
            (json!({ "iss": "another" }), Refusal::Client),
            (json!({ "sub": "another" }), Refusal::Client),
            (json!({ "aud": [ISSUER, ISSUER] }), Refusal::Claims),
            (json!({ "aud": [] }), Refusal::Claims),
            (json!({ "aud": format!("{ISSUER}/token") }), Refusal::Audience),
            (json!({ "jti": "" }), Refusal::Claims),
        ] {
            assert_eq!(signer.outcome(changes.clone(), NOW), Err(refusal), "{changes}");
        }
        let claims = json!({ "iss": "client" }).to_string();
        let header = |header: &[u8]| signer.verify(&signer.sign(header, claims.as_bytes()), NOW);
        assert_eq!(header(br#"{"alg":"EdDSA","kid":"another"}"#), Err(Refusal::UnknownKey));
        assert_eq!(header(br#"{"alg":"ES256","kid":"k"}"#), Err(Refusal::UnknownKey), "another type of key");
        assert_eq!(header(br#"{"alg":"none","kid":"k"}"#), Err(Refusal::Malformed));
        assert_eq!(header(br#"{"alg":"EdDSA","kid":"k"}"#), Err(Refusal::Claims));
        let foreign = Signer::new().sign(br#"{"alg":"EdDSA","kid":"k"}"#, claims.as_bytes());
        assert_eq!(signer.verify(&foreign, NOW), Err(Refusal::Signature));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["client", ISSUER, "EdDSA", "k", "JWT"]).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|members| json!(members)),
            ]
        })
    }

    fn any_members(names: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec((prop::sample::select(names), any_json()), 0..7).prop_map(|members| {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            format!("{{{}}}", members.join(","))
        })
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", parts in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let signer = Signer::new();
            prop_assert!(signer.verify(&text, NOW).is_err());
            let parts: Vec<String> = parts.iter().map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).collect();
            prop_assert!(signer.verify(&parts.join("."), NOW).is_err());
        }

        /// Signed well, so that every rule behind the signature is reached.
        #[test]
        fn no_claims_make_it_panic(claims in any_members(&["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "x"])) {
            let signer = Signer::new();
            let _ = signer.verify(&signer.sign(br#"{"alg":"EdDSA"}"#, claims.as_bytes()), NOW);
        }

        #[test]
        fn a_changed_claim_is_accepted_only_if_it_says_the_same(
            name in prop::sample::select(vec!["iss", "sub", "aud", "exp", "jti"]), value in any_json()
        ) {
            let signer = Signer::new();
            if signer.outcome(json!({ name: value }), NOW).is_ok() {
                let near = value.as_f64().is_some_and(|exp| (exp - NOW as f64).abs() < 700.0);
                let same = match name {
                    "iss" | "sub" => value == "client",
                    "aud" => value == ISSUER || value == json!([ISSUER]),
                    "exp" => near,
                    _ => value.as_str().is_some_and(|jti| !jti.is_empty()),
                };
                prop_assert!(same, "{name}: {value}");
            }
        }

        #[test]
        fn a_header_is_accepted_only_if_it_names_the_key_and_its_algorithm(
            header in any_members(&["alg", "kid", "typ", "crit", "jwk", "x"])
        ) {
            let signer = Signer::new();
            let claims = json!({ "iss": "client", "sub": "client", "aud": ISSUER, "exp": NOW + 60, "jti": "j" });
            if signer.verify(&signer.sign(header.as_bytes(), claims.to_string().as_bytes()), NOW).is_ok() {
                let header: Value = serde_json::from_str(&header).unwrap();
                prop_assert!(header["alg"] == "EdDSA" && (header["kid"].is_null() || header["kid"] == "k"));
                prop_assert!(header.get("crit").is_none() && header.get("jwk").is_none());
            }
        }
    }
}
