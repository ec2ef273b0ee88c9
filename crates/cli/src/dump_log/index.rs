//! Offset and time indexes: their entries, and whether they agree with the segment.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kalda_records::{BATCH_OVERHEAD, BatchHeader};
use kalda_storage::{OffsetEntry, TimeEntry};

use super::{Findings, IndexMode, base_offset, read, unreadable};
use crate::failure::{Failure, Outcome};

pub(super) fn dump_offsets(
    path: &Path,
    mode: IndexMode,
    output: &mut impl Write,
    findings: &mut Findings,
) -> Outcome {
    let base = base_offset(path)?;
    let bytes = read(path)?;
    let name = path.display().to_string();
    let entries: Vec<(i64, u64)> = bytes
        .as_chunks::<{ OffsetEntry::BYTES }>()
        .0
        .iter()
        .map(OffsetEntry::decode)
        .map(|entry| {
            let position = u64::from(entry.position.cast_unsigned());
            (base + i64::from(entry.relative_offset), position)
        })
        .collect();
    if entries.is_empty() {
        return Ok(writeln!(output, "{name} is empty.")?);
    }
    if mode == IndexMode::SanityOnly {
        check_size(&name, bytes.len(), OffsetEntry::BYTES)?;
        return Ok(writeln!(output, "{name} passed sanity check.")?);
    }
    let log = path.with_extension("log");
    let file = File::open(&log).map_err(|error| unreadable(&log, &error))?;
    for (index, (offset, position)) in entries.into_iter().enumerate() {
        // The rest of a preallocated file is zero.
        if offset == base && index > 0 {
            break;
        }
        let found = last_offset_at(&file, position);
        if found != Some(offset) {
            let pair = (offset, found.unwrap_or(-1));
            findings.index_mismatches.entry(name.clone()).or_default().push(pair);
        }
        if mode == IndexMode::Print {
            writeln!(output, "offset: {offset} position: {position}")?;
        }
    }
    Ok(())
}

pub(super) fn dump_times(
    path: &Path,
    mode: IndexMode,
    output: &mut impl Write,
    findings: &mut Findings,
) -> Outcome {
    let base = base_offset(path)?;
    let bytes = read(path)?;
    let name = path.display().to_string();
    if mode == IndexMode::SanityOnly {
        check_size(&name, bytes.len(), TimeEntry::BYTES)?;
        return Ok(writeln!(output, "{name} passed sanity check.")?);
    }
    let mut before = None;
    let (entries, _) = bytes.as_chunks::<{ TimeEntry::BYTES }>();
    for (index, entry) in entries.iter().map(TimeEntry::decode).enumerate() {
        let (timestamp, offset) = (entry.timestamp, base + i64::from(entry.relative_offset));
        if offset == base && index > 0 {
            break;
        }
        if let Some(before) = before.filter(|before| *before > timestamp) {
            let pair = (timestamp, before);
            findings.out_of_order_times.entry(name.clone()).or_default().push(pair);
        }
        before = Some(timestamp);
        if mode == IndexMode::Print {
            writeln!(output, "timestamp: {timestamp} offset: {offset}")?;
        }
    }
    Ok(())
}

fn check_size(name: &str, size: usize, entry: usize) -> Outcome {
    if size.is_multiple_of(entry) {
        return Ok(());
    }
    Err(Failure::Message(format!(
        "Index file {name} is corrupt, found {size} bytes which is neither positive nor a multiple of {entry}."
    )))
}

/// The last offset of the batch at a position; `None` where there is none.
fn last_offset_at(file: &File, position: u64) -> Option<i64> {
    let mut header = [0; BATCH_OVERHEAD];
    file.read_exact_at(&mut header, position).ok()?;
    BatchHeader::peek(&header).ok().map(|header| header.last_offset().0)
}
