//! Who owns a room, and who hears of it.

use std::time::Duration;

use parlor_schema::{BootId, RoomId, placement, port::NodeInfo};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    node::{Node, Site},
    people::{about, up_to},
    support::Client,
};

/// Longer than a node is told of all rooms after a change of the view.
const SETTLED: Duration = Duration::from_secs(13);

/// Returns the name of a room's owner among these nodes.
pub(crate) fn owner(room: &str, nodes: &[&str]) -> String {
    let nodes: Vec<NodeInfo> = nodes
        .iter()
        .map(|name| NodeInfo {
            node_id: name.parse().unwrap(),
            boot_id: BootId::from([0; 16]),
            internal_address: None,
        })
        .collect();
    let room: RoomId = room.parse().unwrap();
    placement::owner(room, &nodes).unwrap().node_id.to_string()
}

/// Makes rooms with `ben` in them until one of them is owned as asked.
pub(crate) async fn room_owned_by(client: &mut Client, nodes: &[&str], own: &str) -> String {
    loop {
        let room = client.room(json!({ "members": ["ben"] })).await;
        if owner(&room, nodes) == own {
            return room;
        }
    }
}

/// Starts three nodes that see each other.
pub(crate) async fn three(site: &Site) -> [Node; 3] {
    let nodes = [
        site.node("one").await,
        site.node("two").await,
        site.node("three").await,
    ];
    for node in &nodes {
        node.sees(3).await;
    }
    nodes
}

#[tokio::test]
async fn who_does_not_want_a_room_hears_nothing_of_it_and_who_does_reads_nothing() {
    let site = Site::new();
    let [one, two, three] = three(&site).await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let names = ["one", "two", "three"];
    for own in ["one", "two"] {
        let room = room_owned_by(&mut ana, &names, own).await;
        about(&mut ben, "room.created", &room).await;
        sleep(SETTLED).await;
        let heard = three.metric("parlor_room_envelopes_total").await;
        let carried = two.metric("parlor_carried_events_total").await;
        let read = two.metric("parlor_followed_events_total").await;
        for turn in 2..22 {
            assert_eq!(ana.say(&room, "to ben").await["seq"], turn);
            up_to(&mut ben, &room, turn - 1, turn).await;
        }
        assert_eq!(three.metric("parlor_room_envelopes_total").await, heard);
        let carried = two.metric("parlor_carried_events_total").await - carried;
        let read = two.metric("parlor_followed_events_total").await - read;
        println!("owned by {own}: {carried} carried, {read} read");
        if own == "one" {
            assert_eq!((carried, read), (20.0, 0.0));
        }
    }
    assert!(one.metric("parlor_interests").await > 0.0);
}
