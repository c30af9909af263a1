//! `/health/*` and `/metrics`: for operators and their machines.

use actix_web::{HttpResponse, http::header, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::{HttpState, problem::Problem};

/// What a health check answers when all is well.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// `live` or `ready`.
    status: &'static str,
    /// What does not work and yet does not keep traffic away, such as Redis.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    troubles: Vec<String>,
}

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health {
        status: "live",
        troubles: Vec::new(),
    })
}

/// `GET /health/ready`: the node may get traffic.
pub(super) async fn ready(state: web::Data<HttpState>) -> Result<HttpResponse, Problem> {
    let reasons = state.front.readiness();
    if reasons.is_empty() {
        Ok(HttpResponse::Ok().json(Health {
            status: "ready",
            troubles: state.front.troubles(),
        }))
    } else {
        Err(Problem::not_ready(reasons))
    }
}

/// `GET /metrics`
pub(super) async fn metrics(state: web::Data<HttpState>) -> HttpResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    state.front.refresh_metrics();
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, TYPE))
        .body(state.metrics.encode())
}
