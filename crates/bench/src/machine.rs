//! What the machine can do at all: the primitives that a broker is made of, measured without one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::Instant;

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::figures::Samples;
use crate::load::own_cpu_seconds;
use crate::report::{Part, Row};
use crate::{Bench, Outcome};

const MIB: usize = 1 << 20;
const CHUNK: usize = 64 << 10;
const ROUNDS: usize = 5;

/// Writes and deletes a large file: the first use of a virtual machine's memory is slow, and must not be
/// charged to whoever is measured first.
pub(crate) fn touch_memory(bytes: u64) -> Outcome<()> {
    let mut file = tempfile::tempfile()?;
    let block = vec![0x5a; MIB];
    for _ in 0..bytes >> 20 {
        file.write_all(&block)?;
    }
    Ok(())
}

/// Allows this process and those it starts as many open files as the machine lets it.
pub(crate) fn allow_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// Loopback, append, fdatasync, sendfile and CRC, each alone.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let bytes = bench.scale.load_bytes;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("append");
    let mut rows: Vec<(&str, Vec<f64>, bool)> = vec![
        ("loopback, one connection, 64 KiB writes, MB/s", vec![], true),
        ("loopback, CPU s/GiB, both ends", vec![], false),
        ("append to the page cache, 64 KiB writes, MB/s", vec![], true),
        ("append, CPU s/GiB", vec![], false),
        ("append of 4 KiB and fdatasync, a second", vec![], true),
        ("sendfile from the page cache to loopback, 512 KiB a call, MB/s", vec![], true),
        ("sendfile, CPU s/GiB, both ends", vec![], false),
        ("CRC-32C, 64 KiB blocks, MB/s", vec![], true),
    ];
    // The first round warms up.
    for round in 0..=ROUNDS {
        let (loopback, loopback_cpu) = timed(bytes, || loopback(bytes, Source::Memory))?;
        let (append, append_cpu) = timed(bytes, || append(&path, bytes))?;
        let file = File::open(&path)?;
        let (send, send_cpu) = timed(bytes, || loopback_from(&file, bytes))?;
        let (crc, _) = timed(bytes, || crc(bytes))?;
        let syncs = syncs(directory.path())?;
        let found = [loopback, loopback_cpu, append, append_cpu, syncs, send, send_cpu, crc];
        if round > 0 {
            rows.iter_mut().zip(found).for_each(|((_, samples, _), found)| samples.push(found));
        }
    }
    for (figure, samples, is_rate) in rows {
        let values = vec![("this machine", samples.into_iter().collect::<Samples>())];
        part.row(if is_rate { Row::rate(figure, values) } else { Row::cost(figure, values) });
    }
    Ok(())
}

enum Source<'a> {
    Memory,
    File(&'a File),
}

/// MB a second, and CPU seconds a GiB of this process.
fn timed(bytes: u64, work: impl FnOnce() -> Outcome<()>) -> Outcome<(f64, f64)> {
    let (begun, before) = (Instant::now(), own_cpu_seconds());
    work()?;
    let seconds = begun.elapsed().as_secs_f64();
    let spent = own_cpu_seconds() - before;
    Ok((bytes as f64 / seconds / 1e6, spent / (bytes as f64 / (1u64 << 30) as f64)))
}

fn loopback_from(file: &File, bytes: u64) -> Outcome<()> {
    loopback(bytes, Source::File(file))
}

fn loopback(bytes: u64, source: Source<'_>) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let reader = thread::spawn(move || -> std::io::Result<u64> {
        let mut buffer = vec![0; CHUNK];
        let mut received = 0;
        loop {
            match receiver.read(&mut buffer)? {
                0 => return Ok(received),
                read => received += read as u64,
            }
        }
    });
    match source {
        Source::Memory => {
            let chunk = vec![0x5a; CHUNK];
            for _ in 0..bytes / CHUNK as u64 {
                sender.write_all(&chunk)?;
            }
        }
        Source::File(file) => {
            let mut position = 0;
            while position < bytes {
                let len = usize::try_from(bytes - position)?.min(8 * CHUNK);
                rustix::fs::sendfile(&sender, file, Some(&mut position), len)?;
            }
        }
    }
    drop(sender);
    let received = reader.join().map_err(|_| "the reader panicked")??;
    if received == bytes { Ok(()) } else { Err(format!("{received} of {bytes} bytes came").into()) }
}

fn append(path: &Path, bytes: u64) -> Outcome<()> {
    let file = File::create(path)?;
    let chunk = vec![0x5a; CHUNK];
    for at in 0..bytes / CHUNK as u64 {
        file.write_all_at(&chunk, at * CHUNK as u64)?;
    }
    Ok(())
}

fn crc(bytes: u64) -> Outcome<()> {
    let chunk = vec![0x5a; CHUNK];
    let mut sum = 0;
    for _ in 0..bytes / CHUNK as u64 {
        sum ^= crc_fast::checksum(Crc32Iscsi, std::hint::black_box(&chunk));
    }
    std::hint::black_box(sum);
    Ok(())
}

/// Appends that are on disk, a second.
fn syncs(directory: &Path) -> Outcome<f64> {
    const COUNT: u32 = 500;
    let file = File::create(directory.join("synced"))?;
    let block = [0x5a; 4096];
    let begun = Instant::now();
    for at in 0..u64::from(COUNT) {
        file.write_all_at(&block, at * 4096)?;
        file.sync_data()?;
    }
    Ok(f64::from(COUNT) / begun.elapsed().as_secs_f64())
}
