//! The load that is assumed: kinds of rooms, how much is said in them, and how nodes and Redis take their time.
//!
//! Everything here is an assumption, named in `docs/SCALING.md`; what is a constant of the code says which.

/// A kind of room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// Members of a room, all of them with a session (`m`).
    pub(crate) members: usize,
    /// Rooms of this kind that a session is in.
    pub(crate) each: f64,
    /// Rooms of this kind are as many as this, however many sessions there are; none: as `each` says.
    pub(crate) fixed: Option<usize>,
    /// Part of all messages that is said in rooms of this kind.
    pub(crate) share: f64,
    /// How unequal its rooms are: the one of rank `r` gets messages in proportion to `r` to the power of minus this.
    pub(crate) zipf: f64,
    /// Receipts that a delivered event has its receiver give (`g`).
    pub(crate) receipts: f64,
}

/// Every kind.
pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        name: "direct",
        members: 2,
        each: 3.0,
        fixed: None,
        share: 0.40,
        zipf: 0.7,
        receipts: 0.5,
    },
    Kind {
        name: "group",
        members: 10,
        each: 4.0,
        fixed: None,
        share: 0.45,
        zipf: 0.7,
        receipts: 0.3,
    },
    Kind {
        name: "channel",
        members: 1_000,
        each: 2.0,
        fixed: None,
        share: 0.148,
        zipf: 1.0,
        receipts: 0.01,
    },
    Kind {
        name: "huge",
        members: 50_000,
        each: 0.0,
        fixed: Some(4),
        share: 0.002,
        zipf: 1.0,
        receipts: 0.0,
    },
];

/// The same with no receipts given in channels.
pub(crate) const QUIET: [Kind; 4] = {
    let mut kinds = KINDS;
    kinds[2].receipts = 0.0;
    kinds
};

/// Messages that a session sends in a second (`μ`).
pub(crate) const SAYS_PER_S: f64 = 0.01;
/// Bytes of a message's text.
pub(crate) const TEXT_BYTES: usize = 200;
/// Time in which receivers give receipts, in seconds, evenly.
pub(crate) const READ_WITHIN_S: f64 = 10.0;
/// How long a session lasts, in seconds; as many begin as end.
pub(crate) const SESSION_S: f64 = 3_600.0;

/// Time of an append, in microseconds (`a`): what 64 rooms at once take on the small Cassandra of `benches/cql.rs`.
pub(crate) const APPEND_US: u64 = 9_000;
/// Time of an envelope from node to node, in microseconds.
pub(crate) const HOP_US: u64 = 500;
/// Time of a write to Redis until it is answered, in microseconds (`w`).
pub(crate) const WRITE_US: u64 = 500;

/// Heartbeats to each peer in a second: `BEAT_EVERY` of `cluster/src/redis/bus.rs`.
pub(crate) const BEATS_PER_S: f64 = 4.0;
/// Time between two namings of a room, in seconds: `RENEW_MS` of `actors/src/place/leases.rs`.
pub(crate) const RENEW_S: f64 = 5.0;
/// Rooms in one envelope of interest: `NAMED_MAX` of `actors/src/place.rs`.
pub(crate) const NAMED_MAX: usize = 1_024;
/// Time in which places are collected, in microseconds: `PLACES_TOLD_MS` of `actors/src/room/hear.rs`.
pub(crate) const PLACES_US: u64 = 50_000;
/// Commands of a node's look at the others in a second, beside one for each of them: `cluster/src/redis/membership.rs`.
pub(crate) const LOOK_COMMANDS: f64 = 3.0;
/// Requests to the store of a room that starts on a node: head, projection, last event, receipts (`actors/src/room/load.rs`).
pub(crate) const LOAD_READS: f64 = 4.0;
/// Requests to the store of a room that is asked for its head and receipts (`actors/src/room/hear.rs`).
pub(crate) const CHECK_READS: f64 = 2.0;
/// Rooms that a node has asked in a second (`actors/src/node/rounds.rs`).
pub(crate) const CHECKED_PER_S: f64 = 4096.0;

impl Kind {
    /// Returns the members of a room where there are `sessions`.
    pub(crate) fn members_of(&self, sessions: usize) -> usize {
        self.members.min(sessions)
    }

    /// Counts the rooms (`R`).
    pub(crate) fn rooms(&self, sessions: usize) -> usize {
        let by_sessions = sessions as f64 * self.each / self.members_of(sessions) as f64;
        self.fixed.unwrap_or(by_sessions.round() as usize).max(1)
    }

    /// Returns the weights of the rooms by rank, which come to 1.
    pub(crate) fn weights(&self, rooms: usize) -> Vec<f64> {
        let mut weights: Vec<f64> = (1..=rooms)
            .map(|rank| (rank as f64).powf(-self.zipf))
            .collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        weights
    }
}
