//! `/v1/auth/*`: coming in and going out.

use actix_web::{HttpResponse, web};

use super::{
    HttpState,
    access::{Peer, Signed},
    json::{self, Body},
    problem::Problem,
};

type Answer = Result<HttpResponse, Problem>;

/// `POST /v1/auth/register`
pub(super) async fn register(state: web::Data<HttpState>, peer: Peer, body: Body) -> Answer {
    let request = json::parse(&body.0)?;
    let answer = state.accounts.register(request, peer.0).await?;
    Ok(HttpResponse::Created().json(answer))
}

/// `POST /v1/auth/login`
pub(super) async fn login(state: web::Data<HttpState>, peer: Peer, body: Body) -> Answer {
    let request = json::parse(&body.0)?;
    let answer = state.accounts.login(request, peer.0).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// `POST /v1/auth/refresh`
pub(super) async fn refresh(state: web::Data<HttpState>, body: Body) -> Answer {
    let request = json::parse(&body.0)?;
    let answer = state.accounts.refresh(request).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// `POST /v1/auth/logout`
pub(super) async fn logout(state: web::Data<HttpState>, signed: Signed) -> Answer {
    state.accounts.logout(&signed.identity).await?;
    Ok(HttpResponse::NoContent().finish())
}
