//! HTTP: the fallback for those without a socket, the server's own API, operations, and the page.
//!
//! Owns PROTOCOL section 7: one table of routes (`routes`), from which both the application and the OpenAPI document are made;
//! problem documents; the bearer extractor; bounds and deadlines of bodies.
//!
//! Invariants:
//! - H-1: a route that is served stands in the table, and one that stands there is served.
//! - H-2: every refusal is a problem document with a code of PROTOCOL section 6, and is counted once.
//! - H-3: no request is buffered beyond `json::BATCH_BYTES_MAX`, and none waits longer than `json::BODY_WITHIN` for its body.
//! - H-4: a call that has a frame on the socket is that frame: the same checks, the same effect, the same refusals.
//!
//! Deliberately absent: the socket (the transport takes it before a request reaches this module), CORS (pages of other origins use
//! the socket), what frames do (behind [`Front`]), what tokens mean (behind [`Accounts`]), deadlines of headers and of idle
//! connections (the listener has them).

mod access;
mod accounts;
mod admin;
mod auth;
mod docs;
mod frames;
mod front;
mod json;
mod members;
mod messages;
mod observe;
mod openapi;
mod operations;
mod page;
mod presence;
mod problem;
mod query;
mod rooms;
mod routes;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::{middleware::from_fn, web};
use parlor_actors::metrics::Metrics;
use parlor_config::Settings;
use parlor_schema::{
    MsgId,
    frame::{Ack, ClientFrame, Refusal, client::Caller},
};

pub use accounts::Accounts;
pub use admin::{
    AccountChange, Admin, AdminDoor, AdminKey, ClusterAnswer, Disconnected, Draining, IssuedAnswer,
    LinkAnswer, NodeAnswer, RedisAnswer, SessionAnswer, SessionsAnswer, StoreAnswer, TalkAnswer,
    UserAnswer, UsersAnswer,
};
pub use front::Front;
pub use openapi::document as openapi_document;
pub use problem::ProblemDocument;

/// What every handler works with; one value per process, shared by all workers.
pub struct HttpState {
    /// Answers frames.
    pub front: Arc<dyn Front>,
    /// Answers for tokens and accounts.
    pub accounts: Arc<dyn Accounts>,
    /// The admin API, where the settings have a key for it.
    pub admin: Option<AdminDoor>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The settings in effect.
    pub settings: Arc<Settings>,
}

/// Which part of the routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Everything, where operations have no listener of their own.
    Whole,
    /// All but health, metrics and the admin API.
    Public,
    /// Health, metrics and the admin API only.
    Operations,
}

/// Mounts the routes of one listener. It answers every path: what is to be served beside it is registered before.
pub fn configure(cfg: &mut web::ServiceConfig, state: &web::Data<HttpState>, listener: Listener) {
    cfg.app_data(state.clone()).service(
        web::scope("")
            .wrap(from_fn(observe::observe))
            .configure(|cfg| table::mount(cfg, listener))
            .default_service(web::to(problem::no_such_path)),
    );
}

impl HttpState {
    /// Asks one frame.
    async fn ask(
        &self,
        caller: &Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
    ) -> Result<Ack, Refusal> {
        self.metrics.frames_in.inc();
        self.front.ask(caller.clone(), msg_id, frame).await
    }
}
