//! Panics of tasks: a server survives some, a simulation none.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes the panics of this thread from now on.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.with_borrow_mut(|first| {
                first.get_or_insert_with(|| info.to_string());
            });
            before(info);
        }));
    });
    PANICKED.set(None);
}

/// # Panics
/// A task has panicked since the watch began.
pub(crate) fn assert_none() {
    if let Some(first) = PANICKED.take() {
        panic!("a task panicked: {first}");
    }
}
