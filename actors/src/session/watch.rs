//! Watching the presence of others: who shares a room with the user is shown, everyone else is offline.

use actix::prelude::*;
use parlor_schema::{
    UserId,
    frame::{Ack, Refusal, ServerFrame, ack::PresenceAck, server::PresenceEntry},
    limits::WATCHES_MAX,
};

use super::{
    Phase as SessionPhase, Session,
    live::{Rechecking, Shown},
};
use crate::{
    front::{Front, people::offline},
    presence::PresenceChanged,
    room::ask::EphemeralKey,
};

impl Session {
    pub(super) fn watch(
        &mut self,
        users: Vec<UserId>,
        echo: Option<String>,
        ctx: &mut Context<Self>,
    ) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        let fresh = users
            .iter()
            .filter(|user| !live.watched.contains_key(user))
            .count();
        if live.watched.len() + fresh > WATCHES_MAX {
            let refusal = Refusal::bad_field("user_ids", format!("at most {WATCHES_MAX} users"));
            return self.refuse(refusal, echo.as_deref());
        }
        for user in &users {
            live.watched.entry(user.clone()).or_insert(Shown::No);
        }
        self.line.watches.set(true);
        self.line.hand.begin();
        let looking = self.look_at(users, ctx);
        ctx.spawn(looking.into_actor(self).map(move |looked, session, _| {
            session.line.hand.served();
            let reply = looked.map(|looked| {
                let presence = session.shown(looked);
                Ack::Presence(PresenceAck { presence })
            });
            session.reply(reply, echo.as_deref());
        }));
    }

    pub(super) fn unwatch(&mut self, users: &[UserId], echo: Option<&str>) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        for user in users {
            live.watched.remove(user);
        }
        self.line.watches.set(!live.watched.is_empty());
        for user in users {
            self.env.front.presences.unwatch(user, self.line.session);
        }
        self.reply(
            Ok(Ack::Presence(PresenceAck {
                presence: Vec::new(),
            })),
            echo,
        );
    }

    /// Looks again who may be seen, after a membership changed. One look at a time: what changes meanwhile is seen by the next.
    pub(super) fn recheck_watches(&mut self, ctx: &mut Context<Self>) {
        let SessionPhase::Live(live) = &mut self.phase else {
            return;
        };
        if live.rechecking == Rechecking::Yes {
            return self.line.recheck.set(true);
        }
        live.rechecking = Rechecking::Yes;
        let users: Vec<UserId> = live.watched.keys().cloned().collect();
        let before = live.watched.clone();
        let looking = self.look_at(users, ctx);
        ctx.spawn(looking.into_actor(self).map(move |looked, session, _| {
            if let SessionPhase::Live(live) = &mut session.phase {
                live.rechecking = Rechecking::No;
            }
            let Ok(looked) = looked else {
                // The store is away: looked again at the next tick.
                return session.line.recheck.set(true);
            };
            for entry in session.shown(looked) {
                let SessionPhase::Live(live) = &session.phase else {
                    return;
                };
                if live.watched.get(&entry.user_id) != before.get(&entry.user_id) {
                    session.send_presence(entry);
                }
            }
        }));
    }

    fn look_at(
        &self,
        users: Vec<UserId>,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Vec<Looked>, Refusal>> + use<> {
        let own = match &self.phase {
            SessionPhase::Live(live) => Some(live.caller.user_id.clone()),
            SessionPhase::Greeting(_) | SessionPhase::Between(_) => None,
        };
        let (front, session) = (self.env.front.clone(), self.line.session);
        let to: Recipient<PresenceChanged> = ctx.address().recipient();
        async move {
            let Some(own) = own else {
                return Ok(Vec::new());
            };
            let mut looked = Vec::with_capacity(users.len());
            for user in users {
                looked.push(look_at_one(&front, &own, user, session, &to).await?);
            }
            Ok(looked)
        }
    }

    /// Notes who may be seen, and answers the entries as this user sees them.
    fn shown(&mut self, looked: Vec<Looked>) -> Vec<PresenceEntry> {
        let SessionPhase::Live(live) = &mut self.phase else {
            return Vec::new();
        };
        looked
            .into_iter()
            .map(|Looked { entry, shown }| {
                match live.watched.get_mut(&entry.user_id) {
                    Some(watched) => *watched = shown,
                    // Unwatched while it was looked at.
                    None => self
                        .env
                        .front
                        .presences
                        .unwatch(&entry.user_id, self.line.session),
                }
                entry
            })
            .collect()
    }

    fn send_presence(&self, entry: PresenceEntry) {
        let key = EphemeralKey::Presence(entry.user_id.clone());
        let bytes = self
            .env
            .front
            .ports
            .wire
            .text(&ServerFrame::Presence(entry).write(None));
        self.line.outlet.push_ephemeral(&key, bytes);
    }
}

struct Looked {
    entry: PresenceEntry,
    shown: Shown,
}

async fn look_at_one(
    front: &Front,
    own: &UserId,
    user: UserId,
    session: parlor_schema::SessionId,
    to: &Recipient<PresenceChanged>,
) -> Result<Looked, Refusal> {
    if front.share_a_room(own, &user).await? {
        let entry = front.presences.watch(&user, session, to.clone()).await?;
        Ok(Looked {
            entry,
            shown: Shown::Yes,
        })
    } else {
        front.presences.unwatch(&user, session);
        Ok(Looked {
            entry: offline(user),
            shown: Shown::No,
        })
    }
}

impl Handler<PresenceChanged> for Session {
    type Result = ();

    fn handle(&mut self, changed: PresenceChanged, _: &mut Self::Context) {
        let SessionPhase::Live(live) = &self.phase else {
            return;
        };
        // Until the first look is done the user may not be seen; the reply carries the entry.
        if live.watched.get(&changed.entry.user_id) == Some(&Shown::Yes) {
            self.send_presence(changed.entry);
        }
    }
}
