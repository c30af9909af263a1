//! The suite of the timeline port: T-1, T-2, T-4, T-5, T-6 and the reads. T-3 needs a process that dies: see `crash`.

use std::{collections::HashSet, sync::Arc};

use futures_util::{FutureExt as _, future::join_all};
use parlor_schema::{
    Event, EventKind, RoomId, Seq,
    port::{Append, Direction, ReadRange, Timeline},
};

use crate::{
    Verdict,
    make::{ALL, at, event, events, name, room, whole},
    promise, same, told,
};

/// Runs every check; rooms are fresh, so the store may hold others.
pub(crate) async fn suite(store: Arc<dyn Timeline>) -> Verdict {
    let store = &store;
    let named = |name: &'static str| move |why: String| format!("{name}: {why}");
    empty(&**store).await.map_err(named("empty room"))?;
    kept(&**store).await.map_err(named("kept as given"))?;
    heads(&**store).await.map_err(named("expected head"))?;
    numbering(&**store).await.map_err(named("numbering"))?;
    race(store).await.map_err(named("one winner"))?;
    crowd(store).await.map_err(named("many writers"))?;
    reads(&**store).await.map_err(named("reads"))?;
    budgets(&**store).await.map_err(named("budgets"))?;
    times(&**store).await.map_err(named("seq_at"))?;
    neighbours(&**store).await.map_err(named("neighbours"))?;
    abandoned(&**store).await.map_err(named("abandoned"))
}

async fn append(
    store: &dyn Timeline,
    room: RoomId,
    head: u64,
    events: Vec<Arc<Event>>,
) -> Result<Append, String> {
    told(store.append(room, Seq::new(head), events).await)
}

async fn empty(store: &dyn Timeline) -> Verdict {
    let room = room();
    same!(told(store.head(room).await)?, Seq::ZERO, "head");
    same!(told(store.read(room, ALL).await)?.len(), 0, "events");
    same!(told(store.seq_at(room, at(0)).await)?, Seq::FIRST, "seq_at");
    same!(
        append(store, room, 0, vec![]).await?,
        Append::Appended,
        "nothing appended"
    );
    same!(
        told(store.head(room).await)?,
        Seq::ZERO,
        "head after nothing"
    );
    Ok(())
}

async fn kept(store: &dyn Timeline) -> Verdict {
    let room = room();
    let mut given = Vec::new();
    for (kind, seq) in EventKind::ALL.iter().zip(1..) {
        given.push(Event {
            kind: *kind,
            ..Arc::unwrap_or_clone(event(seq, "ä \\u0000 🦜"))
        });
    }
    given[0].fingerprint = u128::MAX;
    given[1].fingerprint = 0;
    given[2].content = "{}".into();
    given[3].content = format!(r#"{{"x":"{}"}}"#, "y".repeat(100_000)).into();
    given[4].sender = name(&"n".repeat(128));
    let mut given: Vec<_> = given.into_iter().map(Arc::new).collect();
    let count = given.len() as u64;
    same!(
        append(store, room, 0, given.clone()).await?,
        Append::Appended,
        "first"
    );
    let later = events(count + 1, count + 1);
    same!(
        append(store, room, count, later.clone()).await?,
        Append::Appended,
        "second"
    );
    given.extend(later);
    same!(whole(store, room).await?, given, "T-4: what was read");
    Ok(())
}

async fn heads(store: &dyn Timeline) -> Verdict {
    let room = room();
    let ahead = append(store, room, 3, events(4, 5)).await?;
    same!(
        ahead,
        Append::Conflict { head: Seq::ZERO },
        "T-1: ahead of an empty room"
    );
    let first = events(1, 3);
    same!(
        append(store, room, 0, first.clone()).await?,
        Append::Appended,
        "first"
    );
    for wrong in [0, 1, 2, 4, 9] {
        let answer = append(store, room, wrong, events(wrong + 1, wrong + 2)).await?;
        same!(
            answer,
            Append::Conflict { head: Seq::new(3) },
            "T-1: head {wrong}"
        );
        same!(
            whole(store, room).await?,
            first,
            "T-1: stored after a conflict"
        );
    }
    same!(
        append(store, room, 3, events(4, 4)).await?,
        Append::Appended,
        "right head"
    );
    Ok(())
}

async fn numbering(store: &dyn Timeline) -> Verdict {
    let room = room();
    for wrong in [vec![event(2, "a")], vec![event(1, "a"), event(3, "b")]] {
        let refused = store.append(room, Seq::ZERO, wrong).await;
        promise!(
            refused.is_err(),
            "T-5: events with other numbers were taken"
        );
        same!(told(store.head(room).await)?, Seq::ZERO, "head");
    }
    Ok(())
}

async fn race(store: &Arc<dyn Timeline>) -> Verdict {
    for round in 0..10 {
        let room = room();
        let tries = (0..32).map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let given = events(1, 2);
                let answer = store.append(room, Seq::ZERO, given.clone()).await;
                (answer, given)
            })
        });
        let mut winners = Vec::new();
        for tried in join_all(tries).await {
            let (answer, given) = told(tried)?;
            match told(answer)? {
                Append::Appended => winners.push(given),
                Append::Conflict { head } => same!(head, Seq::new(2), "head of a conflict"),
                Append::Unknown => {}
            }
        }
        same!(winners.len(), 1, "T-2: winners in round {round}");
        same!(
            whole(&**store, room).await?,
            winners[0],
            "T-2: what was stored"
        );
    }
    Ok(())
}

async fn crowd(store: &Arc<dyn Timeline>) -> Verdict {
    let room = room();
    let writers = (0..12_u64).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (mut head, mut mine) = (0, Vec::new());
            for turn in 0..10 {
                loop {
                    let given = events(head + 1, head + 1 + (writer + turn) % 3);
                    match told(store.append(room, Seq::new(head), given.clone()).await)? {
                        Append::Appended => {
                            head = given.last().map_or(head, |last| last.seq.get());
                            mine.extend(given);
                            break;
                        }
                        Append::Conflict { head: there } => {
                            promise!(there.get() != head, "conflict with the right head");
                            head = there.get();
                        }
                        Append::Unknown => return Err("unknown without a fault".into()),
                    }
                }
            }
            Ok(mine)
        })
    });
    let mut given = Vec::new();
    for writer in join_all(writers).await {
        given.extend(told(writer)??);
    }
    given.sort_by_key(|event| event.seq);
    let ids: HashSet<_> = given.iter().map(|event| event.id).collect();
    same!(ids.len(), given.len(), "events appended twice");
    same!(whole(&**store, room).await?, given, "T-1: what was stored");
    Ok(())
}

async fn seqs(store: &dyn Timeline, room: RoomId, range: ReadRange) -> Result<Vec<u64>, String> {
    let read = told(store.read(room, range).await)?;
    Ok(read.iter().map(|event| event.seq.get()).collect())
}

async fn reads(store: &dyn Timeline) -> Verdict {
    let room = room();
    append(store, room, 0, events(1, 20)).await?;
    let (up, down) = (Direction::Up, Direction::Down);
    let table: &[(u64, u64, Direction, usize, &[u64])] = &[
        (1, 20, up, 3, &[1, 2, 3]),
        (1, 20, down, 3, &[18, 19, 20]),
        (5, 7, up, 10, &[5, 6, 7]),
        (5, 7, down, 10, &[5, 6, 7]),
        (5, 7, down, 2, &[6, 7]),
        (0, 2, up, 10, &[1, 2]),
        (0, 2, down, 10, &[1, 2]),
        (0, 0, up, 10, &[]),
        (19, 900, up, 10, &[19, 20]),
        (19, 900, down, 1, &[20]),
        (21, 900, up, 10, &[]),
        (21, 900, down, 10, &[]),
        (7, 5, up, 10, &[]),
        (7, 5, down, 10, &[]),
        (9, 9, up, 1, &[9]),
        (1, 20, up, 0, &[]),
        (1, 20, down, 0, &[]),
    ];
    for (from, to, direction, limit, wanted) in table {
        let range = ReadRange {
            from: Seq::new(*from),
            to: Seq::new(*to),
            direction: *direction,
            limit: *limit,
            bytes: usize::MAX,
        };
        same!(seqs(store, room, range).await?, *wanted, "{range:?}");
    }
    Ok(())
}

async fn budgets(store: &dyn Timeline) -> Verdict {
    let room = room();
    let given = events(1, 10);
    let weight = given[0].weight();
    append(store, room, 0, given).await?;
    for (bytes, count) in [
        (0, 1),
        (weight - 1, 1),
        (weight, 1),
        (2 * weight - 1, 1),
        (2 * weight, 2),
        (100 * weight, 10),
    ] {
        for direction in [Direction::Up, Direction::Down] {
            let range = ReadRange {
                direction,
                bytes,
                ..ALL
            };
            let wanted: Vec<u64> = match direction {
                Direction::Up => (1..=count).collect(),
                Direction::Down => (11 - count..=10).collect(),
            };
            same!(seqs(store, room, range).await?, wanted, "{bytes} bytes");
        }
    }
    Ok(())
}

async fn times(store: &dyn Timeline) -> Verdict {
    let room = room();
    let given = [10, 10, 20, 30, 30, 30, 45].iter().zip(1..);
    let given = given.map(|(millis, seq)| Event {
        sent_at: at(*millis),
        ..Arc::unwrap_or_clone(event(seq, "t"))
    });
    append(store, room, 0, given.map(Arc::new).collect()).await?;
    for (millis, seq) in [
        (i64::MIN, 1),
        (10, 1),
        (11, 3),
        (20, 3),
        (30, 4),
        (31, 7),
        (45, 7),
        (46, 8),
    ] {
        let found = told(store.seq_at(room, at(millis)).await)?;
        same!(found, Seq::new(seq), "at {millis}");
    }
    Ok(())
}

async fn neighbours(store: &dyn Timeline) -> Verdict {
    let mut low = room().bytes();
    low[15] = 0x7f;
    let mut high = low;
    high[15] = 0x80;
    let mut last = low;
    last[8..].fill(0xff);
    let rooms = [low, high, last].map(RoomId::from);
    for (room, count) in rooms.iter().zip(1..) {
        append(store, *room, 0, events(1, count)).await?;
    }
    for (room, count) in rooms.iter().zip(1..) {
        same!(whole(store, *room).await?.len(), count, "events of {room}");
    }
    Ok(())
}

async fn abandoned(store: &dyn Timeline) -> Verdict {
    let room = room();
    for round in 0..20 {
        let head = told(store.head(room).await)?.get();
        // Polled once, then dropped.
        let _ = store
            .append(room, Seq::new(head), events(head + 1, head + 3))
            .now_or_never();
        // Either answer of a second writer is right, but never both effects.
        append(store, room, head, events(head + 1, head + 3)).await?;
        let stored = whole(store, room).await?.len() as u64;
        same!(stored, head + 3, "T-6: events after round {round}");
    }
    Ok(())
}
