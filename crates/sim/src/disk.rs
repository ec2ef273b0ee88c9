//! A machine's disk: what the process sees, and what a power cut leaves of it.
//!
//! A file's content is durable after `sync_data`, a name after `sync_dir` of the directory that it is
//! in. What was not synced survives the end of the process, and of a power cut a part: the first of what
//! was written, or, sector by sector, what each had got by some moment. A process that has ended has no disk any more, whatever its tasks try
//! while they are dropped.

mod content;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kalda_env::disk::{Entry, Space};
use kalda_env::{Disk, DiskFile, OpenMode};
use parking_lot::Mutex;

use content::Content;

use crate::chance::Chance;
use crate::trace::Trace;

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Nothing more fits.
    pub(crate) is_full: bool,
    /// Writes and syncs fail.
    pub(crate) is_broken: bool,
    /// A sync of records takes up to so long, if that is longer than it takes anyway.
    pub(crate) sync_ms_max: u64,
}

/// What of a disk is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum View {
    /// What the process sees.
    Now,
    /// What the worst power cut leaves.
    Durable,
}

/// The disk of a machine, across the lives of its process. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Platter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Mutex<Arc<Dir>>,
    /// The number of the process that may use it; 0 while there is none.
    life: AtomicU64,
    faults: Mutex<Faults>,
    /// How long a sync takes, about, if nothing is wrong.
    sync_ms: u64,
    /// How often another disk was put in its place.
    wipes: AtomicU64,
    /// What was on the disk before this one, and durable there.
    lost: Mutex<Arc<Dir>>,
    trace: Trace,
    name: String,
}

#[derive(Debug, Default)]
struct Dir(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Dir(Arc<Dir>),
    File(Arc<Mutex<Content>>),
}

impl Platter {
    pub(crate) fn new(name: &str, sync_ms: u64, trace: Trace) -> Self {
        let shared = Shared {
            root: Mutex::default(),
            life: AtomicU64::new(0),
            faults: Mutex::default(),
            sync_ms,
            wipes: AtomicU64::new(0),
            lost: Mutex::default(),
            trace,
            name: name.to_owned(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The disk in the hands of the process `life`, and of nobody else.
    pub(crate) fn of_life(&self, life: u64) -> SimDisk {
        self.shared.life.store(life, Ordering::Relaxed);
        SimDisk { platter: self.clone(), life }
    }

    /// The process is gone.
    pub(crate) fn end_life(&self) {
        self.shared.life.store(0, Ordering::Relaxed);
    }

    /// The power is gone: what was not synced is lost, or a part of it.
    pub(crate) fn cut_power(&self, chance: &Chance) {
        self.end_life();
        let is_ordered = chance.percent(70);
        self.shared.root.lock().cut_power(chance, is_ordered);
    }

    /// Another disk is put in its place, with nothing on it.
    pub(crate) fn wipe(&self) {
        *self.shared.lost.lock() = std::mem::take(&mut *self.shared.root.lock());
        *self.shared.faults.lock() = Faults::default();
        self.shared.wipes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often there was an empty disk instead.
    pub(crate) fn wipes(&self) -> u64 {
        self.shared.wipes.load(Ordering::Relaxed)
    }

    /// Shows the segments of the log in a directory as one: the offset that it begins at, and what is
    /// in it. Nothing if there is no log.
    pub(crate) fn with_log<T>(
        &self,
        dir: &str,
        view: View,
        look: impl FnOnce(i64, &[u8]) -> T,
    ) -> Option<T> {
        let root = Arc::clone(&self.shared.root.lock());
        Self::with_log_of(root, dir, view, look)
    }

    /// The same, of the disk that was there before this one: what it had for certain.
    pub(crate) fn with_lost_log<T>(
        &self,
        dir: &str,
        look: impl FnOnce(i64, &[u8]) -> T,
    ) -> Option<T> {
        let root = Arc::clone(&self.shared.lost.lock());
        Self::with_log_of(root, dir, View::Durable, look)
    }

    /// Nobody counts on the disk before this one any more.
    pub(crate) fn forget_lost(&self) {
        *self.shared.lost.lock() = Arc::default();
    }

    fn with_log_of<T>(
        root: Arc<Dir>,
        dir: &str,
        view: View,
        look: impl FnOnce(i64, &[u8]) -> T,
    ) -> Option<T> {
        let Node::Dir(dir) = find_below(root, Path::new(dir), view)? else { return None };
        let entries = dir.0.lock();
        let segment = |(name, node): (&String, &Node)| match node {
            Node::File(content) => {
                Some((name.strip_suffix(".log")?.parse::<i64>().ok()?, Arc::clone(content)))
            }
            Node::Dir(_) => None,
        };
        let segments: Vec<_> = entries.of(view).iter().filter_map(segment).collect();
        let base = segments.first()?.0;
        if let [(_, only)] = &segments[..] {
            return Some(look(base, only.lock().of(view)));
        }
        let all = segments.iter().flat_map(|(_, content)| content.lock().of(view).to_vec());
        Some(look(base, &all.collect::<Vec<u8>>()))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        *self.shared.faults.lock() = faults;
    }

    pub(crate) fn faults(&self) -> Faults {
        *self.shared.faults.lock()
    }

    /// The time of the next sync of records.
    pub(crate) fn sync_time(&self, chance: &Chance) -> Duration {
        let usual_us = self.shared.sync_ms * 1000;
        let most_us = (usual_us * 3 / 2).max(self.faults().sync_ms_max * 1000).max(500);
        Duration::from_micros(chance.between((usual_us / 2).max(50), most_us))
    }

    /// All files below a path, with what is in them.
    pub(crate) fn files_below(&self, path: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        if let Some(Node::Dir(dir)) = self.find(Path::new(path)) {
            dir.collect("", &mut files);
        }
        files
    }

    /// Flips one bit of a file that is at rest; answers where, if there is such a file.
    pub(crate) fn flip_a_bit(
        &self,
        chance: &Chance,
        is_meant: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let files = self.files_below("/");
        let meant: Vec<_> = files
            .into_iter()
            .filter(|(name, content)| is_meant(name) && !content.is_empty())
            .collect();
        if meant.is_empty() {
            return None;
        }
        let (name, content) = &meant[chance.index(meant.len())];
        let at = chance.index(content.len());
        let bit = 1_u8 << chance.index(8);
        let in_batch = place_in_batch(content, at);
        let Some(Node::File(file)) = self.find(&Path::new("/").join(name)) else { return None };
        let mut file = file.lock();
        file.now[at] ^= bit;
        if let Some(byte) = file.durable.get_mut(at) {
            *byte ^= bit;
        }
        Some(format!("{name} at {at}, byte {in_batch} of its batch,"))
    }

    fn find(&self, path: &Path) -> Option<Node> {
        let root = Arc::clone(&self.shared.root.lock());
        find_below(root, path, View::Now)
    }

    fn dir(&self, path: &Path) -> io::Result<Arc<Dir>> {
        match self.find(path) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The directory that a path is in, and its last name there.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(Arc<Dir>, &'a str)> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.dir(path.parent().unwrap_or(Path::new("/")))?, name))
    }
}

fn find_below(root: Arc<Dir>, path: &Path, view: View) -> Option<Node> {
    let mut node = Node::Dir(root);
    for name in names(path) {
        let Node::Dir(dir) = node else { return None };
        node = dir.0.lock().of(view).get(name)?.clone();
    }
    Some(node)
}

fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

impl Dir {
    fn cut_power(&self, chance: &Chance, is_ordered: bool) {
        let mut entries = self.0.lock();
        entries.now = entries.durable.clone();
        for node in entries.now.values() {
            match node {
                Node::Dir(dir) => dir.cut_power(chance, is_ordered),
                Node::File(content) => content.lock().cut_power(chance, is_ordered),
            }
        }
    }

    fn sync_all(&self) {
        let mut entries = self.0.lock();
        entries.durable = entries.now.clone();
        for node in entries.now.values() {
            match node {
                Node::Dir(dir) => dir.sync_all(),
                Node::File(content) => content.lock().sync(),
            }
        }
    }

    fn collect(&self, path: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        for (name, node) in &self.0.lock().now {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match node {
                Node::Dir(dir) => dir.collect(&path, files),
                Node::File(content) => {
                    files.insert(path, content.lock().now.clone());
                }
            }
        }
    }
}

impl Entries {
    fn of(&self, view: View) -> &BTreeMap<String, Node> {
        match view {
            View::Now => &self.now,
            View::Durable => &self.durable,
        }
    }
}

/// Which byte of its batch a byte of a log is. Those before the 21st are outside of the checksum.
fn place_in_batch(log: &[u8], at: usize) -> usize {
    let mut begin = 0;
    while let Some(len) = log.get(begin + 8..begin + 12) {
        let len = u32::from_be_bytes(len.try_into().expect("these are four bytes")) as usize;
        if at < begin + 12 + len {
            break;
        }
        begin += 12 + len;
    }
    at - begin
}

/// The disk in the hands of one process.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    platter: Platter,
    life: u64,
}

impl SimDisk {
    fn check(&self) -> io::Result<()> {
        if self.platter.shared.life.load(Ordering::Relaxed) != self.life {
            return Err(io::Error::other("the process has ended"));
        }
        Ok(())
    }

    fn check_write(&self) -> io::Result<()> {
        self.check()?;
        if self.platter.faults().is_broken {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }

    fn note(&self, what: &str, bytes: &[u8]) {
        self.platter.shared.trace.note(&self.platter.shared.name, &[]);
        self.platter.shared.trace.note(what, bytes);
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.check()?;
        let (dir, name) = self.platter.place(path)?;
        let mut entries = dir.0.lock();
        let content = match (entries.now.get(name), mode) {
            (Some(Node::Dir(_)), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::File(content)), _) => Arc::clone(content),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                self.check_write()?;
                let content = Arc::<Mutex<Content>>::default();
                entries.now.insert(name.to_owned(), Node::File(Arc::clone(&content)));
                content
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimFile { content, disk: self.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.check_write()?;
        let mut dir = Arc::clone(&self.platter.shared.root.lock());
        for name in names(path) {
            let made = || Node::Dir(Arc::default());
            let node = dir.0.lock().now.entry(name.to_owned()).or_insert_with(made).clone();
            let Node::Dir(next) = node else { return Err(io::ErrorKind::NotADirectory.into()) };
            dir = next;
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.check()?;
        let dir = self.platter.dir(path)?;
        let entries = dir.0.lock();
        let entry = |(name, node): (&String, &Node)| Entry {
            name: name.clone(),
            is_dir: matches!(node, Node::Dir(_)),
        };
        Ok(entries.now.iter().map(entry).collect())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.check()?;
        match self.platter.find(path) {
            Some(Node::File(content)) => Ok(content.lock().now.len() as u64),
            Some(Node::Dir(_)) => Ok(0),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_write()?;
        let (dir, name) = self.platter.place(from)?;
        let (target, new) = self.platter.place(to)?;
        let node = dir.0.lock().now.remove(name).ok_or(io::ErrorKind::NotFound)?;
        target.0.lock().now.insert(new.to_owned(), node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.check_write()?;
        let (dir, name) = self.platter.place(path)?;
        let removed = dir.0.lock().now.remove(name);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check_write()?;
        let dir = self.platter.dir(path)?;
        let mut entries = dir.0.lock();
        entries.durable = entries.now.clone();
        Ok(())
    }

    fn sync_filesystem(&self, _path: &Path) -> io::Result<()> {
        self.check_write()?;
        self.platter.shared.root.lock().sync_all();
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let usable = if self.platter.faults().is_full { 0 } else { 1 << 40 };
        Ok(Space { total: 1 << 41, usable })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        // The process before has ended, or its disk would not be ours.
        self.open(path, OpenMode::Create).map(Some)
    }
}

#[derive(Debug)]
struct SimFile {
    content: Arc<Mutex<Content>>,
    disk: SimDisk,
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.disk.check()?;
        let content = self.content.lock();
        let from = content.now.len().min(usize::try_from(position).unwrap_or(usize::MAX));
        let len = bytes.len().min(content.now.len() - from);
        bytes[..len].copy_from_slice(&content.now[from..from + len]);
        Ok(len)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.disk.check_write()?;
        let position = usize::try_from(position).map_err(io::Error::other)?;
        let mut content = self.content.lock();
        let mut taken = bytes;
        if self.disk.platter.faults().is_full && position + bytes.len() > content.now.len() {
            // It takes a part before it refuses.
            taken = &bytes[..bytes.len() / 2];
        }
        content.write(taken, position);
        self.disk.note("write", taken);
        if taken.len() < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn write_all_parts_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        // One call to the system, which fills each page at once.
        self.write_all_at(&parts.concat(), position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check_write()?;
        self.disk.note("sync", &[]);
        self.content.lock().sync();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check_write()?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.content.lock().set_len(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.check()?;
        Ok(self.content.lock().now.len() as u64)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_has_nothing_without_what_was_written_to_it_before() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut content = Content::default();
            content.write(&[1; 600], 0);
            content.sync();
            content.write(&[2; 200], 600);
            content.write(&[3; 600], 800);
            content.cut_power(&Chance::of(seed, 0), false);
            let left = content.durable;
            assert_eq!(left[..600], [1; 600], "what was synced is there");
            let at = |position: usize| left.get(position).copied().unwrap_or(0);
            seen.insert((at(600), at(800), at(1023), at(1024)));
            assert!((600..800).all(|position| at(position) == at(600)));
            assert!(at(800) == 0 || at(600) == 2, "seed {seed}");
        }
        // Nothing, one, both; and the next sector with or without them.
        let all = [(0, 0, 0), (2, 0, 0), (2, 3, 3)];
        let all = all.iter().flat_map(|(a, b, c)| [(*a, *b, *c, 0), (*a, *b, *c, 3)]);
        assert_eq!(seen, all.collect());
    }
}
