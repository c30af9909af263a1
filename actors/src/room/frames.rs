//! Handlers of client frames and of what sessions ask.

use actix::prelude::*;
use parlor_schema::{
    RoomId, UserId,
    envelope::{Envelope, TypingEdge},
    frame::{
        Ack, ClientFrame, Refusal, ServerFrame,
        ack::{MembersAck, RoomAck},
        client::{Receipt, RoomMembers},
        fingerprint,
    },
    limits::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, RECEIPT_FLUSH_MS, TYPING_MS},
    room::Member,
};

use super::{
    Core, Room, Waiting, answer,
    ask::{Ask, Deliver, Ephemeral, EphemeralKey, Look, ReadPage, RoleOf, Via},
    hear::PLACES_TOLD_MS,
    live::ReceiptKind,
    members::Access,
    pages::KEPT_MS,
    read,
    state::{Facts, Pending, RoomState, Ticket},
    visible,
};
use crate::{fanout::Fanout, fetch::fetch_from, scratch};

impl Handler<Ask> for Room {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        self.fetch();
        self.handled += 1;
        let kept = self.ready(
            ask,
            |ask| Waiting::Ask(Box::new(ask)),
            |ask, refusal| ask.reply.give(Err(refusal)),
        );
        let Some((ask, _)) = kept else { return };
        self.quiet_since = self.env.ports.clock.monotonic_ms();
        if self.is_doubtful(&ask.caller.user_id, Some(&ask.frame)) {
            return self.doubt(Waiting::Ask(Box::new(ask)), ctx);
        }
        if ask.frame.needs_msg_id() {
            return self.submit(ask, ctx);
        }
        let user = ask.caller.user_id.clone();
        match ask.frame {
            ClientFrame::RoomGet(_) => {
                self.look(user, ctx, move |seen| {
                    ask.reply
                        .give(seen.map(|seen| Ack::Room(RoomAck { room: seen.room })))
                });
            }
            ClientFrame::HistoryGet(history) => match read::check(&history).and_then(|limit| {
                let state = self.state()?;
                visible(state, &user, self.env.ports.clock.now())?;
                Ok((limit, self.reader(state)))
            }) {
                Ok((limit, reader)) => {
                    ctx.spawn(
                        async move { ask.reply.give(reader.history(user, history, limit).await) }
                            .into_actor(self),
                    );
                }
                Err(refusal) => ask.reply.give(Err(refusal)),
            },
            ClientFrame::RoomMembers(list) => ask.reply.give(self.list_members(&user, &list)),
            ClientFrame::ReceiptDelivered(receipt) => {
                let said = self.receipt(&user, &receipt, ReceiptKind::Delivered, ctx);
                ask.reply.give(said);
            }
            ClientFrame::ReceiptRead(receipt) => {
                let said = self.receipt(&user, &receipt, ReceiptKind::Read, ctx);
                ask.reply.give(said);
            }
            ClientFrame::TypingStart(_) => {
                ask.reply.give(self.typing(&user, TypingEdge::Start, ctx))
            }
            ClientFrame::TypingStop(_) => ask.reply.give(self.typing(&user, TypingEdge::Stop, ctx)),
            other => ask.reply.give(Err(Refusal::not_served(other.kind()))),
        }
    }
}

impl Room {
    pub(super) fn state(&self) -> Result<&RoomState, Refusal> {
        match &self.core {
            Core::Ready(state) => Ok(state),
            Core::Loading(_) => Err(Refusal::unavailable("the room is starting")),
            Core::Failed(refusal) => Err(refusal.clone()),
        }
    }

    /// Asks for all of the room: a frame goes through most of it.
    fn fetch(&self) {
        fetch_from(&self.id, size_of::<Self>());
        if let Core::Ready(state) = &self.core {
            fetch_from(&state.id, size_of::<RoomState>());
        }
    }

    fn submit(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        let Some(msg_id) = ask.msg_id else {
            return ask.reply.give(Err(Refusal::bad_field("msg_id", "missing")));
        };
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.replies.put(ticket, ask.reply);
        // The event of the frame will put this one out of the ring, and go to these sessions.
        if let Some(old) = self.ring.leaving() {
            old.fetch();
        }
        self.expect(Fanout::expect_places);
        let fingerprint = fingerprint(&ask.frame);
        let pending = Pending {
            ticket,
            caller: ask.caller,
            msg_id,
            fingerprint,
            frame: ask.frame,
            facts: Facts {
                knowledge: self.knowledge(),
                ..Facts::default()
            },
        };
        // A room is made here: it is empty, and nobody else has a frame for it.
        let is_new = matches!(pending.frame, ClientFrame::RoomCreate(_));
        match ask.via {
            Via::Session if !is_new => self.pass(pending, ctx),
            Via::Session | Via::Node => self.submit_here(pending, ctx),
        }
    }

    fn list_members(&self, user: &UserId, list: &RoomMembers) -> Result<Ack, Refusal> {
        self.member_only(user)?;
        let state = self.state()?;
        let now = self.env.ports.clock.now();
        let after = match &list.after {
            None => None,
            Some(text) => Some(
                text.parse::<UserId>()
                    .map_err(|_| Refusal::bad_field("after", "not a page"))?,
            ),
        };
        let limit = page_limit(list.limit)?;
        let mut members: Vec<Member> = state
            .members
            .after(after.as_ref())
            .take(limit + 1)
            .map(|(user, person, role)| {
                let mute = person.mute_at(now);
                Member {
                    user_id: user.clone(),
                    role,
                    joined_at: person.joined_at,
                    muted_until: mute.and_then(|mute| mute.until),
                    muted: mute.is_some(),
                }
            })
            .collect();
        let more = members.len() > limit;
        members.truncate(limit);
        let next = members
            .last()
            .filter(|_| more)
            .map(|member| member.user_id.to_string());
        Ok(Ack::Members(MembersAck { members, next }))
    }

    /// Checks that the user is a member; others hear as much as they may.
    fn member_only(&self, user: &UserId) -> Result<Access, Refusal> {
        match visible(self.state()?, user, self.env.ports.clock.now())? {
            Access::Guest => Err(Refusal::forbidden("only members may do this")),
            access => Ok(access),
        }
    }

    fn receipt(
        &mut self,
        user: &UserId,
        receipt: &Receipt,
        kind: ReceiptKind,
        ctx: &mut Context<Self>,
    ) -> Result<Ack, Refusal> {
        self.member_only(user)?;
        let id = self.id;
        let Core::Ready(state) = &mut self.core else {
            return Err(Refusal::unavailable("the room is starting"));
        };
        let head = state.head();
        let moved = self
            .live
            .receipt(id, &mut state.members, head, user, kind, receipt.seq);
        let (kept, frame) = moved.ok_or_else(|| Refusal::not_found("room"))?;
        if let Some(frame) = frame {
            self.show_place(frame);
            self.news.note_place(user);
            self.arm(PLACES_TOLD_MS, ctx);
            self.arm(RECEIPT_FLUSH_MS, ctx);
        }
        Ok(Ack::seq(kept))
    }

    fn typing(
        &mut self,
        user: &UserId,
        edge: TypingEdge,
        ctx: &mut Context<Self>,
    ) -> Result<Ack, Refusal> {
        let Access::Member(role) = self.member_only(user)? else {
            return Err(Refusal::not_found("room"));
        };
        if role < parlor_schema::Role::Member {
            return Err(Refusal::forbidden("readers do not type"));
        }
        let key = EphemeralKey::Typing(self.id, user.clone());
        let frame = if edge == TypingEdge::Start {
            let mute = self
                .state()?
                .members
                .get(user)
                .and_then(|person| person.mute_at(self.env.ports.clock.now()));
            if let Some(mute) = mute {
                return Err(
                    Refusal::new(parlor_schema::ErrorCode::Muted, "you are muted")
                        .until(mute.until),
                );
            }
            let now = self.env.ports.clock.monotonic_ms();
            self.arm(TYPING_MS + 50, ctx);
            Some(self.live.typing_start(self.id, user, now))
        } else {
            self.live.typing_stop(self.id, user)
        };
        if let Some(frame) = frame {
            self.send_ephemeral(key, &ServerFrame::Typing(frame), Some(user.clone()));
            let typing = || Envelope::Typing {
                room_id: self.id,
                user_id: user.clone(),
                edge,
            };
            self.env.places.tell(self.id, typing);
        }
        Ok(Ack::empty())
    }

    pub(super) fn send_ephemeral(
        &self,
        key: EphemeralKey,
        frame: &ServerFrame,
        except: Option<UserId>,
    ) {
        if self.interest.is_empty() {
            return;
        }
        let bytes = scratch::text(|text| {
            frame.write_into(None, text);
            self.env.ports.wire.text(text)
        });
        let ephemeral = std::sync::Arc::new(Ephemeral {
            room: self.id,
            key,
            bytes,
            except,
        });
        for target in &self.interest {
            // When full: dropped, as everything ephemeral is before any event.
            if !target.to.deliver(Deliver::Ephemeral(ephemeral.clone())) {
                self.env.metrics.ephemeral_dropped.inc();
            }
        }
    }
}

/// Reads the `limit` of a list.
///
/// # Errors
/// `bad_frame` below 1.
pub(crate) fn page_limit(limit: Option<u32>) -> Result<usize, Refusal> {
    match limit.unwrap_or(PAGE_LIMIT_DEFAULT) {
        0 => Err(Refusal::bad_field("limit", "at least 1")),
        limit => Ok(limit.min(PAGE_LIMIT_MAX) as usize),
    }
}

impl Handler<Look> for Room {
    type Result = ();

    fn handle(&mut self, look: Look, ctx: &mut Self::Context) {
        self.handled += 1;
        let kept = self.ready(look, Waiting::Look, |look, refusal| {
            answer(look.reply, Err(refusal))
        });
        let Some((look, _)) = kept else { return };
        self.quiet_since = self.env.ports.clock.monotonic_ms();
        if self.is_doubtful(&look.user, None) {
            return self.doubt(Waiting::Look(look), ctx);
        }
        self.look(look.user, ctx, move |seen| answer(look.reply, seen));
    }
}

impl Handler<ReadPage> for Room {
    type Result = ();

    fn handle(&mut self, ask: ReadPage, ctx: &mut Self::Context) {
        self.handled += 1;
        let kept = self.ready(ask, Waiting::Page, |ask, refusal| {
            answer(ask.reply, Err(refusal))
        });
        let Some((ask, _)) = kept else { return };
        let state = match self
            .state()
            .and_then(|state| visible(state, &ask.user, self.env.ports.clock.now()).map(|_| state))
        {
            Ok(state) => state,
            Err(refusal) => return answer(ask.reply, Err(refusal)),
        };
        let reader = self.reader(state);
        if reader.horizon.is_none()
            && let Some(page) = read::page_from_ring(self.id, &self.ring, ask.after, state.head())
        {
            return answer(ask.reply, Ok(page));
        }
        self.env.metrics.pulls.inc();
        ctx.spawn(async move { answer(ask.reply, reader.page(ask.after).await) }.into_actor(self));
        self.arm(KEPT_MS, ctx);
    }
}

impl Handler<RoleOf> for Room {
    type Result = ();

    fn handle(&mut self, ask: RoleOf, ctx: &mut Self::Context) {
        self.handled += 1;
        let kept = self.ready(ask, Waiting::RoleOf, |ask, refusal| {
            answer(ask.reply, Err(refusal))
        });
        let Some((ask, _)) = kept else { return };
        if self.is_doubtful(&ask.caller, None) {
            return self.doubt(Waiting::RoleOf(ask), ctx);
        }
        let role = self.state().and_then(|state| {
            visible(state, &ask.caller, self.env.ports.clock.now())?;
            Ok(state.members.member(&ask.user).map(|(_, role)| role))
        });
        answer(ask.reply, role);
    }
}

/// Names the room a frame is about, where it is about one.
#[must_use]
pub fn room_of(frame: &ClientFrame) -> Option<RoomId> {
    use ClientFrame as F;
    Some(match frame {
        F::RoomUpdate(p) => p.room_id,
        F::RoomJoin(p)
        | F::RoomLeave(p)
        | F::RoomUnsubscribe(p)
        | F::RoomGet(p)
        | F::TypingStart(p)
        | F::TypingStop(p) => p.room_id,
        F::RoomInvite(p) => p.room_id,
        F::RoomRemove(p) | F::RoomBan(p) | F::RoomUnban(p) | F::RoomMute(p) | F::RoomUnmute(p) => {
            p.room_id
        }
        F::RoomRole(p) => p.room_id,
        F::RoomSubscribe(p) => p.room_id,
        F::RoomMembers(p) => p.room_id,
        F::MessageSend(p) => p.room_id,
        F::ReceiptDelivered(p) | F::ReceiptRead(p) => p.room_id,
        F::HistoryGet(p) => p.room_id,
        _ => return None,
    })
}
