//! What an operator may do to a broker, or a disk: each time one line says what is wrong and what to
//! do, the process ends with code 1, and nothing that was acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

#[path = "../../server/tests/broker/client.rs"]
mod client;
mod process;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use kalda_protocol::ErrorCode;
use tempfile::TempDir;

use client::batch;
use process::{Broker, Ended, check_logs, free_port};

/// A place for data directories and for what processes say.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `log.dirs` of these names.
    fn dirs(&self, names: &[&str]) -> String {
        let paths = names.iter().map(|name| self.path(name).display().to_string());
        paths.collect::<Vec<_>>().join(",")
    }

    fn start(&self, names: &[&str]) -> Broker {
        Broker::start(&self.dirs(names), &self.path("output"), &[])
    }

    /// Starts what is expected to fail.
    fn fail(&self, names: &[&str]) -> Ended {
        self.fail_with(names, &[])
    }

    fn fail_with(&self, names: &[&str], settings: &[(&str, &str)]) -> Ended {
        Broker::spawn(&self.dirs(names), &self.path("failed"), settings).wait()
    }

    /// Makes directory `a` with a topic of ten records in it, and stops clean.
    fn fill(&self) {
        let broker = self.start(&["a"]);
        let mut client = broker.client();
        client.create("t", 1, &[]);
        for n in 0..10 {
            client.produce_ok("t", 0, batch([format!("{n}")]));
        }
        drop(client);
        assert!(broker.stop().status.success());
    }

    /// Starts on `a` and finds the ten records.
    fn assert_whole(&self) {
        let broker = self.start(&["a"]);
        let read = broker.client().read_all("t", 0, 0);
        let values: Vec<_> = read.iter().map(|one| String::from_utf8_lossy(&one.value)).collect();
        assert_eq!(values, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(broker.stop().status.success());
    }
}

/// A small file system of its own in memory, taken away when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one. A machine that does not allow it cannot run this test, which must not pass there
    /// as if it had.
    fn mount(at: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"], &at);
        Self(at)
    }

    fn remount(&self, option: &str) {
        mount(&["-o", &format!("remount,{option}")], &self.0);
    }

    /// Leaves no byte free.
    fn fill_up(&self) {
        use std::io::Write as _;
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn mount(options: &[&str], at: &Path) {
    let output = Command::new("mount").args(options).arg(at).output().unwrap();
    assert!(
        output.status.success(),
        "this test needs a small file system and may not mount one: {}. Run it as root, or with `unshare --map-root-user --mount cargo test …`",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_disk_that_fills_up_ends_the_broker_and_costs_nothing_acknowledged() {
    let home = Home::new();
    let disk = SmallDisk::mount(home.path("a"), "8m");
    let broker = home.start(&["a"]);
    let mut client = broker.client();
    client.create("t", 2, &[("segment.bytes", "1048576")]);
    let mut acknowledged = [0_i64; 2];
    // Until the disk is full; then the broker says so, to who can still hear it.
    let refused = 'full: loop {
        for index in 0..2 {
            let request = client::produce_request(
                "t",
                index,
                -1,
                batch([format!("{:060000}", acknowledged[index as usize])]),
            );
            let Ok(response) = client.try_call(9, &request) else { break 'full None };
            let answer = &response.responses[0].partition_responses[0];
            if answer.error_code != 0 {
                break 'full Some(answer.error_code);
            }
            assert_eq!(answer.base_offset, acknowledged[index as usize]);
            acknowledged[index as usize] += 1;
        }
    };
    assert_eq!(refused, Some(ErrorCode::KafkaStorageError.code()));
    let ended = broker.wait();
    let path = home.path("a").display().to_string();
    ended.assert_failed_saying(&[&path, "goes offline", "No space left", "restart"]);
    assert!(acknowledged.iter().sum::<i64>() > 50, "{acknowledged:?}");
    // Full at start.
    disk.fill_up();
    home.fail(&["a"]).assert_failed_saying(&[&path, "full", "free space"]);
    disk.free();
    disk.remount("size=32m");
    let broker = home.start(&["a"]);
    let mut client = broker.client();
    for (index, acknowledged) in (0..2).zip(acknowledged) {
        let read = client.read_all("t", index, 0);
        assert!(read.len() as i64 >= acknowledged, "{} of {acknowledged}", read.len());
        for (record, n) in read.iter().zip(0..) {
            assert_eq!(record.value, format!("{n:060000}").into_bytes());
        }
        client.produce_ok("t", index, batch(["on it goes"]));
    }
    drop(client);
    assert!(broker.stop().status.success());
    assert!(check_logs(&home.path("a")) > 50);
}

#[test]
fn one_full_disk_of_two_takes_only_its_own_partitions() {
    let home = Home::new();
    let disk = SmallDisk::mount(home.path("b"), "4m");
    let broker = home.start(&["a", "b"]);
    let mut client = broker.client();
    client.create("t", 2, &[]);
    let (mut on_full, mut on_free) = (None, 0);
    for _ in 0..100 {
        for index in 0..2 {
            let produced = client.produce("t", index, batch([vec![b'x'; 60_000]]));
            match produced.error_code {
                0 => on_free += 1,
                code if code == ErrorCode::KafkaStorageError.code() => on_full = Some(index),
                code => panic!("{code}"),
            }
        }
    }
    let full = on_full.unwrap();
    assert!(on_free > 100);
    assert_eq!(client.fetch("t", full, 0).error_code, ErrorCode::KafkaStorageError.code());
    assert_eq!(client.fetch("t", 1 - full, 0).error_code, 0);
    client.create("more", 3, &[]);
    for index in 0..3 {
        client.produce_ok("more", index, batch(["x"]));
    }
    drop(client);
    let ended = broker.stop();
    assert!(ended.status.success(), "{ended:?}");
    let errors = ended.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(&home.path("b").display().to_string()), "{errors:?}");
    disk.remount("size=16m");
    let broker = home.start(&["a", "b"]);
    let mut client = broker.client();
    assert_eq!(client.read_all("t", 1 - full, 0).len(), 100);
    assert!(client.read_all("t", full, 0).len() > 30);
    assert_eq!(client.read_all("more", 2, 0).len(), 1);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let home = Home::new();
    let disk = SmallDisk::mount(home.path("a"), "16m");
    home.fill();
    disk.remount("ro");
    let path = home.path("a").display().to_string();
    home.fail(&["a"]).assert_failed_saying(&[&path, "cannot be written", "log.dirs"]);
    disk.remount("rw");
    home.assert_whole();
    fs::write(home.path("file"), "no directory").unwrap();
    let path = home.path("file").display().to_string();
    home.fail(&["file"]).assert_failed_saying(&[&path, "log.dirs"]);
    home.fail(&["file/below"]).assert_failed_saying(&[&path, "log.dirs"]);
}

#[test]
fn a_second_process_on_the_same_directory_or_port_leaves_the_first_alone() {
    let home = Home::new();
    home.fill();
    let broker = home.start(&["a"]);
    let path = home.path("a").display().to_string();
    home.fail(&["a"]).assert_failed_saying(&[&path, "in use", "another process", "log.dirs"]);
    let port = broker.address.port();
    let ended = Broker::spawn_at(port, &home.dirs(&["b"]), &home.path("failed"), &[]).wait();
    ended.assert_failed_saying(&[&format!("port {port} is in use"), "listeners"]);
    assert!(!home.path("b").exists(), "it did not touch any data");
    broker.client().produce_ok("t", 0, batch(["10"]));
    assert!(broker.stop().status.success());
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ended = Broker::spawn_at(port, &home.dirs(&["a"]), &home.path("failed"), &[]).wait();
    ended.assert_failed_saying(&[&format!("port {port} is in use")]);
}

#[test]
fn directories_of_others_are_refused() {
    let home = Home::new();
    home.fill();
    let path = home.path("a").display().to_string();
    let meta = home.path("a/meta.properties");
    let original = fs::read_to_string(&meta).unwrap();
    let other_node = home.fail_with(&["a"], &[("node.id", "7")]);
    other_node.assert_failed_saying(&[&path, "belongs to node 1", "node.id"]);
    for (garbage, says) in [("", "meta.properties"), ("\u{0}\u{1}garbage", "meta.properties")] {
        fs::write(&meta, garbage).unwrap();
        home.fail(&["a"]).assert_failed_saying(&[&path, says]);
    }
    fs::write(&meta, [0xff, 0xfe, 0x00]).unwrap();
    home.fail(&["a"]).assert_failed_saying(&[&path, "meta.properties", "not text"]);
    fs::write(&meta, &original).unwrap();
    let stranger = home.start(&["b"]);
    assert!(stranger.stop().status.success());
    let other = home.path("b").display().to_string();
    home.fail(&["a", "b"]).assert_failed_saying(&[&path, &other, "cluster", "log.dirs"]);
    home.assert_whole();
}

/// The log file of the only segment of `t-0`.
fn segment(home: &Home) -> PathBuf {
    home.path("a/t-0/00000000000000000000.log")
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_below_what_was_durable_is_set_aside_and_the_rest_served() {
    let home = Home::new();
    home.fill();
    // A kill after a clean stop: the recovery point is behind all ten.
    home.start(&["a"]).kill();
    let whole = fs::read(segment(&home)).unwrap();
    let one = whole.len() / 10;
    flip(&segment(&home), 6 * one + 65);
    let broker = home.start(&["a"]);
    let mut client = broker.client();
    assert_eq!(client.read_all("t", 0, 0).len(), 6);
    assert_eq!(client.produce_ok("t", 0, batch(["6 anew"])), 6);
    drop(client);
    let ended = broker.stop();
    assert!(ended.status.success());
    assert!(
        ended.errors().iter().any(|line| line.contains("t-0") && line.contains("damaged")),
        "{ended:?}"
    );
    let aside = fs::read_dir(home.path("a/t-0")).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> =
        aside.filter(|path| path.extension().is_some_and(|e| e == "quarantine")).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(&aside[0]).unwrap().len(), 4 * one, "nothing is thrown away");
    assert_eq!(home.start(&["a"]).client().read_all("t", 0, 0).len(), 7);
}

#[test]
fn a_torn_tail_is_cut_and_nobody_is_troubled() {
    let home = Home::new();
    home.fill();
    let broker = home.start(&["a"]);
    broker.client().produce_ok("t", 0, batch(["10"]));
    broker.kill();
    let mut bytes = fs::read(segment(&home)).unwrap();
    let half = bytes[..bytes.len() / 20].to_vec();
    bytes.extend(half);
    fs::write(segment(&home), bytes).unwrap();
    let broker = home.start(&["a"]);
    assert_eq!(broker.client().read_all("t", 0, 0).len(), 11);
    assert_eq!(broker.client().produce_ok("t", 0, batch(["11"])), 11);
    let ended = broker.stop();
    assert_eq!(ended.errors(), Vec::<&str>::new());
    assert_eq!(home.start(&["a"]).client().read_all("t", 0, 0).len(), 12);
}

#[test]
fn a_damaged_metadata_log_is_never_guessed_at() {
    let home = Home::new();
    home.fill();
    home.start(&["a"]).kill();
    let log = home.path("a/__cluster_metadata-0/00000000000000000000.log");
    let whole = fs::read(&log).unwrap();
    flip(&log, 100);
    let path = home.path("a").display().to_string();
    home.fail(&["a"]).assert_failed_saying(&[&path, "__cluster_metadata-0", "damaged", "restore"]);
    // Not even when it is tried again.
    home.fail(&["a"]).assert_failed_saying(&["__cluster_metadata-0", "damaged", "restore"]);
    assert!(home.path("a/t-0").exists(), "no topic was set aside for it");
    fs::write(&log, whole).unwrap();
    for entry in fs::read_dir(home.path("a/__cluster_metadata-0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "quarantine") {
            fs::remove_file(path).unwrap();
        }
    }
    home.assert_whole();
}

#[test]
fn a_configuration_that_cannot_be_is_one_line() {
    let home = Home::new();
    for (key, value, word) in [
        ("num.partitions", "many", "num.partitions"),
        ("listeners", "SSL://:9093", "SSL"),
        ("advertised.listeners", "PLAINTEXT://0.0.0.0:1", "advertised.listeners"),
        ("metadata.log.dir", "/elsewhere", "metadata.log.dir"),
    ] {
        home.fail_with(&["a"], &[(key, value)]).assert_failed_saying(&[word]);
        assert!(!home.path("a").exists());
    }
}
