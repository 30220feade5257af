//! The public keys of a client that signs assertions: a JWK Set (RFC 7517 §5), as it is registered or served.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Most keys in a set.
pub const MAX_KEYS: usize = 16;
/// Largest set, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Longest key id, in bytes.
const MAX_KID: usize = 256;
/// RFC 7518 §3.3; the upper end is where checking a signature becomes slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// RFC 7518 §6.2.2, §6.3.2, §6.4.1.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// How a client may sign: asymmetric algorithms alone (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SignatureAlgorithm {
    /// Every algorithm there is.
    pub const ALL: [SignatureAlgorithm; 4] =
        [SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa];

    /// The algorithm's registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            SignatureAlgorithm::Rs256 => "RS256",
            SignatureAlgorithm::Ps256 => "PS256",
            SignatureAlgorithm::Es256 => "ES256",
            SignatureAlgorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of a name, which is case-sensitive; `None` for any other text.
    pub fn parse(name: &str) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    fn of_the_library(self) -> Algorithm {
        match self {
            SignatureAlgorithm::Rs256 => Algorithm::RS256,
            SignatureAlgorithm::Ps256 => Algorithm::PS256,
            SignatureAlgorithm::Es256 => Algorithm::ES256,
            SignatureAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// Why a text is no key set. Keys are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Larger than [`MAX_BYTES`].
    #[error("the key set is larger than 64 KiB")]
    TooLarge,
    /// Not JSON, or without a list `keys` of objects.
    #[error("not a JWK Set: a JSON object with a list of keys in \"keys\" is expected (RFC 7517, section 5)")]
    NotAKeySet,
    /// No key in it.
    #[error("the key set has no key in it")]
    Empty,
    /// More than [`MAX_KEYS`].
    #[error("the key set has more than 16 keys")]
    TooMany,
    /// A private or symmetric key.
    #[error(
        "key {0} is a private or symmetric key (it has the member \"{1}\"): only public keys are registered; \
         if this key has left its place, make a new one"
    )]
    Private(usize, &'static str),
    /// An RSA key of less than 2048 bits.
    #[error("key {0} is an RSA key of {1} bits; 2048 are the least")]
    RsaTooShort(usize, usize),
    /// A key of another kind, for another use, or damaged.
    #[error(
        "key {0} cannot be used: a public signature key is expected, RSA of 2048 to 8192 bits (RS256, PS256), \
         P-256 (ES256) or Ed25519 (EdDSA)"
    )]
    Unsupported(usize),
    /// Two keys of the same id.
    #[error("key {0} has the kid of an earlier key")]
    DuplicateKid(usize),
    /// A key without an id among others, which no assertion could name.
    #[error("key {0} has no kid; it needs one where there is more than one key")]
    NoKid(usize),
}

/// A public key that checks signatures.
pub struct ClientKey {
    kid: Option<String>,
    algorithms: Vec<SignatureAlgorithm>,
    key: DecodingKey,
}

/// Public keys.
pub struct KeySet {
    keys: Vec<ClientKey>,
}

impl KeySet {
    /// Reads a set that is to be registered: every key of it has to be usable.
    ///
    /// # Errors
    /// [`KeySetError`] names the first key that is not.
    pub fn parse(text: &str) -> Result<KeySet, KeySetError> {
        let jwks = read(text.as_bytes())?;
        let keys = (1..).zip(&jwks).map(|(n, jwk)| ClientKey::parse(n, jwk)).collect::<Result<Vec<_>, _>>()?;
        for (n, key) in (1..).zip(&keys) {
            match &key.kid {
                None if keys.len() > 1 => return Err(KeySetError::NoKid(n)),
                Some(_) if keys[..n - 1].iter().any(|earlier| earlier.kid == key.kid) => {
                    return Err(KeySetError::DuplicateKid(n));
                }
                _ => {}
            }
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(KeySet { keys }) }
    }

    /// Reads a set that a client serves; keys that cannot be used are passed over (RFC 7517 §5), a private one too.
    ///
    /// # Errors
    /// [`KeySetError`] when it is no set, or too large.
    pub fn parse_served(text: &[u8]) -> Result<KeySet, KeySetError> {
        let jwks = read(text)?;
        Ok(KeySet { keys: (1..).zip(&jwks).filter_map(|(n, jwk)| ClientKey::parse(n, jwk).ok()).collect() })
    }

    /// The one key of that id that signs with that algorithm; with no id, the one key that does.
    pub fn find(&self, kid: Option<&str>, algorithm: SignatureAlgorithm) -> Option<&ClientKey> {
        let fits = |key: &&ClientKey| {
            key.algorithms.contains(&algorithm) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut fitting = self.keys.iter().filter(fits);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn read(text: &[u8]) -> Result<Vec<Value>, KeySetError> {
    #[derive(Deserialize)]
    struct JwkSet {
        keys: Vec<Value>,
    }
    if text.len() > MAX_BYTES {
        return Err(KeySetError::TooLarge);
    }
    let set: JwkSet = serde_json::from_slice(text).map_err(|_| KeySetError::NotAKeySet)?;
    if set.keys.iter().any(|key| !key.is_object()) {
        return Err(KeySetError::NotAKeySet);
    }
    if set.keys.len() > MAX_KEYS { Err(KeySetError::TooMany) } else { Ok(set.keys) }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    use_: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl ClientKey {
    fn parse(position: usize, jwk: &Value) -> Result<ClientKey, KeySetError> {
        if let Some(member) = PRIVATE.into_iter().find(|member| jwk.get(member).is_some()) {
            return Err(KeySetError::Private(position, member));
        }
        let unsupported = KeySetError::Unsupported(position);
        let Ok(jwk) = Jwk::deserialize(jwk) else { return Err(unsupported) };
        let for_signatures = jwk.use_.as_deref().is_none_or(|use_| use_ == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !for_signatures || jwk.kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID) {
            return Err(unsupported);
        }
        let (by_type, key) = match (jwk.kty.as_str(), jwk.crv.as_deref(), &jwk) {
            ("RSA", _, Jwk { n: Some(n), e: Some(e), .. }) => {
                let bits = bits(n).ok_or(unsupported.clone())?;
                if bits < *RSA_BITS.start() {
                    return Err(KeySetError::RsaTooShort(position, bits));
                }
                let key = rsa(n, e).filter(|_| RSA_BITS.contains(&bits));
                (&[SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256][..], key)
            }
            ("EC", Some("P-256"), Jwk { x: Some(x), y: Some(y), .. }) => (&[SignatureAlgorithm::Es256][..], p256(x, y)),
            ("OKP", Some("Ed25519"), Jwk { x: Some(x), .. }) => (&[SignatureAlgorithm::EdDsa][..], ed25519(x)),
            _ => return Err(unsupported),
        };
        let algorithms = match &jwk.alg {
            None => by_type.to_vec(),
            Some(alg) => by_type.iter().copied().filter(|algorithm| algorithm.as_str() == alg).collect(),
        };
        let Some(key) = key.filter(|_| !algorithms.is_empty()) else { return Err(unsupported) };
        Ok(ClientKey { kid: jwk.kid, algorithms, key })
    }

    /// Whether `signature` (base64url) is this key's, over `message`. `algorithm` has to be one of the key's own.
    pub fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &str) -> bool {
        let algorithm = Some(algorithm).filter(|algorithm| self.algorithms.contains(algorithm));
        algorithm.is_some_and(|algorithm| {
            jsonwebtoken::crypto::verify(signature, message, &self.key, algorithm.of_the_library()).unwrap_or(false)
        })
    }
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    // An even exponent, or 1, is no RSA.
    let exponent = decode(e)?;
    let odd = exponent.last().is_some_and(|last| last & 1 == 1);
    let one = exponent.iter().rev().skip(1).all(|&byte| byte == 0) && exponent.last() == Some(&1);
    if !odd || one || exponent.len() > 8 {
        return None;
    }
    DecodingKey::from_rsa_components(n, e).ok()
}

fn p256(x: &str, y: &str) -> Option<DecodingKey> {
    let point = [vec![4], decode(x)?, decode(y)?].concat();
    // The library does not ask whether the point is on the curve before it checks a signature.
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).ok()?;
    DecodingKey::from_ec_components(x, y).ok()
}

fn ed25519(x: &str) -> Option<DecodingKey> {
    ParsedPublicKey::new(&ED25519, &decode(x)?).ok()?;
    DecodingKey::from_ed_components(x).ok()
}

fn bits(n: &str) -> Option<usize> {
    let bytes = decode(n)?;
    let first = bytes.iter().position(|&byte| byte != 0)?;
    Some((bytes.len() - first) * 8 - bytes[first].leading_zeros() as usize)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;
    use serde_json::json;

    fn rsa_jwk() -> Value {
        let jwk = SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap().public_jwk();
        json!({ "kty": "RSA", "n": jwk["n"], "e": jwk["e"] })
    }

    // RFC 7515 §A.3.1, RFC 8037 §A.2.
    fn p256_jwk() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" })
    }

    fn ed25519_jwk() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn with(jwk: &Value, member: &str, value: Value) -> Value {
        let mut changed = jwk.clone();
        changed[member] = value;
        changed
    }

    fn set(keys: &[Value]) -> String {
        json!({ "keys": keys }).to_string()
    }

    fn error(keys: &[Value]) -> Option<KeySetError> {
        KeySet::parse(&set(keys)).err()
    }

    #[test]
    fn the_type_of_a_key_decides_the_algorithms_unless_it_names_one() {
        use SignatureAlgorithm::*;
        for (jwk, expected) in [
            (rsa_jwk(), vec![Rs256, Ps256]),
            (with(&rsa_jwk(), "alg", json!("PS256")), vec![Ps256]),
            (p256_jwk(), vec![Es256]),
            (with(&p256_jwk(), "alg", json!("ES256")), vec![Es256]),
            (ed25519_jwk(), vec![EdDsa]),
            (with(&with(&ed25519_jwk(), "use", json!("sig")), "key_ops", json!(["verify"])), vec![EdDsa]),
            (with(&ed25519_jwk(), "x5t", json!("unknown members are ignored")), vec![EdDsa]),
        ] {
            let set = KeySet::parse(&set(&[jwk])).unwrap();
            let found: Vec<_> =
                SignatureAlgorithm::ALL.into_iter().filter(|algorithm| set.find(None, *algorithm).is_some()).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_private_key_is_refused_with_the_member_that_gives_it_away() {
        for member in PRIVATE {
            for jwk in [rsa_jwk(), p256_jwk(), ed25519_jwk()] {
                assert_eq!(error(&[with(&jwk, member, json!("AA"))]), Some(KeySetError::Private(1, member)));
            }
        }
        let symmetric = json!({ "kty": "oct", "k": "c2VjcmV0" });
        assert_eq!(error(&[p256_jwk(), symmetric]), Some(KeySetError::Private(2, "k")));
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused() {
        let short = json!({ "kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode([0xff; 128]) });
        assert_eq!(error(&[short]), Some(KeySetError::RsaTooShort(1, 1024)));
        let padded = json!({ "kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xff; 128]].concat()) });
        assert_eq!(error(&[padded]), Some(KeySetError::RsaTooShort(1, 1024)), "zeros before a short modulus");
        let one_bit_less = json!({ "kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode([vec![0x7f], vec![0xff; 255]].concat()) });
        assert_eq!(error(&[one_bit_less]), Some(KeySetError::RsaTooShort(1, 2047)));
        let long = json!({ "kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode([0xff; 1025]) });
        for jwk in [
            json!({}),
            json!({ "kty": 1 }),
            json!({ "kty": "RSA" }),
            long,
            with(&rsa_jwk(), "n", json!("not base64!")),
            with(&rsa_jwk(), "n", json!("")),
            with(&rsa_jwk(), "e", json!("")),
            with(&rsa_jwk(), "e", json!("AQ")),
            with(&rsa_jwk(), "e", json!("AAE")),
            with(&rsa_jwk(), "e", json!("Ag")),
            with(&rsa_jwk(), "e", json!("AQAAAAAAAAAB")),
            with(&rsa_jwk(), "alg", json!("RS512")),
            with(&rsa_jwk(), "alg", json!("HS256")),
            with(&rsa_jwk(), "alg", json!("ES256")),
            with(&rsa_jwk(), "alg", json!("none")),
            with(&rsa_jwk(), "use", json!("enc")),
            with(&rsa_jwk(), "key_ops", json!(["encrypt"])),
            with(&rsa_jwk(), "kid", json!("")),
            with(&rsa_jwk(), "kid", json!("k".repeat(MAX_KID + 1))),
            with(&p256_jwk(), "crv", json!("P-384")),
            with(&p256_jwk(), "crv", json!("secp256k1")),
            with(&p256_jwk(), "y", json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")),
            with(&p256_jwk(), "y", json!("AA")),
            with(&p256_jwk(), "y", Value::Null),
            with(&ed25519_jwk(), "crv", json!("Ed448")),
            with(&ed25519_jwk(), "crv", json!("X25519")),
            with(&ed25519_jwk(), "x", json!("AA")),
            with(&ed25519_jwk(), "alg", json!("ES256")),
        ] {
            assert_eq!(error(&[p256_jwk(), jwk.clone()]), Some(KeySetError::Unsupported(2)), "{jwk}");
        }
    }

    #[test]
    fn a_set_that_is_none_or_too_large_is_refused() {
        for text in
            ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#, "{", "\u{feff}{}"]
        {
            assert_eq!(KeySet::parse(text).err(), Some(KeySetError::NotAKeySet), "{text}");
            assert_eq!(KeySet::parse_served(text.as_bytes()).err(), Some(KeySetError::NotAKeySet), "{text}");
        }
        assert_eq!(error(&[]), Some(KeySetError::Empty));
        assert_eq!(error(&vec![p256_jwk(); MAX_KEYS + 1]), Some(KeySetError::TooMany));
        let padded = format!("{}{}", set(&[p256_jwk()]), " ".repeat(MAX_BYTES));
        assert_eq!(KeySet::parse(&padded).err(), Some(KeySetError::TooLarge));
    }

    #[test]
    fn keys_are_told_apart_by_their_ids() {
        let [a, b] = ["a", "b"].map(|kid| with(&p256_jwk(), "kid", json!(kid)));
        assert_eq!(error(&[a.clone(), b.clone(), a.clone()]), Some(KeySetError::DuplicateKid(3)));
        assert_eq!(error(&[a.clone(), ed25519_jwk()]), Some(KeySetError::NoKid(2)));
        let set = KeySet::parse(&set(&[a, b])).unwrap();
        let found = |kid, algorithm| set.find(kid, algorithm).is_some();
        assert!(found(Some("a"), SignatureAlgorithm::Es256) && found(Some("b"), SignatureAlgorithm::Es256));
        for (kid, algorithm) in [
            (Some("c"), SignatureAlgorithm::Es256),
            (Some(""), SignatureAlgorithm::Es256),
            (Some("a"), SignatureAlgorithm::EdDsa),
            (Some("a"), SignatureAlgorithm::Rs256),
            (None, SignatureAlgorithm::Es256),
        ] {
            assert!(!found(kid, algorithm), "{kid:?} {algorithm:?}");
        }
    }

    #[test]
    fn of_a_served_set_the_usable_keys_are_taken() {
        let private = with(&with(&p256_jwk(), "kid", json!("private")), "d", json!("AA"));
        let foreign = with(&p256_jwk(), "crv", json!("P-521"));
        let twins = [with(&p256_jwk(), "kid", json!("twin")), with(&p256_jwk(), "kid", json!("twin"))];
        let mut keys = vec![private, foreign, with(&p256_jwk(), "kid", json!("good"))];
        keys.extend(twins);
        let set = KeySet::parse_served(set(&keys).as_bytes()).unwrap();
        let found = |kid| set.find(Some(kid), SignatureAlgorithm::Es256).is_some();
        assert_eq!(["good", "private", "twin"].map(found), [true, false, false]);
    }
}
