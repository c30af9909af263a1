//! What an application keeps: what it asked, what it was answered, what it was given.
//!
//! Owns the application's own account, kept apart from the client's positions and outbox, so that the two can be compared.

use std::collections::{BTreeMap, BTreeSet};

use parlor_client::{EventFrame, Frame, Notice, RequestError, StopReason};
use parlor_schema::{EventId, MsgId, RoomId, Seq, UserId, frame::ClientFrame, room::Mode};
use serde_json::Value;

use crate::checker::{Acked, Delivered, End, Segment};

/// A frame the application asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The frame.
    pub(crate) frame: ClientFrame,
    /// Its place among all frames.
    pub(crate) nth: u64,
    /// The payloads of its acknowledgements: more than one when it was asked again.
    pub(crate) acks: Vec<Value>,
}

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every frame asked for.
    pub(crate) asked: BTreeMap<MsgId, Asked>,
    /// Frames without an answer.
    pub(crate) open: BTreeSet<MsgId>,
    /// What must not happen.
    pub(crate) wrong: Vec<String>,
    /// `gap` frames.
    pub(crate) gaps: u64,
    given: BTreeMap<RoomId, Vec<Segment>>,
    here: BTreeSet<RoomId>,
}

impl Seen {
    /// Notes that a frame is asked for, for the first time or again.
    pub(crate) fn asks(&mut self, msg_id: MsgId, frame: ClientFrame) {
        let nth = self.asked.len() as u64;
        self.open.insert(msg_id);
        self.asked.entry(msg_id).or_insert(Asked {
            frame,
            nth,
            acks: Vec::new(),
        });
    }

    /// Notes an answer.
    pub(crate) fn answered(&mut self, msg_id: MsgId, answer: Result<Value, RequestError>) {
        match answer {
            Ok(payload) => {
                self.open.remove(&msg_id);
                if let Some(asked) = self.asked.get_mut(&msg_id) {
                    asked.acks.push(payload);
                }
            }
            // The application was closed; it asks again when it opens.
            Err(RequestError::Stopped(_)) => {}
            Err(error) => {
                self.open.remove(&msg_id);
                self.wrong.push(format!("{msg_id}: {error}"));
            }
        }
    }

    /// Takes what the client says.
    pub(crate) fn takes(&mut self, notice: Notice) {
        match notice {
            Notice::Event(event) => self.given(&event),
            Notice::Connected(welcome) => {
                for room in &welcome.rooms {
                    if room.own.is_some_and(|own| own.mode == Mode::Active) {
                        self.begins(room.room_id, room.head);
                    }
                }
            }
            Notice::Live(live) => self.begins(live.room_id, live.seq),
            Notice::Frame(Frame::RoomAdded(added)) => {
                self.begins(added.room.room_id, added.room.head);
            }
            Notice::Frame(Frame::RoomRemoved(removed)) => {
                self.here.remove(&removed.room_id);
                let rows = self.given.entry(removed.room_id).or_default();
                if let Some(row) = rows.last_mut() {
                    row.end = End::Cut;
                }
            }
            Notice::Settled { msg_id, answer } => {
                let answer = answer.map(|payload| {
                    serde_json::from_str(payload.get()).expect("invariant: an answer is json")
                });
                self.answered(msg_id, answer);
            }
            Notice::Gap(gap) => {
                self.gaps += 1;
                self.wrong
                    .push(format!("nothing was removed, and yet: {gap:?}"));
            }
            Notice::Frame(Frame::Unknown { kind, .. }) => {
                self.wrong.push(format!("unknown frame {kind}"));
            }
            Notice::Stopped(StopReason::Requested) => {}
            Notice::Stopped(reason) => self.wrong.push(format!("stopped: {reason}")),
            Notice::Frame(_) | Notice::Disconnected { .. } => {}
        }
    }

    fn begins(&mut self, room: RoomId, after: Seq) {
        if self.here.insert(room) {
            self.given.entry(room).or_default().push(Segment {
                after,
                events: Vec::new(),
                end: End::Head,
            });
        }
    }

    fn given(&mut self, event: &EventFrame) {
        if !self.here.contains(&event.room_id) {
            let (room, seq) = (event.room_id, event.seq.get());
            self.wrong
                .push(format!("{room} {seq} came while not in the room"));
        }
        let rows = self.given.entry(event.room_id).or_default();
        if let Some(row) = rows.last_mut() {
            row.events.push((event.seq, event.id));
        }
    }

    /// Returns the position reached in each room that is followed.
    pub(crate) fn reached(&self) -> BTreeMap<RoomId, Seq> {
        let last = |room: &RoomId| {
            let row = self.given.get(room)?.last()?;
            Some((*room, row.events.last().map_or(row.after, |(seq, _)| *seq)))
        };
        self.here.iter().filter_map(last).collect()
    }

    /// Returns the rooms made, each with the name it was made under.
    pub(crate) fn made(&self) -> Vec<(String, BTreeSet<RoomId>)> {
        let made = self.asked.values().filter_map(|asked| match &asked.frame {
            ClientFrame::RoomCreate(create) => {
                let rooms = asked.acks.iter().map(room_made).collect();
                Some((create.name.clone().unwrap_or_default(), rooms))
            }
            _ => None,
        });
        made.collect()
    }

    /// Returns the account of what was acknowledged, for the checker.
    pub(crate) fn acked(&self, user: &UserId) -> Vec<Acked> {
        let mut all = Vec::new();
        for (msg_id, asked) in &self.asked {
            let text = match &asked.frame {
                ClientFrame::MessageSend(send) => {
                    let body = send.body.parse();
                    body.expect("the test's own body").text
                }
                _ => None,
            };
            all.extend(asked.acks.iter().map(|ack| {
                Acked {
                    user: user.clone(),
                    room: room_asked(&asked.frame).unwrap_or_else(|| room_made(ack)),
                    seq: read::<Seq>(ack, "/seq")
                        .or_else(|| read(ack, "/room/head"))
                        .expect("a position"),
                    id: read::<EventId>(ack, "/id"),
                    msg_id: *msg_id,
                    text: text.clone(),
                    nth: Some(asked.nth),
                }
            }));
        }
        all
    }

    /// Returns the account of what was given, for the checker.
    pub(crate) fn delivered(&self, client: &UserId) -> Vec<Delivered> {
        let rooms = self.given.iter();
        rooms
            .map(|(room, segments)| Delivered {
                client: client.to_string(),
                room: *room,
                segments: segments.clone(),
            })
            .collect()
    }
}

/// Returns the room a frame names.
fn room_asked(frame: &ClientFrame) -> Option<RoomId> {
    match frame {
        ClientFrame::MessageSend(send) => Some(send.room_id),
        ClientFrame::RoomJoin(only) | ClientFrame::RoomLeave(only) => Some(only.room_id),
        _ => None,
    }
}

fn room_made(ack: &Value) -> RoomId {
    read(ack, "/room/room_id").expect("a room")
}

fn read<T: serde::de::DeserializeOwned>(ack: &Value, at: &str) -> Option<T> {
    serde_json::from_value(ack.pointer(at)?.clone()).ok()
}
