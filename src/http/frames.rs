//! `POST /v1/frames`: everything a socket can ask, one request and one answer at a time.
//!
//! Frames of one request take effect in order, one after the other. A frame that only makes sense on a socket is answered
//! `bad_frame` with field `type`: it is known, so `unknown_type` would be wrong, and no retry helps, so `unavailable` would be too.

use actix_web::{HttpResponse, http::header, web};
use parlor_schema::{
    ErrorCode,
    frame::{self, ClientFrame, ReadError, Refusal, ServerFrame, ack::Empty, client::Caller},
    limits::{HTTP_FRAMES_MAX, REPLY_BYTES_MAX},
};
use serde_json::value::RawValue;

use super::{HttpState, access::Signed, json::BatchBody, problem::Problem};

/// The frames that concern a session, which HTTP has none of.
pub(super) const SOCKET_ONLY: [&str; 6] = [
    "hello",
    "auth.refresh",
    "room.subscribe",
    "room.unsubscribe",
    "presence.watch",
    "presence.unwatch",
];

/// `POST /v1/frames`
pub(super) async fn post(
    state: web::Data<HttpState>,
    signed: Signed,
    body: BatchBody,
) -> Result<HttpResponse, Problem> {
    let raw: &RawValue = serde_json::from_slice(&body.0)
        .map_err(|error| Refusal::new(ErrorCode::BadFrame, format!("not json: {error}")))?;
    let frame_bytes_max = state.settings.limits.frame_bytes;
    let answer = match raw.get().as_bytes().first() {
        Some(b'{') if body.0.len() > frame_bytes_max => {
            return Err(Problem::body_too_large(frame_bytes_max));
        }
        Some(b'{') => reply(&state, &signed.caller, raw.get()).await,
        Some(b'[') => {
            let frames: Vec<&RawValue> = serde_json::from_str(raw.get())
                .map_err(|error| Refusal::new(ErrorCode::BadFrame, format!("not json: {error}")))?;
            replies(&state, &signed.caller, &frames).await?
        }
        _ => {
            let message = "the body is a frame or an array of frames";
            return Err(Refusal::new(ErrorCode::BadFrame, message).into());
        }
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(answer))
}

async fn replies(
    state: &HttpState,
    caller: &Caller,
    frames: &[&RawValue],
) -> Result<String, Refusal> {
    if frames.len() > HTTP_FRAMES_MAX {
        let message = format!("at most {HTTP_FRAMES_MAX} frames at once");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    let mut answer = String::from("[");
    for (index, raw) in frames.iter().enumerate() {
        if index > 0 {
            answer.push(',');
        }
        // The answers of many reads may be large: what no longer fits is not asked, and the client asks again.
        let reply = if answer.len() < REPLY_BYTES_MAX {
            reply(state, caller, raw.get()).await
        } else {
            let echo = frame::read(raw.get()).map_or_else(|error| error.echo, |read| read.echo);
            refuse(
                state,
                echo.as_deref(),
                Refusal::unavailable("the answer is full"),
            )
        };
        answer.push_str(&reply);
    }
    answer.push(']');
    Ok(answer)
}

/// Serves one frame and writes its reply.
async fn reply(state: &HttpState, caller: &Caller, text: &str) -> String {
    let received = match frame::read(text) {
        Ok(received) => received,
        Err(ReadError { echo, refusal, .. }) => {
            state.metrics.frames_in.inc();
            return refuse(state, echo.as_deref(), refusal);
        }
    };
    let echo = received.echo.as_deref();
    if let Err(refusal) = check(state, &received.frame, text) {
        state.metrics.frames_in.inc();
        return refuse(state, echo, refusal);
    }
    let is_ping = matches!(received.frame, ClientFrame::Ping(_));
    match state.ask(caller, received.msg_id, received.frame).await {
        Ok(_) if is_ping => ServerFrame::Pong(Empty {}).write(echo),
        Ok(ack) => ServerFrame::Ack(ack).write(echo),
        Err(refusal) => refuse(state, echo, refusal),
    }
}

fn check(state: &HttpState, frame: &ClientFrame, text: &str) -> Result<(), Refusal> {
    let frame_bytes_max = state.settings.limits.frame_bytes;
    if text.len() > frame_bytes_max {
        let message = format!("a frame is at most {frame_bytes_max} bytes");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    if SOCKET_ONLY.contains(&frame.kind()) {
        return Err(Refusal::bad_field("type", "this frame needs a socket"));
    }
    Ok(())
}

fn refuse(state: &HttpState, echo: Option<&str>, refusal: Refusal) -> String {
    state.metrics.refused(refusal.code);
    ServerFrame::Error(refusal).write(echo)
}
