//! Who is in a room, and how timeline events change that: the projection every authorisation rests on.
//!
//! Invariants:
//! - M-1: the fold of a room's events in order, from any snapshot, gives the same members as the fold from the start (rule D).
//! - M-2: a user without role, mute and ban has no entry.

use std::collections::BTreeMap;

use parlor_schema::{
    Event, EventKind, Role, RoomId, RoomKind, Seq, Timestamp, UserId,
    event::{MemberContent, RoomCreatedContent, RoomUpdatedContent},
    record::{MemberRecord, ReceiptRecord, Restriction, RoomDelta, RoomRecord, RoomSnapshot},
};

/// A user as the room knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The role; none when the user is no member.
    pub role: Option<Role>,
    /// Since when.
    pub joined_at: Timestamp,
    /// The position of the event that brought the user in.
    pub joined_seq: Seq,
    /// Set while the user may not write.
    pub muted: Option<Restriction>,
    /// Set while the user may not come back.
    pub banned: Option<Restriction>,
    /// Up to here the user has read.
    pub read: Seq,
    /// Up to here events reached a device.
    pub delivered: Seq,
}

/// What a user may see of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A member, with this role.
    Member(Role),
    /// Nobody in particular, in a public room: may read.
    Guest,
    /// Banned from a public room.
    Banned(Option<Timestamp>),
    /// For this user the room does not exist.
    Hidden,
}

/// The room and its people, as of a position of its timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// The room's fields; none before its first event.
    pub room: Option<RoomRecord>,
    people: BTreeMap<UserId, Person>,
    count: usize,
    owners: usize,
}

impl Members {
    /// Starts from a stored snapshot.
    #[must_use]
    pub fn from_snapshot(snapshot: RoomSnapshot) -> Self {
        let mut members = Self {
            room: Some(snapshot.room),
            ..Self::default()
        };
        for record in snapshot.members {
            let before = record.joined_seq.prev();
            members.put(
                record.user_id,
                Person {
                    role: record.role,
                    joined_at: record.joined_at,
                    joined_seq: record.joined_seq,
                    muted: record.muted,
                    banned: record.banned,
                    read: before,
                    delivered: before,
                },
            );
        }
        members
    }

    /// Puts stored receipts in; they never move a position back.
    pub fn load_receipts(&mut self, receipts: &[ReceiptRecord]) {
        for receipt in receipts {
            if let Some(person) = self.people.get_mut(&receipt.user_id) {
                person.read = person.read.max(receipt.read);
                person.delivered = person.delivered.max(receipt.delivered).max(person.read);
            }
        }
    }

    /// Returns the number of members.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of owners.
    #[must_use]
    pub const fn owners(&self) -> usize {
        self.owners
    }

    /// Finds a person.
    #[must_use]
    pub fn get(&self, user: &UserId) -> Option<&Person> {
        self.people.get(user)
    }

    /// Finds a member.
    #[must_use]
    pub fn member(&self, user: &UserId) -> Option<(&Person, Role)> {
        self.people
            .get(user)
            .and_then(|person| person.role.map(|role| (person, role)))
    }

    /// Finds a member, to move receipts.
    pub fn member_mut(&mut self, user: &UserId) -> Option<&mut Person> {
        self.people
            .get_mut(user)
            .filter(|person| person.role.is_some())
    }

    /// Lists members in id order, after `after`.
    pub fn after<'a>(
        &'a self,
        after: Option<&UserId>,
    ) -> impl Iterator<Item = (&'a UserId, &'a Person, Role)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |user| Excluded(user.clone()));
        self.people
            .range((from, Unbounded))
            .filter_map(|(user, person)| person.role.map(|role| (user, person, role)))
    }

    /// Says what `user` may see at `now`.
    #[must_use]
    pub fn access(&self, user: &UserId, now: Timestamp) -> Access {
        let Some(room) = &self.room else {
            return Access::Hidden;
        };
        let person = self.people.get(user);
        if let Some(role) = person.and_then(|person| person.role) {
            return Access::Member(role);
        }
        if !room.public {
            return Access::Hidden;
        }
        match person.and_then(|person| person.banned) {
            Some(ban) if ban.holds(now) => Access::Banned(ban.until),
            _ => Access::Guest,
        }
    }

    /// Folds one event in; answers the step for the stored projection, none for events that change nothing here.
    pub fn apply(&mut self, event: &Event) -> Option<RoomDelta> {
        let mut delta = RoomDelta::reached(event.seq);
        match event.kind {
            EventKind::RoomCreated => self.apply_created(event, &mut delta),
            EventKind::RoomUpdated => self.apply_updated(event, &mut delta),
            kind if kind.changes_room() => self.apply_member(event, &mut delta),
            _ => return None,
        }
        Some(delta)
    }

    fn apply_created(&mut self, event: &Event, delta: &mut RoomDelta) {
        let Ok(content) = event.content::<RoomCreatedContent>() else {
            return;
        };
        self.room = Some(RoomRecord {
            kind: content.kind,
            name: content.name,
            topic: content.topic,
            public: content.public,
            retention_ms: content.retention_ms,
            created_at: event.sent_at,
        });
        delta.room.clone_from(&self.room);
        for user in content.members {
            let owner = user == event.sender || content.kind == RoomKind::Direct;
            self.enter(&user, if owner { Role::Owner } else { Role::Member }, event);
            self.note(&user, delta);
        }
    }

    fn apply_updated(&mut self, event: &Event, delta: &mut RoomDelta) {
        let (Ok(content), Some(room)) = (event.content::<RoomUpdatedContent>(), &mut self.room)
        else {
            return;
        };
        if let Some(name) = content.name {
            room.name = name;
        }
        if let Some(topic) = content.topic {
            room.topic = topic;
        }
        if let Some(public) = content.public {
            room.public = public;
        }
        if let Some(retention) = content.retention_ms {
            room.retention_ms = retention;
        }
        delta.room = Some(room.clone());
    }

    fn apply_member(&mut self, event: &Event, delta: &mut RoomDelta) {
        let Ok(content) = event.content::<MemberContent>() else {
            return;
        };
        let user = content.user_id;
        let restriction = Some(Restriction {
            until: content.until,
        });
        match event.kind {
            EventKind::MemberJoined | EventKind::MemberInvited => {
                self.enter(&user, content.role.unwrap_or(Role::Member), event);
            }
            EventKind::MemberRole => self.change(&user, |person| {
                if person.role.is_some() {
                    person.role = content.role;
                }
            }),
            EventKind::MemberLeft | EventKind::MemberRemoved => self.change(&user, |person| {
                person.role = None;
                person.muted = None;
            }),
            EventKind::MemberBanned => {
                if !self.people.contains_key(&user) {
                    self.put(user.clone(), Person::outside(event));
                }
                self.change(&user, |person| {
                    person.role = None;
                    person.muted = None;
                    person.banned = restriction;
                });
            }
            EventKind::MemberUnbanned => self.change(&user, |person| person.banned = None),
            EventKind::MemberMuted => self.change(&user, |person| {
                person.muted = restriction.filter(|_| person.role.is_some());
            }),
            EventKind::MemberUnmuted => self.change(&user, |person| person.muted = None),
            _ => {}
        }
        self.note(&user, delta);
    }

    fn enter(&mut self, user: &UserId, role: Role, event: &Event) {
        let person = Person {
            role: Some(role),
            ..Person::outside(event)
        };
        self.put(user.clone(), person);
    }

    fn put(&mut self, user: UserId, person: Person) {
        self.take_counts(&user);
        self.add_counts(&person);
        self.people.insert(user, person);
    }

    fn change(&mut self, user: &UserId, change: impl FnOnce(&mut Person)) {
        self.take_counts(user);
        let Some(person) = self.people.get_mut(user) else {
            return;
        };
        change(person);
        let now = person.clone();
        self.add_counts(&now);
        if now.role.is_none() && now.muted.is_none() && now.banned.is_none() {
            self.people.remove(user);
        }
    }

    fn take_counts(&mut self, user: &UserId) {
        let role = self.people.get(user).and_then(|person| person.role);
        self.count -= usize::from(role.is_some());
        self.owners -= usize::from(role == Some(Role::Owner));
    }

    fn add_counts(&mut self, person: &Person) {
        self.count += usize::from(person.role.is_some());
        self.owners += usize::from(person.role == Some(Role::Owner));
    }

    fn note(&self, user: &UserId, delta: &mut RoomDelta) {
        match self.people.get(user) {
            Some(person) => delta.changed.push(MemberRecord {
                user_id: user.clone(),
                role: person.role,
                joined_at: person.joined_at,
                joined_seq: person.joined_seq,
                muted: person.muted,
                banned: person.banned,
            }),
            None => delta.removed.push(user.clone()),
        }
    }

    /// Returns the receipts of `user`, as a record.
    #[must_use]
    pub fn receipt(&self, room_id: RoomId, user: &UserId) -> Option<ReceiptRecord> {
        self.member(user).map(|(person, _)| ReceiptRecord {
            room_id,
            user_id: user.clone(),
            delivered: person.delivered,
            read: person.read,
        })
    }

    /// Checks M-2 and the counts.
    pub fn check_invariants(&self) {
        let members = self
            .people
            .values()
            .filter(|person| person.role.is_some())
            .count();
        let owners = self
            .people
            .values()
            .filter(|person| person.role == Some(Role::Owner))
            .count();
        debug_assert_eq!(
            (self.count, self.owners),
            (members, owners),
            "counts follow the people"
        );
        debug_assert!(
            self.people
                .values()
                .all(|person| person.role.is_some() || person.banned.is_some()),
            "M-2: nobody is kept for nothing"
        );
    }
}

impl Person {
    fn outside(event: &Event) -> Self {
        Self {
            role: None,
            joined_at: event.sent_at,
            joined_seq: event.seq,
            muted: None,
            banned: None,
            read: event.seq.prev(),
            delivered: event.seq.prev(),
        }
    }

    /// Returns the mute that holds at `now`.
    #[must_use]
    pub fn mute_at(&self, now: Timestamp) -> Option<Restriction> {
        self.muted.filter(|mute| mute.holds(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use parlor_schema::{EventId, MsgId};
    use proptest::prelude::*;

    use super::*;

    fn event(seq: u64, kind: EventKind, content: &str) -> Event {
        Event {
            seq: Seq::new(seq),
            id: EventId::from([1; 16]),
            kind,
            sender: "u0".parse().unwrap(),
            sent_at: Timestamp::from_millis(i64::try_from(seq).unwrap()),
            msg_id: MsgId::from([2; 16]),
            fingerprint: 0,
            content: content.into(),
        }
    }

    fn history(steps: &[(usize, usize)]) -> Vec<Event> {
        let kinds: Vec<EventKind> = EventKind::ALL
            .iter()
            .copied()
            .filter(|kind| kind.number() >= 32)
            .collect();
        let created = r#"{"kind":"group","public":true,"members":["u0","u1"]}"#;
        let mut events = vec![event(1, EventKind::RoomCreated, created)];
        for (step, (kind, user)) in steps.iter().enumerate() {
            let kind = kinds[kind % kinds.len()];
            let role = match kind {
                EventKind::MemberJoined | EventKind::MemberInvited => r#","role":"member""#,
                EventKind::MemberRole => r#","role":"admin""#,
                _ => "",
            };
            events.push(event(
                step as u64 + 2,
                kind,
                &format!(r#"{{"user_id":"u{user}"{role}}}"#),
            ));
        }
        events
    }

    /// Keeps what the directory would keep.
    #[derive(Default)]
    struct Kept {
        room: Option<RoomRecord>,
        members: BTreeMap<UserId, MemberRecord>,
    }

    impl Kept {
        fn apply(&mut self, delta: RoomDelta) {
            self.room = delta.room.or(self.room.take());
            for record in delta.changed {
                self.members.insert(record.user_id.clone(), record);
            }
            for user in delta.removed {
                self.members.remove(&user);
            }
        }

        fn snapshot(&self, applied: Seq) -> RoomSnapshot {
            let members = self.members.values().cloned().collect();
            RoomSnapshot {
                room: self.room.clone().unwrap(),
                applied,
                members,
            }
        }
    }

    proptest! {
        #[test]
        fn any_snapshot_and_the_rest_of_the_events_give_the_same_members(
            steps in prop::collection::vec((0_usize..32, 0_usize..4), 0..40),
            cut in 0_usize..40,
        ) {
            let events = history(&steps);
            let cut = cut.min(steps.len()) + 1;
            let (mut whole, mut kept) = (Members::default(), Kept::default());
            for event in &events[..cut] {
                if let Some(delta) = whole.apply(event) {
                    kept.apply(delta);
                }
                whole.check_invariants();
            }
            let mut healed = Members::from_snapshot(kept.snapshot(Seq::new(cut as u64)));
            for event in &events[cut..] {
                whole.apply(event);
                healed.apply(event);
            }
            healed.check_invariants();
            prop_assert_eq!(healed, whole);
        }
    }
}
