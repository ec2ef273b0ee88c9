//! Segments and metadata snapshots: a line for each batch, and one for each record if wanted.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use kalda_records::compression::decompress;
use kalda_records::{
    BATCH_OVERHEAD, BatchHeader, BatchView, Compression, ControlType, EndTxnMarker, NO_SEQUENCE,
    RecordIter, RecordView, TimestampType, sequence_plus,
};

use super::{
    Decoder, Depth, Findings, base_offset, group_json, metadata_json, transaction_json, unreadable,
};
use crate::failure::{Failure, Outcome};

/// The most bytes that one batch may decompress to.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

pub(super) fn dump(
    path: &Path,
    depth: Depth,
    output: &mut impl Write,
    findings: &mut Findings,
) -> Outcome {
    head(path, output)?;
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    let mut reader = Reader { input: BufReader::new(file), left: size.min(depth.bytes_max) };
    let mut position = 0;
    let mut last_offset = None;
    while let Some(bytes) = reader.next_batch().map_err(|error| unreadable(path, &error))? {
        let Ok(batch) = BatchView::new(&bytes) else { break };
        writeln!(output, "{}", batch_line(&batch, position))?;
        if depth.records {
            let mut pairs = Vec::new();
            dump_records(&batch, depth, output, &mut last_offset, &mut pairs)?;
            if !pairs.is_empty() {
                let name = path.display().to_string();
                findings.non_consecutive.entry(name).or_default().extend(pairs);
            }
        }
        position += bytes.len() as u64;
    }
    let trailing = size.min(depth.bytes_max) - position;
    if trailing > 0 && depth.bytes_max == i32::MAX as u64 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(output, "Found {trailing} invalid bytes at the end of {name}")?;
    }
    Ok(())
}

fn head(path: &Path, output: &mut impl Write) -> Outcome {
    let base = base_offset(path)?;
    if path.extension().is_some_and(|extension| extension == "checkpoint") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let epoch = name.split('-').nth(1).and_then(|epoch| epoch.parse::<i32>().ok());
        let epoch = epoch.ok_or_else(|| Failure::Message(format!("{name} names no epoch")))?;
        writeln!(output, "Snapshot end offset: {base}, epoch: {epoch}")?;
    } else {
        writeln!(output, "Log starting offset: {base}")?;
    }
    Ok(())
}

/// Reads batch by batch, and never more than the file has.
struct Reader<R> {
    input: R,
    left: u64,
}

impl<R: Read> Reader<R> {
    /// The bytes of the next batch; `None` where no whole batch follows.
    fn next_batch(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.left < BATCH_OVERHEAD as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; BATCH_OVERHEAD];
        self.input.read_exact(&mut bytes)?;
        let size = match BatchHeader::peek(&bytes) {
            Ok(header) if header.size as u64 <= self.left => header.size,
            _ => return Ok(None),
        };
        bytes.resize(size, 0);
        self.input.read_exact(&mut bytes[BATCH_OVERHEAD..])?;
        self.left -= size as u64;
        Ok(Some(bytes))
    }
}

fn time_name(batch: &BatchView<'_>) -> &'static str {
    match batch.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn batch_line(batch: &BatchView<'_>, position: u64) -> String {
    let horizon = batch.delete_horizon_ms();
    let horizon =
        horizon.map_or_else(|| "OptionalLong.empty".to_owned(), |ms| format!("OptionalLong[{ms}]"));
    let codec = batch.compression().map_or("unknown", Compression::name);
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} {}: {} size: {} magic: 2 compresscodec: {codec} crc: {} isvalid: {}",
        batch.base_offset(),
        batch.last_offset(),
        batch.count(),
        batch.base_sequence(),
        batch.last_sequence(),
        batch.producer_id(),
        batch.producer_epoch(),
        batch.leader_epoch(),
        batch.is_transactional(),
        batch.is_control(),
        time_name(batch),
        batch.max_timestamp(),
        batch.size(),
        batch.crc(),
        batch.is_intact(),
    )
}

fn dump_records(
    batch: &BatchView<'_>,
    depth: Depth,
    output: &mut impl Write,
    last_offset: &mut Option<i64>,
    gaps: &mut Vec<(i64, i64)>,
) -> Outcome {
    let corrupt = |why: String| {
        Failure::Message(format!("the batch at offset {} is damaged: {why}", batch.base_offset()))
    };
    let plain;
    let payload = match batch.compression() {
        None => return Err(corrupt("unknown codec".to_owned())),
        Some(Compression::None) => batch.payload(),
        Some(codec) => {
            plain = decompress(codec, batch.payload(), DECOMPRESSED_BYTES_MAX)
                .map_err(|error| corrupt(error.to_string()))?;
            &plain
        }
    };
    for record in RecordIter::new(payload, &batch.header()) {
        let record = record.map_err(|error| corrupt(error.to_string()))?;
        let offset = record.offset.0;
        if let Some(last) = last_offset.filter(|last| offset != last + 1) {
            gaps.push((last, offset));
        }
        *last_offset = Some(offset);
        output.write_all(&record_line(batch, &record, depth))?;
    }
    Ok(())
}

fn record_line(batch: &BatchView<'_>, record: &RecordView<'_>, depth: Depth) -> Vec<u8> {
    let mut line = Vec::new();
    if !depth.skip_record_metadata {
        line.push(b'|');
        line.extend(metadata(batch, record).into_bytes());
    }
    if depth.contents && !batch.is_control() {
        write_contents(record, depth.decoder, &mut line);
    }
    line.push(b'\n');
    line
}

fn write_contents(record: &RecordView<'_>, decoder: Decoder, line: &mut Vec<u8>) {
    let (key, payload) = match decoder {
        Decoder::Plain => (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)),
        Decoder::Metadata => {
            let json = metadata_json::record(record.value.unwrap_or_default());
            (None, Some(json.into_bytes()))
        }
        Decoder::Offsets => {
            let (key, payload) = group_json::record(record);
            (Some(key.into_bytes()), payload.map(String::into_bytes))
        }
        Decoder::Transactions => {
            let (key, payload) = transaction_json::record(record);
            (Some(key.into_bytes()), payload.map(String::into_bytes))
        }
    };
    // Kafka marks the line of a record without metadata only if it has a key.
    if line.is_empty() && key.is_some() {
        line.push(b'|');
    }
    for (name, bytes) in [(" key: ", key), (" payload: ", payload)] {
        if let Some(bytes) = bytes {
            line.extend_from_slice(name.as_bytes());
            line.extend(bytes);
        }
    }
}

fn metadata(batch: &BatchView<'_>, record: &RecordView<'_>) -> String {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let delta = i32::try_from(record.offset.0 - batch.base_offset().0).unwrap_or(0);
    let sequence = match batch.base_sequence() {
        NO_SEQUENCE => NO_SEQUENCE,
        base => sequence_plus(base, delta),
    };
    let keys: Vec<String> = record
        .headers()
        .map_while(Result::ok)
        .map(|header| String::from_utf8_lossy(header.key).into_owned())
        .collect();
    let mut text = format!(
        " offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset,
        time_name(batch),
        record.timestamp,
        size(record.key),
        size(record.value),
        keys.join(",")
    );
    if batch.is_control() {
        text.push_str(&control(record));
    }
    text
}

fn control(record: &RecordView<'_>) -> String {
    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
    let Some(kind) = ControlType::from_key(key) else { return " controlType: UNKNOWN".to_owned() };
    match kind {
        ControlType::Abort | ControlType::Commit => {
            let name = if kind == ControlType::Commit { "COMMIT" } else { "ABORT" };
            let epoch =
                EndTxnMarker::parse(key, value).map_or(-1, |marker| marker.coordinator_epoch);
            format!(" endTxnMarker: {name} coordinatorEpoch: {epoch}")
        }
        ControlType::LeaderChange => {
            format!(" LeaderChange: {}", metadata_json::control(kind, value))
        }
        ControlType::SnapshotHeader => {
            format!(" SnapshotHeader {}", metadata_json::control(kind, value))
        }
        ControlType::SnapshotFooter => {
            format!(" SnapshotFooter {}", metadata_json::control(kind, value))
        }
        ControlType::KRaftVersion => {
            format!(" KRaftVersion {}", metadata_json::control(kind, value))
        }
        ControlType::KRaftVoters => format!(" KRaftVoters {}", metadata_json::control(kind, value)),
        ControlType::Unknown(id) => format!(" controlType: UNKNOWN({id})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_model::Offset;
    use kalda_records::{BatchBuilder, BatchOptions, NewHeader};

    fn dumped(depth: Depth, bytes: &[u8]) -> (String, Findings) {
        let dir = std::env::temp_dir().join(format!("kalda-dump-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("{:020}.log", bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        let (mut output, mut findings) = (Vec::new(), Findings::default());
        dump(&path, depth, &mut output, &mut findings).unwrap();
        std::fs::remove_file(&path).unwrap();
        (String::from_utf8(output).unwrap(), findings)
    }

    const CONTENTS: Depth = Depth {
        records: true,
        contents: true,
        decoder: Decoder::Plain,
        skip_record_metadata: false,
        bytes_max: i32::MAX as u64,
    };

    fn batch(base: i64) -> Vec<u8> {
        let options = BatchOptions { base_offset: Offset(base), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let header = NewHeader { key: "h1", value: None };
        builder.append(1_795_216_876_152, Some(b"k"), Some(b"abc"), &[header]);
        builder.build().unwrap().to_vec()
    }

    #[test]
    fn lines_are_those_of_dump_log_segments() {
        let bytes = batch(0);
        let (size, crc) = (bytes.len(), BatchView::new(&bytes).unwrap().crc());
        let expected = format!(
            "Log starting offset: {size}\nbaseOffset: 0 lastOffset: 0 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: -1 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1795216876152 size: {size} magic: 2 compresscodec: none crc: {crc} isvalid: true\n| offset: 0 CreateTime: 1795216876152 keySize: 1 valueSize: 3 sequence: -1 headerKeys: [h1] key: k payload: abc\n"
        );
        assert_eq!(dumped(CONTENTS, &bytes).0, expected);
    }

    #[test]
    fn without_metadata_only_contents_are_left() {
        let depth = Depth { skip_record_metadata: true, ..CONTENTS };
        assert!(dumped(depth, &batch(1)).0.ends_with("\n| key: k payload: abc\n"));
    }

    #[test]
    fn gaps_and_torn_ends_are_told() {
        let mut bytes = batch(0);
        bytes.extend(batch(5));
        bytes.extend([0; 70]);
        let (text, findings) = dumped(CONTENTS, &bytes);
        let name = format!("{:020}.log", bytes.len());
        assert!(
            text.ends_with(&format!("Found 70 invalid bytes at the end of {name}\n")),
            "{text}"
        );
        assert_eq!(findings.non_consecutive.values().next(), Some(&vec![(0, 5)]));
    }
}
