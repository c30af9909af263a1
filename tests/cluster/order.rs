//! One order on all nodes, whoever sends where.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    node::Site,
    people::{about, acks, hail, up_to},
};

const EACH: usize = 60;

#[tokio::test]
async fn what_is_sent_on_both_nodes_has_one_order_on_both() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let mut cat = two.session("cat").await;
    let room = ana.room(json!({ "members": ["ben", "cat"] })).await;
    about(&mut ben, "room.created", &room).await;
    about(&mut cat, "room.created", &room).await;

    let mut sent = BTreeSet::new();
    for _ in 0..4 {
        let (from_ana, from_ben) = tokio::join!(
            hail(&mut ana, &room, EACH / 4),
            hail(&mut ben, &room, EACH / 4)
        );
        let (ana_at, ben_at) = tokio::join!(acks(&mut ana, &from_ana), acks(&mut ben, &from_ben));
        for seqs in [ana_at, ben_at] {
            assert!(seqs.is_sorted(), "the order of one sender: {seqs:?}");
            sent.extend(seqs);
        }
    }
    let head = 1 + 2 * EACH as u64;
    assert_eq!(sent, (2..=head).collect(), "each its own position");

    let ana_got = up_to(&mut ana, &room, 1, head).await;
    let ben_got = up_to(&mut ben, &room, 1, head).await;
    let cat_got = up_to(&mut cat, &room, 1, head).await;
    assert_eq!(ana_got, ben_got);
    assert_eq!(ana_got, cat_got);
    let conflicts = one.metric("parlor_append_conflicts_total").await
        + two.metric("parlor_append_conflicts_total").await;
    println!("conflicts: {conflicts}");
    for node in [&one, &two] {
        assert_eq!(node.metric("parlor_gaps_total").await, 0.0);
    }
}

#[tokio::test]
async fn a_frame_sent_again_on_the_other_node_takes_effect_once() {
    let site = Site::new();
    let (one, two) = site.pair().await;
    let token = one.register("ana").await;
    let mut here = one.hello(&token, json!({})).await;
    let mut there = two.hello(&token, json!({})).await;
    let room = here.room(json!({})).await;
    about(&mut there, "room.created", &room).await;
    let send = json!({ "room_id": room, "body": { "text": "once" } });
    let msg_id = uuid::Uuid::now_v7().to_string();
    here.post("message.send", &msg_id, send.clone()).await;
    there.post("message.send", &msg_id, send).await;
    let (first, second) = tokio::join!(here.reply_to(&msg_id), there.reply_to(&msg_id));
    assert_eq!(first["payload"]["seq"], 2, "{first}");
    assert_eq!(second["payload"]["seq"], 2, "{second}");
    let after = there.say(&room, "after").await;
    assert_eq!(after["seq"], 3);
}
