//! Producer snapshots and the index of aborted transactions.

use std::io::Write;
use std::path::Path;

use kalda_storage::AbortedTxn;
use kalda_storage::producers::snapshot;

use super::read;
use crate::failure::{Failure, Outcome};

pub(super) fn dump_aborted(path: &Path, output: &mut impl Write) -> Outcome {
    for bytes in read(path)?.as_chunks::<{ AbortedTxn::BYTES }>().0 {
        let Some(aborted) = AbortedTxn::decode(bytes) else {
            let path = path.display();
            return Err(Failure::Message(format!("{path} has an entry of an unknown version")));
        };
        writeln!(
            output,
            "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            aborted.producer_id,
            aborted.first_offset,
            aborted.last_offset,
            aborted.last_stable_offset
        )?;
    }
    Ok(())
}

pub(super) fn dump_producers(path: &Path, output: &mut impl Write) -> Outcome {
    let producers = snapshot::decode(&read(path)?)
        .map_err(|error| Failure::Message(format!("{}: {error}", path.display())))?;
    for (id, entry) in producers.iter() {
        let transaction = entry.current_txn_first_offset;
        let transaction = transaction.map_or_else(
            || "OptionalLong.empty".to_owned(),
            |offset| format!("OptionalLong[{offset}]"),
        );
        write!(
            output,
            "producerId: {id} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {transaction} lastTimestamp: {} ",
            entry.epoch, entry.coordinator_epoch, entry.last_timestamp
        )?;
        if let Some(batch) = entry.batches.back() {
            write!(
                output,
                "firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                batch.first_sequence(),
                batch.last_sequence,
                batch.last_offset,
                batch.offset_delta,
                batch.timestamp
            )?;
        }
        writeln!(output)?;
    }
    Ok(())
}
