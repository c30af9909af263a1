//! The client against a scripted server over real sockets: reconnects, cuts, tokens, back-pressure.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "socket/accounts.rs"]
mod accounts;
#[path = "socket/server.rs"]
mod server;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use parlor_client::{
    Client, ClientBuilder, Notice, PhaseName, RequestError, StopReason, TokenError, TokenNeed,
    TokenSource,
};
use parlor_schema::{
    RoomId, Seq,
    frame::{
        ClientFrame,
        ack::SentAck,
        body::MessageBody,
        client::{Empty, RoomOnly},
    },
};
use serde_json::{Value, json};
use server::{ROOM, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

fn room() -> RoomId {
    ROOM.parse().unwrap()
}

fn builder(server: &Server) -> ClientBuilder {
    ClientBuilder::new(server.url())
        .token("t")
        .device_name("test")
}

/// Takes notices up to the next event.
async fn next_seq(client: &Client) -> u64 {
    loop {
        match client.next().await.unwrap() {
            Notice::Event(event) => return event.seq.get(),
            _ => continue,
        }
    }
}

/// Takes notices up to the last one.
async fn stop_reason(client: &Client) -> StopReason {
    loop {
        match client.next().await.unwrap() {
            Notice::Stopped(reason) => return reason,
            _ => continue,
        }
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_goes_out_again_with_the_same_msg_id() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let pending = client.send(room(), MessageBody::text("hi"));
    let msg_id = json!(pending.msg_id());

    let (mut peer, hello) = server.greet().await;
    assert_eq!(hello["payload"]["token"], "t");
    assert_eq!(hello["payload"]["device"]["name"], "test");
    let first = peer.read().await.unwrap();
    assert_eq!(first["msg_id"], msg_id);
    // The transport fails between the append and its ack.
    drop(peer);

    let (mut peer, _) = server.greet().await;
    let again = peer.read().await.unwrap();
    assert_eq!(first, again);
    peer.ack_sent(&again["msg_id"], 5).await;
    let ack: SentAck = pending.await.unwrap();
    assert_eq!(ack.seq, Seq::new(5));
    let stats = client.stats();
    assert_eq!((stats.sent, stats.resent, stats.acked), (1, 1, 1));
    assert!(client.outbox().is_empty());
}

#[tokio::test]
async fn a_cut_connection_resumes_after_the_last_event() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let (mut peer, hello) = server.greet().await;
    assert!(hello["payload"].get("resume").is_none());
    peer.event(1, "a").await;
    peer.event(2, "b").await;
    assert_eq!(next_seq(&client).await, 1);
    assert_eq!(next_seq(&client).await, 2);
    client.abort_connection();
    // Cut, not closed: no close frame comes.
    let end = peer.socket.next().await;
    assert!(!matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");

    let (mut peer, hello) = server.greet().await;
    assert_eq!(hello["payload"]["resume"]["rooms"], json!({ROOM: 2}));
    peer.event(2, "b").await;
    peer.event(3, "c").await;
    assert_eq!(next_seq(&client).await, 3);
    assert_eq!(client.stats().duplicates, 1);
    assert_eq!(client.stats().order_errors, 0);
    assert_eq!(client.positions(), [(room(), Seq::new(3))].into());
}

#[tokio::test]
async fn a_restored_client_goes_on_where_the_last_one_was() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let pending = client.send(room(), MessageBody::text("kept"));
    let (mut peer, _) = server.greet().await;
    peer.event(7, "a").await;
    assert_eq!(next_seq(&client).await, 7);
    let (positions, outbox) = (client.positions(), client.outbox());
    client.close().await;
    assert!(matches!(pending.await, Err(RequestError::Stopped(_))));

    let text = serde_json::to_string(&outbox).unwrap();
    let client = builder(&server)
        .positions(positions)
        .restore_outbox(serde_json::from_str(&text).unwrap())
        .start()
        .unwrap();
    let (mut peer, hello) = server.greet().await;
    assert_eq!(hello["payload"]["resume"]["rooms"], json!({ROOM: 7}));
    let sent = peer.read().await.unwrap();
    peer.ack_sent(&sent["msg_id"], 8).await;
    let settled = loop {
        if let Notice::Settled { msg_id, answer } = client.next().await.unwrap() {
            break (json!(msg_id), answer.is_ok());
        }
    };
    assert_eq!(settled, (sent["msg_id"].clone(), true));
}

/// Numbers its tokens and notes why they were asked for.
struct Numbered(Arc<Mutex<Vec<TokenNeed>>>);

impl TokenSource for Numbered {
    fn token(&mut self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>> {
        let mut asked = self.0.lock().unwrap();
        asked.push(need);
        let token = format!("t{}", asked.len());
        Box::pin(std::future::ready(Ok(token)))
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_the_client_stops() {
    let server = Server::bind().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let client = builder(&server)
        .token_source(Numbered(Arc::clone(&asked)))
        .start()
        .unwrap();
    for token in ["t1", "t2"] {
        let (mut peer, hello) = server.accept().await;
        assert_eq!(hello["payload"]["token"], token);
        let refusal = json!({"code": "unauthorized", "message": "no"});
        peer.send("error", &hello["msg_id"], refusal).await;
        peer.close(4401).await;
    }
    assert_eq!(stop_reason(&client).await, StopReason::Unauthorized);
    assert!(client.next().await.is_none());
    assert_eq!(client.wait_live().await, Err(StopReason::Unauthorized));
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked, [TokenNeed::Connect, TokenNeed::Rejected]);
    // A stopped client still answers.
    let late = client.send(room(), MessageBody::text("late")).await;
    assert!(matches!(
        late,
        Err(RequestError::Stopped(StopReason::Unauthorized))
    ));
}

#[tokio::test]
async fn a_code_that_says_stop_stops_and_one_that_says_come_back_does_not() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let (peer, _) = server.greet().await;
    peer.close(4501).await;
    let (peer, _) = server.greet().await;
    peer.close(4403).await;
    let reason = stop_reason(&client).await;
    assert!(
        matches!(reason, StopReason::Closed { code: 4403, .. }),
        "{reason:?}"
    );
    assert_eq!(client.phase(), PhaseName::Stopped);
}

#[tokio::test]
async fn an_upgrade_that_is_refused_stops() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let mut stream = server.accept_tcp().await;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    assert_eq!(stop_reason(&client).await, StopReason::Refused(403));
}

#[tokio::test]
async fn requests_are_answered_or_fail_with_their_connection() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let ping = client.request::<Value>(ClientFrame::Ping(Empty {}));
    let (mut peer, _) = server.greet().await;
    let asked = peer.read().await.unwrap();
    peer.send("pong", &asked["msg_id"], json!({})).await;
    assert_eq!(ping.await, Ok(json!({})));

    let get = ClientFrame::RoomGet(RoomOnly { room_id: room() });
    let refused = client.request::<Value>(get.clone());
    let asked = peer.read().await.unwrap();
    let refusal = json!({"code": "not_found", "message": "no such room"});
    peer.send("error", &asked["msg_id"], refusal).await;
    assert!(matches!(refused.await, Err(RequestError::Refused(_))));

    let lost = client.request::<Value>(get);
    peer.read().await.unwrap();
    drop(peer);
    assert_eq!(lost.await, Err(RequestError::Disconnected));
}

#[tokio::test]
async fn a_client_that_takes_no_notices_stops_reading_but_still_writes() {
    const EVENTS: u64 = 1000;
    const BOUND: u64 = 4;
    let server = Server::bind().await;
    let client = builder(&server).notices_bound(4).start().unwrap();
    let (peer, _) = server.greet().await;
    let (mut writer, mut reader) = peer.socket.split();
    let mut sending = tokio::spawn(async move {
        // More than the buffers of two sockets hold.
        let text = "x".repeat(64 * 1024);
        for seq in 1..=EVENTS {
            let payload = server::event(seq, &text);
            let frame = json!({"type": "message", "msg_id": ROOM, "payload": payload});
            writer.send(Message::text(frame.to_string())).await.unwrap();
        }
        writer
    });
    let stalled = timeout(Duration::from_millis(500), &mut sending).await;
    assert!(stalled.is_err(), "the server could write everything");
    // The channel, one batch beyond it, and nothing else.
    let events = client.stats().events;
    assert!(events <= BOUND + 64, "{events}");

    let pending = client.send(room(), MessageBody::text("out"));
    let sent = timeout(Duration::from_secs(20), reader.next())
        .await
        .unwrap();
    let Some(Ok(Message::Text(sent))) = sent else {
        panic!("nothing was sent: {sent:?}")
    };
    assert!(sent.contains(&pending.msg_id().to_string()));

    for seq in 1..=EVENTS {
        assert_eq!(next_seq(&client).await, seq);
    }
    assert_eq!(client.stats().order_errors, 0);
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn closing_and_dropping_say_goodbye() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let (mut peer, _) = server.greet().await;
    client.wait_live().await.unwrap();
    let (_, end) = tokio::join!(client.close(), peer.socket.next());
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");

    let client = builder(&server).start().unwrap();
    let (mut peer, _) = server.greet().await;
    client.wait_live().await.unwrap();
    drop(client);
    let end = peer.socket.next().await;
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
}

#[tokio::test]
async fn pings_are_answered() {
    let server = Server::bind().await;
    let client = builder(&server).start().unwrap();
    let (mut peer, _) = server.greet().await;
    peer.socket.send(Message::Ping("a".into())).await.unwrap();
    let answer = peer.socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::Pong("a".into()));
    drop(client);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_given_up_where_the_settings_say_so() {
    let server = Server::bind().await;
    let client = builder(&server).attempts_max(2).start().unwrap();
    drop(server);
    assert!(matches!(
        stop_reason(&client).await,
        StopReason::Unreachable(_)
    ));
    assert!(client.last_failure().is_some());
}

#[test]
fn futures_can_move_between_threads() {
    fn is_send<T: Send>(_: impl FnOnce(Client) -> T) {}
    is_send(|client| async move { client.next().await });
    is_send(|client| async move { client.close().await });
    is_send(|client| async move { client.send(room(), MessageBody::text("x")).await });
    is_send(|client| async move { client.request::<Value>(ClientFrame::Ping(Empty {})).await });
}
