//! Tokens that must not be believed: one row per attack (RFC 8725, and the catalogue J-01 to J-05 of the design's research).

use aws_lc_rs::signature::KeyPair;
use base64::{Engine, engine::general_purpose::STANDARD};
use parlor_config::Algorithm;
use parlor_schema::ErrorCode;
use serde_json::{Value, json};

use super::{
    forge::{Forge, RSA, b64, claims, with, without},
    support::{START_S, World, no_limits, outside, with_key_file},
};

/// A server that trusts one RSA key, given as a PEM file.
async fn rsa_world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer.pem");
    std::fs::write(&path, RSA.pem()).unwrap();
    let settings = with_key_file(&[Algorithm::RS256], &path);
    World::start(&settings, &no_limits()).await.unwrap()
}

async fn assert_refused(world: &World, attacks: Vec<(&str, String)>) {
    for (attack, token) in attacks {
        let refusal = world.auth.verify(&token).await.expect_err(attack);
        assert_eq!(refusal.code, ErrorCode::Unauthorized, "{attack}");
        assert_eq!(
            refusal.message, "the token does not hold",
            "I-3: every refusal reads alike"
        );
    }
}

#[tokio::test]
async fn a_good_token_is_good() {
    let world = rsa_world().await;
    for (what, header, claims) in [
        ("plain", RSA.header(), claims()),
        ("no type", without(RSA.header(), "typ"), claims()),
        (
            "access token type",
            with(RSA.header(), "typ", "at+JWT"),
            claims(),
        ),
        (
            "any key id, as there is one key",
            with(RSA.header(), "kid", "k"),
            claims(),
        ),
        (
            "several audiences",
            RSA.header(),
            with(claims(), "aud", json!(["else", "parlor"])),
        ),
        (
            "valid since now",
            RSA.header(),
            with(claims(), "nbf", START_S),
        ),
        (
            "a clock 5 s ahead",
            RSA.header(),
            with(claims(), "nbf", START_S + 5),
        ),
        (
            "made by a clock 5 s ahead",
            RSA.header(),
            with(claims(), "iat", START_S + 5),
        ),
        ("no time of making", RSA.header(), without(claims(), "iat")),
        (
            "a key to ignore",
            with(RSA.header(), "jku", "http://127.0.0.1:1/"),
            claims(),
        ),
    ] {
        let verified = world.auth.verify(&RSA.token(&header, &claims)).await;
        assert_eq!(verified.expect(what).user_id.as_str(), "ana");
    }
}

#[tokio::test]
async fn texts_that_are_no_tokens() {
    let world = rsa_world().await;
    let good = RSA.good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let flipped = {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[10] = if bytes[10] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let not_objects = |header: &str, claims: &str| RSA.raw(header, claims);
    let header = RSA.header().to_string();
    let attacks = vec![
        ("nothing", String::new()),
        ("garbage", "garbage".to_owned()),
        ("dots", "...".to_owned()),
        ("two parts", message.to_owned()),
        ("four parts", format!("{good}.x")),
        ("a megabyte", "a".repeat(1024 * 1024)),
        (
            "a megabyte in front",
            format!("{}.{good}", "a".repeat(1024 * 1024)),
        ),
        ("padding", format!("{good}==")),
        ("a space", format!(" {good}")),
        ("no signature", format!("{message}.")),
        ("another signature", format!("{message}.{flipped}")),
        ("header no object", not_objects("[]", &claims().to_string())),
        ("claims no object", not_objects(&header, "\"ana\"")),
        ("claims not json", not_objects(&header, "{")),
        (
            "a name twice in the claims",
            not_objects(
                &header,
                &claims().to_string().replacen('{', r#"{"sub":"eve","#, 1),
            ),
        ),
        (
            "a name twice in the header",
            not_objects(
                &header.replacen('{', r#"{"alg":"none","#, 1),
                &claims().to_string(),
            ),
        ),
    ];
    assert_refused(&world, attacks).await;
}

#[tokio::test]
async fn algorithms_that_the_settings_do_not_name() {
    let world = rsa_world().await;
    let pem = RSA.pem();
    let der = STANDARD
        .decode(
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .unwrap();
    let Forge::Rs256(pair) = &*RSA else {
        unreachable!("the shared key is rsa")
    };
    let unsigned = |alg: &str| {
        let header = json!({ "alg": alg, "typ": "JWT" });
        format!(
            "{}.{}.",
            b64(header.to_string().as_bytes()),
            b64(claims().to_string().as_bytes())
        )
    };
    let hs = |secret: &[u8]| Forge::Hs256(secret.to_vec()).good();
    let claiming =
        |forge: &Forge, alg: &str| forge.token(&with(forge.header(), "alg", alg), &claims());
    let attacks = vec![
        ("none", unsigned("none")),
        ("None", unsigned("None")),
        ("nOnE", unsigned("nOnE")),
        ("no name", unsigned("")),
        ("RS256 without a signature", unsigned("RS256")),
        ("none with a good signature", claiming(&RSA, "none")),
        ("HS256 with the public key in pem", hs(pem.as_bytes())),
        ("HS256 with the pem trimmed", hs(pem.trim().as_bytes())),
        ("HS256 with the public key in der", hs(&der)),
        (
            "HS256 with the public key in pkcs#1",
            hs(pair.public_key().as_ref()),
        ),
        ("HS256 with nothing", hs(b"")),
        (
            "HS256 saying RS256",
            claiming(&Forge::Hs256(pem.into_bytes()), "RS256"),
        ),
        ("ES256", Forge::ec().good()),
        ("EdDSA", Forge::ed().good()),
        ("ES256 saying RS256", claiming(&Forge::ec(), "RS256")),
        ("RS384 by name", claiming(&RSA, "RS384")),
        ("PS256 by name", claiming(&RSA, "PS256")),
        ("rs256 in lower case", claiming(&RSA, "rs256")),
        (
            "no algorithm",
            RSA.token(&without(RSA.header(), "alg"), &claims()),
        ),
        (
            "a number",
            RSA.token(&with(RSA.header(), "alg", 256), &claims()),
        ),
        ("another rsa key", Forge::rsa().good()),
    ];
    assert_refused(&world, attacks).await;
}

#[tokio::test]
async fn headers_that_ask_for_more() {
    let world = rsa_world().await;
    let evil = Forge::ec();
    let by = |key: &str, value: Value| RSA.token(&with(RSA.header(), key, value), &claims());
    let mut embedded = evil.header();
    embedded["jwk"] = evil.jwk("k");
    let attacks = vec![
        ("an extension", by("crit", json!(["exp"]))),
        ("an unknown extension", by("crit", json!(["x-parlor"]))),
        ("no extension", by("crit", json!([]))),
        ("an ill-formed extension", by("crit", json!(true))),
        ("claims not encoded", by("b64", json!(false))),
        (
            "claims not encoded, and critical",
            RSA.token(
                &with(with(RSA.header(), "b64", false), "crit", json!(["b64"])),
                &claims(),
            ),
        ),
        ("a refresh token's type", by("typ", json!("refresh+jwt"))),
        ("an id token's logout", by("typ", json!("logout+jwt"))),
        ("a type that is no text", by("typ", json!(1))),
        ("a key id that is no text", by("kid", json!(1))),
        ("a key id of 10 kB", by("kid", json!("k".repeat(10_000)))),
        ("its own key", evil.token(&embedded, &claims())),
        (
            "its own key's address",
            evil.token(
                &with(evil.header(), "jku", "http://127.0.0.1:1/"),
                &claims(),
            ),
        ),
    ];
    assert_refused(&world, attacks).await;
}

#[tokio::test]
async fn claims_that_do_not_hold() {
    let world = rsa_world().await;
    let by = |key: &str, value: Value| RSA.token(&RSA.header(), &with(claims(), key, value));
    let lacking = |key: &str| RSA.token(&RSA.header(), &without(claims(), key));
    let attacks = vec![
        ("expired", by("exp", json!(START_S - 1))),
        ("expiring now", by("exp", json!(START_S))),
        ("expired in 1970", by("exp", json!(0))),
        ("no end", lacking("exp")),
        ("an end that is null", by("exp", Value::Null)),
        (
            "an end that is text",
            by("exp", json!((START_S + 60).to_string())),
        ),
        ("a fraction", by("exp", json!(1_700_003_600.5))),
        ("a float", by("exp", json!(1.7e9 + 3_600.0))),
        ("before time", by("exp", json!(-1))),
        ("2^63", by("exp", json!(1_u64 << 63))),
        ("2^64 - 1", by("exp", json!(u64::MAX))),
        ("after the year 9999", by("exp", json!(253_402_300_800_u64))),
        ("beyond numbers", by("exp", json!(1e300))),
        ("not yet", by("nbf", json!(START_S + 6))),
        ("far from yet", by("nbf", json!(START_S + 86_400))),
        ("not yet, as text", by("nbf", json!("0"))),
        ("made in the future", by("iat", json!(START_S + 6))),
        ("made at no time", by("iat", json!("now"))),
        ("another issuer", by("iss", json!("https://issuer.test"))),
        ("issuers", by("iss", json!(["https://issuer.test/"]))),
        ("no issuer", lacking("iss")),
        ("another audience", by("aud", json!("parlor2"))),
        ("other audiences", by("aud", json!(["a", "b"]))),
        (
            "audiences that are no texts",
            by("aud", json!(["parlor", 1])),
        ),
        ("no audiences", by("aud", json!([]))),
        ("no audience", lacking("aud")),
        ("no user", lacking("sub")),
        ("a user that is a number", by("sub", json!(7))),
        ("a user that is null", by("sub", Value::Null)),
        ("users", by("sub", json!(["ana"]))),
        ("an empty user", by("sub", json!(""))),
        ("an ill-formed user", by("sub", json!("ana smith"))),
        ("a user of 129 bytes", by("sub", json!("x".repeat(129)))),
    ];
    assert_refused(&world, attacks).await;
}

#[tokio::test]
async fn a_token_ends_at_its_end() {
    let world = rsa_world().await;
    let token = RSA.good();
    let identity = world.auth.verify(&token).await.unwrap();
    assert_eq!(identity.expires_at.seconds(), START_S + 3_600);
    world.clock.advance_ms(3_599_999);
    assert!(world.auth.verify(&token).await.is_ok());
    world.clock.advance_ms(1);
    assert_eq!(world.refusal(&token).await, ErrorCode::Unauthorized);
}

#[tokio::test]
async fn what_is_not_configured_is_not_looked_at_and_the_user_claim_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer.pem");
    std::fs::write(&path, RSA.pem()).unwrap();
    let mut settings = with_key_file(&[Algorithm::RS256], &path);
    settings.jwt.issuer = None;
    settings.jwt.audience = None;
    settings.jwt.user_claim = "https://issuer.test/name".to_owned();
    let world = World::start(&settings, &no_limits()).await.unwrap();
    let claims = json!({ "exp": START_S + 60, "sub": "a|b", "https://issuer.test/name": "ana" });
    let identity = world
        .auth
        .verify(&RSA.token(&RSA.header(), &claims))
        .await
        .unwrap();
    assert_eq!(identity.user_id.as_str(), "ana");
    assert!(world.auth.verify(&RSA.good()).await.is_err());
}

#[tokio::test]
async fn a_secret_and_public_keys_are_never_accepted_together() {
    let mut settings = outside(&[Algorithm::RS256, Algorithm::HS256]);
    settings.jwt.key_file = Some("unread".into());
    let error = World::start(&settings, &no_limits()).await.err().unwrap();
    assert!(
        error.to_string().starts_with("auth.jwt.algorithms: "),
        "{error}"
    );
    let mut settings = outside(&[Algorithm::HS256]);
    settings.jwt.jwks_url = Some("http://127.0.0.1:1/".to_owned());
    let error = World::start(&settings, &no_limits()).await.err().unwrap();
    assert!(
        error.to_string().starts_with("auth.jwt.jwks_url: "),
        "{error}"
    );
}
