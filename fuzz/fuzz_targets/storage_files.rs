//! The small files of a log directory as a damaged disk or a foreign hand may leave them. The first
//! byte chooses the file. What can be read must be writable, and read back as the same.
#![no_main]

use kalda_model::TopicPartition;
use kalda_records::crc32c;
use kalda_storage::checkpoint::{
    read_epochs, read_offsets, read_partition_metadata, write_epochs, write_offsets,
    write_partition_metadata,
};
use kalda_storage::producers::snapshot;
use kalda_storage::{AbortedTxn, EpochCache, MetaProperties, OffsetEntry, TimeEntry};
use libfuzzer_sys::fuzz_target;

fn producer_snapshot(data: &[u8]) {
    let mut bytes = data.to_vec();
    // A checksum is not guessed; both the wrong and the right one are tried.
    let _ = snapshot::decode(&bytes);
    if bytes.len() >= 6 {
        let crc = crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    let Ok(producers) = snapshot::decode(&bytes) else { return };
    let written = snapshot::encode(&producers);
    let again = snapshot::decode(&written).expect("what was written can be read");
    assert_eq!(snapshot::encode(&again), written);
}

fn checkpoints(text: &str) {
    if let Ok(offsets) = read_offsets(text) {
        let entries = offsets.iter().map(|(partition, offset)| (partition, *offset));
        assert_eq!(read_offsets(&write_offsets(entries)), Ok(offsets.clone()));
    }
    if let Ok(epochs) = read_epochs(text) {
        assert_eq!(read_epochs(&write_epochs(&epochs)), Ok(epochs.clone()));
        let mut cache = EpochCache::new(epochs);
        if let Some((epoch, start)) = cache.entries().first().copied() {
            let _ = cache.end_offset_for(epoch, start);
            let _ = cache.epoch_at(start);
            cache.truncate_from_start(start);
            cache.truncate_from_end(start);
        }
    }
    if let Ok(topic_id) = read_partition_metadata(text) {
        assert_eq!(read_partition_metadata(&write_partition_metadata(topic_id)), Ok(topic_id));
    }
}

fn identities(text: &str) {
    if let Ok(meta) = MetaProperties::parse(text) {
        assert_eq!(MetaProperties::parse(&meta.to_text()), Ok(meta));
    }
    if let Some(partition) = TopicPartition::from_directory_name(text) {
        assert_eq!(TopicPartition::from_directory_name(&partition.to_string()), Some(partition));
    }
}

fn index_entries(data: &[u8]) {
    for entry in data.as_chunks::<8>().0 {
        assert_eq!(OffsetEntry::decode(entry).encode(), *entry);
    }
    for entry in data.as_chunks::<12>().0 {
        assert_eq!(TimeEntry::decode(entry).encode(), *entry);
    }
    for entry in data.as_chunks::<34>().0 {
        if let Some(aborted) = AbortedTxn::decode(entry) {
            assert_eq!(aborted.encode(), *entry);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    match (choice % 4, std::str::from_utf8(rest)) {
        (0, _) => producer_snapshot(rest),
        (1, _) => index_entries(rest),
        (2, Ok(text)) => checkpoints(text),
        (_, Ok(text)) => identities(text),
        _ => {}
    }
});
