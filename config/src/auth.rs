//! The `[auth]` sections: who may come in.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Refusal,
    error::{check_not_empty, check_positive_duration, refuse},
};

/// Names who issues the tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Parlor, for its own accounts.
    #[default]
    Builtin,
    /// An outside issuer.
    Jwt,
}

/// Names a signature algorithm of tokens (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever can check a token can make one.
    HS256,
    /// RSA with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Tells whether the same secret signs and checks.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256)
    }
}

/// Holds the settings of `[auth]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Who issues the tokens: `"builtin"` (accounts of this server) or `"jwt"` (an outside issuer).
    pub mode: AuthMode,
    /// How long an access token of the built-in accounts is valid.
    pub access_ttl_ms: u64,
    /// How long a refresh token of the built-in accounts is valid.
    pub refresh_ttl_ms: u64,
    /// A file with the key of the admin API, at least 32 bytes, which is off when absent.
    #[schemars(example = &"/run/secrets/parlor-admin")]
    pub admin_key_file: Option<PathBuf>,
    /// Tokens of an outside issuer.
    pub jwt: Jwt,
}

/// Holds the settings of `[auth.jwt]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// A file with the issuer's public key in PEM, or for HS256 the shared secret. The mode `"jwt"` needs exactly one of
    /// this, `auth.jwt.jwks_file` and `auth.jwt.jwks_url`.
    #[schemars(example = &"/etc/parlor/issuer.pem")]
    pub key_file: Option<PathBuf>,
    /// A file with the issuer's keys as a JSON Web Key Set.
    #[schemars(example = &"/etc/parlor/jwks.json")]
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer serves its keys as a JSON Web Key Set; fetched again when a token names an unknown key.
    #[schemars(example = &"https://issuer.example.org/.well-known/jwks.json")]
    pub jwks_url: Option<String>,
    /// The signature algorithms that are accepted: `"HS256"` alone, or any of `"RS256"`, `"ES256"`, `"EdDSA"`. The mode
    /// `"jwt"` needs at least one.
    pub algorithms: Vec<Algorithm>,
    /// What `iss` must be; not looked at when absent.
    #[schemars(example = &"https://issuer.example.org/")]
    pub issuer: Option<String>,
    /// What `aud` must be or contain; when absent, not looked at.
    #[schemars(example = &"parlor")]
    pub audience: Option<String>,
    /// The claim that holds the user id.
    pub user_claim: String,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: AuthMode::default(),
            access_ttl_ms: 60 * 60 * 1000,
            refresh_ttl_ms: 30 * DAY_MS,
            admin_key_file: None,
            jwt: Jwt::default(),
        }
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            key_file: None,
            jwks_file: None,
            jwks_url: None,
            algorithms: Vec::new(),
            issuer: None,
            audience: None,
            user_claim: "sub".to_owned(),
        }
    }
}

impl Auth {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_positive_duration("auth.access_ttl_ms", self.access_ttl_ms)?;
        check_positive_duration("auth.refresh_ttl_ms", self.refresh_ttl_ms)?;
        check_not_empty(
            "auth.admin_key_file",
            self.admin_key_file.as_deref().map(AsRef::as_ref),
        )?;
        self.jwt.check_values()?;
        match self.mode {
            AuthMode::Builtin => Ok(()),
            AuthMode::Jwt => self.jwt.check_needed(),
        }
    }
}

impl Jwt {
    fn check_values(&self) -> Result<(), Refusal> {
        check_not_empty(
            "auth.jwt.key_file",
            self.key_file.as_deref().map(AsRef::as_ref),
        )?;
        check_not_empty(
            "auth.jwt.jwks_file",
            self.jwks_file.as_deref().map(AsRef::as_ref),
        )?;
        check_not_empty("auth.jwt.issuer", self.issuer.as_deref().map(AsRef::as_ref))?;
        check_not_empty(
            "auth.jwt.audience",
            self.audience.as_deref().map(AsRef::as_ref),
        )?;
        check_not_empty("auth.jwt.user_claim", Some(self.user_claim.as_ref()))?;
        let is_web = |url: &str| {
            url.strip_prefix("https://")
                .or(url.strip_prefix("http://"))
                .is_some_and(|r| !r.is_empty())
        };
        if self.jwks_url.as_deref().is_some_and(|url| !is_web(url)) {
            return refuse("auth.jwt.jwks_url", "must begin with https:// or http://");
        }
        // A public key taken for an HMAC secret lets anyone sign.
        let symmetric = self
            .algorithms
            .iter()
            .filter(|algorithm| algorithm.is_symmetric())
            .count();
        if symmetric != 0 && symmetric != self.algorithms.len() {
            return refuse(
                "auth.jwt.algorithms",
                "must not mix HS256 with algorithms of public keys",
            );
        }
        Ok(())
    }

    fn check_needed(&self) -> Result<(), Refusal> {
        let sources = [
            ("auth.jwt.key_file", self.key_file.is_some()),
            ("auth.jwt.jwks_file", self.jwks_file.is_some()),
            ("auth.jwt.jwks_url", self.jwks_url.is_some()),
        ];
        let set: Vec<&str> = sources
            .iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(key, _)| *key)
            .collect();
        match set.as_slice() {
            [_] => {}
            [] => {
                let reason = "or auth.jwt.jwks_file or auth.jwt.jwks_url must be set, because auth.mode is \"jwt\"";
                return refuse("auth.jwt.key_file", reason);
            }
            [first, second, ..] => {
                return refuse(second, format!("must be left out, because {first} is set"));
            }
        }
        if self.algorithms.is_empty() {
            return refuse(
                "auth.jwt.algorithms",
                "must name at least one, because auth.mode is \"jwt\"",
            );
        }
        Ok(())
    }
}
