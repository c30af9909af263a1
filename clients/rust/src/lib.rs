//! A Rust client for Parlor: connects, resumes, and keeps what is not acknowledged.
//!
//! Owns one connection at a time to a server, brought back whenever it is lost; written from PROTOCOL alone, with the types of `parlor-schema`.
//! It runs on any tokio runtime, a current-thread one included; every future is `Send`.
//!
//! Invariants:
//! - CL-1: the application gets each event of a room once, in order, across reconnects; what the server left out is a [`Notice::Gap`].
//! - CL-2: a frame that appends stays in the outbox, with its `msg_id`, until the server has answered for good.
//! - CL-3: every queue is bounded. While the application takes no notice, the socket is not read.
//!
//! Deliberately absent: TLS (`wss://` is refused), storage (positions and outbox are handed out to be kept), other transports than the socket.
//!
//! # Example
//! ```no_run
//! use parlor_client::{Accounts, ClientBuilder, Notice};
//! use parlor_schema::{RoomId, frame::body::MessageBody};
//!
//! # async fn example(room: RoomId) -> Result<(), Box<dyn std::error::Error>> {
//! let accounts = Accounts::new("http://127.0.0.1:8080")?;
//! let login = accounts.login(&"ana".parse()?, "correct horse").await?;
//! let client = ClientBuilder::new("http://127.0.0.1:8080")
//!     .token_source(accounts.tokens(login))
//!     .start()?;
//!
//! // Notices are taken all the time: a reply too is only read while there is room for notices.
//! let notices = client.clone();
//! tokio::spawn(async move {
//!     while let Some(notice) = notices.next().await {
//!         if let Notice::Event(event) = notice {
//!             println!("{} {}: {}", event.seq, event.sender, event.text().unwrap_or_default());
//!         }
//!     }
//! });
//!
//! let ack = client.send(room, MessageBody::text("hello")).await?;
//! println!("durable at {}", ack.seq);
//! client.close().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
mod frame;
mod http;
mod notice;
mod shell;
pub mod state;
mod token;

pub use builder::{BuildError, ClientBuilder};
pub use client::{Client, Pending};
pub use frame::{EventFrame, Frame, FrameError};
pub use http::{AccountError, AccountTokens, Accounts, Login};
pub use notice::{Answer, Notice, PhaseName, RequestError, Stats, StopReason};
pub use state::Entry;
pub use token::{StaticToken, TokenError, TokenNeed, TokenSource};
