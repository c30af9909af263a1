//! The suite of the room directory port.

use parlor_schema::{
    MsgId, Role, RoomId, RoomKind, Seq, UserId,
    port::RoomDirectory,
    record::{CreateClaim, MemberRecord, ReceiptRecord, Restriction, RoomDelta, RoomRecord},
};

use crate::{
    Verdict,
    make::{at, fresh, name, room},
    promise, same, told,
};

/// Runs every check; the store must be empty, for public rooms are listed whole.
pub(crate) async fn suite(store: &dyn RoomDirectory) -> Verdict {
    let named = |name: &'static str| move |why: String| format!("{name}: {why}");
    claims(store).await.map_err(named("claims"))?;
    projection(store).await.map_err(named("projection"))?;
    public(store).await.map_err(named("public rooms"))?;
    index(store).await.map_err(named("index"))?;
    receipts(store).await.map_err(named("receipts"))
}

async fn claims(store: &dyn RoomDirectory) -> Verdict {
    let claim = |fingerprint| CreateClaim {
        room_id: room(),
        fingerprint,
    };
    let (ana, msg) = (name("ana"), MsgId::from(fresh()));
    let (first, second, third) = (claim(1), claim(u128::MAX), claim(3));
    same!(
        told(store.claim_create(&ana, msg, first).await)?,
        None,
        "first"
    );
    for other in [second, first] {
        let there = told(store.claim_create(&ana, msg, other).await)?;
        same!(there, Some(first), "a claim that is there stays");
    }
    let bo = told(store.claim_create(&name("bo"), msg, second).await)?;
    same!(bo, None, "another user's");
    let other = MsgId::from(fresh());
    same!(
        told(store.claim_create(&ana, other, second).await)?,
        None,
        "another message's"
    );

    told(store.replace_claim(&ana, msg, second, third).await)?;
    let there = told(store.claim_create(&ana, msg, third).await)?;
    same!(
        there,
        Some(first),
        "replaced though it was not the stale one"
    );
    told(store.replace_claim(&ana, msg, first, third).await)?;
    let there = told(store.claim_create(&ana, msg, first).await)?;
    same!(there, Some(third), "not replaced");
    let unknown = MsgId::from(fresh());
    told(store.replace_claim(&ana, unknown, first, third).await)?;
    let there = told(store.claim_create(&ana, unknown, second).await)?;
    same!(there, None, "a claim replaced where none was");
    Ok(())
}

fn fields(text: &str, public: bool) -> RoomRecord {
    RoomRecord {
        kind: RoomKind::Group,
        name: Some(text.into()),
        topic: None,
        public,
        retention_ms: Some(7),
        created_at: at(5),
    }
}

fn member(user: &str, role: Option<Role>) -> MemberRecord {
    MemberRecord {
        user_id: name(user),
        role,
        joined_at: at(1),
        joined_seq: Seq::FIRST,
        muted: None,
        banned: None,
    }
}

fn delta(applied: u64, room: Option<RoomRecord>) -> RoomDelta {
    RoomDelta {
        room,
        ..RoomDelta::reached(Seq::new(applied))
    }
}

async fn projection(store: &dyn RoomDirectory) -> Verdict {
    let (id, other) = (room(), room());
    same!(told(store.snapshot(id).await)?, None, "never applied");
    let mut banned = member("zoe", None);
    banned.banned = Some(Restriction { until: None });
    banned.muted = Some(Restriction {
        until: Some(at(99)),
    });
    let mut step = delta(2, Some(fields("one", false)));
    step.changed = vec![
        banned.clone(),
        member("ana", Some(Role::Owner)),
        member("bo", Some(Role::Reader)),
    ];
    told(store.apply(id, step.clone()).await)?;
    let mut neighbour = delta(1, Some(fields("other", false)));
    neighbour.changed = vec![member("cy", Some(Role::Member))];
    told(store.apply(other, neighbour).await)?;
    let first = told(store.snapshot(id).await)?.ok_or("no snapshot")?;
    same!(first.room, fields("one", false), "fields");
    same!(first.applied, Seq::new(2), "applied");
    let wanted = [
        member("ana", Some(Role::Owner)),
        member("bo", Some(Role::Reader)),
        banned.clone(),
    ];
    same!(first.members, wanted, "members in id order");

    let mut late = delta(2, Some(fields("late", true)));
    late.removed = vec![name("ana")];
    told(store.apply(id, late.clone()).await)?;
    late.applied = Seq::FIRST;
    told(store.apply(id, late).await)?;
    let unmoved = told(store.snapshot(id).await)?;
    same!(
        unmoved,
        Some(first),
        "a delta that is not above changed something"
    );

    let mut next = delta(9, None);
    next.changed = vec![member("bo", Some(Role::Admin))];
    next.removed = vec![name("ana"), name("nobody")];
    told(store.apply(id, next).await)?;
    told(store.apply(id, RoomDelta::reached(Seq::new(11))).await)?;
    let moved = told(store.snapshot(id).await)?.ok_or("no snapshot")?;
    same!(
        moved.room,
        fields("one", false),
        "fields that did not change"
    );
    same!(moved.applied, Seq::new(11), "applied");
    same!(
        moved.members,
        [member("bo", Some(Role::Admin)), banned],
        "members"
    );
    Ok(())
}

async fn public(store: &dyn RoomDirectory) -> Verdict {
    let mut rooms: Vec<RoomId> = (0..7).map(|_| room()).collect();
    for id in &rooms {
        told(store.apply(*id, delta(1, Some(fields("p", true)))).await)?;
    }
    rooms.sort();
    let gone = rooms.remove(3);
    told(store.apply(gone, delta(2, Some(fields("p", false)))).await)?;
    told(store.apply(gone, delta(1, Some(fields("p", true)))).await)?;
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = told(store.public_rooms(after, 2).await)?;
        promise!(page.rooms.len() <= 2, "a page is too long");
        listed.extend(page.rooms);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    same!(listed, rooms, "public rooms");
    Ok(())
}

async fn index(store: &dyn RoomDirectory) -> Verdict {
    // One name begins with the other.
    let (ann, anna): (UserId, UserId) = (name("ann"), name("anna"));
    let mut rooms: Vec<RoomId> = (0..5).map(|_| room()).collect();
    rooms.sort();
    for id in rooms.iter().rev() {
        told(
            store
                .index(*id, vec![ann.clone(), name("other")], Seq::new(1))
                .await,
        )?;
        told(store.index(*id, vec![ann.clone()], Seq::new(5)).await)?;
    }
    let of_anna = room();
    told(store.index(of_anna, vec![anna.clone()], Seq::new(1)).await)?;
    let page = told(store.rooms_of(&ann, None, 3).await)?;
    same!(page.rooms, rooms[..3], "first page");
    same!(page.next, Some(rooms[2]), "next");
    let page = told(store.rooms_of(&ann, page.next, 3).await)?;
    same!(page.rooms, rooms[3..], "second page");
    same!(page.next, None, "end");
    same!(
        told(store.rooms_of(&ann, None, 5).await)?.next,
        None,
        "end of an exact page"
    );
    same!(
        told(store.rooms_of(&anna, None, 9).await)?.rooms,
        [of_anna],
        "another user"
    );
    let nobody = told(store.rooms_of(&name("nobody"), None, 9).await)?;
    same!(nobody.rooms, [], "a user without rooms");

    told(
        store
            .unindex(rooms[1], vec![ann.clone(), name("nobody")], Seq::new(6))
            .await,
    )?;
    told(
        store
            .unindex(rooms[1], vec![ann.clone()], Seq::new(6))
            .await,
    )?;
    let left = told(store.rooms_of(&ann, None, 9).await)?.rooms;
    same!(
        left,
        [rooms[0], rooms[2], rooms[3], rooms[4]],
        "after taking one"
    );
    let others = told(store.rooms_of(&name("other"), None, 9).await)?.rooms;
    same!(others, rooms, "the list of another");
    late_removals(store, &ann, &rooms).await
}

/// Expects that `rooms` but the second are in the list of `ann`, who came into them at 5.
async fn late_removals(store: &dyn RoomDirectory, ann: &UserId, rooms: &[RoomId]) -> Verdict {
    // Late, and once more after an older one: what is newer stays.
    told(
        store
            .unindex(rooms[2], vec![ann.clone()], Seq::new(4))
            .await,
    )?;
    told(store.index(rooms[2], vec![ann.clone()], Seq::new(2)).await)?;
    told(
        store
            .unindex(rooms[2], vec![ann.clone()], Seq::new(4))
            .await,
    )?;
    told(store.index(rooms[1], vec![ann.clone()], Seq::new(7)).await)?;
    told(
        store
            .unindex(rooms[1], vec![ann.clone()], Seq::new(6))
            .await,
    )?;
    let left = told(store.rooms_of(ann, None, 9).await)?.rooms;
    same!(left, rooms, "after removals that came late");
    Ok(())
}

async fn receipts(store: &dyn RoomDirectory) -> Verdict {
    let (id, other) = (room(), room());
    let receipt = |room_id, user: &str, delivered, read| ReceiptRecord {
        room_id,
        user_id: name(user),
        delivered: Seq::new(delivered),
        read: Seq::new(read),
    };
    same!(told(store.receipts(id).await)?, [], "none yet");
    let first = vec![
        receipt(id, "bo", 5, 2),
        receipt(id, "ana", 3, 3),
        receipt(other, "bo", 9, 9),
    ];
    told(store.put_receipts(first).await)?;
    told(store.put_receipts(vec![receipt(id, "bo", 4, 4)]).await)?;
    told(store.put_receipts(vec![receipt(id, "bo", 1, 1)]).await)?;
    // Twice in one call: the higher of each.
    let twice = vec![receipt(id, "ana", 7, 3), receipt(id, "ana", 6, 6)];
    told(store.put_receipts(twice).await)?;
    let mut there = told(store.receipts(id).await)?;
    there.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    same!(
        there,
        [receipt(id, "ana", 7, 6), receipt(id, "bo", 5, 4)],
        "receipts"
    );
    same!(
        told(store.receipts(other).await)?,
        [receipt(other, "bo", 9, 9)],
        "another room's"
    );
    Ok(())
}
