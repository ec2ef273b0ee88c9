//! The disk: what the log and its checkpoints need of a file system, and no more.
//!
//! Storage takes a `Arc<dyn Disk>`; tests hand in one that fails, fills up or forgets what was not
//! synced. A path is always absolute or relative to the process; names are never built from what a
//! client sent without validation.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FlockOperation, fadvise, flock, statvfs};
use rustix::io::ReadWriteFlags;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// It must exist; writes fail.
    Read,
    /// It must exist.
    ReadWrite,
    /// It is made if it is not there.
    Create,
    /// It must not be there yet.
    CreateNew,
}

/// One entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The last part of its path. Entries whose name is not UTF-8 are left out.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
}

/// The room of the file system below a path, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Its size.
    pub total: u64,
    /// What an unprivileged process may still take.
    pub usable: u64,
}

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, in no particular order.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// A file's size in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Renames, replacing what was there; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all below it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything durable that was written to the file system below a path, by whomever:
    /// one call for many files.
    fn sync_filesystem(&self, path: &Path) -> io::Result<()>;
    /// The room below a path.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes an exclusive lock on a file, made if need be, until the file is dropped. `None` when
    /// another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>>;

    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool {
        self.len(path).is_ok()
    }

    /// A small file, whole.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Writes what is to take a small file's place beside it, not durable yet. Answers where.
    fn write_aside(&self, path: &Path, content: &[u8]) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".tmp");
        let aside = PathBuf::from(aside);
        let file = self.open(&aside, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_all_at(content, 0)?;
        Ok((aside, file))
    }

    /// Replaces a small file so that a crash leaves either the old content or the new one:
    /// write aside, sync, rename, sync the directory.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let (aside, file) = self.write_aside(path, content)?;
        file.sync_data()?;
        self.rename(&aside, path)?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => self.sync_dir(Path::new(".")),
        }
    }
}

/// An open file. Reads and writes carry their position, so that it can be shared.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads up to `bytes.len()` bytes; 0 at the end of the file.
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Writes `parts` one after the other, as if they were one piece.
    fn write_all_parts_at(&self, parts: &[&[u8]], mut position: u64) -> io::Result<()> {
        for part in parts {
            self.write_all_at(part, position)?;
            position += part.len() as u64;
        }
        Ok(())
    }
    /// Makes the content and the size durable. After an error the file must not be trusted again.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The size in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the byte can be read without waiting for the disk; where nobody can tell, yes.
    fn is_cached(&self, _position: u64) -> bool {
        true
    }
    /// Has a range read into the operating system's memory, and waits for it.
    fn read_ahead(&self, _position: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Says that a range will not be read again soon, so that it does not push out what will.
    fn forget(&self, _position: u64, _len: u64) {}
    /// The descriptor for `sendfile`, where there is one.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads exactly `bytes.len()` bytes.
    fn read_exact_at(&self, mut bytes: &mut [u8], mut position: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let read = self.read_at(bytes, position)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[read..];
            position += read as u64;
        }
        Ok(())
    }
}

/// The real file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct FsDisk;

impl Disk for FsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        options.create(mode == OpenMode::Create).create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(FsFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, is_dir });
            }
        }
        Ok(entries)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = statvfs(path)?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, usable: stat.f_bavail * stat.f_frsize })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Arc::new(FsFile(file)))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Debug)]
struct FsFile(File);

/// How many pieces go to the system at once: a batch is two.
const PARTS_PER_CALL: usize = 4;

impl DiskFile for FsFile {
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(bytes, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn write_all_parts_at(&self, parts: &[&[u8]], mut position: u64) -> io::Result<()> {
        for parts in parts.chunks(PARTS_PER_CALL) {
            let mut slices = [IoSlice::new(&[]); PARTS_PER_CALL];
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
            }
            let mut rest = &mut slices[..parts.len()];
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.0, rest, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        IoSlice::advance_slices(&mut rest, written);
                        position += written as u64;
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn is_cached(&self, position: u64) -> bool {
        let mut byte = [0];
        let read = rustix::io::preadv2(
            &self.0,
            &mut [IoSliceMut::new(&mut byte)],
            position,
            ReadWriteFlags::NOWAIT,
        );
        // A file system that knows no such reads says so with another error.
        !matches!(read, Err(rustix::io::Errno::AGAIN))
    }

    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        let Some(len) = NonZeroU64::new(len) else { return Ok(()) };
        fadvise(&self.0, position, Some(len), Advice::WillNeed)?;
        // The advice returns at once; the pages come in order, and the last of them is waited for.
        self.read_at(&mut [0], position + len.get() - 1).map(drop)
    }

    fn forget(&self, position: u64, len: u64) {
        if let Some(len) = NonZeroU64::new(len) {
            // Only advice: if it is not taken, nothing is wrong.
            let _ = fadvise(&self.0, position, Some(len), Advice::DontNeed);
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_leaves_the_new_content_and_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        FsDisk.replace(&path, b"one").unwrap();
        FsDisk.replace(&path, b"2").unwrap();
        assert_eq!(FsDisk.read(&path).unwrap(), b"2");
        assert_eq!(FsDisk.list(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn parts_land_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = FsDisk.open(&dir.path().join("log"), OpenMode::CreateNew).unwrap();
        let parts: [&[u8]; 6] = [b"", b"ab", b"", b"cde", b"f", b"gh"];
        file.write_all_parts_at(&parts, 2).unwrap();
        file.write_all_parts_at(&[], 2).unwrap();
        let mut bytes = [0; 10];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0abcdefgh");
        assert_eq!(file.len().unwrap(), 10);
    }

    #[test]
    fn a_lock_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = FsDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(FsDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(FsDisk.lock(&path).unwrap().is_some());
    }
}
