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
/// Sockets fetched together, as few as stay in a cache while they are written.
const PREFETCHED: usize = 16;
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

/// Has the processor fetch what some sockets need, before the first of them is written: each write of the system's puts what the next one needs out of the
/// caches, and many pieces take as long as one, unless the address of the next stands in the one before.
fn prefetch(sockets: &[Rc<Socket>]) {
    for socket in sockets {
        socket.prefetch();
    }
    for socket in sockets {
        socket.prefetch_behind();
    }
    for socket in sockets {
        socket.line.outlet.prefetch_front();
    }
}

async fn flush_all() {
    // Whatever else this turn has to say to these sockets is in their lanes by then.
    yield_now().await;
    SCHEDULED.set(false);
    let mut sockets = DIRTY.take();
    let mut waiting = sockets.drain(..);
    let (mut written, mut bytes) = (0, 0);
    while let next @ [_, ..] = waiting.as_slice() {
        let next = &next[..next.len().min(PREFETCHED)];
        prefetch(next);
        let count = next.len();
        for socket in waiting.by_ref().take(count) {
            if written == SOCKETS_PER_TURN || bytes >= BYTES_PER_TURN {
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
