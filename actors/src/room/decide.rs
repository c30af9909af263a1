//! Deciding a frame that wants to append: refused, answered without an event, or drafted as events.
//!
//! Owns the roles of PROTOCOL section 4. Pure: the same members, frame and time give the same verdict.

use std::sync::Arc;

use parlor_schema::{
    ErrorCode, EventKind, Role, RoomKind, Seq, Timestamp, UserId,
    event::{MemberContent, RoomCreatedContent, RoomUpdatedContent},
    frame::{
        Ack, ClientFrame, Refusal,
        client::{MemberAction, RoomCreate, RoomInvite, RoomRole, RoomUpdate},
    },
    limits::{NAME_BYTES_MAX, RETENTION_MS_MIN, TOPIC_BYTES_MAX, USERS_PER_FRAME_MAX},
    record::RoomRecord,
};
use serde::Serialize;

use super::{
    members::{Access, Members},
    message,
    state::{KnownUsers, Lookup, Pending, RoomRules},
};

/// An event without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its kind.
    pub kind: EventKind,
    /// Its content.
    pub content: Arc<str>,
}

/// What becomes of a frame.
#[derive(Debug)]
pub enum Verdict {
    /// It is answered now; nothing is appended.
    Reply(Box<Result<Ack, Refusal>>),
    /// Something must be looked up first.
    Needs(Lookup),
    /// It is a copy of a frame in flight.
    Follows(usize),
    /// These events, which bring these users in.
    Append(Vec<Draft>, Vec<UserId>),
}

impl Verdict {
    /// Makes the verdict that answers now.
    #[must_use]
    pub fn reply(reply: Result<Ack, Refusal>) -> Self {
        Self::Reply(Box::new(reply))
    }

    pub(super) fn one(kind: EventKind, content: &impl Serialize) -> Self {
        Self::Append(vec![draft(kind, content)], Vec::new())
    }

    /// Makes the verdict that appends one event whose content is JSON already.
    pub(super) fn written(kind: EventKind, content: Arc<str>) -> Self {
        Self::Append(vec![Draft { kind, content }], Vec::new())
    }
}

fn draft(kind: EventKind, content: &impl Serialize) -> Draft {
    let content = serde_json::to_string(content).expect("event contents are plain data");
    Draft {
        kind,
        content: content.into(),
    }
}

/// The room, the asking user, and the moment: what every rule below looks at.
pub(super) struct Case<'a> {
    pub(super) members: &'a Members,
    pub(super) room: &'a RoomRecord,
    pub(super) head: Seq,
    pub(super) rules: RoomRules,
    pub(super) user: &'a UserId,
    pub(super) pending: &'a Pending,
    pub(super) now: Timestamp,
}

/// Decides a frame on the state at the durable head.
#[must_use]
pub fn decide(
    members: &Members,
    head: Seq,
    rules: RoomRules,
    pending: &Pending,
    now: Timestamp,
) -> Verdict {
    let decided = match (&pending.frame, &members.room) {
        (ClientFrame::RoomCreate(create), room) => decide_create(room.as_ref(), create, pending),
        (_, None) => Err(Refusal::not_found("room")),
        (_, Some(room)) => decide_in(&Case {
            members,
            room,
            head,
            rules,
            user: &pending.caller.user_id,
            pending,
            now,
        }),
    };
    decided.unwrap_or_else(|refusal| Verdict::reply(Err(refusal)))
}

fn decide_in(case: &Case<'_>) -> Result<Verdict, Refusal> {
    match &case.pending.frame {
        ClientFrame::RoomJoin(_) => case.join(),
        ClientFrame::RoomLeave(_) => case.leave(),
        ClientFrame::RoomUpdate(update) => case.update(update),
        ClientFrame::RoomInvite(invite) => case.invite(invite),
        ClientFrame::RoomRemove(action) => case.put_out(action, EventKind::MemberRemoved),
        ClientFrame::RoomBan(action) => case.put_out(action, EventKind::MemberBanned),
        ClientFrame::RoomUnban(action) => case.unban(action),
        ClientFrame::RoomMute(action) => case.mute(action),
        ClientFrame::RoomUnmute(action) => case.unmute(action),
        ClientFrame::RoomRole(change) => case.role(change),
        ClientFrame::MessageSend(send) => message::decide(case, send),
        other => Err(Refusal::not_served(other.kind())),
    }
}

fn decide_create(
    room: Option<&RoomRecord>,
    create: &RoomCreate,
    pending: &Pending,
) -> Result<Verdict, Refusal> {
    if room.is_some() {
        return Err(Refusal::new(ErrorCode::Conflict, "the room exists"));
    }
    let mut members = vec![pending.caller.user_id.clone()];
    for user in create.members.iter().flatten() {
        if !members.contains(user) {
            members.push(user.clone());
        }
    }
    let content = RoomCreatedContent {
        kind: create.kind,
        name: create.name.clone(),
        topic: create.topic.clone(),
        public: create.public.unwrap_or(false),
        retention_ms: create.retention_ms,
        members: members.clone(),
    };
    Ok(Verdict::Append(
        vec![draft(EventKind::RoomCreated, &content)],
        members,
    ))
}

/// Checks the fields of a room that a client may choose.
///
/// # Errors
/// `bad_frame` with the field to blame.
pub fn check_fields(
    name: Option<&str>,
    topic: Option<&str>,
    retention_ms: Option<u64>,
) -> Result<(), Refusal> {
    let over = |field: &str, max: usize| Refusal::bad_field(field, format!("at most {max} bytes"));
    if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        return Err(over("name", NAME_BYTES_MAX));
    }
    if topic.is_some_and(|topic| topic.len() > TOPIC_BYTES_MAX) {
        return Err(over("topic", TOPIC_BYTES_MAX));
    }
    if retention_ms.is_some_and(|retention| retention < RETENTION_MS_MIN) {
        return Err(Refusal::bad_field(
            "retention_ms",
            format!("at least {RETENTION_MS_MIN}"),
        ));
    }
    Ok(())
}

impl Case<'_> {
    /// Answers with the head: what was asked is so already.
    fn already(&self) -> Verdict {
        Verdict::reply(Ok(Ack::seq(self.head)))
    }

    /// Returns the role of the asking member, or why the user is none.
    pub(super) fn own_role(&self) -> Result<Role, Refusal> {
        match self.members.access(self.user, self.now) {
            Access::Member(role) => Ok(role),
            Access::Guest => Err(Refusal::forbidden("only members may do this")),
            Access::Banned(until) => Err(banned(until)),
            Access::Hidden => Err(Refusal::not_found("room")),
        }
    }

    fn needs(&self, least: Role) -> Result<Role, Refusal> {
        let role = self.own_role()?;
        if role < least {
            Err(Refusal::forbidden("your role does not allow this"))
        } else {
            Ok(role)
        }
    }

    fn not_direct(&self) -> Result<(), Refusal> {
        if self.room.kind == RoomKind::Direct {
            return Err(Refusal::forbidden("a direct room has exactly two members"));
        }
        Ok(())
    }

    fn join(&self) -> Result<Verdict, Refusal> {
        match self.members.access(self.user, self.now) {
            Access::Member(_) => Ok(self.already()),
            Access::Banned(until) => Err(banned(until)),
            Access::Hidden => Err(Refusal::not_found("room")),
            Access::Guest => {
                let role = if self.room.kind == RoomKind::Channel {
                    Role::Reader
                } else {
                    Role::Member
                };
                let content = member(self.user, Some(role));
                Ok(Verdict::Append(
                    vec![draft(EventKind::MemberJoined, &content)],
                    vec![self.user.clone()],
                ))
            }
        }
    }

    fn leave(&self) -> Result<Verdict, Refusal> {
        let role = self.own_role()?;
        self.not_direct()?;
        if role == Role::Owner && self.members.owners() == 1 && self.members.count() > 1 {
            return Err(Refusal::new(
                ErrorCode::Conflict,
                "the last owner cannot leave while others are there",
            ));
        }
        Ok(Verdict::one(
            EventKind::MemberLeft,
            &member(self.user, None),
        ))
    }

    fn update(&self, update: &RoomUpdate) -> Result<Verdict, Refusal> {
        self.needs(Role::Admin)?;
        let content = RoomUpdatedContent {
            name: update.name.clone(),
            topic: update.topic.clone(),
            public: update.public,
            retention_ms: update.retention_ms,
        };
        if content == RoomUpdatedContent::default() {
            return Err(Refusal::new(
                ErrorCode::BadFrame,
                "needs at least one of name, topic, public, retention_ms",
            ));
        }
        if self.room.kind == RoomKind::Direct && update.public == Some(true) {
            return Err(Refusal::bad_field(
                "public",
                "a direct room is never public",
            ));
        }
        let flat = |field: &Option<Option<String>>| field.clone().flatten();
        check_fields(
            flat(&update.name).as_deref(),
            flat(&update.topic).as_deref(),
            update.retention_ms.flatten(),
        )?;
        Ok(Verdict::one(EventKind::RoomUpdated, &content))
    }

    fn invite(&self, invite: &RoomInvite) -> Result<Verdict, Refusal> {
        let least = if self.room.kind == RoomKind::Group {
            Role::Member
        } else {
            Role::Admin
        };
        self.own_role()?;
        self.not_direct()?;
        self.needs(least)?;
        if invite.user_ids.is_empty() || invite.user_ids.len() > USERS_PER_FRAME_MAX {
            return Err(Refusal::bad_field(
                "user_ids",
                format!("needs 1 to {USERS_PER_FRAME_MAX} users"),
            ));
        }
        if let Some(lookup) = self.unknown_users(&invite.user_ids)? {
            return Ok(Verdict::Needs(lookup));
        }
        let mut drafts = Vec::new();
        let mut brings: Vec<UserId> = Vec::new();
        for user in &invite.user_ids {
            if self.members.member(user).is_some() || brings.contains(user) {
                continue;
            }
            if let Some(ban) = self
                .members
                .get(user)
                .and_then(|person| person.banned)
                .filter(|ban| ban.holds(self.now))
            {
                return Err(banned(ban.until).at("user_ids"));
            }
            drafts.push(draft(
                EventKind::MemberInvited,
                &member(user, Some(Role::Member)),
            ));
            brings.push(user.clone());
        }
        Ok(if drafts.is_empty() {
            self.already()
        } else {
            Verdict::Append(drafts, brings)
        })
    }

    fn unknown_users(&self, users: &[UserId]) -> Result<Option<Lookup>, Refusal> {
        match (self.rules.users, &self.pending.facts.missing_users) {
            (KnownUsers::All, _) => Ok(None),
            (KnownUsers::Accounts, None) => Ok(Some(Lookup::Users(users.to_vec()))),
            (KnownUsers::Accounts, Some(missing)) if missing.is_empty() => Ok(None),
            (KnownUsers::Accounts, Some(missing)) => Err(Refusal::new(
                ErrorCode::NotFound,
                format!("no such user: {}", missing[0]),
            )),
        }
    }

    /// Checks that the asking member stands above `user`, where `user` is a member.
    fn above(&self, role: Role, user: &UserId) -> Result<(), Refusal> {
        match self.members.member(user) {
            Some((_, theirs)) if theirs >= role && role != Role::Owner => {
                Err(Refusal::forbidden("only those below may be moderated"))
            }
            _ => Ok(()),
        }
    }

    fn moderate(&self, action: &MemberAction) -> Result<Role, Refusal> {
        let role = self.own_role()?;
        self.not_direct()?;
        self.needs(Role::Moderator)?;
        if action
            .reason
            .as_ref()
            .is_some_and(|reason| reason.len() > TOPIC_BYTES_MAX)
        {
            return Err(Refusal::bad_field(
                "reason",
                format!("at most {TOPIC_BYTES_MAX} bytes"),
            ));
        }
        Ok(role)
    }

    fn put_out(&self, action: &MemberAction, kind: EventKind) -> Result<Verdict, Refusal> {
        let role = self.moderate(action)?;
        if action.user_id == *self.user {
            return Err(Refusal::bad_field(
                "user_id",
                "to go oneself there is room.leave",
            ));
        }
        let mut until = None;
        if kind == EventKind::MemberBanned {
            until = self.future(action.until)?;
            if self.members.get(&action.user_id).is_none()
                && let Some(lookup) = self.unknown_users(std::slice::from_ref(&action.user_id))?
            {
                return Ok(Verdict::Needs(lookup));
            }
        } else if self.members.member(&action.user_id).is_none() {
            return Err(Refusal::not_found("member"));
        }
        self.above(role, &action.user_id)?;
        let content = MemberContent {
            reason: action.reason.clone(),
            until,
            ..member(&action.user_id, None)
        };
        Ok(Verdict::one(kind, &content))
    }

    fn unban(&self, action: &MemberAction) -> Result<Verdict, Refusal> {
        self.moderate(action)?;
        let banned = self
            .members
            .get(&action.user_id)
            .and_then(|person| person.banned)
            .is_some_and(|ban| ban.holds(self.now));
        if !banned {
            return Ok(self.already());
        }
        let content = MemberContent {
            reason: action.reason.clone(),
            ..member(&action.user_id, None)
        };
        Ok(Verdict::one(EventKind::MemberUnbanned, &content))
    }

    fn mute(&self, action: &MemberAction) -> Result<Verdict, Refusal> {
        let role = self.moderate(action)?;
        if self.members.member(&action.user_id).is_none() {
            return Err(Refusal::not_found("member"));
        }
        if action.user_id == *self.user {
            return Err(Refusal::forbidden("nobody mutes themselves"));
        }
        let until = self.future(action.until)?;
        self.above(role, &action.user_id)?;
        let content = MemberContent {
            reason: action.reason.clone(),
            until,
            ..member(&action.user_id, None)
        };
        Ok(Verdict::one(EventKind::MemberMuted, &content))
    }

    fn unmute(&self, action: &MemberAction) -> Result<Verdict, Refusal> {
        let role = self.moderate(action)?;
        let muted = self
            .members
            .member(&action.user_id)
            .is_some_and(|(person, _)| person.mute_at(self.now).is_some());
        if !muted {
            return Ok(self.already());
        }
        self.above(role, &action.user_id)?;
        let content = MemberContent {
            reason: action.reason.clone(),
            ..member(&action.user_id, None)
        };
        Ok(Verdict::one(EventKind::MemberUnmuted, &content))
    }

    fn future(&self, until: Option<Timestamp>) -> Result<Option<Timestamp>, Refusal> {
        if until.is_some_and(|until| until <= self.now) {
            return Err(Refusal::bad_field("until", "lies in the past"));
        }
        Ok(until)
    }

    fn role(&self, change: &RoomRole) -> Result<Verdict, Refusal> {
        self.own_role()?;
        self.not_direct()?;
        let own = self.needs(Role::Admin)?;
        let Some((_, theirs)) = self.members.member(&change.user_id) else {
            return Err(Refusal::not_found("member"));
        };
        let stepping_down = change.user_id == *self.user && change.role < own;
        if own != Role::Owner
            && !stepping_down
            && (theirs >= Role::Admin || change.role >= Role::Admin)
        {
            return Err(Refusal::forbidden("an admin sets roles below admin"));
        }
        if theirs == Role::Owner && change.role != Role::Owner && self.members.owners() == 1 {
            return Err(Refusal::new(
                ErrorCode::Conflict,
                "the last owner cannot be demoted",
            ));
        }
        if theirs == change.role {
            return Ok(self.already());
        }
        Ok(Verdict::one(
            EventKind::MemberRole,
            &member(&change.user_id, Some(change.role)),
        ))
    }
}

fn member(user: &UserId, role: Option<Role>) -> MemberContent {
    MemberContent {
        user_id: user.clone(),
        role,
        reason: None,
        until: None,
    }
}

/// Makes the refusal of a banned user.
#[must_use]
pub fn banned(until: Option<Timestamp>) -> Refusal {
    Refusal::new(ErrorCode::Banned, "the user is banned from this room").until(until)
}
