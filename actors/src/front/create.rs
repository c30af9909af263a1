//! Creating rooms: one per (user, `msg_id`), one direct room per pair, whatever crashes in between.
//!
//! A claim in the directory fixes the room's id before its first event is written; a retry, on any node, finds the claim and goes on from there.
//! The id of a direct room is made from the pair, so that both who ask at once mean the same room.

use parlor_schema::{
    ErrorCode, MsgId, RoomId, RoomKind, Seq, UserId,
    frame::{
        Ack, ClientFrame, Refusal,
        ack::{CreatedAck, Duplicate},
        client::{Caller, RoomCreate},
        fingerprint,
    },
    limits::USERS_PER_FRAME_MAX,
    record::CreateClaim,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Front, Reply, done};
use crate::room::{decide, reply, state::KnownUsers};

impl Front {
    pub(super) fn create(
        &self,
        caller: Caller,
        msg_id: Option<MsgId>,
        create: RoomCreate,
    ) -> Reply<Ack> {
        let Some(msg_id) = msg_id else {
            return done(Err(Refusal::bad_field("msg_id", "missing")));
        };
        let front = self.clone();
        Box::pin(async move { front.create_now(caller, msg_id, create).await })
    }

    async fn create_now(
        self,
        caller: Caller,
        msg_id: MsgId,
        create: RoomCreate,
    ) -> Result<Ack, Refusal> {
        let others = check(&caller.user_id, &create)?;
        let frame = ClientFrame::RoomCreate(create.clone());
        let fresh = match (create.kind, others.first()) {
            (RoomKind::Direct, Some(peer)) => direct_room(&caller.user_id, peer),
            _ => RoomId::new(self.ports.ids.uuid(self.ports.clock.now())),
        };
        let claim = CreateClaim {
            room_id: fresh,
            fingerprint: fingerprint(&frame),
        };
        let room = self.claim(&caller.user_id, msg_id, claim, others).await?;
        let answer = self
            .ask_room(room, caller.clone(), Some(msg_id), frame)
            .await;
        match answer {
            // The pair has its room already: that one is the answer.
            Err(refusal)
                if refusal.code == ErrorCode::Conflict
                    && refusal.field.is_none()
                    && create.kind == RoomKind::Direct =>
            {
                let seen = self.look(room, &caller.user_id).await?;
                Ok(Ack::Created(CreatedAck {
                    room: seen.room,
                    duplicate: Duplicate::Yes,
                }))
            }
            answer => answer,
        }
    }

    /// Fixes the room's id; users are looked for only when nothing was made yet, so that a retry is answered from memory.
    async fn claim(
        &self,
        user: &UserId,
        msg_id: MsgId,
        claim: CreateClaim,
        others: Vec<UserId>,
    ) -> Result<RoomId, Refusal> {
        let Some(earlier) = self
            .ports
            .directory
            .claim_create(user, msg_id, claim)
            .await?
        else {
            self.all_known(others).await?;
            return Ok(claim.room_id);
        };
        if earlier.fingerprint == claim.fingerprint {
            if self.ports.timeline.head(earlier.room_id).await? == Seq::ZERO {
                self.all_known(others).await?;
            }
            return Ok(earlier.room_id);
        }
        if self.claimed_room_exists(user, msg_id, earlier).await? {
            return Err(reply::other_payload());
        }
        // Only stored effects are remembered: an earlier frame that was refused does not count.
        self.all_known(others).await?;
        self.ports
            .directory
            .replace_claim(user, msg_id, earlier, claim)
            .await?;
        Ok(claim.room_id)
    }

    /// Tells whether the claimed room was really made by this frame; a direct room may be older than the claim. Where retention has removed the
    /// first event the window of repeats is long over, and the frame is a new one.
    async fn claimed_room_exists(
        &self,
        user: &UserId,
        msg_id: MsgId,
        claim: CreateClaim,
    ) -> Result<bool, Refusal> {
        let range = parlor_schema::port::ReadRange {
            from: Seq::FIRST,
            to: Seq::FIRST,
            direction: parlor_schema::port::Direction::Up,
            limit: 1,
            bytes: 1,
        };
        let first = self.ports.timeline.read(claim.room_id, range).await?;
        Ok(first
            .first()
            .is_some_and(|event| event.sender == *user && event.msg_id == msg_id))
    }

    async fn all_known(&self, users: Vec<UserId>) -> Result<(), Refusal> {
        if users.is_empty() || self.rules.users == KnownUsers::All {
            return Ok(());
        }
        let missing = self.ports.directory.missing_users(users).await?;
        match missing.first() {
            None => Ok(()),
            Some(user) => Err(
                Refusal::new(ErrorCode::NotFound, format!("no such user: {user}")).at("members"),
            ),
        }
    }
}

/// Checks the fields; answers the other members, each once.
fn check(user: &UserId, create: &RoomCreate) -> Result<Vec<UserId>, Refusal> {
    decide::check_fields(
        create.name.as_deref(),
        create.topic.as_deref(),
        create.retention_ms,
    )?;
    let mut others: Vec<UserId> = Vec::new();
    for member in create.members.iter().flatten() {
        if member != user && !others.contains(member) {
            others.push(member.clone());
        }
    }
    if others.len() > USERS_PER_FRAME_MAX {
        return Err(Refusal::bad_field(
            "members",
            format!("at most {USERS_PER_FRAME_MAX}"),
        ));
    }
    if create.kind == RoomKind::Direct {
        if others.len() != 1 {
            return Err(Refusal::bad_field(
                "members",
                "a direct room has exactly one other member",
            ));
        }
        if create.public == Some(true) {
            return Err(Refusal::bad_field(
                "public",
                "a direct room is never public",
            ));
        }
    }
    Ok(others)
}

/// Makes the id of the room of a pair. SHA-256, because who can choose user ids must not be able to meet another pair's room.
fn direct_room(a: &UserId, b: &UserId) -> RoomId {
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    let digest = Sha256::new()
        .chain_update(b"parlor direct room\0")
        .chain_update(first.as_str())
        .chain_update([0])
        .chain_update(second.as_str())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RoomId::new(Uuid::new_v8(bytes))
}
