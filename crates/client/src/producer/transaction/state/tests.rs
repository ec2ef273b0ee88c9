//! What a transactional producer may do in each state, and what errors make of it.

use kalda_model::{ProducerEpoch, ProducerId};

use super::*;

const FIRST: Identity = Identity { id: ProducerId(9), epoch: ProducerEpoch(0) };
const NEXT: Identity = Identity { id: ProducerId(9), epoch: ProducerEpoch(1) };

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

fn ready(protocol: Protocol) -> Transaction {
    let mut transaction = Transaction::new();
    transaction.check_init().unwrap();
    assert!(transaction.on_ended(Some(FIRST), protocol), "the first identity is a new one");
    transaction
}

fn open(protocol: Protocol) -> Transaction {
    let mut transaction = ready(protocol);
    transaction.begin().unwrap();
    transaction
}

fn api(code: ErrorCode) -> Error {
    code.into()
}

fn told(under: (Identity, Protocol)) -> Ending {
    Ending::Told { under, needs_epoch: false }
}

#[test]
fn calls_out_of_turn_are_refused_and_change_nothing() {
    let mut transaction = Transaction::new();
    assert!(transaction.begin().is_err());
    assert!(transaction.check_open().is_err());
    assert!(transaction.begin_end(Outcome::Commit).is_err());
    transaction.on_ended(Some(FIRST), Protocol::Implicit);
    assert!(transaction.check_init().is_err());
    assert!(transaction.check_open().is_err());
    transaction.begin().unwrap();
    assert!(transaction.begin().is_err());
    transaction.check_open().unwrap();
    transaction.begin_end(Outcome::Commit).unwrap();
    assert!(transaction.check_open().is_err(), "nothing joins a transaction that ends");
    transaction.begin_end(Outcome::Commit).unwrap();
    assert!(transaction.begin_end(Outcome::Abort).is_err(), "the commit may have happened");
    assert_eq!(transaction.ending(Outcome::Commit), Ok(Ending::Unheard));
}

#[test]
fn the_coordinator_is_told_of_partitions_once_in_each_named_transaction() {
    let mut transaction = open(Protocol::Named);
    let both = vec![partition(0), partition(1)];
    assert_eq!(transaction.sort_ready(both.clone()), (vec![], both.clone()));
    assert_eq!(transaction.begin_adding(), Some(FIRST));
    assert_eq!(transaction.begin_adding(), None, "one at a time");
    transaction.on_added(vec![partition(0)], Ok(()));
    assert_eq!(transaction.sort_ready(both.clone()), (vec![partition(0)], vec![partition(1)]));
    transaction.begin_end(Outcome::Commit).unwrap();
    assert!(transaction.may_send(), "what was sent before the commit still goes out");
    assert_eq!(transaction.ending(Outcome::Commit), Ok(told((FIRST, Protocol::Named))));
    assert!(!transaction.on_ended(None, Protocol::Named), "the epoch stays");
    transaction.begin().unwrap();
    assert_eq!(transaction.sort_ready(vec![partition(0)]).1, [partition(0)]);
}

#[test]
fn an_implicit_transaction_has_an_epoch_of_its_own() {
    let mut transaction = open(Protocol::Implicit);
    assert_eq!(transaction.sort_ready(vec![partition(0)]), (vec![partition(0)], vec![]));
    transaction.on_batch_lost(true);
    transaction.begin_end(Outcome::Abort).unwrap();
    assert_eq!(transaction.sort_ready(vec![partition(0)]), (vec![], vec![]));
    assert_eq!(transaction.ending(Outcome::Abort), Ok(told((FIRST, Protocol::Implicit))));
    assert!(transaction.on_ended(Some(NEXT), Protocol::Implicit));
    assert_eq!(transaction.identity(), Some(NEXT));
}

#[test]
fn a_lost_sequence_costs_a_named_transaction_its_epoch() {
    let mut transaction = open(Protocol::Named);
    transaction.sort_ready(vec![partition(0)]);
    transaction.on_batch_lost(true);
    transaction.on_error(Asked::Leader, &Error::Timeout("late".to_owned()));
    assert!(transaction.begin_end(Outcome::Commit).is_err());
    transaction.begin_end(Outcome::Abort).unwrap();
    let under = (FIRST, Protocol::Named);
    let ending = Ending::Told { under, needs_epoch: true };
    assert_eq!(transaction.ending(Outcome::Abort), Ok(ending));
    assert!(transaction.on_ended(Some(NEXT), Protocol::Named));
    transaction.begin().unwrap();
    transaction.on_offsets().unwrap();
    transaction.begin_end(Outcome::Commit).unwrap();
    assert_eq!(transaction.ending(Outcome::Commit), Ok(told((NEXT, Protocol::Named))));
}

#[test]
fn errors_end_the_transaction_or_the_producer() {
    use ErrorCode as E;
    for (asked, code, is_fatal) in [
        (Asked::Leader, E::InvalidProducerEpoch, false),
        (Asked::Leader, E::OutOfOrderSequenceNumber, false),
        (Asked::Leader, E::InvalidTxnState, false),
        (Asked::Leader, E::ProducerFenced, true),
        (Asked::Leader, E::InvalidProducerIdMapping, true),
        (Asked::Coordinator, E::TransactionAbortable, false),
        (Asked::Coordinator, E::IllegalGeneration, false),
        (Asked::Coordinator, E::GroupAuthorizationFailed, false),
        (Asked::Coordinator, E::InvalidProducerEpoch, true),
        (Asked::Coordinator, E::ProducerFenced, true),
        (Asked::Coordinator, E::InvalidTxnState, true),
        (Asked::Coordinator, E::TransactionalIdAuthorizationFailed, true),
    ] {
        let mut transaction = open(Protocol::Implicit);
        transaction.on_error(asked, &api(code));
        assert_eq!(transaction.failure(), Some(&api(code)));
        assert_eq!(transaction.check_open(), Err(api(code)));
        assert_eq!(transaction.begin_end(Outcome::Commit), Err(api(code)), "{code}");
        let abort = transaction.begin_end(Outcome::Abort);
        assert_eq!(abort.is_err(), is_fatal, "{asked:?} {code}");
        if is_fatal {
            assert_eq!(transaction.begin(), Err(api(code)));
        }
    }
}

#[test]
fn the_first_error_is_the_one_that_is_told_unless_a_worse_one_comes() {
    let mut transaction = open(Protocol::Implicit);
    transaction.on_error(Asked::Leader, &api(ErrorCode::InvalidRecord));
    transaction.on_error(Asked::Leader, &api(ErrorCode::MessageTooLarge));
    assert_eq!(transaction.failure(), Some(&api(ErrorCode::InvalidRecord)));
    transaction.on_error(Asked::Coordinator, &api(ErrorCode::ProducerFenced));
    transaction.on_error(Asked::Coordinator, &api(ErrorCode::InvalidTxnState));
    assert_eq!(transaction.failure(), Some(&api(ErrorCode::ProducerFenced)));
}

#[test]
fn an_error_while_committing_leaves_only_the_abort() {
    let mut transaction = open(Protocol::Implicit);
    transaction.sort_ready(vec![partition(0)]);
    transaction.begin_end(Outcome::Commit).unwrap();
    transaction.on_error(Asked::Leader, &api(ErrorCode::InvalidRecord));
    assert_eq!(transaction.ending(Outcome::Commit), Err(api(ErrorCode::InvalidRecord)));
    transaction.begin_end(Outcome::Abort).unwrap();
    // What comes in late while it is being aborted does not matter.
    transaction.on_error(Asked::Leader, &api(ErrorCode::InvalidProducerEpoch));
    assert_eq!(transaction.ending(Outcome::Abort), Ok(told((FIRST, Protocol::Implicit))));
}
