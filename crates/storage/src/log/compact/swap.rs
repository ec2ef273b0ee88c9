//! The new segment takes its place, so that a crash at any moment leaves the old ones or the new one.
//!
//! The new files are durable as `.cleaned`. Renaming them to `.swap`, the log last, is the point of
//! no return; then the old ones go, each log last, and the new ones get their names, the log last.
//! [`settle_swaps`] finishes that at the next open: a `.log.swap` is completed, any other `.swap` is
//! dropped. A `.log` under the base of a `.log.swap` is an old one, for the new one gets there last.

use std::collections::BTreeSet;
use std::sync::Arc;

use kalda_env::OpenMode;

use crate::error::StorageError;
use crate::hop::Hops;
use crate::names::{
    CLEANED_SUFFIX, Home, INDEX, LOG, SNAPSHOT, SWAP_SUFFIX, TIME_INDEX, TXN_INDEX, file_name,
    parse, with_suffix,
};
use crate::segment::Segment;

use super::super::Log;
use super::rewrite::{Rewriting, Rewritten};
use super::write::CleanedSegment;

/// A segment's files in the order in which they are renamed: the log decides, so it comes last.
const KINDS: [&str; 4] = [INDEX, TIME_INDEX, TXN_INDEX, LOG];

impl Log {
    /// Puts a new segment in the place of the old ones. Answers whether it did: if they are not there
    /// any more, or not as they were, it is thrown away.
    ///
    /// # Errors
    /// The disk failed in the midst; the log refuses everything until it is opened anew, which
    /// completes the swap or takes it back.
    pub fn swap_in(&mut self, rewritten: Rewritten, now_ms: i64) -> Result<bool, StorageError> {
        let Some(first) = self.place_of(&rewritten) else {
            CleanedSegment::remove(&self.home, rewritten.sources[0].base);
            return Ok(false);
        };
        let swapped = self.swap(first, &rewritten, now_ms);
        self.is_poisoned |= swapped.is_err();
        swapped.map(|()| true)
    }

    /// Takes note that every segment of a compaction was swapped in.
    pub fn on_compacted(&mut self, rewriting: &Rewriting) {
        if self.is_current(&rewriting.compaction().life) {
            self.cleaned_upto = self.cleaned_upto.max(rewriting.end().0).min(self.log_end);
        }
    }

    /// Where the sources lie among the segments, if they are there as they were read.
    fn place_of(&self, rewritten: &Rewritten) -> Option<usize> {
        if !self.is_current(&rewritten.life) {
            return None;
        }
        let (sources, base) = (&rewritten.sources, rewritten.sources[0].base);
        let first = self.segments.binary_search_by_key(&base, |segment| segment.base).ok()?;
        // One more: the active segment is never among them.
        let present = self.segments.get(first..=first + sources.len())?;
        let is_same = present
            .iter()
            .zip(sources)
            .all(|(segment, source)| (segment.base, segment.size) == (source.base, source.size));
        is_same.then_some(first)
    }

    fn swap(
        &mut self,
        first: usize,
        rewritten: &Rewritten,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let home = self.home.clone();
        let base = rewritten.sources[0].base;
        self.closed_at = None;
        for kind in &rewritten.kinds {
            let path = home.path(base, kind);
            rename(&home, &path, CLEANED_SUFFIX, SWAP_SUFFIX)?;
        }
        home.disk.sync_dir(&home.dir).map_err(StorageError::disk(&home.dir))?;
        let after = first + rewritten.sources.len();
        for index in first..after {
            let old = self.segments[index].base;
            for kind in KINDS {
                self.doom_file(&home.path(old, kind), now_ms)?;
            }
            if old != base {
                // Between segments a snapshot is of no use.
                self.doom_file(&home.path(old, SNAPSHOT), now_ms)?;
            }
        }
        for kind in &rewritten.kinds {
            rename(&home, &home.path(base, kind), SWAP_SUFFIX, "")?;
        }
        let created_ms = self.segments[first].created_ms;
        let new = Segment::existing(base, rewritten.size, created_ms);
        self.segments.splice(first..after, [new]);
        // The next flush makes the names durable; until then an open would complete the swap.
        self.unsynced.on_epochs_changed();
        Ok(())
    }
}

fn rename(home: &Home, path: &std::path::Path, from: &str, to: &str) -> Result<(), StorageError> {
    let from = with_suffix(path, from);
    home.disk.rename(&from, &with_suffix(path, to)).map_err(StorageError::disk(&from))
}

/// Completes or drops the swaps that an earlier life left half done. `names` are the files of the
/// directory. Answers whether it changed them.
///
/// # Errors
/// The disk failed, or a new segment is damaged.
pub(crate) fn settle_swaps(home: &Home, names: &BTreeSet<String>) -> Result<bool, StorageError> {
    let swaps: Vec<&String> = names.iter().filter(|name| name.ends_with(SWAP_SUFFIX)).collect();
    let base_of = |name: &str| parse(name.strip_suffix(SWAP_SUFFIX)?, LOG);
    let bases: BTreeSet<i64> = swaps.iter().filter_map(|name| base_of(name)).collect();
    for base in &bases {
        complete(home, *base, names)?;
    }
    for name in &swaps {
        let stem = name.strip_suffix(SWAP_SUFFIX).unwrap_or(name);
        let is_of = |base: &i64| KINDS.iter().any(|kind| file_name(*base, kind) == stem);
        if !bases.iter().any(is_of) {
            remove(home, name)?;
        }
    }
    if !swaps.is_empty() {
        home.disk.sync_dir(&home.dir).map_err(StorageError::disk(&home.dir))?;
    }
    Ok(!swaps.is_empty())
}

fn complete(home: &Home, base: i64, names: &BTreeSet<String>) -> Result<(), StorageError> {
    let last = last_offset(home, base)?.unwrap_or(base);
    let olds = names.iter().filter_map(|name| parse(name, LOG));
    for old in olds.filter(|old| (base..=last.max(base)).contains(old)) {
        for kind in KINDS {
            remove(home, &file_name(old, kind))?;
        }
    }
    for kind in KINDS {
        if names.contains(&format!("{}{SWAP_SUFFIX}", file_name(base, kind))) {
            rename(home, &home.path(base, kind), SWAP_SUFFIX, "")?;
        }
    }
    Ok(())
}

/// The last offset of a segment that waits for its name.
fn last_offset(home: &Home, base: i64) -> Result<Option<i64>, StorageError> {
    let path = with_suffix(&home.path(base, LOG), SWAP_SUFFIX);
    let file = home.disk.open(&path, OpenMode::Read).map_err(StorageError::disk(&path))?;
    let size = file.len().map_err(StorageError::disk(&path))?;
    let mut hops = Hops::new(home, base, Arc::clone(&file), 0, size);
    let mut last = None;
    while let Some(placed) = hops.next()? {
        last = Some(placed.header.last_offset().0);
    }
    Ok(last)
}

fn remove(home: &Home, name: &str) -> Result<(), StorageError> {
    let path = home.dir.join(name);
    match home.disk.remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::Disk { path, source: error })
        }
        _ => Ok(()),
    }
}
