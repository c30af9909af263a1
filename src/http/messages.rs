//! `/v1/rooms/{room_id}/messages` and `/v1/rooms/{room_id}/receipts`.

use actix_web::{HttpRequest, HttpResponse, web};
use parlor_schema::{
    RoomId, Seq,
    frame::{Ack, ClientFrame, Refusal, client::Receipt},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    HttpState,
    access::{Key, Signed, path_id},
    json::{self, Body},
    problem::Problem,
    query::{self, Kind},
    rooms::{created, ok},
};

type Answer = Result<HttpResponse, Problem>;

/// `GET /v1/rooms/{room_id}/messages`
pub(super) async fn history(
    state: web::Data<HttpState>,
    signed: Signed,
    request: HttpRequest,
) -> Answer {
    let room: RoomId = path_id(&request, "room_id")?;
    let known = [
        ("before", Kind::Number),
        ("after", Kind::Number),
        ("around", Kind::Number),
        ("at", Kind::Time),
        ("limit", Kind::Number),
    ];
    let fields = query::fields(&request, &known)?;
    let frame = json::frame("history.get", fields, [("room_id", room.to_string())])?;
    Ok(ok(&state.ask(&signed.caller, None, frame).await?))
}

/// `POST /v1/rooms/{room_id}/messages`
pub(super) async fn send(
    state: web::Data<HttpState>,
    signed: Signed,
    key: Key,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let room: RoomId = path_id(&request, "room_id")?;
    let msg_id = key.required()?;
    let fields = json::object(&body.0)?;
    let frame = json::frame("message.send", fields, [("room_id", room.to_string())])?;
    Ok(created(
        &state.ask(&signed.caller, Some(msg_id), frame).await?,
    ))
}

/// The body of `PUT /v1/rooms/{room_id}/receipts`: at least one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ReceiptsPut {
    /// All up to here reached the device.
    #[serde(default)]
    delivered: Option<Seq>,
    /// All up to here has been read.
    #[serde(default)]
    read: Option<Seq>,
}

/// The answer of `PUT /v1/rooms/{room_id}/receipts`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReceiptsAnswer {
    /// The position kept: that of `read` where it was given, else that of `delivered`.
    seq: Seq,
    /// The position kept for `delivered`, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<Seq>,
    /// The position kept for `read`, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Seq>,
}

/// `PUT /v1/rooms/{room_id}/receipts`
pub(super) async fn receipts(
    state: web::Data<HttpState>,
    signed: Signed,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let room_id: RoomId = path_id(&request, "room_id")?;
    let put: ReceiptsPut = json::parse(&body.0)?;
    let mut delivered = None;
    if let Some(seq) = put.delivered {
        let frame = ClientFrame::ReceiptDelivered(Receipt { room_id, seq });
        delivered = kept(&state.ask(&signed.caller, None, frame).await?);
    }
    let mut read = None;
    if let Some(seq) = put.read {
        let frame = ClientFrame::ReceiptRead(Receipt { room_id, seq });
        read = kept(&state.ask(&signed.caller, None, frame).await?);
    }
    let seq = read
        .or(delivered)
        .ok_or_else(|| Refusal::bad_field("read", "needs at least one of delivered, read"))?;
    Ok(HttpResponse::Ok().json(ReceiptsAnswer {
        seq,
        delivered,
        read,
    }))
}

fn kept(ack: &Ack) -> Option<Seq> {
    match ack {
        Ack::Seq(ack) => Some(ack.seq),
        _ => None,
    }
}
