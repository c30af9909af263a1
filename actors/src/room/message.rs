//! Deciding `message.send`.

use std::sync::Arc;

use parlor_schema::{
    ErrorCode, EventKind, Role, Seq, UserId,
    event::MessageContent,
    frame::{Refusal, client::MessageSend},
    limits::{MENTIONS_MAX, ROOM_MENTION_MEMBERS_MAX},
};

use super::{
    decide::{Case, Verdict},
    state::Lookup,
};
use crate::scratch;

/// The mention that names everybody.
pub const ROOM_MENTION: &str = "@room";

pub(super) fn decide(case: &Case<'_>, send: &MessageSend) -> Result<Verdict, Refusal> {
    let role = case.own_role()?;
    if role < Role::Member {
        return Err(Refusal::forbidden("readers do not send"));
    }
    let mute = case
        .members
        .get(case.user)
        .and_then(|person| person.mute_at(case.now));
    if let Some(mute) = mute {
        return Err(Refusal::new(ErrorCode::Muted, "you are muted").until(mute.until));
    }
    send.body.check(case.rules.body_bytes)?;
    for (there, field) in [
        (send.thread.is_some(), "thread"),
        (
            send.attachments
                .as_ref()
                .is_some_and(|list| !list.is_empty()),
            "attachments",
        ),
        (send.expires_in_ms.is_some(), "expires_in_ms"),
    ] {
        if there {
            return Err(Refusal::not_served(field).at(field));
        }
    }
    let mentions = mentions(case, role, send)?;
    if let Some(target) = send.reply_to
        && let Some(lookup) = target_lookup(case, target)?
    {
        return Ok(Verdict::Needs(lookup));
    }
    let content = scratch::text(|out| {
        MessageContent::write(out, &send.body, send.reply_to, &mentions);
        Arc::from(out.as_str())
    });
    Ok(Verdict::written(EventKind::Message, content))
}

fn mentions(case: &Case<'_>, role: Role, send: &MessageSend) -> Result<Vec<String>, Refusal> {
    let mut mentions: Vec<String> = Vec::new();
    let asked = send.mentions.as_deref().unwrap_or_default();
    if asked.len() > MENTIONS_MAX {
        return Err(Refusal::bad_field(
            "mentions",
            format!("at most {MENTIONS_MAX}"),
        ));
    }
    for (index, mention) in asked.iter().enumerate() {
        if mention != ROOM_MENTION && mention.parse::<UserId>().is_err() {
            return Err(Refusal::bad_field(
                format!("mentions[{index}]"),
                "neither a user id nor @room",
            ));
        }
        if mention == ROOM_MENTION
            && case.members.count() > ROOM_MENTION_MEMBERS_MAX
            && role < Role::Moderator
        {
            return Err(
                Refusal::forbidden("@room needs a moderator in a room of this size").at("mentions"),
            );
        }
        if !mentions.contains(mention) {
            mentions.push(mention.clone());
        }
    }
    Ok(mentions)
}

fn target_lookup(case: &Case<'_>, target: Seq) -> Result<Option<Lookup>, Refusal> {
    let missing = || Refusal::not_found("message").at("reply_to");
    if target == Seq::ZERO || target > case.head {
        return Err(missing());
    }
    match case.pending.facts.event(target) {
        Some(event) => {
            let event = event.ok_or_else(missing)?;
            let kept = case
                .room
                .retention_ms
                .is_none_or(|kept| event.sent_at >= case.now.minus_millis(kept));
            if !kept {
                return Err(missing());
            }
            if event.kind != EventKind::Message {
                return Err(Refusal::bad_field("reply_to", "is not a message"));
            }
            Ok(None)
        }
        None => Ok(Some(Lookup::Event(target))),
    }
}
