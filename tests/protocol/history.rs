//! Reading back: positions, limits, completeness, and the size of an answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

/// Sends messages until the head of a fresh room is `head`; answers the room.
async fn room_with(client: &mut Client, head: usize, text: &str) -> String {
    let room = client.room(json!({})).await;
    let ids: Vec<String> = (1..head).map(|_| Uuid::new_v4().to_string()).collect();
    for ids in ids.chunks(20) {
        for id in ids {
            let send = json!({ "room_id": room, "body": { "text": text } });
            client.post("message.send", id, send).await;
        }
        for id in ids {
            assert_eq!(client.reply_to(id).await["type"], "ack");
        }
    }
    room
}

async fn history(client: &mut Client, room: &str, ask: Value) -> Value {
    let mut payload = ask;
    payload["room_id"] = json!(room);
    client.ok("history.get", payload).await
}

fn seqs(answer: &Value) -> Vec<u64> {
    let events = answer["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["payload"]["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn each_position_gives_its_range() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = room_with(&mut ana, 20, "x").await;
    for (ask, from, to, complete) in [
        (json!({}), 1, 20, true),
        (json!({ "limit": 20 }), 1, 20, true),
        (json!({ "limit": 5 }), 16, 20, false),
        (json!({ "before": 6 }), 1, 5, true),
        (json!({ "before": 6, "limit": 3 }), 3, 5, false),
        (json!({ "before": 6, "limit": 5 }), 1, 5, true),
        (json!({ "before": 1 }), 1, 0, true),
        (json!({ "before": 0 }), 1, 0, true),
        (json!({ "before": 99, "limit": 2 }), 19, 20, false),
        (
            json!({ "before": 9_007_199_254_740_991_u64, "limit": 1 }),
            20,
            20,
            false,
        ),
        (json!({ "after": 0, "limit": 3 }), 1, 3, false),
        (json!({ "after": 17 }), 18, 20, true),
        (json!({ "after": 17, "limit": 3 }), 18, 20, true),
        (json!({ "after": 17, "limit": 2 }), 18, 19, false),
        (json!({ "after": 20 }), 1, 0, true),
        (json!({ "after": 9_007_199_254_740_991_u64 }), 1, 0, true),
        (json!({ "around": 10, "limit": 1 }), 10, 10, false),
        (json!({ "around": 10, "limit": 4 }), 8, 11, false),
        (json!({ "around": 10, "limit": 5 }), 8, 12, false),
        (json!({ "around": 10 }), 1, 20, true),
        (json!({ "around": 1, "limit": 6 }), 1, 6, false),
        (json!({ "around": 20, "limit": 6 }), 15, 20, false),
        (json!({ "around": 2, "limit": 6 }), 1, 6, false),
        (json!({ "around": 99, "limit": 4 }), 17, 20, false),
        (json!({ "around": 0, "limit": 4 }), 1, 4, false),
        (json!({ "limit": 1000 }), 1, 20, true),
        (
            json!({ "before": null, "after": 18, "at": null }),
            19,
            20,
            true,
        ),
    ] {
        let answer = history(&mut ana, &room, ask.clone()).await;
        assert_eq!(seqs(&answer), (from..=to).collect::<Vec<u64>>(), "{ask}");
        assert_eq!(answer["complete"], complete, "{ask}");
        assert_eq!(answer["head"], 20, "{ask}");
        assert_eq!(answer["first"], 1, "{ask}");
    }
}

#[tokio::test]
async fn a_time_gives_what_was_sent_from_then_on() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = room_with(&mut ana, 10, "x").await;
    let all = history(&mut ana, &room, json!({})).await;
    let sent_at = |index: usize| {
        let sent_at = &all["events"][index]["payload"]["sent_at"];
        sent_at.as_str().unwrap().to_owned()
    };
    let middle = sent_at(4);
    let first = (0..10).find(|index| sent_at(*index) >= middle).unwrap() as u64 + 1;
    for at in [middle.clone(), middle.replace('Z', "+00:00")] {
        let answer = history(&mut ana, &room, json!({ "at": at })).await;
        assert_eq!(seqs(&answer), (first..=10).collect::<Vec<u64>>(), "{at}");
        assert_eq!(answer["complete"], true);
    }
    let long_ago = json!({ "at": "2000-01-01T05:30:00+05:30", "limit": 3 });
    let answer = history(&mut ana, &room, long_ago).await;
    assert_eq!(seqs(&answer), [1, 2, 3]);
    assert_eq!(answer["complete"], false);
    let answer = history(&mut ana, &room, json!({ "at": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(answer["events"], json!([]));
    assert_eq!(answer["complete"], true);
    for bad in [
        json!("yesterday"),
        json!("2026-01-01"),
        json!(0),
        json!("2026-01-01T00:00:00"),
    ] {
        let refusal = ana
            .refused("history.get", json!({ "room_id": room, "at": bad }))
            .await;
        assert_eq!(refusal["code"], "bad_frame", "{bad}");
        assert_eq!(refusal["field"], "at", "{bad}");
    }
}

#[tokio::test]
async fn at_most_one_position_and_at_least_one_event() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let room = ana.room(json!({})).await;
    for positions in [
        json!({ "before": 1, "after": 1 }),
        json!({ "around": 1, "after": 1 }),
        json!({ "before": 1, "at": "2026-01-01T00:00:00Z" }),
    ] {
        let mut ask = positions;
        ask["room_id"] = json!(room);
        assert_eq!(ana.code("history.get", ask).await, "bad_frame");
    }
    for limit in [json!(0), json!(-1), json!("5"), json!(1.5)] {
        let ask = json!({ "room_id": room, "limit": limit });
        let refusal = ana.refused("history.get", ask).await;
        assert_eq!(refusal["code"], "bad_frame", "{limit}");
        assert_eq!(refusal["field"], "limit", "{limit}");
    }
}

#[tokio::test]
async fn the_limit_is_50_and_at_most_200() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = room_with(&mut ana, 230, "x").await;
    for (ask, from, to) in [
        (json!({}), 181, 230),
        (json!({ "limit": 200 }), 31, 230),
        (json!({ "limit": 201 }), 31, 230),
        (json!({ "limit": 4_000_000_000_u64, "after": 3 }), 4, 203),
        (json!({ "around": 115, "limit": 500 }), 15, 214),
    ] {
        let answer = history(&mut ana, &room, ask.clone()).await;
        assert_eq!(seqs(&answer), (from..=to).collect::<Vec<u64>>(), "{ask}");
        assert_eq!(answer["complete"], false);
    }
}

#[tokio::test]
async fn events_are_frames_as_delivered() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "name": "tea", "members": ["ben"] })).await;
    ana.say(&room, "hello").await;
    ben.say(&room, "hello yourself").await;
    ana.ok("room.update", json!({ "room_id": room, "name": null }))
        .await;
    let user = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.mute", user).await;
    let delivered: Vec<Value> = {
        let mut frames = Vec::new();
        while frames.len() < 5 {
            let frame = ben.next().await;
            if frame["payload"]["room_id"] == room.as_str() && frame["payload"]["seq"].is_u64() {
                frames.push(frame);
            }
        }
        frames
    };
    let answer = history(&mut ben, &room, json!({})).await;
    assert_eq!(answer["events"], json!(delivered));
    let own = |event: &Value| event["payload"].get("client_msg_id").is_some();
    let events = answer["events"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| own(event)).count(), 1);
    assert!(own(&events[2]));
}

#[tokio::test]
async fn an_answer_stays_below_a_mebibyte() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    // Each character takes six bytes as JSON.
    let text = "\u{1}".repeat(5_400);
    let room = room_with(&mut ana, 60, &text).await;
    for start in [
        json!({ "limit": 200 }),
        json!({ "limit": 200, "after": 0 }),
        json!({ "limit": 200, "around": 30 }),
    ] {
        let answer = history(&mut ana, &room, start.clone()).await;
        assert!(answer.to_string().len() < 1024 * 1024 - 200);
        assert_eq!(answer["complete"], false);
        let seqs = seqs(&answer);
        assert!(seqs.len() >= 8, "{start}: {}", seqs.len());
        assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        if start.get("around").is_some() {
            assert!(seqs.contains(&30));
        }
    }
    let mut seen = BTreeSet::new();
    let mut before = 61;
    loop {
        let answer = history(&mut ana, &room, json!({ "limit": 200, "before": before })).await;
        let page = seqs(&answer);
        before = page[0];
        seen.extend(page);
        if answer["complete"] == true {
            break;
        }
    }
    assert_eq!(seen, (1..=60).collect());
}
