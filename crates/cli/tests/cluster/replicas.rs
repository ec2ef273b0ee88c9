//! The copies of a partition on the disks of the nodes: the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kalda_records::BatchIter;

use crate::PATIENCE;
use crate::process::pause;

/// The log of one replica, segments put together.
struct Copy {
    start: i64,
    bytes: Vec<u8>,
}

impl Copy {
    fn read(dir: &Path) -> Self {
        let mut segments = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let base: i64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                segments.insert(base, path);
            }
        }
        let start = segments.first_key_value().map_or(0, |(base, _)| *base);
        let bytes = segments.into_values().flat_map(|path| fs::read(path).unwrap()).collect();
        Self { start, bytes }
    }

    /// The bytes from an offset on.
    fn from(&self, offset: i64) -> &[u8] {
        if offset == self.start {
            return &self.bytes;
        }
        let before = BatchIter::new(&self.bytes).map_while(Result::ok);
        let before = before.take_while(|batch| batch.base_offset().0 < offset);
        &self.bytes[before.map(|batch| batch.size()).sum()..]
    }
}

/// Directories of partitions, by name, with where they are.
fn partitions(data: &[PathBuf]) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for data in data {
        for entry in fs::read_dir(data).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let index = name.rsplit_once('-').map(|(_, index)| index.parse::<u32>());
            if path.is_dir() && matches!(index, Some(Ok(_))) {
                found.entry(name).or_default().push(path);
            }
        }
    }
    found
}

/// Waits until all copies of everything are equal, while nobody writes; what the nodes write for
/// themselves may be on its way. Answers how many partitions and bytes that was.
pub(crate) fn wait_until_equal(data: &[PathBuf], topics: &BTreeSet<&str>) -> (usize, usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let differences = compare(data, topics);
        match differences {
            Ok(compared) => return compared,
            Err(said) => assert!(Instant::now() < deadline, "{said}"),
        }
        pause(Duration::from_millis(100));
    }
}

fn compare(data: &[PathBuf], topics: &BTreeSet<&str>) -> Result<(usize, usize), String> {
    let (mut count, mut bytes) = (0, 0);
    for (name, dirs) in partitions(data) {
        let topic = name.rsplit_once('-').map_or("", |(topic, _)| topic);
        let is_at_rest = topics.contains(topic);
        if !is_at_rest && !topic.starts_with("__") {
            continue;
        }
        if dirs.len() < data.len() {
            return Err(format!("{name} is only in {dirs:?}"));
        }
        let copies: Vec<Copy> = dirs.iter().map(|dir| Copy::read(dir)).collect();
        let start = copies.iter().map(|copy| copy.start).max().unwrap_or(0);
        let copies: Vec<&[u8]> = copies.iter().map(|copy| copy.from(start)).collect();
        let common = copies.iter().map(|copy| copy.len()).min().unwrap_or(0);
        for (copy, dir) in copies.iter().zip(&dirs) {
            if let Some(at) = (0..common).find(|at| copy[*at] != copies[0][*at]) {
                let [one, other] = [copies[0], copy].map(|copy| batch_around(copy, at));
                return Err(format!(
                    "{name} from {start} differs at byte {at}: {} has {one}, {} has {other}",
                    dirs[0].display(),
                    dir.display()
                ));
            }
            if is_at_rest && copy.len() != common {
                let lengths: Vec<_> = copies.iter().map(|copy| copy.len()).collect();
                return Err(format!("{name} from {start} has {lengths:?} bytes in {dirs:?}"));
            }
        }
        count += 1;
        bytes += common;
    }
    Ok((count, bytes))
}

fn batch_around(copy: &[u8], at: usize) -> String {
    let mut position = 0;
    for batch in BatchIter::new(copy).map_while(Result::ok) {
        position += batch.size();
        if position > at {
            return format!("{batch:?}");
        }
    }
    "no batch".to_owned()
}
