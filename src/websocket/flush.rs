//! The cork: sockets with something to write are gathered while the loop turns once, then each is written with one call.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tokio::task::{coop::unconstrained, yield_now};

use super::socket::Socket;

thread_local! {
    static DIRTY: RefCell<Vec<Rc<Socket>>> = const { RefCell::new(Vec::new()) };
    static SCHEDULED: Cell<bool> = const { Cell::new(false) };
}

/// Sockets a thread keeps room for.
const KEPT_SOCKETS: usize = 16 * 1024;
/// Sockets that are looked at together, as few as stay in a cache while they are written.
const TOGETHER: usize = 16;
/// Sockets written before others on this thread have their turn, and bytes: some tenths of a millisecond of either.
const SOCKETS_PER_TURN: usize = 256;
const BYTES_PER_TURN: usize = 256 * 1024;

/// Has a socket written after this turn of the loop.
pub(super) fn mark(socket: Rc<Socket>) {
    DIRTY.with_borrow_mut(|dirty| dirty.push(socket));
    if !SCHEDULED.replace(true) {
        // Not cut short by the runtime's budget: a socket that is not asked would be taken for one that is full.
        actix_rt::spawn(unconstrained(flush_all()));
    }
}

/// Asks for what some sockets begin with, while others are written.
fn fetch_all(sockets: &[Rc<Socket>]) {
    for socket in sockets {
        socket.fetch();
    }
}

fn first(sockets: &[Rc<Socket>]) -> &[Rc<Socket>] {
    &sockets[..sockets.len().min(TOGETHER)]
}

async fn flush_all() {
    // Whatever else this turn has to say to these sockets is in their lanes by then.
    yield_now().await;
    SCHEDULED.set(false);
    let mut sockets = DIRTY.take();
    let mut waiting = sockets.drain(..);
    let (mut written, mut bytes) = (0, 0);
    fetch_all(first(waiting.as_slice()));
    while let now @ [_, ..] = first(waiting.as_slice()) {
        if written >= SOCKETS_PER_TURN {
            (written, bytes) = (0, 0);
            yield_now().await;
        }
        let count = now.len();
        fetch_all(first(&waiting.as_slice()[count..]));
        // Many reads take as long as one, unless the address of the next stands in the one before.
        for socket in now {
            socket.fetch_behind();
        }
        for socket in now {
            socket.line.outlet.fetch_front();
        }
        for _ in 0..count {
            let Some(socket) = waiting.next() else { break };
            if let Some(next) = waiting.as_slice().first() {
                // Once more: what lies between may have put it out of the nearest cache.
                next.fetch();
                next.line.outlet.fetch();
            }
            if bytes >= BYTES_PER_TURN {
                (written, bytes) = (0, 0);
                yield_now().await;
            }
            bytes += socket.flush();
            written += 1;
        }
    }
    drop(waiting);
    // The room is kept for the next turn, unless this one has begun a list of its own.
    DIRTY.with_borrow_mut(|dirty| {
        if dirty.capacity() == 0 && sockets.capacity() <= KEPT_SOCKETS {
            *dirty = sockets;
        }
    });
}
