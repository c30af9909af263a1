//! Projections and receipts written by several nodes.

use futures_util::future::join_all;
use parlor_schema::{
    Role, RoomKind, Seq,
    port::{RoomDirectory as _, UserDirectory as _},
    record::{MemberRecord, ReceiptRecord, RoomDelta, RoomRecord},
};

use super::{common, open};
use crate::make::{Dice, at, name, room};

fn fields(topic: &str, public: bool) -> RoomRecord {
    RoomRecord {
        kind: RoomKind::Group,
        name: None,
        topic: Some(topic.to_owned()),
        public,
        retention_ms: Some(60_000),
        created_at: at(5),
    }
}

fn member(user: &str, seq: u64) -> MemberRecord {
    MemberRecord {
        user_id: name(user),
        role: Some(Role::Member),
        joined_at: at(7),
        joined_seq: Seq::new(seq),
        muted: None,
        banned: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_step_wins_whatever_the_order() {
    let settings = common();
    let stores = [open(&settings).await, open(&settings).await];
    let mut dice = Dice(3);
    for round in 0..8 {
        let id = room();
        let last = 9 + round % 2;
        let mut steps: Vec<u64> = (1..=last).collect();
        for place in (1..steps.len()).rev() {
            steps.swap(
                place,
                usize::try_from(dice.below(place as u64 + 1)).unwrap(),
            );
        }
        let applied = steps.iter().map(|step| {
            let delta = RoomDelta {
                room: Some(fields(&step.to_string(), step % 2 == 1)),
                changed: vec![member("ana", *step)],
                ..RoomDelta::reached(Seq::new(*step))
            };
            stores[usize::from(step % 3 == 0)].apply(id, delta)
        });
        for applied in join_all(applied).await {
            applied.unwrap();
        }
        let snapshot = stores[0].snapshot(id).await.unwrap().unwrap();
        assert_eq!(snapshot.applied, Seq::new(last));
        assert_eq!(snapshot.room, fields(&last.to_string(), last % 2 == 1));
        assert_eq!(snapshot.members, [member("ana", last)]);
        let public = stores[1].public_rooms(None, 1000).await.unwrap().rooms;
        assert_eq!(public.contains(&id), last % 2 == 1, "round {round}");
    }
}

#[tokio::test]
async fn a_room_of_many_pages_comes_back_whole() {
    let store = open(&common()).await;
    let id = room();
    let names: Vec<String> = (0..4100)
        .map(|number| format!("user-{number:05}"))
        .collect();
    for (step, users) in (1..).zip(names.chunks(500)) {
        let delta = RoomDelta {
            room: (step == 1).then(|| fields("many", true)),
            changed: users.iter().map(|user| member(user, step)).collect(),
            ..RoomDelta::reached(Seq::new(step))
        };
        store.apply(id, delta).await.unwrap();
    }
    let receipts = names.iter().map(|user| ReceiptRecord {
        room_id: id,
        user_id: name(user),
        delivered: Seq::new(9),
        read: Seq::new(3),
    });
    let receipts: Vec<ReceiptRecord> = receipts.collect();
    store.put_receipts(receipts.clone()).await.unwrap();
    let snapshot = store.snapshot(id).await.unwrap().unwrap();
    assert_eq!(snapshot.applied, Seq::new(9));
    assert_eq!(snapshot.room, fields("many", true));
    let found: Vec<&str> = snapshot
        .members
        .iter()
        .map(|member| member.user_id.as_str())
        .collect();
    assert_eq!(found, names);
    assert_eq!(store.receipts(id).await.unwrap(), receipts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_and_last_seen_only_rise_whoever_writes() {
    let settings = common();
    let stores = [open(&settings).await, open(&settings).await];
    let (id, ana) = (room(), name("ana"));
    let mut dice = Dice(5);
    let (mut delivered, mut read, mut seen) = (0, 0, 0);
    let mut writes = Vec::new();
    let mut moments = Vec::new();
    for turn in 0..60 {
        let store = &stores[turn % 2];
        let receipt = ReceiptRecord {
            room_id: id,
            user_id: ana.clone(),
            delivered: Seq::new(dice.below(1000)),
            read: Seq::new(dice.below(1000)),
        };
        delivered = delivered.max(receipt.delivered.get());
        read = read.max(receipt.read.get());
        writes.push(store.put_receipts(vec![receipt]));
        let moment = i64::try_from(dice.below(1000)).unwrap();
        seen = seen.max(moment);
        moments.push(store.set_last_seen(&ana, at(moment)));
    }
    for written in join_all(writes).await {
        written.unwrap();
    }
    for written in join_all(moments).await {
        written.unwrap();
    }
    let receipts = stores[0].receipts(id).await.unwrap();
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].delivered, Seq::new(delivered));
    assert_eq!(receipts[0].read, Seq::new(read));
    let user = stores[1].user(&ana).await.unwrap().unwrap();
    assert_eq!(user.last_seen, Some(at(seen)));
}
