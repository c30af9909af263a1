//! Attacks by those who take their time, or take nothing: slow headers, slow frames, sockets that are not read, clients that are gone.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use crate::{
    client,
    eve::{Eve, Site, WITHIN},
    wire::{self, FINAL, TEXT, Wire, header},
};

/// Connections of those who are slow.
pub(crate) const SLOW: usize = 1_000;
/// Between two bytes of one of them.
const DRIP: Duration = Duration::from_millis(250);
/// Bytes that a slow message announces.
const ANNOUNCED: u64 = 60_000;
/// Members who never read.
pub(crate) const STALLED: usize = 20;
/// What they do not read: as many users as say it at the rate that is the default, and bytes of each text.
const TALKERS: usize = 8;
const TALK_EVERY: Duration = Duration::from_millis(50);
const TALK_BYTES: usize = 20_000;
/// Connections whose client is gone.
pub(crate) const GONE: usize = 1_000;
/// Connections opened together, so that no more than a few milliseconds of work wait at once.
const OPENED_TOGETHER: usize = 20;

/// Opens `count` connections by turns.
async fn open<T>(count: usize, one: impl AsyncFn() -> T) -> Vec<T> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(join_all((0..OPENED_TOGETHER).map(|_| one())).await);
    }
    all
}

/// Requests whose headers do not end; each is answered 408 in 5 s.
pub(crate) async fn headers(site: &Rc<Site>) {
    let request = b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nX: ";
    let begun = Instant::now();
    let sockets = open(SLOW, async || {
        let mut socket = wire::connect(site.addr).await;
        socket.write_all(request).await.unwrap();
        socket
    })
    .await;
    site.stage.begin();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "all of them are open at a time"
    );
    join_all(sockets.into_iter().map(async |mut socket| {
        let (mut reader, mut writer) = socket.split();
        let mut said = Vec::new();
        let dripping = async {
            while writer.write_all(b"x").await.is_ok() {
                sleep(DRIP).await;
            }
            std::future::pending::<()>().await;
        };
        let answered = async { drop(reader.read_to_end(&mut said).await) };
        tokio::select! {
            answered = timeout(WITHIN, answered) => answered.expect("an end"),
            () = dripping => {},
        }
        assert!(said.starts_with(b"HTTP/1.1 408"), "{said:?}");
        site.stage.did(1);
    }))
    .await;
}

/// Messages that do not end; each is closed 4503 after 20 s.
pub(crate) async fn frames(site: &Rc<Site>) {
    let head = header(FINAL | TEXT, ANNOUNCED);
    let eves = open(SLOW, async || Eve::meet(site).await).await;
    site.stage.begin();
    join_all(eves.into_iter().map(async |mut eve| {
        assert!(eve.write(&head).await);
        for mask in wire::MASK.iter().cycle() {
            if site.stage.is_over() && !site.is_last || !eve.write(&[b' ' ^ mask]).await {
                break;
            }
            match timeout(DRIP, eve.hear()).await {
                Err(_) => site.stage.did(1),
                Ok(heard) => {
                    let end = heard.expect("a closing frame");
                    assert_eq!(crate::eve::code(&end), 4503);
                    return;
                }
            }
        }
        assert!(!site.is_last, "it was never closed");
    }))
    .await;
}

/// So many members of a busy room who never read; each is closed 4501 once it took nothing for 30 s.
pub(crate) async fn never_read(site: &Rc<Site>, count: usize) {
    let before = site.closed(4501).await;
    let talkers: Vec<String> = (0..TALKERS).map(|at| format!("talker-{at}")).collect();
    let mut users = talkers.clone();
    users.extend((0..count).map(|at| format!("stalled-{at}")));
    let room = client::room(site.addr, &users).await;
    let mut stalled = Vec::new();
    for user in &users[TALKERS..] {
        let mut wire = Wire::connect_narrow(site.addr).await;
        client::greet(&mut wire, user).await;
        stalled.push(wire);
    }
    let mut talking = Vec::new();
    for user in &talkers {
        let mut wire = Wire::connect(site.addr).await;
        let hello = json!({ "token": client::token(user), "rooms": "none" });
        client::ask(&mut wire, "hello", hello).await;
        talking.push(wire);
    }
    site.stage.begin();
    let text = "x".repeat(TALK_BYTES);
    join_all(talking.into_iter().map(async |mut wire| {
        let mut due = Instant::now();
        while !site.stage.is_over() {
            let payload = json!({ "room_id": room, "body": { "text": text } });
            client::ask(&mut wire, "message.send", payload).await;
            site.stage.did(1);
            due += TALK_EVERY;
            sleep(due.saturating_duration_since(Instant::now())).await;
        }
    }))
    .await;
    if site.is_last {
        all_closed(site, 4501, before + count as u64).await;
    }
}

/// Connections that say nothing any more; each is pinged after 25 s and closed 4503 after 50 s. It begins shortly before `moment`.
pub(crate) async fn half_open(site: &Rc<Site>, moment: Duration) {
    let before = site.closed(4503).await;
    let begun = Instant::now();
    let gone = open(GONE, async || Eve::meet(site).await).await;
    let early = Duration::from_millis(100);
    sleep((moment - early).saturating_sub(begun.elapsed())).await;
    site.stage.begin();
    while !site.stage.is_over() {
        sleep(DRIP).await;
    }
    if begun.elapsed() > Duration::from_secs(50) {
        all_closed(site, 4503, before + GONE as u64).await;
    }
    site.stage.did(GONE as u64);
    drop(gone);
}

async fn all_closed(site: &Site, code: u16, count: u64) {
    let all = async {
        while site.closed(code).await < count {
            sleep(DRIP).await;
        }
    };
    timeout(WITHIN, all).await.expect("EV-1: all are closed");
    assert_eq!(site.closed(code).await, count);
}
