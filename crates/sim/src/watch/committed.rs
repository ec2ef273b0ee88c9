//! What is committed of one log, byte for byte: it never changes, it only grows.

use std::collections::BTreeMap;

use kalda_records::BatchIter;

/// The committed begin of a log, as the first node that said so had it.
#[derive(Debug)]
pub(crate) struct Committed {
    bytes: Vec<u8>,
    /// Where each batch ends: its next offset, and the byte behind it.
    ends: BTreeMap<i64, usize>,
}

impl Default for Committed {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: [(0, 0)].into() }
    }
}

/// A log, or a part of one, that a node has.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    /// Where it begins.
    pub(crate) base: i64,
    pub(crate) bytes: &'a [u8],
}

impl Committed {
    /// The end of what is known to be committed.
    pub(crate) fn end(&self) -> i64 {
        self.ends.last_key_value().map_or(0, |(end, _)| *end)
    }

    /// The byte behind the last batch that ends at or before `offset`.
    pub(crate) fn position(&self, offset: i64) -> usize {
        self.ends.range(..=offset).next_back().map_or(0, |(_, position)| *position)
    }

    /// The bytes from one position on.
    pub(crate) fn from(&self, position: usize) -> &[u8] {
        &self.bytes[position..]
    }

    /// A node says that all below `end` is committed, and has it here.
    pub(crate) fn grow(&mut self, end: i64, held: Held<'_>) -> Result<(), String> {
        let begin = self.end();
        if end <= begin {
            return Ok(());
        }
        let Some(start) = self.start(held) else {
            return Err(format!("it begins at {}, and {begin} is committed", held.base));
        };
        let known = self.bytes.len().checked_sub(start).ok_or("it begins behind all that is")?;
        let more = held.bytes.get(known..);
        let more = more.ok_or_else(|| format!("it lacks what is committed below {begin}"))?;
        let mut at = 0;
        for batch in BatchIter::new(more) {
            let batch = batch.map_err(|error| format!("behind {}: {error}", self.end()))?;
            let (base, next) = (batch.base_offset().0, batch.next_offset().0);
            if next > end {
                break;
            }
            if base != self.end() {
                return Err(format!("{base} comes where {} is next", self.end()));
            }
            self.bytes.extend_from_slice(&more[at..at + batch.size()]);
            at += batch.size();
            self.ends.insert(next, self.bytes.len());
            if next == end {
                return Ok(());
            }
        }
        Err(format!("it says that {end} is committed, and has only {}", self.end()))
    }

    /// Whether a log holds all that is committed between two positions.
    pub(crate) fn check(&self, held: Held<'_>, from: usize, to: usize) -> Result<(), String> {
        let Some(start) = self.start(held) else {
            return Err(format!("it begins at {}, where no batch does", held.base));
        };
        // What is before its begin stands in a snapshot.
        let from = from.max(start);
        if to <= from {
            return Ok(());
        }
        let mine = &self.bytes[from..to];
        let theirs = held.bytes.get(from - start..to - start);
        if theirs == Some(mine) {
            return Ok(());
        }
        let held = &held.bytes[held.bytes.len().min(from - start)..];
        let same = mine.iter().zip(held).take_while(|(mine, its)| mine == its).count();
        let offset = self.ends.iter().find(|(_, end)| **end > from + same);
        let offset = offset.map_or(0, |(offset, _)| *offset);
        Err(match theirs {
            Some(_) => format!("the batch before {offset} is another one"),
            None if same == held.len() => format!("it ends in the batch before {offset}"),
            None => format!("the batch before {offset} is another one, and it ends too early"),
        })
    }

    /// Where the begin of a log is in what is committed.
    fn start(&self, held: Held<'_>) -> Option<usize> {
        self.ends.get(&held.base).copied()
    }
}

#[cfg(test)]
mod tests {
    use kalda_model::Offset;
    use kalda_records::{BatchBuilder, BatchOptions};

    use super::*;

    fn batch(base_offset: i64) -> Vec<u8> {
        let base_offset = Offset(base_offset);
        let mut batch = BatchBuilder::new(BatchOptions { base_offset, ..BatchOptions::default() });
        batch.append(1, None, Some(b"value"), &[]);
        batch.build().unwrap().to_vec()
    }

    #[test]
    fn what_is_committed_is_looked_for_byte_by_byte() {
        let whole: Vec<u8> = (0..3).flat_map(batch).collect();
        let (len, held) = (whole.len() / 3, |base, bytes| Held { base, bytes });
        let mut log = Committed::default();
        log.grow(2, held(0, &whole)).unwrap();
        assert_eq!((log.end(), log.position(2)), (2, 2 * len));
        assert_eq!(log.check(held(0, &whole), 0, 2 * len), Ok(()));
        assert_eq!(log.check(held(1, &whole[len..]), 0, 2 * len), Ok(()), "the rest is a snapshot");
        assert!(log.check(held(0, &whole[..2 * len - 1]), 0, 2 * len).is_err(), "cut");
        assert!(log.check(held(5, &whole), 0, 2 * len).is_err(), "of other offsets");
        let mut other = whole.clone();
        other[len + 5] ^= 1;
        assert!(log.check(held(0, &other), 0, 2 * len).is_err(), "another byte");
        assert_eq!(log.check(held(0, &other), 0, len), Ok(()), "behind what is looked at");
        assert!(log.grow(4, held(0, &whole)).is_err(), "more than it has");
    }
}
