//! `/v1/presence`: one's own, and a look at others'.

use actix_web::{HttpRequest, HttpResponse, web};
use parlor_schema::{
    UserId,
    frame::{ClientFrame, Refusal, client::Users},
    limits::WATCHES_MAX,
};
use schemars::JsonSchema;

use super::{
    HttpState,
    access::Signed,
    json::{self, Body},
    problem::Problem,
    query::{self, Kind},
    rooms::ok,
};

type Answer = Result<HttpResponse, Problem>;

/// The query of `GET /v1/presence`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "describes the query in the document")]
pub(super) struct PresenceQuery {
    /// Whose, separated by commas.
    users: String,
}

/// `PUT /v1/presence`
pub(super) async fn put(state: web::Data<HttpState>, signed: Signed, body: Body) -> Answer {
    let frame = json::frame("presence.set", json::object(&body.0)?, [])?;
    Ok(ok(&state.ask(&signed.caller, None, frame).await?))
}

/// `GET /v1/presence`
pub(super) async fn get(
    state: web::Data<HttpState>,
    signed: Signed,
    request: HttpRequest,
) -> Answer {
    let fields = query::fields(&request, &[("users", Kind::Text)])?;
    let text = fields.get("users").and_then(|users| users.as_str());
    let text = text.ok_or_else(|| Refusal::bad_field("users", "missing"))?;
    let user_ids = text
        .split(',')
        .map(|user| user.trim().parse::<UserId>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refusal::bad_field("users", error.to_string()))?;
    if user_ids.len() > WATCHES_MAX {
        return Err(Refusal::too_large("users", format!("at most {WATCHES_MAX} users")).into());
    }
    let frame = ClientFrame::PresenceWatch(Users { user_ids });
    Ok(ok(&state.ask(&signed.caller, None, frame).await?))
}
