//! Damage in this replica's own log: how it is noticed, and how the replica heals.
//!
//! Nobody checks what is sent: it would cost every reader the checksum of every byte. Who gets damaged
//! records asks for them again, so that what is asked for again and again is looked at. From then on the replica
//! serves what lies before, and `crates/server/src/tasks/damage.rs` asks the controller to do without it. It
//! cuts its log only where somebody else leads and nobody counts on this replica any more: where it is the only
//! one there is nothing better than what is left of it.

use std::path::PathBuf;

use kalda_metadata::PartitionRegistration;
use kalda_model::{BrokerId, DirectoryId, Offset};
use kalda_protocol::ErrorCode;
use kalda_records::BatchIter;
use kalda_storage::{LogSlice, StorageError};

use super::{HostedPartition, State};

/// How many places are remembered at which somebody read.
const PLACES: usize = 4;
/// Which of the times that a place is asked for, counted in rounds of as many, has it looked at.
const LOOK_AT: u8 = 3;
const ROUND: u8 = 16;

/// What is known of damage in one log.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Where somebody read, and how often.
    places: [(Offset, u8); PLACES],
    oldest: usize,
    /// The offset from which on the log is damaged.
    found: Option<Offset>,
    /// It was cut, and nothing is to be copied until the recovery point on disk is as low.
    is_cut: bool,
}

/// What is to be done about a damaged replica.
#[derive(Debug)]
pub(crate) enum NextOfDamage {
    /// The controller is to take it out of the ISR, and to have another one lead.
    GiveUp,
    /// There is nobody else, or the controller has not answered.
    Wait,
    /// It was cut: the recovery point on disk is too high, the controller is to know that it has a place again.
    Cut,
    /// There is no damage any more.
    Nothing,
    /// The disk failed.
    Failed(StorageError),
}

impl Damage {
    pub(super) fn found(&self) -> Option<Offset> {
        self.found
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Takes note that records were found at `from`. Answers whether they are to be looked at.
    pub(super) fn is_suspect(&mut self, from: Offset) -> bool {
        if let Some((_, times)) = self.places.iter_mut().find(|(place, _)| *place == from) {
            *times = (*times + 1) % ROUND;
            return *times == LOOK_AT;
        }
        self.places[self.oldest] = (from, 1);
        self.oldest = (self.oldest + 1) % PLACES;
        false
    }
}

impl HostedPartition {
    /// Looks whether records are whole that somebody asks for again and again.
    pub(super) fn check_suspect(&self, slice: &LogSlice) -> Result<(), ErrorCode> {
        let bytes = slice.read_bytes().map_err(|source| {
            let path = self.directory().path().into();
            self.on_disk_error(&StorageError::Disk { path, source });
            ErrorCode::KafkaStorageError
        })?;
        let Some(at) = first_damaged(slice.base_offset, &bytes) else { return Ok(()) };
        let mut state = self.serving()?;
        let is_news = state.damage.found.is_none_or(|known| at < known);
        if is_news {
            state.damage.found = Some(at);
            let remedy = match state.has_others() {
                true => "another replica is to lead, from which it will be copied again",
                false => {
                    "no other replica is in sync: what lies before is served; restore the \
                     partition's directory from a backup, or delete the records up to behind the damage"
                }
            };
            tracing::error!(
                "{}-{}: the records from offset {at} on are damaged in {}: {remedy}",
                self.topic,
                self.index,
                state.log.dir().display()
            );
            if let Some(me) = self.me.upgrade() {
                self.damages.add(me);
            }
        }
        Err(state.damaged())
    }

    /// Goes on with a log that is damaged, as the controller has it now.
    pub(crate) fn next_of_damage(
        &self,
        registration: &PartitionRegistration,
        node: BrokerId,
        now_ms: i64,
    ) -> NextOfDamage {
        let Ok(mut state) = self.serving() else { return NextOfDamage::Nothing };
        let Some(at) = state.damage.found else { return NextOfDamage::Nothing };
        if at < state.log.log_start_offset() || at >= state.log.log_end_offset() {
            // Deleted, or cut as its leader has it.
            state.damage = Damage::default();
            return NextOfDamage::Nothing;
        }
        if registration.directory_of(node) != DirectoryId::LOST_DIRECTORY {
            return match registration.isr.iter().any(|id| *id != node) {
                true => NextOfDamage::GiveUp,
                false => NextOfDamage::Wait,
            };
        }
        let is_counted_on = [&registration.isr[..], &registration.elr[..], state.partition.isr()]
            .iter()
            .any(|members| members.contains(&node));
        let is_led = ![BrokerId::NONE, node].contains(&registration.leader)
            && state.partition.leader() == registration.leader
            && !state.partition.is_leader();
        if is_counted_on || !is_led {
            return NextOfDamage::Wait;
        }
        match state.cut_damaged(at, now_ms) {
            Ok(Some(kept)) => tracing::warn!(
                "{}-{}: cut at offset {at}, where it was damaged; broker {} leads and has what was there. \
                 The damaged batch is kept in {}",
                self.topic,
                self.index,
                registration.leader,
                kept.display()
            ),
            Ok(None) => {}
            Err(error) => return NextOfDamage::Failed(error),
        }
        self.directory().note_removal();
        NextOfDamage::Cut
    }

    /// The recovery point is as low as the cut: it is followed on.
    pub(crate) fn on_cut_noted(&self) {
        self.state.lock().damage.is_cut = false;
    }
}

impl State {
    /// What a reader of damaged records is told: to look for another leader, if there may be one.
    pub(super) fn damaged(&self) -> ErrorCode {
        if self.has_others() { ErrorCode::KafkaStorageError } else { ErrorCode::CorruptMessage }
    }

    fn has_others(&self) -> bool {
        self.partition.isr().len() > 1
    }

    fn cut_damaged(&mut self, at: Offset, now_ms: i64) -> Result<Option<PathBuf>, StorageError> {
        let kept = self.log.set_aside_from(at, now_ms)?;
        let end = self.log.log_end_offset();
        self.partition.on_truncated(end, self.log.flushed_offset().min(end));
        self.damage = Damage { is_cut: true, ..Damage::default() };
        self.unseen.clear();
        self.on_change();
        Ok(kept)
    }
}

/// The offset at which the first batch of `bytes` is expected that is not whole.
fn first_damaged(base_offset: Offset, bytes: &[u8]) -> Option<Offset> {
    let mut next = base_offset;
    for batch in BatchIter::new(bytes) {
        match batch {
            Ok(batch) if batch.is_intact() => next = batch.next_offset(),
            _ => return Some(next),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_looked_at_when_it_is_asked_for_again_and_again() {
        let mut damage = Damage::default();
        let mut looked_at = Vec::new();
        for round in 0..20 {
            for place in [5, 7, 9] {
                if damage.is_suspect(Offset(place)) {
                    looked_at.push((round, place));
                }
            }
        }
        assert_eq!(
            looked_at,
            [5, 7, 9]
                .map(|at| (2, at))
                .into_iter()
                .chain([5, 7, 9].map(|at| (18, at)))
                .collect::<Vec<_>>()
        );
        // Who goes on is never looked at.
        assert!((100..200).all(|place| !damage.is_suspect(Offset(place))));
    }
}
