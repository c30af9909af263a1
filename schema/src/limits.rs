//! Every limit that is not a setting, each with its reason; relations between them are checked when this compiles.

/// Bytes of a user, device or node id: fits an index key and a log line.
pub const ID_BYTES_MAX: usize = 128;
/// Bytes of a `msg_id` that an error still echoes, even when it is not a UUID.
pub const MSG_ID_ECHO_BYTES_MAX: usize = 128;
/// Bytes of the message of a refusal that quotes what the client sent.
pub const REFUSAL_MESSAGE_BYTES_MAX: usize = 256;
/// Bytes of a room or user name: one line of any user interface.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of a presence text: a few words.
pub const STATUS_BYTES_MAX: usize = 256;
/// Bytes of a room topic or a reason: a short paragraph.
pub const TOPIC_BYTES_MAX: usize = 1024;
/// Bytes of an avatar reference: a URL.
pub const AVATAR_BYTES_MAX: usize = 2048;
/// Users named at a room's creation or in one invitation; fits one append.
pub const USERS_PER_FRAME_MAX: usize = 100;
/// Arrays and objects inside each other in `body.data`: JSON readers that stop at 128 levels, the common limit, still read
/// the message inside a history answer.
pub const BODY_DATA_DEPTH_MAX: usize = 100;
/// Mentions in one message.
pub const MENTIONS_MAX: usize = 100;
/// Above this many members `@room` needs a moderator.
pub const ROOM_MENTION_MEMBERS_MAX: usize = 50;
/// Rooms in one `welcome`; the rest by `room.list`.
pub const WELCOME_ROOMS_MAX: usize = 1000;
/// Rooms one session can be subscribed to; a cursor each.
pub const SUBSCRIPTIONS_MAX: usize = 4096;
/// Users one session can watch.
pub const WATCHES_MAX: usize = 512;
/// Rooms one node holds at once, those included that are only asked for: some kilobytes each.
pub const ROOMS_MAX: usize = 1 << 18;
/// Events in one append: group commit is worth most of its gain by then, and a batch stays below what CQL warns about.
pub const APPEND_EVENTS_MAX: usize = 128;
/// Commands waiting in one room for the append in flight; more are refused `unavailable`.
pub const ROOM_QUEUE_MAX: usize = 1024;
/// Events a room keeps in memory for reads near the head: those of a few seconds of a lively room. Each new event takes the place of the
/// oldest, and the more there are, the less of that is in a cache still; what is further back is read from the store.
pub const RING_EVENTS_MAX: usize = 64;
/// Bytes of events a room keeps in memory, whatever their number.
pub const RING_BYTES_MAX: usize = 256 * 1024;
/// Durable events of other nodes that a room keeps until those before them are there; what is more is read from the timeline.
pub const CARRIED_EVENTS_MAX: usize = 256;
/// Bytes of them.
pub const CARRIED_BYTES_MAX: usize = 256 * 1024;
/// Bytes of pages of the log that all rooms of a node keep for those who read the same ones, about.
pub const PAGES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Sessions of one thread that read the log at once; the others have their turns, so that a reconnect of many delays nobody who is here.
pub const PULLS_MAX: usize = 16;
/// History events in one answer, and the default.
pub const HISTORY_LIMIT_MAX: u32 = 200;
/// History events in one answer when the client names no number.
pub const HISTORY_LIMIT_DEFAULT: u32 = 50;
/// Entries of a member or room list in one answer, and the default.
pub const PAGE_LIMIT_MAX: u32 = 200;
/// Entries of a list when the client names no number.
pub const PAGE_LIMIT_DEFAULT: u32 = 50;
/// Bytes of one server frame.
pub const SERVER_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of events in one history answer; leaves room for the envelope.
pub const HISTORY_BYTES_MAX: usize = SERVER_FRAME_BYTES_MAX - 64 * 1024;
/// Unread and mention counts are exact up to this; one more means "more".
pub const COUNT_EXACT_MAX: u32 = 999;
/// Frames in one `POST /v1/frames`.
pub const HTTP_FRAMES_MAX: usize = 100;
/// `bad_frame` errors in one minute after which a connection is closed 4400.
pub const BAD_FRAMES_PER_MINUTE_MAX: usize = 10;
/// Time from the upgrade to `hello`.
pub const HELLO_WITHIN_MS: u64 = 10_000;
/// Time between two WebSocket pings from the server; twice this in silence ends the connection.
pub const HEARTBEAT_MS: u64 = 25_000;
/// Lead of `auth.expiring` before the token ends.
pub const AUTH_EXPIRING_MS: u64 = 60_000;
/// How long one `typing.start` holds.
pub const TYPING_MS: u64 = 6_000;
/// Shortest retention a room may have.
pub const RETENTION_MS_MIN: u64 = 60_000;
/// Bytes in a session's event lane above which it stops being pushed to and reads the log instead.
pub const LANE_BYTES_MAX: usize = 256 * 1024;
/// The same while the node holds more for its sockets than its setting allows: what a page of the log and a few replies take.
pub const LANE_BYTES_SCARCE: usize = 16 * 1024;
/// Bytes of a batch's events that go to a session as one: more of them go one by one, so that no lane is overrun.
pub const JOINED_BYTES_MAX: usize = 64 * 1024;
/// Bytes a socket is given of its session's lanes at a time, about.
pub const WRITE_BYTES: usize = 64 * 1024;
/// Bytes in a session's ephemeral lane; beyond, the oldest is dropped.
pub const EPHEMERAL_BYTES_MAX: usize = 32 * 1024;
/// Bytes of replies and notices waiting for a socket that does not read; beyond, the connection is closed 4501.
pub const REPLY_BYTES_MAX: usize = 4 * SERVER_FRAME_BYTES_MAX;
/// Frames that wait for a socket, whatever their bytes: one takes some hundred bytes beside its own, so that many small ones, the
/// answers to pings above all, would take far more memory than they count.
pub const REPLY_FRAMES_MAX: usize = REPLY_BYTES_MAX / 128;
/// Time a socket may take no byte while some wait; then it is closed 4501.
pub const WRITE_STALL_MS: u64 = 30_000;
/// The same while the node holds more for its sockets than its setting allows.
pub const WRITE_STALL_SCARCE_MS: u64 = 5_000;
/// Time from the first byte of a message to its last, all its fragments included; then the connection is closed 4503.
pub const FRAME_WITHIN_MS: u64 = 20_000;
/// `hello`s of a node being served at once; the next wait, for a time well below the client's own for `hello`.
pub const HELLOS_MAX: usize = 64;
/// How long a `hello` waits for its turn; then the connection is closed 4504.
pub const HELLO_TURN_MS: u64 = 5_000;
/// Time between two `head` frames of one passive room.
pub const HEAD_FRAME_MS: u64 = 1_000;
/// Shortest and longest password, in bytes.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;
/// Time until an acknowledged receipt is written.
pub const RECEIPT_FLUSH_MS: u64 = 400;

const _: () =
    assert!(HISTORY_LIMIT_DEFAULT <= HISTORY_LIMIT_MAX && PAGE_LIMIT_DEFAULT <= PAGE_LIMIT_MAX);
const _: () = assert!(
    USERS_PER_FRAME_MAX <= APPEND_EVENTS_MAX,
    "one invitation is one append"
);
const _: () = assert!(HISTORY_BYTES_MAX < SERVER_FRAME_BYTES_MAX);
const _: () = assert!(
    RECEIPT_FLUSH_MS < 1_000,
    "an acknowledged receipt is durable within one second"
);
const _: () = assert!(LANE_BYTES_MAX < REPLY_BYTES_MAX);
const _: () = assert!(LANE_BYTES_SCARCE < LANE_BYTES_MAX && JOINED_BYTES_MAX <= LANE_BYTES_MAX / 4);
const _: () = assert!(WRITE_STALL_SCARCE_MS < WRITE_STALL_MS);
const _: () = assert!(
    HELLO_TURN_MS < HELLO_WITHIN_MS,
    "who waits for a turn is not blamed for saying nothing"
);
const _: () = assert!(
    FRAME_WITHIN_MS < 2 * HEARTBEAT_MS,
    "a slow message is found before silence is"
);
// A character may take six bytes in JSON; what an entry has beside id and text takes less than 128.
const _: () = assert!(
    WATCHES_MAX * (6 * STATUS_BYTES_MAX + ID_BYTES_MAX + 128) < SERVER_FRAME_BYTES_MAX,
    "the presence of all who are watched fits one frame"
);
