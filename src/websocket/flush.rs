//! The cork: sockets with something to write are gathered while the loop turns once, then each is written with one call.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::socket::Socket;

thread_local! {
    static DIRTY: RefCell<Vec<Rc<Socket>>> = const { RefCell::new(Vec::new()) };
    static SCHEDULED: Cell<bool> = const { Cell::new(false) };
}

/// Sockets a thread keeps room for.
const KEPT_SOCKETS: usize = 16 * 1024;

/// Has a socket written after this turn of the loop.
pub(super) fn mark(socket: Rc<Socket>) {
    DIRTY.with_borrow_mut(|dirty| dirty.push(socket));
    if !SCHEDULED.replace(true) {
        actix_rt::spawn(async {
            // Whatever else this turn has to say to these sockets is in their lanes by then.
            tokio::task::yield_now().await;
            SCHEDULED.set(false);
            let mut sockets = DIRTY.take();
            for socket in sockets.drain(..) {
                socket.flush();
            }
            // The room is kept for the next turn, unless this one has begun a list of its own.
            DIRTY.with_borrow_mut(|dirty| {
                if dirty.capacity() == 0 && sockets.capacity() <= KEPT_SOCKETS {
                    *dirty = sockets;
                }
            });
        });
    }
}
