//! A person with an application: says things, joins and leaves, makes rooms, asks again, closes the application and opens it where it was.
//!
//! Owns one client of `parlor-client` at a time, and the [`Seen`] that outlives it.
#![allow(dead_code, reason = "each binary uses a part")]

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use parlor_client::{Client, ClientBuilder, EventFrame, PhaseName, Stats};
use parlor_schema::{
    MsgId, RoomId, RoomKind, Seq, UserId,
    frame::{
        ClientFrame,
        ack::HistoryAck,
        body::MessageBody,
        client::{HistoryGet, MessageSend, RoomCreate, RoomList, RoomOnly},
    },
};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{
    checker::{Stored, View},
    dice::Dice,
    seen::Seen,
};

/// Frames without an answer beyond which a person waits.
const OPEN_MAX: usize = 12;
/// Time without a connection after which a person opens the application anew.
const PATIENCE: Duration = Duration::from_millis(1200);

/// What an application gives its client when it opens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The positions and the outbox that the last one had.
    Kept,
    /// Positions three too far: what came meanwhile may be left out.
    Ahead,
    /// No positions: only what is new comes.
    Forgotten,
}

/// Who somebody is, and where they may talk.
pub(crate) struct Place {
    /// The person.
    pub(crate) user: UserId,
    /// The person's token.
    pub(crate) token: String,
    /// The servers, each for the next time the application opens.
    pub(crate) urls: Vec<String>,
    /// Somebody to make rooms with.
    pub(crate) friend: UserId,
    /// What is remembered when the application opens again.
    pub(crate) memory: Memory,
    /// Longest wait before an attempt to connect; absent: the client's own.
    pub(crate) wait_max: Option<Duration>,
}

/// Somebody's account, and who waits for it to change.
#[derive(Default)]
pub(crate) struct Account {
    seen: Mutex<Seen>,
    /// Tells of every change.
    pub(crate) changed: Notify,
}

impl Account {
    /// Locks the account.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The person.
pub(crate) struct Person {
    /// Who and where.
    pub(crate) place: Place,
    /// The account.
    pub(crate) account: Arc<Account>,
    /// The client of now.
    pub(crate) client: Client,
    /// The counts of the clients of before, added up.
    pub(crate) stats: Stats,
    /// Times the application was opened again.
    pub(crate) reopened: u64,
    reader: JoinHandle<()>,
    rooms: Vec<RoomId>,
    door: Option<(RoomId, Door)>,
    dice: Dice,
}

/// Where somebody stands who goes in and out of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Outside,
    Inside,
    Moving(MsgId, Goal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    In,
    Out,
}

impl Person {
    /// Opens the application for the first time.
    pub(crate) fn open(place: Place, dice: Dice) -> Self {
        let account = Arc::new(Account::default());
        let client = builder(&place, 0).start().unwrap();
        let reader = read(client.clone(), account.clone());
        Self {
            place,
            account,
            client,
            stats: Stats::default(),
            reopened: 0,
            reader,
            rooms: Vec::new(),
            door: None,
            dice,
        }
    }

    /// Says where to talk, and which room to go in and out of.
    pub(crate) fn settle_in(&mut self, rooms: Vec<RoomId>, door: Option<RoomId>) {
        self.rooms = rooms;
        self.door = door.map(|room| (room, Door::Outside));
    }

    /// Returns where to talk.
    pub(crate) fn rooms(&self) -> &[RoomId] {
        &self.rooms
    }

    /// Lives until `stop` comes true.
    pub(crate) async fn live(mut self, mut stop: watch::Receiver<bool>) -> Self {
        let mut lost_since = None;
        loop {
            let pause = Duration::from_millis(self.dice.between(10, 160));
            tokio::select! {
                // The sender goes only with the test.
                _ = stop.wait_for(|stop| *stop) => return self,
                () = tokio::time::sleep(pause) => {}
            }
            if self.client.phase() == PhaseName::Live {
                lost_since = None;
            }
            let lost = lost_since.get_or_insert_with(Instant::now).elapsed();
            if lost > PATIENCE || self.dice.once_in(self.reopens_once_in()) {
                self.reopen().await;
                lost_since = None;
            }
            if self.account.seen().open.len() < OPEN_MAX {
                self.act();
            }
        }
    }

    /// Who remembers wrongly opens the application often, so that it shows.
    fn reopens_once_in(&self) -> u64 {
        match self.place.memory {
            Memory::Kept => 120,
            Memory::Ahead | Memory::Forgotten => 8,
        }
    }

    fn act(&mut self) {
        match self.dice.below(40) {
            0 => self.make_room(),
            1..=3 => self.ask_again(),
            4..=15 => self.pass_the_door(),
            _ => {
                for _ in 0..=self.dice.below(3) {
                    let room = *self.dice.pick(&self.rooms.clone());
                    self.say(room);
                }
            }
        }
    }

    /// Asks for a frame under a new `msg_id`.
    pub(crate) fn ask(&self, frame: ClientFrame) -> MsgId {
        let msg_id = MsgId::new(Uuid::now_v7());
        self.ask_as(msg_id, frame);
        msg_id
    }

    fn ask_as(&self, msg_id: MsgId, frame: ClientFrame) {
        self.account.seen().asks(msg_id, frame.clone());
        let pending = self.client.append_as::<Value>(msg_id, frame);
        let account = self.account.clone();
        tokio::spawn(async move {
            let answer = pending.await;
            account.seen().answered(msg_id, answer);
            account.changed.notify_waiters();
        });
    }

    /// Says something nobody has said before.
    pub(crate) fn say(&self, room_id: RoomId) {
        let nth = self.account.seen().asked.len();
        self.ask(ClientFrame::MessageSend(MessageSend {
            room_id,
            body: MessageBody::text(format!("{} {nth}", self.place.user)).into(),
            reply_to: None,
            thread: None,
            mentions: None,
            attachments: None,
            expires_in_ms: None,
        }));
    }

    /// Makes a room of two.
    fn make_room(&self) {
        let nth = self.account.seen().asked.len();
        let name = format!("{} {nth}", self.place.user);
        self.ask(room_of(name, vec![self.place.friend.clone()], None));
    }

    /// Repeats a frame that is answered: the answer must be the same.
    fn ask_again(&mut self) {
        let again = {
            let seen = self.account.seen();
            let answered: Vec<MsgId> = seen
                .asked
                .keys()
                .filter(|msg_id| !seen.open.contains(msg_id))
                .copied()
                .collect();
            if answered.is_empty() {
                return;
            }
            let msg_id = *self.dice.pick(&answered);
            (msg_id, seen.asked[&msg_id].frame.clone())
        };
        self.ask_as(again.0, again.1);
    }

    fn pass_the_door(&mut self) {
        let Some((room_id, state)) = self.door else {
            return;
        };
        let only = RoomOnly { room_id };
        let state = match state {
            Door::Moving(msg_id, goal) if !self.account.seen().open.contains(&msg_id) => match goal
            {
                Goal::In => Door::Inside,
                Goal::Out => Door::Outside,
            },
            moving @ Door::Moving(..) => moving,
            Door::Outside => Door::Moving(self.ask(ClientFrame::RoomJoin(only)), Goal::In),
            Door::Inside if self.dice.once_in(3) => {
                Door::Moving(self.ask(ClientFrame::RoomLeave(only)), Goal::Out)
            }
            Door::Inside => {
                self.say(room_id);
                Door::Inside
            }
        };
        self.door = Some((room_id, state));
    }

    /// Closes the application and opens it again with what it has kept.
    pub(crate) async fn reopen(&mut self) {
        self.client.close().await;
        // What was handed over before the end still counts.
        let reader = std::mem::replace(&mut self.reader, tokio::spawn(async {}));
        reader.await.unwrap();
        add(&mut self.stats, self.client.stats());
        self.reopened += 1;
        let positions = self.client.positions();
        let outbox = self.client.outbox();
        let kept: Vec<MsgId> = outbox.iter().map(|entry| entry.msg_id).collect();
        let builder = builder(&self.place, self.reopened).restore_outbox(outbox);
        let builder = match self.place.memory {
            Memory::Kept => builder.positions(positions),
            Memory::Ahead => builder.positions(
                positions
                    .into_iter()
                    .map(|(room, seq)| (room, seq.plus(3)))
                    .collect(),
            ),
            Memory::Forgotten => builder,
        };
        self.client = builder.start().unwrap();
        self.reader = read(self.client.clone(), self.account.clone());
        // The client had the answer to these, and was closed before it could say so.
        let unsaid: Vec<(MsgId, ClientFrame)> = {
            let seen = self.account.seen();
            let open = seen.open.iter().filter(|msg_id| !kept.contains(msg_id));
            open.map(|msg_id| (*msg_id, seen.asked[msg_id].frame.clone()))
                .collect()
        };
        for (msg_id, frame) in unsaid {
            self.ask_as(msg_id, frame);
        }
    }

    /// Waits until nothing is open and the outbox is empty.
    pub(crate) async fn settled(&self) {
        loop {
            let changed = self.account.changed.notified();
            if self.account.seen().open.is_empty() && self.client.outbox().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until everything up to the head of every room came.
    pub(crate) async fn caught_up(&self) {
        let rooms = self.rooms_now().await;
        loop {
            let changed = self.account.changed.notified();
            let reached = self.account.seen().reached();
            let there = |room: &parlor_schema::room::Room| {
                reached
                    .get(&room.room_id)
                    .is_some_and(|seq| *seq >= room.head)
            };
            if rooms.iter().all(there) {
                return;
            }
            changed.await;
        }
    }

    /// Lists the rooms one is in.
    pub(crate) async fn rooms_now(&self) -> Vec<parlor_schema::room::Room> {
        let (mut rooms, mut after) = (Vec::new(), None);
        loop {
            let frame = ClientFrame::RoomList(RoomList {
                public: None,
                after,
                limit: Some(200),
            });
            let page: parlor_schema::frame::ack::RoomsAck =
                self.client.request(frame).await.unwrap();
            rooms.extend(page.rooms);
            after = page.next;
            if after.is_none() {
                return rooms;
            }
        }
    }

    /// Reads a whole room.
    pub(crate) async fn history(&self, room_id: RoomId) -> View {
        let mut events: Vec<Stored> = Vec::new();
        loop {
            let after = events.last().map_or(Seq::ZERO, |event| event.seq);
            let frame = ClientFrame::HistoryGet(HistoryGet {
                room_id,
                before: None,
                after: Some(after),
                around: None,
                at: None,
                limit: Some(200),
            });
            let page: HistoryAck = self.client.request(frame).await.unwrap();
            events.extend(
                page.events
                    .iter()
                    .map(|text| stored(&EventFrame::read(text.get()).unwrap())),
            );
            if page.complete || page.events.is_empty() {
                let reader = self.place.user.to_string();
                return View {
                    reader,
                    room: room_id,
                    events,
                };
            }
        }
    }

    /// Closes the application for good; answers all counts.
    pub(crate) async fn close(mut self) -> Stats {
        self.client.close().await;
        self.reader.await.unwrap();
        add(&mut self.stats, self.client.stats());
        self.stats
    }
}

/// Makes the frame that makes a group.
pub(crate) fn room_of(name: String, members: Vec<UserId>, public: Option<bool>) -> ClientFrame {
    ClientFrame::RoomCreate(RoomCreate {
        kind: RoomKind::Group,
        name: Some(name),
        topic: None,
        members: Some(members),
        public,
        retention_ms: None,
    })
}

fn builder(place: &Place, reopened: u64) -> ClientBuilder {
    let urls = place.urls.len() as u64;
    let at = usize::try_from(reopened % urls).expect("invariant: below a length");
    let builder = ClientBuilder::new(place.urls[at].as_str()).token(place.token.as_str());
    match place.wait_max {
        Some(wait) => builder.wait_max(wait),
        None => builder,
    }
}

fn read(client: Client, account: Arc<Account>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(notice) = client.next().await {
            account.seen().takes(notice);
            account.changed.notify_waiters();
        }
    })
}

fn stored(event: &EventFrame) -> Stored {
    Stored {
        seq: event.seq,
        id: event.id,
        sender: event.sender.clone(),
        msg_id: event.client_msg_id,
        text: event.text().map(str::to_owned),
    }
}

/// Adds the counts of one client to those of others.
pub(crate) fn add(all: &mut Stats, one: Stats) {
    all.connects += one.connects;
    all.disconnects += one.disconnects;
    all.connect_failures += one.connect_failures;
    all.events += one.events;
    all.duplicates += one.duplicates;
    all.order_errors += one.order_errors;
    all.gaps += one.gaps;
    all.sent += one.sent;
    all.resent += one.resent;
    all.acked += one.acked;
    all.refused += one.refused;
    all.unreadable += one.unreadable;
    all.backoff_max = all.backoff_max.max(one.backoff_max);
}
