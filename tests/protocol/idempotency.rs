//! Sending twice is safe: one effect per user, room and `msg_id`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

fn text(room: &str, text: &str) -> Value {
    json!({ "room_id": room, "body": { "text": text } })
}

async fn head(client: &mut Client, room: &str) -> Value {
    client.ok("room.get", json!({ "room_id": room })).await["room"]["head"].clone()
}

#[tokio::test]
async fn the_same_frame_again_gets_the_original_reply() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let id = Uuid::now_v7().to_string();
    let first = ana.ask_as(&id, "message.send", text(&room, "once")).await;
    ana.say(&room, "between").await;
    let again = ana.ask_as(&id, "message.send", text(&room, "once")).await;
    let mut expected = first["payload"].clone();
    expected["duplicate"] = json!(true);
    assert_eq!(again["payload"], expected);
    assert_eq!(head(&mut ana, &room).await, 3);
    let frames = ana.rest().await;
    assert_eq!(
        frames
            .iter()
            .filter(|frame| frame["payload"]["client_msg_id"] == id.as_str())
            .count(),
        1,
        "delivered once"
    );
}

#[tokio::test]
async fn ids_are_compared_in_lower_case_and_payloads_as_parsed() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({})).await;
    let id = Uuid::now_v7().to_string();
    let first = ana
        .ask_as(
            &id,
            "message.send",
            json!({ "room_id": room, "body": { "data": { "a": 1, "b": [2] } } }),
        )
        .await;
    let upper = id.to_uppercase();
    ana.send_text(&format!(
        r#"{{ "payload": {{ "colour":1, "reply_to":null, "body":{{"data":{{ "b":[2],"a":1 }} }}, "room_id":"{}" }},
             "msg_id":"{upper}", "type":"message.send" }}"#,
        room.to_uppercase()
    ))
    .await;
    let again = ana.reply_to(&upper).await;
    assert_eq!(again["payload"]["duplicate"], true, "{again}");
    assert_eq!(again["payload"]["seq"], first["payload"]["seq"]);
}

#[tokio::test]
async fn the_same_id_for_something_else_is_a_conflict() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let other = ana.room(json!({})).await;
    let id = Uuid::now_v7().to_string();
    ana.ask_as(&id, "message.send", text(&room, "one")).await;
    let code = |reply: Value| reply["payload"]["code"].clone();
    let payload = ana.ask_as(&id, "message.send", text(&room, "two")).await;
    assert_eq!(code(payload), "conflict");
    let kind = ana
        .ask_as(&id, "room.leave", json!({ "room_id": room }))
        .await;
    assert_eq!(code(kind), "conflict");
    let elsewhere = ana.ask_as(&id, "message.send", text(&other, "one")).await;
    assert_eq!(elsewhere["type"], "ack", "another room is another scope");
    assert!(elsewhere["payload"].get("duplicate").is_none());
    let theirs = ben.ask_as(&id, "message.send", text(&room, "one")).await;
    assert_eq!(theirs["type"], "ack", "another user is another scope");
    assert!(theirs["payload"].get("duplicate").is_none());
    assert_eq!(head(&mut ana, &room).await, 3);
}

#[tokio::test]
async fn two_copies_in_flight_get_one_seq() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.login("ana").await;
    let mut phone = server.hello(&token, json!({})).await;
    let room = ana.room(json!({})).await;
    for round in 0..50 {
        let id = Uuid::now_v7().to_string();
        let payload = text(&room, "at once");
        if round % 2 == 0 {
            ana.post("message.send", &id, payload.clone()).await;
            phone.post("message.send", &id, payload).await;
        } else {
            ana.post("message.send", &id, payload.clone()).await;
            ana.post("message.send", &id, payload).await;
        }
        let one = ana.reply_to(&id).await;
        let two = if round % 2 == 0 {
            phone.reply_to(&id).await
        } else {
            ana.reply_to(&id).await
        };
        assert_eq!(one["payload"]["seq"], round + 2);
        assert_eq!(two["payload"]["seq"], round + 2);
        let duplicates = [&one, &two]
            .iter()
            .filter(|reply| reply["payload"]["duplicate"] == true)
            .count();
        assert_eq!(duplicates, 1, "{one} {two}");
    }
    assert_eq!(head(&mut ana, &room).await, 51);
}

#[tokio::test]
async fn a_retry_is_answered_before_it_is_authorised() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let id = Uuid::now_v7().to_string();
    let first = ben.ask_as(&id, "message.send", text(&room, "said")).await;
    let action = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.mute", action.clone()).await;
    assert_eq!(ben.code("message.send", text(&room, "new")).await, "muted");
    let muted = ben.ask_as(&id, "message.send", text(&room, "said")).await;
    assert_eq!(muted["payload"]["seq"], first["payload"]["seq"]);
    assert_eq!(muted["payload"]["duplicate"], true);
    ana.ok("room.remove", action).await;
    let removed = ben.ask_as(&id, "message.send", text(&room, "said")).await;
    assert_eq!(removed["payload"]["duplicate"], true, "{removed}");
}

#[tokio::test]
async fn errors_and_what_appended_nothing_are_evaluated_afresh() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let ben_of = json!({ "room_id": room, "user_id": "ben" });
    ana.ok("room.mute", ben_of.clone()).await;
    let id = Uuid::now_v7().to_string();
    let refused = ben.ask_as(&id, "message.send", text(&room, "late")).await;
    assert_eq!(refused["payload"]["code"], "muted");
    ana.ok("room.unmute", ben_of.clone()).await;
    let sent = ben.ask_as(&id, "message.send", text(&room, "late")).await;
    assert_eq!(sent["type"], "ack", "{sent}");
    assert!(sent["payload"].get("duplicate").is_none());
    // Unmuting who is not muted appends nothing, so the same id may take effect later.
    let id = Uuid::now_v7().to_string();
    let head = ana.ask_as(&id, "room.unmute", ben_of.clone()).await;
    assert_eq!(head["payload"]["seq"], sent["payload"]["seq"]);
    assert!(head["payload"].get("duplicate").is_none());
    let muted = ana.ok("room.mute", ben_of.clone()).await["seq"]
        .as_u64()
        .unwrap();
    let unmuted = ana.ask_as(&id, "room.unmute", ben_of).await;
    assert_eq!(unmuted["payload"]["seq"], muted + 1);
}

#[tokio::test]
async fn creating_a_room_twice_makes_one() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let id = Uuid::now_v7().to_string();
    let create = json!({ "kind": "group", "name": "tea" });
    ana.post("room.create", &id, create.clone()).await;
    ana.post("room.create", &id, create.clone()).await;
    let one = ana.reply_to(&id).await["payload"].clone();
    let two = ana.reply_to(&id).await["payload"].clone();
    assert_eq!(one["room"]["room_id"], two["room"]["room_id"]);
    let duplicates = [&one, &two]
        .iter()
        .filter(|ack| ack["duplicate"] == true)
        .count();
    assert_eq!(duplicates, 1, "{one} {two}");
    let other = ana
        .ask_as(
            &id,
            "room.create",
            json!({ "kind": "group", "name": "coffee" }),
        )
        .await;
    assert_eq!(other["payload"]["code"], "conflict");
    let rooms = ana.ok("room.list", json!({})).await["rooms"].clone();
    assert_eq!(rooms.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn duplicates_are_known_after_a_restart() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let room = ana.room(json!({ "name": "tea" })).await;
    let id = Uuid::now_v7().to_string();
    let first = ana.ask_as(&id, "message.send", text(&room, "once")).await;
    drop(ana);
    let server = tokio::task::spawn_blocking(|| server.restart())
        .await
        .unwrap();
    let token = server.login("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let again = ana.ask_as(&id, "message.send", text(&room, "once")).await;
    let mut expected = first["payload"].clone();
    expected["duplicate"] = json!(true);
    assert_eq!(again["payload"], expected);
    let other = ana.ask_as(&id, "message.send", text(&room, "else")).await;
    assert_eq!(other["payload"]["code"], "conflict");
}
