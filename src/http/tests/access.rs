//! Tokens, devices, keys, bodies: what is checked before a frame is asked.

use std::time::Duration;

use actix_http::BoxedPayloadStream;
use actix_web::{dev::Payload, error::PayloadError, web::Bytes};
use parlor_schema::frame::Refusal;

use super::{
    super::{Listener, json},
    support::{KEY, ROOM, Server, plain, signed},
};

fn server() -> Server {
    Server::new(Listener::Whole)
}

#[actix_web::test]
async fn a_bearer_token_is_needed() {
    let server = server();
    for header in [
        None,
        Some("good"),
        Some("Basic good"),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer bad"),
    ] {
        let mut request = plain("GET", "/v1/rooms");
        if let Some(header) = header {
            request = request.insert_header(("Authorization", header));
        }
        let answer = server.send(request.to_request()).await;
        assert_eq!(
            answer.problem(),
            (401, "unauthorized".into(), None),
            "{header:?}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let request = plain("GET", "/v1/rooms").insert_header(("authorization", "bearer good"));
    assert_eq!(server.send(request.to_request()).await.status, 200);
}

#[actix_web::test]
async fn the_device_is_named_by_a_header() {
    let server = server();
    server.ask("GET", "/v1/rooms", "").await;
    assert_eq!(server.last().caller.device_id.as_str(), "http");
    let request = signed("GET", "/v1/rooms").insert_header(("Parlor-Device", "phone-1"));
    server.send(request.to_request()).await;
    assert_eq!(server.last().caller.device_id.as_str(), "phone-1");
    assert_eq!(server.last().caller.user_id.as_str(), "ana");
    let request = signed("GET", "/v1/rooms").insert_header(("Parlor-Device", "no device"));
    let answer = server.send(request.to_request()).await;
    assert_eq!(
        answer.problem(),
        (400, "bad_frame".into(), Some("Parlor-Device".into()))
    );
}

#[actix_web::test]
async fn a_key_is_a_uuid_with_or_without_quotes() {
    let server = server();
    let path = format!("/v1/rooms/{ROOM}/messages");
    let send = |key: &str| {
        signed("POST", &path)
            .insert_header(("Idempotency-Key", key))
            .set_payload(r#"{"body":{"text":"hi"}}"#)
            .to_request()
    };
    for key in [KEY.to_owned(), KEY.to_uppercase(), format!("\"{KEY}\"")] {
        assert_eq!(server.send(send(&key)).await.status, 201);
        assert_eq!(server.last().msg_id, Some(KEY.parse().unwrap()));
    }
    let answer = server.send(send("7")).await;
    assert_eq!(
        answer.problem(),
        (400, "bad_frame".into(), Some("Idempotency-Key".into()))
    );
    let answer = server.ask("POST", &path, r#"{"body":{"text":"hi"}}"#).await;
    assert_eq!(
        answer.problem(),
        (400, "bad_frame".into(), Some("Idempotency-Key".into()))
    );
}

#[actix_web::test]
async fn bodies_are_bounded() {
    let server = server();
    let long = format!(r#"{{"user_id":"{}","password":"x"}}"#, "x".repeat(65_536));
    let announced = plain("POST", "/v1/auth/login").set_payload(long.clone());
    let answer = server.send(announced.to_request()).await;
    assert_eq!(answer.problem(), (413, "too_large".into(), None));
    let lied = plain("POST", "/v1/auth/login")
        .set_payload(long)
        .insert_header(("content-length", "10"));
    assert_eq!(server.send(lied.to_request()).await.problem().0, 413);
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    tokio::time::pause();
    let server = server();
    let never = futures_util::stream::pending::<Result<Bytes, PayloadError>>();
    let request = plain("POST", "/v1/auth/login").to_request();
    let never: BoxedPayloadStream = Box::pin(never);
    let (request, _) = request.replace_payload(Payload::Stream { payload: never });
    let before = tokio::time::Instant::now();
    let answer = server.send(request).await;
    assert_eq!(answer.problem(), (408, "unavailable".into(), None));
    let waited = before.elapsed();
    assert!(waited >= json::BODY_WITHIN && waited < json::BODY_WITHIN + Duration::from_secs(1));
}

#[actix_web::test]
async fn bad_bodies_name_the_field() {
    let server = server();
    let bad = |field: Option<&str>| (400, "bad_frame".to_owned(), field.map(str::to_owned));
    let login = async |body: &str| server.ask("POST", "/v1/auth/login", body).await.problem();
    assert_eq!(login("{").await, bad(None));
    assert_eq!(login("[]").await, bad(None));
    assert_eq!(login("").await, bad(Some("user_id")));
    assert_eq!(login(r#"{"user_id":7}"#).await, bad(Some("user_id")));
    assert_eq!(login(r#"{"user_id":"ana"}"#).await, bad(Some("password")));
    let room = async |body: &str| server.ask("POST", "/v1/rooms", body).await.problem();
    assert_eq!(room("{}").await, bad(Some("kind")));
    assert_eq!(room(r#"{"kind":"club"}"#).await, bad(Some("kind")));
    let answer = server.ask("GET", "/v1/rooms/7", "").await;
    assert_eq!(answer.problem(), bad(Some("room_id")));
    let answer = server
        .ask("GET", &format!("/v1/rooms/{ROOM}/messages?before=x"), "")
        .await;
    assert_eq!(answer.problem(), bad(Some("before")));
    assert!(server.kinds().is_empty());
}

#[actix_web::test]
async fn accounts_answer_with_tokens() {
    let server = server();
    let register = |user: &str| format!(r#"{{"user_id":"{user}","password":"right password"}}"#);
    let answer = server
        .ask("POST", "/v1/auth/register", &register("ana"))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["refresh_token"], "again");
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = server
        .ask("POST", "/v1/auth/register", &register("taken"))
        .await;
    assert_eq!(answer.problem(), (409, "conflict".into(), None));
    assert_eq!(
        server
            .ask("POST", "/v1/auth/login", &register("ana"))
            .await
            .status,
        200
    );
    let wrong = r#"{"user_id":"ana","password":"wrong"}"#;
    assert_eq!(
        server
            .ask("POST", "/v1/auth/login", wrong)
            .await
            .problem()
            .0,
        401
    );
    let often = r#"{"user_id":"ana","password":"too often"}"#;
    let answer = server.ask("POST", "/v1/auth/login", often).await;
    assert_eq!(answer.problem(), (429, "rate_limited".into(), None));
    assert_eq!(answer.json()["retry_after_ms"], 1_500);
    assert_eq!(answer.header("retry-after"), "2", "rounded up");
    let refresh = r#"{"refresh_token":"again"}"#;
    assert_eq!(
        server.ask("POST", "/v1/auth/refresh", refresh).await.status,
        200
    );
    let answer = server.ask("POST", "/v1/auth/logout", "").await;
    assert_eq!((answer.status.as_u16(), answer.bytes.len()), (204, 0));
}

#[actix_web::test]
async fn answers_are_counted_once() {
    let server = server();
    server.ask("GET", &format!("/v1/rooms/{ROOM}"), "").await;
    *server.front.refuse.lock().unwrap() = Some(Refusal::not_found("room"));
    server.ask("GET", &format!("/v1/rooms/{ROOM}"), "").await;
    server.ask("GET", "/nowhere/1", "").await;
    server.ask("GET", "/nowhere/2", "").await;
    server.ask("BREW", "/v1/rooms", "").await;
    let text = server.metrics.encode();
    for line in [
        r#"parlor_requests_total{method="GET",route="/v1/rooms/{room_id}",status="200"} 1"#,
        r#"parlor_requests_total{method="GET",route="/v1/rooms/{room_id}",status="404"} 1"#,
        r#"parlor_requests_total{method="GET",route="none",status="404"} 2"#,
        r#"parlor_requests_total{method="other",route="/v1/rooms",status="405"} 1"#,
        r#"parlor_refusals_total{code="not_found"} 3"#,
        "parlor_frames_in_total 2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
