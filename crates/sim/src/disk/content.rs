//! What is in one file: what the process sees of it, what is durable, and what a power cut makes of the
//! difference.

use std::collections::BTreeMap;

use super::View;
use crate::chance::Chance;

/// What is written at once or not at all.
const BLOCK: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) now: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// What was changed since the last sync.
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Content {
    pub(super) fn of(&self, view: View) -> &[u8] {
        match view {
            View::Now => &self.now,
            View::Durable => &self.durable,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: usize) {
        write(&mut self.now, bytes, position);
        self.changes.push(Change::Write(position, bytes.to_vec()));
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.now.resize(len, 0);
        self.changes.push(Change::Len(len));
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Write(position, bytes) => write(&mut self.durable, &bytes, position),
                Change::Len(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// Leaves what was synced, and of the rest what the disk got to.
    pub(super) fn cut_power(&mut self, chance: &Chance, is_ordered: bool) {
        let changes = std::mem::take(&mut self.changes);
        match is_ordered {
            true => self.keep_first(changes, chance),
            false => self.keep_sectors(&changes, chance),
        }
        self.now = self.durable.clone();
    }

    /// Keeps the first changes and some blocks of the next one.
    fn keep_first(&mut self, changes: Vec<Change>, chance: &Chance) {
        let whole = chance.index(changes.len() + 1);
        for (number, change) in changes.into_iter().enumerate() {
            match change {
                Change::Write(position, bytes) if number < whole => {
                    write(&mut self.durable, &bytes, position);
                }
                Change::Len(len) if number < whole => self.durable.resize(len, 0),
                Change::Write(position, bytes) if number == whole => {
                    for (at, block) in blocks(position, &bytes) {
                        if chance.percent(50) {
                            write(&mut self.durable, block, at);
                        }
                    }
                }
                Change::Write(..) | Change::Len(_) => {}
            }
        }
    }

    /// Keeps of each block what was written to it up to some moment: a disk is given blocks as they are in
    /// memory, so that nothing is in them without what was written there before. Cuts are lost.
    fn keep_sectors(&mut self, changes: &[Change], chance: &Chance) {
        let pieces = || {
            let writes = changes.iter().filter_map(|change| match change {
                Change::Write(position, bytes) => Some((*position, &bytes[..])),
                Change::Len(_) => None,
            });
            writes.flat_map(|(position, bytes)| blocks(position, bytes))
        };
        let mut left = BTreeMap::<usize, usize>::new();
        for (at, _) in pieces() {
            *left.entry(at / BLOCK).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = chance.index(*count + 1);
        }
        for (at, block) in pieces() {
            let left = left.get_mut(&(at / BLOCK)).expect("each piece was counted");
            if *left > 0 {
                *left -= 1;
                write(&mut self.durable, block, at);
            }
        }
    }
}

fn write(content: &mut Vec<u8>, bytes: &[u8], position: usize) {
    let end = position + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[position..end].copy_from_slice(bytes);
}

/// Bytes cut where the blocks of the disk begin.
fn blocks(mut position: usize, mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut cut = Vec::new();
    while !bytes.is_empty() {
        let len = bytes.len().min(BLOCK - position % BLOCK);
        cut.push((position, &bytes[..len]));
        position += len;
        bytes = &bytes[len..];
    }
    cut
}
