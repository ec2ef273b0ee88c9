//! Offset and time indexes: their entries, and whether they agree with the segment.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kalda_records::{BATCH_OVERHEAD, BatchHeader};

use super::{Findings, IndexMode, base_offset, read, unreadable};
use crate::failure::{Failure, Outcome};

/// Relative offset and position.
const OFFSET_ENTRY_BYTES: usize = 8;
/// Timestamp and relative offset.
const TIME_ENTRY_BYTES: usize = 12;

pub(super) fn dump_offsets(
    path: &Path,
    mode: IndexMode,
    output: &mut impl Write,
    findings: &mut Findings,
) -> Outcome {
    let base = base_offset(path)?;
    let bytes = read(path)?;
    let name = path.display().to_string();
    let entries: Vec<(i64, u32)> = bytes
        .chunks_exact(OFFSET_ENTRY_BYTES)
        .map(|entry| (base + i64::from(int(&entry[..4])), int(&entry[4..]).cast_unsigned()))
        .collect();
    if entries.is_empty() {
        return Ok(writeln!(output, "{name} is empty.")?);
    }
    if mode == IndexMode::SanityOnly {
        check_size(&name, bytes.len(), OFFSET_ENTRY_BYTES)?;
        return Ok(writeln!(output, "{name} passed sanity check.")?);
    }
    let log = path.with_extension("log");
    let file = File::open(&log).map_err(|error| unreadable(&log, &error))?;
    for (index, (offset, position)) in entries.into_iter().enumerate() {
        // The rest of a preallocated file is zero.
        if offset == base && index > 0 {
            break;
        }
        let found = last_offset_at(&file, u64::from(position));
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
        check_size(&name, bytes.len(), TIME_ENTRY_BYTES)?;
        return Ok(writeln!(output, "{name} passed sanity check.")?);
    }
    let mut before = None;
    for (index, entry) in bytes.chunks_exact(TIME_ENTRY_BYTES).enumerate() {
        let (high, low) = (int(&entry[..4]), int(&entry[4..8]).cast_unsigned());
        let timestamp = (i64::from(high) << 32) | i64::from(low);
        let offset = base + i64::from(int(&entry[8..]));
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

fn int(bytes: &[u8]) -> i32 {
    bytes.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes))
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
