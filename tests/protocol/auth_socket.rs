//! Tokens during a connection: expiry, refreshing, and logins that end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Server};

/// Waits until the clock shows the next second or later, so that a token made then ends later.
async fn a_second_later(server: &Server, user: &str, expires_at: &Value) -> (String, Value) {
    let body = json!({ "user_id": user, "password": crate::support::PASSWORD });
    let later = async {
        loop {
            let answer = server
                .http("POST", "/v1/auth/login", &[], Some(body.clone()))
                .await;
            if answer.body["expires_at"].as_str() > expires_at.as_str() {
                let token = answer.body["token"].as_str().unwrap().to_owned();
                return (token, answer.body["expires_at"].clone());
            }
        }
    };
    tokio::time::timeout(crate::support::WITHIN, later)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_short_token_is_announced_at_once_and_closes_4401() {
    let server = Server::with(|settings| settings.auth.access_ttl_ms = 1_000);
    let mut ana = server.session("ana").await;
    let began = Instant::now();
    let expiring = ana.expect("auth.expiring").await;
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!(expiring, json!({ "expires_at": ana.welcome["expires_at"] }));
    assert_eq!(ana.closed().await, 4401);
    assert!(began.elapsed() < Duration::from_millis(3_500));
}

#[tokio::test]
async fn a_long_token_is_not_announced() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let frames = ana.rest().await;
    assert!(frames.is_empty(), "{frames:?}");
}

#[tokio::test]
async fn a_refresh_carries_the_session_on() {
    let server = Server::with(|settings| settings.auth.access_ttl_ms = 2_000);
    let mut ana = server.session("ana").await;
    let first_end = ana.welcome["expires_at"].clone();
    ana.expect("auth.expiring").await;
    let (token, later) = a_second_later(&server, "ana", &first_end).await;
    let ack = ana.ok("auth.refresh", json!({ "token": token })).await;
    assert_eq!(ack, json!({ "expires_at": later }));
    let again = ana.expect("auth.expiring").await;
    assert_eq!(again["expires_at"], later, "announced for the new token");
    assert_eq!(ana.closed().await, 4401);
    let now = server.http("GET", "/health/live", &[], None).await;
    assert_eq!(now.status, 200);
    // The socket outlived the first token: a new session's clock says so.
    let token = server.login("ana").await;
    let fresh = server.hello(&token, json!({})).await;
    assert!(fresh.welcome["server_time"].as_str() >= later.as_str());
}

#[tokio::test]
async fn a_bad_refresh_is_refused_and_the_session_stays() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let other = server.register("ben").await;
    for token in [other.as_str(), "nonsense"] {
        let error = ana.refused("auth.refresh", json!({ "token": token })).await;
        assert_eq!(error["code"], "unauthorized");
    }
    let error = ana.refused("auth.refresh", json!({})).await;
    assert_eq!(error["code"], "bad_frame");
    assert_eq!(error["field"], "token");
    assert_eq!(ana.ask("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn logout_closes_the_sockets_of_that_login_4403_within_a_second() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut one = server.hello(&token, json!({})).await;
    let mut two = server.hello(&token, json!({})).await;
    let elsewhere = server.login("ana").await;
    let mut other = server.hello(&elsewhere, json!({})).await;
    let began = Instant::now();
    let answer = server.call(&token, "POST", "/v1/auth/logout", None).await;
    assert_eq!(answer.status, 204);
    assert_eq!(one.closed().await, 4403);
    assert_eq!(two.closed().await, 4403);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(other.ask("ping", json!({})).await["type"], "pong");
    let mut again = Client::connect(server.addr).await;
    let code = again.code("hello", json!({ "token": token })).await;
    assert_eq!(code, "unauthorized");
    assert_eq!(again.closed().await, 4401);
    let error = other
        .refused("auth.refresh", json!({ "token": token }))
        .await;
    assert_eq!(error["code"], "unauthorized");
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_login() {
    let server = Server::start();
    let account = server.register_whole("ana").await;
    let mut ana = server
        .hello(account["token"].as_str().unwrap(), json!({}))
        .await;
    let body = json!({ "refresh_token": account["refresh_token"] });
    let refresh = || server.http("POST", "/v1/auth/refresh", &[], Some(body.clone()));
    let first = refresh().await;
    assert_eq!(first.status, 200);
    let token = first.body["token"].as_str().unwrap().to_owned();
    ana.ok("auth.refresh", json!({ "token": token })).await;
    assert_eq!(refresh().await.status, 401);
    assert_eq!(ana.closed().await, 4403);
}
