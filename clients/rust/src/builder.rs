//! How a client is put together.

use std::{collections::BTreeMap, time::Duration};

use parlor_schema::{
    DeviceId, RoomId, Seq,
    frame::hello::{Device, PresenceSetting, RoomsWanted, RoomsWord},
};
use tokio_tungstenite::tungstenite::http::{self, Uri};

use crate::{
    Client, StaticToken, TokenSource,
    state::{Entry, NotTaken, OutboxLimits, Settings, WAIT_MAX},
};

/// Entries in the outbox, unless told otherwise.
const OUTBOX_BOUND: usize = 1000;
/// Requests without an answer.
const REQUESTS_MAX: usize = 256;
/// Notices the application has not taken.
const NOTICES_BOUND: usize = 256;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address is not one of a server.
    #[error("not an address: {0}")]
    Address(String),
    /// The address asks for TLS, which this client does not speak.
    #[error("no tls in this client: {0}")]
    Tls(String),
    /// No token, and no source of one.
    #[error("a token or a token source is needed")]
    NoToken,
    /// The restored outbox holds too much, or a `msg_id` twice.
    #[error("the outbox cannot be restored: {0}")]
    Outbox(&'static str),
}

/// Collects what a client needs to know.
///
/// ```no_run
/// # use parlor_client::ClientBuilder;
/// let client = ClientBuilder::new("ws://127.0.0.1:8080/v1/ws").token("…").device_name("bot").start();
/// ```
pub struct ClientBuilder {
    url: String,
    tokens: Option<Box<dyn TokenSource>>,
    settings: Settings,
    restored: Vec<Entry>,
    notices_bound: usize,
}

impl ClientBuilder {
    /// Begins with the address of a server: `ws://` or `http://`; without a path, `/v1/ws` is meant.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tokens: None,
            settings: Settings {
                device: Device::default(),
                rooms: RoomsWanted::Word(RoomsWord::All),
                presence: None,
                positions: BTreeMap::new(),
                outbox: OutboxLimits {
                    bound: OUTBOX_BOUND,
                    window: 1,
                    refusals_max: u32::MAX,
                },
                requests_max: REQUESTS_MAX,
                attempts_max: None,
                wait_max: WAIT_MAX,
            },
            restored: Vec::new(),
            notices_bound: NOTICES_BOUND,
        }
    }

    /// Uses one token that is never renewed.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        self.token_source(StaticToken::new(token))
    }

    /// Asks `source` for tokens, and for fresh ones.
    #[must_use]
    pub fn token_source(mut self, source: impl TokenSource) -> Self {
        self.tokens = Some(Box::new(source));
        self
    }

    /// Names the installation; without an id the server makes one up, which is kept across reconnects.
    #[must_use]
    pub fn device_id(mut self, id: DeviceId) -> Self {
        self.settings.device.id = Some(id);
        self
    }

    /// Gives the installation a name its owner knows it by.
    #[must_use]
    pub fn device_name(mut self, name: impl Into<String>) -> Self {
        self.settings.device.name = Some(name.into());
        self
    }

    /// Says what the installation runs on.
    #[must_use]
    pub fn platform(mut self, platform: impl Into<String>) -> Self {
        self.settings.device.platform = Some(platform.into());
        self
    }

    /// Says which rooms to deliver; default: all.
    #[must_use]
    pub fn rooms(mut self, rooms: RoomsWanted) -> Self {
        self.settings.rooms = rooms;
        self
    }

    /// Goes on after these positions; they subscribe their rooms, whatever [`ClientBuilder::rooms`] says.
    #[must_use]
    pub fn positions(mut self, positions: BTreeMap<RoomId, Seq>) -> Self {
        self.settings.positions = positions;
        self
    }

    /// Sets the presence; default: the server's, online.
    #[must_use]
    pub fn presence(mut self, presence: PresenceSetting) -> Self {
        self.settings.presence = Some(presence);
        self
    }

    /// Sends these first, with their `msg_id`s; each answer is a [`crate::Notice::Settled`].
    #[must_use]
    pub fn restore_outbox(mut self, entries: Vec<Entry>) -> Self {
        self.restored = entries;
        self
    }

    /// Bounds the outbox; default 1000. When full: [`crate::RequestError::Full`].
    #[must_use]
    pub fn outbox_bound(mut self, entries: usize) -> Self {
        self.settings.outbox.bound = entries;
        self
    }

    /// Lets so many frames of one room be in flight; default 1, which keeps their order whatever happens. With more, a frame that is refused for now may be overtaken.
    #[must_use]
    pub fn window(mut self, frames: usize) -> Self {
        self.settings.outbox.window = frames.max(1);
        self
    }

    /// Gives a frame of the outbox up after so many temporary refusals; default: never.
    #[must_use]
    pub fn refusals_max(mut self, refusals: u32) -> Self {
        self.settings.outbox.refusals_max = refusals;
        self
    }

    /// Bounds the requests without an answer; default 256. When full: [`crate::RequestError::Full`].
    #[must_use]
    pub fn requests_max(mut self, requests: usize) -> Self {
        self.settings.requests_max = requests;
        self
    }

    /// Bounds the notices not taken; default 256. When full: the socket is not read.
    #[must_use]
    pub fn notices_bound(mut self, notices: usize) -> Self {
        self.notices_bound = notices.max(1);
        self
    }

    /// Stops after so many failed attempts in a row; default: never.
    #[must_use]
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.settings.attempts_max = Some(attempts);
        self
    }

    /// Bounds the wait before an attempt; default 30 s. A server that names a longer one is obeyed.
    ///
    /// Waits are drawn from nothing up to 100 ms, doubling with each failure up to this bound. Where thousands of clients may come back at
    /// once, it is not to be lowered.
    #[must_use]
    pub fn wait_max(mut self, wait: Duration) -> Self {
        self.settings.wait_max = wait;
        self
    }

    /// Starts the client in a task of its own.
    ///
    /// What cannot be right is refused at once; a server that is away is not, and is tried again and again.
    /// ```
    /// use parlor_client::{BuildError, ClientBuilder};
    ///
    /// let over_tls = ClientBuilder::new("https://chat.example.org").token("…").start();
    /// assert!(matches!(over_tls, Err(BuildError::Tls(_))));
    /// let nobody = ClientBuilder::new("http://127.0.0.1:8080").start();
    /// assert!(matches!(nobody, Err(BuildError::NoToken)));
    /// ```
    ///
    /// # Errors
    /// [`BuildError`] names what is wrong.
    ///
    /// # Panics
    /// Called outside of a tokio runtime.
    pub fn start(self) -> Result<Client, BuildError> {
        let uri = socket_uri(&self.url)?;
        let tokens = self.tokens.ok_or(BuildError::NoToken)?;
        Client::start(
            uri,
            tokens,
            self.settings,
            self.restored,
            self.notices_bound,
        )
        .map_err(BuildError::from)
    }
}

impl From<NotTaken> for BuildError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Full => Self::Outbox("more entries than the bound"),
            NotTaken::InUse => Self::Outbox("a msg_id is there twice"),
        }
    }
}

/// Returns the address of the socket.
fn socket_uri(url: &str) -> Result<Uri, BuildError> {
    let wrong = || BuildError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("ws" | "http") => {}
        Some("wss" | "https") => return Err(BuildError::Tls(url.to_owned())),
        _ => return Err(wrong()),
    }
    let path = match uri.path() {
        "" | "/" => "/v1/ws",
        path => path,
    };
    let authority = uri.authority().ok_or_else(wrong)?.as_str();
    // Without one the port of HTTP is meant, which `ws` shares.
    http::uri::Builder::new()
        .scheme("ws")
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_address_without_a_path_means_the_socket() {
        for url in ["http://h:1", "ws://h:1/", "ws://h:1/v1/ws"] {
            assert_eq!(socket_uri(url).unwrap().to_string(), "ws://h:1/v1/ws");
        }
        assert!(matches!(socket_uri("https://h"), Err(BuildError::Tls(_))));
        assert!(matches!(socket_uri("h:1"), Err(BuildError::Address(_))));
        assert!(matches!(socket_uri(""), Err(BuildError::Address(_))));
    }
}
