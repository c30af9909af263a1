//! A behaviour and accounts that answer from a table, and asking the application.

use std::{
    net::IpAddr,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use actix_http::Request;
use actix_web::{
    App,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    test::{self, TestRequest},
    web,
};
use parlor_actors::metrics::Metrics;
use parlor_schema::{
    ErrorCode, LoginId, MsgId, Role, RoomId, Seq, Timestamp, UserId,
    frame::{
        Ack, ClientFrame, Refusal,
        ack::{CreatedAck, Duplicate, PresenceAck, RoomAck, SentAck, SeqAck},
        client::Caller,
    },
    port::PortFuture,
    room::Room,
};
use serde_json::Value;
use uuid::Uuid;

use super::super::{Accounts, Front, HttpState, Listener, configure};
use super::admin::{self, FakeAdmin};
use crate::auth::{Identity, LoginRequest, RefreshRequest, RegisterRequest, TokenAnswer};

pub(super) const ROOM: &str = "0191f0c2-0000-7000-8000-0000000000cd";
pub(super) const KEY: &str = "0191f0c2-0000-7000-8000-0000000000ab";

/// One frame that was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) msg_id: Option<MsgId>,
    pub(super) frame: ClientFrame,
}

/// Remembers what was asked, and answers what the test put there.
#[derive(Default)]
pub(super) struct FakeFront {
    pub(super) asked: Mutex<Vec<Asked>>,
    pub(super) refuse: Mutex<Option<Refusal>>,
    pub(super) duplicate: Mutex<Duplicate>,
    pub(super) role: Mutex<Option<Role>>,
    pub(super) reasons: Mutex<Vec<String>>,
    /// How often the metrics were brought up to date.
    pub(super) refreshed: AtomicUsize,
}

pub(super) fn seq(number: u64) -> Seq {
    serde_json::from_value(number.into()).unwrap()
}

pub(super) fn room() -> Room {
    serde_json::from_value(serde_json::json!({
        "room_id": ROOM, "kind": "group", "public": false, "created_at": "2026-01-01T00:00:00.000Z", "head": 7,
    }))
    .unwrap()
}

impl Front for FakeFront {
    fn ask(
        &self,
        caller: Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
    ) -> PortFuture<'_, Result<Ack, Refusal>> {
        let duplicate = *self.duplicate.lock().unwrap();
        let ack = match &frame {
            ClientFrame::RoomCreate(_) => Ack::Created(CreatedAck {
                room: room(),
                duplicate,
            }),
            ClientFrame::RoomGet(_) => Ack::Room(RoomAck { room: room() }),
            ClientFrame::MessageSend(send) => Ack::Sent(SentAck {
                room_id: send.room_id,
                seq: seq(8),
                id: KEY.parse().unwrap(),
                sent_at: Timestamp::from_millis(0),
                duplicate,
            }),
            ClientFrame::ReceiptDelivered(receipt) | ClientFrame::ReceiptRead(receipt) => {
                Ack::seq(receipt.seq)
            }
            ClientFrame::PresenceWatch(_) => Ack::Presence(PresenceAck { presence: vec![] }),
            frame if frame.needs_msg_id() => Ack::Seq(SeqAck {
                seq: seq(9),
                duplicate,
            }),
            _ => Ack::empty(),
        };
        self.asked.lock().unwrap().push(Asked {
            caller,
            msg_id,
            frame,
        });
        let answer = self.refuse.lock().unwrap().clone().map_or(Ok(ack), Err);
        Box::pin(async { answer })
    }

    fn member_role(
        &self,
        _: Caller,
        _: RoomId,
        _: UserId,
    ) -> PortFuture<'_, Result<Option<Role>, Refusal>> {
        let role = *self.role.lock().unwrap();
        Box::pin(async move { Ok(role) })
    }

    fn readiness(&self) -> Vec<String> {
        self.reasons.lock().unwrap().clone()
    }

    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }

    fn refresh_metrics(&self) {
        self.refreshed.fetch_add(1, Relaxed);
    }
}

/// Knows one token, `good`, of `ana`.
struct FakeAccounts;

fn tokens() -> TokenAnswer {
    TokenAnswer {
        user_id: "ana".parse().unwrap(),
        token: "good".into(),
        refresh_token: "again".into(),
        expires_at: Timestamp::from_millis(0),
    }
}

impl Accounts for FakeAccounts {
    fn verify<'a>(&'a self, token: &'a str) -> PortFuture<'a, Result<Identity, Refusal>> {
        Box::pin(async move {
            if token != "good" {
                return Err(Refusal::new(
                    ErrorCode::Unauthorized,
                    "the token does not hold",
                ));
            }
            Ok(Identity {
                user_id: "ana".parse().unwrap(),
                login_id: Some(LoginId::new(Uuid::from_u128(1))),
                expires_at: Timestamp::from_millis(0),
            })
        })
    }

    fn register(
        &self,
        request: RegisterRequest,
        _: IpAddr,
    ) -> PortFuture<'_, Result<TokenAnswer, Refusal>> {
        Box::pin(async move {
            match request.user_id.as_str() {
                "taken" => Err(Refusal::new(ErrorCode::Conflict, "taken")),
                _ => Ok(tokens()),
            }
        })
    }

    fn login(
        &self,
        request: LoginRequest,
        peer: IpAddr,
    ) -> PortFuture<'_, Result<TokenAnswer, Refusal>> {
        Box::pin(async move {
            assert!(peer.is_ipv4());
            match request.password.expose() {
                "right password" => Ok(tokens()),
                "too often" => Err(Refusal::rate_limited(1_500)),
                _ => Err(Refusal::new(
                    ErrorCode::Unauthorized,
                    "wrong user or password",
                )),
            }
        })
    }

    fn refresh(&self, _: RefreshRequest) -> PortFuture<'_, Result<TokenAnswer, Refusal>> {
        Box::pin(async { Ok(tokens()) })
    }

    fn logout<'a>(&'a self, identity: &'a Identity) -> PortFuture<'a, Result<(), Refusal>> {
        Box::pin(async {
            assert!(identity.login_id.is_some());
            Ok(())
        })
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem document, and returns its code and field.
    pub(super) fn problem(&self) -> (u16, String, Option<String>) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["status"], self.status.as_u16());
        assert!(json["title"].is_string() && json["detail"].is_string());
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        (self.status.as_u16(), text("code").unwrap(), text("field"))
    }
}

/// The application, its behaviour and its counts.
pub(super) struct Server {
    pub(super) front: Arc<FakeFront>,
    pub(super) admin: Arc<FakeAdmin>,
    pub(super) metrics: Arc<Metrics>,
    state: web::Data<HttpState>,
    listener: Listener,
}

impl Server {
    pub(super) fn new(listener: Listener) -> Self {
        let front = Arc::new(FakeFront::default());
        let (metrics, admin) = (Metrics::new(), Arc::default());
        let state = web::Data::new(HttpState {
            front: Arc::clone(&front) as Arc<dyn Front>,
            accounts: Arc::new(FakeAccounts),
            admin: Some(admin::door(Arc::clone(&admin))),
            metrics: Arc::clone(&metrics),
            settings: Arc::default(),
        });
        Self {
            front,
            admin,
            metrics,
            state,
            listener,
        }
    }

    /// Returns accounts as the server has them.
    pub(super) fn accounts(&self) -> Arc<dyn Accounts> {
        Arc::clone(&self.state.accounts)
    }

    /// Serves another state.
    pub(super) fn over(self, state: web::Data<HttpState>) -> Self {
        Self { state, ..self }
    }

    /// Sends a request, as it is.
    pub(super) async fn send(&self, request: Request) -> Answer {
        let app = test::init_service(
            App::new().configure(|cfg| configure(cfg, &self.state, self.listener)),
        )
        .await;
        answer(app.call(request).await.unwrap()).await
    }

    /// Asks with the good token.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(
            signed(method, path)
                .set_payload(body.to_owned())
                .to_request(),
        )
        .await
    }

    pub(super) fn last(&self) -> Asked {
        self.front.asked.lock().unwrap().last().unwrap().clone()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.front
            .asked
            .lock()
            .unwrap()
            .iter()
            .map(|asked| asked.frame.kind())
            .collect()
    }
}

async fn answer(response: ServiceResponse<impl MessageBody>) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = test::read_body(response).await.to_vec();
    Answer {
        status,
        headers,
        bytes,
    }
}

pub(super) fn plain(method: &str, path: &str) -> TestRequest {
    TestRequest::with_uri(path).method(Method::from_str(method).unwrap())
}

pub(super) fn signed(method: &str, path: &str) -> TestRequest {
    plain(method, path).insert_header(("Authorization", "Bearer good"))
}
