//! The room as a user sees it.

use std::sync::Arc;

use actix::prelude::*;
use parlor_schema::{
    Event, EventKind, RoomKind, Seq, UserId,
    event::Viewer,
    frame::Refusal,
    limits::HISTORY_BYTES_MAX,
    port::{Direction, ReadRange, StoreError, Timeline},
    room::{Mode, OwnState, Room as RoomFrame},
};
use serde_json::value::RawValue;

use super::{
    Room, Waiting, answer,
    ask::{Seen, Summarise, Summary},
    members::Access,
    pages::KEPT_MS,
    state::RoomState,
    unread::Counts,
    visible,
};

impl Room {
    /// Describes the room to `user`, and hands the answer to `then`: at once where memory holds all, else after a read.
    pub(super) fn look(
        &mut self,
        user: UserId,
        ctx: &mut Context<Self>,
        then: impl FnOnce(Result<Seen, Refusal>) + 'static,
    ) {
        let described = self.state().and_then(|state| {
            let access = visible(state, &user, self.env.ports.clock.now())?;
            let room = self
                .describe(state, &user, state.head())
                .ok_or_else(|| Refusal::not_found("room"))?;
            Ok((state, access, room))
        });
        let (state, access, mut room) = match described {
            Ok(described) => described,
            Err(refusal) => return then(Err(refusal)),
        };
        let reader = self.reader(state);
        let counts = match (access, room.own) {
            (Access::Member(_), Some(own)) => self.counts_at_hand(&user, own.read, state.head()),
            _ => Some(Counts::default()),
        };
        if let (Some(counts), None) = (counts, reader.horizon) {
            put(&mut room, counts);
            return then(Ok(Seen {
                room,
                first: Seq::FIRST,
            }));
        }
        let work = async move {
            let first = reader.first().await?;
            let read = room
                .own
                .map_or(reader.head, |own| own.read)
                .max(first.prev());
            let counts = reader.count(&user, read, first).await?;
            put(&mut room, counts);
            Ok::<_, StoreError>(Seen { room, first })
        };
        ctx.spawn(async move { then(work.await.map_err(Refusal::from)) }.into_actor(self));
        self.arm(KEPT_MS, ctx);
    }

    /// Describes the room as `room.added` does: as it was just before the event that brings the user in.
    pub(super) fn added_room(&self, user: &UserId, head: Seq) -> Option<RoomFrame> {
        let state = self.state().ok()?;
        self.describe(state, user, head)
    }

    fn describe(&self, state: &RoomState, user: &UserId, head: Seq) -> Option<RoomFrame> {
        let record = state.members.room.as_ref()?;
        let member = state.members.member(user);
        let peer = match record.kind {
            RoomKind::Direct => state
                .members
                .after(None)
                .map(|(id, ..)| id)
                .find(|id| *id != user)
                .cloned(),
            RoomKind::Group | RoomKind::Channel => None,
        };
        Some(RoomFrame {
            room_id: self.id,
            kind: record.kind,
            name: record.name.clone(),
            topic: record.topic.clone(),
            public: record.public,
            retention_ms: record.retention_ms,
            created_at: record.created_at,
            head,
            peer,
            own: member.map(|(person, role)| OwnState {
                role,
                read: person.read,
                delivered: person.delivered,
                unread: 0,
                mentions: 0,
                mode: Mode::None,
            }),
        })
    }

    fn counts_at_hand(&self, user: &UserId, read: Seq, head: Seq) -> Option<Counts> {
        if read >= head {
            return Some(Counts::default());
        }
        let mut counts = Counts::default();
        for packet in self.ring.after(read)?.rev() {
            if !counts.add(&packet.event, user, true) {
                break;
            }
        }
        Some(counts)
    }
}

fn put(room: &mut RoomFrame, counts: Counts) {
    if let Some(own) = &mut room.own {
        own.unread = counts.unread;
        own.mentions = counts.mentions;
    }
}

impl Handler<Summarise> for Room {
    type Result = ();

    fn handle(&mut self, ask: Summarise, ctx: &mut Self::Context) {
        self.handled += 1;
        let kept = self.ready(ask, Waiting::Summarise, |ask, refusal| {
            answer(ask.reply, Err(refusal))
        });
        let Some((ask, _)) = kept else { return };
        let (timeline, id) = (self.env.ports.timeline.clone(), self.id);
        let known = self.last_message.clone();
        let user = ask.user.clone();
        let reply = ask.reply;
        self.look(ask.user, ctx, move |seen| {
            let work = async move {
                let seen = seen?;
                let head = seen.room.head;
                let last = match known {
                    Some(event) => Some(event),
                    None => last_message(&*timeline, id, head).await?,
                };
                let (unread, mentions) = seen
                    .room
                    .own
                    .map_or((0, 0), |own| (own.unread, own.mentions));
                let last = last.and_then(|event| payload(id, &event, &user));
                Ok(Summary {
                    head,
                    unread,
                    mentions,
                    last,
                })
            };
            actix_rt::spawn(async move { answer(reply, work.await) });
        });
    }
}

/// Events near the head among which the last message is looked for.
const NEAR: usize = 64;

async fn last_message(
    timeline: &dyn Timeline,
    room: parlor_schema::RoomId,
    head: Seq,
) -> Result<Option<Arc<Event>>, Refusal> {
    let range = ReadRange {
        from: Seq::FIRST,
        to: head,
        direction: Direction::Down,
        limit: NEAR,
        bytes: HISTORY_BYTES_MAX,
    };
    let events = timeline.recent(room, range).await?;
    Ok(events
        .into_iter()
        .rfind(|event| event.kind == EventKind::Message))
}

fn payload(room: parlor_schema::RoomId, event: &Event, user: &UserId) -> Option<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Frame {
        payload: Box<RawValue>,
    }
    let viewer = if event.sender == *user {
        Viewer::Sender
    } else {
        Viewer::Other
    };
    serde_json::from_str::<Frame>(&event.frame(room, viewer))
        .ok()
        .map(|frame| frame.payload)
}
