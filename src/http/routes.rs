//! The table of routes: what is served, by what, and what is said about it.

use actix_web::{http::Method, web};
use parlor_schema::frame::{
    ack::{
        CreatedAck, Empty, HistoryAck, MembersAck, PresenceAck, RoomAck, RoomsAck, SentAck, SeqAck,
    },
    client::{HistoryGet, MessageSend, PresenceSet, RoomCreate, RoomList, RoomMembers, RoomUpdate},
};

use super::{
    admin, auth, docs, frames, members,
    members::MemberPut,
    messages,
    messages::{ReceiptsAnswer, ReceiptsPut},
    openapi::{frames_answer, frames_body},
    operations,
    operations::Health,
    page, presence,
    presence::PresenceQuery,
    problem, rooms,
    table::{Content, KeyUse, OPERATIONS, Row, in_room, of},
};
use crate::auth::{LoginRequest, RefreshRequest, RegisterRequest, TokenAnswer};

/// Returns every route.
pub(super) fn table() -> Vec<Row> {
    let groups: [(&'static str, Vec<Row>); 9] = [
        ("auth", auth_rows()),
        ("frames", frame_rows()),
        ("rooms", room_rows()),
        ("messages", message_rows()),
        ("presence", presence_rows()),
        (OPERATIONS[0], operations_rows()),
        (OPERATIONS[1], admin::rows()),
        ("documents", document_rows()),
        ("not served by this version", later_rows()),
    ];
    groups
        .into_iter()
        .flat_map(|(group, rows)| rows.into_iter().map(move |row| row.group(group)))
        .collect()
}

fn auth_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::POST,
            "/v1/auth/register",
            "Makes an account and logs in",
            || web::to(auth::register),
        )
        .body(of::<RegisterRequest>)
        .json(201, "The account is made", of::<TokenAnswer>),
        Row::new(Method::POST, "/v1/auth/login", "Logs in", || {
            web::to(auth::login)
        })
        .body(of::<LoginRequest>)
        .json(200, "Logged in", of::<TokenAnswer>),
        Row::new(
            Method::POST,
            "/v1/auth/refresh",
            "Gives fresh tokens; the refresh token is spent by this",
            || web::to(auth::refresh),
        )
        .body(of::<RefreshRequest>)
        .json(200, "Fresh tokens", of::<TokenAnswer>),
        Row::new(
            Method::POST,
            "/v1/auth/logout",
            "Ends the login; its sockets close with 4403",
            || web::to(auth::logout),
        )
        .bearer()
        .answer(204, "Logged out", Content::Empty),
    ]
}

fn frame_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::POST,
            "/v1/frames",
            "Serves one client frame, or up to 100, in order; refusals are among the replies",
            || web::to(frames::post),
        )
        .bearer()
        .body(frames_body)
        .json(200, "The reply, or the replies in order", frames_answer),
    ]
}

fn room_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/v1/rooms",
            "Lists one's own rooms, or public ones",
            || web::to(rooms::list),
        )
        .bearer()
        .query(of::<RoomList>)
        .json(200, "Rooms", of::<RoomsAck>),
        Row::new(Method::POST, "/v1/rooms", "Makes a room", || {
            web::to(rooms::create)
        })
        .bearer()
        .key(KeyUse::Optional)
        .body(of::<RoomCreate>)
        .json(201, "The room is made", of::<CreatedAck>)
        .json(200, "It was made before", of::<CreatedAck>),
        Row::new(
            Method::GET,
            "/v1/rooms/{room_id}",
            "Tells about a room",
            || web::to(rooms::get),
        )
        .bearer()
        .json(200, "The room", of::<RoomAck>),
        Row::new(
            Method::PATCH,
            "/v1/rooms/{room_id}",
            "Changes a room; `null` clears a field",
            || web::to(rooms::update),
        )
        .bearer()
        .key(KeyUse::Optional)
        .body(in_room::<RoomUpdate>)
        .json(200, "The room is changed", of::<SeqAck>),
        Row::new(
            Method::GET,
            "/v1/rooms/{room_id}/members",
            "Lists the members",
            || web::to(rooms::members),
        )
        .bearer()
        .query(in_room::<RoomMembers>)
        .json(200, "Members", of::<MembersAck>),
        Row::new(
            Method::PUT,
            "/v1/rooms/{room_id}/members/{user_id}",
            "Invites a user, or joins oneself; sets the role of a member",
            || web::to(members::put),
        )
        .bearer()
        .key(KeyUse::Optional)
        .body(of::<MemberPut>)
        .json(201, "A member from now on", of::<SeqAck>)
        .json(
            200,
            "The member was there; `seq` is the room's head without a role",
            of::<SeqAck>,
        ),
        Row::new(
            Method::DELETE,
            "/v1/rooms/{room_id}/members/{user_id}",
            "Removes a member, or leaves",
            || web::to(members::delete),
        )
        .bearer()
        .key(KeyUse::Optional)
        .json(200, "No member any more", of::<SeqAck>),
    ]
}

fn message_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/v1/rooms/{room_id}/messages",
            "Reads the history: the newest events, or those beside one position",
            || web::to(messages::history),
        )
        .bearer()
        .query(in_room::<HistoryGet>)
        .json(200, "Events", of::<HistoryAck>),
        Row::new(
            Method::POST,
            "/v1/rooms/{room_id}/messages",
            "Sends a message",
            || web::to(messages::send),
        )
        .bearer()
        .key(KeyUse::Required)
        .body(in_room::<MessageSend>)
        .json(201, "The message is in the timeline", of::<SentAck>)
        .json(200, "It was there before", of::<SentAck>),
        Row::new(
            Method::PUT,
            "/v1/rooms/{room_id}/receipts",
            "Tells how far messages were delivered and read; positions only move forward",
            || web::to(messages::receipts),
        )
        .bearer()
        .body(of::<ReceiptsPut>)
        .json(200, "The positions kept", of::<ReceiptsAnswer>),
    ]
}

fn presence_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::PUT,
            "/v1/presence",
            "Sets the device's presence",
            || web::to(presence::put),
        )
        .bearer()
        .body(of::<PresenceSet>)
        .json(200, "Set", of::<Empty>),
        Row::new(
            Method::GET,
            "/v1/presence",
            "Tells the presence of users",
            || web::to(presence::get),
        )
        .bearer()
        .query(of::<PresenceQuery>)
        .json(200, "One entry a user", of::<PresenceAck>),
    ]
}

fn operations_rows() -> Vec<Row> {
    let text = "application/openmetrics-text";
    vec![
        Row::new(
            Method::GET,
            "/health/live",
            "Tells that the process answers",
            || web::to(operations::live),
        )
        .json(200, "It does", of::<Health>),
        Row::new(
            Method::GET,
            "/health/ready",
            "Tells whether the node should get traffic; 503 with `reasons` when not",
            || web::to(operations::ready),
        )
        .json(200, "It should", of::<Health>),
        Row::new(
            Method::GET,
            "/metrics",
            "Gives the metrics of this node",
            || web::to(operations::metrics),
        )
        .answer(200, "OpenMetrics text", Content::Other(text)),
    ]
}

fn document_rows() -> Vec<Row> {
    vec![
        Row::new(Method::GET, "/", "The page to chat with", || {
            web::to(page::index)
        })
        .answer(200, "HTML", Content::Other("text/html")),
        Row::new(Method::GET, "/assets/{file}", "A file of the page", || {
            web::to(page::asset)
        })
        .answer(200, "The file", Content::Other("*/*")),
        Row::new(Method::GET, "/openapi.json", "This document", || {
            web::to(docs::document)
        })
        .answer(200, "OpenAPI 3.1", Content::Other("application/json")),
        Row::new(Method::GET, "/asyncapi.json", "The socket's frames", || {
            web::to(docs::socket_document)
        })
        .answer(200, "AsyncAPI 3.0", Content::Other("application/json")),
        Row::new(Method::GET, "/docs", "This document, for people", || {
            web::to(docs::page)
        })
        .answer(200, "HTML", Content::Other("text/html")),
        Row::new(Method::GET, "/docs/{file}", "A file of `/docs`", || {
            web::to(docs::file)
        })
        .answer(200, "The file", Content::Other("*/*")),
        Row::new(
            Method::GET,
            "/v1/ws",
            "The WebSocket, subprotocol `parlor.v1`; 426 without an upgrade",
            || web::to(problem::needs_upgrade),
        )
        .answer(
            101,
            "The connection is a WebSocket from here on",
            Content::Empty,
        ),
    ]
}

/// Calls of PROTOCOL section 7 that have their place, and answer 503 `unavailable` until they are served.
fn later_rows() -> Vec<Row> {
    let row =
        |method, path, summary| Row::new(method, path, summary, || web::to(problem::not_served));
    vec![
        row(Method::GET, "/v1/events", "Waits for events (long poll)"),
        row(
            Method::POST,
            "/v1/events",
            "Waits for events, from positions",
        ),
        row(
            Method::GET,
            "/v1/events/stream",
            "Streams events (server-sent events)",
        ),
        row(
            Method::POST,
            "/v1/uploads",
            "Prepares the upload of an attachment",
        ),
        row(
            Method::GET,
            "/v1/uploads/{upload_id}",
            "Tells about an attachment",
        ),
        row(
            Method::PUT,
            "/v1/devices/{device_id}",
            "Registers a device for push",
        ),
        row(
            Method::DELETE,
            "/v1/devices/{device_id}",
            "Ends a device's registration",
        ),
    ]
}
