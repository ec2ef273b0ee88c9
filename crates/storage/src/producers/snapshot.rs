//! The `.snapshot` file: producers as they were at the offset in its name (Kafka's
//! `ProducerSnapshot`, version 1). Of each producer only the last batch is kept.

use std::collections::VecDeque;
use std::fmt;

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_records::{NO_SEQUENCE, crc32c};

use super::{ProducerEntry, Producers, RememberedBatch};

const VERSION: i16 = 1;
/// Version and CRC; what follows is under the CRC.
const CRC_END: usize = 6;
const ENTRIES_AT: usize = 10;
const ENTRY_BYTES: usize = 46;

/// Why a snapshot cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MalformedSnapshot {
    /// Another version.
    Version(i16),
    /// The checksum does not fit.
    Crc,
    /// The length does not fit the number of entries.
    Length,
}

impl fmt::Display for MalformedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version} of a producer snapshot"),
            Self::Crc => f.write_str("the checksum of a producer snapshot does not fit"),
            Self::Length => f.write_str("the length of a producer snapshot does not fit"),
        }
    }
}

impl std::error::Error for MalformedSnapshot {}

/// The bytes of a snapshot.
#[must_use]
pub fn encode(producers: &Producers) -> Vec<u8> {
    let entries = producers.iter();
    let mut bytes = Vec::with_capacity(ENTRIES_AT + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(entries.len() as i32).to_be_bytes());
    for (id, entry) in entries {
        let last = entry.batches.back();
        let last_offset = last.map_or(-1, |batch| batch.last_offset.0);
        let first_txn_offset = entry.current_txn_first_offset.map_or(-1, |offset| offset.0);
        bytes.extend_from_slice(&id.0.to_be_bytes());
        bytes.extend_from_slice(&entry.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&entry.last_sequence().to_be_bytes());
        bytes.extend_from_slice(&last_offset.to_be_bytes());
        bytes.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        bytes.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&first_txn_offset.to_be_bytes());
    }
    let crc = crc32c(&bytes[CRC_END..]);
    bytes[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads the bytes of a snapshot.
///
/// # Errors
/// Bytes that are not a whole snapshot.
pub fn decode(bytes: &[u8]) -> Result<Producers, MalformedSnapshot> {
    let mut rest = bytes;
    let version = i16::from_be_bytes(take(&mut rest)?);
    if version != VERSION {
        return Err(MalformedSnapshot::Version(version));
    }
    let crc = u32::from_be_bytes(take(&mut rest)?);
    if crc != crc32c(rest) {
        return Err(MalformedSnapshot::Crc);
    }
    let count = i32::from_be_bytes(take(&mut rest)?);
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY_BYTES))
        != Some(rest.len())
    {
        return Err(MalformedSnapshot::Length);
    }
    let mut producers = Producers::default();
    for _ in 0..count {
        let (id, entry) = decode_entry(&mut rest)?;
        producers.restore(id, entry);
    }
    Ok(producers)
}

fn decode_entry(rest: &mut &[u8]) -> Result<(ProducerId, ProducerEntry), MalformedSnapshot> {
    let id = ProducerId(i64::from_be_bytes(take(rest)?));
    let epoch = ProducerEpoch(i16::from_be_bytes(take(rest)?));
    let last_sequence = i32::from_be_bytes(take(rest)?);
    let last_offset = i64::from_be_bytes(take(rest)?);
    let offset_delta = i32::from_be_bytes(take(rest)?);
    let timestamp = i64::from_be_bytes(take(rest)?);
    let coordinator_epoch = i32::from_be_bytes(take(rest)?);
    let first_txn_offset = i64::from_be_bytes(take(rest)?);
    let mut batches = VecDeque::with_capacity(1);
    if last_offset >= 0 && last_sequence > NO_SEQUENCE && offset_delta >= 0 {
        let last_offset = Offset(last_offset);
        batches.push_back(RememberedBatch { last_sequence, last_offset, offset_delta, timestamp });
    }
    let entry = ProducerEntry {
        epoch,
        batches,
        coordinator_epoch,
        last_timestamp: timestamp,
        current_txn_first_offset: (first_txn_offset >= 0).then_some(Offset(first_txn_offset)),
    };
    Ok((id, entry))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], MalformedSnapshot> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(MalformedSnapshot::Length)?;
    *rest = after;
    Ok(*taken)
}
