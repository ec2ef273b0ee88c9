//! The entries of the three indexes of a segment, as Kafka lays them out.

use kalda_model::{Offset, ProducerId};

/// One entry of the offset index: the batch at `position` ends with the offset `base + relative`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetEntry {
    /// Last offset of the batch, minus the segment's base.
    pub relative_offset: i32,
    /// Where the batch begins in the log file, in bytes.
    pub position: i32,
}

impl OffsetEntry {
    /// Bytes of an entry.
    pub const BYTES: usize = 8;

    /// Reads an entry.
    #[must_use]
    pub fn decode(bytes: &[u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = *bytes;
        Self {
            relative_offset: i32::from_be_bytes([a, b, c, d]),
            position: i32::from_be_bytes([e, f, g, h]),
        }
    }

    /// Writes an entry.
    #[must_use]
    pub fn encode(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }
}

/// One entry of the time index: no record up to `base + relative` is newer than `timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeEntry {
    /// The largest timestamp so far, in ms.
    pub timestamp: i64,
    /// Last offset of the batch that has it, minus the segment's base.
    pub relative_offset: i32,
}

impl TimeEntry {
    /// Bytes of an entry.
    pub const BYTES: usize = 12;

    /// Reads an entry.
    #[must_use]
    pub fn decode(bytes: &[u8; 12]) -> Self {
        let (timestamp, offset) = bytes.split_at(8);
        Self {
            timestamp: i64::from_be_bytes(timestamp.try_into().expect("eight bytes")),
            relative_offset: i32::from_be_bytes(offset.try_into().expect("four bytes")),
        }
    }

    /// Writes an entry.
    #[must_use]
    pub fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes
    }
}

/// One aborted transaction (Kafka's `AbortedTxn`, version 0).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first offset.
    pub first_offset: Offset,
    /// The offset of its abort marker.
    pub last_offset: Offset,
    /// The last stable offset when the marker was written.
    pub last_stable_offset: Offset,
}

impl AbortedTxn {
    /// Bytes of an entry.
    pub const BYTES: usize = 34;

    /// Reads an entry; `None` for another version.
    #[must_use]
    pub fn decode(bytes: &[u8; 34]) -> Option<Self> {
        let field = |index: usize| {
            let at = 2 + 8 * index;
            i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
        };
        (bytes[..2] == [0, 0]).then(|| Self {
            producer_id: ProducerId(field(0)),
            first_offset: Offset(field(1)),
            last_offset: Offset(field(2)),
            last_stable_offset: Offset(field(3)),
        })
    }

    /// Writes an entry.
    #[must_use]
    pub fn encode(self) -> [u8; 34] {
        let fields = [
            self.producer_id.0,
            self.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ];
        let mut bytes = [0; 34];
        for (index, field) in fields.into_iter().enumerate() {
            bytes[2 + 8 * index..][..8].copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_round_trip() {
        let entry = OffsetEntry { relative_offset: 7, position: 4096 };
        assert_eq!(entry.encode(), [0, 0, 0, 7, 0, 0, 16, 0]);
        assert_eq!(OffsetEntry::decode(&entry.encode()), entry);
        let entry = TimeEntry { timestamp: 1_700_000_000_000, relative_offset: 9 };
        assert_eq!(TimeEntry::decode(&entry.encode()), entry);
        let entry = AbortedTxn {
            producer_id: ProducerId(5),
            first_offset: Offset(10),
            last_offset: Offset(20),
            last_stable_offset: Offset(21),
        };
        assert_eq!(AbortedTxn::decode(&entry.encode()), Some(entry));
        assert_eq!(AbortedTxn::decode(&[1; 34]), None);
    }
}
