//! Coming up after a crash: the end of the log is read, batch by batch, CRC by CRC.
//!
//! A tail that the crash tore is cut, and kept beside in `.cut` files if good batches lie behind the
//! tear. Damage of any other kind, or below what had been durable, is moved aside to `.quarantine`
//! files and reported, never dropped. Which of them it is: `torn`. Indexes and producers are rebuilt
//! on the way.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use kalda_env::OpenMode;
use kalda_model::Offset;
use kalda_records::{BATCH_OVERHEAD, BatchHeader, BatchView};

use crate::error::StorageError;
use crate::hop::{Damage, Scan};
use crate::names::{CUT_SUFFIX, INDEX, LOG, QUARANTINE_SUFFIX, TIME_INDEX, TXN_INDEX, with_suffix};
use crate::segment::Segment;

use super::torn::Place;
use super::{Log, OpenOptions};

/// How much of a file is looked at in one piece for a batch behind damage.
const SEARCH_BYTES: usize = 1 << 20;
/// How much may be checked for looking like a batch before it is taken for one.
const CHECKED_BYTES_MAX: usize = 1 << 32;

/// What opening a log came upon. Empty after a clean shutdown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecoveryReport {
    /// Bytes that were read and checked.
    pub scanned_bytes: u64,
    /// A tail that a crash tore, and that was cut.
    pub torn: Option<TornTail>,
    /// Damage that was moved aside.
    pub quarantined: Vec<Quarantined>,
    /// Offsets that had been durable and are not there: from the log's end up to the recovery
    /// point.
    pub missing: Option<(Offset, Offset)>,
}

/// A tail that was cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornTail {
    /// The log file.
    pub path: PathBuf,
    /// Where it was cut, in bytes.
    pub position: u64,
    /// How many bytes went.
    pub bytes: u64,
    /// The log's end now.
    pub offset: Offset,
    /// Where the bytes are kept, if there were good batches among them, or behind them.
    pub kept: Option<PathBuf>,
}

/// Damaged bytes that were moved aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quarantined {
    /// The log file that they were in.
    pub path: PathBuf,
    /// Where they are now.
    pub moved_to: PathBuf,
    /// Where they began, in bytes.
    pub position: u64,
    /// How many they are.
    pub bytes: u64,
    /// The offset that was expected there; everything from it on is missing from the log.
    pub from_offset: Offset,
    /// What is wrong with them.
    pub reason: String,
}

impl Log {
    pub(super) fn recover(&mut self, options: OpenOptions) -> Result<RecoveryReport, StorageError> {
        let mut report = RecoveryReport::default();
        let recovery_point = options.recovery_point.0;
        let first = self.segment_index(recovery_point);
        self.log_end = self.segments[first].base;
        self.drop_snapshots_after(self.log_end)?;
        self.rebuild_producers(self.log_end)?;
        let mut index = first;
        while index < self.segments.len() {
            let damage = self.scan_segment(index, &mut report)?;
            if let Some((position, damage)) = damage {
                self.set_aside(index, position, damage, recovery_point, &mut report)?;
                break;
            }
            index += 1;
        }
        if self.log_end < recovery_point {
            let missing = (Offset(self.log_end), options.recovery_point);
            report.missing = Some(missing);
        }
        let is_as_read = report.torn.is_none() && report.quarantined.is_empty();
        self.sync_scanned(first, options.is_synced && is_as_read)?;
        Ok(report)
    }

    /// Reads a segment whole and rebuilds what depends on it. Answers where it stopped, and why.
    fn scan_segment(
        &mut self,
        index: usize,
        report: &mut RecoveryReport,
    ) -> Result<Option<(u64, Damage)>, StorageError> {
        let home = self.home.clone();
        let interval = self.config.index_interval_bytes;
        let segment = &mut self.segments[index];
        segment.clear_indexes(&home)?;
        let end = std::mem::take(&mut segment.size);
        let file = Arc::clone(segment.file(&home)?);
        let mut scan = Scan::new(&home, segment.base, file, 0, end);
        let mut expected = self.log_end.max(segment.base);
        let stopped = loop {
            let position = scan.position;
            let (header, marker, size) = match scan.peek(expected)? {
                None => break None,
                Some(Err(damage)) => break Some((position, damage)),
                Some(Ok(view)) => (view.header(), super::append::marker_of(&view), view.size()),
            };
            scan.advance(size as u64);
            let segment = &mut self.segments[index];
            segment.prepare(&home)?;
            segment.on_appended(&header, position, interval);
            self.epochs.contradict(header.leader_epoch, header.last_offset());
            self.epochs.assign(header.leader_epoch, header.base_offset);
            self.log_end = header.last_offset().0 + 1;
            expected = self.log_end;
            self.note_producer(&header, marker)?;
        };
        report.scanned_bytes += scan.position;
        // What is behind the stop is still in the file.
        if stopped.is_some() {
            self.segments[index].size = end;
        } else {
            self.log_end = self.log_end.max(self.segments[index].base);
        }
        Ok(stopped)
    }

    fn set_aside(
        &mut self,
        index: usize,
        position: u64,
        damage: Damage,
        recovery_point: i64,
        report: &mut RecoveryReport,
    ) -> Result<(), StorageError> {
        let from_offset = Offset(self.log_end);
        let path = self.home.path(self.segments[index].base, LOG);
        let bytes = self.segments[index].size - position;
        let later = self.segments.split_off(index + 1);
        let good_at = self.batch_after(index, position, from_offset.0)?;
        let rest = position..self.segments[index].size;
        let place = Place { index, position, damage, good_at };
        if from_offset.0 >= recovery_point && self.is_torn(place)? {
            let has_good_behind = later.iter().any(|segment| segment.size > 0) || good_at.is_some();
            let kept = match has_good_behind {
                true => Some(self.copy_aside(index, rest, self.log_end, CUT_SUFFIX)?),
                false => None,
            };
            for segment in &later {
                self.move_aside(segment, CUT_SUFFIX)?;
            }
            report.torn = Some(TornTail { path, position, bytes, offset: from_offset, kept });
        } else {
            let moved_to = self.copy_aside(index, rest, self.log_end, QUARANTINE_SUFFIX)?;
            let reason = damage.to_string();
            let quarantined = Quarantined { path, moved_to, position, bytes, from_offset, reason };
            report.quarantined.push(quarantined);
            for segment in &later {
                let moved_to = self.move_aside(segment, QUARANTINE_SUFFIX)?;
                report.quarantined.push(Quarantined {
                    path: self.home.path(segment.base, LOG),
                    moved_to,
                    position: 0,
                    bytes: segment.size,
                    from_offset: Offset(segment.base),
                    reason: "it lies behind a damaged segment".to_owned(),
                });
            }
        }
        let home = self.home.clone();
        let segment = &mut self.segments[index];
        let path = home.path(segment.base, LOG);
        segment.file(&home)?.set_len(position).map_err(StorageError::disk(&path))?;
        segment.size = position;
        Ok(())
    }

    /// Where a good batch lies anywhere behind a bad one. Looks at every byte, cheaply: the length
    /// of the bad one cannot be trusted.
    fn batch_after(
        &self,
        index: usize,
        position: u64,
        expected: i64,
    ) -> Result<Option<u64>, StorageError> {
        let segment = &self.segments[index];
        let at = self.home.at(segment.base, LOG);
        let file = segment.file(&self.home)?;
        let plausible = expected..expected.saturating_add(i64::from(i32::MAX));
        let mut window = vec![0; SEARCH_BYTES + BATCH_OVERHEAD];
        let mut checked = 0;
        let mut start = position + 1;
        while start + BATCH_OVERHEAD as u64 <= segment.size {
            let len = window.len().min((segment.size - start) as usize);
            let window = &mut window[..len];
            file.read_exact_at(window, start).map_err(|error| at.failed(error))?;
            for offset in 0..=(len - BATCH_OVERHEAD) {
                let left = segment.size - start - offset as u64;
                let Ok(header) = BatchHeader::peek(&window[offset..]) else { continue };
                let is_plausible = plausible.contains(&header.base_offset.0);
                if !is_plausible || header.size as u64 > left {
                    continue;
                }
                // Values may be full of what looks like headers: rather keep too much than read on
                // for hours.
                checked += header.size;
                let from = start + offset as u64;
                if checked > CHECKED_BYTES_MAX {
                    return Ok(Some(from));
                }
                let mut batch = vec![0; header.size];
                file.read_exact_at(&mut batch, from).map_err(|error| at.failed(error))?;
                if BatchView::new(&batch).is_ok_and(|view| view.is_intact()) {
                    return Ok(Some(from));
                }
            }
            start += (len - BATCH_OVERHEAD + 1) as u64;
        }
        Ok(None)
    }

    /// Copies a range of a segment, which should hold `offset`, to a file of its own.
    pub(super) fn copy_aside(
        &self,
        index: usize,
        range: Range<u64>,
        offset: i64,
        suffix: &str,
    ) -> Result<PathBuf, StorageError> {
        let segment = &self.segments[index];
        let from = segment.file(&self.home)?;
        let name = self.home.path(segment.base, LOG);
        let path = with_suffix(&name, &format!(".{offset}{suffix}"));
        let disk = &self.home.disk;
        let to = disk.open(&path, OpenMode::Create).map_err(StorageError::disk(&path))?;
        to.set_len(0).map_err(StorageError::disk(&path))?;
        let mut piece = vec![0; 1 << 20];
        let mut at = range.start;
        while at < range.end {
            let len = piece.len().min((range.end - at) as usize);
            from.read_exact_at(&mut piece[..len], at).map_err(StorageError::disk(&name))?;
            to.write_all_at(&piece[..len], at - range.start).map_err(StorageError::disk(&path))?;
            at += len as u64;
        }
        to.sync_data().map_err(StorageError::disk(&path))?;
        disk.sync_dir(&self.home.dir).map_err(StorageError::disk(&self.home.dir))?;
        Ok(path)
    }

    /// Renames a whole segment behind the damage; its indexes are worth nothing without it.
    fn move_aside(&self, segment: &Segment, suffix: &str) -> Result<PathBuf, StorageError> {
        let disk = &self.home.disk;
        let path = self.home.path(segment.base, LOG);
        let moved_to = with_suffix(&path, suffix);
        disk.rename(&path, &moved_to).map_err(StorageError::disk(&path))?;
        for kind in [INDEX, TIME_INDEX, TXN_INDEX] {
            let path = self.home.path(segment.base, kind);
            match disk.remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StorageError::Disk { path, source: error });
                }
                _ => {}
            }
        }
        Ok(moved_to)
    }

    /// What was read from the page cache may never have reached the disk: it must, before anyone
    /// takes it for durable. If it `is_synced`, only the indexes that were made again are left.
    fn sync_scanned(&mut self, first: usize, is_synced: bool) -> Result<(), StorageError> {
        let last = self.segments.len() - 1;
        if is_synced && first == last {
            return Ok(());
        }
        for (index, segment) in self.segments.iter_mut().enumerate().skip(first) {
            let files = match index < last {
                true => segment.seal(&self.home)?,
                false => vec![Arc::clone(segment.file(&self.home)?)],
            };
            let at = self.home.at(segment.base, LOG);
            for file in files {
                file.sync_data().map_err(|error| at.failed(error))?;
            }
        }
        self.home.disk.sync_dir(&self.home.dir).map_err(StorageError::disk(&self.home.dir))
    }
}
