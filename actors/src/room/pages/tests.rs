//! Pages: where they begin, who shares them, and what bounds them.
#![allow(clippy::unwrap_used, reason = "tests")]
use parlor_schema::{EventId, EventKind, MsgId, Timestamp, port::Direction};
use uuid::Uuid;

use super::*;

const ROOM: RoomId = RoomId::new(Uuid::nil());

fn events(span: Span) -> Vec<Arc<Event>> {
    (span.from.get()..=span.to.get())
        .map(|seq| {
            Arc::new(Event {
                seq: Seq::ZERO.plus(seq),
                id: EventId::new(Uuid::nil()),
                kind: EventKind::Message,
                sender: "ana".parse().unwrap(),
                msg_id: MsgId::new(Uuid::nil()),
                sent_at: Timestamp::from_millis(0),
                fingerprint: 0,
                content: r#"{"body":{"text":"x"}}"#.into(),
            })
        })
        .collect()
}

fn span(seq: u64, head: u64) -> Span {
    Span::around(Seq::ZERO.plus(seq), Seq::FIRST, Seq::ZERO.plus(head))
}

/// Gets a page at a time; answers how many reads it took, and the page's last position.
async fn get(pages: &Pages, span: Span, now_ms: u64) -> (usize, u64) {
    let reads = Cell::new(0);
    let read = async || {
        reads.set(reads.get() + 1);
        tokio::task::yield_now().await;
        Ok(events(span))
    };
    let page = pages.get(span, now_ms, read).await.unwrap();
    (reads.get(), page.events.last().unwrap().seq.get())
}

#[test]
fn a_page_begins_where_others_look_for_it() {
    let events = PAGE_EVENTS as u64;
    assert_eq!(span(1, 1000), span(events, 1000));
    assert_ne!(span(events, 1000), span(events + 1, 1000));
    assert_eq!(span(events + 1, events + 3).to.get(), events + 3);
    let kept = Span::around(Seq::ZERO.plus(3), Seq::ZERO.plus(2), Seq::ZERO.plus(9));
    assert_eq!((kept.from.get(), kept.to.get()), (2, 9));
}

#[actix::test]
async fn equal_reads_at_the_same_time_are_one() {
    let pages = Pages::new(ROOM, Arc::default());
    let all = futures_util::future::join_all((0..10).map(|_| get(&pages, span(1, 1000), 0))).await;
    assert_eq!(all.iter().map(|(reads, _)| reads).sum::<usize>(), 1, "PA-1");
    assert_eq!(get(&pages, span(5, 1000), 1).await.0, 0);
}

#[actix::test]
async fn a_page_of_an_old_head_is_read_again() {
    let pages = Pages::new(ROOM, Arc::default());
    assert_eq!(get(&pages, span(1, 5), 0).await, (1, 5));
    assert_eq!(get(&pages, span(1, 7), 0).await, (1, 7), "PA-2");
    assert_eq!(get(&pages, span(1, 6), 0).await, (0, 7));
}

/// Walks through all of a room of `head` events, of which three fill a page; answers how many reads that took.
async fn walk(pages: &Pages, head: u64, direction: Direction) -> usize {
    let reads = Cell::new(0);
    let read = async |span: Span| {
        reads.set(reads.get() + 1);
        let to = span.from.plus(2).min(span.to);
        Ok(events(Span { to, ..span }))
    };
    let mut at = match direction {
        Direction::Up => 1,
        Direction::Down => head,
    };
    while (1..=head).contains(&at) {
        let page = pages.around(Seq::ZERO.plus(at), span(at, head), || 0, read);
        let page = page.await.unwrap();
        let [first, last] =
            [page.events.first(), page.events.last()].map(|it| it.unwrap().seq.get());
        assert!((first..=last).contains(&at), "{at}: {first} to {last}");
        at = match direction {
            Direction::Up => last + 1,
            Direction::Down => first - 1,
        };
    }
    reads.get()
}

#[actix::test]
async fn who_reads_on_through_large_events_has_each_page_read_once() {
    let runs = 10;
    let (head, pages_all) = (runs * PAGE_EVENTS, runs * PAGE_EVENTS.div_ceil(3));
    let walk_all = async |direction| {
        let pages = Pages::new(ROOM, Arc::default());
        walk(&pages, head as u64, direction).await
    };
    assert_eq!(walk_all(Direction::Up).await, pages_all, "PA-3");
    // What lies in a run is found from its first position on.
    let down = walk_all(Direction::Down).await;
    assert!(down <= 2 * pages_all, "PA-3: {down} reads");
}

#[actix::test]
async fn known_begins_are_bounded_in_number_and_go_with_the_pages() {
    let pages = Pages::new(ROOM, Arc::default());
    walk(&pages, 4 * BEGINS_MAX as u64, Direction::Up).await;
    assert!((1..=BEGINS_MAX).contains(&pages.begins.borrow().len()));
    assert!(!pages.expire(u64::MAX));
    assert!(pages.begins.borrow().is_empty());
}

#[actix::test]
async fn a_read_that_failed_leaves_nothing() {
    let pages = Pages::new(ROOM, Arc::default());
    let fails = async || Err(StoreError::Unavailable("away".into()));
    assert!(pages.get(span(1, 5), 0, fails).await.is_err());
    assert_eq!(get(&pages, span(1, 5), 0).await, (1, 5));
}

#[actix::test]
async fn pages_are_bounded_in_number_in_time_and_in_what_a_node_keeps() {
    let space = Arc::<Space>::default();
    let pages = Pages::new(ROOM, space.clone());
    let far = PAGE_EVENTS as u64 * (PAGES_PER_ROOM as u64 + 1);
    for at in 0..=PAGES_PER_ROOM as u64 {
        get(&pages, span(at * PAGE_EVENTS as u64 + 1, far), at).await;
    }
    assert_eq!(pages.slots.borrow().len(), PAGES_PER_ROOM);
    let one = space.taken() / PAGES_PER_ROOM;
    assert!(
        !pages.slots.borrow().contains_key(&Seq::FIRST),
        "the oldest went"
    );
    assert!(pages.expire(KEPT_MS + 1));
    assert_eq!(space.taken(), one * (PAGES_PER_ROOM - 1));
    assert!(!pages.expire(u64::MAX));
    assert_eq!(space.taken(), 0);
    space.0.store(PAGES_BYTES_MAX, Ordering::Relaxed);
    assert_eq!(get(&pages, span(1, 5), 0).await.0, 1);
    assert_eq!(get(&pages, span(1, 5), 0).await.0, 1, "it was not kept");
    assert_eq!(space.taken(), PAGES_BYTES_MAX);
    space.0.store(0, Ordering::Relaxed);
    get(&pages, span(1, 5), 0).await;
    drop(pages);
    assert_eq!(space.taken(), 0);
}
