//! Panics of tasks, and tasks that spin: a server survives some of them, a simulation none.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// So often a tick may look at the clock or the network. What looks more often waits for nothing, and
/// no time passes while it does.
const LOOKS_MAX: u64 = 300_000;

/// A task looks at the clock or the network.
pub(crate) fn on_look() {
    LOOKS.set(LOOKS.get() + 1);
    assert!(LOOKS.get() != LOOKS_MAX, "a task spins");
}

/// Another tick begins.
pub(crate) fn on_tick() {
    LOOKS.set(0);
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
