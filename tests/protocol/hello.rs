//! `hello` and `welcome`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server};

#[tokio::test]
async fn welcome_tells_everything_a_client_needs() {
    let server = Server::with(|settings| {
        settings.limits.sends_per_s = 20;
        settings.node.id = Some("n1".parse().unwrap());
    });
    let account = server.register_whole("ana").await;
    let token = account["token"].as_str().unwrap();
    let device = json!({ "id": "phone-1", "name": "Ana's phone", "platform": "ios" });
    let ana = server.hello(token, json!({ "device": device })).await;
    let welcome = &ana.welcome;
    assert!(
        welcome["session_id"]
            .as_str()
            .unwrap()
            .parse::<Uuid>()
            .is_ok()
    );
    assert_eq!(welcome["user_id"], "ana");
    assert_eq!(welcome["device_id"], "phone-1");
    assert_eq!(welcome["node"], "n1");
    assert_eq!(welcome["heartbeat_ms"], 25_000);
    assert_eq!(welcome["expires_at"], account["expires_at"]);
    assert!(welcome["server_time"].as_str().unwrap() < welcome["expires_at"].as_str().unwrap());
    assert!(!welcome["cursor"].as_str().unwrap().is_empty());
    assert_eq!(
        welcome["limits"],
        json!({ "frame_bytes": 65_536, "body_bytes": 32_768, "history_limit": 200, "sends_per_s": 20, "burst": 40 })
    );
    assert_eq!(welcome["rooms"], json!([]));
    assert!(welcome.get("next").is_none());
}

#[tokio::test]
async fn a_device_without_an_id_gets_one_of_its_own() {
    let server = Server::start();
    let token = server.register("ana").await;
    let one = server.hello(&token, json!({})).await;
    let two = server
        .hello(&token, json!({ "device": { "name": "web" } }))
        .await;
    assert!(!one.welcome["device_id"].as_str().unwrap().is_empty());
    assert_ne!(one.welcome["device_id"], two.welcome["device_id"]);
    assert_ne!(one.welcome["session_id"], two.welcome["session_id"]);
    let same = json!({ "device": { "id": "phone" } });
    let mut three = server.hello(&token, same.clone()).await;
    let mut four = server.hello(&token, same).await;
    assert_eq!(
        three.ask("ping", json!({})).await["type"],
        "pong",
        "two sockets of one device both live"
    );
    assert_eq!(four.ask("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn welcome_describes_the_rooms() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let room = ana
        .room(json!({ "name": "tea", "topic": "leaves", "members": ["ben"] }))
        .await;
    let ack = ana
        .ok(
            "room.create",
            json!({ "kind": "direct", "members": ["ben"] }),
        )
        .await;
    let direct = ack["room"]["room_id"].as_str().unwrap().to_owned();
    ana.say(&room, "one").await;
    ana.ok(
        "message.send",
        json!({ "room_id": room, "body": { "text": "two" }, "mentions": ["ben"] }),
    )
    .await;
    let ben = server.hello(&token, json!({})).await;
    let rooms = ben.welcome["rooms"].as_array().unwrap();
    assert_eq!(rooms.len(), 2);
    let find = |id: &str| rooms.iter().find(|room| room["room_id"] == id).unwrap();
    let mut tea = find(&room).clone();
    assert!(
        tea.as_object_mut()
            .unwrap()
            .remove("created_at")
            .unwrap()
            .is_string()
    );
    assert_eq!(
        tea,
        json!({ "room_id": room, "kind": "group", "name": "tea", "topic": "leaves", "public": false, "head": 3,
                "role": "member", "read": 0, "delivered": 0, "unread": 2, "mentions": 1, "mode": "active" })
    );
    assert_eq!(find(&direct)["kind"], "direct");
    assert_eq!(find(&direct)["peer"], "ana");
}

#[tokio::test]
async fn rooms_chooses_what_is_delivered() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let token = server.register("ben").await;
    let one = ana.room(json!({ "members": ["ben"] })).await;
    let two = ana.room(json!({ "members": ["ben"] })).await;
    let foreign = ana.room(json!({})).await;
    let mut all = server.hello(&token, json!({ "rooms": "all" })).await;
    let mut none = server.hello(&token, json!({ "rooms": "none" })).await;
    let unknown = Uuid::now_v7().to_string();
    let mut listed = server
        .hello(&token, json!({ "rooms": [one, foreign, unknown] }))
        .await;
    let modes = |client: &Client| {
        let mode = |id: &str| {
            client.welcome["rooms"]
                .as_array()
                .unwrap()
                .iter()
                .find(|room| room["room_id"] == id)
                .unwrap()["mode"]
                .clone()
        };
        (mode(&one), mode(&two))
    };
    assert_eq!(modes(&all), (json!("active"), json!("active")));
    assert_eq!(modes(&none), (json!("none"), json!("none")));
    assert_eq!(modes(&listed), (json!("active"), json!("none")));
    for room in [&one, &two, &foreign] {
        ana.say(room, "to all who want it").await;
    }
    assert_eq!(all.expect("message").await["room_id"], one.as_str());
    assert_eq!(all.expect("message").await["room_id"], two.as_str());
    assert_eq!(listed.expect("message").await["room_id"], one.as_str());
    assert_eq!(all.rest().await, Vec::<Value>::new());
    assert_eq!(listed.rest().await, Vec::<Value>::new());
    assert_eq!(none.rest().await, Vec::<Value>::new());
}

#[tokio::test]
async fn another_frame_first_closes_4400() {
    let server = Server::start();
    for text in [
        r#"{"type":"ping"}"#,
        r#"{"type":"message.shout"}"#,
        "no frame",
    ] {
        let mut client = Client::connect(server.addr).await;
        client.send_text(text).await;
        let error = client.expect("error").await;
        assert_eq!(error["code"], "bad_frame", "{text}");
        assert_eq!(client.closed().await, 4400, "{text}");
    }
    let mut client = Client::connect(server.addr).await;
    let id = Uuid::now_v7().to_string();
    let reply = client.ask_as(&id, "ping", json!({})).await;
    assert_eq!(reply["type"], "error", "and it echoes the id");
}

#[tokio::test]
async fn a_hello_of_the_wrong_shape_names_the_field_and_may_be_said_again() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut client = Client::connect(server.addr).await;
    for (payload, field) in [
        (json!({ "token": 7 }), "token"),
        (
            json!({ "token": token, "device": { "id": "no id" } }),
            "device.id",
        ),
        (
            json!({ "token": token, "device": { "name": "x".repeat(257) } }),
            "device.name",
        ),
        (json!({ "token": token, "rooms": "some" }), "rooms"),
        (json!({ "token": token, "rooms": ["x"] }), "rooms[0]"),
        (
            json!({ "token": token, "resume": { "rooms": { "x": 1 } } }),
            "resume.rooms.x",
        ),
        (json!({ "token": token, "presence": "asleep" }), "presence"),
        (
            json!({ "token": token, "resume": { "cursor": "broken" } }),
            "resume.cursor",
        ),
    ] {
        let refusal = client.refused("hello", payload.clone()).await;
        assert_eq!(refusal["code"], "bad_frame", "{payload}");
        assert_eq!(refusal["field"], field, "{payload}");
    }
    let reply = client.ask("hello", json!({ "token": token })).await;
    assert_eq!(reply["type"], "welcome");
}

#[tokio::test]
async fn the_tenth_hello_of_the_wrong_shape_closes_4400() {
    let server = Server::start();
    let mut client = Client::connect(server.addr).await;
    for _ in 0..10 {
        assert_eq!(
            client.code("hello", json!({ "token": 7 })).await,
            "bad_frame"
        );
    }
    assert_eq!(client.closed().await, 4400);
}

#[tokio::test]
async fn a_second_hello_is_a_conflict_and_changes_nothing() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut ana = server.hello(&token, json!({})).await;
    let room = ana.room(json!({})).await;
    let again = json!({ "token": token, "rooms": "none" });
    assert_eq!(ana.code("hello", again).await, "conflict");
    ana.say(&room, "still here").await;
    assert_eq!(ana.expect("message").await["seq"], 2);
}

#[tokio::test]
async fn a_token_that_does_not_hold_closes_4401() {
    let server = Server::start();
    server.register("ana").await;
    for payload in [json!({ "token": "not a token" }), json!({})] {
        let mut client = Client::connect(server.addr).await;
        assert_eq!(client.code("hello", payload).await, "unauthorized");
        assert_eq!(client.closed().await, 4401);
    }
}

#[tokio::test]
async fn no_hello_within_ten_seconds_closes_4408() {
    let server = Server::start();
    let began = std::time::Instant::now();
    let mut client = Client::connect(server.addr).await;
    assert_eq!(client.closed().await, 4408);
    let waited = began.elapsed().as_millis();
    assert!((9_900..12_000).contains(&waited), "{waited} ms");
}

#[tokio::test]
async fn frames_behind_hello_are_served_in_order() {
    let server = Server::start();
    let token = server.register("ana").await;
    let mut client = Client::connect(server.addr).await;
    let ids: Vec<String> = (0..4).map(|_| Uuid::now_v7().to_string()).collect();
    client
        .post("hello", &ids[0], json!({ "token": token }))
        .await;
    for id in &ids[1..] {
        client.post("ping", id, json!({})).await;
    }
    assert_eq!(client.next().await["type"], "welcome");
    for id in &ids[1..] {
        let pong = client.next().await;
        assert_eq!(
            (&pong["type"], &pong["msg_id"]),
            (&json!("pong"), &json!(id))
        );
    }
}
