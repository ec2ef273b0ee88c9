//! A disk in memory for tests: it forgets what was not synced, tears what was, and fails on order.
//!
//! Strict: a file's content is durable after `sync_data`, its name only after `sync_dir`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use kalda_env::disk::{Entry, Space};
use kalda_env::{Disk, DiskFile, OpenMode};

/// What a power cut leaves of bytes that were not synced.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Nothing is lost: the process died, not the machine.
    Kill,
    /// All of it.
    Forget,
    /// A part: the file ends at some byte of what was appended.
    TearAtByte(u64),
    /// Some sectors of it: the others are as they were, zeros where there was nothing.
    TearBlocks(u64),
}

/// What fails, and when: counted down by each operation of that kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Writes that still succeed.
    pub write: Option<u32>,
    /// Syncs that still succeed.
    pub sync: Option<u32>,
    /// Cuts that still succeed.
    pub set_len: Option<u32>,
    /// Any of these, and renames and removals: once it has failed everything fails, as if the
    /// process had ended there.
    pub any: Option<u32>,
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    dirs: BTreeSet<PathBuf>,
    faults: Faults,
    reads: u64,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct FaultFile {
    content: Arc<Mutex<Content>>,
    disk: FaultDisk,
}

const BLOCK: usize = 512;

impl FaultDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on these fail.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// How many reads of a file there were.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// The disk as the next process finds it.
    pub fn after(&self, cut: Cut) -> Self {
        let state = self.lock();
        let names = match cut {
            Cut::Kill => &state.names,
            _ => &state.durable_names,
        };
        let mut next = State { dirs: state.dirs.clone(), ..State::default() };
        for (index, (path, content)) in names.iter().enumerate() {
            let left = content.lock().unwrap().after(cut, index as u64);
            let content = Content { now: left.clone(), durable: left };
            let content = Arc::new(Mutex::new(content));
            next.names.insert(path.clone(), Arc::clone(&content));
            next.durable_names.insert(path.clone(), content);
        }
        Self { state: Arc::new(Mutex::new(next)) }
    }

    /// Changes bytes behind everyone's back.
    pub fn damage(&self, path: &Path, at: usize, change: impl Fn(u8) -> u8) {
        let state = self.lock();
        let mut content = state.names[path].lock().unwrap();
        content.now[at] = change(content.now[at]);
        content.durable = content.now.clone();
    }

    fn count_down(&self, pick: impl Fn(&mut Faults) -> &mut Option<u32>) -> io::Result<()> {
        let mut state = self.lock();
        Self::count(&mut state.faults.any)?;
        Self::count(pick(&mut state.faults))
    }

    fn count(left: &mut Option<u32>) -> io::Result<()> {
        match left {
            Some(0) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Content {
    fn after(&self, cut: Cut, salt: u64) -> Vec<u8> {
        let (synced, now) = (self.durable.len(), self.now.len());
        match cut {
            Cut::Kill => self.now.clone(),
            Cut::TearAtByte(seed) if now > synced => {
                let keep = synced + (mix(seed ^ salt) as usize) % (now - synced + 1);
                self.now[..keep].to_vec()
            }
            Cut::TearBlocks(seed) if self.now != self.durable => {
                let mut left = self.durable.clone();
                left.resize(now.max(synced), 0);
                for start in (0..now).step_by(BLOCK) {
                    let end = (start + BLOCK).min(now);
                    if mix(seed ^ salt ^ start as u64).is_multiple_of(2) {
                        left[start..end].copy_from_slice(&self.now[start..end]);
                    }
                }
                left
            }
            _ => self.durable.clone(),
        }
    }
}

/// A well-spread number out of another (splitmix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let known = state.names.get(path).cloned();
        let content = match (known, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(content), _) => content,
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let content = Arc::new(Mutex::new(Content::default()));
                state.names.insert(path.to_owned(), Arc::clone(&content));
                content
            }
            (None, _) => return Err(not_found()),
        };
        Ok(Arc::new(FaultFile { content, disk: self.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.lock().dirs.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.lock();
        if !state.dirs.contains(path) {
            return Err(not_found());
        }
        let entry = |child: &PathBuf, is_dir| {
            let name = child.file_name().unwrap().to_str().unwrap().to_owned();
            (child.parent() == Some(path)).then_some(Entry { name, is_dir })
        };
        let dirs = state.dirs.iter().filter(|dir| dir.file_name().is_some());
        let files = state.names.keys().filter_map(|child| entry(child, false));
        Ok(dirs.filter_map(|child| entry(child, true)).chain(files).collect())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.lock();
        if state.dirs.contains(path) {
            return Ok(0);
        }
        let content = state.names.get(path).ok_or_else(not_found)?;
        Ok(content.lock().unwrap().now.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        Self::count(&mut state.faults.any)?;
        let content = state.names.remove(from).ok_or_else(not_found)?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        Self::count(&mut state.faults.any)?;
        state.names.remove(path).map(|_| ()).ok_or_else(not_found)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.names.retain(|name, _| !name.starts_with(path));
        state.dirs.retain(|name| !name.starts_with(path));
        Ok(())
    }

    fn sync_filesystem(&self, _path: &Path) -> io::Result<()> {
        self.count_down(|faults| &mut faults.sync)?;
        let mut state = self.lock();
        for content in state.names.values() {
            let mut content = content.lock().unwrap();
            content.durable = content.now.clone();
        }
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.count_down(|faults| &mut faults.sync)?;
        let mut state = self.lock();
        let is_here = |name: &PathBuf| name.parent() == Some(path);
        state.durable_names.retain(|name, _| !is_here(name));
        let here: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| is_here(name))
            .map(|(name, content)| (name.clone(), Arc::clone(content)))
            .collect();
        state.durable_names.extend(here);
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { total: 1 << 40, usable: 1 << 40 })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.open(path, OpenMode::Create).map(Some)
    }
}

impl DiskFile for FaultFile {
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.disk.lock().reads += 1;
        let content = self.content.lock().unwrap();
        let from = content.now.len().min(position as usize);
        let len = bytes.len().min(content.now.len() - from);
        bytes[..len].copy_from_slice(&content.now[from..from + len]);
        Ok(len)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let refused = self.disk.count_down(|faults| &mut faults.write);
        // A full disk takes a part before it refuses.
        let taken = if refused.is_ok() { bytes.len() } else { bytes.len() / 2 };
        let mut content = self.content.lock().unwrap();
        let end = position as usize + taken;
        if content.now.len() < end {
            content.now.resize(end, 0);
        }
        content.now[position as usize..end].copy_from_slice(&bytes[..taken]);
        refused
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.count_down(|faults| &mut faults.sync)?;
        let mut content = self.content.lock().unwrap();
        content.durable = content.now.clone();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.count_down(|faults| &mut faults.set_len)?;
        self.content.lock().unwrap().now.resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().now.len() as u64)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
