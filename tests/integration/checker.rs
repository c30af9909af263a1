//! The history checker: from what clients were told and what was delivered, it says what went wrong.
//!
//! Owns the four counts that must be nothing: lost, duplicates, holes, order differences. Pure.
//!
//! Invariants, each the negation of a fault:
//! - CH-1 lost: what was acknowledged stands in the timeline at its position, as it was sent.
//! - CH-2 duplicates: one event per (room, user, `msg_id`), nothing stored that nobody was told of, nothing delivered twice.
//! - CH-3 holes: positions 1 … head in the timeline; deliveries without a step left out, up to the head where they were not cut.
//! - CH-4 order: all readers and all deliveries have the same event at a position; a user's messages stand in the order sent.
#![allow(dead_code, reason = "each binary uses a part")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use parlor_schema::{EventId, MsgId, RoomId, Seq, UserId};

/// An event as read from the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its position.
    pub(crate) seq: Seq,
    /// Its id.
    pub(crate) id: EventId,
    /// Who did it.
    pub(crate) sender: UserId,
    /// The idempotency key, where the reader may see it.
    pub(crate) msg_id: Option<MsgId>,
    /// The text, of a message.
    pub(crate) text: Option<String>,
}

/// A whole timeline as one reader read it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Who read.
    pub(crate) reader: String,
    /// The room.
    pub(crate) room: RoomId,
    /// Everything there was.
    pub(crate) events: Vec<Stored>,
}

/// What a client was told by an `ack`.
#[derive(Debug, Clone)]
pub(crate) struct Acked {
    /// Who.
    pub(crate) user: UserId,
    /// Where.
    pub(crate) room: RoomId,
    /// The position.
    pub(crate) seq: Seq,
    /// The event's id, where the `ack` has it.
    pub(crate) id: Option<EventId>,
    /// The idempotency key.
    pub(crate) msg_id: MsgId,
    /// The text, of a message.
    pub(crate) text: Option<String>,
    /// The place among the user's own sends, where their order is promised.
    pub(crate) nth: Option<u64>,
}

/// Whether deliveries went on to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// They must have reached the head.
    Head,
    /// They were cut: the client was put out, or died.
    Cut,
}

/// Deliveries in a row.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// They begin after this position.
    pub(crate) after: Seq,
    /// As the application got them.
    pub(crate) events: Vec<(Seq, EventId)>,
    /// How they end.
    pub(crate) end: End,
}

/// What one client was given of a room.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    /// Who.
    pub(crate) client: String,
    /// The room.
    pub(crate) room: RoomId,
    /// Row after row.
    pub(crate) segments: Vec<Segment>,
}

/// Everything there is to judge.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// What was acknowledged; copies of an acknowledgement included.
    pub(crate) acked: Vec<Acked>,
    /// What is stored.
    pub(crate) views: Vec<View>,
    /// What was delivered.
    pub(crate) delivered: Vec<Delivered>,
}

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// Against CH-1.
    Lost,
    /// Against CH-2.
    Duplicate,
    /// Against CH-3.
    Hole,
    /// Against CH-4.
    Order,
}

/// The judgement.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Frames acknowledged.
    pub(crate) acknowledged: usize,
    /// Events delivered.
    pub(crate) delivered: usize,
    /// What is wrong.
    pub(crate) faults: Vec<(Fault, String)>,
}

impl Report {
    /// Counts the faults of a kind.
    pub(crate) fn count(&self, kind: Fault) -> usize {
        self.faults
            .iter()
            .filter(|(fault, _)| *fault == kind)
            .count()
    }

    /// Adds a fault.
    pub(crate) fn fault(&mut self, kind: Fault, what: String) {
        self.faults.push((kind, what));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged {}, delivered {}, lost {}, duplicates {}, holes {}, order differences {}",
            self.acknowledged,
            self.delivered,
            self.count(Fault::Lost),
            self.count(Fault::Duplicate),
            self.count(Fault::Hole),
            self.count(Fault::Order),
        )
    }
}

type Timelines = BTreeMap<RoomId, BTreeMap<Seq, Stored>>;

/// Judges a history.
pub(crate) fn check(history: &History) -> Report {
    let mut report = Report::default();
    let timelines = merge(&history.views, &mut report);
    once_each(&timelines, &mut report);
    let told = acknowledged(&history.acked, &timelines, &mut report);
    nothing_unasked(&timelines, &told, &mut report);
    in_order_sent(&history.acked, &mut report);
    for delivered in &history.delivered {
        deliveries(delivered, &timelines, &mut report);
    }
    report
}

/// Makes one timeline per room of what all readers saw.
fn merge(views: &[View], report: &mut Report) -> Timelines {
    let mut timelines = Timelines::new();
    for view in views {
        let (reader, room) = (&view.reader, view.room);
        let timeline = timelines.entry(room).or_default();
        let mut last = Seq::ZERO;
        for event in &view.events {
            step(last, event.seq, report, || format!("{reader} reads {room}"));
            last = last.max(event.seq);
            let known = timeline.entry(event.seq).or_insert_with(|| event.clone());
            let same =
                (known.id, &known.sender, &known.text) == (event.id, &event.sender, &event.text);
            if !same {
                let seq = event.seq.get();
                report.fault(
                    Fault::Order,
                    format!("{reader} reads another event at {room} {seq}"),
                );
            }
            known.msg_id = known.msg_id.or(event.msg_id);
        }
    }
    for view in views {
        let head = head(&timelines, view.room);
        let read = view.events.iter().map(|event| event.seq).max();
        if read.unwrap_or(Seq::ZERO) < head {
            let (reader, room) = (&view.reader, view.room);
            report.fault(
                Fault::Hole,
                format!("{reader} does not read {room} up to its head {head:?}"),
            );
        }
    }
    timelines
}

fn head(timelines: &Timelines, room: RoomId) -> Seq {
    let timeline = timelines.get(&room);
    let last = timeline.and_then(|timeline| timeline.keys().next_back());
    last.copied().unwrap_or(Seq::ZERO)
}

/// Judges one step from position to position.
fn step(last: Seq, next: Seq, report: &mut Report, who: impl Fn() -> String) {
    if next <= last {
        let what = format!("{}: {} after {}", who(), next.get(), last.get());
        report.fault(Fault::Duplicate, what);
    } else if next > last.next() {
        let what = format!("{}: {} after {}", who(), next.get(), last.get());
        report.fault(Fault::Hole, what);
    }
}

fn once_each(timelines: &Timelines, report: &mut Report) {
    for (room, timeline) in timelines {
        let (mut keys, mut texts) = (HashSet::new(), HashSet::new());
        for event in timeline.values() {
            let twice = event
                .msg_id
                .is_some_and(|msg_id| !keys.insert((&event.sender, msg_id)))
                || event
                    .text
                    .as_ref()
                    .is_some_and(|text| !texts.insert((&event.sender, text)));
            if twice {
                let (sender, seq) = (&event.sender, event.seq.get());
                report.fault(
                    Fault::Duplicate,
                    format!("{sender} is stored again at {room} {seq}"),
                );
            }
        }
    }
}

/// Returns the position told for each frame.
fn acknowledged<'a>(
    acked: &'a [Acked],
    timelines: &Timelines,
    report: &mut Report,
) -> HashMap<(RoomId, &'a UserId, MsgId), Seq> {
    let mut told = HashMap::new();
    for ack in acked {
        let (user, room, seq) = (&ack.user, ack.room, ack.seq);
        match told.insert((room, user, ack.msg_id), seq) {
            None => report.acknowledged += 1,
            Some(before) if before == seq => {}
            Some(before) => {
                let what = format!(
                    "{user} was told {} and {} in {room}",
                    before.get(),
                    seq.get()
                );
                report.fault(Fault::Duplicate, what);
            }
        }
        let event = timelines.get(&room).and_then(|timeline| timeline.get(&seq));
        let kept = event.is_some_and(|event| {
            event.sender == *user
                && event.msg_id == Some(ack.msg_id)
                && event.text == ack.text
                && ack.id.is_none_or(|id| id == event.id)
        });
        if !kept {
            let elsewhere = timelines.get(&room).and_then(|timeline| {
                let own =
                    |event: &&Stored| event.sender == *user && event.msg_id == Some(ack.msg_id);
                timeline.values().find(own).map(|event| event.seq.get())
            });
            let what = format!(
                "{user} was told {room} {} for {}, which is at {elsewhere:?}; there is {event:?}",
                seq.get(),
                ack.msg_id
            );
            report.fault(Fault::Lost, what);
        }
    }
    told
}

/// A message that nobody was told of is a second copy under another name.
fn nothing_unasked(
    timelines: &Timelines,
    told: &HashMap<(RoomId, &UserId, MsgId), Seq>,
    report: &mut Report,
) {
    for (room, timeline) in timelines {
        for event in timeline.values().filter(|event| event.text.is_some()) {
            let known = event
                .msg_id
                .is_some_and(|msg_id| told.contains_key(&(*room, &event.sender, msg_id)));
            if !known {
                let (sender, seq) = (&event.sender, event.seq.get());
                report.fault(
                    Fault::Duplicate,
                    format!("{sender} was never told of {room} {seq}"),
                );
            }
        }
    }
}

fn in_order_sent(acked: &[Acked], report: &mut Report) {
    let mut sent: BTreeMap<(RoomId, &UserId), BTreeMap<u64, Seq>> = BTreeMap::new();
    for ack in acked {
        if let Some(nth) = ack.nth {
            sent.entry((ack.room, &ack.user))
                .or_default()
                .insert(nth, ack.seq);
        }
    }
    for ((room, user), by_nth) in sent {
        let seqs: Vec<Seq> = by_nth.into_values().collect();
        for pair in seqs.windows(2).filter(|pair| pair[0] >= pair[1]) {
            let (one, two) = (pair[0].get(), pair[1].get());
            report.fault(
                Fault::Order,
                format!("{user} sent {two} after {one} in {room}"),
            );
        }
    }
}

fn deliveries(delivered: &Delivered, timelines: &Timelines, report: &mut Report) {
    let (client, room) = (&delivered.client, delivered.room);
    let empty = BTreeMap::new();
    let timeline = timelines.get(&room).unwrap_or(&empty);
    for segment in &delivered.segments {
        let mut last = segment.after;
        report.delivered += segment.events.len();
        for (seq, id) in &segment.events {
            step(last, *seq, report, || {
                format!("delivery to {client} in {room}")
            });
            last = last.max(*seq);
            if timeline.get(seq).is_none_or(|event| event.id != *id) {
                let what = format!("{client} was given another event at {room} {}", seq.get());
                report.fault(Fault::Order, what);
            }
        }
        let head = head(timelines, room);
        if segment.end == End::Head && last < head {
            let what = format!(
                "{client} was given {room} up to {}, not {}",
                last.get(),
                head.get()
            );
            report.fault(Fault::Hole, what);
        }
    }
}

#[cfg(test)]
#[path = "checker/tests.rs"]
mod tests;
