//! The internal listener: what other nodes post when Redis does not carry it.
//!
//! One route, [`http::PATH`], on a port of its own; no client and no browser has business there.
//!
//! Invariants:
//! - IN-1: nothing of a body is believed before its seal was checked (HP-1), and nothing is said to who has no seal but that
//!   it does not fit.
//! - IN-2: a stranger costs little: the rate of an address, the length of a body, the bytes of all bodies that are being read, and
//!   the time for one are bounded, and what is beyond is refused and counted.
//!
//! Deliberately absent: TLS. The seal keeps strangers from speaking, not from listening: the port belongs on a network
//! where nobody else does.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    http::{StatusCode, header},
    web,
};
use bytes::Bytes;
use parlor_actors::{
    bucket::Buckets,
    metrics::{LinkRefusal, Metrics},
};
use parlor_cluster::http::{self, BODY_BYTES_MAX, Seal, Stamp, StampError};
use parlor_config::BucketRate;
use parlor_schema::{BootId, Timestamp, port::Clock};
use tokio::{sync::Semaphore, time::timeout};

/// Connections at a time; more wait to be accepted. Each node keeps one, and a stranger who reaches the port can take some.
const CONNECTIONS_MAX: usize = 4096;
/// Time for the headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Time for its body.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: longer than nodes use one again.
const IDLE: Duration = Duration::from_secs(30);
/// KiB of bodies that are being read at a time.
const READING_KIB_MAX: usize = 64 << 10;
/// Calls of one address a second, and at once: a node makes at most 200 to another.
const CALLS_PER_S: NonZeroU32 = NonZeroU32::new(1_000).expect("it is not 0");
/// Addresses whose rate is remembered.
const ADDRESSES_MAX: usize = 1 << 14;

/// Takes what a call brought: its stamp, and the packets. Answers whether all was queued.
pub(crate) type Deliver = Arc<dyn Fn(&Stamp, &[u8]) -> bool + Send + Sync>;

/// What the listener works with.
pub(crate) struct Internal {
    pub(crate) own: BootId,
    pub(crate) seal: Seal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) deliver: Deliver,
}

struct State {
    internal: Internal,
    reading: Semaphore,
    rates: Mutex<Buckets<IpAddr>>,
}

/// Serves the listener on a thread of its own.
///
/// # Errors
/// What the system said.
pub(crate) fn serve(listener: TcpListener, internal: Internal) -> io::Result<Server> {
    let rate = BucketRate {
        per_s: CALLS_PER_S,
        burst: CALLS_PER_S,
    };
    let state = web::Data::new(State {
        internal,
        reading: Semaphore::new(READING_KIB_MAX),
        rates: Mutex::new(Buckets::new(Some(rate.into()), ADDRESSES_MAX)),
    });
    let app = move || {
        App::new()
            .app_data(state.clone())
            .route(http::PATH, web::post().to(packets))
    };
    Ok(HttpServer::new(app)
        .workers(1)
        .max_connections(CONNECTIONS_MAX)
        .client_request_timeout(HEADERS_WITHIN)
        .keep_alive(IDLE)
        .disable_signals()
        .listen(listener)?
        .run())
}

async fn packets(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    match state.take(&request, body).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(why) => {
            state.internal.metrics.link_refused(why);
            tracing::debug!(why = why.as_str(), peer = ?request.peer_addr(), "a call was refused");
            HttpResponse::build(status(why)).body(why.as_str())
        }
    }
}

const fn status(why: LinkRefusal) -> StatusCode {
    match why {
        LinkRefusal::Seal | LinkRefusal::Clock => StatusCode::UNAUTHORIZED,
        LinkRefusal::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        LinkRefusal::Length => StatusCode::PAYLOAD_TOO_LARGE,
        LinkRefusal::Slow => StatusCode::REQUEST_TIMEOUT,
        LinkRefusal::Rate => StatusCode::TOO_MANY_REQUESTS,
        LinkRefusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl State {
    async fn take(&self, request: &HttpRequest, body: web::Payload) -> Result<(), LinkRefusal> {
        self.pass(request)?;
        let (stamp, seal) = stamp(request).ok_or(LinkRefusal::Seal)?;
        let body = self.read(request, body).await?;
        let now = (self.internal.own, self.internal.clock.now());
        let believed = self.internal.seal.check(now, &stamp, seal, &body);
        believed.map_err(|error| match error {
            StampError::Seal => LinkRefusal::Seal,
            StampError::Clock => LinkRefusal::Clock,
            StampError::Misdirected => LinkRefusal::Misdirected,
        })?;
        match (self.internal.deliver)(&stamp, &body) {
            true => Ok(()),
            false => Err(LinkRefusal::Busy),
        }
    }

    fn pass(&self, request: &HttpRequest) -> Result<(), LinkRefusal> {
        let from = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let now = self.internal.clock.monotonic_ms();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(&from, now).map_err(|_| LinkRefusal::Rate)
    }

    /// Reads a body whose length is said beforehand (IN-2).
    async fn read(&self, request: &HttpRequest, body: web::Payload) -> Result<Bytes, LinkRefusal> {
        let length: usize = text(request, header::CONTENT_LENGTH.as_str())
            .and_then(|text| text.parse().ok())
            .filter(|length| *length <= BODY_BYTES_MAX)
            .ok_or(LinkRefusal::Length)?;
        let kib = u32::try_from(length / 1024 + 1).map_err(|_| LinkRefusal::Length)?;
        let reading = self.reading.try_acquire_many(kib);
        let _reading = reading.map_err(|_| LinkRefusal::Busy)?;
        match timeout(BODY_WITHIN, body.to_bytes_limited(length)).await {
            Ok(Ok(Ok(bytes))) => Ok(bytes),
            Ok(_) => Err(LinkRefusal::Length),
            Err(_) => Err(LinkRefusal::Slow),
        }
    }
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn stamp(request: &HttpRequest) -> Option<(Stamp, &[u8])> {
    let time: i64 = text(request, http::TIME)?.parse().ok()?;
    let stamp = Stamp {
        from: text(request, http::FROM)?.parse().ok()?,
        boot: text(request, http::BOOT)?.parse().ok()?,
        to: text(request, http::TO)?.parse().ok()?,
        time: Timestamp::from_millis(time),
    };
    Some((stamp, text(request, http::SEAL)?.as_bytes()))
}

#[cfg(test)]
mod tests;
