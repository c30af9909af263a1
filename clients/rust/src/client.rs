//! The application's end of a client.
//!
//! Owns who waits for which answer, and the positions of what the application has taken.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use parlor_schema::{
    MsgId, RoomId, Seq,
    frame::{ClientFrame, ack::SentAck, body::MessageBody, client::MessageSend},
    room::Mode,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::Instant,
};
use tokio_tungstenite::tungstenite::http::Uri;
use uuid::Uuid;

use crate::{
    Answer, Entry, Notice, PhaseName, RequestError, Stats, StopReason, TokenSource, frame,
    shell::Shell,
    state::{Input, NotTaken, Origin, Output, Settings, State},
};

/// The state and those who wait for its answers, shared by the handles and the shell.
pub(crate) struct Core {
    pub(crate) state: State,
    waiting: HashMap<MsgId, oneshot::Sender<Answer>>,
    outputs: VecDeque<Output>,
    begun: Instant,
}

impl Core {
    /// Steps the state at the present time. Answers go to those who wait at once, also when the shell has ended.
    pub(crate) fn step(&mut self, input: Input<'_>) {
        let now = self.begun.elapsed();
        self.state.step(now, input);
        while let Some(output) = self.state.output() {
            match output {
                Output::Answer(msg_id, answer) => {
                    if let Some(waiting) = self.waiting.remove(&msg_id) {
                        // Whoever asked may have gone.
                        let _ = waiting.send(answer);
                    }
                }
                output => self.outputs.push_back(output),
            }
        }
    }

    /// Returns when the next tick is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.state.deadline().map(|after| self.begun + after)
    }

    /// Takes the next output for the shell.
    pub(crate) fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

/// What handles and shell share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the shell after an input from a handle.
    pub(crate) wake: Notify,
}

impl Shared {
    /// Locks the core; nothing that holds it can wait, and a panic in there leaves plain data.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a server that comes back by itself; clones are handles to the same one.
///
/// When the last clone is dropped, the connection is closed.
///
/// # Example
/// A room is made, and read back:
/// ```no_run
/// # use parlor_client::{Client, RequestError};
/// use parlor_schema::{
///     frame::{ClientFrame, ack::{CreatedAck, HistoryAck}, client::{HistoryGet, RoomCreate}},
///     room::RoomKind,
/// };
///
/// # async fn example(client: Client) -> Result<(), RequestError> {
/// let made: CreatedAck = client
///     .append(ClientFrame::RoomCreate(RoomCreate {
///         kind: RoomKind::Group,
///         name: Some("Tea".to_owned()),
///         topic: None,
///         members: None,
///         public: Some(true),
///         retention_ms: None,
///     }))
///     .await?;
/// let history: HistoryAck = client
///     .request(ClientFrame::HistoryGet(HistoryGet {
///         room_id: made.room.room_id,
///         before: None,
///         after: None,
///         around: None,
///         at: None,
///         limit: Some(20),
///     }))
///     .await?;
/// println!("{} of {}", history.events.len(), history.head);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    notices: tokio::sync::Mutex<mpsc::Receiver<Notice>>,
    taken: Mutex<BTreeMap<RoomId, Seq>>,
    phase: watch::Receiver<PhaseName>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.core().step(Input::Stop);
        self.shared.wake.notify_one();
    }
}

/// The answer to come for one frame. Dropping it does not take the frame back.
#[must_use = "the frame is on its way, but whether it took effect is only known from the answer"]
pub struct Pending<T> {
    msg_id: MsgId,
    answer: oneshot::Receiver<Answer>,
    as_what: PhantomData<fn() -> T>,
}

impl<T> Pending<T> {
    /// Returns the frame's `msg_id`.
    #[must_use]
    pub fn msg_id(&self) -> MsgId {
        self.msg_id
    }
}

impl<T: DeserializeOwned> Future for Pending<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        // The sender goes without a word only with the client itself.
        let payload = answer.map_err(|_| RequestError::Stopped(StopReason::Requested))??;
        let read = serde_json::from_str(payload.get());
        Poll::Ready(read.map_err(|error| RequestError::Unreadable(error.to_string())))
    }
}

impl Client {
    pub(crate) fn start(
        uri: Uri,
        tokens: Box<dyn TokenSource>,
        settings: Settings,
        restored: Vec<Entry>,
        notices_bound: usize,
    ) -> Result<Self, NotTaken> {
        let taken = settings.positions.clone();
        let bound = settings.outbox.bound;
        if restored.len() > bound {
            return Err(NotTaken::Full);
        }
        let mut ids: Vec<MsgId> = restored.iter().map(|entry| entry.msg_id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(NotTaken::InUse);
        }
        let mut core = Core {
            state: State::new(settings, rand::random()),
            waiting: HashMap::new(),
            outputs: VecDeque::new(),
            begun: Instant::now(),
        };
        for entry in restored {
            core.step(Input::Append(entry, Origin::Restored));
        }
        core.step(Input::Start);
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            wake: Notify::new(),
        });
        let (notices, receiver) = mpsc::channel(notices_bound);
        let (phase, watched) = watch::channel(PhaseName::Disconnected);
        let shell = Shell::new(Arc::clone(&shared), uri, tokens, notices, phase);
        tokio::spawn(shell.run());
        let inner = Inner {
            shared,
            notices: tokio::sync::Mutex::new(receiver),
            taken: Mutex::new(taken),
            phase: watched,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Takes the next notice; `None` after [`Notice::Stopped`].
    ///
    /// When full: the client stops reading its socket until notices are taken, replies included.
    /// Cancellation: nothing is lost.
    pub async fn next(&self) -> Option<Notice> {
        let mut notices = self.inner.notices.lock().await;
        let notice = notices.recv().await?;
        observe(&mut self.taken(), &notice);
        Some(notice)
    }

    /// Sends a message through the outbox.
    pub fn send(&self, room_id: RoomId, body: MessageBody) -> Pending<SentAck> {
        self.append(ClientFrame::MessageSend(MessageSend {
            room_id,
            body: body.into(),
            reply_to: None,
            thread: None,
            mentions: None,
            attachments: None,
            expires_in_ms: None,
        }))
    }

    /// Sends a frame that appends through the outbox, under a new `msg_id`.
    ///
    /// The answer is that of its `ack`: `SentAck`, `CreatedAck`, `SeqAck`, or any `serde_json::Value`.
    pub fn append<T: DeserializeOwned>(&self, frame: ClientFrame) -> Pending<T> {
        self.append_as(new_msg_id(), frame)
    }

    /// Does the same under a `msg_id` of the application's.
    pub fn append_as<T: DeserializeOwned>(&self, msg_id: MsgId, frame: ClientFrame) -> Pending<T> {
        let text = frame::write(&frame, Some(msg_id));
        let frame = RawValue::from_string(text).expect("invariant: a written frame is json");
        let entry = Entry { msg_id, frame };
        self.input(msg_id, Input::Append(entry, Origin::Appended))
    }

    /// Asks something that appends nothing; a frame that appends goes through the outbox all the same.
    ///
    /// It waits for a connection that is being made, and fails with [`RequestError::Disconnected`] when that one is lost or there is none.
    pub fn request<T: DeserializeOwned>(&self, frame: ClientFrame) -> Pending<T> {
        if frame.needs_msg_id() {
            return self.append(frame);
        }
        let msg_id = new_msg_id();
        self.input(msg_id, Input::Request(msg_id, &frame))
    }

    /// Sends a frame that wants no reply, such as `typing.start`, now or never.
    pub fn tell(&self, frame: &ClientFrame) {
        self.inner.shared.core().step(Input::Tell(frame));
        self.inner.shared.wake.notify_one();
    }

    /// Cuts the connection without a close, as a fault of the network would; the client comes back.
    pub fn abort_connection(&self) {
        self.inner.shared.core().step(Input::Abort);
        self.inner.shared.wake.notify_one();
    }

    /// Ends the client: closes the connection and fails what waits. Frames in the outbox stay in [`Client::outbox`].
    pub async fn close(&self) {
        self.inner.shared.core().step(Input::Stop);
        self.inner.shared.wake.notify_one();
        // Where nobody takes notices, the shell is not to wait for it.
        if let Ok(mut notices) = self.inner.notices.try_lock() {
            notices.close();
        }
        let mut phase = self.inner.phase.clone();
        // The shell takes the other end with it when it is done.
        while phase.changed().await.is_ok() {}
    }

    /// Waits until the connection is greeted.
    ///
    /// # Errors
    /// The client stops instead.
    pub async fn wait_live(&self) -> Result<(), StopReason> {
        let mut phase = self.inner.phase.clone();
        let reached = phase
            .wait_for(|phase| matches!(phase, PhaseName::Live | PhaseName::Stopped))
            .await
            .map(|phase| *phase);
        match reached {
            Ok(PhaseName::Live) => Ok(()),
            _ => Err(self.stop_reason().unwrap_or(StopReason::Requested)),
        }
    }

    /// Waits until the connection stands elsewhere than `known`, and returns where; `None` once the client has ended.
    ///
    /// Ordering: phases that come and go while nobody waits are left out.
    /// Cancellation: nothing is lost.
    pub async fn phase_after(&self, known: PhaseName) -> Option<PhaseName> {
        let mut phase = self.inner.phase.clone();
        let changed = phase.wait_for(|phase| *phase != known).await;
        changed.ok().map(|phase| *phase)
    }

    /// Returns where the connection stands.
    #[must_use]
    pub fn phase(&self) -> PhaseName {
        self.inner.shared.core().state.phase()
    }

    /// Returns why the client has stopped, if it has.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.shared.core().state.stop_reason().cloned()
    }

    /// Returns why the last attempt failed, for people.
    #[must_use]
    pub fn last_failure(&self) -> Option<String> {
        let core = self.inner.shared.core();
        core.state.last_failure().map(str::to_owned)
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.shared.core().state.stats()
    }

    /// Returns how far the notices taken by [`Client::next`] reach, to be kept and given to `ClientBuilder::positions` again.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<RoomId, Seq> {
        let core = self.inner.shared.core();
        let reached = core.state.positions().all();
        let taken = self.taken();
        let still_there = taken.iter().filter(|(room, _)| reached.contains_key(room));
        still_there.map(|(room, seq)| (*room, *seq)).collect()
    }

    /// Returns what is not answered for good, to be kept and given to `ClientBuilder::restore_outbox` again.
    ///
    /// ```no_run
    /// # use parlor_client::{BuildError, Client, ClientBuilder};
    /// # fn example(client: &Client, token: &str) -> Result<Client, BuildError> {
    /// // Both can be written to a disk by serde.
    /// let (positions, outbox) = (client.positions(), client.outbox());
    /// ClientBuilder::new("http://127.0.0.1:8080")
    ///     .token(token)
    ///     .positions(positions)
    ///     .restore_outbox(outbox)
    ///     .start()
    /// # }
    /// ```
    #[must_use]
    pub fn outbox(&self) -> Vec<Entry> {
        self.inner.shared.core().state.outbox().entries()
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<RoomId, Seq>> {
        let taken = self.inner.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }

    fn input<T>(&self, msg_id: MsgId, input: Input<'_>) -> Pending<T> {
        let (sender, answer) = oneshot::channel();
        let mut core = self.inner.shared.core();
        match core.waiting.entry(msg_id) {
            std::collections::hash_map::Entry::Occupied(_) => {
                let _ = sender.send(Err(RequestError::InUse));
            }
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(sender);
                core.step(input);
            }
        }
        drop(core);
        self.inner.shared.wake.notify_one();
        Pending {
            msg_id,
            answer,
            as_what: PhantomData,
        }
    }
}

/// Moves the positions that the application has taken.
fn observe(taken: &mut BTreeMap<RoomId, Seq>, notice: &Notice) {
    match notice {
        Notice::Connected(welcome) => {
            for room in &welcome.rooms {
                if room.own.is_some_and(|own| own.mode == Mode::Active) {
                    taken.entry(room.room_id).or_insert(room.head);
                }
            }
        }
        Notice::Event(event) => {
            taken.insert(event.room_id, event.seq);
        }
        Notice::Gap(gap) => {
            taken.insert(gap.room_id, gap.to);
        }
        Notice::Live(live) => {
            taken.entry(live.room_id).or_insert(live.seq);
        }
        Notice::Frame(crate::Frame::RoomAdded(added)) => {
            taken.entry(added.room.room_id).or_insert(added.room.head);
        }
        Notice::Frame(crate::Frame::RoomRemoved(removed)) => {
            taken.remove(&removed.room_id);
        }
        _ => {}
    }
}

fn new_msg_id() -> MsgId {
    MsgId::new(Uuid::now_v7())
}
