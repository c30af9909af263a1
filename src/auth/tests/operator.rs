//! What operators do, with accounts of this server and users of an outside issuer.

use parlor_config::Algorithm;
use parlor_schema::{ErrorCode, Timestamp, envelope::Envelope, port::UserDirectory};

use super::{
    forge::Forge,
    support::{PASSWORD, START_S, World, no_limits, register, user, with_key_file},
};

#[tokio::test]
async fn an_issued_token_holds_as_long_as_it_says() {
    let world = World::own().await;
    let added = world
        .auth
        .add_user(register("bot", PASSWORD))
        .await
        .unwrap();
    let issued = world.auth.issue(&added, 5_000).await.unwrap();
    assert_eq!(
        issued.expires_at,
        Timestamp::from_millis((START_S + 5) * 1_000)
    );
    let identity = world.auth.verify(issued.token.expose()).await.unwrap();
    assert_eq!(identity.user_id, user("bot"));
    assert_eq!(identity.login_id, Some(issued.login_id));
    world.auth.logout(&identity).await.unwrap();
    assert!(world.auth.verify(issued.token.expose()).await.is_err());

    let unknown = world.auth.issue(&user("nobody"), 5_000).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::NotFound);
    world.auth.disable(&added).await.unwrap();
    let closed = world.auth.issue(&added, 5_000).await.unwrap_err();
    assert_eq!(closed.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn accounts_are_added_under_the_rules_of_registration() {
    let world = World::own().await;
    world
        .auth
        .add_user(register("ana", PASSWORD))
        .await
        .unwrap();
    assert!(world.login("ana", PASSWORD).await.is_ok());
    for (user, password, code) in [
        ("ana", PASSWORD, ErrorCode::Conflict),
        ("a na", PASSWORD, ErrorCode::BadFrame),
        ("ben", "short", ErrorCode::BadFrame),
    ] {
        let refusal = world.auth.add_user(register(user, password)).await;
        assert_eq!(refusal.unwrap_err().code, code);
    }
    let users = world.auth.users(None, 10).await.unwrap();
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn revocation_ends_every_login_of_the_user_alone() {
    let world = World::own().await;
    let (one, ben) = (world.register("ana").await, world.register("ben").await);
    let two = world.login("ana", PASSWORD).await.unwrap();
    for answer in [&one, &two, &ben] {
        world.auth.verify(answer.token.expose()).await.unwrap();
    }
    world.auth.revoke(&user("ana")).await.unwrap();
    let user_id = user("ana");
    assert_eq!(world.told(), [Envelope::UserRevoked { user_id }]);
    for answer in [&one, &two] {
        assert_eq!(
            world.refusal(answer.token.expose()).await,
            ErrorCode::Unauthorized,
            "O-1"
        );
        assert!(world.refresh(answer).await.is_err());
    }
    assert!(world.auth.verify(ben.token.expose()).await.is_ok());
    assert!(world.login("ana", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_new_password_takes_the_place_of_the_old_and_of_its_logins() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    let ana = user("ana");
    let short = world.auth.set_password(&ana, "short".into()).await;
    assert_eq!(short.unwrap_err().field.as_deref(), Some("password"));
    assert!(world.auth.verify(answer.token.expose()).await.is_ok());
    world
        .auth
        .set_password(&ana, "battery staple".into())
        .await
        .unwrap();
    assert!(
        world.auth.verify(answer.token.expose()).await.is_err(),
        "O-1"
    );
    assert!(world.login("ana", PASSWORD).await.is_err());
    assert!(world.login("ana", "battery staple").await.is_ok());
    let nobody = world
        .auth
        .set_password(&user("nobody"), "battery staple".into())
        .await;
    assert_eq!(nobody.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_closed_account_stays_out_until_it_is_opened() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    let ana = user("ana");
    world.auth.verify(answer.token.expose()).await.unwrap();
    world.auth.disable(&ana).await.unwrap();
    let told = world.told();
    assert_eq!(
        told,
        [Envelope::UserRevoked {
            user_id: ana.clone()
        }]
    );
    assert_eq!(
        world.refusal(answer.token.expose()).await,
        ErrorCode::Unauthorized
    );
    assert!(world.refresh(&answer).await.is_err());
    assert!(world.login("ana", PASSWORD).await.is_err());
    world.auth.enable(&ana).await.unwrap();
    assert!(
        world.auth.verify(answer.token.expose()).await.is_err(),
        "its logins are gone"
    );
    assert!(world.login("ana", PASSWORD).await.is_ok());
    for refusal in [
        world.auth.disable(&user("nobody")).await,
        world.auth.enable(&user("nobody")).await,
    ] {
        assert_eq!(refusal.unwrap_err().code, ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn a_login_made_while_the_account_is_closed_is_worth_nothing() {
    let world = World::own().await;
    let answer = world.register("ana").await;
    // As if the login had been written just after the account was closed and its logins were removed.
    let now = Timestamp::from_millis(START_S * 1_000);
    let closed = world.store.set_disabled(&user("ana"), Some(now));
    assert!(closed.await.unwrap());
    assert!(world.auth.verify(answer.token.expose()).await.is_err());
    assert!(world.refresh(&answer).await.is_err());
    let left = world.store.logins_of(&user("ana")).await.unwrap();
    assert!(left.is_empty(), "the attempt to refresh ended it");
}

#[tokio::test]
async fn with_an_outside_issuer_there_are_no_accounts_but_users_can_be_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let forge = Forge::Hs256(b"a secret shared with the issuer!".to_vec());
    std::fs::write(&path, "a secret shared with the issuer!\n").unwrap();
    let settings = with_key_file(&[Algorithm::HS256], &path);
    let world = World::start(&settings, &no_limits()).await.unwrap();
    assert!(!world.auth.keeps_accounts());
    let identity = world.auth.verify(&forge.good()).await.unwrap();
    assert_eq!(identity.user_id, user("ana"));
    assert_eq!(identity.login_id, None);

    let home = super::support::HOME;
    let registered = world.auth.register(register("ana", PASSWORD), home).await;
    assert_eq!(registered.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(
        world.login("ana", PASSWORD).await.unwrap_err().code,
        ErrorCode::NotFound
    );
    let refresh_token = "x".into();
    let request = crate::auth::RefreshRequest { refresh_token };
    let refreshed = world.auth.refresh(request).await;
    assert_eq!(refreshed.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(
        world.auth.logout(&identity).await.unwrap_err().code,
        ErrorCode::NotFound
    );
    let issued = world.auth.issue(&user("ana"), 1_000).await;
    assert_eq!(issued.unwrap_err().code, ErrorCode::NotFound);

    world.auth.disable(&user("ana")).await.unwrap();
    let told = Envelope::UserRevoked {
        user_id: user("ana"),
    };
    assert_eq!(world.told(), [told]);
    assert_eq!(world.refusal(&forge.good()).await, ErrorCode::Unauthorized);
    world.auth.enable(&user("ana")).await.unwrap();
    assert!(world.auth.verify(&forge.good()).await.is_ok());
}
