//! This server's own access tokens: what they say, when they end, what may not be changed about them.

use std::sync::atomic::Ordering::SeqCst;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_config::Auth as Settings;
use parlor_schema::{ErrorCode, Timestamp};
use serde_json::{Value, json};

use super::{
    forge::{Forge, with, without},
    support::{SECRET, START_S, World, no_limits, user},
};
use crate::auth::{KeyUse, derive};

fn part(token: &str, n: usize) -> Value {
    let part = token.split('.').nth(n).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_names_user_login_and_end() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    let identity = world.auth.verify(answer.token.expose()).await.unwrap();
    assert_eq!(identity.user_id, user("ana"));
    assert_eq!(identity.expires_at, answer.expires_at);
    assert_eq!(
        answer.expires_at,
        Timestamp::from_millis((START_S + 3_600) * 1_000)
    );
    let header = part(answer.token.expose(), 0);
    assert_eq!(header, json!({ "alg": "HS256", "typ": "at+jwt" }));
    let claims = part(answer.token.expose(), 1);
    let login = identity.login_id.unwrap().to_string();
    let expected = json!({
        "iss": "parlor", "aud": "parlor", "sub": "ana", "sid": login, "iat": START_S, "exp": START_S + 3_600,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn a_token_lives_at_least_its_time_and_a_second_more_at_most() {
    let settings = Settings {
        access_ttl_ms: 1_500,
        ..Settings::default()
    };
    let world = World::start(&settings, &no_limits()).await.unwrap();
    world.clock.advance_ms(700);
    let answer = world.register("ana").await;
    // 700 + 1500 ms, up to the next whole second.
    assert_eq!(
        answer.expires_at,
        Timestamp::from_millis(START_S * 1_000 + 3_000)
    );
    world.clock.advance_ms(2_299);
    assert!(world.auth.verify(answer.token.expose()).await.is_ok());
    world.clock.advance_ms(1);
    assert_eq!(
        world.refusal(answer.token.expose()).await,
        ErrorCode::Unauthorized
    );
}

#[tokio::test]
async fn a_token_of_a_node_whose_clock_is_ahead_is_good() {
    let world = World::own().await;
    world.clock.advance_ms(3_600_000);
    let answer = world.register("ana").await;
    world.clock.advance_ms(-3_600_000);
    let identity = world.auth.verify(answer.token.expose()).await;
    assert_eq!(identity.unwrap().user_id, user("ana"));
}

#[tokio::test]
async fn nothing_of_a_token_may_be_changed() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    world.register("ben").await;
    let token = answer.token.expose();
    let forge = Forge::Hs256(derive(&SECRET, KeyUse::AccessTokens).to_vec());
    let (header, claims) = (part(token, 0), part(token, 1));
    // The forge has the right key: what is refused below is refused for what it says.
    assert!(
        world
            .auth
            .verify(&forge.token(&header, &claims))
            .await
            .is_ok()
    );
    let changed = [
        ("another user", with(claims.clone(), "sub", "ben")),
        ("no user", without(claims.clone(), "sub")),
        ("no login", without(claims.clone(), "sid")),
        (
            "another login",
            with(
                claims.clone(),
                "sid",
                "0191f0c2-0000-7000-8000-000000000001",
            ),
        ),
        ("a login that is no id", with(claims.clone(), "sid", "1")),
        ("another issuer", with(claims.clone(), "iss", "else")),
        ("no issuer", without(claims.clone(), "iss")),
        ("another audience", with(claims.clone(), "aud", "else")),
        ("no audience", without(claims.clone(), "aud")),
        ("no end", without(claims.clone(), "exp")),
    ];
    for (what, claims) in changed {
        let token = forge.token(&header, &claims);
        assert_eq!(
            world.refusal(&token).await,
            ErrorCode::Unauthorized,
            "{what}"
        );
    }
    for (what, header) in [
        ("another type", with(header.clone(), "typ", "JWT")),
        ("no type", without(header.clone(), "typ")),
    ] {
        let token = forge.token(&header, &claims);
        assert_eq!(
            world.refusal(&token).await,
            ErrorCode::Unauthorized,
            "{what}"
        );
    }
    let refresh_token = answer.refresh_token.expose();
    assert_eq!(
        world.refusal(refresh_token).await,
        ErrorCode::Unauthorized,
        "a refresh token is no access token"
    );
}

#[tokio::test]
async fn other_keys_of_the_same_secret_sign_nothing() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    let token = answer.token.expose();
    let (header, claims) = (part(token, 0), part(token, 1));
    for (what, secret) in [
        ("the secret itself", SECRET.to_vec()),
        (
            "the key of cursors",
            derive(&SECRET, KeyUse::Cursors).to_vec(),
        ),
        ("nothing", Vec::new()),
    ] {
        let token = Forge::Hs256(secret).token(&header, &claims);
        assert_eq!(
            world.refusal(&token).await,
            ErrorCode::Unauthorized,
            "signed with {what}"
        );
    }
}

#[tokio::test]
async fn when_the_store_is_away_nobody_comes_in() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    world.store.is_away.store(true, SeqCst);
    assert_eq!(
        world.refusal(answer.token.expose()).await,
        ErrorCode::Unavailable,
        "I-4"
    );
    assert_eq!(
        world.login("ana", "correct horse").await.unwrap_err().code,
        ErrorCode::Unavailable
    );
    assert_eq!(
        world.refresh(&answer).await.unwrap_err().code,
        ErrorCode::Unavailable
    );
    world.store.is_away.store(false, SeqCst);
    assert!(world.auth.verify(answer.token.expose()).await.is_ok());
    assert!(world.refresh(&answer).await.is_ok(), "nothing was spent");
}

#[tokio::test]
async fn the_store_is_asked_once_a_second_for_a_login() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    let before = world.store.asked.load(SeqCst);
    for _ in 0..100 {
        world.auth.verify(answer.token.expose()).await.unwrap();
    }
    assert_eq!(
        world.store.asked.load(SeqCst) - before,
        2,
        "the login and the account"
    );
    world.clock.advance_ms(1_000);
    world.auth.verify(answer.token.expose()).await.unwrap();
    assert_eq!(world.store.asked.load(SeqCst) - before, 4);
}

#[tokio::test]
async fn a_node_that_hears_nothing_notices_an_end_within_a_second() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    let twin = world.deaf_twin().await;
    let identity = twin.verify(answer.token.expose()).await.unwrap();
    world.auth.logout(&identity).await.unwrap();
    assert_eq!(
        world.refusal(answer.token.expose()).await,
        ErrorCode::Unauthorized,
        "at once where it was ended"
    );
    world.clock.advance_ms(1_000);
    assert!(twin.verify(answer.token.expose()).await.is_err(), "I-2");

    // One that hears of it, at once.
    let answer = world.login("ana", "correct horse").await.unwrap();
    let identity = twin.verify(answer.token.expose()).await.unwrap();
    world.auth.logout(&identity).await.unwrap();
    twin.login_ended(identity.login_id.unwrap());
    assert!(twin.verify(answer.token.expose()).await.is_err());
}
