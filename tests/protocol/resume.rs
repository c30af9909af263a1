//! Resuming: everything after the client's position, once, in order, and then live.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

fn at(room: &str, seq: u64) -> Value {
    json!({ "resume": { "rooms": { room: seq } } })
}

/// Reads until `live` of the room; answers the positions before it, and the one in it.
async fn until_live(client: &mut Client, room: &str) -> (Vec<u64>, u64) {
    let mut seqs = Vec::new();
    loop {
        let frame = client.next().await;
        let payload = &frame["payload"];
        if payload["room_id"] != room {
            continue;
        }
        assert_ne!(frame["type"], "gap", "{frame}");
        let seq = payload["seq"].as_u64().unwrap();
        if frame["type"] == "live" {
            return (seqs, seq);
        }
        seqs.push(seq);
    }
}

/// Reads events of the room up to `to`; answers their positions.
async fn up_to(client: &mut Client, room: &str, to: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.last() != Some(&to) {
        let frame = client.next().await;
        assert_ne!(frame["type"], "gap", "{frame}");
        if frame["payload"]["room_id"] == room && frame["payload"]["sender"].is_string() {
            seqs.push(frame["payload"]["seq"].as_u64().unwrap());
        }
    }
    seqs
}

#[tokio::test]
async fn what_was_missed_comes_in_order_and_then_live() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let room = ana.room(json!({})).await;
    for _ in 0..20 {
        ana.say(&room, "a").await;
    }
    let mut back = server.hello(&token, at(&room, 5)).await;
    let (seqs, live) = until_live(&mut back, &room).await;
    assert_eq!(seqs, (6..=21).collect::<Vec<_>>());
    assert_eq!(live, 21);
    ana.say(&room, "b").await;
    assert_eq!(back.expect("message").await["seq"], 22);
    assert_eq!(back.rest().await, Vec::<Value>::new(), "nothing twice");
}

#[tokio::test]
async fn live_comes_also_when_nothing_was_missing() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let room = ana.room(json!({})).await;
    let other = ana.room(json!({})).await;
    let mut back = server.hello(&token, at(&room, 1)).await;
    assert_eq!(
        back.rest().await,
        [json!({ "type": "live", "payload": { "room_id": room, "seq": 1 } })],
        "and none for a room without a position"
    );
    ana.say(&other, "a").await;
    assert_eq!(back.expect("message").await["room_id"], other.as_str());
}

#[tokio::test]
async fn a_position_subscribes_whatever_rooms_says() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let room = ana.room(json!({})).await;
    let other = ana.room(json!({})).await;
    for rooms in [json!("none"), json!([other])] {
        let resume = json!({ "rooms": { room.as_str(): 0 } });
        let mut back = server
            .hello(&token, json!({ "rooms": rooms, "resume": resume }))
            .await;
        let (seqs, live) = until_live(&mut back, &room).await;
        assert_eq!((seqs, live), (vec![1], 1), "0: from the first event");
    }
}

#[tokio::test]
async fn a_position_above_the_head_is_a_gap_with_reset() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let room = ana.room(json!({})).await;
    ana.say(&room, "a").await;
    let mut back = server.hello(&token, at(&room, 1_000)).await;
    assert_eq!(
        back.expect("gap").await,
        json!({ "room_id": room, "from": 1, "to": 2, "head": 2, "reset": true })
    );
    assert_eq!(back.expect("live").await["seq"], 2);
    ana.say(&room, "b").await;
    assert_eq!(back.expect("message").await["seq"], 3);
}

#[tokio::test]
async fn a_room_the_user_may_not_see_is_removed_not_member() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let room = ana.room(json!({})).await;
    let nowhere = Uuid::now_v7().to_string();
    let resume = json!({ "rooms": { room.as_str(): 0, nowhere.as_str(): 7 } });
    let mut ben = server.hello(&token, json!({ "resume": resume })).await;
    let mut removed: Vec<Value> = ben.rest().await;
    removed.sort_by_key(|frame| frame["payload"]["room_id"] != room.as_str());
    let frame = |room: &str| json!({ "type": "room.removed", "payload": { "room_id": room, "reason": "not_member" } });
    assert_eq!(removed, [frame(&room), frame(&nowhere)]);
    ana.say(&room, "secret").await;
    assert_eq!(ben.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_cursor_resumes_and_positions_win_over_it() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let one = ana.room(json!({})).await;
    let two = ana.room(json!({})).await;
    let cursor = server.hello(&token, json!({})).await.welcome["cursor"].clone();
    ana.say(&one, "a").await;
    ana.say(&two, "b").await;
    let mut back = server
        .hello(&token, json!({ "resume": { "cursor": cursor } }))
        .await;
    let mut frames = back.rest().await;
    frames.sort_by_key(|frame| frame["payload"]["room_id"] != one.as_str());
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| {
            (
                frame["type"].as_str().unwrap(),
                frame["payload"]["room_id"] == one.as_str(),
            )
        })
        .filter(|(kind, _)| *kind != "receipt")
        .collect();
    assert_eq!(
        seen,
        [
            ("message", true),
            ("live", true),
            ("message", false),
            ("live", false)
        ]
    );
    let resume = json!({ "cursor": cursor, "rooms": { one.as_str(): 0 } });
    let mut back = server.hello(&token, json!({ "resume": resume })).await;
    assert_eq!(until_live(&mut back, &one).await, (vec![1, 2], 2));
}

#[tokio::test]
async fn using_a_cursor_acknowledges_delivery_before_it() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    ana.say(&room, "a").await;
    let cursor = server.hello(&token, json!({})).await.welcome["cursor"].clone();
    server
        .hello(&token, json!({ "resume": { "cursor": cursor } }))
        .await;
    let receipt = ana.expect("receipt").await;
    assert_eq!(receipt["room_id"], room.as_str());
    assert_eq!(receipt["user_id"], "ben");
    assert_eq!(receipt["delivered"], 2);
}

#[tokio::test]
async fn cursors_belong_to_one_user_and_one_server() {
    let server = Server::start();
    let ana = server.session("ana").await;
    let token = server.register("ben").await;
    let theirs = ana.welcome["cursor"].as_str().unwrap().to_owned();
    let mut client = Client::connect(server.addr).await;
    let foreign = json!({ "token": token, "resume": { "cursor": theirs } });
    let error = client.refused("hello", foreign).await;
    assert_eq!(error["code"], "forbidden");
    assert_eq!(error["field"], "resume.cursor");
    assert_eq!(client.closed().await, 4401);
    let mut forged = theirs;
    forged.replace_range(..1, if forged.starts_with('A') { "B" } else { "A" });
    for broken in [forged.as_str(), "", "no cursor", "AAAA"] {
        let mut client = Client::connect(server.addr).await;
        let hello = json!({ "token": token, "resume": { "cursor": broken } });
        let error = client.refused("hello", hello).await;
        assert_eq!(error["code"], "bad_frame", "{broken}");
        assert_eq!(error["field"], "resume.cursor");
        let reply = client.ask("hello", json!({ "token": token })).await;
        assert_eq!(reply["type"], "welcome", "without it the client goes on");
    }
}

#[tokio::test]
async fn events_that_arrive_during_catch_up_come_after_it_and_once() {
    const BEFORE: u64 = 1_500;
    const DURING: u64 = 1_500;
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let send = json!({ "room_id": room, "body": { "text": "x".repeat(200) } });
    let talk = async |from: &mut Client, count: u64| {
        let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
        for ids in ids.chunks(100) {
            for id in ids {
                from.post("message.send", id, send.clone()).await;
            }
            for id in ids {
                assert_eq!(from.reply_to(id).await["type"], "ack");
            }
            from.forget();
        }
    };
    talk(&mut ana, BEFORE).await;
    let resume = async {
        let mut sessions = Vec::new();
        for start in [0, 1, 700, BEFORE] {
            sessions.push((start, server.hello(&token, at(&room, start)).await));
        }
        for (start, client) in &mut sessions {
            let (caught, live) = until_live(client, &room).await;
            assert_eq!(
                caught,
                (*start + 1..=live).collect::<Vec<_>>(),
                "caught up from {start}"
            );
            let head = 1 + BEFORE + DURING;
            let later = if live < head {
                up_to(client, &room, head).await
            } else {
                Vec::new()
            };
            assert_eq!(later, (live + 1..=head).collect::<Vec<_>>());
        }
    };
    tokio::join!(talk(&mut ana, DURING), resume);
}

#[tokio::test]
async fn resuming_works_after_a_restart() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for _ in 0..5 {
        ana.say(&room, "a").await;
    }
    let cursor = ana.welcome["cursor"].clone();
    drop(ana);
    let server = tokio::task::spawn_blocking(|| server.restart())
        .await
        .unwrap();
    let token = server.login("ana").await;
    let resume = json!({ "cursor": cursor, "rooms": { room.as_str(): 2 } });
    let mut back = server.hello(&token, json!({ "resume": resume })).await;
    assert_eq!(
        until_live(&mut back, &room).await,
        (vec![3, 4, 5, 6], 6),
        "an old node's cursor is good too"
    );
}
