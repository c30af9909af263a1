//! Tests of the state machine: back-off, resume, close codes, tokens, retries.
#![allow(clippy::unwrap_used, reason = "tests")]

use parlor_schema::frame::{client::RoomOnly, hello::RoomsWord};
use serde_json::{Value, json, value::RawValue};

use super::*;

const ROOM: &str = "00000000-0000-7000-8000-000000000001";

fn settings() -> Settings {
    Settings {
        device: Device::default(),
        rooms: RoomsWanted::Word(RoomsWord::All),
        presence: None,
        positions: BTreeMap::new(),
        outbox: OutboxLimits {
            bound: 8,
            window: 1,
            refusals_max: u32::MAX,
        },
        requests_max: 4,
        attempts_max: None,
        wait_max: Duration::from_secs(30),
    }
}

/// A state with a clock, and a reader of its outputs.
struct Bench {
    state: State,
    now: Duration,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let state = State::new(settings, 42);
        let now = Duration::ZERO;
        Self { state, now }
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Output> {
        self.state.step(self.now, input);
        self.state.check_invariants();
        std::iter::from_fn(|| self.state.output()).collect()
    }

    fn frame(&mut self, kind: &str, msg_id: Option<&Value>, payload: &Value) -> Vec<Output> {
        let mut frame = json!({"type": kind, "payload": payload});
        if let Some(msg_id) = msg_id {
            frame["msg_id"] = msg_id.clone();
        }
        let text = frame.to_string();
        self.step(Input::Text(&text))
    }

    /// Goes on to the next deadline.
    fn wait(&mut self) -> (Duration, Vec<Output>) {
        let waited = self.state.deadline().unwrap() - self.now;
        self.now += waited;
        (waited, self.step(Input::Tick))
    }

    fn token(&mut self) -> Vec<Output> {
        self.step(Input::Token(Ok("t".into())))
    }

    /// From an open question for a token to the `hello` sent.
    fn hello(&mut self) -> Value {
        assert!(matches!(self.token()[..], [Output::Connect]));
        let outputs = self.step(Input::Connected);
        sent(&outputs).remove(0)
    }

    /// From an open question for a token to a live connection.
    fn go_live(&mut self, rooms: &Value) -> Vec<Output> {
        let hello = self.hello();
        self.welcome(&hello, rooms)
    }

    fn welcome(&mut self, hello: &Value, rooms: &Value) -> Vec<Output> {
        let payload = json!({
            "session_id": ROOM, "user_id": "ana", "device_id": "made-up", "node": "n1",
            "server_time": "2026-01-01T00:00:00.000Z", "heartbeat_ms": 25_000,
            "expires_at": "2026-01-01T01:00:00.000Z", "cursor": "c", "rooms": rooms,
            "limits": {"frame_bytes": 65_536, "body_bytes": 32_768, "history_limit": 200, "sends_per_s": 20, "burst": 40},
        });
        let outputs = self.frame("welcome", Some(&hello["msg_id"]), &payload);
        assert_eq!(self.state.phase(), PhaseName::Live);
        outputs
    }

    fn closed(&mut self, code: u16) -> Vec<Output> {
        let (code, reason) = (Some(code), String::new());
        self.step(Input::Closed { code, reason })
    }

    fn event(&mut self, seq: u64) -> Vec<Output> {
        let payload = json!({"room_id": ROOM, "seq": seq, "sender": "bo", "sent_at": "2026-01-01T00:00:00.000Z"});
        self.frame("message", Some(&json!(ROOM)), &payload)
    }

    fn append(&mut self, n: u8) -> Vec<Output> {
        let msg_id = MsgId::from([n; 16]);
        let text = json!({"type": "message.send", "msg_id": msg_id, "payload": {"room_id": ROOM, "body": {"text": "x"}}});
        let frame = RawValue::from_string(text.to_string()).unwrap();
        self.step(Input::Append(Entry { msg_id, frame }, Origin::Appended))
    }
}

fn live() -> Bench {
    let mut bench = Bench::new(settings());
    let begun = bench.step(Input::Start);
    assert!(matches!(begun[..], [Output::AskToken(TokenNeed::Connect)]));
    bench.go_live(&json!([]));
    bench
}

fn sent(outputs: &[Output]) -> Vec<Value> {
    let texts = outputs.iter().filter_map(|output| match output {
        Output::SendText(text) => serde_json::from_str(text).ok(),
        _ => None,
    });
    texts.collect()
}

fn notices(outputs: &[Output]) -> Vec<&Notice> {
    let notices = outputs.iter().filter_map(|output| match output {
        Output::Deliver(notice) => Some(notice),
        _ => None,
    });
    notices.collect()
}

fn asks(outputs: &[Output], need: TokenNeed) -> bool {
    let is = |output: &Output| matches!(output, Output::AskToken(asked) if *asked == need);
    outputs.iter().any(is)
}

#[test]
fn failed_attempts_wait_below_a_doubling_ceiling() {
    let mut bench = Bench::new(settings());
    bench.step(Input::Start);
    for attempt in 0..12_u32 {
        bench.token();
        let failure = ConnectFailure::Transport("refused".into());
        bench.step(Input::ConnectFailed(failure));
        let ceiling = Duration::from_millis((100 << attempt.min(20)).min(30_000));
        assert_eq!(bench.state.phase(), PhaseName::Backoff);
        let (waited, outputs) = bench.wait();
        assert!(waited <= ceiling, "{attempt}: {waited:?}");
        assert!(asks(&outputs, TokenNeed::Connect));
    }
    assert!(bench.state.stats().backoff_max > Duration::from_secs(1));
}

#[test]
fn attempts_can_be_limited() {
    let mut bench = Bench::new(Settings {
        attempts_max: Some(1),
        ..settings()
    });
    bench.step(Input::Start);
    bench.token();
    let failure = ConnectFailure::Transport("refused".into());
    bench.step(Input::ConnectFailed(failure));
    let expected = StopReason::Unreachable("refused".into());
    assert_eq!(bench.state.stop_reason(), Some(&expected));
}

#[test]
fn an_attempt_takes_ten_seconds_at_most() {
    let mut bench = Bench::new(settings());
    bench.step(Input::Start);
    bench.token();
    let (waited, outputs) = bench.wait();
    assert_eq!(waited, CONNECT_WITHIN);
    assert!(matches!(outputs[..], [Output::DropSocket]));
    bench.wait();
    bench.hello();
    let (waited, outputs) = bench.wait();
    assert_eq!(waited, CONNECT_WITHIN);
    assert!(matches!(outputs[0], Output::DropSocket));
    assert_eq!(bench.state.phase(), PhaseName::Backoff);
}

#[test]
fn close_codes_decide() {
    for code in [1000, 1001, 1006, 1011, 4500, 4501, 4502, 4503, 4504] {
        let mut bench = live();
        let outputs = bench.closed(code);
        assert!(
            matches!(notices(&outputs)[..], [Notice::Disconnected { code: Some(c), .. }] if *c == code)
        );
        assert_eq!(bench.state.phase(), PhaseName::Backoff, "{code}");
    }
    for code in [4400, 4403, 4408, 4413, 4429, 4499] {
        let mut bench = live();
        let outputs = bench.closed(code);
        assert!(
            matches!(notices(&outputs)[..], [_, Notice::Stopped(StopReason::Closed { code: c, .. })] if *c == code)
        );
        assert!(bench.step(Input::Start).is_empty());
    }
}

#[test]
fn an_overloaded_server_says_how_long_to_wait() {
    let mut bench = live();
    let reason = "overloaded retry_after_ms=7000".into();
    let code = Some(4504);
    bench.step(Input::Closed { code, reason });
    assert!(bench.wait().0 >= Duration::from_secs(7));
}

#[test]
fn a_refused_token_is_renewed_once() {
    let mut bench = live();
    assert!(asks(&bench.closed(4401), TokenNeed::Rejected));
    let hello = bench.hello();
    let refusal = json!({"code": "unauthorized", "message": "no"});
    bench.frame("error", Some(&hello["msg_id"]), &refusal);
    bench.closed(4401);
    assert_eq!(bench.state.stop_reason(), Some(&StopReason::Unauthorized));

    let mut bench = live();
    bench.closed(4401);
    bench.go_live(&json!([]));
    assert!(asks(&bench.closed(4401), TokenNeed::Rejected));
    let never = TokenError::Final("none".into());
    bench.step(Input::Token(Err(never)));
    assert_eq!(bench.state.stop_reason(), Some(&StopReason::Unauthorized));
}

#[test]
fn a_source_that_is_away_is_asked_again_for_the_same() {
    let mut bench = live();
    bench.closed(4401);
    let later = TokenError::Temporary("away".into());
    bench.step(Input::Token(Err(later)));
    assert!(asks(&bench.wait().1, TokenNeed::Rejected));
}

#[test]
fn an_expiring_token_is_renewed_on_the_connection() {
    let mut bench = live();
    let expiring = json!({"expires_at": "2026-01-01T01:00:00.000Z"});
    let outputs = bench.frame("auth.expiring", None, &expiring);
    assert!(asks(&outputs, TokenNeed::Expiring));
    let outputs = bench.step(Input::Token(Ok("fresh".into())));
    let frame = &sent(&outputs)[0];
    assert_eq!(frame["type"], "auth.refresh");
    assert_eq!(frame["payload"]["token"], "fresh");

    // Lost while the source is asked: its one answer serves the next connection.
    bench.frame("auth.expiring", None, &expiring);
    bench.closed(4500);
    assert!(!asks(&bench.wait().1, TokenNeed::Connect));
    let hello = bench.hello();
    assert_eq!(hello["payload"]["token"], "t");
}

#[test]
fn hello_resumes_from_what_was_received() {
    let mut bench = live();
    let first = bench.event(8);
    assert!(matches!(notices(&first)[..], [Notice::Event(_)]));
    bench.event(9);
    assert!(notices(&bench.event(9)).is_empty());
    bench.event(12);
    let stats = bench.state.stats();
    assert_eq!(
        (stats.events, stats.duplicates, stats.order_errors),
        (3, 1, 1)
    );
    bench.closed(4500);
    bench.wait();
    let hello = bench.hello();
    assert_eq!(hello["payload"]["resume"], json!({"rooms": {ROOM: 12}}));
    assert_eq!(hello["payload"]["rooms"], "all");
    assert_eq!(hello["payload"]["device"]["id"], "made-up");
}

#[test]
fn gaps_move_on_and_resets_go_back() {
    let mut bench = live();
    bench.event(5);
    let gap = json!({"room_id": ROOM, "from": 6, "to": 9, "head": 10});
    assert!(matches!(
        notices(&bench.frame("gap", None, &gap))[..],
        [Notice::Gap(_)]
    ));
    bench.event(10);
    let reset = json!({"room_id": ROOM, "from": 1, "to": 3, "head": 3, "reset": true});
    bench.frame("gap", None, &reset);
    bench.event(4);
    let stats = bench.state.stats();
    assert_eq!(
        (stats.order_errors, stats.gaps, stats.duplicates),
        (0, 2, 0)
    );
    let room = ROOM.parse().unwrap();
    assert_eq!(bench.state.positions().all()[&room], Seq::new(4));
    let removed = json!({"room_id": ROOM, "reason": "removed"});
    bench.frame("room.removed", None, &removed);
    assert!(bench.state.positions().all().is_empty());
}

#[test]
fn a_room_begins_at_the_head_its_welcome_names() {
    let mut bench = Bench::new(settings());
    bench.step(Input::Start);
    let room = json!({
        "room_id": ROOM, "kind": "group", "public": false, "created_at": "2026-01-01T00:00:00.000Z", "head": 7,
        "role": "member", "read": 0, "delivered": 0, "unread": 7, "mentions": 0, "mode": "active",
    });
    bench.go_live(&json!([room]));
    bench.event(9);
    assert_eq!(bench.state.stats().order_errors, 1);
}

#[test]
fn rooms_beyond_the_hello_are_resumed_by_subscribing() {
    let ids = (0..=RESUME_MAX).map(|n| RoomId::from((n as u128).to_be_bytes()));
    let mut bench = Bench::new(Settings {
        positions: ids.map(|id| (id, Seq::new(3))).collect(),
        ..settings()
    });
    bench.step(Input::Start);
    let hello = bench.hello();
    let resumed = hello["payload"]["resume"]["rooms"].as_object().unwrap();
    assert_eq!(resumed.len(), RESUME_MAX);
    assert!(hello.to_string().len() < 65_536);
    let outputs = bench.welcome(&hello, &json!([]));
    let frame = &sent(&outputs)[0];
    assert_eq!(frame["type"], "room.subscribe");
    assert_eq!(frame["payload"]["after"], 3);
}

#[test]
fn the_outbox_goes_out_again_with_the_same_ids() {
    let mut bench = Bench::new(settings());
    bench.append(1);
    bench.append(2);
    bench.step(Input::Start);
    let first = sent(&bench.go_live(&json!([])));
    assert_eq!(first.len(), 1);
    bench.closed(4502);
    bench.wait();
    let again = sent(&bench.go_live(&json!([])));
    assert_eq!(first, again);
    let refusal = json!({"code": "unknown_outcome", "message": "?", "retry_after_ms": 300});
    assert!(sent(&bench.frame("error", Some(&first[0]["msg_id"]), &refusal)).is_empty());
    let (waited, outputs) = bench.wait();
    assert_eq!(waited, Duration::from_millis(300));
    assert_eq!(sent(&outputs), first);
    let ack = json!({"room_id": ROOM, "seq": 1});
    let outputs = bench.frame("ack", Some(&first[0]["msg_id"]), &ack);
    assert!(matches!(outputs[0], Output::Answer(_, Ok(_))));
    assert_eq!(sent(&outputs)[0]["msg_id"], json!(MsgId::from([2; 16])));
    let stats = bench.state.stats();
    assert_eq!(
        (stats.sent, stats.resent, stats.acked, stats.refused),
        (2, 2, 1, 1)
    );
}

#[test]
fn requests_die_with_their_connection_and_entries_do_not() {
    let mut bench = live();
    let msg_id = MsgId::from([9; 16]);
    let frame = ClientFrame::RoomGet(RoomOnly {
        room_id: ROOM.parse().unwrap(),
    });
    assert_eq!(sent(&bench.step(Input::Request(msg_id, &frame))).len(), 1);
    bench.append(1);
    let outputs = bench.step(Input::Abort);
    let answers: Vec<_> = outputs
        .iter()
        .filter(|output| matches!(output, Output::Answer(..)))
        .collect();
    assert!(
        matches!(answers[..], [Output::Answer(id, Err(RequestError::Disconnected))] if *id == msg_id)
    );
    let outputs = bench.step(Input::Request(msg_id, &frame));
    assert!(matches!(
        outputs[..],
        [Output::Answer(_, Err(RequestError::Disconnected))]
    ));
    let outputs = bench.step(Input::Stop);
    assert!(
        outputs
            .iter()
            .any(|o| matches!(o, Output::Answer(_, Err(RequestError::Stopped(_)))))
    );
    assert_eq!(bench.state.outbox().len(), 1);
}

#[test]
fn silence_is_death_unless_the_client_does_not_read() {
    let mut bench = live();
    assert_eq!(bench.state.deadline(), Some(Duration::from_millis(62_500)));
    bench.now = Duration::from_secs(60);
    bench.step(Input::Alive);
    bench.step(Input::Paused);
    assert_eq!(bench.state.deadline(), None);
    bench.now = Duration::from_secs(600);
    bench.step(Input::Resumed);
    let (waited, outputs) = bench.wait();
    assert_eq!(waited, Duration::from_millis(62_500));
    assert!(matches!(outputs[0], Output::DropSocket));
    assert_eq!(bench.state.phase(), PhaseName::Backoff);
}

#[test]
fn a_draining_node_is_left_at_its_moment() {
    let mut bench = live();
    let goaway = json!({"reason": "drain", "reconnect_in_ms": 1500, "close_in_ms": 9000});
    bench.frame("goaway", None, &goaway);
    let (waited, outputs) = bench.wait();
    assert_eq!(waited, Duration::from_millis(1500));
    assert!(matches!(outputs[0], Output::CloseSocket));
    assert!(asks(&outputs, TokenNeed::Connect));
}
