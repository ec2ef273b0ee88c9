//! Producer snapshots and the index of aborted transactions.

use std::io::Write;
use std::path::Path;

use bytes::Buf;
use kalda_records::crc32c;

use super::read;
use crate::failure::{Failure, Outcome};

/// Version, producer id, first and last offset, last stable offset.
const ABORTED_ENTRY_BYTES: usize = 34;
/// What stands before the bytes that the checksum covers: version and checksum.
const SNAPSHOT_HEAD_BYTES: usize = 6;
/// One producer in a snapshot.
const PRODUCER_ENTRY_BYTES: usize = 46;

pub(super) fn dump_aborted(path: &Path, output: &mut impl Write) -> Outcome {
    for mut entry in read(path)?.chunks_exact(ABORTED_ENTRY_BYTES) {
        let (version, producer) = (entry.get_i16(), entry.get_i64());
        let (first, last, stable) = (entry.get_i64(), entry.get_i64(), entry.get_i64());
        writeln!(
            output,
            "version: {version} producerId: {producer} firstOffset: {first} lastOffset: {last} lastStableOffset: {stable}"
        )?;
    }
    Ok(())
}

pub(super) fn dump_producers(path: &Path, output: &mut impl Write) -> Outcome {
    let bytes = read(path)?;
    let corrupt = |why: &str| Failure::Message(format!("Snapshot {}: {why}", path.display()));
    if bytes.len() < SNAPSHOT_HEAD_BYTES + 4 {
        return Err(corrupt("the file is too short"));
    }
    let mut input = &bytes[..];
    let (version, stored) = (input.get_i16(), input.get_u32());
    if !(1..=2).contains(&version) {
        return Err(corrupt(&format!("contains an unknown snapshot version {version}")));
    }
    let computed = crc32c(input);
    if stored != computed {
        return Err(corrupt(&format!(
            "is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
        )));
    }
    let count = usize::try_from(input.get_i32()).unwrap_or(0);
    if input.len() < count.saturating_mul(PRODUCER_ENTRY_BYTES) {
        return Err(corrupt("the file is shorter than its entries"));
    }
    for mut entry in input.chunks_exact(PRODUCER_ENTRY_BYTES).take(count) {
        let (producer, epoch) = (entry.get_i64(), entry.get_i16());
        let (last_sequence, last_offset) = (entry.get_i32(), entry.get_i64());
        let (delta, timestamp) = (entry.get_i32(), entry.get_i64());
        let (coordinator_epoch, transaction) = (entry.get_i32(), entry.get_i64());
        let transaction = if transaction < 0 {
            "OptionalLong.empty".to_owned()
        } else {
            format!("OptionalLong[{transaction}]")
        };
        write!(
            output,
            "producerId: {producer} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} currentTxnFirstOffset: {transaction} lastTimestamp: {timestamp} "
        )?;
        if last_offset >= 0 {
            let first_sequence = sequence_minus(last_sequence, delta);
            write!(
                output,
                "firstSequence: {first_sequence} lastSequence: {last_sequence} lastOffset: {last_offset} offsetDelta: {delta} timestamp: {timestamp}"
            )?;
        }
        writeln!(output)?;
    }
    Ok(())
}

/// The sequence `count` before; 0 follows the largest.
fn sequence_minus(sequence: i32, count: i32) -> i32 {
    if sequence >= count { sequence - count } else { i32::MAX - (count - sequence) + 1 }
}
