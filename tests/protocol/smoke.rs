//! Two people talk: the shortest way through everything.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn two_people_talk_in_a_room() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "name": "tea", "members": ["ben"] })).await;
    let added = ben.expect("room.added").await;
    assert_eq!(added["room"]["room_id"], room.as_str());
    assert_eq!(added["room"]["head"], 0);
    assert_eq!(ben.expect("room.created").await["seq"], 1);
    let ack = ana.say(&room, "hello").await;
    assert_eq!(ack["seq"], 2);
    let heard = ben.expect("message").await;
    assert_eq!(heard["body"]["text"], "hello");
    assert_eq!(heard["sender"], "ana");
    assert_eq!(heard["seq"], 2);
    assert!(heard.get("client_msg_id").is_none());
    assert!(ana.expect("message").await.get("client_msg_id").is_some());
    let history = ben.ok("history.get", json!({ "room_id": room })).await;
    assert_eq!(history["events"].as_array().unwrap().len(), 2);
    assert_eq!(history["complete"], true);
}
