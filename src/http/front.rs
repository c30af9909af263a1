//! What HTTP asks of the behaviour. The wiring implements it over the actors, tests over a table.

use parlor_schema::{
    MsgId, Role, RoomId, UserId,
    frame::{Ack, ClientFrame, Refusal, client::Caller},
    port::PortFuture,
};

/// Answers frames that come without a session.
///
/// Shape: shared by all workers. When full: `unavailable`. Cancellation: dropping an answer abandons it, never the effect.
pub trait Front: Send + Sync {
    /// Serves one frame as if it had come over a socket of `caller`.
    ///
    /// `msg_id` is there for every frame that appends. `presence.watch` comes as a question asked once: it is answered, and nothing
    /// is watched. The other frames about a session (`hello`, `auth.refresh`, `room.subscribe`, `room.unsubscribe`,
    /// `presence.unwatch`) never come. Ordering: a frame asked after another was answered takes effect after it.
    ///
    /// # Errors
    /// The refusal that a socket would get.
    fn ask(
        &self,
        caller: Caller,
        msg_id: Option<MsgId>,
        frame: ClientFrame,
    ) -> PortFuture<'_, Result<Ack, Refusal>>;

    /// Tells the role of `user` in `room`, none for a user who is no member.
    ///
    /// # Errors
    /// What `room.get` would refuse the caller: `not_found` for a room that the caller may not see.
    fn member_role(
        &self,
        caller: Caller,
        room: RoomId,
        user: UserId,
    ) -> PortFuture<'_, Result<Option<Role>, Refusal>>;

    /// Tells why this node should get no traffic now, in words for an operator; nothing when it is ready.
    fn readiness(&self) -> Vec<String>;

    /// Tells what does not work and is no reason to get no traffic, in words for an operator.
    fn troubles(&self) -> Vec<String>;

    /// Brings the metrics up to date with what is counted elsewhere.
    fn refresh_metrics(&self);
}
