//! Keys from files: every kind that is taken, every kind that is not, and which key of a set a token means.

use std::path::{Path, PathBuf};

use parlor_config::Algorithm;
use serde_json::{Value, json};

use super::{
    forge::{Forge, RSA, claims, pem, with, without},
    support::{World, no_limits, outside, with_key_file},
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join("key");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

async fn with_key(algorithms: &[Algorithm], path: &Path) -> Result<World, String> {
    let settings = with_key_file(algorithms, path);
    let started = World::start(&settings, &no_limits()).await;
    started.map_err(|error| error.to_string())
}

async fn with_set(algorithms: &[Algorithm], path: &Path) -> Result<World, String> {
    let mut settings = outside(algorithms);
    settings.jwt.jwks_file = Some(path.to_owned());
    let started = World::start(&settings, &no_limits()).await;
    started.map_err(|error| error.to_string())
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// All algorithms that can be accepted together.
const PUBLIC: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

#[tokio::test]
async fn every_kind_of_public_key_is_read_from_pem() {
    let folder = Folder::new();
    for forge in [&*RSA, &Forge::ec(), &Forge::ed()] {
        let path = folder.write(format!("\n{}\n", forge.pem()));
        let world = with_key(&PUBLIC, &path).await.unwrap();
        assert!(
            world.auth.verify(&forge.good()).await.is_ok(),
            "{}",
            forge.alg()
        );
        for other in [&*RSA, &Forge::ec(), &Forge::ed()] {
            if other.alg() != forge.alg() {
                assert!(world.auth.verify(&other.good()).await.is_err());
            }
        }
    }
    let Forge::Rs256(pair) = &*RSA else {
        unreachable!("the shared key is rsa")
    };
    let pkcs1 = aws_lc_rs::signature::KeyPair::public_key(pair).as_ref();
    let path = folder.write(pem("RSA PUBLIC KEY", pkcs1));
    let world = with_key(&[Algorithm::RS256], &path).await.unwrap();
    assert!(world.auth.verify(&RSA.good()).await.is_ok());
}

#[tokio::test]
async fn a_secret_may_end_in_a_newline() {
    let folder = Folder::new();
    let secret = b"not ascii: \xff\xfe, and spaces inside";
    let forge = Forge::Hs256(secret.to_vec());
    for end in ["", "\n", "\r\n"] {
        let path = folder.write([&secret[..], end.as_bytes()].concat());
        let world = with_key(&[Algorithm::HS256], &path).await.unwrap();
        assert!(world.auth.verify(&forge.good()).await.is_ok());
    }
}

#[tokio::test]
async fn files_that_hold_no_key_stop_the_start_and_are_named() {
    let folder = Folder::new();
    let weak = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu\
                KUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==";
    let weak = format!("-----BEGIN PUBLIC KEY-----\n{weak}\n-----END PUBLIC KEY-----\n");
    let cases: [(&[Algorithm], Vec<u8>, &str); 10] = [
        (&PUBLIC, Vec::new(), "is empty"),
        (&[Algorithm::HS256], b"\n".to_vec(), "is empty"),
        (&[Algorithm::HS256], RSA.pem().into_bytes(), "is a pem file"),
        (&PUBLIC, b"secret".to_vec(), "is not one public key in pem"),
        (
            &PUBLIC,
            pem("PRIVATE KEY", &RSA.pkcs8()).into_bytes(),
            "is not one public key",
        ),
        (
            &PUBLIC,
            pem("PUBLIC KEY", b"no der").into_bytes(),
            "fits none of",
        ),
        (
            &PUBLIC,
            [RSA.pem(), RSA.pem()].concat().into_bytes(),
            "is not one public key",
        ),
        (
            &[Algorithm::ES256],
            RSA.pem().into_bytes(),
            "fits none of auth.jwt.algorithms",
        ),
        (
            &[Algorithm::RS256],
            Forge::ec().pem().into_bytes(),
            "fits none of",
        ),
        (
            &[Algorithm::RS256],
            weak.into_bytes(),
            "fewer than 2048 bits",
        ),
    ];
    for (algorithms, bytes, reason) in cases {
        let path = folder.write(bytes);
        let error = with_key(algorithms, &path).await.err().unwrap();
        assert!(error.starts_with("auth.jwt.key_file: "), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    let missing = folder.0.path().join("missing");
    for error in [
        with_key(&PUBLIC, &missing).await.err().unwrap(),
        with_set(&PUBLIC, &missing).await.err().unwrap(),
    ] {
        assert!(error.starts_with("auth.jwt."), "{error}");
        assert!(error.contains(missing.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_token_means_the_key_of_its_id_and_algorithm() {
    let folder = Folder::new();
    let (ec, ed, old) = (Forge::ec(), Forge::ed(), Forge::ec());
    let keys = [RSA.jwk("a"), ec.jwk("b"), ed.jwk("a"), old.jwk("old")];
    let world = with_set(&PUBLIC, &folder.write(set(&keys))).await.unwrap();
    let verify = async |token: String| world.auth.verify(&token).await.is_ok();
    assert!(verify(RSA.good_by("a")).await);
    assert!(verify(ec.good_by("b")).await);
    assert!(
        verify(ed.good_by("a")).await,
        "the same id, another algorithm"
    );
    assert!(verify(RSA.good()).await, "no id: the only key for RS256");
    assert!(!verify(ec.good()).await, "no id: two keys for ES256");
    assert!(!verify(ec.good_by("old")).await, "another key's id");
    for kid in ["", "c", "../a", "a' or '1'='1", "A", "a "] {
        assert!(!verify(RSA.good_by(kid)).await, "{kid}");
    }
}

#[tokio::test]
async fn keys_for_something_else_are_passed_over() {
    let folder = Folder::new();
    let ec = Forge::ec();
    let good = ec.jwk("good");
    let named = |kid: &str| ec.jwk(kid);
    let keys = [
        good.clone(),
        with(named("named"), "alg", "ES256"),
        with(named("signs"), "use", "sig"),
        with(named("verifies"), "key_ops", json!(["sign", "verify"])),
        with(named("other alg"), "alg", "ES384"),
        with(named("rs alg"), "alg", "RS256"),
        with(named("encrypts"), "use", "enc"),
        with(named("only signs"), "key_ops", json!(["sign"])),
        with(named("p384"), "crv", "P-384"),
        with(named("okp"), "kty", "OKP"),
        with(named("off the curve"), "y", good["x"].clone()),
        with(named("short"), "x", "AAAA"),
        without(named("half"), "y"),
        with(
            named("padded"),
            "x",
            format!("{}=", good["x"].as_str().unwrap()),
        ),
        RSA.jwk("not in the settings"),
        Forge::Hs256(b"secret".to_vec()).jwk("secret"),
        json!({ "kty": "unheard of", "kid": "new" }),
        json!({ "kid": "no kind" }),
        json!("no object"),
    ];
    let path = folder.write(set(&keys));
    let world = with_set(&[Algorithm::ES256], &path).await.unwrap();
    for kid in ["good", "named", "signs", "verifies"] {
        assert!(world.auth.verify(&ec.good_by(kid)).await.is_ok(), "{kid}");
    }
    for jwk in &keys[4..] {
        if let Some(kid) = jwk.get("kid").and_then(Value::as_str) {
            assert!(world.auth.verify(&ec.good_by(kid)).await.is_err(), "{kid}");
        }
    }
}

#[tokio::test]
async fn two_keys_with_one_id_are_none() {
    let folder = Folder::new();
    let (one, two, three) = (Forge::ec(), Forge::ec(), Forge::ec());
    let keys = [one.jwk("twin"), two.jwk("twin"), three.jwk("alone")];
    let world = with_set(&PUBLIC, &folder.write(set(&keys))).await.unwrap();
    assert!(
        world.auth.verify(&one.good_by("twin")).await.is_err(),
        "T-3"
    );
    assert!(
        world.auth.verify(&two.good_by("twin")).await.is_err(),
        "T-3"
    );
    assert!(world.auth.verify(&three.good_by("alone")).await.is_ok());
}

#[tokio::test]
async fn secrets_are_taken_from_a_file_of_keys() {
    let folder = Folder::new();
    let forge = Forge::Hs256(b"a secret in a file that others cannot read".to_vec());
    let path = folder.write(set(&[forge.jwk("s"), RSA.jwk("r")]));
    let world = with_set(&[Algorithm::HS256], &path).await.unwrap();
    assert!(world.auth.verify(&forge.good_by("s")).await.is_ok());
    assert!(world.auth.verify(&RSA.good_by("r")).await.is_err());
}

#[tokio::test]
async fn sets_without_a_key_stop_the_start_and_are_named() {
    let folder = Folder::new();
    let many: Vec<Value> = (0..257).map(|n| RSA.jwk(&n.to_string())).collect();
    for (text, reason) in [
        ("<html>".to_owned(), "is not a json web key set"),
        ("{}".to_owned(), "is not a json web key set"),
        (set(&[]), "holds no key"),
        (set(&[json!({ "kty": "oct", "k": "" })]), "holds no key"),
        (set(&many), "holds too many keys"),
    ] {
        let path = folder.write(text);
        let error = with_set(&PUBLIC, &path).await.err().unwrap();
        assert!(error.starts_with("auth.jwt.jwks_file: "), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn tokens_of_another_implementation_are_understood() {
    use jsonwebtoken::{Algorithm as Alg, EncodingKey, Header, encode};
    let folder = Folder::new();
    let (ec, ed) = (Forge::ec(), Forge::ed());
    let rsa_pem = pem("PRIVATE KEY", &RSA.pkcs8());
    let issuers = [
        (
            Alg::RS256,
            &*RSA,
            EncodingKey::from_rsa_pem(rsa_pem.as_bytes()).unwrap(),
        ),
        (Alg::ES256, &ec, EncodingKey::from_ec_der(&ec.pkcs8())),
        (Alg::EdDSA, &ed, EncodingKey::from_ed_der(&ed.pkcs8())),
    ];
    let keys = [RSA.jwk("k"), ec.jwk("k"), ed.jwk("k")];
    let world = with_set(&PUBLIC, &folder.write(set(&keys))).await.unwrap();
    for (alg, forge, key) in issuers {
        let mut header = Header::new(alg);
        header.kid = Some("k".to_owned());
        let token = encode(&header, &claims(), &key).unwrap();
        assert!(world.auth.verify(&token).await.is_ok(), "{}", forge.alg());
    }
    let path = folder.write("a secret shared with the issuer!");
    let world = with_key(&[Algorithm::HS256], &path).await.unwrap();
    let key = EncodingKey::from_secret(b"a secret shared with the issuer!");
    let token = encode(&Header::new(Alg::HS256), &claims(), &key).unwrap();
    assert!(world.auth.verify(&token).await.is_ok());
}
