//! Clients that take their time, with headers, with the first frame, with a message, or that are gone and did not say so.
//!
//! The server's deadlines are met in real time here, because it reads the system's clock.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{besieged, eve};
use crate::support::raw::{CONTINUE, FINAL, PING, PONG, Raw, TEXT, pack};

/// Between two bytes of somebody who is slow on purpose.
const DRIP: Duration = Duration::from_millis(250);
/// Longer than any deadline here, on a busy machine too.
const WITHIN: Duration = Duration::from_secs(40);
/// What some slow connections may take of memory.
const FLAT_BYTES: u64 = 16 << 20;
/// HTTP connections that a thread takes at a time, and somewhat more; what each may take beside its headers.
const HTTP_CONNECTIONS: usize = 4096;
const MORE: usize = 64;
const HTTP_CONNECTION_BYTES: u64 = 16 << 10;
/// Clients that are gone, and for how long before they are looked at: some seconds less than they are believed.
const GONE: usize = 200;
const SILENCE_S: u64 = 45;
/// Longer than a message may take.
const LONGER: u32 = 22 * 4;

/// Sends `head`, and then a byte from time to time for as long as the server lets it; answers what it said.
async fn drip(addr: std::net::SocketAddr, head: &str, byte: &[u8]) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut said = Vec::new();
    let dripping = async {
        while writer.write_all(byte).await.is_ok() {
            sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
    };
    let answered = async { drop(reader.read_to_end(&mut said).await) };
    tokio::select! {
        () = answered => {}
        () = dripping => {}
        () = sleep(WITHIN) => panic!("the server waits for ever"),
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn headers_that_do_not_end_are_answered_408() {
    let (server, mut pair) = besieged(&[]).await;
    let upgrade = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nX: ";
    let get = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let second = format!("{get}{upgrade}");
    let memory = server.memory();
    pair.beside(async || {
        let (one, two, three, none) = tokio::join!(
            drip(server.addr, upgrade, b"x"),
            drip(server.addr, "G", b""),
            drip(server.addr, &second, b"x"),
            drip(server.addr, "", b""),
        );
        assert!(one.starts_with("HTTP/1.1 408"), "{one}");
        assert!(two.starts_with("HTTP/1.1 408"), "{two}");
        // The next request of a connection has no deadline of its own, and is therefore not read.
        assert!(three.starts_with("HTTP/1.1 200"), "{three}");
        assert_eq!(three.matches("HTTP/1.1").count(), 1, "{three}");
        assert!(none.starts_with("HTTP/1.1 408"), "{none}");
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn more_slow_headers_than_a_thread_takes_hold_only_new_connections_up() {
    allow_descriptors();
    let (server, mut pair) = besieged(&[("PARLOR__SERVER__WORKERS", "1")]).await;
    let memory = server.memory();
    let mut again = false;
    pair.beside(async || {
        if std::mem::replace(&mut again, true) {
            return tokio::task::yield_now().await;
        }
        let mut slow = Vec::new();
        for _ in 0..HTTP_CONNECTIONS + MORE {
            let mut socket = TcpStream::connect(server.addr).await.unwrap();
            socket
                .write_all(b"GET /health/live HTTP/1.1\r\nX: ")
                .await
                .unwrap();
            slow.push(socket);
        }
        let mut late = TcpStream::connect(server.addr).await.unwrap();
        let whole = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        late.write_all(whole).await.unwrap();
        let mut said = Vec::new();
        let answer = timeout(WITHIN, late.read_to_end(&mut said)).await;
        answer.expect("the slow ones make room").unwrap();
        assert!(said.starts_with(b"HTTP/1.1 200"), "{said:?}");
        for (at, mut socket) in slow.into_iter().enumerate() {
            let mut said = Vec::new();
            let answer = timeout(WITHIN, socket.read_to_end(&mut said)).await;
            answer.expect("answered in time").unwrap();
            assert!(said.starts_with(b"HTTP/1.1 408"), "{at}: {said:?}");
        }
    })
    .await;
    memory.grew_at_most(FLAT_BYTES + HTTP_CONNECTIONS as u64 * HTTP_CONNECTION_BYTES);
}

/// Lets this process, and those it starts, open as many sockets as the system allows.
fn allow_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[tokio::test]
async fn clients_that_are_gone_are_pinged_and_closed_4503_beside_the_others() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    let mut gone = Vec::new();
    for _ in 0..GONE {
        gone.push(eve(&server).await);
    }
    // Somebody talks now and then; all the time would take the machine from other tests.
    for _ in 0..SILENCE_S / 5 {
        sleep(Duration::from_secs(5)).await;
        pair.exchange().await;
    }
    pair.beside(async || {
        for mut one in gone.drain(..) {
            let ping = one.reading.frame().await.expect("a ping");
            assert_eq!(ping.opcode(), PING);
            assert_eq!(one.reading.code().await, 4503);
        }
        tokio::task::yield_now().await;
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

#[tokio::test]
async fn a_hello_that_does_not_end_is_closed_4408() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    pair.beside(async || {
        let mut eve = Raw::connect(server.addr, &[]).await;
        let hello = pack(FINAL | TEXT, br#"{"type":"hello","payload":{"token":"#);
        let dripping = async {
            for byte in hello.iter().cycle() {
                if !eve.writing.bytes(&[*byte]).await {
                    break;
                }
                sleep(DRIP * 2).await;
            }
        };
        tokio::select! {
            code = eve.reading.code() => assert_eq!(code, 4408),
            () = dripping => panic!("closed, or cut while it may still speak"),
        }
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

/// Sends fragments that end nothing, with pings between them.
async fn never_ends(mut eve: Raw) -> u16 {
    let fragment = [pack(CONTINUE, b""), pack(FINAL | PING, b"")].concat();
    eve.writing.bytes(&pack(TEXT, b"{")).await;
    for _ in 0..2 * LONGER {
        if !eve.writing.bytes(&fragment).await {
            break;
        }
        let frame = eve.reading.frame().await.expect("a closing frame first");
        if frame.opcode() != PONG {
            return crate::support::raw::closed(&frame).code;
        }
        sleep(DRIP).await;
    }
    panic!("it was never closed");
}

/// Sends whole messages, in writes that each end in the middle of one.
async fn never_pauses(mut eve: Raw) {
    let ping = pack(FINAL | TEXT, br#"{"type":"ping"}"#);
    let (head, tail) = ping.split_at(9);
    let middle = [tail, head].concat();
    eve.writing.bytes(head).await;
    for n in 0..LONGER {
        assert!(eve.writing.bytes(&middle).await, "{n}");
        assert_eq!(eve.reading.json().await["type"], "pong", "{n}");
        sleep(DRIP).await;
    }
    eve.writing.bytes(tail).await;
    assert_eq!(eve.reading.json().await["type"], "pong");
}

#[tokio::test]
async fn a_message_has_twenty_seconds_and_a_stream_of_messages_has_any_time() {
    let (server, mut pair) = besieged(&[]).await;
    let memory = server.memory();
    pair.beside(async || {
        let (one, two) = (eve(&server).await, eve(&server).await);
        let (code, ()) = tokio::join!(never_ends(one), never_pauses(two));
        assert_eq!(code, 4503);
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}
