//! Lists of rooms and of members, page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

/// Reads all pages; answers the entries' `key`, in order.
async fn pages(client: &mut Client, kind: &str, ask: Value, list: &str, key: &str) -> Vec<String> {
    let limit = ask["limit"].as_u64().unwrap();
    let mut seen = Vec::new();
    let mut ask = ask;
    loop {
        let page = client.ok(kind, ask.clone()).await;
        let entries = page[list].as_array().unwrap();
        assert!(entries.len() as u64 <= limit);
        seen.extend(
            entries
                .iter()
                .map(|entry| entry[key].as_str().unwrap().to_owned()),
        );
        match page.get("next") {
            Some(next) => {
                assert_eq!(entries.len() as u64, limit, "only the last page is short");
                ask["after"] = next.clone();
            }
            None => return seen,
        }
    }
}

async fn rooms(client: &mut Client, public: Value, limit: u64) -> Vec<String> {
    let ask = json!({ "public": public, "limit": limit });
    pages(client, "room.list", ask, "rooms", "room_id").await
}

#[tokio::test]
async fn own_rooms_come_page_by_page() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    assert_eq!(ana.ok("room.list", json!({})).await, json!({ "rooms": [] }));
    let mut mine = BTreeSet::new();
    for _ in 0..5 {
        mine.insert(ana.room(json!({})).await);
    }
    ben.room(json!({})).await;
    ben.room(json!({ "public": true })).await;
    for limit in [1, 2, 4, 5, 6, 1000] {
        let seen = rooms(&mut ana, json!(null), limit).await;
        assert_eq!(seen.len(), 5, "each once");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), mine);
    }
    let left = mine.pop_first().unwrap();
    ana.ok("room.leave", json!({ "room_id": left })).await;
    let seen = rooms(&mut ana, json!(false), 10).await;
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), mine);
}

#[tokio::test]
async fn the_public_list_holds_what_one_may_join() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let open = ana.room(json!({ "public": true, "name": "open" })).await;
    let news = ana.room(json!({ "kind": "channel", "public": true })).await;
    let opened = ana.room(json!({})).await;
    ana.ok("room.update", json!({ "room_id": opened, "public": true }))
        .await;
    let closed = ana.room(json!({ "public": true })).await;
    ana.ok("room.update", json!({ "room_id": closed, "public": false }))
        .await;
    ana.room(json!({})).await;
    ana.room(json!({ "public": true, "members": ["ben"] }))
        .await;
    let banned = ana.room(json!({ "public": true })).await;
    ana.ok("room.ban", json!({ "room_id": banned, "user_id": "ben" }))
        .await;
    let expected: BTreeSet<_> = [open.clone(), news.clone(), opened].into();
    for limit in [1, 2, 3, 50] {
        let seen = rooms(&mut ben, json!(true), limit).await;
        assert_eq!(seen.len(), 3);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    assert_eq!(rooms(&mut ana, json!(true), 50).await, Vec::<String>::new());
    let listed = ben.ok("room.list", json!({ "public": true })).await;
    for room in listed["rooms"].as_array().unwrap() {
        assert!(room.get("role").is_none() && room.get("mode").is_none());
        assert_eq!(room["public"], true);
    }
    ben.ok("room.join", json!({ "room_id": open })).await;
    assert_eq!(rooms(&mut ben, json!(true), 50).await.len(), 2);
}

#[tokio::test]
async fn members_come_page_by_page() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    for user in ["ben", "cat", "dan", "eve"] {
        server.register(user).await;
    }
    let room = ana
        .room(json!({ "members": ["ben", "cat", "dan", "eve"] }))
        .await;
    for limit in [1, 2, 4, 5, 9] {
        let ask = json!({ "room_id": room, "limit": limit });
        let seen = pages(&mut ana, "room.members", ask, "members", "user_id").await;
        assert_eq!(seen.len(), 5);
        let seen: BTreeSet<_> = seen.into_iter().collect();
        assert_eq!(seen.len(), 5);
    }
    ana.ok(
        "room.role",
        json!({ "room_id": room, "user_id": "cat", "role": "admin" }),
    )
    .await;
    let all = ana.ok("room.members", json!({ "room_id": room })).await;
    assert!(all.get("next").is_none());
    for member in all["members"].as_array().unwrap() {
        let role = match member["user_id"].as_str().unwrap() {
            "ana" => "owner",
            "cat" => "admin",
            _ => "member",
        };
        assert_eq!(member["role"], role);
        assert!(member["joined_at"].as_str().unwrap().ends_with('Z'));
        assert!(member.get("muted_until").is_none());
    }
    // Who goes between two pages takes nobody along.
    let page = ana
        .ok("room.members", json!({ "room_id": room, "limit": 2 }))
        .await;
    let last = page["members"][1]["user_id"].clone();
    ana.ok("room.remove", json!({ "room_id": room, "user_id": last }))
        .await;
    let ask = json!({ "room_id": room, "after": page["next"], "limit": 9 });
    let rest = ana.ok("room.members", ask).await;
    assert_eq!(rest["members"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_page_is_what_next_said() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    for (kind, ask, field) in [
        ("room.list", json!({ "limit": 0 }), "limit"),
        ("room.list", json!({ "after": "x" }), "after"),
        ("room.list", json!({ "public": "x" }), "public"),
        (
            "room.members",
            json!({ "room_id": room, "limit": 0 }),
            "limit",
        ),
        (
            "room.members",
            json!({ "room_id": room, "after": "not a page" }),
            "after",
        ),
        ("room.members", json!({ "room_id": "x" }), "room_id"),
        ("room.members", json!({}), "room_id"),
    ] {
        let refusal = ana.refused(kind, ask.clone()).await;
        assert_eq!(refusal["code"], "bad_frame", "{kind} {ask}");
        assert_eq!(refusal["field"], field, "{kind} {ask}");
    }
}

#[tokio::test]
async fn rooms_with_much_to_say_still_fit_into_a_frame() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({ "rooms": "none" })).await;
    // Each character takes six bytes as JSON.
    let topic = "\u{1}".repeat(1024);
    let ids: Vec<String> = (0..200).map(|_| Uuid::new_v4().to_string()).collect();
    for id in &ids {
        let create = json!({ "kind": "group", "topic": topic });
        let reply = ana.ask_as(id, "room.create", create).await;
        assert_eq!(reply["type"], "ack");
    }
    let mut everywhere = server.hello(&token, json!({})).await;
    let welcome = everywhere.welcome.clone();
    let mut seen = BTreeSet::new();
    let mut page = ana.ok("room.list", json!({ "limit": 200 })).await;
    assert_eq!(
        welcome["rooms"].as_array().unwrap().len(),
        page["rooms"].as_array().unwrap().len()
    );
    assert_eq!(welcome["next"], page["next"]);
    assert!(page["next"].is_string());
    loop {
        assert!(page.to_string().len() < 1024 * 1024 - 100);
        for room in page["rooms"].as_array().unwrap() {
            assert!(seen.insert(room["room_id"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page.get("next") else { break };
        page = ana
            .ok("room.list", json!({ "limit": 200, "after": next }))
            .await;
    }
    assert_eq!(seen.len(), 200);
    // What `welcome` has no place for is delivered all the same.
    for room in welcome["rooms"].as_array().unwrap() {
        seen.remove(room["room_id"].as_str().unwrap());
    }
    let unlisted = seen.pop_last().unwrap();
    ana.say(&unlisted, "x").await;
    let heard = everywhere.expect("message").await;
    assert_eq!(heard["room_id"], unlisted.as_str());
}
