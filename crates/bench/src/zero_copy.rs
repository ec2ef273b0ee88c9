//! Whether fetched bytes go from the file to the socket inside of the kernel: counted by strace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::Outcome;
use super::broker::Kalda;
use super::figures::Table;
use super::load::{create_topic, fetch, produce};
use super::wire::Connection;

const BYTES: u64 = 64 << 20;
const TOPIC: &str = "zero-copy";
const TRACE_WITHIN: Duration = Duration::from_secs(10);

/// Fetches under strace, if there is one.
pub(crate) fn measure(kalda: &Kalda, table: &mut Table) -> Outcome<()> {
    let figure = "fetched bytes sent by sendfile, %";
    if Command::new("strace").arg("-V").output().is_err() {
        table.row(figure, "not measured", "strace is not available");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let trace = directory.path().join("trace");
    let trace_path = trace.to_str().ok_or("the temporary directory's name is no UTF-8")?;
    // With -D the broker keeps the id of the process that was started; strace watches from aside.
    let strace = ["strace", "-D", "-f", "-qq", "-e", "trace=sendfile", "-o", trace_path];
    let mut broker = kalda.start_in(directory.path(), &strace)?;
    broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    create_topic(&mut Connection::open(broker.address)?, TOPIC, 1, &[])?;
    let produced = produce(broker.address, TOPIC, BYTES)?;
    let fetched = fetch(broker.address, TOPIC, produced.bytes)?;
    broker.stop()?;
    let (calls, bytes) = sent(&trace, fetched.bytes)?;
    table.row(
        figure,
        format!("{:.1}", bytes as f64 * 100.0 / fetched.bytes as f64),
        &format!(
            "`strace -f -e trace=sendfile`: {calls} calls, {bytes} bytes, for {} bytes of records \
             in fetches of 1 MiB",
            fetched.bytes
        ),
    );
    Ok(())
}

/// Calls that sent something and the bytes they sent. strace ends after the broker does, so the
/// trace is awaited.
fn sent(trace: &Path, expected: u64) -> Outcome<(usize, u64)> {
    let asked = Instant::now();
    loop {
        let text = fs::read_to_string(trace)?;
        let results = text.lines().filter(|line| line.contains("sendfile"));
        let results = results.filter_map(|line| line.rsplit_once("= ")?.1.parse::<u64>().ok());
        let (calls, bytes) = results.fold((0, 0), |(calls, bytes), sent| (calls + 1, bytes + sent));
        if bytes >= expected || asked.elapsed() > TRACE_WITHIN {
            return Ok((calls, bytes));
        }
        thread::sleep(Duration::from_millis(50));
    }
}
