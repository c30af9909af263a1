//! Profiles and presence, as asked by frames.

use parlor_schema::{
    RoomId, UserId,
    frame::{
        Ack, Refusal,
        ack::{User, UserAck},
        client::{Caller, PresenceSet, UserUpdate},
        server::{PresenceEntry, PresenceStatus},
    },
    limits::{AVATAR_BYTES_MAX, NAME_BYTES_MAX, STATUS_BYTES_MAX},
    record::{ProfileChange, UserRecord},
};

use super::{Front, Reply, done};

/// Rooms read at a time.
const STEP: usize = 500;

impl Front {
    pub(super) fn profile(&self, user: UserId) -> Reply<Ack> {
        let directory = self.ports.directory.clone();
        let everyone = self.rules.users == crate::room::state::KnownUsers::All;
        Box::pin(async move {
            match directory.user(&user).await? {
                Some(record) => Ok(user_ack(record)),
                None if everyone => Ok(Ack::User(UserAck {
                    user: User {
                        user_id: user,
                        name: None,
                        avatar: None,
                    },
                })),
                None => Err(Refusal::not_found("user")),
            }
        })
    }

    pub(super) fn update_profile(&self, user: UserId, update: UserUpdate) -> Reply<Ack> {
        for (field, value, max) in [
            ("name", &update.name, NAME_BYTES_MAX),
            ("avatar", &update.avatar, AVATAR_BYTES_MAX),
        ] {
            if value.iter().flatten().any(|text| text.len() > max) {
                return done(Err(Refusal::bad_field(
                    field,
                    format!("at most {max} bytes"),
                )));
            }
        }
        let ports = self.ports.clone();
        let change = ProfileChange {
            name: update.name,
            avatar: update.avatar,
        };
        Box::pin(async move {
            let record = ports
                .directory
                .update_profile(&user, change, ports.clock.now())
                .await?;
            Ok(user_ack(record))
        })
    }

    pub(super) fn set_presence(&self, caller: Caller, set: PresenceSet) -> Reply<Ack> {
        if set
            .text
            .as_ref()
            .is_some_and(|text| text.len() > STATUS_BYTES_MAX)
        {
            return done(Err(Refusal::bad_field(
                "text",
                format!("at most {STATUS_BYTES_MAX} bytes"),
            )));
        }
        let presences = self.presences.clone();
        Box::pin(async move {
            presences
                .set(&caller.user_id, caller.device_id, set.status, set.text)
                .await?;
            Ok(Ack::empty())
        })
    }

    /// Returns the presence of users as `caller` may see it, without watching them.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn presence_of(
        &self,
        caller: &UserId,
        users: Vec<UserId>,
    ) -> Result<Vec<PresenceEntry>, Refusal> {
        let mut entries = Vec::with_capacity(users.len());
        for user in users {
            entries.push(if self.share_a_room(caller, &user).await? {
                self.presences.look(&user).await
            } else {
                offline(user)
            });
        }
        Ok(entries)
    }

    /// Tells whether two users are in a room together. Each is with themselves.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn share_a_room(&self, a: &UserId, b: &UserId) -> Result<bool, Refusal> {
        if a == b {
            return Ok(true);
        }
        let theirs = self.all_rooms_of(b).await?;
        for room in self.all_rooms_of(a).await? {
            if theirs.binary_search(&room).is_err() {
                continue;
            }
            // The lists may hold too much; the room knows.
            let both = self
                .look(room, a)
                .await
                .is_ok_and(|seen| seen.room.own.is_some())
                && matches!(self.role_of(room, a, b).await, Ok(Some(_)));
            if both {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn all_rooms_of(&self, user: &UserId) -> Result<Vec<RoomId>, Refusal> {
        let mut rooms = Vec::new();
        let mut after = None;
        loop {
            let page = self.ports.directory.rooms_of(user, after, STEP).await?;
            rooms.extend(page.rooms);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(rooms),
            }
        }
    }
}

/// Makes the entry of somebody of whom nothing may be known.
#[must_use]
pub fn offline(user_id: UserId) -> PresenceEntry {
    PresenceEntry {
        user_id,
        status: PresenceStatus::Offline,
        text: None,
        last_seen: None,
    }
}

fn user_ack(record: UserRecord) -> Ack {
    Ack::User(UserAck {
        user: User {
            user_id: record.user_id,
            name: record.name,
            avatar: record.avatar,
        },
    })
}
