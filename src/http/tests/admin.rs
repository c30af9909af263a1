//! The admin API: its key, what each route asks, and what is written down.

use std::sync::{Arc, Mutex};

use actix_web::web;
use aws_lc_rs::digest::{SHA256, digest};
use parlor_actors::bucket::Rate;
use parlor_cluster::SystemClock;
use parlor_schema::{ErrorCode, SessionId, Timestamp, UserId, frame::Refusal, port::PortFuture};

use super::{
    super::{
        AccountChange, Admin, AdminDoor, AdminKey, ClusterAnswer, Disconnected, Draining,
        HttpState, IssuedAnswer, Listener, SessionAnswer, SessionsAnswer, StoreAnswer, UserAnswer,
        UsersAnswer,
    },
    support::{KEY, Server, plain, signed},
};
use crate::auth::RegisterRequest;

/// Wrong keys that one address may try.
const WRONG_PER_MINUTE: u32 = 5;

/// Remembers what was asked.
#[derive(Default)]
pub(super) struct FakeAdmin {
    asked: Mutex<Vec<String>>,
}

impl FakeAdmin {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn last(&self) -> String {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }
}

/// Makes a door that the same word opens as the token of `ana`, so that tests of the whole table need one only.
pub(super) fn door(admin: Arc<FakeAdmin>) -> AdminDoor {
    let key = digest(&SHA256, b"good").as_ref().try_into().unwrap();
    let wrong = Rate::per_minute(WRONG_PER_MINUTE);
    AdminDoor::new(AdminKey::new(key), admin, SystemClock::new(), wrong)
}

impl Admin for FakeAdmin {
    fn cluster(&self) -> ClusterAnswer {
        ClusterAnswer {
            node_id: "n1".parse().unwrap(),
            boot_id: KEY.parse().unwrap(),
            draining_ms: None,
            view_version: 3,
            view_frozen: false,
            nodes: Vec::new(),
            redis: None,
            store: StoreAnswer {
                backend: "embedded",
                up: true,
                answered_ago_ms: 0,
            },
            reasons: Vec::new(),
            troubles: Vec::new(),
        }
    }

    fn users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> PortFuture<'_, Result<UsersAnswer, Refusal>> {
        let after = after.map_or_else(|| "-".to_owned(), |user| user.to_string());
        self.note(format!("users {after} {limit}"));
        let user = UserAnswer {
            user_id: "ana".parse().unwrap(),
            name: None,
            created_at: Timestamp::from_millis(0),
            disabled_at: None,
        };
        Box::pin(async {
            Ok(UsersAnswer {
                users: vec![user],
                next: None,
            })
        })
    }

    fn add_user(&self, request: RegisterRequest) -> PortFuture<'_, Result<UserId, Refusal>> {
        self.note(format!("add {}", request.user_id));
        let taken = Refusal::new(ErrorCode::Conflict, "the user id is taken");
        Box::pin(async move {
            match request.user_id.as_str() {
                "taken" => Err(taken),
                user => Ok(user.parse().unwrap()),
            }
        })
    }

    fn sessions<'a>(&'a self, user: &'a UserId) -> PortFuture<'a, SessionsAnswer> {
        self.note(format!("sessions {user}"));
        let session = SessionAnswer {
            session_id: KEY.parse().unwrap(),
            node_id: "n2".parse().unwrap(),
            boot_id: KEY.parse().unwrap(),
            connected_at: Timestamp::from_millis(0),
            last_ping: Timestamp::from_millis(1_000),
        };
        Box::pin(async {
            SessionsAnswer {
                sessions: vec![session],
                complete: true,
            }
        })
    }

    fn disconnect<'a>(
        &'a self,
        user: &'a UserId,
        session: Option<SessionId>,
    ) -> PortFuture<'a, Result<Disconnected, Refusal>> {
        self.note(format!("disconnect {user} {}", session.is_some()));
        Box::pin(async move {
            match user.as_str() {
                "nobody" => Err(Refusal::not_found("session")),
                _ => Ok(Disconnected { sessions: 1 }),
            }
        })
    }

    fn change<'a>(
        &'a self,
        user: &'a UserId,
        change: AccountChange,
    ) -> PortFuture<'a, Result<(), Refusal>> {
        self.note(format!("{change:?} {user}"));
        Box::pin(async { Ok(()) })
    }

    fn issue<'a>(
        &'a self,
        user: &'a UserId,
        ttl_ms: u64,
    ) -> PortFuture<'a, Result<IssuedAnswer, Refusal>> {
        self.note(format!("token {user} {ttl_ms}"));
        Box::pin(async {
            Ok(IssuedAnswer {
                token: "fresh".into(),
                expires_at: Timestamp::from_millis(0),
            })
        })
    }

    fn drain(&self) -> Draining {
        self.note("drain".to_owned());
        Draining { drain_ms: 10_000 }
    }
}

#[actix_web::test]
async fn only_the_key_opens_it() {
    let server = Server::new(Listener::Whole);
    for header in [
        None,
        Some("good"),
        Some("Basic good"),
        Some("Bearer goo"),
        Some("Bearer goodd"),
    ] {
        let mut request = plain("POST", "/admin/v1/drain");
        if let Some(header) = header {
            request = request.insert_header(("Authorization", header));
        }
        let answer = server.send(request.to_request()).await;
        let unauthorized = (401, "unauthorized".into(), None);
        assert_eq!(answer.problem(), unauthorized, "{header:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert!(server.admin.asked.lock().unwrap().is_empty(), "AH-1");
}

#[actix_web::test]
async fn wrong_keys_are_limited_by_address_and_right_ones_are_not() {
    let server = Server::new(Listener::Whole);
    let from = |address: &str, key: &str| {
        plain("GET", "/admin/v1/cluster")
            .peer_addr(address.parse().unwrap())
            .insert_header(("Authorization", format!("Bearer {key}")))
            .to_request()
    };
    for _ in 0..3 * WRONG_PER_MINUTE {
        let answer = server.send(from("192.0.2.1:7", "good")).await;
        assert_eq!(answer.status, 200);
    }
    for _ in 0..WRONG_PER_MINUTE {
        let answer = server.send(from("192.0.2.1:7", "goo")).await;
        assert_eq!(answer.problem(), (401, "unauthorized".into(), None));
    }
    let answer = server.send(from("192.0.2.1:8", "goo")).await;
    assert_eq!(answer.problem(), (429, "rate_limited".into(), None));
    let wait = answer.json()["retry_after_ms"].as_u64().unwrap();
    assert!((1..=12_000).contains(&wait), "{wait}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert_eq!(seconds, wait.div_ceil(1000));
    let answer = server.send(from("192.0.2.2:7", "goo")).await;
    assert_eq!(answer.status, 401, "another address");
    let answer = server.send(from("192.0.2.1:8", "good")).await;
    assert_eq!(answer.status, 200, "AH-3");
}

#[actix_web::test]
async fn without_a_key_there_is_no_such_path() {
    let server = Server::new(Listener::Whole).without_admin();
    for (method, path) in [("GET", "/admin/v1/cluster"), ("POST", "/admin/v1/drain")] {
        let answer = server.send(signed(method, path).to_request()).await;
        assert_eq!(answer.problem(), (404, "not_found".into(), None));
    }
}

#[actix_web::test]
async fn each_route_asks_what_it_says() {
    let server = Server::new(Listener::Whole);
    let session = format!("/admin/v1/users/ana/sessions/{KEY}");
    for (method, path, body, status, asked) in [
        ("POST", "/admin/v1/drain", "", 202, "drain"),
        ("GET", "/admin/v1/users", "", 200, "users - 100"),
        (
            "POST",
            "/admin/v1/users",
            r#"{"user_id":"ben","password":"right password"}"#,
            201,
            "add ben",
        ),
        (
            "GET",
            "/admin/v1/users/ana/sessions",
            "",
            200,
            "sessions ana",
        ),
        (
            "DELETE",
            "/admin/v1/users/ana/sessions",
            "",
            200,
            "disconnect ana false",
        ),
        ("DELETE", &session, "", 200, "disconnect ana true"),
        ("POST", "/admin/v1/users/ana/revoke", "", 204, "Revoke ana"),
        (
            "POST",
            "/admin/v1/users/ana/disable",
            "",
            204,
            "Disable ana",
        ),
        ("POST", "/admin/v1/users/ana/enable", "", 204, "Enable ana"),
        (
            "PUT",
            "/admin/v1/users/ana/password",
            r#"{"password":"right password"}"#,
            204,
            "Password(Secret(…)) ana",
        ),
        (
            "POST",
            "/admin/v1/users/ana/token",
            "",
            201,
            "token ana 3600000",
        ),
        (
            "POST",
            "/admin/v1/users/ana/token",
            r#"{"ttl_ms":5}"#,
            201,
            "token ana 5",
        ),
    ] {
        let answer = server.ask(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(server.admin.last(), asked);
    }
    let answer = server.ask("GET", "/admin/v1/cluster", "").await;
    assert_eq!(answer.json()["store"]["backend"], "embedded");
    let answer = server
        .ask("GET", "/admin/v1/users?after=ana&limit=9999", "")
        .await;
    assert_eq!(answer.json()["users"][0]["user_id"], "ana");
    assert_eq!(server.admin.last(), "users ana 1000");
}

#[actix_web::test]
async fn what_is_wrong_is_named() {
    let server = Server::new(Listener::Whole);
    let bad = |field: &str| (400, "bad_frame".to_owned(), Some(field.to_owned()));
    for (method, path, body, field) in [
        ("GET", "/admin/v1/users?limit=x", "", "limit"),
        ("GET", "/admin/v1/users?limit=0", "", "limit"),
        ("GET", "/admin/v1/users/a%20b/sessions", "", "user_id"),
        ("DELETE", "/admin/v1/users/ana/sessions/7", "", "session_id"),
        ("PUT", "/admin/v1/users/ana/password", "", "password"),
        (
            "POST",
            "/admin/v1/users/ana/token",
            r#"{"ttl_ms":"x"}"#,
            "ttl_ms",
        ),
    ] {
        let answer = server.ask(method, path, body).await;
        assert_eq!(answer.problem(), bad(field), "{path}");
    }
    let answer = server
        .ask("DELETE", "/admin/v1/users/nobody/sessions", "")
        .await;
    assert_eq!(answer.problem(), (404, "not_found".into(), None));
    let taken = r#"{"user_id":"taken","password":"right password"}"#;
    let answer = server.ask("POST", "/admin/v1/users", taken).await;
    assert_eq!(answer.problem(), (409, "conflict".into(), None));
}

#[actix_web::test]
async fn changes_are_counted_and_looks_are_not() {
    let server = Server::new(Listener::Whole);
    server.ask("GET", "/admin/v1/cluster", "").await;
    server.ask("POST", "/admin/v1/users/ana/revoke", "").await;
    let nobody = "/admin/v1/users/nobody/sessions";
    server.ask("DELETE", nobody, "").await;
    let text = server.metrics.encode();
    for line in [
        r#"parlor_admin_actions_total{action="revoke"} 1"#,
        r#"parlor_admin_actions_total{action="disconnect"} 0"#,
        r#"parlor_admin_actions_total{action="drain"} 0"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

impl Server {
    /// Takes the key out of the settings.
    fn without_admin(self) -> Self {
        let state = HttpState {
            front: self.front.clone(),
            accounts: self.accounts(),
            admin: None,
            metrics: self.metrics.clone(),
            settings: Arc::default(),
        };
        self.over(web::Data::new(state))
    }
}
