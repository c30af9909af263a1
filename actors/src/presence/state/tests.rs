//! The rules of presence, one by one, and seeded sequences of everything.

#![allow(clippy::unwrap_used, reason = "tests")]

use uuid::Uuid;

use super::*;
use PresenceSetting::{Away, Dnd, Invisible, Online};

const GRACE_MS: u64 = 10_000;
/// The wall clock when the monotonic one shows 0.
const START: i64 = 1_700_000_000_000;

fn now(ms: u64) -> Now {
    Now { ms, at: at(ms) }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(START).plus_millis(ms)
}

fn session(number: u128) -> SessionId {
    SessionId::new(Uuid::from_u128(number))
}

fn device(id: &str) -> DeviceId {
    id.parse().unwrap()
}

/// A presence that is told things at rising times, and checked after each.
struct Ana(State);

impl Ana {
    fn new() -> Self {
        Self(State::new(GRACE_MS))
    }

    fn take(&mut self, ms: u64, input: Input) -> Vec<Effect> {
        let effects = self.0.take(input, now(ms));
        self.0.check_invariants();
        effects
    }

    fn attach(
        &mut self,
        ms: u64,
        number: u128,
        id: &str,
        status: impl Into<Option<PresenceSetting>>,
    ) -> Vec<Effect> {
        let (session, device, status) = (session(number), device(id), status.into());
        self.take(
            ms,
            Input::Attach {
                session,
                device,
                status,
            },
        )
    }

    fn detach(&mut self, ms: u64, number: u128) -> Vec<Effect> {
        let session = session(number);
        self.take(ms, Input::Detach { session })
    }

    fn set(
        &mut self,
        ms: u64,
        id: &str,
        status: PresenceSetting,
        text: Option<&str>,
    ) -> Vec<Effect> {
        let (device, text) = (device(id), text.map(str::to_owned));
        self.take(
            ms,
            Input::Set {
                device,
                status,
                text,
            },
        )
    }

    fn tick(&mut self, ms: u64) -> Vec<Effect> {
        self.take(ms, Input::Tick)
    }

    fn status(&self) -> PresenceStatus {
        self.0.shown().status
    }

    fn text(&self) -> Option<&str> {
        self.0.shown().text.as_deref()
    }
}

fn shown(status: PresenceStatus, text: Option<&str>) -> Effect {
    Effect::Announce(Shown {
        status,
        text: text.map(str::to_owned),
        last_seen: None,
    })
}

fn offline(last_seen: Option<u64>) -> Effect {
    Effect::Announce(Shown {
        status: PresenceStatus::Offline,
        text: None,
        last_seen: last_seen.map(at),
    })
}

#[test]
fn nobody_knows_when_a_new_user_was_there() {
    let mut ana = Ana::new();
    assert_eq!(ana.tick(0), []);
    assert_eq!(ana.0.shown().last_seen, None);
    assert!(ana.0.is_idle());
}

#[test]
fn offline_comes_when_the_last_device_has_been_gone_for_the_grace() {
    let mut ana = Ana::new();
    assert_eq!(
        ana.attach(0, 1, "phone", None),
        [shown(PresenceStatus::Online, None)]
    );
    assert_eq!(
        ana.detach(5_000, 1),
        [Effect::SaveLastSeen(at(5_000)), Effect::WakeAt(15_000)]
    );
    assert_eq!(ana.tick(14_999), [Effect::WakeAt(15_000)]);
    assert_eq!(ana.status(), PresenceStatus::Online);
    assert!(!ana.0.is_idle());
    assert_eq!(ana.tick(15_000), [offline(Some(5_000))]);
    assert!(ana.0.is_idle());
    assert_eq!(ana.tick(30_000), []);
}

#[test]
fn a_reconnect_inside_the_grace_shows_nothing() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Dnd);
    ana.set(1, "phone", Dnd, Some("in a meeting"));
    ana.detach(1_000, 1);
    assert_eq!(ana.attach(10_999, 2, "phone", None), []);
    assert_eq!(ana.tick(60_000), []);
    assert_eq!(ana.text(), Some("in a meeting"));
    // The same status said again is no news either.
    assert_eq!(ana.attach(60_000, 3, "phone", Dnd), []);
    // Another one leaves the words behind.
    assert_eq!(
        ana.attach(60_000, 4, "phone", Online),
        [shown(PresenceStatus::Online, None)]
    );
}

#[test]
fn a_device_is_forgotten_after_its_grace() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", None);
    ana.set(0, "phone", Dnd, Some("busy"));
    ana.detach(0, 1);
    assert_eq!(
        ana.attach(GRACE_MS, 2, "phone", None),
        [offline(Some(0)), shown(PresenceStatus::Online, None)],
        "the late tick is made up for first"
    );
}

#[test]
fn a_device_is_there_while_one_of_its_sessions_is() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Away);
    assert_eq!(ana.attach(0, 2, "phone", None), []);
    assert_eq!(ana.detach(1, 1), []);
    assert_eq!(ana.detach(1, 1), [], "twice is once");
    assert_eq!(ana.detach(1, 99), [], "nobody knows it");
    assert_eq!(ana.tick(20_000), []);
    assert_eq!(ana.detach(20_000, 2).len(), 2);
}

#[test]
fn a_session_moves_with_its_device() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "old", Dnd);
    ana.attach(1, 1, "new", Online);
    assert_eq!(ana.status(), PresenceStatus::Dnd, "in its grace");
    ana.tick(GRACE_MS + 1);
    assert_eq!(ana.status(), PresenceStatus::Online);
}

#[test]
fn dnd_over_online_over_away_with_the_winners_words() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "tablet", None);
    ana.set(0, "tablet", Away, Some("tea"));
    assert_eq!(ana.text(), Some("tea"));
    ana.attach(0, 2, "phone", None);
    ana.set(0, "phone", Online, Some("bus"));
    assert_eq!(
        (ana.status(), ana.text()),
        (PresenceStatus::Online, Some("bus"))
    );
    ana.attach(0, 3, "desk", None);
    assert_eq!(
        ana.text(),
        Some("bus"),
        "a device that said nothing does not hide words"
    );
    ana.set(0, "desk", Dnd, None);
    assert_eq!((ana.status(), ana.text()), (PresenceStatus::Dnd, None));
    assert_eq!(ana.set(0, "tablet", Away, Some("still tea")), []);
    ana.set(0, "desk", Online, Some("desk"));
    assert_eq!(ana.text(), Some("desk"), "set last");
    ana.set(0, "desk", Online, Some(""));
    assert_eq!(ana.text(), None, "empty words are none");
}

#[test]
fn a_device_in_its_grace_still_counts() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Dnd);
    ana.attach(0, 2, "tablet", Away);
    assert_eq!(ana.detach(1_000, 1), [Effect::WakeAt(11_000)]);
    assert_eq!(ana.status(), PresenceStatus::Dnd);
    assert_eq!(ana.tick(11_000), [shown(PresenceStatus::Away, None)]);
}

#[test]
fn one_invisible_device_hides_the_user() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Dnd);
    assert_eq!(
        ana.attach(1_000, 2, "tablet", Invisible),
        [Effect::SaveLastSeen(at(1_000)), offline(Some(1_000))],
        "as if the user had left"
    );
    assert_eq!(ana.set(2_000, "phone", Online, Some("hello")), []);
    assert_eq!(ana.set(2_000, "tablet", Invisible, Some("hush")), []);
    // Its grace hides as it did itself.
    assert_eq!(ana.detach(3_000, 2), [Effect::WakeAt(13_000)]);
    assert_eq!(
        ana.tick(13_000),
        [shown(PresenceStatus::Online, Some("hello"))]
    );
}

#[test]
fn hidden_comings_and_goings_leave_no_trace() {
    let mut ana = Ana::new();
    ana.take(
        0,
        Input::Loaded {
            last_seen: Some(at(0)),
        },
    );
    assert_eq!(ana.attach(1_000, 1, "phone", Invisible), []);
    assert_eq!(ana.attach(2_000, 2, "tablet", Online), []);
    assert_eq!(ana.detach(3_000, 2), [Effect::WakeAt(13_000)]);
    assert_eq!(ana.detach(4_000, 1), [Effect::WakeAt(13_000)]);
    assert_eq!(ana.tick(13_000), [Effect::WakeAt(14_000)]);
    assert_eq!(ana.tick(14_000), []);
    assert_eq!(ana.0.shown().last_seen, Some(at(0)));
    assert!(ana.0.is_idle());
}

#[test]
fn what_ended_in_hiding_is_not_shown_when_the_hiding_ends() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Invisible);
    ana.attach(0, 2, "tablet", Online);
    ana.detach(1_000, 1);
    ana.detach(9_000, 2);
    assert_eq!(
        ana.tick(11_000),
        [Effect::WakeAt(19_000)],
        "PR-6: the phone no longer hides, the tablet does not show"
    );
    assert_eq!(ana.tick(19_000), []);
    assert_eq!(ana.0.shown().last_seen, None);
}

#[test]
fn coming_back_invisible_inside_the_grace_tells_only_of_the_leaving() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Online);
    ana.detach(5_000, 1);
    assert_eq!(
        ana.attach(8_000, 2, "phone", Invisible),
        [offline(Some(5_000))]
    );
}

#[test]
fn who_comes_out_of_hiding_is_there_at_once() {
    let mut ana = Ana::new();
    ana.attach(0, 1, "phone", Invisible);
    assert_eq!(
        ana.set(1, "phone", Away, Some("back")),
        [shown(PresenceStatus::Away, Some("back"))]
    );
}

#[test]
fn a_device_without_session_counts_for_the_grace() {
    let mut ana = Ana::new();
    assert_eq!(
        ana.set(0, "script", Away, Some("cron")),
        [
            Effect::SaveLastSeen(at(0)),
            shown(PresenceStatus::Away, Some("cron")),
            Effect::WakeAt(10_000)
        ]
    );
    assert_eq!(
        ana.set(9_000, "script", Away, Some("cron")),
        [Effect::SaveLastSeen(at(9_000)), Effect::WakeAt(19_000)]
    );
    assert_eq!(ana.tick(19_000), [offline(Some(9_000))]);
    assert_eq!(
        ana.set(20_000, "script", Invisible, None),
        [Effect::WakeAt(30_000)]
    );
}

#[test]
fn last_seen_never_falls() {
    let mut ana = Ana::new();
    let last_seen = Some(at(90_000));
    assert_eq!(
        ana.take(0, Input::Loaded { last_seen }),
        [offline(Some(90_000))]
    );
    assert_eq!(ana.take(0, Input::Loaded { last_seen: None }), []);
    // The wall clock was put back.
    ana.attach(0, 1, "phone", None);
    assert_eq!(ana.detach(1_000, 1), [Effect::WakeAt(11_000)]);
    assert_eq!(ana.tick(11_000), [offline(Some(90_000))]);
}

#[test]
fn a_grace_of_nothing_is_none() {
    let mut ana = Ana(State::new(0));
    ana.attach(0, 1, "phone", None);
    assert_eq!(
        ana.detach(5, 1),
        [Effect::SaveLastSeen(at(5)), Effect::WakeAt(5)]
    );
    assert_eq!(ana.tick(5), [offline(Some(5))]);
}

#[test]
fn watchers_keep_it_awake_and_are_bounded() {
    let mut ana = Ana::new();
    for number in 0..=WATCHERS_MAX as u128 {
        let session = session(number);
        ana.0.take(Input::Watch { session }, now(0));
    }
    ana.0.check_invariants();
    assert!(ana.0.admits_watcher(session(0)), "it watches already");
    assert!(!ana.0.admits_watcher(session(WATCHERS_MAX as u128)));
    assert!(!ana.0.is_idle());
    for number in 0..WATCHERS_MAX as u128 {
        let session = session(number);
        ana.0.take(Input::Unwatch { session }, now(0));
    }
    assert!(ana.0.is_idle());
}

#[test]
fn devices_without_sessions_are_bounded() {
    let mut ana = Ana::new();
    ana.set(0, "hidden", Invisible, None);
    for number in 0..200 {
        ana.set(number, &format!("d{number}"), Online, None);
    }
    assert_eq!(ana.0.devices.len(), DEVICES_MAX, "PR-7");
    assert_eq!(
        ana.status(),
        PresenceStatus::Offline,
        "the invisible goes last"
    );
    for number in 0..200 {
        ana.attach(300, number, &format!("s{number}"), None);
    }
    assert_eq!(ana.0.devices.len(), 200, "a session always counts");
    for number in 0..200 {
        ana.detach(400, number);
    }
    assert_eq!(ana.0.devices.len(), DEVICES_MAX);
}

/// splitmix64: the seed in the message of a failure is the whole sequence.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn status(&mut self) -> PresenceSetting {
        [Online, Away, Dnd, Invisible][self.below(4) as usize]
    }

    fn input(&mut self) -> Input {
        let session = session(u128::from(self.below(6)));
        let device = device(["a", "b", "c", "d"][self.below(4) as usize]);
        match self.below(16) {
            0..5 => Input::Attach {
                session,
                device,
                status: (self.below(2) == 0).then(|| self.status()),
            },
            5..10 => Input::Detach { session },
            10..13 => Input::Set {
                device,
                status: self.status(),
                text: (self.below(2) == 0).then(|| "words".to_owned()),
            },
            13 => Input::Watch { session },
            14 => Input::Unwatch { session },
            _ => Input::Tick,
        }
    }
}

/// Gives the ticks that are due before `ms`, as a shell does.
fn tick_until(state: &mut State, ms: u64, wake: &mut Option<u64>) {
    while let Some(due) = wake.take_if(|due| *due <= ms) {
        let effects = state.take(Input::Tick, now(due));
        state.check_invariants();
        *wake = wake_of(&effects);
    }
}

fn wake_of(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::WakeAt(ms) => Some(*ms),
        _ => None,
    })
}

#[test]
fn random_sequences_keep_the_invariants() {
    for seed in 0..500 {
        let mut chance = Chance(seed);
        let mut on_time = State::new(GRACE_MS);
        // Told the same, without a single tick of its own.
        let mut late = on_time.clone();
        let (mut ms, mut wake) = (0, None);
        for step in 0..60 {
            ms += chance.below(6_000);
            tick_until(&mut on_time, ms, &mut wake);
            let (input, before) = (chance.input(), on_time.clone());
            let effects = on_time.take(input.clone(), now(ms));
            late.take(input.clone(), now(ms));
            let context = format!("seed {seed}, step {step}: {input:?} gave {effects:?}");

            on_time.check_invariants();
            assert_eq!(on_time, late, "ticks only bring forward; {context}");
            wake = wake_of(&effects);
            let is_graced = |device: &Device| device.gone_since().is_some();
            let graced = on_time.each().any(is_graced);
            assert_eq!(wake.is_some(), graced, "PR-5; {context}");
            assert!(wake.is_none_or(|due| due > ms), "PR-5; {context}");
            check_news(&before, &on_time, &effects, &context);
        }
        tick_until(&mut on_time, u64::MAX, &mut wake);
        let connected = on_time.each().any(|d| d.gone_since().is_none());
        assert!(connected || on_time.devices.is_empty(), "seed {seed}: PR-5");
    }
}

fn check_news(before: &State, after: &State, effects: &[Effect], context: &str) {
    let mut known = before.shown().clone();
    for effect in effects {
        match effect {
            Effect::Announce(shown) => {
                assert_ne!(*shown, known, "PR-3; {context}");
                known = shown.clone();
            }
            Effect::SaveLastSeen(at) => {
                assert!(Some(*at) > before.seen, "last_seen falls; {context}");
                let hidden = |state: &State| state.view() == View::Unseen;
                assert!(!(hidden(before) && hidden(after)), "PR-1; {context}");
            }
            Effect::WakeAt(_) => {}
        }
    }
    assert_eq!(known, *after.shown(), "PR-3; {context}");
}
