//! Hopping over a log file from batch header to batch header, and scanning it batch by batch.
//!
//! [`Hops`] reads a few kilobytes and follows the lengths: for lookups. [`Scan`] reads everything
//! and checks every CRC: for recovery.

use std::sync::Arc;

use kalda_env::DiskFile;
use kalda_records::{BATCH_OVERHEAD, BatchHeader, BatchView, MalformedBatch, claimed_size};

use crate::error::StorageError;
use crate::names::{Home, LOG};
use crate::segment::Placed;

const HOP_BYTES: usize = 4096;

/// The headers of a log file, in order.
#[derive(Debug)]
pub(crate) struct Hops<'a> {
    home: &'a Home,
    base: i64,
    file: Arc<dyn DiskFile>,
    position: u64,
    end: u64,
    window: [u8; HOP_BYTES],
    window_at: u64,
    window_len: usize,
}

impl<'a> Hops<'a> {
    pub(crate) fn new(
        home: &'a Home,
        base: i64,
        file: Arc<dyn DiskFile>,
        position: u64,
        end: u64,
    ) -> Self {
        let window = [0; HOP_BYTES];
        Self { home, base, file, position, end, window, window_at: 0, window_len: 0 }
    }

    /// The next batch; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Placed>, StorageError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let in_window = self.position.checked_sub(self.window_at).map(|at| at as usize);
        let at = match in_window {
            Some(at) if at + BATCH_OVERHEAD <= self.window_len => at,
            _ => {
                self.read_window()?;
                0
            }
        };
        let header = BatchHeader::peek(&self.window[at..self.window_len])
            .map_err(|error| self.corrupt(&error.to_string()))?;
        let position = self.position;
        self.position += header.size as u64;
        if self.position > self.end {
            return Err(self.corrupt("the batch is longer than the file"));
        }
        Ok(Some(Placed { position, header }))
    }

    fn read_window(&mut self) -> Result<(), StorageError> {
        let len = (self.end - self.position).min(HOP_BYTES as u64) as usize;
        let read = self.file.read_exact_at(&mut self.window[..len], self.position);
        read.map_err(|error| self.home.at(self.base, LOG).failed(error))?;
        self.window_at = self.position;
        self.window_len = len;
        Ok(())
    }

    fn corrupt(&self, reason: &str) -> StorageError {
        let reason = format!("at position {}: {reason}", self.position);
        StorageError::corrupt(self.home.path(self.base, LOG), reason)
    }
}

/// Why a scan stopped before the end of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// The bytes are not a batch, or not all of it.
    Malformed(MalformedBatch),
    /// The checksum does not fit.
    Crc,
    /// The offsets go back.
    Offsets,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Crc => f.write_str("the checksum does not fit"),
            Self::Offsets => f.write_str("the offsets go back"),
        }
    }
}

const SCAN_BYTES: usize = 1 << 20;

/// A log file read whole, in large pieces.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    home: &'a Home,
    base: i64,
    file: Arc<dyn DiskFile>,
    pub(crate) position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        home: &'a Home,
        base: i64,
        file: Arc<dyn DiskFile>,
        position: u64,
        end: u64,
    ) -> Self {
        Self { home, base, file, position, end, buffer: Vec::new(), buffer_at: position }
    }

    /// The batch at the scan's position, which must not begin before `expected`, or what is wrong
    /// there. `None` at the end of the file. Does not move: see [`Scan::advance`].
    pub(crate) fn peek(
        &mut self,
        expected: i64,
    ) -> Result<Option<Result<BatchView<'_>, Damage>>, StorageError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let left = self.end - self.position;
        self.ensure(left.min(BATCH_OVERHEAD as u64) as usize)?;
        let size = match claimed_size(self.ahead()) {
            Ok(size) => size,
            Err(error) => return Ok(Some(Err(Damage::Malformed(error)))),
        };
        if size as u64 > left {
            let needed = MalformedBatch::Incomplete { needed: size };
            return Ok(Some(Err(Damage::Malformed(needed))));
        }
        self.ensure(size)?;
        let checked = match BatchView::new(self.ahead()) {
            Err(error) => Err(Damage::Malformed(error)),
            Ok(view) if !view.is_intact() => Err(Damage::Crc),
            Ok(view) if view.base_offset().0 < expected || view.last_offset_delta() < 0 => {
                Err(Damage::Offsets)
            }
            Ok(view) => Ok(view),
        };
        Ok(Some(checked))
    }

    /// Moves on.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.position += bytes;
    }

    fn ahead(&self) -> &[u8] {
        &self.buffer[(self.position - self.buffer_at) as usize..]
    }

    /// Makes `len` bytes from the position on available; they are known to be in the file.
    fn ensure(&mut self, len: usize) -> Result<(), StorageError> {
        let have = (self.buffer_at + self.buffer.len() as u64).saturating_sub(self.position);
        if self.position >= self.buffer_at && have >= len as u64 {
            return Ok(());
        }
        let wanted = (self.end - self.position).min(len.max(SCAN_BYTES) as u64) as usize;
        self.buffer.resize(wanted, 0);
        self.buffer_at = self.position;
        let path = self.home.path(self.base, LOG);
        self.file.read_exact_at(&mut self.buffer, self.position).map_err(StorageError::disk(path))
    }
}
