//! A connection of the attacker's, and what it takes to see how the server ends it.
//!
//! Invariant EV-1: whatever the server owes comes within [`WITHIN`], or the bench fails.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use crate::{
    client,
    stage::Stage,
    wire::{self, CLOSE, Frame, OFFER, TEXT, Wire},
};

/// Longer than the server takes for anything that is waited for, on a thread that runs on what others leave too.
pub(crate) const WITHIN: Duration = Duration::from_secs(50);

/// Where an attack takes place.
pub(crate) struct Site {
    /// The server.
    pub(crate) addr: SocketAddr,
    /// A room of the attacker's own.
    pub(crate) room: String,
    /// Says when it begins and when it is over.
    pub(crate) stage: Stage,
    /// Whether those who are slow go on until the server ends it.
    pub(crate) is_last: bool,
    hello: Vec<u8>,
}

impl Site {
    pub(crate) fn new(addr: SocketAddr, room: &str, stage: Stage, is_last: bool) -> Rc<Self> {
        let hello = json!({ "token": client::token("eve"), "rooms": "none" });
        let hello = client::frame("hello", &Uuid::now_v7().to_string(), &hello);
        Rc::new(Self {
            addr,
            room: room.to_owned(),
            stage,
            is_last,
            hello: wire::pack(TEXT, hello.as_bytes()),
        })
    }

    /// Reads how many connections the server has closed with `code`.
    pub(crate) async fn closed(&self, code: u16) -> u64 {
        let name = format!("parlor_closes_total{{code=\"{code}\"}}");
        let count = client::metric_or_none(self.addr, &name).await;
        // A whole number, far below 2^53.
        count.unwrap_or(0.0) as u64
    }
}

/// A frame of the server's.
pub(crate) struct Heard {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection that has said `hello`.
pub(crate) struct Eve {
    stream: TcpStream,
    held: Vec<u8>,
    taken: usize,
}

impl Eve {
    /// Connects as any client would.
    pub(crate) async fn meet(site: &Site) -> Self {
        Self::of(Wire::connect(site.addr).await, site).await
    }

    /// The same with permessage-deflate agreed on.
    pub(crate) async fn deflating(site: &Site) -> Self {
        let stream = wire::connect(site.addr).await;
        let wire = Wire::shake(stream, OFFER).await;
        assert!(wire.deflates);
        Self::of(wire, site).await
    }

    /// The same with a socket that takes few bytes which nobody reads.
    pub(crate) async fn narrow(site: &Site) -> Self {
        Self::of(Wire::connect_narrow(site.addr).await, site).await
    }

    async fn of(wire: Wire, site: &Site) -> Self {
        let mut eve = Self {
            stream: wire.stream,
            held: wire.held,
            taken: 0,
        };
        assert!(eve.write(&site.hello).await, "hello");
        let welcome = eve.hear().await.expect("a welcome");
        // One that came compressed is not looked into.
        let is_welcome = wire.deflates || welcome.payload.starts_with(br#"{"type":"welcome""#);
        assert!(is_welcome, "{}", String::from_utf8_lossy(&welcome.payload));
        eve
    }

    /// Writes bytes as they are; answers whether the server still took them.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        let written = timeout(WITHIN, self.stream.write_all(bytes)).await;
        written.expect("EV-1: the server reads").is_ok()
    }

    /// Writes and reads at the same time, until `over` says of what was heard that it is enough; what is not written by then is not
    /// written at all.
    pub(crate) async fn write_and_hear(
        &mut self,
        bytes: &[u8],
        mut over: impl FnMut(Heard) -> bool,
    ) {
        let (mut reading, mut writing) = self.stream.split();
        let hear = async {
            loop {
                let heard = hear(&mut reading, &mut self.held, &mut self.taken).await;
                if over(heard.expect("a closing frame first")) {
                    break;
                }
            }
        };
        let write = async {
            let _ = writing.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let both = async {
            tokio::select! { () = hear => {}, () = write => {} }
        };
        timeout(WITHIN, both).await.expect("EV-1: an answer");
    }

    /// Waits for the next frame; none: the end, in whatever way.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        let heard = hear(&mut self.stream, &mut self.held, &mut self.taken);
        timeout(WITHIN, heard).await.expect("EV-1: a frame")
    }

    /// Writes, and hears how the server ends it.
    pub(crate) async fn code_for(&mut self, bytes: &[u8]) -> u16 {
        let mut found = 0;
        self.write_and_hear(bytes, |heard| {
            if heard.opcode == CLOSE {
                found = code(&heard);
            }
            found != 0
        })
        .await;
        found
    }
}

/// Reads the code of a closing frame.
pub(crate) fn code(close: &Heard) -> u16 {
    u16::from_be_bytes(close.payload[..2].try_into().unwrap())
}

async fn hear(
    stream: &mut (impl AsyncReadExt + Unpin),
    held: &mut Vec<u8>,
    taken: &mut usize,
) -> Option<Heard> {
    loop {
        if let Some(frame) = Frame::first(&held[*taken..]) {
            let payload = held[*taken + frame.start..*taken + frame.end].to_vec();
            *taken += frame.end;
            let opcode = frame.opcode;
            return Some(Heard { opcode, payload });
        }
        held.drain(..std::mem::take(taken));
        match stream.read_buf(held).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
