//! Keys that check signatures of tokens, and sets of them.
//!
//! Owns how a key is read from a secret, a PEM file or a JSON Web Key Set (RFC 7517).
//!
//! Invariants:
//! - T-1: a key knows its one algorithm; the token's header only chooses among keys, never how a key is used.
//! - T-2: a key is used only for an algorithm of the settings, and only when its own `kty`, `crv`, `alg`, `use` and `key_ops` agree.
//! - T-3: two keys of a set with the same id and algorithm are both unused: which is meant cannot be known.
//!
//! Deliberately absent: fetching (`jwks`), claims (`claims`).

use aws_lc_rs::{
    hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RsaPublicKeyComponents,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use parlor_config::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::error::KeyError;

/// Keys of one set: more than any issuer has, few enough to search.
const KEYS_MAX: usize = 256;
/// Bytes of the smallest RSA modulus taken: 2048 bits (RFC 7518 section 3.3). Its DER form is longer still.
const RSA_BYTES_MIN: usize = 256;

/// Where a set was read: a set that anyone can fetch holds no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetSource {
    File,
    Url,
}

/// A key and the one algorithm it is for.
pub(super) struct Key {
    algorithm: Algorithm,
    kid: Option<String>,
    check: Check,
}

enum Check {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Key {
    /// Takes a shared secret.
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            kid: None,
            check: Check::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))),
        }
    }

    /// Reads a key file: for HS256 the shared secret without the newline at its end, else one public key in PEM.
    pub(super) fn from_file(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let text = bytes.trim_ascii_end();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        let is_pem = text.trim_ascii_start().starts_with(b"-----BEGIN");
        if algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
            // A public key taken for a secret lets anyone sign.
            return if is_pem {
                Err(KeyError::PemForSecret)
            } else {
                Ok(Self::from_secret(text))
            };
        }
        let der = read_pem(text).ok_or(KeyError::NotPem)?;
        let (algorithm, public) = algorithms
            .iter()
            .find_map(|&algorithm| Some((algorithm, parse_public(algorithm, &der)?)))
            .ok_or(KeyError::NoAlgorithm)?;
        if algorithm == Algorithm::RS256 && der.len() < RSA_BYTES_MIN {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            algorithm,
            kid: None,
            check: Check::Public(public),
        })
    }

    /// Reads a key of a set; none when it is for something else, as RFC 7517 section 5 wants.
    fn from_jwk(value: &Value, algorithms: &[Algorithm], source: SetSource) -> Option<Self> {
        let jwk = Jwk::deserialize(value).ok()?;
        let algorithm = jwk.algorithm()?;
        let fits = algorithms.contains(&algorithm)
            && jwk.alg.as_deref().is_none_or(|alg| alg == name(algorithm))
            && jwk.public_use.as_deref().is_none_or(|used| used == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"))
            && (source == SetSource::File || !algorithm.is_symmetric());
        if !fits {
            return None;
        }
        let check = match algorithm {
            Algorithm::HS256 => {
                let secret = decode(jwk.k.as_deref())?;
                if secret.is_empty() {
                    return None;
                }
                Check::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
            }
            Algorithm::RS256 => {
                let (n, e) = (decode(jwk.n.as_deref())?, decode(jwk.e.as_deref())?);
                if n.len() < RSA_BYTES_MIN {
                    return None;
                }
                let parts = RsaPublicKeyComponents { n, e };
                Check::Public(
                    parts
                        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                        .ok()?,
                )
            }
            Algorithm::ES256 => {
                let (x, y) = (decode(jwk.x.as_deref())?, decode(jwk.y.as_deref())?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4][..], &x, &y].concat();
                Check::Public(parse_public(algorithm, &point)?)
            }
            Algorithm::EdDSA => {
                let x = decode(jwk.x.as_deref())?;
                if x.len() != 32 {
                    return None;
                }
                Check::Public(parse_public(algorithm, &x)?)
            }
        };
        Some(Self {
            algorithm,
            kid: jwk.kid,
            check,
        })
    }

    /// Tells whether `signature` is this key's, over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.check {
            Check::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Check::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The keys of one issuer.
pub(super) enum KeySet {
    /// One key, whatever id a token gives it.
    One(Key),
    /// Keys told apart by their ids.
    Many(Vec<Key>),
}

impl KeySet {
    /// Reads a JSON Web Key Set; keys for something else are passed over.
    pub(super) fn from_jwks(
        bytes: &[u8],
        algorithms: &[Algorithm],
        source: SetSource,
    ) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|_| KeyError::NotSet)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let keys: Vec<Key> = set
            .keys
            .iter()
            .filter_map(|jwk| Key::from_jwk(jwk, algorithms, source))
            .collect();
        if keys.is_empty() {
            return Err(KeyError::NoKey);
        }
        Ok(Self::Many(keys))
    }

    /// Finds the key that a token's header means. Without an id it must be the only one for the algorithm.
    pub(super) fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Option<&Key> {
        match self {
            Self::One(key) => Some(key).filter(|key| key.algorithm == algorithm),
            Self::Many(keys) => {
                let mut fitting = keys.iter().filter(|key| {
                    key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid)
                });
                fitting.next().filter(|_| fitting.next().is_none())
            }
        }
    }
}

/// Returns the name of an algorithm in headers and keys (RFC 7518 section 3.1, RFC 8037 section 3.1).
pub(super) const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    public_use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Jwk {
    fn algorithm(&self) -> Option<Algorithm> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) => Some(Algorithm::HS256),
            ("RSA", _) => Some(Algorithm::RS256),
            ("EC", Some("P-256")) => Some(Algorithm::ES256),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
            _ => None,
        }
    }
}

fn decode(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

/// Reads a public key: DER (RFC 5280, for RSA also RFC 8017), or the bare point.
fn parse_public(algorithm: Algorithm, bytes: &[u8]) -> Option<ParsedPublicKey> {
    match algorithm {
        Algorithm::HS256 => None,
        Algorithm::RS256 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes).ok(),
        Algorithm::ES256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes).ok(),
        Algorithm::EdDSA => ParsedPublicKey::new(&ED25519, bytes).ok(),
    }
}

/// Reads the one block of a PEM text (RFC 7468) that holds a public key.
fn read_pem(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(bytes).ok()?.trim();
    let body = ["PUBLIC KEY", "RSA PUBLIC KEY"].iter().find_map(|label| {
        text.strip_prefix(&format!("-----BEGIN {label}-----"))?
            .strip_suffix(&format!("-----END {label}-----"))
    })?;
    let packed: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(packed).ok()
}
