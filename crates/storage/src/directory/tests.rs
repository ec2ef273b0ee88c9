//! Locking, marking, listing.

use super::*;
use crate::fault_disk::{Cut, FaultDisk};

fn directory(disk: &FaultDisk) -> LogDirectory {
    LogDirectory::open(Arc::new(disk.clone()), Path::new("/data")).unwrap()
}

#[test]
fn checkpoints_and_the_clean_marker_survive_a_power_cut() {
    let disk = FaultDisk::default();
    let offsets = BTreeMap::from([(TopicPartition::new("t", 3), Offset(7))]);
    let first = directory(&disk);
    for which in [
        Checkpoint::RecoveryPoint,
        Checkpoint::HighWatermark,
        Checkpoint::LogStart,
        Checkpoint::Cleaner,
    ] {
        assert!(first.checkpoint(which).unwrap().is_empty());
        first.store_checkpoint(which, &offsets).unwrap();
    }
    first.mark_clean_shutdown(BrokerEpoch(9)).unwrap();
    let disk = disk.after(Cut::Forget);
    let second = directory(&disk);
    assert_eq!(second.checkpoint(Checkpoint::HighWatermark).unwrap(), offsets);
    assert_eq!(second.take_clean_shutdown().unwrap(), Some(BrokerEpoch(9)));
    let third = directory(&disk.after(Cut::Forget));
    assert_eq!(third.take_clean_shutdown().unwrap(), None, "taken once, for good");
}

#[test]
fn a_damaged_checkpoint_is_an_error_not_an_empty_one() {
    let disk = FaultDisk::default();
    let directory = directory(&disk);
    let path = Path::new("/data/recovery-point-offset-checkpoint");
    disk.replace(path, b"0\n2\nt 0 5\n").unwrap();
    let error = directory.checkpoint(Checkpoint::RecoveryPoint).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

#[test]
fn only_directories_that_are_marked_as_kafka_marks_them_are_deleted_ones() {
    let disk = FaultDisk::default();
    let directory = directory(&disk);
    let unique = "0123456789abcdef0123456789abcdef";
    for name in [
        "t-0",
        "my-delete",
        "a-1-delete",
        &format!("t-1.{unique}-delete"),
        &format!("t-2.{unique}-future"),
        &format!("t-3.{unique}-stray"),
        "lost+found",
        "x-0.short-delete",
    ] {
        disk.create_dir_all(&Path::new("/data").join(name)).unwrap();
    }
    let found = directory.partitions().unwrap();
    assert_eq!(found.present, [TopicPartition::new("t", 0)]);
    assert_eq!(found.deleted, [Path::new("/data").join(format!("t-1.{unique}-delete"))]);
    assert_eq!(found.set_aside.len(), 2);
}

#[test]
#[should_panic(expected = "only the directories of deleted partitions")]
fn a_live_partition_cannot_be_removed() {
    let disk = FaultDisk::default();
    drop(directory(&disk).remove_deleted(Path::new("/data/t-0")));
}
