//! Consumer groups end to end: the tools, as processes, against a broker, as a process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

#[path = "../../server/tests/broker/client.rs"]
mod client;
mod process;

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use process::{Broker, pause};

/// Groups form at once.
const SETTINGS: [(&str, &str); 1] = [("group.initial.rebalance.delay.ms", "0")];
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a tool said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn command(broker: &Broker, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalda"));
    command.args(line.split_whitespace());
    command.arg("--bootstrap-server").arg(broker.address.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run_with(broker: &Broker, line: &str, input: &str) -> Said {
    let mut child = command(broker, line).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(broker: &Broker, line: &str) -> Said {
    run_with(broker, line, "")
}

/// The output of a tool that has to succeed.
fn output(broker: &Broker, line: &str) -> String {
    let said = run(broker, line);
    assert_eq!(said.code, Some(0), "{line}: {said:?}");
    said.stdout
}

/// The cells of a table's rows, without its header.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().filter(|line| !line.is_empty());
    lines.skip(1).map(|line| line.split_whitespace().collect()).collect()
}

fn broker(dir: &Path) -> Broker {
    let logs = dir.join("logs");
    Broker::start(logs.to_str().unwrap(), &dir.join("broker.out"), &SETTINGS)
}

/// A consumer that runs until it is ended; what it prints goes to a file.
fn member(broker: &Broker, output: &Path) -> Child {
    let line = "console-consumer --topic shared --group g --consumer-property session.timeout.ms=6000 --consumer-property heartbeat.interval.ms=500";
    let file = std::fs::File::create(output).unwrap();
    command(broker, line).stdout(file).spawn().unwrap()
}

/// Waits until the group's members have so many partitions each, in any order.
fn await_shares(broker: &Broker, shares: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = run(broker, "consumer-groups --describe --group g --members");
        let table = rows(&said.stdout);
        let mut found: Vec<&str> = table.iter().filter_map(|row| row.last().copied()).collect();
        found.sort_unstable();
        if found == shares {
            return;
        }
        assert!(Instant::now() < deadline, "{shares:?} is not reached: {said:?}");
        pause(Duration::from_millis(50));
    }
}

#[test]
fn a_group_reads_on_where_it_ended_and_where_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path());
    output(&broker, "topics --create --topic t");
    run_with(&broker, "console-producer --topic t", "one\ntwo\nthree\n");
    let first = "console-consumer --topic t --group g --from-beginning --max-messages 2";
    assert_eq!(output(&broker, first), "one\ntwo\n");
    let described = output(&broker, "consumer-groups --describe --group g");
    assert_eq!(rows(&described), [["g", "t", "0", "2", "3", "1", "-", "-", "-"]]);
    let next = "console-consumer --topic t --group g --max-messages 1";
    assert_eq!(output(&broker, next), "three\n");

    let dry = run(&broker, "consumer-groups --reset-offsets --group g --topic t --to-earliest");
    assert_eq!((dry.code, rows(&dry.stdout)), (Some(0), vec![vec!["g", "t", "0", "0"]]));
    assert!(dry.stderr.starts_with("WARN: No action will be performed"), "{dry:?}");
    let described = output(&broker, "consumer-groups --describe --group g");
    assert_eq!(rows(&described)[0][3], "3");
    let shifted = "consumer-groups --reset-offsets --group g --all-topics --shift-by -2 --execute";
    output(&broker, shifted);
    assert_eq!(output(&broker, next), "two\n");

    assert_eq!(output(&broker, "consumer-groups --list"), "g\n");
    output(&broker, "consumer-groups --delete --group g");
    let gone = run(&broker, "consumer-groups --describe --group g");
    assert_eq!(gone.code, Some(1));
    assert_eq!(
        gone.stdout,
        "\nError: Executing consumer group command failed due to org.apache.kafka.common.errors.GroupIdNotFoundException: Group g not found.\n"
    );
}

#[test]
fn members_share_partitions_and_inherit_those_of_the_dead() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path());
    output(&broker, "topics --create --topic shared --partitions 3");
    let (one_said, two_said) = (dir.path().join("one"), dir.path().join("two"));
    let mut one = member(&broker, &one_said);
    await_shares(&broker, &["3"]);
    let mut two = member(&broker, &two_said);
    await_shares(&broker, &["1", "2"]);

    let busy = "consumer-groups --reset-offsets --group g --topic shared --to-latest --execute";
    let refused = run(&broker, busy);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("but the current state is Stable."), "{refused:?}");

    // The one is killed and says nothing to anybody: its session ends it.
    one.kill().unwrap();
    one.wait().unwrap();
    await_shares(&broker, &["3"]);
    run_with(&broker, "console-producer --topic shared", "after\n");
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&two_said).unwrap().contains("after\n") {
        assert!(Instant::now() < deadline, "the survivor reads everything");
        pause(Duration::from_millis(50));
    }

    // The other is asked to end: it commits and leaves at once.
    let pid = rustix::process::Pid::from_child(&two);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    two.wait().unwrap();
    let state = output(&broker, "consumer-groups --describe --group g --state");
    assert!(state.contains(" Empty "), "{state}");
    let described = output(&broker, "consumer-groups --describe --group g");
    let lags: Vec<&str> = rows(&described).iter().map(|row| row[5]).collect();
    assert_eq!(lags, ["0", "0", "0"]);
}

#[test]
fn a_member_outlives_its_coordinator() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let logs = logs.to_str().unwrap();
    let first = Broker::start(logs, &dir.path().join("first.out"), &SETTINGS);
    output(&first, "topics --create --topic shared --partitions 2");
    let said = dir.path().join("said");
    let mut one = member(&first, &said);
    await_shares(&first, &["2"]);
    let port = first.address.port();
    first.kill();
    let mut second = Broker::spawn_at(port, logs, &dir.path().join("second.out"), &SETTINGS);
    second.wait_until_ready();
    await_shares(&second, &["2"]);
    let deadline = Instant::now() + PATIENCE;
    let mut count = 0;
    while !std::fs::read_to_string(&said).unwrap().contains("still here") {
        assert!(Instant::now() < deadline, "the member reads on");
        run_with(&second, "console-producer --topic shared", &format!("{count} still here\n"));
        count += 1;
        pause(Duration::from_millis(200));
    }
    one.kill().unwrap();
    one.wait().unwrap();
}
