//! The listener and the client of another node, over a real socket.
#![allow(clippy::unwrap_used, reason = "tests")]

use parlor_cluster::{
    RandomIds, SystemClock,
    http::{CallFailure, Calls, PATH, Peer},
};
use parlor_schema::{
    NodeId,
    port::{Ids as _, NodeInfo},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// A clock that is so many milliseconds late.
struct Late(Arc<SystemClock>, u64);

impl Clock for Late {
    fn now(&self) -> Timestamp {
        self.0.now().minus_millis(self.1)
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.monotonic_ms()
    }
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }
}

struct Site {
    peer: Peer,
    clock: Arc<SystemClock>,
    metrics: Arc<Metrics>,
    got: UnboundedReceiver<(NodeId, Vec<u8>)>,
}

const SECRET: [u8; 32] = [7; 32];

impl Site {
    /// Starts a listener; it queues what `takes` says that it does.
    fn start(takes: fn(&[u8]) -> bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().into();
        let clock = SystemClock::new();
        let boot = BootId::new(RandomIds::new().uuid(clock.now()));
        let metrics = Metrics::new();
        let (sender, got) = unbounded_channel();
        let internal = Internal {
            own: boot,
            seal: Seal::new(&SECRET),
            clock: clock.clone(),
            metrics: metrics.clone(),
            deliver: Arc::new(move |stamp, body| {
                let _ = sender.send((stamp.from.clone(), body.to_vec()));
                takes(body)
            }),
        };
        actix_web::rt::spawn(serve(listener, internal).unwrap());
        Self {
            peer: Peer { boot, address },
            clock,
            metrics,
            got,
        }
    }

    fn caller(&self, secret: &[u8; 32], late_ms: u64) -> Calls {
        let own = NodeInfo {
            node_id: "n1".parse().unwrap(),
            boot_id: BootId::from([1; 16]),
            internal_address: None,
        };
        let clock = Arc::new(Late(self.clock.clone(), late_ms));
        Calls::new(own, Seal::new(secret), clock).unwrap()
    }

    fn refused(&self, reason: &str) -> bool {
        let line = format!("parlor_link_refused_total{{reason=\"{reason}\"}} 1\n");
        self.metrics.encode().contains(&line)
    }
}

#[actix_web::test]
async fn a_sealed_call_is_delivered_with_its_sender() {
    let mut site = Site::start(|_| true);
    let calls = site.caller(&SECRET, 0);
    let body = Bytes::from_static(b"one\ntwo\n");
    assert_eq!(calls.post(&site.peer, body.clone(), 2).await, Ok(()));
    let (from, got) = site.got.recv().await.unwrap();
    assert_eq!((from.as_str(), got), ("n1", body.to_vec()));
    assert_eq!(calls.stats().packets, 2);
}

#[actix_web::test]
async fn the_longest_body_is_taken_and_a_longer_one_is_not() {
    let mut site = Site::start(|_| true);
    let calls = site.caller(&SECRET, 0);
    let longest = Bytes::from(vec![b'x'; BODY_BYTES_MAX]);
    assert_eq!(calls.post(&site.peer, longest, 1).await, Ok(()));
    assert_eq!(site.got.recv().await.unwrap().1.len(), BODY_BYTES_MAX);
    let longer = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    assert!(calls.post(&site.peer, longer, 1).await.is_err());
    assert!(site.refused("length"));
}

#[actix_web::test]
async fn who_has_another_secret_or_none_is_refused_and_counted() {
    let mut site = Site::start(|_| true);
    let calls = site.caller(&[8; 32], 0);
    let answer = calls.post(&site.peer, Bytes::from_static(b"x"), 1).await;
    assert_eq!(answer, Err(CallFailure::Unauthorized));
    assert!(site.refused("seal"));
    let failures = calls.stats().failures;
    assert_eq!(failures[CallFailure::Unauthorized as usize], 1);
    let url = format!("http://{}{PATH}", site.peer.address);
    let bare = reqwest::Client::new().post(url).body("x").send().await;
    assert_eq!(bare.unwrap().status().as_u16(), 401);
    assert!(site.got.try_recv().is_err(), "IN-1");
}

#[actix_web::test]
async fn another_run_another_time_and_too_much_are_refused_by_name() {
    let mut site = Site::start(|body| body != b"no room");
    let late = site.caller(&SECRET, 6 * 60 * 1000);
    let answer = late.post(&site.peer, Bytes::from_static(b"x"), 1).await;
    assert_eq!(answer, Err(CallFailure::Unauthorized));
    assert!(site.refused("clock"));

    let calls = site.caller(&SECRET, 0);
    let other = Peer {
        boot: BootId::from([3; 16]),
        ..site.peer.clone()
    };
    let answer = calls.post(&other, Bytes::from_static(b"x"), 1).await;
    assert_eq!(answer, Err(CallFailure::Misdirected));
    assert!(site.refused("misdirected"));
    assert!(site.got.try_recv().is_err(), "IN-1");

    let body = Bytes::from_static(b"no room");
    assert_eq!(
        calls.post(&site.peer, body, 1).await,
        Err(CallFailure::Busy)
    );
    assert!(site.refused("busy"));
}

#[actix_web::test]
async fn an_address_that_calls_too_often_waits() {
    let site = Site::start(|_| true);
    let rate = BucketRate {
        per_s: CALLS_PER_S,
        burst: CALLS_PER_S,
    };
    let state = State {
        internal: Internal {
            own: site.peer.boot,
            seal: Seal::new(&SECRET),
            clock: Arc::new(Still),
            metrics: site.metrics.clone(),
            deliver: Arc::new(|_, _| true),
        },
        reading: Semaphore::new(READING_KIB_MAX),
        rates: Mutex::new(Buckets::new(Some(rate.into()), ADDRESSES_MAX)),
    };
    let request = |host: &str| {
        let peer = format!("{host}:1").parse().unwrap();
        actix_web::test::TestRequest::default()
            .peer_addr(peer)
            .to_http_request()
    };
    let (one, two) = (request("10.0.0.1"), request("10.0.0.2"));
    for _ in 0..CALLS_PER_S.get() {
        assert_eq!(state.pass(&one), Ok(()));
    }
    assert_eq!(state.pass(&one), Err(LinkRefusal::Rate));
    assert_eq!(state.pass(&two), Ok(()), "each address has its own");
}

#[actix_web::test]
async fn nobody_there_is_unreachable() {
    let site = Site::start(|_| true);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string().into();
    drop(listener);
    let calls = site.caller(&SECRET, 0);
    let gone = Peer {
        address,
        ..site.peer.clone()
    };
    let answer = calls.post(&gone, Bytes::new(), 1).await;
    assert_eq!(answer, Err(CallFailure::Unreachable));
}
