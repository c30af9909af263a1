//! The attacks by name: each with what is counted of it, how long it is looked at, and what it may make the server hold.

use std::{rc::Rc, time::Duration};

use parlor_schema::limits::{
    JOINED_BYTES_MAX, LANE_BYTES_MAX, REPLY_BYTES_MAX, REPLY_FRAMES_MAX, WRITE_BYTES,
};
use uuid::Uuid;

use crate::{
    eve::Site,
    frames::{self, CONNECTIONS},
    slow::{self, GONE, SLOW, STALLED},
    storm,
};

/// A stretch long enough for 500 messages of the bystanders.
const STRETCH: Duration = Duration::from_millis(1_100);
/// Until headers have had their time.
const HEADERS: Duration = Duration::from_millis(5_500);
/// When a client that says nothing is pinged, and when it is given up.
const PINGED: Duration = Duration::from_secs(25);
const GIVEN_UP: Duration = Duration::from_secs(50);

/// Bytes that move in a server whatever is done to it.
const FLAT: usize = 16 << 20;
/// One message as it came, and once more inflated or put together.
const MESSAGE: usize = 2 * 65_536;
/// A frame that waits takes this beside its own bytes.
const FRAME_COST: usize = 160;
/// What an HTTP connection takes beside its headers.
const HTTP_CONNECTION: usize = 16 << 10;
/// What a session takes (the bound of the bench `idle`).
const SESSION: usize = 6_144;
/// A lane, what goes into it at a time, what its socket took in hand, each filled up by a last frame of a little more than 20,000 bytes.
const STALLED_LANE: usize = LANE_BYTES_MAX + JOINED_BYTES_MAX + WRITE_BYTES + 2 * 21_000;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// None, as a control: the attacker's thread is busy with itself.
    Nothing,
    Tebibyte,
    Endless,
    Tiny,
    Pings,
    UnreadPings,
    Unmasked,
    Reserved,
    NotUtf8,
    Bomb,
    Headers,
    Frames,
    NeverRead,
    /// What those who never read are sent, without them, as a control.
    Talk,
    Pinged,
    HalfOpen,
    Limited,
    Open,
    Depth,
    Numbers,
    Doubled,
    Surrogates,
}
use Attack::{
    Bomb, Depth, Doubled, Endless, Frames, HalfOpen, Headers, Limited, NeverRead, NotUtf8, Nothing,
    Numbers, Open, Pinged, Pings, Reserved, Surrogates, Talk, Tebibyte, Tiny, Unmasked,
    UnreadPings,
};

/// All of them: the name, and what is counted.
pub(crate) const ALL: [(Attack, &str, &str); 22] = [
    (Nothing, "nothing", "spins"),
    (Tebibyte, "frame of 1 TiB", "closed 4413"),
    (Endless, "endless fragments", "closed 4413"),
    (Tiny, "tiny fragments", "fragments"),
    (Pings, "ping flood", "pongs"),
    (UnreadPings, "ping flood not read", "pings"),
    (Unmasked, "unmasked frame", "closed 1002"),
    (Reserved, "reserved bits", "closed 1002"),
    (NotUtf8, "invalid UTF-8", "closed 1007"),
    (Bomb, "deflate bomb", "closed 4413"),
    (Headers, "slow headers", "answered 408"),
    (Frames, "slow frame", "bytes"),
    (NeverRead, "never reads", "events"),
    (Talk, "the same events alone", "events"),
    (Pinged, "half open pinged", "pings"),
    (HalfOpen, "half open given up", "closed 4503"),
    (Limited, "connects with a limit", "connects"),
    (Open, "connects without limit", "connects"),
    (Depth, "JSON depth 10000", "frames"),
    (Numbers, "huge numbers", "frames"),
    (Doubled, "duplicate keys", "frames"),
    (Surrogates, "lone surrogates", "frames"),
];

impl Attack {
    /// Returns how long it is looked at in a round, at least.
    pub(crate) const fn stretch(self) -> Duration {
        match self {
            Headers => HEADERS,
            _ => STRETCH,
        }
    }

    /// Returns what of it is no attack, and is there before it too: that somebody does not read is one, what others say meanwhile is none.
    pub(crate) fn harmless(self) -> Option<Self> {
        (self == NeverRead).then_some(Talk)
    }

    /// Returns how many rounds it has where others have `rounds`: those are fewer that take a minute.
    pub(crate) fn rounds(self, rounds: usize) -> usize {
        match self {
            Pinged | HalfOpen => rounds.min(5),
            _ => rounds,
        }
    }

    /// Returns the limit on new connections of an address it is run with.
    pub(crate) const fn handshakes(self) -> u32 {
        match self {
            Limited => storm::LIMIT,
            _ => 0,
        }
    }

    /// Returns the bytes it may make the server hold.
    pub(crate) const fn bound(self) -> usize {
        FLAT + match self {
            UnreadPings => CONNECTIONS * (REPLY_BYTES_MAX + REPLY_FRAMES_MAX * FRAME_COST),
            Headers => SLOW * HTTP_CONNECTION,
            Frames => SLOW * SESSION,
            NeverRead => STALLED * STALLED_LANE + FLAT,
            Pinged | HalfOpen => GONE * SESSION,
            Limited | Open => FLAT / 2,
            _ => CONNECTIONS * MESSAGE,
        }
    }

    /// Attacks until it is over, and fails where the server does other than it should.
    pub(crate) async fn run(self, site: &Rc<Site>) {
        match self {
            Nothing => frames::nothing(site),
            Tebibyte => frames::tebibyte(site).await,
            Endless => frames::endless(site).await,
            Tiny => frames::tiny(site).await,
            Pings => frames::pings(site).await,
            UnreadPings => frames::unread_pings(site).await,
            Unmasked => frames::unmasked(site).await,
            Reserved => frames::reserved(site).await,
            NotUtf8 => frames::not_utf_8(site).await,
            Bomb => frames::bomb(site).await,
            Headers => slow::headers(site).await,
            Frames => slow::frames(site).await,
            NeverRead => slow::never_read(site, STALLED).await,
            Talk => slow::never_read(site, 0).await,
            Pinged => slow::half_open(site, PINGED).await,
            HalfOpen => slow::half_open(site, GIVEN_UP).await,
            Limited => storm::limited(site).await,
            Open => storm::open(site).await,
            Depth | Numbers | Doubled | Surrogates => {
                let (passed, refused) = self.texts(&site.room);
                frames::json(site, &passed, &refused).await;
            }
        }
    }

    /// Returns a text that nobody looks into, and one that is refused.
    fn texts(self, room: &str) -> (String, String) {
        let value = match self {
            Depth => "[".repeat(10_000) + &"]".repeat(10_000),
            Numbers => "1e999999".to_owned(),
            Surrogates => r#""\ud800""#.to_owned(),
            _ => r#"{"k":1,"k":2}"#.to_owned(),
        };
        let passed = format!(r#"{{"type":"ping","x":{value}}}"#);
        let body = match self {
            Doubled => r#"{"text":"a","text":"b"}"#.to_owned(),
            _ => format!(r#"{{"data":{value}}}"#),
        };
        let id = Uuid::now_v7();
        let refused = format!(
            r#"{{"type":"message.send","msg_id":"{id}","payload":{{"room_id":"{room}","body":{body}}}}}"#
        );
        (passed, refused)
    }
}
