//! Account calls against a scripted HTTP server.

use parlor_client::{AccountError, Accounts, TokenError, TokenNeed, TokenSource};
use parlor_schema::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::Server;

/// Takes one request and answers it; returns the request.
async fn serve(server: &Server, status: &str, body: &str) -> String {
    let mut stream = server.accept_tcp().await;
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        request.push(stream.read_u8().await.unwrap());
    }
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

fn login(token: &str) -> String {
    format!(
        r#"{{"user_id":"ana","token":"{token}","refresh_token":"r-{token}","expires_at":"2026-01-01T00:00:00.000Z"}}"#
    )
}

#[tokio::test]
async fn a_login_is_renewed_by_its_refresh_token() {
    let server = Server::bind().await;
    let accounts = Accounts::new(format!("http://{}/", server.address())).unwrap();
    let ana = "ana".parse().unwrap();
    let (body, later) = (login("a"), login("b"));
    let (first, request) = tokio::join!(
        accounts.login(&ana, "long enough"),
        serve(&server, "200 OK", &body)
    );
    assert!(request.starts_with("POST /v1/auth/login "));
    assert!(request.ends_with(r#"{"user_id":"ana","password":"long enough"}"#));

    let mut tokens = accounts.tokens(first.unwrap());
    assert_eq!(tokens.token(TokenNeed::Connect).await, Ok("a".into()));
    let (renewed, request) = tokio::join!(
        tokens.token(TokenNeed::Expiring),
        serve(&server, "200 OK", &later)
    );
    assert_eq!(renewed, Ok("b".into()));
    assert!(request.starts_with("POST /v1/auth/refresh "));
    assert!(request.ends_with(r#"{"refresh_token":"r-a"}"#));
    assert_eq!(tokens.token(TokenNeed::Connect).await, Ok("b".into()));

    let problem = r#"{"code":"unauthorized","title":"Unauthorized","status":401}"#;
    let (ended, _) = tokio::join!(
        tokens.token(TokenNeed::Rejected),
        serve(&server, "401 Unauthorized", problem)
    );
    assert!(matches!(ended, Err(TokenError::Final(_))));
    let (away, _) = tokio::join!(
        tokens.token(TokenNeed::Rejected),
        serve(
            &server,
            "503 Service Unavailable",
            r#"{"code":"unavailable"}"#
        )
    );
    assert!(matches!(away, Err(TokenError::Temporary(_))));
}

#[tokio::test]
async fn a_refusal_carries_its_code() {
    let server = Server::bind().await;
    let accounts = Accounts::new(format!("http://{}", server.address())).unwrap();
    let ana = "ana".parse().unwrap();
    let problem = r#"{"code":"conflict","title":"Conflict","status":409,"detail":"taken"}"#;
    let (refused, request) = tokio::join!(
        accounts.register(&ana, "long enough"),
        serve(&server, "409 Conflict", problem)
    );
    assert!(request.starts_with("POST /v1/auth/register "));
    let Err(AccountError::Refused {
        status,
        code,
        detail,
        ..
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (status, code, detail.as_str()),
        (409, Some(ErrorCode::Conflict), "taken")
    );
}
