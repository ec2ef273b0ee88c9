//! Every order in which a few things can happen to a quorum of three: the real replicas, explored
//! to the end by `stateright`. What the simulation looks for by chance is looked for here without.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod state;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::state::{Broken, NODES, Packet, State};

/// Where the model begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Begin {
    /// Nobody has heard of anybody.
    Unattached,
    /// Node 0 leads the first epoch, and the others follow it.
    Led,
}

/// How long something takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Pace {
    AtOnce,
    /// Anything may happen meanwhile.
    Slow,
}

/// How often what makes the number of states grow may happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Bounds {
    begin: Begin,
    timeouts: u8,
    writes: u8,
    crashes: u8,
    /// Messages that arrive though their sender has asked the same node again since.
    late: u8,
    disks: Pace,
    answers: Pace,
}

const NOTHING: Bounds = Bounds {
    begin: Begin::Led,
    timeouts: 0,
    writes: 0,
    crashes: 0,
    late: 0,
    disks: Pace::AtOnce,
    answers: Pace::AtOnce,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Deliver(Packet),
    /// All that this node waits for is late.
    Timeout(usize),
    Flush(usize),
    Write(usize),
    Crash {
        index: usize,
        keeps_unflushed: bool,
    },
}

#[derive(Clone, Copy)]
struct Three(Bounds);

/// Epochs that are told apart; a fourth one shows nothing new.
const EPOCHS_MAX: i32 = 3;

impl Model for Three {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![match self.0.begin {
            Begin::Unattached => State::new(self.0),
            Begin::Led => State::led(self.0),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.packets().map(Action::Deliver));
        let (left, all) = (state.left, 0..NODES);
        actions.extend(all.clone().filter(|it| state.is_flushing(*it)).map(Action::Flush));
        if left.timeouts > 0 {
            actions.extend(all.clone().map(Action::Timeout));
        }
        if left.writes > 0 {
            actions.extend(all.clone().filter(|it| state.leads(*it)).map(Action::Write));
        }
        if left.crashes > 0 {
            let kept = |index| Action::Crash { index, keeps_unflushed: true };
            let lost = |index| Action::Crash { index, keeps_unflushed: false };
            actions.extend(all.clone().map(kept));
            actions.extend(all.filter(|it| state.has_unflushed(*it)).map(lost));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Deliver(packet) => next.deliver(packet),
            Action::Timeout(index) => next.pass_timeout(index),
            Action::Flush(index) => next.flush(index),
            Action::Write(index) => next.write(index),
            Action::Crash { index, keeps_unflushed } => next.crash(index, keeps_unflushed),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one leader an epoch", |_, state| !is(state, Broken::TwoLeaders)),
            Property::always("one vote an epoch", |_, state| !is(state, Broken::TwoVotes)),
            Property::always("what is committed stays as it is", |_, state| {
                !is(state, Broken::CommittedChanged)
            }),
            Property::always("what is committed is on the disks of a majority", |_, state| {
                !is(state, Broken::CommittedTooEarly)
            }),
            Property::always("who leads has all that is committed", |_, state| {
                !is(state, Broken::LeaderLacks)
            }),
            Property::always("a high watermark never goes back", |_, state| {
                !is(state, Broken::WatermarkBack)
            }),
            Property::always("nobody sees a fault", |_, state| !is(state, Broken::Fault)),
            // Otherwise there would be nothing to break.
            Property::sometimes("a new leader commits", |model: &Self, state: &State| {
                state.commits_of_leaders_after(model.0.begin) > 0
            }),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.newest_epoch().0 <= EPOCHS_MAX
    }
}

fn is(state: &State, broken: Broken) -> bool {
    state.broken == Some(broken)
}

fn check(bounds: Bounds) {
    let checker = Three(bounds).checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs();
    let checker = checker.join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{bounds:?}: {states} states, depth {depth}");
    checker.assert_properties();
}

#[test]
fn in_any_order_a_first_leader_is_elected_or_two_try() {
    check(Bounds { begin: Begin::Unattached, timeouts: 2, ..NOTHING });
}

#[test]
fn in_any_order_two_more_leaders_keep_what_is_committed() {
    check(Bounds { timeouts: 2, ..NOTHING });
}

#[test]
fn in_any_order_what_is_written_outlives_a_power_cut() {
    check(Bounds { timeouts: 1, writes: 1, crashes: 1, ..NOTHING });
}

#[test]
fn in_any_order_slow_disks_and_late_messages_count_for_what_they_are() {
    check(Bounds { timeouts: 1, crashes: 1, late: 1, disks: Pace::Slow, ..NOTHING });
}

#[test]
fn in_any_order_answers_that_take_their_time_change_nothing() {
    check(Bounds { timeouts: 1, late: 1, answers: Pace::Slow, ..NOTHING });
}

/// As far as somebody has time for: `KALDA_MODEL=timeouts,writes,crashes,late`, with the letters
/// `d` and `a` behind for disks and answers that take their time.
#[test]
#[ignore = "takes as long as its bounds say"]
fn in_any_order_within_bounds_of_ones_own() {
    let text = std::env::var("KALDA_MODEL").expect("KALDA_MODEL=timeouts,writes,crashes,late");
    let numbers = text.trim_end_matches(['a', 'd']).split(',').map(|it| it.parse().unwrap());
    let [timeouts, writes, crashes, late] = numbers.collect::<Vec<u8>>()[..] else {
        panic!("four numbers")
    };
    let pace = |letter| if text.contains(letter) { Pace::Slow } else { Pace::AtOnce };
    let (disks, answers) = (pace('d'), pace('a'));
    check(Bounds { begin: Begin::Led, timeouts, writes, crashes, late, disks, answers });
}
