//! The newest events of rooms, kept in Redis as a faster way to read them, and never as the truth.
//!
//! Invariants:
//! - TL-1: an event is put only after the timeline said that it is durable: it was appended, or read.
//! - TL-2: what is read is used only if each event was sealed by a node of this cluster for this very room, stands at its own position, and
//!   they lie without a hole below the position asked for; else the timeline is read. Events do not change, so what passes is what it says.
//! - TL-3: nobody waits for a put, and for a read at most [`READ_DEADLINE`].
//! - TL-4: a room's tail has at most [`TAIL_EVENTS`] events and [`TAIL_BYTES`] bytes, and is forgotten [`HOLDS`] after it was last put.
//!
//! Deliberately absent: the head. Whoever reads names a position that it knows to be durable.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parlor_schema::{
    Event, RoomId, Seq, Timestamp,
    envelope::Carried,
    port::{Append, Direction, PortFuture, ReadRange, StoreError, Timeline},
};
use redis::{Value, cmd};
use tokio::sync::mpsc;

use super::{
    bus::PacketSeal, commands::Commands, health::count, names::Names, script::Lua, servers::within,
};

/// Events of a tail.
const TAIL_EVENTS: usize = 64;
/// Bytes of a tail, as they are kept.
const TAIL_BYTES: usize = 128 * 1024;
/// How long a tail is kept after it was last put.
const HOLDS: Duration = Duration::from_secs(600);
/// How long a read waits for Redis.
const READ_DEADLINE: Duration = Duration::from_millis(100);
/// Puts that may wait; more are dropped and counted.
const PUTS_MAX: usize = 256;
/// Puts that are sent at once.
const PUTS_AT_ONCE: usize = 32;

/// Arguments: lifetime, most events, most bytes; then a position and its event, in turns. The newest stay.
const PUT: &str = r"
for i = 4, #ARGV, 2 do
  redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[i], ARGV[i])
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(tonumber(ARGV[2]) + 1))
local all, bytes = redis.call('ZRANGE', KEYS[1], 0, -1), 0
for i = #all, 1, -1 do
  bytes = bytes + #all[i]
  if bytes > tonumber(ARGV[3]) then
    redis.call('ZREMRANGEBYRANK', KEYS[1], 0, i - 1)
    break
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

/// Counts of the tails; each only rises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TailStats {
    /// Reads that were answered from Redis.
    pub hits: u64,
    /// Reads that were not, and went to the timeline.
    pub misses: u64,
    /// The misses among these where Redis held something that no node had put there so.
    pub odd: u64,
    /// Puts dropped because too many waited or Redis was away, and those that failed.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    odd: AtomicU64,
    dropped: AtomicU64,
}

/// Durable events of a room, on their way to Redis.
struct Put {
    room: RoomId,
    events: Vec<Arc<Event>>,
}

/// Why a tail does not answer.
#[derive(Debug, PartialEq, Eq)]
enum Miss {
    /// It does not reach so far.
    Short,
    /// It holds what no node put there so (TL-2).
    Odd,
}

/// The tails of all rooms.
pub(super) struct Tails {
    commands: Arc<Commands>,
    names: Names,
    seal: PacketSeal,
    put: Lua,
    puts: mpsc::Sender<Put>,
    waiting: Mutex<Option<mpsc::Receiver<Put>>>,
    counters: Counters,
}

impl Tails {
    pub(super) fn new(commands: Arc<Commands>, names: Names, seal: PacketSeal) -> Arc<Self> {
        let (puts, waiting) = mpsc::channel(PUTS_MAX);
        Arc::new(Self {
            commands,
            names,
            seal,
            put: Lua::new(PUT),
            puts,
            waiting: Mutex::new(Some(waiting)),
            counters: Counters::default(),
        })
    }

    /// Puts what waits, for ever. To be called once.
    pub(super) async fn run(self: Arc<Self>) {
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut waiting) = waiting else { return };
        let mut puts = Vec::with_capacity(PUTS_AT_ONCE);
        while waiting.recv_many(&mut puts, PUTS_AT_ONCE).await > 0 {
            join_all(puts.drain(..).map(|put| self.send(put))).await;
        }
    }

    async fn send(&self, put: Put) {
        let key = self.names.tail(put.room);
        let bounds = [
            HOLDS.as_millis().to_string(),
            TAIL_EVENTS.to_string(),
            TAIL_BYTES.to_string(),
        ];
        let mut args: Vec<Vec<u8>> = bounds.map(String::into_bytes).into();
        for event in &put.events {
            args.push(event.seq.get().to_string().into_bytes());
            args.push(sealed(&self.seal, &key, event));
        }
        if let Err(error) = self.put.run(&self.commands, &key, &args).await {
            count(&self.counters.dropped, 1);
            tracing::debug!(%error, room = %put.room, "the tail of a room was not put");
        }
    }

    /// Puts events that are durable (TL-1), without waiting. When full, or Redis is away: dropped and counted.
    fn keep(&self, room: RoomId, mut events: Vec<Arc<Event>>) {
        events.drain(..events.len().saturating_sub(TAIL_EVENTS));
        let mut left = TAIL_BYTES;
        let newest = events.iter().rev().take_while(|event| {
            let weight = event.weight();
            let fits = weight <= left;
            left = left.saturating_sub(weight);
            fits
        });
        let kept = newest.count();
        events.drain(..events.len() - kept);
        if events.is_empty() {
            return;
        }
        let is_queued =
            self.commands.health.is_up() && self.puts.try_send(Put { room, events }).is_ok();
        if !is_queued {
            count(&self.counters.dropped, 1);
        }
    }

    /// Reads what of a range comes first from above; none where the timeline must be read.
    async fn read(&self, room: RoomId, range: ReadRange) -> Option<Vec<Arc<Event>>> {
        let wanted = wanted(range)?;
        let key = self.names.tail(room);
        let mut ask = cmd("ZREVRANGEBYSCORE");
        ask.arg(&key)
            .arg(range.to.get())
            .arg(range.from.get())
            .arg("LIMIT")
            .arg(0)
            .arg(wanted);
        let page = match within(READ_DEADLINE, self.commands.ask(&key, &ask)).await {
            Ok(Value::Array(members)) => page(&self.seal, &key, range, &members),
            Ok(_) => Err(Miss::Odd),
            // Redis is away, or the key is of another kind.
            Err(_) => Err(Miss::Short),
        };
        match page {
            Ok(events) => {
                count(&self.counters.hits, 1);
                Some(events)
            }
            Err(miss) => {
                count(&self.counters.misses, 1);
                if miss == Miss::Odd {
                    count(&self.counters.odd, 1);
                    tracing::warn!(%room, "the tail of a room in redis is not what nodes put there");
                }
                None
            }
        }
    }

    pub(super) fn stats(&self) -> TailStats {
        let counters = &self.counters;
        TailStats {
            hits: counters.hits.load(Relaxed),
            misses: counters.misses.load(Relaxed),
            odd: counters.odd.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
        }
    }
}

/// Returns how many events a range asks for; none where no tail could have them all.
fn wanted(range: ReadRange) -> Option<usize> {
    if range.direction != Direction::Down || range.from > range.to {
        return None;
    }
    let there = range.to.get() - range.from.get() + 1;
    let wanted = usize::try_from(there)
        .unwrap_or(usize::MAX)
        .min(range.limit);
    (1..=TAIL_EVENTS).contains(&wanted).then_some(wanted)
}

/// Writes an event as it is kept.
fn sealed(seal: &PacketSeal, key: &str, event: &Event) -> Vec<u8> {
    let mut text =
        serde_json::to_vec(&Carried::of(event)).expect("invariant: an event is always JSON");
    seal.seal(key, &mut text);
    text
}

/// Checks members of a tail, from the highest position down, and answers what of them a range asks for, rising (TL-2).
fn page(
    seal: &PacketSeal,
    key: &str,
    range: ReadRange,
    members: &[Value],
) -> Result<Vec<Arc<Event>>, Miss> {
    let wanted = wanted(range).ok_or(Miss::Short)?;
    let (mut events, mut left): (Vec<Arc<Event>>, usize) = (Vec::new(), range.bytes);
    for (place, member) in (0..).zip(members) {
        let Value::BulkString(text) = member else {
            return Err(Miss::Odd);
        };
        let open = seal.open(key, text).ok_or(Miss::Odd)?;
        let carried: Carried = serde_json::from_slice(open).map_err(|_| Miss::Odd)?;
        // A kind that this node does not know was put by a newer one.
        let event = carried.event().ok_or(Miss::Short)?;
        if event.seq.get() + place != range.to.get() {
            // Lower than expected is a hole, which a lost put leaves; higher is a position that it was not put at.
            let is_hole = event.seq.get() + place < range.to.get();
            return Err(if is_hole { Miss::Short } else { Miss::Odd });
        }
        if event.weight() > left && !events.is_empty() {
            events.reverse();
            return Ok(events);
        }
        left = left.saturating_sub(event.weight());
        events.push(Arc::new(event));
    }
    if events.len() < wanted {
        return Err(Miss::Short);
    }
    events.reverse();
    Ok(events)
}

/// A timeline whose newest events are kept in Redis too. Everything but [`Timeline::recent`] is the timeline's own.
pub struct RedisTails {
    timeline: Arc<dyn Timeline>,
    tails: Arc<Tails>,
}

impl RedisTails {
    pub(super) fn new(timeline: Arc<dyn Timeline>, tails: Arc<Tails>) -> Self {
        Self { timeline, tails }
    }
}

impl Timeline for RedisTails {
    fn append(
        &self,
        room: RoomId,
        expected_head: Seq,
        events: Vec<Arc<Event>>,
    ) -> PortFuture<'_, Result<Append, StoreError>> {
        Box::pin(async move {
            let copies = events.clone();
            let answer = self.timeline.append(room, expected_head, events).await?;
            // `Unknown` is none: whether it took effect shows when it is read.
            if answer == Append::Appended {
                self.tails.keep(room, copies);
            }
            Ok(answer)
        })
    }

    fn head(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.timeline.head(room)
    }

    fn read(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        self.timeline.read(room, range)
    }

    fn recent(
        &self,
        room: RoomId,
        range: ReadRange,
    ) -> PortFuture<'_, Result<Vec<Arc<Event>>, StoreError>> {
        Box::pin(async move {
            if let Some(events) = self.tails.read(room, range).await {
                return Ok(events);
            }
            let events = self.timeline.recent(room, range).await?;
            if wanted(range).is_some() {
                self.tails.keep(room, events.clone());
            }
            Ok(events)
        })
    }

    fn seq_at(&self, room: RoomId, at: Timestamp) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.timeline.seq_at(room, at)
    }

    fn forget(
        &self,
        room: RoomId,
        before: Timestamp,
        to: Seq,
    ) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.timeline.forget(room, before, to)
    }

    fn first(&self, room: RoomId) -> PortFuture<'_, Result<Seq, StoreError>> {
        self.timeline.first(room)
    }
}

#[cfg(test)]
mod tests;
