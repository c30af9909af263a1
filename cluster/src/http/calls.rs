//! The client of the other nodes' internal listeners.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use parlor_schema::{
    BootId,
    port::{Clock, NodeInfo},
};
use reqwest::{Client, StatusCode, redirect::Policy};

use super::{BOOT, FROM, PATH, SEAL, Seal, Stamp, TIME, TO};

/// How long a call may take as a whole.
const CALL_DEADLINE: Duration = Duration::from_secs(2);
/// How long it may take to connect.
const CONNECT_DEADLINE: Duration = Duration::from_millis(500);
/// How long an idle connection is kept: shorter than the listener keeps it, so that no call meets its end.
const IDLE: Duration = Duration::from_secs(15);

/// Why a call did not bring what it carried, or may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallFailure {
    /// No connection, or one that broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The other node does not believe the seal, or the time.
    Unauthorized,
    /// Another run listens there.
    Misdirected,
    /// The other node takes no more at this moment.
    Busy,
    /// Another answer: something else listens there.
    Refused,
}

impl CallFailure {
    /// Every one, at the place of its number.
    pub const ALL: [Self; 6] = [
        Self::Unreachable,
        Self::Timeout,
        Self::Unauthorized,
        Self::Misdirected,
        Self::Busy,
        Self::Refused,
    ];

    /// Returns it as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Misdirected => "misdirected",
            Self::Busy => "busy",
            Self::Refused => "refused",
        }
    }

    fn of(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::NO_CONTENT => None,
            StatusCode::UNAUTHORIZED => Some(Self::Unauthorized),
            StatusCode::MISDIRECTED_REQUEST => Some(Self::Misdirected),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(Self::Busy),
            _ => Some(Self::Refused),
        }
    }
}

/// Whom a call is for.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its present run.
    pub boot: BootId,
    /// Where it listens, as `host:port`.
    pub address: Arc<str>,
}

/// What was counted; each only rises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Packets that calls brought.
    pub packets: u64,
    /// Calls that failed, at the place of the reason's number.
    pub failures: [u64; CallFailure::ALL.len()],
}

/// Calls other nodes; a connection to each is kept and used again.
pub struct Calls {
    own: NodeInfo,
    seal: Seal,
    clock: Arc<dyn Clock>,
    client: Client,
    packets: AtomicU64,
    failures: [AtomicU64; CallFailure::ALL.len()],
}

impl Calls {
    /// Makes the client of a node.
    ///
    /// # Errors
    /// The system gives no random numbers, or no roots of trust where it must have some.
    pub fn new(own: NodeInfo, seal: Seal, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(CALL_DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            own,
            seal,
            clock,
            client,
            packets: AtomicU64::new(0),
            failures: Default::default(),
        })
    }

    /// Brings `packets` packets to a node.
    ///
    /// # Errors
    /// They did not arrive, or nobody knows. It is counted, and not tried again.
    ///
    /// Cancellation: they may have arrived.
    pub async fn post(&self, to: &Peer, body: Bytes, packets: usize) -> Result<(), CallFailure> {
        let answer = self.send(to, body).await;
        match answer {
            Ok(()) => self.packets.fetch_add(packets as u64, Relaxed),
            Err(failure) => self.failures[failure as usize].fetch_add(1, Relaxed),
        };
        answer
    }

    async fn send(&self, to: &Peer, body: Bytes) -> Result<(), CallFailure> {
        let stamp = Stamp {
            from: self.own.node_id.clone(),
            boot: self.own.boot_id,
            to: to.boot,
            time: self.clock.now(),
        };
        let seal = self.seal.seal(&stamp, &body);
        let call = self
            .client
            .post(format!("http://{}{PATH}", to.address))
            .header(FROM, stamp.from.as_str())
            .header(BOOT, stamp.boot.to_string())
            .header(TO, stamp.to.to_string())
            .header(TIME, stamp.time.millis().to_string())
            .header(SEAL, seal)
            .body(body);
        match call.send().await {
            Ok(answer) => CallFailure::of(answer.status()).map_or(Ok(()), Err),
            Err(error) if error.is_connect() => Err(CallFailure::Unreachable),
            Err(error) if error.is_timeout() => Err(CallFailure::Timeout),
            Err(_) => Err(CallFailure::Unreachable),
        }
    }

    /// Returns what was counted.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        CallStats {
            packets: self.packets.load(Relaxed),
            failures: self.failures.each_ref().map(|count| count.load(Relaxed)),
        }
    }
}
