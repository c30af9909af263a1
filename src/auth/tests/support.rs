//! A world for one test: an own clock, a store that can be away, a bus that remembers.

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use parlor_actors::{metrics::Metrics, quota::SharedQuota};
use parlor_cluster::{MemoryBus, RandomIds};
use parlor_config::{Algorithm, AuthMode, Limits};
use parlor_schema::{
    ErrorCode, Timestamp, UserId,
    envelope::Envelope,
    frame::Refusal,
    port::{Bus, Clock, Inbound},
};

use super::store::TestStore;
use crate::auth::{
    Auth, AuthPorts, AuthStartError, LoginRequest, RefreshRequest, RegisterRequest, TokenAnswer,
};

/// 2023-11-14T22:13:20Z, when every test begins.
pub(super) const START_S: i64 = 1_700_000_000;
pub(super) const SECRET: [u8; 32] = [42; 32];
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A clock that stands still until it is moved.
pub(super) struct TestClock(AtomicI64);

impl TestClock {
    pub(super) fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START_S * 1_000 + self.0.load(SeqCst))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.load(SeqCst)).unwrap()
    }
}

pub(super) struct World {
    pub(super) auth: Arc<Auth>,
    pub(super) store: Arc<TestStore>,
    pub(super) clock: Arc<TestClock>,
    told: Arc<Mutex<Vec<Envelope>>>,
}

pub(super) fn no_limits() -> Limits {
    Limits {
        logins_per_minute: 0,
        registers_per_minute: 0,
        ..Limits::default()
    }
}

impl World {
    /// Built-in accounts, without limits.
    pub(super) async fn own() -> Self {
        Self::start(&parlor_config::Auth::default(), &no_limits())
            .await
            .unwrap()
    }

    pub(super) async fn start(
        settings: &parlor_config::Auth,
        limits: &Limits,
    ) -> Result<Self, AuthStartError> {
        Self::start_with(settings, limits, Duration::from_hours(1)).await
    }

    pub(super) async fn start_with(
        settings: &parlor_config::Auth,
        limits: &Limits,
        refresh_every: Duration,
    ) -> Result<Self, AuthStartError> {
        let store = TestStore::new();
        let clock = Arc::new(TestClock(AtomicI64::new(0)));
        let told = Arc::new(Mutex::new(Vec::new()));
        let bus = MemoryBus::new("n1".parse().unwrap());
        let heard = Arc::clone(&told);
        bus.attach(Arc::new(move |inbound| match inbound {
            Inbound::Envelope(envelope) => heard.lock().unwrap().push(envelope),
            other => panic!("one node hears {other:?}"),
        }));
        let ports = AuthPorts {
            directory: Arc::clone(&store) as _,
            bus,
            clock: Arc::clone(&clock) as _,
            ids: RandomIds::new(),
            quota: SharedQuota::new(None, Metrics::new()),
        };
        let auth = Auth::start_with(settings, limits, ports, &SECRET, refresh_every).await?;
        Ok(Self {
            auth,
            store,
            clock,
            told,
        })
    }

    /// Another node on the same store and with the same secret, but a bus of its own: it hears nothing.
    pub(super) async fn deaf_twin(&self) -> Arc<Auth> {
        let settings = parlor_config::Auth::default();
        let ports = AuthPorts {
            directory: Arc::clone(&self.store) as _,
            bus: MemoryBus::new("n2".parse().unwrap()),
            clock: Arc::clone(&self.clock) as _,
            ids: RandomIds::new(),
            quota: SharedQuota::new(None, Metrics::new()),
        };
        Auth::start(&settings, &no_limits(), ports, &SECRET)
            .await
            .unwrap()
    }

    /// Takes what the nodes were told since the last call.
    pub(super) fn told(&self) -> Vec<Envelope> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    pub(super) async fn register(&self, user: &str) -> TokenAnswer {
        let request = register(user, PASSWORD);
        self.auth.register(request, HOME).await.unwrap()
    }

    pub(super) async fn login(&self, user: &str, password: &str) -> Result<TokenAnswer, Refusal> {
        let request = LoginRequest {
            user_id: user.to_owned(),
            password: password.into(),
        };
        self.auth.login(request, HOME).await
    }

    pub(super) async fn refresh(&self, answer: &TokenAnswer) -> Result<TokenAnswer, Refusal> {
        let refresh_token = answer.refresh_token.clone();
        self.auth.refresh(RefreshRequest { refresh_token }).await
    }

    /// Says what a token is refused with; panics if it is not.
    pub(super) async fn refusal(&self, token: &str) -> ErrorCode {
        self.auth.verify(token).await.unwrap_err().code
    }
}

pub(super) fn register(user: &str, password: &str) -> RegisterRequest {
    RegisterRequest {
        user_id: user.to_owned(),
        password: password.into(),
        name: None,
    }
}

pub(super) fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

/// Settings for an outside issuer; the key source is left to the caller.
pub(super) fn outside(algorithms: &[Algorithm]) -> parlor_config::Auth {
    let mut settings = parlor_config::Auth {
        mode: AuthMode::Jwt,
        ..parlor_config::Auth::default()
    };
    settings.jwt.algorithms = algorithms.to_vec();
    settings.jwt.issuer = Some("https://issuer.test/".to_owned());
    settings.jwt.audience = Some("parlor".to_owned());
    settings
}

pub(super) fn with_key_file(algorithms: &[Algorithm], path: &Path) -> parlor_config::Auth {
    let mut settings = outside(algorithms);
    settings.jwt.key_file = Some(path.to_owned());
    settings
}
