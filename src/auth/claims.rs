//! Tokens in JWS compact form (RFC 7515, RFC 7519): what they say, and whether that is acceptable now.
//!
//! Owns every check of header and claims, as pure functions of the token and the time.
//!
//! Invariants:
//! - T-4: nothing of a token is used before its signature is checked, but the header to find the key.
//! - T-5: a name that stands twice in header or claims, an extension that must be understood (`crit`), a number that is not a
//!   whole one: the token is refused, not interpreted.
//!
//! Deliberately absent: keys (`keys`), and whether the login is still there (`live`).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_config::Algorithm;
use parlor_schema::{LoginId, Timestamp, UserId};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::keys::name;

/// Bytes of a token: several times what issuers with many claims send.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a key id.
const KID_BYTES_MAX: usize = 256;
/// By how much an issuer's clock may be ahead. Expiry has no leeway: a session ends when its token does.
const LEEWAY_MS: u64 = 5_000;
/// 9999-12-31T23:59:59Z, the last second that can be written.
const SECONDS_MAX: u64 = 253_402_300_799;

/// Why a token is refused; for the log, the client is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("not a token")]
    Malformed,
    #[error("an algorithm that is not accepted")]
    Algorithm,
    #[error("a token for something else")]
    Type,
    #[error("an extension that is not understood")]
    Critical,
    #[error("an unknown key")]
    Key,
    #[error("a wrong signature")]
    Signature,
    #[error("expired, or without an end")]
    Expired,
    #[error("not valid yet")]
    NotYet,
    #[error("another issuer")]
    Issuer,
    #[error("for another audience")]
    Audience,
    #[error("no well-formed user id")]
    User,
    #[error("no login")]
    Login,
    #[error("the login has ended or the account is closed")]
    Ended,
}

/// What tokens must say.
pub(super) struct Expected {
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) types: Types,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) user_claim: String,
}

/// Which tokens are access tokens (RFC 8725 section 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// Those that say so, and name the login they stand on.
    Own,
    /// Those that do not say otherwise.
    Outside,
}

/// A token taken apart; nothing of it is to be believed yet.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) message: &'a [u8],
    pub(super) signature: Vec<u8>,
    claims: &'a str,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) user_id: UserId,
    pub(super) login_id: Option<LoginId>,
    pub(super) expires_at: Timestamp,
}

impl<'a> Token<'a> {
    /// Takes a token apart and checks its header.
    pub(super) fn read(token: &'a str, expected: &Expected) -> Result<Self, Fault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Fault::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Fault::Malformed)?;
        let header = read_object(header)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Fault::Critical);
        }
        let text = |key| match header.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Fault::Malformed),
        };
        let alg = text("alg")?.ok_or(Fault::Malformed)?;
        let algorithm = expected
            .algorithms
            .iter()
            .copied()
            .find(|&algorithm| name(algorithm) == alg)
            .ok_or(Fault::Algorithm)?;
        if !expected.types.accept(text("typ")?) {
            return Err(Fault::Type);
        }
        let kid = text("kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return Err(Fault::Key);
        }
        Ok(Self {
            algorithm,
            kid,
            message: message.as_bytes(),
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| Fault::Malformed)?,
            claims,
        })
    }

    /// Checks the claims. To be called once the signature holds.
    pub(super) fn claims(&self, expected: &Expected, now: Timestamp) -> Result<Claims, Fault> {
        let claims = read_object(self.claims)?;
        let expires_at = seconds(&claims, "exp")?.ok_or(Fault::Expired)?;
        if now >= expires_at {
            return Err(Fault::Expired);
        }
        // The clock of the node that made an own token may be ahead of this one's, by any time: its login says whether it is good.
        let starts: &[&str] = match expected.types {
            Types::Own => &[],
            Types::Outside => &["nbf", "iat"],
        };
        for starts in starts {
            if seconds(&claims, starts)?.is_some_and(|start| start > now.plus_millis(LEEWAY_MS)) {
                return Err(Fault::NotYet);
            }
        }
        if let Some(issuer) = &expected.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Fault::Issuer);
        }
        if let Some(audience) = &expected.audience
            && !is_for(claims.get("aud"), audience)
        {
            return Err(Fault::Audience);
        }
        let user_id = claims
            .get(&expected.user_claim)
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .ok_or(Fault::User)?;
        let login_id = match expected.types {
            Types::Outside => None,
            Types::Own => Some(
                claims
                    .get("sid")
                    .and_then(Value::as_str)
                    .and_then(|text| text.parse().ok())
                    .ok_or(Fault::Login)?,
            ),
        };
        Ok(Claims {
            user_id,
            login_id,
            expires_at,
        })
    }
}

impl Types {
    fn accept(self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::Own, typ) => typ == Some(OWN_TYPE),
            (Self::Outside, None) => true,
            (Self::Outside, Some(typ)) => ["JWT", "at+jwt", "application/at+jwt"]
                .iter()
                .any(|known| typ.eq_ignore_ascii_case(known)),
        }
    }
}

/// The `typ` of this server's own access tokens (RFC 9068 section 2.1).
pub(super) const OWN_TYPE: &str = "at+jwt";

fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => {
            many.iter().all(Value::is_string) && many.iter().any(|one| one == audience)
        }
        _ => false,
    }
}

fn seconds(claims: &Map<String, Value>, key: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(value) = claims.get(key) else {
        return Ok(None);
    };
    let seconds = value
        .as_u64()
        .filter(|seconds| *seconds <= SECONDS_MAX)
        .ok_or(Fault::Malformed)?;
    Ok(Some(
        Timestamp::from_millis(0).plus_millis(seconds.saturating_mul(1_000)),
    ))
}

fn read_object(encoded: &str) -> Result<Map<String, Value>, Fault> {
    let json = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| Fault::Malformed)?;
    serde_json::from_slice::<Unique>(&json)
        .map(|Unique(map)| map)
        .map_err(|_| Fault::Malformed)
}

/// A JSON object in which no name stands twice (RFC 7515 section 4, RFC 7519 section 4).
struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(de::Error::custom("a name stands twice"));
                    }
                }
                Ok(map)
            }
        }

        deserializer.deserialize_map(Names).map(Self)
    }
}
