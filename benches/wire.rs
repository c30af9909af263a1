//! A WebSocket of a bench's client: as little as RFC 6455 allows, so that the client costs next to nothing.
//!
//! Deliberately absent: fragments, inflating what came compressed, checks of what a correct server never does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a bench, and each binary uses a part"
)]

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// The opcodes met (RFC 6455 section 5.2).
pub(crate) const CONTINUE: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;
/// The bit of a message's last frame.
pub(crate) const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Bytes that a socket which is never read takes in.
const NARROW_BYTES: u32 = 4096;
/// Bytes a connection keeps room for.
const HELD_BYTES: usize = 4096;
/// The mask of every frame.
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame at the beginning of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// What it is.
    pub(crate) opcode: u8,
    /// Whether its payload is compressed (RFC 7692 section 6).
    pub(crate) is_compressed: bool,
    /// Where its payload starts.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

impl Frame {
    /// Finds the server's frame at the beginning of `bytes`, if all of it is there.
    pub(crate) fn first(bytes: &[u8]) -> Option<Self> {
        let (first, short) = (*bytes.first()?, *bytes.get(1)?);
        let (start, length) = match short {
            0..=125 => (2, usize::from(short)),
            126 => {
                let length = bytes.get(2..4)?.try_into().unwrap();
                (4, usize::from(u16::from_be_bytes(length)))
            }
            _ => {
                let length = bytes.get(2..10)?.try_into().unwrap();
                (10, usize::try_from(u64::from_be_bytes(length)).unwrap())
            }
        };
        let end = start + length;
        (bytes.len() >= end).then_some(Self {
            opcode: first & 0x0f,
            is_compressed: first & 0x40 != 0,
            start,
            end,
        })
    }
}

/// Packs a client's frame, the last or only one of its message.
pub(crate) fn pack(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(FINAL | opcode, payload)
}

/// Packs a client's frame whose first byte is `first`.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, payload.len() as u64);
    let masks = MASK.iter().cycle();
    out.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
    out
}

/// Packs the header of a client's frame that announces `length` bytes, its mask last.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(usize::try_from(length.min(1 << 16)).unwrap() + 14);
    out.push(first);
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        out.push(MASKED | short);
    } else if let Ok(middle) = u16::try_from(length) {
        out.push(MASKED | 126);
        out.extend_from_slice(&middle.to_be_bytes());
    } else {
        out.push(MASKED | 127);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(&MASK);
    out
}

/// Returns the answer to a ping.
pub(crate) fn pong() -> Vec<u8> {
    pack(PONG, b"")
}

/// The request header that offers permessage-deflate.
pub(crate) const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// A connected WebSocket.
pub(crate) struct Wire {
    /// The socket.
    pub(crate) stream: TcpStream,
    /// What was read and not yet taken.
    pub(crate) held: Vec<u8>,
    /// Whether the server took the offer of permessage-deflate.
    pub(crate) deflates: bool,
}

impl Wire {
    /// Connects and shakes hands.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::shake(connect(addr).await, "").await
    }

    /// Connects and shakes hands; the socket takes few bytes that nobody reads.
    pub(crate) async fn connect_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(NARROW_BYTES).unwrap();
        Self::shake(socket.connect(addr).await.unwrap(), "").await
    }

    /// Takes a connected socket to which no WebSocket is spoken.
    pub(crate) fn bare(stream: TcpStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
            deflates: false,
        }
    }

    /// Shakes hands, with `headers` beside what is needed.
    pub(crate) async fn shake(mut stream: TcpStream, headers: &str) -> Self {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut held = Vec::with_capacity(HELD_BYTES);
        let end = loop {
            assert_ne!(stream.read_buf(&mut held).await.unwrap(), 0, "refused");
            if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&held[..end]).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let deflates = head.contains("permessage-deflate");
        held.drain(..end);
        Self {
            stream,
            held,
            deflates,
        }
    }

    /// Sends a text.
    pub(crate) async fn text(&mut self, text: &str) {
        let frame = pack(TEXT, text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Waits for the next text, which may be compressed; answers its payload.
    pub(crate) async fn next(&mut self) -> Vec<u8> {
        loop {
            let Some(frame) = Frame::first(&self.held) else {
                let read = self.stream.read_buf(&mut self.held).await.unwrap();
                assert_ne!(read, 0, "the server left");
                continue;
            };
            let payload: Vec<u8> = self.held.drain(..frame.end).skip(frame.start).collect();
            match frame.opcode {
                TEXT => return payload,
                PING => self.stream.write_all(&pong()).await.unwrap(),
                _ => panic!("closed: {}", String::from_utf8_lossy(&payload)),
            }
        }
    }

    /// Waits for the next text, which is not compressed.
    pub(crate) async fn next_text(&mut self) -> String {
        String::from_utf8(self.next().await).expect("a text that is not compressed")
    }
}

/// Connects a socket.
pub(crate) async fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
