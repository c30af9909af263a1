//! What a user's devices come to in the eyes of others.
//!
//! Owns the merging of devices, the grace after a connection, `last_seen`, and who watches. Time comes in with every input.
//!
//! Invariants:
//! - PR-1: while a counted device is invisible the user is shown `offline`, and nothing the devices do moves `last_seen`.
//! - PR-2: `last_seen` is shown only with `offline`, a text only without it.
//! - PR-3: what was announced last is what the devices come to; the same entry is never announced twice in a row.
//! - PR-4: a session is on one device at most.
//! - PR-5: a device is counted while it has a session and for the grace after it, and then forgotten.
//! - PR-6: in its grace a device holds the user up, but never brings the user back: one that ended while the user was hidden is not
//!   shown when the hiding ends.
//! - PR-7: watchers, and devices without a session, are bounded.
//!
//! Deliberately absent: who may watch whom (the session asks before), delivery, stores and clocks.

use std::collections::BTreeSet;

use parlor_schema::{
    DeviceId, SessionId, Timestamp, UserId,
    frame::{
        hello::PresenceSetting,
        server::{PresenceEntry, PresenceStatus},
    },
};

/// Devices of one user above which those without a session are forgotten early: over HTTP a device costs its user nothing to name.
pub const DEVICES_MAX: usize = 64;
/// Sessions that can watch one user; a change is announced to all of them in one go.
pub const WATCHERS_MAX: usize = 16_384;

/// A user as others see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// How the user is.
    pub status: PresenceStatus,
    /// A few words beside it.
    pub text: Option<String>,
    /// When the user was last there, while offline.
    pub last_seen: Option<Timestamp>,
}

impl Shown {
    /// Makes the frame's entry of it.
    #[must_use]
    pub fn entry(&self, user_id: UserId) -> PresenceEntry {
        PresenceEntry {
            user_id,
            status: self.status,
            text: self.text.clone(),
            last_seen: self.last_seen,
        }
    }
}

/// The time an input comes at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic milliseconds: what graces are measured with.
    pub ms: u64,
    /// The wall clock: what `last_seen` is told in.
    pub at: Timestamp,
}

/// What happens to a user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A session began on a device.
    Attach {
        /// The session.
        session: SessionId,
        /// Its device.
        device: DeviceId,
        /// What `hello` says; none leaves a known device as it is, and a new one online.
        status: Option<PresenceSetting>,
    },
    /// A session ended.
    Detach {
        /// The session.
        session: SessionId,
    },
    /// The user said how a device is. One without a session counts from now for the grace.
    Set {
        /// The device.
        device: DeviceId,
        /// How it is.
        status: PresenceSetting,
        /// A few words beside it; replaces the ones before.
        text: Option<String>,
    },
    /// A session wants to know of changes. Ignored beyond [`WATCHERS_MAX`].
    Watch {
        /// The session.
        session: SessionId,
    },
    /// A session no longer wants to know, or is gone.
    Unwatch {
        /// The session.
        session: SessionId,
    },
    /// The store told when the user was last there.
    Loaded {
        /// When; none for never.
        last_seen: Option<Timestamp>,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell every watcher.
    Announce(Shown),
    /// Store when the user was last there.
    SaveLastSeen(Timestamp),
    /// Give [`Input::Tick`] at these monotonic milliseconds, in the place of what was said before.
    WakeAt(u64),
}

/// Says whether a device has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Sessions(Vec<SessionId>),
    Grace { since_ms: u64, view: View },
}

/// Says whether a device in its grace is shown (PR-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Shown,
    Unseen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    link: Link,
    status: PresenceSetting,
    text: Option<String>,
    /// The number of the last `Set`; 0 for none.
    set: u64,
}

impl Device {
    fn gone_since(&self) -> Option<u64> {
        match self.link {
            Link::Sessions(_) => None,
            Link::Grace { since_ms, .. } => Some(since_ms),
        }
    }

    fn is_invisible(&self) -> bool {
        self.status == PresenceSetting::Invisible
    }

    fn is_shown(&self) -> bool {
        match self.link {
            Link::Sessions(_) => true,
            Link::Grace { view, .. } => view == View::Shown,
        }
    }

    const fn outward(&self) -> PresenceStatus {
        match self.status {
            PresenceSetting::Online => PresenceStatus::Online,
            PresenceSetting::Away => PresenceStatus::Away,
            PresenceSetting::Dnd => PresenceStatus::Dnd,
            PresenceSetting::Invisible => PresenceStatus::Offline,
        }
    }
}

pub(super) const fn rank(status: PresenceStatus) -> u8 {
    match status {
        PresenceStatus::Offline => 0,
        PresenceStatus::Away => 1,
        PresenceStatus::Online => 2,
        PresenceStatus::Dnd => 3,
    }
}

/// One user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    grace_ms: u64,
    /// In the order they came. Few, mostly one: a list of one takes a tenth of a tree's memory.
    devices: Vec<(DeviceId, Device)>,
    watchers: BTreeSet<SessionId>,
    /// When the user was last there for others to see.
    seen: Option<Timestamp>,
    sets: u64,
    announced: Shown,
}

impl State {
    /// Makes the presence of a user without devices, `offline` since nobody knows when.
    #[must_use]
    pub fn new(offline_after_ms: u64) -> Self {
        Self {
            grace_ms: offline_after_ms,
            devices: Vec::new(),
            watchers: BTreeSet::new(),
            seen: None,
            sets: 0,
            announced: Shown::default(),
        }
    }

    /// Takes an input and returns what is to be done, in that order. What became due before the input is done before it, however
    /// late the tick.
    pub fn take(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.forget_gone(now);
        self.announce(&mut effects);

        let was_here = self.is_here();
        let mut spoke = false;
        match input {
            Input::Attach {
                session,
                device,
                status,
            } => self.attach(session, device, status, now),
            Input::Detach { session } => self.detach(session, None, now),
            Input::Set {
                device,
                status,
                text,
            } => spoke = self.set(device, status, text, now),
            Input::Watch { session } => {
                if self.admits_watcher(session) {
                    self.watchers.insert(session);
                }
            }
            Input::Unwatch { session } => {
                self.watchers.remove(&session);
            }
            Input::Loaded { last_seen } => self.seen = self.seen.max(last_seen),
            Input::Tick => {}
        }
        // Hiding ends the visible stay just as leaving does: an older `last_seen` after it would give the user away.
        if (was_here && !self.is_here()) || spoke {
            self.saw(now.at, &mut effects);
        }
        self.trim();
        self.announce(&mut effects);

        let wake = self.each().filter_map(Device::gone_since).min();
        effects.extend(wake.map(|since| Effect::WakeAt(since.saturating_add(self.grace_ms))));
        effects
    }

    /// Returns the user as others see them.
    #[must_use]
    pub const fn shown(&self) -> &Shown {
        &self.announced
    }

    /// Tells whether a device here hides the user.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.view() == View::Unseen
    }

    /// Tells whether `session` may watch: it does already, or there is room for one more.
    #[must_use]
    pub fn admits_watcher(&self, session: SessionId) -> bool {
        self.watchers.contains(&session) || self.watchers.len() < WATCHERS_MAX
    }

    /// Tells whether nothing would be lost by forgetting this value once what was to be stored is stored.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.devices.is_empty() && self.watchers.is_empty()
    }

    /// Tells whether anybody watches.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        !self.watchers.is_empty()
    }

    fn attach(
        &mut self,
        session: SessionId,
        device: DeviceId,
        status: Option<PresenceSetting>,
        now: Now,
    ) {
        self.detach(session, Some(&device), now);
        let at = self.devices.iter().position(|(id, _)| *id == device);
        let at = at.unwrap_or_else(|| {
            let fresh = Device {
                link: Link::Sessions(Vec::new()),
                status: PresenceSetting::default(),
                text: None,
                set: 0,
            };
            self.devices.reserve_exact(1);
            self.devices.push((device, fresh));
            self.devices.len() - 1
        });
        let device = &mut self.devices[at].1;
        if let Some(status) = status
            && status != device.status
        {
            // The words belonged to the status before.
            device.status = status;
            device.text = None;
        }
        match &mut device.link {
            Link::Sessions(sessions) if sessions.contains(&session) => {}
            Link::Sessions(sessions) => {
                sessions.reserve_exact(1);
                sessions.push(session);
            }
            grace @ Link::Grace { .. } => *grace = Link::Sessions(vec![session]),
        }
    }

    fn detach(&mut self, session: SessionId, except: Option<&DeviceId>, now: Now) {
        let view = self.view();
        for (id, device) in &mut self.devices {
            if Some(&*id) == except {
                continue;
            }
            if let Link::Sessions(sessions) = &mut device.link
                && let Some(at) = sessions.iter().position(|held| *held == session)
            {
                sessions.swap_remove(at);
                if !sessions.is_empty() {
                    continue;
                }
                device.link = Link::Grace {
                    since_ms: now.ms,
                    view,
                };
            }
        }
    }

    /// Returns whether the user was seen by this alone: through a device without a session, and not hidden.
    fn set(
        &mut self,
        device: DeviceId,
        status: PresenceSetting,
        text: Option<String>,
        now: Now,
    ) -> bool {
        self.sets += 1;
        let (set, text) = (self.sets, text.filter(|text| !text.is_empty()));
        let grace = Link::Grace {
            since_ms: now.ms,
            view: View::Unseen,
        };
        let at = self.devices.iter().position(|(id, _)| *id == device);
        let link = match at.map(|at| self.devices.remove(at).1.link) {
            Some(sessions @ Link::Sessions(_)) => sessions,
            _ => grace,
        };
        let said = Device {
            link,
            status,
            text,
            set,
        };
        self.devices.push((device, said));

        let shown = self.view();
        let (_, said) = self.devices.last_mut().expect("put there above");
        match &mut said.link {
            Link::Sessions(_) => false,
            Link::Grace { view, .. } => {
                *view = shown;
                shown == View::Shown
            }
        }
    }

    fn forget_gone(&mut self, now: Now) {
        let grace_ms = self.grace_ms;
        self.devices.retain(|(_, device)| {
            device
                .gone_since()
                .is_none_or(|since| now.ms.saturating_sub(since) < grace_ms)
        });
    }

    /// Forgets those gone longest where there are too many; the invisible last, for forgetting one may show the user.
    fn trim(&mut self) {
        while self.devices.len() > DEVICES_MAX {
            let gone = self.devices.iter().filter_map(|(id, device)| {
                let since = device.gone_since()?;
                Some((device.is_invisible(), since, device.set, id))
            });
            let Some((.., id)) = gone.min() else {
                return;
            };
            let id = id.clone();
            self.devices.retain(|(held, _)| *held != id);
        }
    }

    fn each(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().map(|(_, device)| device)
    }

    fn saw(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if Some(at) > self.seen {
            self.seen = Some(at);
            effects.push(Effect::SaveLastSeen(at));
        }
    }

    fn announce(&mut self, effects: &mut Vec<Effect>) {
        let shown = self.merged();
        if shown != self.announced {
            self.announced = shown.clone();
            effects.push(Effect::Announce(shown));
        }
    }

    fn merged(&self) -> Shown {
        match self.winner() {
            Some(device) => Shown {
                status: device.outward(),
                text: device.text.clone(),
                last_seen: None,
            },
            None => Shown {
                status: PresenceStatus::Offline,
                text: None,
                last_seen: self.seen,
            },
        }
    }

    /// The device that speaks for the user; of equal ones that which was set last.
    fn winner(&self) -> Option<&Device> {
        if self.view() == View::Unseen {
            return None;
        }
        self.each()
            .filter(|device| device.is_shown())
            .max_by_key(|device| (rank(device.outward()), device.set))
    }

    /// Whether others may see the user at all.
    fn view(&self) -> View {
        if self.each().any(Device::is_invisible) {
            View::Unseen
        } else {
            View::Shown
        }
    }

    /// Whether the user is connected, and shown.
    fn is_here(&self) -> bool {
        let is_connected = |device: &Device| matches!(device.link, Link::Sessions(_));
        self.view() == View::Shown && self.each().any(is_connected)
    }

    /// Checks the invariants in debug builds.
    pub fn check_invariants(&self) {
        let shown = &self.announced;
        let offline = shown.status == PresenceStatus::Offline;
        if self.view() == View::Unseen {
            debug_assert!(offline, "PR-1: hidden is offline");
        }
        debug_assert!(offline || shown.last_seen.is_none(), "PR-2: last_seen");
        debug_assert!(!offline || shown.text.is_none(), "PR-2: text");
        debug_assert_eq!(*shown, self.merged(), "PR-3");
        let mut sessions = BTreeSet::new();
        for device in self.each() {
            if let Link::Sessions(of_device) = &device.link {
                debug_assert!(!of_device.is_empty(), "PR-5: no session, no link");
                debug_assert!(of_device.iter().all(|id| sessions.insert(*id)), "PR-4");
            }
        }
        debug_assert!(self.watchers.len() <= WATCHERS_MAX, "PR-7: watchers");
        debug_assert!(
            self.devices.len() <= DEVICES_MAX || self.each().all(|d| d.gone_since().is_none()),
            "PR-7: devices"
        );
    }
}

#[cfg(test)]
mod tests;
