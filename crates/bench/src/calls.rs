//! System calls per request, counted by strace from outside.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::topics::create_topic;
use crate::load::{large, tiny};
use crate::report::{Part, Row};
use crate::subjects::KALDA;
use crate::wire::Connection;
use crate::{Bench, Outcome};

const BYTES: u64 = 256 << 20;
const REQUESTS: u64 = 20_000;
const CONNECTIONS: usize = 64;
const TOPIC: &str = "calls";
const SUMMARY_WITHIN: Duration = Duration::from_secs(10);
const PAGE_CACHE: [(&str, &str); 1] = [("flush.messages", "9223372036854775807")];
/// What a request may need. A send beside `sendfile` carries the head of an answer.
const COUNTED: [&str; 10] = [
    "recvfrom",
    "sendto",
    "writev",
    "pwritev",
    "pwrite64",
    "pread64",
    "preadv2",
    "sendfile",
    "epoll_wait",
    "futex",
];

/// Small produces, large produces, large fetches; each load on a broker of its own.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    if Command::new("strace").arg("-V").output().is_err() {
        part.note("Not measured: strace is not on this machine.");
        return Ok(());
    }
    part.note(
        "`strace -f -c` of the release binary in page-cache mode, over its whole life, by the number of requests. \
         A broker that is traced is slow, so more of its reads find two requests at once than otherwise.",
    );
    let small = counted(bench, |broker| {
        Ok(tiny::produce(broker, &[TOPIC.to_owned()], CONNECTIONS, REQUESTS)?.requests)
    })?;
    rows(part, "a produce of one record", &small);
    let produce = counted(bench, |broker| Ok(large::produce(broker, TOPIC, BYTES)?.requests))?;
    rows(part, "a produce of 64 KiB", &produce);
    // What was produced before is in the counts; it is taken out again.
    let both = counted(bench, |broker| {
        let produced = large::produce(broker, TOPIC, BYTES)?;
        Ok(large::fetch(broker, TOPIC, produced.bytes)?.requests)
    })?;
    let produced = &produce.calls;
    let fetch = both.calls.iter().zip(produced).map(|(both, produced)| (both - produced).max(0.0));
    rows(part, "a fetch of 1 MiB", &Counted { requests: both.requests, calls: fetch.collect() });
    Ok(())
}

/// Calls of each kind, in the order of [`COUNTED`], while so many requests were answered.
struct Counted {
    requests: u64,
    calls: Vec<f64>,
}

fn rows(part: &mut Part, request: &str, counted: &Counted) {
    for (call, calls) in COUNTED.iter().zip(&counted.calls) {
        let by_request = calls / counted.requests as f64;
        if by_request >= 0.005 {
            let value = vec![(KALDA, [by_request].into_iter().collect())];
            part.row(Row::cost(format!("{request}: {call}"), value));
        }
    }
}

fn counted(
    bench: &Bench,
    load: impl FnOnce(std::net::SocketAddr) -> Outcome<u64>,
) -> Outcome<Counted> {
    let directory = tempfile::tempdir()?;
    let summary = directory.path().join("summary");
    let path = summary.to_str().ok_or("the temporary directory's name is no UTF-8")?;
    // With -D the broker keeps the id of the process that was started; strace watches from aside.
    let strace = ["strace", "-D", "-f", "-qq", "-c", "-o", path];
    let mut broker = bench.kalda.start_in(directory.path(), &strace)?;
    broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    create_topic(&mut Connection::open(broker.address)?, TOPIC, 1, &PAGE_CACHE)?;
    let requests = load(broker.address)?;
    broker.stop()?;
    let text = await_summary(&summary)?;
    Ok(Counted { requests, calls: COUNTED.map(|call| calls_of(&text, call)).to_vec() })
}

/// strace ends after the broker does.
fn await_summary(path: &Path) -> Outcome<String> {
    let asked = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.contains("total") {
            return Ok(text);
        }
        if asked.elapsed() > SUMMARY_WITHIN {
            return Err("strace left no summary".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The fourth column of the line that ends with the call's name.
fn calls_of(summary: &str, call: &str) -> f64 {
    let line = summary.lines().find(|line| line.split_whitespace().last() == Some(call));
    let calls = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::calls_of;

    #[test]
    fn the_summary_of_strace_is_read() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 65.32    0.452812       23832        19           epoll_wait
  0.00    0.000216           3        65         1 accept4
100.00    0.693203          11     60725         1 total
";
        assert_eq!(calls_of(summary, "epoll_wait"), 19.0);
        assert_eq!(calls_of(summary, "accept4"), 65.0);
        assert_eq!(calls_of(summary, "sendfile"), 0.0);
    }
}
