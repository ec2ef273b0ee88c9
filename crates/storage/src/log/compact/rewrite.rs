//! Writing what stays of a few segments into one, beside them, without the lock.

use std::collections::VecDeque;
use std::ops::Range;

use kalda_model::Offset;
use kalda_records::{BatchHeader, BatchView};

use crate::error::StorageError;
use crate::index::AbortedTxn;

use super::group::groups;
use super::key_map::{KeyMap, next_batch, open_scan};
use super::plan::{Compaction, LogLife, Source};
use super::retain::{Rest, Retention};
use super::transactions::{Marker, Transactions};
use super::write::CleanedSegment;
use super::{CompactError, Pace, keep_pace};

/// A compaction whose keys are known.
#[derive(Debug)]
pub struct Rewriting {
    compaction: Compaction,
    map: KeyMap,
    transactions: Transactions,
    groups: VecDeque<Range<usize>>,
}

/// One new segment, durable beside those whose place it is to take.
#[derive(Debug)]
pub struct Rewritten {
    pub(super) life: LogLife,
    pub(super) sources: Vec<Source>,
    /// Bytes of the new log file.
    pub(super) size: u64,
    /// The kinds of files that were written, the log last.
    pub(super) kinds: Vec<&'static str>,
}

impl Rewritten {
    /// Bytes before, and bytes after.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.sources.iter().map(|source| source.size).sum(), self.size)
    }
}

impl Rewriting {
    pub(super) fn new(compaction: Compaction, map: KeyMap) -> Self {
        let groups = groups(&compaction.sources, compaction.end, &compaction.config).into();
        let transactions = Transactions::new(&compaction.aborted);
        Self { compaction, map, transactions, groups }
    }

    /// The plan.
    #[must_use]
    pub fn compaction(&self) -> &Compaction {
        &self.compaction
    }

    /// Up to where the log is compacted once every segment was swapped in.
    #[must_use]
    pub fn end(&self) -> Offset {
        Offset(self.compaction.end)
    }

    /// Writes the next segment; `None` when there is no more. Segments that would be the same as
    /// before are passed over.
    ///
    /// # Errors
    /// See [`CompactError`]. What was written is removed.
    pub fn rewrite_next(&mut self, pace: &mut Pace<'_>) -> Result<Option<Rewritten>, CompactError> {
        while let Some(group) = self.groups.pop_front() {
            let sources = self.compaction.sources[group].to_vec();
            let home = self.compaction.home.clone();
            let interval = self.compaction.config.index_interval_bytes;
            let base = sources[0].base;
            let mut out =
                CleanedSegment::create(&home, base, interval).map_err(CompactError::of_writing)?;
            let written = self.fill(&mut out, &sources, pace);
            let is_same = matches!(written, Ok(Changes::None)) && sources.len() == 1;
            if written.is_err() || is_same {
                out.discard();
                written?;
                continue;
            }
            let size = out.size();
            let kinds = match out.finish() {
                Ok(kinds) => kinds,
                Err(error) => {
                    CleanedSegment::remove(&home, base);
                    return Err(CompactError::of_writing(error));
                }
            };
            let life = self.compaction.life.clone();
            return Ok(Some(Rewritten { life, sources, size, kinds }));
        }
        Ok(None)
    }

    fn fill(
        &mut self,
        out: &mut CleanedSegment<'_>,
        sources: &[Source],
        pace: &mut Pace<'_>,
    ) -> Result<Changes, CompactError> {
        let mut changes = Changes::None;
        let home = self.compaction.home.clone();
        for (index, source) in sources.iter().enumerate() {
            let mut scan = open_scan(&home, source)?;
            loop {
                let position = scan.position;
                let Some(view) = next_batch(&mut scan, &home, source)? else { break };
                let size = view.size();
                let is_last = index + 1 == sources.len() && position + size as u64 == source.size;
                let (rest, aborted) = self.decide(&view, source, is_last)?;
                let stays = match &rest {
                    Rest::Nothing => &[][..],
                    Rest::Whole => view.bytes(),
                    Rest::Part(bytes) => bytes,
                };
                if !matches!(rest, Rest::Whole) {
                    changes = Changes::Some;
                }
                if let Ok(header) = BatchHeader::peek(stays) {
                    out.push(stays, &header).map_err(CompactError::of_writing)?;
                }
                if let Some(txn) = aborted {
                    out.push_aborted(txn);
                }
                let moved = size + stays.len();
                scan.advance(size as u64);
                keep_pace(pace, moved)?;
            }
        }
        for txn in self.aborted_behind_the_end(sources) {
            out.push_aborted(txn);
        }
        Ok(changes)
    }

    /// What stays of a batch, and which aborted transaction its marker ends.
    fn decide(
        &mut self,
        view: &BatchView<'_>,
        source: &Source,
        is_last: bool,
    ) -> Result<(Rest, Option<AbortedTxn>), StorageError> {
        let compaction = &self.compaction;
        if view.last_offset().0 >= compaction.end {
            // Its keys are not known: it waits for the next round.
            return Ok((Rest::Whole, None));
        }
        let retention = Retention { compaction, source, map: &self.map, is_last };
        if view.is_control() {
            let marker = self.transactions.on_control(view);
            let aborted = match marker {
                Marker::Needed(aborted) => aborted,
                Marker::Unneeded => None,
            };
            return Ok((retention.of_control(view, marker)?, aborted));
        }
        let is_aborted = self.transactions.on_batch(view);
        Ok((retention.of_records(view, is_aborted)?, None))
    }

    /// The aborted transactions whose markers are in `sources` but wait for the next round.
    fn aborted_behind_the_end(&self, sources: &[Source]) -> Vec<AbortedTxn> {
        let end = sources.last().map_or(0, |source| source.end);
        let behind = self.compaction.end.max(sources[0].base)..end;
        let aborted = self.compaction.aborted.iter().copied();
        let mut found: Vec<AbortedTxn> =
            aborted.filter(|txn| behind.contains(&txn.last_offset.0)).collect();
        found.sort_by_key(|txn| txn.last_offset);
        found
    }
}

/// Whether a new segment differs from the old ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Changes {
    None,
    Some,
}
