//! A client below any library: frames right and wrong, over whatever carries bytes, and answers as they came.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
};

use bytes::{Buf, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use uuid::Uuid;

use super::WITHIN;

/// The last frame of a message (RFC 6455 section 5.2).
pub const FINAL: u8 = 0x80;
/// A compressed message (RFC 7692 section 6).
pub const COMPRESSED: u8 = 0x40;
/// A further fragment.
pub const CONTINUE: u8 = 0x0;
/// A text.
pub const TEXT: u8 = 0x1;
/// The end.
pub const CLOSE: u8 = 0x8;
/// A ping.
pub const PING: u8 = 0x9;
/// Its answer.
pub const PONG: u8 = 0xA;
/// The offer that browsers make.
pub const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";

const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The end of every flushed block, which the wire leaves out (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// An empty last block, with which a stream ends.
const LAST: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Whatever carries bytes both ways.
pub trait Flow: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Flow for T {}

/// Packs a client's frame.
pub fn pack(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, payload.len() as u64);
    let masks = MASK.iter().cycle();
    out.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
    out
}

/// Packs the header of a client's frame that announces `length` bytes, its mask last.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut out = vec![first];
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        out.push(MASKED | short);
    } else if let Ok(middle) = u16::try_from(length) {
        out.push(MASKED | 126);
        out.extend(middle.to_be_bytes());
    } else {
        out.push(MASKED | 127);
        out.extend(length.to_be_bytes());
    }
    out.extend(MASK);
    out
}

/// Compresses a message as RFC 7692 wants it.
pub fn deflate(message: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(message).unwrap();
    encoder.flush().unwrap();
    let mut out = encoder.get_ref().clone();
    assert!(out.ends_with(&TAIL), "a flush ends a block");
    out.truncate(out.len() - TAIL.len());
    out
}

/// Inflates a message of the server.
pub fn inflate(message: &[u8]) -> Vec<u8> {
    let stream = [message, &TAIL, &LAST].concat();
    let mut out = Vec::new();
    flate2::read::DeflateDecoder::new(&stream[..])
        .read_to_end(&mut out)
        .unwrap();
    out
}

/// Connects from an address of this machine's, with a receive buffer of `receive_bytes` where that is not 0.
pub async fn dial(to: SocketAddr, from: IpAddr, receive_bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if receive_bytes > 0 {
        socket.set_recv_buffer_size(receive_bytes).unwrap();
    }
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What HTTP answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// The body as JSON, `null` where it is none.
    pub body: Value,
}

impl Answer {
    fn of(head: &str, body: &[u8]) -> Self {
        Self {
            status: head.split(' ').nth(1).unwrap_or_default().parse().unwrap(),
            head: head.to_lowercase(),
            body: serde_json::from_slice(body).unwrap_or(Value::Null),
        }
    }

    /// Returns a header, empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    }

    /// Returns when one should try again, in seconds.
    pub fn retry_after_s(&self) -> u64 {
        self.header("retry-after").parse().unwrap_or(0)
    }
}

/// Asks over HTTP on a connection of its own.
pub async fn ask_http(
    mut stream: impl Flow,
    request: &str,
    headers: &[&str],
    body: &str,
) -> Answer {
    let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(WITHIN, stream.read_to_end(&mut bytes))
        .await
        .expect("answers in time")
        .unwrap();
    let at = end_of_head(&bytes).expect("an answer has a head");
    Answer::of(&String::from_utf8_lossy(&bytes[..at]), &bytes[at..])
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

/// A frame of the server's.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its first byte.
    pub first: u8,
    /// Its payload as it came.
    pub payload: Bytes,
}

impl Frame {
    /// Returns what it is.
    pub const fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Tells whether it came compressed.
    pub const fn is_compressed(&self) -> bool {
        self.first & COMPRESSED != 0
    }

    /// Reads its text.
    pub fn json(&self) -> Value {
        if self.is_compressed() {
            serde_json::from_slice(&inflate(&self.payload)).unwrap()
        } else {
            serde_json::from_slice(&self.payload).unwrap()
        }
    }
}

/// How the server closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code.
    pub code: u16,
    /// The text beside it.
    pub reason: String,
}

/// The way in.
pub struct Reading {
    stream: Box<dyn AsyncRead + Unpin + Send>,
    held: BytesMut,
}

impl Reading {
    /// Waits for the next frame; none: the connection ended, in whatever way.
    pub async fn frame(&mut self) -> Option<Frame> {
        tokio::time::timeout(WITHIN, self.frame_now())
            .await
            .expect("something comes in time")
    }

    /// The same without an end to the wait.
    pub async fn frame_now(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.first() {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.held).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn first(&mut self) -> Option<Frame> {
        let (first, short) = (*self.held.first()?, *self.held.get(1)?);
        let (start, length) = match short {
            0..=125 => (2, usize::from(short)),
            126 => {
                let length = self.held.get(2..4)?.try_into().unwrap();
                (4, usize::from(u16::from_be_bytes(length)))
            }
            _ => {
                let length = self.held.get(2..10)?.try_into().unwrap();
                (10, usize::try_from(u64::from_be_bytes(length)).unwrap())
            }
        };
        if self.held.len() < start + length {
            return None;
        }
        self.held.advance(start);
        let payload = self.held.split_to(length).freeze();
        Some(Frame { first, payload })
    }

    /// Waits for the next text, and reads it.
    pub async fn json(&mut self) -> Value {
        loop {
            let frame = self.frame().await.expect("the server stays");
            match frame.opcode() {
                TEXT => return frame.json(),
                CLOSE => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Waits for a text that `matches`; others are forgotten.
    pub async fn wait_for(&mut self, matches: impl Fn(&Value) -> bool) -> Value {
        loop {
            let json = self.json().await;
            if matches(&json) {
                return json;
            }
        }
    }

    /// Waits for the end, whatever comes before it; none: it came without a closing frame.
    pub async fn end(&mut self) -> Option<Closed> {
        loop {
            let frame = self.frame().await?;
            if frame.opcode() == CLOSE {
                return Some(closed(&frame));
            }
        }
    }

    /// The same for an end that is told; answers its code.
    pub async fn code(&mut self) -> u16 {
        self.end().await.expect("a closing frame").code
    }
}

/// Reads a closing frame.
pub fn closed(frame: &Frame) -> Closed {
    let (code, reason) = frame.payload.split_at(2);
    Closed {
        code: u16::from_be_bytes(code.try_into().unwrap()),
        reason: String::from_utf8(reason.to_vec()).unwrap(),
    }
}

/// The way out.
pub struct Writing(Box<dyn AsyncWrite + Unpin + Send>);

impl Writing {
    /// Writes bytes as they are; answers whether the server still took them.
    pub async fn bytes(&mut self, bytes: &[u8]) -> bool {
        tokio::time::timeout(WITHIN, self.0.write_all(bytes))
            .await
            .expect("the server reads")
            .is_ok()
    }

    /// Writes a text frame.
    pub async fn text(&mut self, text: &str) {
        let taken = self.bytes(&pack(FINAL | TEXT, text.as_bytes())).await;
        assert!(taken, "the server takes {text:.100}");
    }

    /// Sends a frame of the protocol.
    pub async fn post(&mut self, kind: &str, msg_id: &str, payload: &Value) {
        self.text(&json!({ "type": kind, "msg_id": msg_id, "payload": payload }).to_string())
            .await;
    }
}

/// A raw client.
pub struct Raw {
    /// What the handshake was answered.
    pub answer: Answer,
    /// The way in.
    pub reading: Reading,
    /// The way out.
    pub writing: Writing,
}

impl Raw {
    /// Connects and shakes hands, which must succeed.
    pub async fn connect(addr: SocketAddr, headers: &[&str]) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::shake(stream, headers).await.expect("101")
    }

    /// Shakes hands over a stream.
    pub async fn shake(stream: impl Flow, headers: &[&str]) -> Result<Self, Answer> {
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let text = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        let mut raw = Self::over(stream);
        assert!(raw.writing.bytes(text.as_bytes()).await, "a request");
        let Reading { stream, held } = &mut raw.reading;
        let at = loop {
            if let Some(at) = end_of_head(held) {
                break at;
            }
            let read = tokio::time::timeout(WITHIN, stream.read_buf(held)).await;
            assert_ne!(read.expect("an answer in time").unwrap(), 0, "{held:?}");
        };
        let head = held.split_to(at);
        raw.answer = Answer::of(&String::from_utf8_lossy(&head), b"");
        if raw.answer.status == 101 {
            return Ok(raw);
        }
        let rest = async { while stream.read_buf(held).await.is_ok_and(|read| read > 0) {} };
        tokio::time::timeout(WITHIN, rest).await.expect("the rest");
        Err(Answer::of(&String::from_utf8_lossy(&head), held))
    }

    /// Speaks over a stream whose handshake is done, or which has none.
    pub fn over(stream: impl Flow) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            answer: Answer {
                status: 0,
                head: String::new(),
                body: Value::Null,
            },
            reading: Reading {
                stream: Box::new(reader),
                held: BytesMut::new(),
            },
            writing: Writing(Box::new(writer)),
        }
    }

    /// Sends a frame and waits for its reply; what else comes is forgotten.
    pub async fn ask(&mut self, kind: &str, payload: Value) -> Value {
        let msg_id = Uuid::now_v7().to_string();
        self.writing.post(kind, &msg_id, &payload).await;
        self.reply_to(&msg_id).await
    }

    /// Waits for the reply to `msg_id`.
    pub async fn reply_to(&mut self, msg_id: &str) -> Value {
        let is_reply = |frame: &Value| {
            let kind = frame["type"].as_str().unwrap_or_default();
            frame["msg_id"] == msg_id && ["ack", "error", "welcome", "pong"].contains(&kind)
        };
        self.reading.wait_for(is_reply).await
    }

    /// Says `hello`, which must be welcome.
    pub async fn hello(&mut self, token: &str) -> Value {
        let reply = self.ask("hello", json!({ "token": token })).await;
        assert_eq!(reply["type"], "welcome", "{reply}");
        reply
    }
}
