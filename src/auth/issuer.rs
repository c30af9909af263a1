//! Who issues the tokens: this server itself, or somebody outside.
//!
//! Owns the way from a token to what it says: header, key, signature, claims, in that order. Deliberately absent: logins.

use std::{fs, path::Path, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_config::{Algorithm, Jwt};
use parlor_schema::{LoginId, Timestamp, UserId, port::Clock};
use serde_json::json;

use super::{
    claims::{Claims, Expected, Fault, OWN_TYPE, Token, Types},
    error::{AuthStartError, KeyError},
    jwks::Remote,
    keys::{Key, KeySet, SetSource, name},
    request::Secret,
};

/// `iss` and `aud` of this server's own tokens.
const OWN_NAME: &str = "parlor";

/// Keys that stay as they are, or keys behind a URL.
enum Keys {
    Fixed(KeySet),
    Remote(Arc<Remote>),
}

/// An issuer as this server knows it.
pub(super) struct Issuer {
    keys: Keys,
    expected: Expected,
}

impl Issuer {
    /// Trusts this server's own tokens.
    pub(super) fn own(key: &[u8; 32]) -> Self {
        Self {
            keys: Keys::Fixed(KeySet::One(Key::from_secret(key))),
            expected: Expected {
                algorithms: vec![Algorithm::HS256],
                types: Types::Own,
                issuer: Some(OWN_NAME.to_owned()),
                audience: Some(OWN_NAME.to_owned()),
                user_claim: "sub".to_owned(),
            },
        }
    }

    /// Trusts an outside issuer's tokens; fetches its keys where they are behind a URL, and again every `every`.
    pub(super) async fn outside(
        jwt: &Jwt,
        clock: Arc<dyn Clock>,
        every: Duration,
    ) -> Result<Self, AuthStartError> {
        let algorithms = &jwt.algorithms;
        let is_symmetric = algorithms.iter().any(|algorithm| algorithm.is_symmetric());
        if algorithms.is_empty() || is_symmetric && algorithms.len() > 1 {
            return Err(AuthStartError::Setting {
                setting: "auth.jwt.algorithms",
                reason: "must be HS256 alone, or one or more of RS256, ES256, EdDSA",
            });
        }
        let keys = match (&jwt.key_file, &jwt.jwks_file, &jwt.jwks_url) {
            (Some(path), None, None) => {
                let read = |bytes: &[u8]| Key::from_file(bytes, algorithms).map(KeySet::One);
                Keys::Fixed(read_file("auth.jwt.key_file", path, read)?)
            }
            (None, Some(path), None) => {
                let read = |bytes: &[u8]| KeySet::from_jwks(bytes, algorithms, SetSource::File);
                Keys::Fixed(read_file("auth.jwt.jwks_file", path, read)?)
            }
            (None, None, Some(_)) if is_symmetric => {
                return Err(AuthStartError::Setting {
                    setting: "auth.jwt.jwks_url",
                    reason: "cannot serve the shared secret of HS256: whoever can fetch it could sign",
                });
            }
            (None, None, Some(url)) => {
                let remote = Remote::start(url, algorithms, clock, every).await;
                Keys::Remote(remote.map_err(|source| AuthStartError::Fetch {
                    url: url.clone(),
                    source,
                })?)
            }
            _ => {
                return Err(AuthStartError::Setting {
                    setting: "auth.jwt.key_file",
                    reason: "exactly one of it, auth.jwt.jwks_file and auth.jwt.jwks_url must be set",
                });
            }
        };
        Ok(Self {
            keys,
            expected: Expected {
                algorithms: algorithms.clone(),
                types: Types::Outside,
                issuer: jwt.issuer.clone(),
                audience: jwt.audience.clone(),
                user_claim: jwt.user_claim.clone(),
            },
        })
    }

    /// Tells what a token says, if it is to be believed.
    pub(super) async fn check(&self, token: &str, now: Timestamp) -> Result<Claims, Fault> {
        let token = Token::read(token, &self.expected)?;
        let kid = token.kid.as_deref();
        match &self.keys {
            Keys::Fixed(set) => believe(&token, set, kid)?,
            Keys::Remote(remote) => {
                let seen = remote.keys();
                match believe(&token, &seen, kid) {
                    Err(Fault::Key) if kid.is_some() => {
                        believe(&token, &*remote.keys_beyond(&seen).await, kid)?;
                    }
                    answer => answer?,
                }
            }
        }
        token.claims(&self.expected, now)
    }
}

fn believe(token: &Token<'_>, set: &KeySet, kid: Option<&str>) -> Result<(), Fault> {
    let key = set.find(token.algorithm, kid).ok_or(Fault::Key)?;
    if key.verifies(token.message, &token.signature) {
        Ok(())
    } else {
        Err(Fault::Signature)
    }
}

fn read_file<T>(
    setting: &'static str,
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<T, KeyError>,
) -> Result<T, AuthStartError> {
    let bytes = fs::read(path).map_err(|source| AuthStartError::Read {
        setting,
        path: path.to_owned(),
        source,
    })?;
    read(&bytes).map_err(|source| AuthStartError::Key {
        setting,
        path: path.to_owned(),
        source,
    })
}

/// Signs this server's own access tokens.
pub(super) struct Signer(aws_lc_rs::hmac::Key);

impl Signer {
    /// Takes the key for access tokens.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let algorithm = aws_lc_rs::hmac::HMAC_SHA256;
        Self(aws_lc_rs::hmac::Key::new(algorithm, key))
    }

    /// Makes a token that ends `ttl_ms` after `now`, or up to a second later: its end is a whole second. Answers the end too.
    pub(super) fn sign(
        &self,
        user_id: &UserId,
        login_id: LoginId,
        now: Timestamp,
        ttl_ms: u64,
    ) -> (Secret, Timestamp) {
        let exp = now.plus_millis(ttl_ms).plus_millis(999).seconds();
        let header = json!({ "alg": name(Algorithm::HS256), "typ": OWN_TYPE });
        let claims = json!({
            "iss": OWN_NAME,
            "aud": OWN_NAME,
            "sub": user_id,
            "sid": login_id,
            "iat": now.seconds(),
            "exp": exp,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = aws_lc_rs::hmac::sign(&self.0, message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        (
            token.into(),
            Timestamp::from_millis(exp.saturating_mul(1_000)),
        )
    }
}
