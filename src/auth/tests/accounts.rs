//! Register, login, refresh and logout, as PROTOCOL section 7 has them.

use std::{net::IpAddr, sync::Arc};

use parlor_config::{Auth as Settings, Limits};
use parlor_schema::{ErrorCode, UserId, envelope::Envelope, port::UserDirectory};

use super::support::{HOME, PASSWORD, World, no_limits, register, user};
use crate::auth::{Identity, LoginRequest, RegisterRequest, TokenAnswer};

fn login(user: &str, password: &str) -> LoginRequest {
    LoginRequest {
        user_id: user.to_owned(),
        password: password.into(),
    }
}

async fn identity(world: &World, answer: &TokenAnswer) -> Identity {
    world.auth.verify(answer.token.expose()).await.unwrap()
}

#[tokio::test]
async fn an_account_is_made_once() {
    let world = World::own().await;
    let request = RegisterRequest {
        name: Some("Ana".to_owned()),
        ..register("ana", PASSWORD)
    };
    let answer = world.auth.register(request, HOME).await.unwrap();
    assert_eq!(answer.user_id, user("ana"));
    let record = world.store.user(&user("ana")).await.unwrap().unwrap();
    assert_eq!(record.name.as_deref(), Some("Ana"));
    assert!(record.password_hash.unwrap().starts_with("$argon2id$"));

    let again = world.auth.register(register("ana", "another one"), HOME);
    assert_eq!(again.await.unwrap_err().code, ErrorCode::Conflict);
    assert!(world.login("ana", PASSWORD).await.is_ok());
    assert!(world.login("ana", "another one").await.is_err());
    assert!(world.auth.verify(answer.token.expose()).await.is_ok());
}

#[tokio::test]
async fn of_two_registrations_at_once_one_has_the_account() {
    let world = World::own().await;
    let one = world.auth.register(register("ana", "password one"), HOME);
    let two = world.auth.register(register("ana", "password two"), HOME);
    let (one, two) = tokio::join!(one, two);
    let (won, lost) = match (one, two) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        other => panic!("{other:?}"),
    };
    assert_eq!(lost.code, ErrorCode::Conflict);
    let logins = world.store.logins_of(&user("ana")).await.unwrap();
    assert_eq!(logins.len(), 1, "the loser's login is gone");
    let identity = identity(&world, &won).await;
    assert_eq!(identity.login_id, Some(logins[0].login_id));
}

#[tokio::test]
async fn what_is_ill_formed_is_blamed_by_field() {
    let world = World::own().await;
    let (short, long) = ("7 bytes".to_owned(), "x".repeat(1_025));
    let cases = [
        ("", PASSWORD, None, "user_id"),
        ("an na", PASSWORD, None, "user_id"),
        (&"x".repeat(129), PASSWORD, None, "user_id"),
        ("ana", "", None, "password"),
        ("ana", &short, None, "password"),
        ("ana", &long, None, "password"),
        ("ana", PASSWORD, Some("n".repeat(257)), "name"),
    ];
    for (user, password, name, field) in cases {
        let request = RegisterRequest {
            name: name.clone(),
            ..register(user, password)
        };
        let refusal = world.auth.register(request, HOME).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::BadFrame, "{user} {field}");
        assert_eq!(refusal.field.as_deref(), Some(field));
        if name.is_none() {
            let refusal = world
                .auth
                .login(login(user, password), HOME)
                .await
                .unwrap_err();
            assert_eq!(refusal.code, ErrorCode::BadFrame, "{user} {field}");
            assert_eq!(refusal.field.as_deref(), Some(field));
        }
    }
    for (user, password) in [("a", "8 bytes."), ("b", &"x".repeat(1_024))] {
        let answer = world.auth.register(register(user, password), HOME).await;
        assert!(answer.is_ok(), "the limits themselves are taken");
    }
    let request = RegisterRequest {
        name: Some(String::new()),
        ..register("c", PASSWORD)
    };
    world.auth.register(request, HOME).await.unwrap();
    let record = world.store.user(&user("c")).await.unwrap().unwrap();
    assert_eq!(record.name, None, "an empty name is none");
}

#[tokio::test]
async fn wrong_password_unknown_user_and_closed_account_are_refused_alike() {
    let world = World::own().await;
    world.register("ana").await;
    world.register("closed").await;
    world.auth.disable(&user("closed")).await.unwrap();
    let wrong = world.login("ana", "wrong horse").await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::Unauthorized);
    assert_eq!(world.login("nobody", PASSWORD).await.unwrap_err(), wrong);
    assert_eq!(world.login("closed", PASSWORD).await.unwrap_err(), wrong);
    assert!(world.login("ana", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn an_account_without_a_password_cannot_be_entered() {
    let world = World::own().await;
    let now = parlor_schema::Timestamp::from_millis(0);
    let made = world.store.update_profile(
        &user("guest"),
        parlor_schema::record::ProfileChange::default(),
        now,
    );
    made.await.unwrap();
    let refusal = world.login("guest", PASSWORD).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Unauthorized);
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let world = World::own().await;
    let first = world.register("ana").await;
    let second = world.refresh(&first).await.unwrap();
    assert_eq!(second.user_id, user("ana"));
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_eq!(
        identity(&world, &first).await.login_id,
        identity(&world, &second).await.login_id,
        "the login stays"
    );
    let third = world.refresh(&second).await.unwrap();
    assert!(world.auth.verify(third.token.expose()).await.is_ok());
    assert!(world.told().is_empty());
}

#[tokio::test]
async fn reuse_of_a_refresh_token_ends_the_login_for_both() {
    let world = World::own().await;
    let first = world.register("ana").await;
    let other = world.login("ana", PASSWORD).await.unwrap();
    let login_id = identity(&world, &first).await.login_id.unwrap();
    let second = world.refresh(&first).await.unwrap();
    let reuse = world.refresh(&first).await.unwrap_err();
    assert_eq!(reuse.code, ErrorCode::Unauthorized);
    let user_id = user("ana");
    assert_eq!(world.told(), [Envelope::LoginEnded { user_id, login_id }]);
    for answer in [&first, &second] {
        assert_eq!(
            world.refusal(answer.token.expose()).await,
            ErrorCode::Unauthorized
        );
        assert_eq!(
            world.refresh(answer).await.unwrap_err().code,
            ErrorCode::Unauthorized
        );
    }
    assert!(world.told().is_empty(), "it ended once");
    assert!(
        world.refresh(&other).await.is_ok(),
        "another login of the user stays"
    );
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_wins_and_the_login_ends() {
    let world = World::own().await;
    let first = world.register("ana").await;
    let (one, two) = tokio::join!(world.refresh(&first), world.refresh(&first));
    assert!(one.is_ok() != two.is_ok(), "at most one is rotated");
    let won = one.or(two).unwrap();
    assert!(world.auth.verify(won.token.expose()).await.is_err());
}

#[tokio::test]
async fn refresh_tokens_that_never_were_are_refused() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    for bad in ["", "x", answer.token.expose(), &"A".repeat(64)] {
        let forged = TokenAnswer {
            refresh_token: bad.into(),
            ..answer.clone()
        };
        let refusal = world.refresh(&forged).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Unauthorized, "{bad}");
    }
    assert!(world.refresh(&answer).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_time_and_each_refresh_renews_it() {
    let settings = Settings {
        refresh_ttl_ms: 10_000,
        ..Settings::default()
    };
    let world = World::start(&settings, &no_limits()).await.unwrap();
    let first = world.register("ana").await;
    world.clock.advance_ms(9_999);
    let second = world.refresh(&first).await.unwrap();
    world.clock.advance_ms(9_999);
    let third = world.refresh(&second).await.unwrap();
    world.clock.advance_ms(10_000);
    assert_eq!(
        world.refresh(&third).await.unwrap_err().code,
        ErrorCode::Unauthorized
    );
}

#[tokio::test]
async fn logout_ends_one_login_and_tells_the_nodes() {
    let world = World::own().await;
    let (phone, web) = (
        world.register("ana").await,
        world.login("ana", PASSWORD).await.unwrap(),
    );
    let identity = identity(&world, &phone).await;
    world.auth.logout(&identity).await.unwrap();
    let told = Envelope::LoginEnded {
        user_id: user("ana"),
        login_id: identity.login_id.unwrap(),
    };
    assert_eq!(world.told(), [told]);
    assert_eq!(
        world.refusal(phone.token.expose()).await,
        ErrorCode::Unauthorized
    );
    assert_eq!(
        world.refresh(&phone).await.unwrap_err().code,
        ErrorCode::Unauthorized
    );
    assert!(world.auth.verify(web.token.expose()).await.is_ok());
    world.auth.logout(&identity).await.unwrap();
    assert!(world.told().is_empty(), "done before is done");
}

#[tokio::test]
async fn logins_and_registrations_are_counted_per_address() {
    let limits = Limits {
        logins_per_minute: 2,
        registers_per_minute: 1,
        ..Limits::default()
    };
    let world = World::start(&Settings::default(), &limits).await.unwrap();
    let away: IpAddr = "192.0.2.7".parse().unwrap();
    let auth = Arc::clone(&world.auth);
    auth.register(register("ana", PASSWORD), HOME)
        .await
        .unwrap();
    let refusal = auth
        .register(register("ben", PASSWORD), HOME)
        .await
        .unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert_eq!(refusal.retry_after_ms, Some(60_000));
    assert!(auth.register(register("ben", PASSWORD), away).await.is_ok());

    for password in ["wrong horse", PASSWORD] {
        let answer = auth.login(login("ana", password), HOME).await;
        assert_eq!(answer.is_ok(), password == PASSWORD);
    }
    let refusal = auth.login(login("ana", PASSWORD), HOME).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert_eq!(refusal.retry_after_ms, Some(30_000));
    assert!(auth.login(login("ana", PASSWORD), away).await.is_ok());
    world.clock.advance_ms(30_000);
    assert!(auth.login(login("ana", PASSWORD), HOME).await.is_ok());
}

#[test]
fn secrets_do_not_show_themselves() {
    let request = register("ana", PASSWORD);
    let shown = format!("{request:?}");
    assert!(
        shown.contains("ana") && !shown.contains(PASSWORD),
        "{shown}"
    );
    let read: RegisterRequest = serde_json::from_str(
        r#"{"user_id":"ana","password":"correct horse","name":null,"more":1}"#,
    )
    .unwrap();
    assert_eq!(read.password.expose(), PASSWORD);
    assert_eq!(read.name, None);
    let user_id: UserId = user("ana");
    let answer = TokenAnswer {
        user_id,
        token: "t".into(),
        refresh_token: "r".into(),
        expires_at: parlor_schema::Timestamp::from_millis(0),
    };
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["token"], "t");
    assert_eq!(json["expires_at"], "1970-01-01T00:00:00.000Z");
}
