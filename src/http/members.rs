//! `/v1/rooms/{room_id}/members/{user_id}`: one person in a room.
//!
//! `PUT` makes it so that the user is a member, with `role` where one is given. It may take two frames (join or invite, then the
//! role); when the second is refused the first stands, and the refusal is the answer. The second frame has the idempotency key, the
//! first one a key made from it, so that a retry finds the first done and the second remembered.

use actix_web::{HttpRequest, HttpResponse, web};
use parlor_schema::{
    Role, RoomId, UserId,
    frame::{
        Ack, ClientFrame, Refusal,
        ack::Duplicate,
        client::{MemberAction, RoomInvite, RoomOnly, RoomRole},
    },
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    HttpState,
    access::{Key, Signed, path_id},
    json::{self, Body},
    problem::Problem,
    rooms::{created, duplicate, ok},
};

type Answer = Result<HttpResponse, Problem>;

/// The body of `PUT /v1/rooms/{room_id}/members/{user_id}`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct MemberPut {
    /// The role to have; absent: the one that joining or being invited gives, or the one that is there.
    #[serde(default)]
    role: Option<Role>,
}

/// One membership as a request names it.
struct Place<'a> {
    state: &'a HttpState,
    signed: &'a Signed,
    room_id: RoomId,
    user_id: UserId,
}

impl<'a> Place<'a> {
    fn new(
        state: &'a HttpState,
        signed: &'a Signed,
        request: &HttpRequest,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            state,
            signed,
            room_id: path_id(request, "room_id")?,
            user_id: path_id(request, "user_id")?,
        })
    }

    fn is_own(&self) -> bool {
        self.user_id == self.signed.caller.user_id
    }

    async fn ask(&self, key: &Key, frame: ClientFrame) -> Result<Ack, Refusal> {
        let msg_id = key.msg_id(&frame);
        self.state.ask(&self.signed.caller, msg_id, frame).await
    }

    async fn role(&self) -> Result<Option<Role>, Refusal> {
        let caller = self.signed.caller.clone();
        let user_id = self.user_id.clone();
        self.state
            .front
            .member_role(caller, self.room_id, user_id)
            .await
    }

    /// Joins, or invites.
    async fn bring(&self, key: &Key) -> Result<Ack, Refusal> {
        let room_id = self.room_id;
        let frame = if self.is_own() {
            ClientFrame::RoomJoin(RoomOnly { room_id })
        } else {
            let user_ids = vec![self.user_id.clone()];
            ClientFrame::RoomInvite(RoomInvite { room_id, user_ids })
        };
        self.ask(key, frame).await
    }

    async fn set_role(&self, key: &Key, role: Role) -> Result<Ack, Refusal> {
        let (room_id, user_id) = (self.room_id, self.user_id.clone());
        let frame = ClientFrame::RoomRole(RoomRole {
            room_id,
            user_id,
            role,
        });
        self.ask(key, frame).await
    }

    async fn head(&self) -> Result<Ack, Refusal> {
        let frame = ClientFrame::RoomGet(RoomOnly {
            room_id: self.room_id,
        });
        match self.ask(&Key(None), frame).await? {
            Ack::Room(ack) => Ok(Ack::seq(ack.room.head)),
            other => Ok(other),
        }
    }
}

/// `PUT /v1/rooms/{room_id}/members/{user_id}`
pub(super) async fn put(
    state: web::Data<HttpState>,
    signed: Signed,
    key: Key,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let place = Place::new(&state, &signed, &request)?;
    let wanted = json::parse::<MemberPut>(&body.0)?.role;
    let had = place.role().await?;
    match (had, wanted) {
        (Some(_), Some(role)) => Ok(ok(&place.set_role(&key, role).await?)),
        // A key may be that of the request which made the membership: the frame finds out, and appends nothing else.
        (Some(_), None) if key.0.is_some() => Ok(ok(&place.bring(&key).await?)),
        (Some(_), None) => Ok(ok(&place.head().await?)),
        (None, None) => Ok(created(&place.bring(&key).await?)),
        (None, Some(role)) => {
            let brought = place.bring(&key.of_second_frame()).await?;
            // A retry whose first copy the member has left since: told as it was, and not repeated.
            if duplicate(&brought) == Duplicate::Yes || place.role().await? == Some(role) {
                return Ok(created(&brought));
            }
            Ok(created(&place.set_role(&key, role).await?))
        }
    }
}

/// `DELETE /v1/rooms/{room_id}/members/{user_id}`
pub(super) async fn delete(
    state: web::Data<HttpState>,
    signed: Signed,
    key: Key,
    request: HttpRequest,
) -> Answer {
    let place = Place::new(&state, &signed, &request)?;
    let room_id = place.room_id;
    let frame = if place.is_own() {
        ClientFrame::RoomLeave(RoomOnly { room_id })
    } else {
        ClientFrame::RoomRemove(MemberAction {
            room_id,
            user_id: place.user_id.clone(),
            reason: None,
            until: None,
        })
    };
    Ok(ok(&place.ask(&key, frame).await?))
}
