//! `/v1/rooms` and `/v1/rooms/{room_id}`.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use parlor_schema::{
    RoomId,
    frame::{Ack, ack::Duplicate},
};

use super::{
    HttpState,
    access::{Key, Signed, path_id},
    json::{self, Body},
    problem::Problem,
    query::{self, Kind},
};

type Answer = Result<HttpResponse, Problem>;

/// Answers 200 with an ack's payload.
pub(super) fn ok(ack: &Ack) -> HttpResponse {
    HttpResponse::Ok().json(ack)
}

/// Answers 201 with an ack's payload, or 200 when what it tells of was there before.
pub(super) fn created(ack: &Ack) -> HttpResponse {
    let status = match duplicate(ack) {
        Duplicate::No => StatusCode::CREATED,
        Duplicate::Yes => StatusCode::OK,
    };
    HttpResponse::build(status).json(ack)
}

/// Tells whether an ack is the answer to a frame that came before.
pub(super) fn duplicate(ack: &Ack) -> Duplicate {
    match ack {
        Ack::Sent(ack) => ack.duplicate,
        Ack::Created(ack) => ack.duplicate,
        Ack::Seq(ack) => ack.duplicate,
        _ => Duplicate::No,
    }
}

/// `GET /v1/rooms`
pub(super) async fn list(
    state: web::Data<HttpState>,
    signed: Signed,
    request: HttpRequest,
) -> Answer {
    let known = [
        ("public", Kind::Flag),
        ("after", Kind::Text),
        ("limit", Kind::Number),
    ];
    let frame = json::frame("room.list", query::fields(&request, &known)?, [])?;
    Ok(ok(&state.ask(&signed.caller, None, frame).await?))
}

/// `POST /v1/rooms`
pub(super) async fn create(
    state: web::Data<HttpState>,
    signed: Signed,
    key: Key,
    body: Body,
) -> Answer {
    let frame = json::frame("room.create", json::object(&body.0)?, [])?;
    let ack = state.ask(&signed.caller, key.msg_id(&frame), frame).await?;
    Ok(created(&ack))
}

/// `GET /v1/rooms/{room_id}`
pub(super) async fn get(
    state: web::Data<HttpState>,
    signed: Signed,
    request: HttpRequest,
) -> Answer {
    let room: RoomId = path_id(&request, "room_id")?;
    let frame = json::frame(
        "room.get",
        json::Fields::default(),
        [("room_id", room.to_string())],
    )?;
    Ok(ok(&state.ask(&signed.caller, None, frame).await?))
}

/// `PATCH /v1/rooms/{room_id}`
pub(super) async fn update(
    state: web::Data<HttpState>,
    signed: Signed,
    key: Key,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let room: RoomId = path_id(&request, "room_id")?;
    let fields = json::object(&body.0)?;
    let frame = json::frame("room.update", fields, [("room_id", room.to_string())])?;
    let ack = state.ask(&signed.caller, key.msg_id(&frame), frame).await?;
    Ok(ok(&ack))
}

/// `GET /v1/rooms/{room_id}/members`
pub(super) async fn members(
    state: web::Data<HttpState>,
    signed: Signed,
    request: HttpRequest,
) -> Answer {
    let room: RoomId = path_id(&request, "room_id")?;
    let fields = query::fields(&request, &[("after", Kind::Text), ("limit", Kind::Number)])?;
    let frame = json::frame("room.members", fields, [("room_id", room.to_string())])?;
    Ok(ok(&state.ask(&signed.caller, None, frame).await?))
}
