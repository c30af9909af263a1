//! Text that is written only to be packed: each thread has one place for it, so that no frame costs an allocation that is given back at once.

use std::cell::RefCell;

/// Bytes a thread keeps room for.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls `with` with an empty string, which is not asked for again within it.
pub(crate) fn text<T>(with: impl FnOnce(&mut String) -> T) -> T {
    TEXT.with_borrow_mut(|text| {
        // What a task that fell had begun.
        text.clear();
        let result = with(text);
        if text.capacity() > KEPT_BYTES {
            *text = String::new();
        }
        result
    })
}
