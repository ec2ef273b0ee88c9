//! A file of fixed-size entries that only grows at its end: the base of the three indexes.
//!
//! New entries gather in memory and are written some hundred at a time; lookups see both. The file
//! is opened on first use and can be closed at any time. What is in memory can be rebuilt from the
//! log, so nothing here is synced before the segment is sealed.

use std::io;
use std::sync::{Arc, OnceLock};

use kalda_env::{DiskFile, OpenMode};

use crate::error::StorageError;
use crate::names::At;

/// Entries gather up to this many bytes before they are written.
const PENDING_BYTES_MAX: usize = 4096;
/// Entries that a lookup reads at once.
const WINDOW_ENTRIES: usize = 256;

/// Entries of `N` bytes.
#[derive(Debug, Default)]
pub(crate) struct EntryFile<const N: usize> {
    stored: OnceLock<Stored>,
    pending: Vec<u8>,
}

#[derive(Debug)]
struct Stored {
    /// `None` while there is no file on disk.
    file: Option<Arc<dyn DiskFile>>,
    entries: usize,
}

impl<const N: usize> EntryFile<N> {
    /// The entries of a new segment: none, whatever an earlier life left under its name.
    pub(crate) fn fresh() -> Self {
        Self { stored: OnceLock::from(Stored { file: None, entries: 0 }), pending: Vec::new() }
    }

    /// How many entries there are.
    pub(crate) fn len(&self, at: At<'_>) -> Result<usize, StorageError> {
        Ok(self.stored(at)?.entries + self.pending.len() / N)
    }

    /// The entry at `index`, which must be below the length.
    pub(crate) fn entry(&self, at: At<'_>, index: usize) -> Result<[u8; N], StorageError> {
        let stored = self.stored(at)?;
        let mut entry = [0; N];
        if let Some(pending) = index.checked_sub(stored.entries) {
            entry.copy_from_slice(&self.pending[pending * N..][..N]);
        } else if let Some(file) = &stored.file {
            file.read_exact_at(&mut entry, (index * N) as u64).map_err(|error| at.failed(error))?;
        }
        Ok(entry)
    }

    /// How many entries satisfy `before`, and the last of them; those that do come first. `guess` is the
    /// part of the entries that the caller expects to: near it, one read is enough.
    pub(crate) fn last_before(
        &self,
        at: At<'_>,
        guess: f64,
        before: impl Fn(&[u8; N]) -> bool,
    ) -> Result<(usize, Option<[u8; N]>), StorageError> {
        let stored = self.stored(at)?;
        let (pending, _) = self.pending.as_chunks::<N>();
        let in_memory = pending.partition_point(&before);
        if let Some(last) = in_memory.checked_sub(1) {
            return Ok((stored.entries + in_memory, Some(pending[last])));
        }
        let Some(file) = &stored.file else { return Ok((0, None)) };
        let mut window = [[0; N]; WINDOW_ENTRIES];
        let (mut low, mut high, mut last) = (0, stored.entries, None);
        let mut probe = (stored.entries as f64 * guess) as usize;
        while low < high {
            let begin = probe.saturating_sub(WINDOW_ENTRIES / 2);
            let begin = begin.min(high.saturating_sub(WINDOW_ENTRIES)).max(low);
            let window = &mut window[..WINDOW_ENTRIES.min(high - begin)];
            let read = file.read_exact_at(window.as_flattened_mut(), (begin * N) as u64);
            read.map_err(|error| at.failed(error))?;
            let inside = window.partition_point(&before);
            match inside.checked_sub(1) {
                None => high = begin,
                Some(found) => {
                    low = begin + inside;
                    last = Some(window[found]);
                    if inside < window.len() {
                        break;
                    }
                }
            }
            probe = low + (high - low) / 2;
        }
        Ok((low, last))
    }

    /// Writes what has gathered if it is time to, so that the next [`EntryFile::push`] has room.
    pub(crate) fn make_room(&mut self, at: At<'_>) -> Result<(), StorageError> {
        if self.pending.len() < PENDING_BYTES_MAX { Ok(()) } else { self.write_out(at) }
    }

    /// Adds an entry. Never touches the disk.
    pub(crate) fn push(&mut self, entry: [u8; N]) {
        self.pending.extend_from_slice(&entry);
    }

    /// Writes what has gathered, making the file if it is not there.
    pub(crate) fn write_out(&mut self, at: At<'_>) -> Result<(), StorageError> {
        let pending = std::mem::take(&mut self.pending);
        let written = self.write(at, &pending);
        if written.is_err() {
            self.pending = pending;
        }
        written
    }

    fn write(&mut self, at: At<'_>, bytes: &[u8]) -> Result<(), StorageError> {
        let stored = self.stored_mut(at)?;
        let file = match &stored.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = at.home.disk.open(&at.path(), OpenMode::Create);
                let file = file.map_err(|error| at.failed(error))?;
                file.set_len(0).map_err(|error| at.failed(error))?;
                file
            }
        };
        file.write_all_at(bytes, (stored.entries * N) as u64).map_err(|error| at.failed(error))?;
        stored.file = Some(file);
        stored.entries += bytes.len() / N;
        Ok(())
    }

    /// Keeps the first `len` entries only, on disk too.
    pub(crate) fn truncate(&mut self, at: At<'_>, len: usize) -> Result<(), StorageError> {
        let stored = self.stored_mut(at)?;
        if len < stored.entries {
            stored.entries = len;
            if let Some(file) = &stored.file {
                file.set_len((len * N) as u64).map_err(|error| at.failed(error))?;
            }
        }
        let stored = stored.entries;
        self.pending.truncate((len - stored) * N);
        Ok(())
    }

    /// Starts over with nothing, on disk too.
    pub(crate) fn clear(&mut self, at: At<'_>) -> Result<(), StorageError> {
        self.pending.clear();
        let stored = self.stored_mut(at)?;
        stored.entries = 0;
        match &stored.file {
            Some(file) => file.set_len(0).map_err(|error| at.failed(error)),
            None => Ok(()),
        }
    }

    /// The open file, if it is open.
    pub(crate) fn file(&self) -> Option<&Arc<dyn DiskFile>> {
        self.stored.get().and_then(|stored| stored.file.as_ref())
    }

    /// Closes the file; nothing may be pending.
    pub(crate) fn close(&mut self) {
        if self.pending.is_empty() {
            self.stored = OnceLock::new();
        }
    }

    fn stored(&self, at: At<'_>) -> Result<&Stored, StorageError> {
        if let Some(stored) = self.stored.get() {
            return Ok(stored);
        }
        let stored = Stored::open::<N>(at).map_err(|error| at.failed(error))?;
        Ok(self.stored.get_or_init(|| stored))
    }

    fn stored_mut(&mut self, at: At<'_>) -> Result<&mut Stored, StorageError> {
        self.stored(at)?;
        Ok(self.stored.get_mut().expect("it was opened on the line above"))
    }
}

impl Stored {
    /// Opens what is there. A size that is no multiple of the entry (a crash) counts whole ones.
    fn open<const N: usize>(at: At<'_>) -> io::Result<Self> {
        match at.home.disk.open(&at.path(), OpenMode::ReadWrite) {
            Ok(file) => {
                let entries = usize::try_from(file.len()?).map_err(io::Error::other)? / N;
                Ok(Self { file: Some(file), entries })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { file: None, entries: 0 })
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use kalda_env::FsDisk;

    use super::*;
    use crate::names::Home;

    /// Whatever the guess, what is stored and what gathers in memory are searched as one.
    #[test]
    fn a_lookup_finds_the_last_entry_before() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home { disk: Arc::new(FsDisk), dir: directory.path().into() };
        let at = home.at(0, crate::names::INDEX);
        let mut entries = EntryFile::<8>::fresh();
        let count = 3 * WINDOW_ENTRIES as u64 + 100;
        for value in 0..count {
            entries.push((2 * value).to_be_bytes());
            if value == count - 50 {
                entries.write_out(at).unwrap();
            }
        }
        let mut searched: Vec<u64> = (0..2 * count + 3).step_by(37).collect();
        searched.extend([0, 1, 2, 2 * count - 2, 2 * count - 1, 2 * count]);
        for limit in searched {
            let expected = limit.div_ceil(2).min(count);
            for guess in [f64::NAN, -1.0, 0.0, limit as f64 / (2 * count) as f64, 0.5, 1.0, 9.0] {
                let before = |entry: &[u8; 8]| u64::from_be_bytes(*entry) < limit;
                let (found, last) = entries.last_before(at, guess, before).unwrap();
                assert_eq!(found as u64, expected, "limit {limit}, guess {guess}");
                let last = last.map(u64::from_be_bytes);
                assert_eq!(last, expected.checked_sub(1).map(|index| 2 * index));
            }
        }
    }
}
