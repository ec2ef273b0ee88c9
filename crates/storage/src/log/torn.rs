//! Whether damage above the recovery point is a write that the power cut short, or rot.
//!
//! Asked by recovery. The argument stands in `docs/decisions/0016-torn-or-rotten.md`; in short: below
//! what was synced a power cut changes nothing, and above it each sector is either as it was written or
//! was never written at all, which reads as zeros (nothing is written over what was cut before the cut
//! is durable, see [`Log::settle_cut`]). So a batch that a power cut spoiled begins or goes on with a
//! sector that is zeros to its end, or the file ends within it. A batch in which all sectors hold
//! something was written whole and has changed since.

use std::ops::Range;

use kalda_records::{BATCH_OVERHEAD, BatchView, LOG_OVERHEAD, MalformedBatch, claimed_size};

use crate::error::StorageError;
use crate::hop::Damage;
use crate::names::LOG;

use super::Log;

/// The least that a disk writes at once, or not at all.
const SECTOR: u64 = 512;
/// How much is looked at in one piece: whole sectors.
const PIECE_BYTES: usize = 1 << 20;
/// The bytes of a header's first field, the base offset.
const BASE_OFFSET_BYTES: usize = 8;

/// Where damage lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which segment.
    pub(super) index: usize,
    /// Where it begins, in bytes.
    pub(super) position: u64,
    /// What is wrong there.
    pub(super) damage: Damage,
    /// Where the next good batch begins, if there is one in this segment.
    pub(super) good_at: Option<u64>,
}

impl Log {
    /// Whether the batch at the log's end is one that was never written whole.
    pub(super) fn is_torn(&self, place: Place) -> Result<bool, StorageError> {
        let is_cut_short =
            matches!(place.damage, Damage::Malformed(MalformedBatch::Incomplete { .. }));
        if is_cut_short && place.good_at.is_none() {
            return Ok(!self.is_whole_but_for_its_length(place)?);
        }
        let damaged = place.position..self.damaged_end(place)?;
        self.has_unwritten_sector(place.index, damaged)
    }

    /// Whether the batch ends with the file and only says that it does not.
    fn is_whole_but_for_its_length(&self, place: Place) -> Result<bool, StorageError> {
        let segment = &self.segments[place.index];
        let mut batch = vec![0; (segment.size - place.position) as usize];
        if batch.len() < BATCH_OVERHEAD {
            return Ok(false);
        }
        let Ok(len) = i32::try_from(batch.len() - LOG_OVERHEAD) else { return Ok(false) };
        let read = segment.file(&self.home)?.read_exact_at(&mut batch, place.position);
        read.map_err(|error| self.home.at(segment.base, LOG).failed(error))?;
        batch[BASE_OFFSET_BYTES..LOG_OVERHEAD].copy_from_slice(&len.to_be_bytes());
        Ok(BatchView::new(&batch).is_ok_and(|view| view.is_intact()))
    }

    /// Where the damaged batch ends, or the latest that it may.
    fn damaged_end(&self, place: Place) -> Result<u64, StorageError> {
        let segment = &self.segments[place.index];
        let most = place.good_at.unwrap_or(segment.size);
        let mut head = [0; BATCH_OVERHEAD];
        let len = head.len().min((segment.size - place.position) as usize);
        let file = segment.file(&self.home)?;
        let read = file.read_exact_at(&mut head[..len], place.position);
        read.map_err(|error| self.home.at(segment.base, LOG).failed(error))?;
        Ok(claimed_size(&head[..len]).map_or(most, |size| most.min(place.position + size as u64)))
    }

    /// Whether one of the sectors that a batch lies in is zeros, from the batch's begin or the sector's
    /// to the sector's end or the file's.
    fn has_unwritten_sector(&self, index: usize, batch: Range<u64>) -> Result<bool, StorageError> {
        let segment = &self.segments[index];
        let at = self.home.at(segment.base, LOG);
        let file = segment.file(&self.home)?;
        let end = batch.end.next_multiple_of(SECTOR).min(segment.size);
        let mut buffer = vec![0; PIECE_BYTES.min((end - batch.start) as usize)];
        let mut start = batch.start;
        while start < end {
            let next = (start - start % SECTOR).saturating_add(PIECE_BYTES as u64).min(end);
            let piece = &mut buffer[..(next - start) as usize];
            file.read_exact_at(piece, start).map_err(|error| at.failed(error))?;
            let (first, whole) =
                piece.split_at(piece.len().min((SECTOR - start % SECTOR) as usize));
            let is_begin = start == batch.start;
            if is_zero(first) && (!is_begin || self.is_begin_missed(first.len()))
                || whole.chunks(SECTOR as usize).any(is_zero)
            {
                return Ok(true);
            }
            start = next;
        }
        Ok(false)
    }

    /// Whether a batch at the log's end can be told from one without its first bytes: those of a small
    /// offset are zeros anyway.
    fn is_begin_missed(&self, bytes: usize) -> bool {
        bytes >= BASE_OFFSET_BYTES || !is_zero(&self.log_end.to_be_bytes()[..bytes])
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
