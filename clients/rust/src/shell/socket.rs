//! The socket: opening it, reading and writing it at the same time, closing it.
//!
//! Invariant SO-1: a reader that waits does not keep the writer waiting, nor the other way round.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest,
        handshake::client::Request,
        http::{HeaderValue, Uri, header},
        protocol::WebSocketConfig,
    },
};

use crate::state::{ConnectFailure, Input};

/// Frames read before the state sees them.
pub(crate) const BATCH_MAX: usize = 64;
/// Small, since a process may hold thousands of clients.
const BUFFER_BYTES: usize = 8 * 1024;
/// Twice what the protocol lets the server send.
const MESSAGE_BYTES_MAX: usize = 2 * parlor_schema::limits::SERVER_FRAME_BYTES_MAX;
const SUBPROTOCOL: &str = "parlor.v1";

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where the socket is.
pub(crate) enum Transport {
    /// There is none.
    Idle,
    /// It is being opened.
    Opening(BoxFuture<'static, Result<Stream, ConnectFailure>>),
    /// It is open.
    Open(Box<Open>),
}

/// An open socket and what waits to be written.
pub(crate) struct Open {
    stream: Stream,
    unsent: VecDeque<String>,
}

/// Whether the socket is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is.
    On,
    /// The application takes nothing.
    Off,
}

/// What happened on the socket.
pub(crate) enum Happened {
    /// It is open.
    Opened,
    /// It did not open.
    NotOpened(ConnectFailure),
    /// Something was read.
    Read(Vec<Read>),
}

/// One thing read.
pub(crate) enum Read {
    Text(Utf8Bytes),
    Alive,
    Closed { code: Option<u16>, reason: String },
}

impl Read {
    /// Returns it as an input of the state.
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Self::Text(text) => Input::Text(text.as_str()),
            Self::Alive => Input::Alive,
            Self::Closed { code, reason } => Input::Closed {
                code: *code,
                reason: reason.clone(),
            },
        }
    }
}

impl Transport {
    /// Begins to open a socket.
    pub(crate) fn connect(uri: Uri) -> Self {
        Self::Opening(Box::pin(open(uri)))
    }

    /// Puts a text in line; the state sends only while the socket is open.
    pub(crate) fn send(&mut self, text: String) {
        if let Self::Open(open) = self {
            open.unsent.push_back(text);
        }
    }

    /// Takes part in the closing handshake, whoever began it, and lets go.
    pub(crate) async fn close(self) {
        if let Self::Open(mut open) = self {
            // The other side may have gone already.
            let _ = open.stream.close(None).await;
        }
    }

    /// Waits until something happens, writing meanwhile; while `reading` is off nothing is read.
    ///
    /// Cancellation: nothing is lost.
    pub(crate) async fn happening(&mut self, reading: Reading) -> Happened {
        match self {
            Self::Idle => std::future::pending().await,
            Self::Opening(opening) => match opening.await {
                Ok(stream) => {
                    *self = Self::Open(Box::new(Open {
                        stream,
                        unsent: VecDeque::new(),
                    }));
                    Happened::Opened
                }
                Err(failure) => {
                    *self = Self::Idle;
                    Happened::NotOpened(failure)
                }
            },
            Self::Open(open) => Happened::Read(poll_fn(|cx| open.poll(cx, reading)).await),
        }
    }
}

impl Open {
    fn poll(&mut self, cx: &mut Context<'_>, reading: Reading) -> Poll<Vec<Read>> {
        // A fault of the writer: the reader may still find why, in a close frame that came before.
        let written = self.poll_write(cx);
        let mut batch = Vec::new();
        while reading == Reading::On && batch.len() < BATCH_MAX {
            match self.stream.poll_next_unpin(cx) {
                Poll::Pending => break,
                Poll::Ready(read) => batch.extend(sort(read)),
            }
            if matches!(batch.last(), Some(Read::Closed { .. })) {
                return Poll::Ready(batch);
            }
        }
        if let Err(error) = written {
            batch.push(closed(&error));
        }
        if batch.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(batch)
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), tungstenite::Error> {
        while !self.unsent.is_empty() {
            match self.stream.poll_ready_unpin(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready?,
            }
            if let Some(text) = self.unsent.pop_front() {
                self.stream.start_send_unpin(Message::text(text))?;
            }
        }
        // Also the answers to pings, which the stream makes by itself.
        match self.stream.poll_flush_unpin(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

fn sort(read: Option<Result<Message, tungstenite::Error>>) -> Option<Read> {
    Some(match read {
        Some(Ok(Message::Text(text))) => Read::Text(text),
        Some(Ok(Message::Close(close))) => Read::Closed {
            code: close.as_ref().map(|close| close.code.into()),
            reason: close.map_or_else(String::new, |close| close.reason.to_string()),
        },
        Some(Ok(_)) => Read::Alive,
        Some(Err(error)) => closed(&error),
        None => Read::Closed {
            code: None,
            reason: "the connection ended".into(),
        },
    })
}

fn closed(error: &tungstenite::Error) -> Read {
    Read::Closed {
        code: None,
        reason: error.to_string(),
    }
}

async fn open(uri: Uri) -> Result<Stream, ConnectFailure> {
    let request = request(uri).map_err(|error| failure(&error))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    // The last argument turns off the delay of small writes.
    let opened = connect_async_with_config(request, Some(config), true).await;
    let (stream, _) = opened.map_err(|error| failure(&error))?;
    Ok(stream)
}

fn request(uri: Uri) -> Result<Request, tungstenite::Error> {
    let mut request = uri.into_client_request()?;
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    Ok(request)
}

fn failure(error: &tungstenite::Error) -> ConnectFailure {
    match error {
        tungstenite::Error::Http(response) => ConnectFailure::Status(response.status().as_u16()),
        other => ConnectFailure::Transport(other.to_string()),
    }
}
