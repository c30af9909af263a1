//! What clients see of a room.
#![allow(dead_code, reason = "each binary uses a part")]

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Client;

/// An event as a client got it: its position and its id.
pub(crate) type Got = (u64, String);

/// Reads events of a room until the one at `to`.
///
/// # Panics
/// A gap, a repeat or another order.
pub(crate) async fn up_to(client: &mut Client, room: &str, after: u64, to: u64) -> Vec<Got> {
    let mut got: Vec<Got> = Vec::new();
    while got.last().map_or(after, |(seq, _)| *seq) < to {
        let frame = client
            .wait_for(|frame| {
                frame["type"] == "gap"
                    || (frame["payload"]["room_id"] == room
                        && frame["payload"]["sender"].is_string())
            })
            .await;
        assert_ne!(frame["type"], "gap", "{frame}");
        let seq = frame["payload"]["seq"].as_u64().unwrap();
        let expected = got.last().map_or(after, |(seq, _)| *seq) + 1;
        assert_eq!(seq, expected, "gapless and in order: {frame}");
        got.push((seq, frame["msg_id"].as_str().unwrap().to_owned()));
    }
    got
}

/// Sends messages without waiting; answers the ids of the frames.
pub(crate) async fn hail(client: &mut Client, room: &str, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
    for (at, id) in ids.iter().enumerate() {
        let send = json!({ "room_id": room, "body": { "text": format!("m{at}") } });
        client.post("message.send", id, send).await;
    }
    ids
}

/// Waits for the acks of frames; answers the positions.
pub(crate) async fn acks(client: &mut Client, ids: &[String]) -> Vec<u64> {
    let mut seqs = Vec::new();
    for id in ids {
        let reply = client.reply_to(id).await;
        assert_eq!(reply["type"], "ack", "{reply}");
        seqs.push(reply["payload"]["seq"].as_u64().unwrap());
    }
    seqs
}

/// Waits for a frame of this type about the room.
pub(crate) async fn about(client: &mut Client, kind: &str, room: &str) -> Value {
    let frame = client
        .wait_for(|frame| {
            frame["type"] == kind
                && (frame["payload"]["room_id"] == room
                    || frame["payload"]["room"]["room_id"] == room)
        })
        .await;
    frame["payload"].clone()
}
