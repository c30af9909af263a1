//! Attacks by connecting: one address, ten thousand times a second or as fast as a thread can.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use crate::{
    eve::{Site, WITHIN},
    wire,
};

/// Time between two connects.
const EVERY: Duration = Duration::from_micros(100);
/// Connects under way at a time.
const AT_ONCE: usize = 64;
/// New connections of one address in a second, where that is limited.
pub(crate) const LIMIT: u32 = 20;

const REQUEST: &[u8] =
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a connect was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Admitted,
    Refused,
}

async fn knock(site: &Site) -> Answer {
    let mut stream = wire::connect(site.addr).await;
    stream.write_all(REQUEST).await.unwrap();
    let mut heard = Vec::with_capacity(1024);
    let head = async {
        while !heard.windows(4).any(|four| four == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "no answer");
        }
    };
    timeout(WITHIN, head).await.expect("EV-1: an answer");
    let text = String::from_utf8_lossy(&heard);
    if text.starts_with("HTTP/1.1 101") {
        return Answer::Admitted;
    }
    assert!(text.starts_with("HTTP/1.1 429"), "{text}");
    assert!(text.to_lowercase().contains("\r\nretry-after: "), "{text}");
    Answer::Refused
}

/// Connects until the attack is over; each is due [`EVERY`], and goes late where the one before it was. Answers how many were admitted,
/// and how long it went on.
async fn storm(site: &Rc<Site>) -> (u64, Duration) {
    site.stage.begin();
    let (begun, next, admitted) = (Instant::now(), Cell::new(0_u32), Cell::new(0));
    join_all((0..AT_ONCE).map(async |_| {
        while !site.stage.is_over() {
            let due = EVERY * next.replace(next.get() + 1);
            let early = due.saturating_sub(begun.elapsed());
            if early > Duration::ZERO {
                sleep(early).await;
            }
            if knock(site).await == Answer::Admitted {
                admitted.set(admitted.get() + 1);
            }
            site.stage.did(1);
        }
    }))
    .await;
    (admitted.get(), begun.elapsed())
}

/// All but a few are refused 429.
pub(crate) async fn limited(site: &Rc<Site>) {
    let (admitted, took) = storm(site).await;
    // A full bucket, and what came back since.
    let most = u64::from(LIMIT) * (took.as_secs() + 2);
    assert!(admitted <= most, "{admitted} admitted, of {most}");
}

/// All are served.
pub(crate) async fn open(site: &Rc<Site>) {
    let (admitted, _) = storm(site).await;
    assert_eq!(admitted, site.stage.done());
}
