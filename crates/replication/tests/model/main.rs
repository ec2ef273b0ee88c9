//! Every order in which a few things can happen to a partition of three replicas: the real
//! replicas, explored to the end by `stateright`. What the simulation looks for by chance is looked
//! for here without.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../simulation/controller.rs"]
#[expect(dead_code, reason = "not everything that the simulation does is done here")]
mod controller;
mod state;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::state::{Broken, NODES, State};

/// How often what makes the number of states grow may happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Bounds {
    writes: u8,
    faults: u8,
    kinds: Kinds,
    /// How long a fetch is on its way. Its answer may always take its time.
    questions: Pace,
    /// How long the last replica takes for all that it does.
    last: Pace,
}

/// Which faults there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kinds {
    /// Power cuts, and elections without need.
    OfLeaders,
    /// Followers that lag, fenced brokers, answers of the controller that are lost.
    OfTheIsr,
    All,
}

/// How long something takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Pace {
    AtOnce,
    /// Anything may happen meanwhile.
    Slow,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    HearMetadata(usize),
    Write(usize),
    Flush(usize),
    /// A replica sends its fetch; the leader answers; the answer arrives.
    Ask(usize),
    Serve(usize),
    Take(usize),
    Propose {
        index: usize,
        is_lost: bool,
    },
    BeLate(usize),
    Fence(usize),
    Unfence(usize),
    ElectOther,
    Crash(usize),
}

#[derive(Clone, Copy)]
struct Three(Bounds);

impl Model for Three {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let has_left = state.left.faults > 0;
        let of_leaders = has_left && state.left.kinds != Kinds::OfTheIsr;
        let of_isr = has_left && state.left.kinds != Kinds::OfLeaders;
        for index in 0..NODES {
            let may = [
                (state.has_news(index), Action::HearMetadata(index)),
                (state.left.writes > 0 && state.may_write(index), Action::Write(index)),
                (state.has_unflushed(index), Action::Flush(index)),
                (state.may_ask(index), Action::Ask(index)),
                (state.is_asked(index), Action::Serve(index)),
                (state.is_answered(index), Action::Take(index)),
                (state.is_proposing(index), Action::Propose { index, is_lost: false }),
                (
                    state.left.faults > 0 && state.is_sent(index),
                    Action::Propose { index, is_lost: true },
                ),
                (state.is_fenced(index), Action::Unfence(index)),
                (of_isr && state.leads(index), Action::BeLate(index)),
                (of_leaders, Action::Crash(index)),
                (of_isr && !state.is_fenced(index), Action::Fence(index)),
            ];
            actions.extend(may.into_iter().filter(|(may, _)| *may).map(|(_, action)| action));
        }
        if of_leaders {
            actions.push(Action::ElectOther);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::HearMetadata(index) => next.hear_metadata(index),
            Action::Write(index) => next.write(index),
            Action::Flush(index) => next.flush(index),
            Action::Ask(index) => next.ask(index),
            Action::Serve(index) => next.serve(index),
            Action::Take(index) => next.take(index),
            Action::Propose { index, is_lost } => next.go_on_proposing(index, is_lost),
            Action::BeLate(index) => next.be_late(index),
            Action::Fence(index) => next.fence(index),
            Action::Unfence(index) => next.unfence(index),
            Action::ElectOther => next.elect_other(),
            Action::Crash(index) => next.crash(index),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("who leads has all that is committed", |_, state| {
                !is(state, Broken::LeaderLacks)
            }),
            Property::always("what is committed stays as it is", |_, state| {
                !is(state, Broken::CommittedChanged)
            }),
            Property::always("what is committed is on the disks of the ISR", |_, state| {
                !is(state, Broken::IsrLacks)
            }),
            Property::always("nobody is asked to cut what is committed", |_, state| {
                !is(state, Broken::CommittedAtRisk)
            }),
            // Otherwise there would be nothing to break.
            Property::sometimes("a new leader commits", |model: &Self, state: &State| {
                state.committed_later || model.0.writes == 0
            }),
        ]
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

const FEW: Bounds =
    Bounds { writes: 1, faults: 1, kinds: Kinds::All, questions: Pace::AtOnce, last: Pace::AtOnce };

#[test]
fn in_any_order_what_is_committed_outlives_its_leader() {
    check(Bounds { kinds: Kinds::OfLeaders, ..FEW });
}

#[test]
fn in_any_order_what_is_committed_outlives_a_change_of_the_isr() {
    check(Bounds { kinds: Kinds::OfTheIsr, ..FEW });
}

#[test]
fn in_any_order_late_fetches_count_for_what_they_are() {
    check(Bounds { writes: 0, questions: Pace::Slow, last: Pace::Slow, ..FEW });
}

/// As far as somebody has time for: `KALDA_MODEL=writes,faults`, with the letters `q` and `l` behind
/// for questions, and for a last replica, that take their time.
#[test]
#[ignore = "takes as long as its bounds say"]
fn in_any_order_within_bounds_of_ones_own() {
    let text = std::env::var("KALDA_MODEL").expect("KALDA_MODEL=writes,faults");
    let numbers = text.trim_end_matches(['q', 'l']).split(',').map(|it| it.parse().unwrap());
    let [writes, faults] = numbers.collect::<Vec<u8>>()[..] else { panic!("two numbers") };
    let pace = |letter| if text.contains(letter) { Pace::Slow } else { Pace::AtOnce };
    check(Bounds { writes, faults, kinds: Kinds::All, questions: pace('q'), last: pace('l') });
}
