//! Accounts over HTTP: register, login, refresh, logout, and bearer tokens.

use std::time::{Duration, Instant};

use parlor_schema::Timestamp;
use serde_json::{Value, json};

use crate::support::{HttpAnswer, PASSWORD, Server};

async fn auth(server: &Server, call: &str, body: Value) -> HttpAnswer {
    let path = format!("/v1/auth/{call}");
    server.http("POST", &path, &[], Some(body)).await
}

async fn holds(server: &Server, token: &str) -> bool {
    let answer = server.call(token, "GET", "/v1/rooms", None).await;
    if answer.status == 401 {
        answer.problem(401, "unauthorized");
    }
    answer.status == 200
}

fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer[field].as_str().unwrap()
}

#[tokio::test]
async fn register_and_login_give_tokens() {
    let server = Server::start();
    let body = json!({ "user_id": "ana", "password": PASSWORD });
    let registered = auth(&server, "register", body.clone()).await;
    assert_eq!(registered.status, 201);
    let logged_in = auth(&server, "login", body).await;
    assert_eq!(logged_in.status, 200);
    for answer in [&registered.body, &logged_in.body] {
        assert_eq!(answer["user_id"], "ana");
        assert!(holds(&server, text(answer, "token")).await);
        assert!(!text(answer, "refresh_token").is_empty());
        let session = server.hello(text(answer, "token"), json!({})).await;
        assert_eq!(session.welcome["user_id"], "ana");
        assert_eq!(session.welcome["expires_at"], answer["expires_at"]);
        let now: Timestamp = text(&session.welcome, "server_time").parse().unwrap();
        let end: Timestamp = text(answer, "expires_at").parse().unwrap();
        let left = end.millis_since(now);
        // The end of a token is told in whole seconds.
        assert!((3_500_000..=3_601_000).contains(&left), "{left}");
    }
    assert_ne!(
        registered.body["refresh_token"],
        logged_in.body["refresh_token"]
    );
}

#[tokio::test]
async fn a_user_id_is_taken_once() {
    let server = Server::start();
    server.register("ana").await;
    let body = json!({ "user_id": "ana", "password": "another password" });
    let answer = auth(&server, "register", body.clone()).await;
    assert_eq!(answer.problem(409, "conflict")["field"], "user_id");
    auth(&server, "login", body)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_named() {
    let server = Server::start();
    for (body, field) in [
        (
            json!({ "user_id": "ana", "password": "seven77" }),
            "password",
        ),
        (
            json!({ "user_id": "ana", "password": "x".repeat(1025) }),
            "password",
        ),
        (json!({ "user_id": "ana" }), "password"),
        (
            json!({ "user_id": "ana", "password": 12_345_678 }),
            "password",
        ),
        (json!({ "password": PASSWORD }), "user_id"),
        (json!({ "user_id": "", "password": PASSWORD }), "user_id"),
        (json!({ "user_id": "a b", "password": PASSWORD }), "user_id"),
        (
            json!({ "user_id": "a".repeat(129), "password": PASSWORD }),
            "user_id",
        ),
        (
            json!({ "user_id": "ana", "password": PASSWORD, "name": "n".repeat(257) }),
            "name",
        ),
    ] {
        let answer = auth(&server, "register", body.clone()).await;
        assert_eq!(answer.problem(400, "bad_frame")["field"], field, "{body}");
    }
    for body in ["", "{", "[]", "7"] {
        let response = reqwest::Client::new()
            .post(server.url("/v1/auth/register"))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 400, "{body}");
    }
    // Bytes are counted, not characters; and both bounds are within.
    for (user, password) in [("a", "é".repeat(4)), ("A._:@-9", "x".repeat(1024))] {
        let body = json!({ "user_id": user, "password": password });
        assert_eq!(auth(&server, "register", body.clone()).await.status, 201);
        assert_eq!(auth(&server, "login", body).await.status, 200);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let server = Server::start();
    server.register("ana").await;
    let wrong = json!({ "user_id": "ana", "password": "wrong horse" });
    let unknown = json!({ "user_id": "nobody", "password": PASSWORD });
    let (wrong, unknown) = (
        auth(&server, "login", wrong).await,
        auth(&server, "login", unknown).await,
    );
    wrong.problem(401, "unauthorized");
    assert_eq!(wrong.text, unknown.text);
    assert_eq!(wrong.status, unknown.status);
}

#[tokio::test]
async fn only_a_good_bearer_token_comes_in() {
    let server = Server::start();
    let token = server.register("ana").await;
    let broken = format!("Bearer {}x", &token[..token.len() - 1]);
    for value in [
        "",
        "Basic YTpi",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        &broken,
        &token,
    ] {
        let headers = [("authorization", value)];
        let answer = server.http("GET", "/v1/rooms", &headers, None).await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{value}");
    }
    let answer = server.http("GET", "/v1/rooms", &[], None).await;
    answer.problem(401, "unauthorized");
    let path = format!("/v1/rooms?token={token}&access_token={token}");
    let answer = server.http("GET", &path, &[], None).await;
    answer.problem(401, "unauthorized");
    let value = format!("bearer {token}");
    let answer = server
        .http("GET", "/v1/rooms", &[("authorization", &value)], None)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_token_ends() {
    let server = Server::with(|settings| settings.auth.access_ttl_ms = 1_500);
    let token = server.register("ana").await;
    assert!(holds(&server, &token).await);
    tokio::time::sleep(Duration::from_millis(2_600)).await;
    assert!(!holds(&server, &token).await);
}

#[tokio::test]
async fn refreshing_spends_the_token() {
    let server = Server::start();
    let first = server.register_whole("ana").await;
    let refresh = |token: &Value| json!({ "refresh_token": token });
    let second = auth(&server, "refresh", refresh(&first["refresh_token"])).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.body["user_id"], "ana");
    assert_ne!(second.body["refresh_token"], first["refresh_token"]);
    assert!(holds(&server, text(&second.body, "token")).await);
    let third = auth(&server, "refresh", refresh(&second.body["refresh_token"])).await;
    assert_eq!(third.status, 200);
    let mut session = server.hello(text(&third.body, "token"), json!({})).await;
    // A spent one comes back: the login ends, for whoever holds the other.
    let reused = auth(&server, "refresh", refresh(&first["refresh_token"])).await;
    reused.problem(401, "unauthorized");
    assert_eq!(session.closed().await, 4403);
    let latest = auth(&server, "refresh", refresh(&third.body["refresh_token"])).await;
    latest.problem(401, "unauthorized");
    assert!(!holds(&server, text(&third.body, "token")).await);
    // Another login of the same user is another one.
    assert!(holds(&server, &server.login("ana").await).await);
}

#[tokio::test]
async fn a_refresh_token_must_be_one() {
    let server = Server::start();
    let token = server.register("ana").await;
    let answer = auth(&server, "refresh", json!({})).await;
    assert_eq!(answer.problem(400, "bad_frame")["field"], "refresh_token");
    for bad in ["", "x", &token] {
        let answer = auth(&server, "refresh", json!({ "refresh_token": bad })).await;
        answer.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn logging_out_ends_the_login() {
    let server = Server::start();
    let login = server.register_whole("ana").await;
    let (token, other) = (text(&login, "token"), server.login("ana").await);
    let mut phone = server.hello(token, json!({})).await;
    let mut tab = server.hello(token, json!({})).await;
    let mut elsewhere = server.hello(&other, json!({})).await;
    let answer = server.call(token, "POST", "/v1/auth/logout", None).await;
    let ended = Instant::now();
    assert_eq!(answer.status, 204);
    assert_eq!(answer.text, "");
    assert_eq!(phone.closed().await, 4403);
    assert_eq!(tab.closed().await, 4403);
    assert!(ended.elapsed() < Duration::from_secs(1));
    assert!(!holds(&server, token).await);
    let refresh = json!({ "refresh_token": login["refresh_token"] });
    auth(&server, "refresh", refresh)
        .await
        .problem(401, "unauthorized");
    let again = server.call(token, "POST", "/v1/auth/logout", None).await;
    again.problem(401, "unauthorized");
    assert!(holds(&server, &other).await);
    assert_eq!(elsewhere.ask("ping", json!({})).await["type"], "pong");
    let nobody = server.http("POST", "/v1/auth/logout", &[], None).await;
    nobody.problem(401, "unauthorized");
}

#[tokio::test]
async fn logins_and_registrations_are_limited_by_address() {
    let server = Server::with(|settings| {
        settings.limits.logins_per_minute = 2;
        settings.limits.registers_per_minute = 2;
    });
    for user in ["ana", "ben"] {
        server.register(user).await;
    }
    for call in ["register", "login"] {
        let body = json!({ "user_id": "cat", "password": PASSWORD });
        let mut answer = auth(&server, call, body.clone()).await;
        for _ in 0..2 {
            if answer.status != 429 {
                answer = auth(&server, call, body.clone()).await;
            }
        }
        let problem = answer.problem(429, "rate_limited");
        let wait = problem["retry_after_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&wait), "{wait}");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert_eq!(seconds, wait.div_ceil(1000));
    }
}
