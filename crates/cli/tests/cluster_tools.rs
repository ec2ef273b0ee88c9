//! The tools of the cluster, each against three nodes that are processes of their own.

#![allow(clippy::disallowed_methods, reason = "a test starts processes")]

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The ports of three nodes, free at the moment, below those that outgoing connections are given.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 1000).expect("below 1000");
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = 20_000 + (own * 12 + next * 8) % 12_000;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (base..base + 8).all(is_free) {
            return base;
        }
    }
}

fn kalda(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalda"));
    command.args(args).stdin(Stdio::null()).output().expect("the binary runs")
}

/// What a tool printed; it must have ended well.
fn said(args: &[&str]) -> String {
    let output = kalda(args);
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {} {text} {errors}", output.status);
    text
}

/// Three nodes, started by one command.
struct Cluster {
    command: Child,
    events: std::io::Lines<BufReader<ChildStdout>>,
    servers: String,
    base: u16,
    dir: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let (dir, base) = (tempfile::tempdir().expect("a directory"), free_ports());
        let mut command = Command::new(env!("CARGO_BIN_EXE_kalda"));
        command.args(["start", "--nodes", "3", "--json", "--base-port", &base.to_string()]);
        command.arg("--override").arg(format!("log.dirs={}", dir.path().display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut command = command.spawn().expect("the binary runs");
        let events = BufReader::new(command.stdout.take().expect("a pipe")).lines();
        let mut cluster = Self { command, events, servers: String::new(), base, dir };
        let ready = cluster.await_event("ready");
        cluster.servers = ready["bootstrapServers"].as_str().expect("servers").to_owned();
        cluster
    }

    fn await_event(&mut self, wanted: &str) -> Value {
        loop {
            let line = self.events.next().expect("the command goes on").expect("a line");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["event"] == wanted {
                return event;
            }
        }
    }

    /// A tool that starts from these brokers.
    fn run(&self, tool: &str, args: &[&str]) -> String {
        let mut line: Vec<&str> = tool.split(' ').collect();
        line.extend(["--bootstrap-server", &self.servers]);
        line.extend(args);
        said(&line)
    }

    fn code(&self, tool: &str, args: &[&str]) -> (Option<i32>, String) {
        let mut line: Vec<&str> = tool.split(' ').collect();
        line.extend(["--bootstrap-server", &self.servers]);
        line.extend(args);
        let output = kalda(&line);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// SIGTERM to one node, which is a child of the command.
    fn end_node(&self, id: i32) {
        let parent = self.command.id();
        let wanted = format!("node.id={id}");
        let pids = std::fs::read_dir("/proc").expect("proc").flatten();
        let is_it = |pid: &i32| {
            let file =
                |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let status = String::from_utf8_lossy(&file("status")).into_owned();
            let is_child = status.lines().any(|line| line == format!("PPid:\t{parent}"));
            is_child
                && file("cmdline").split(|byte| *byte == 0).any(|word| word == wanted.as_bytes())
        };
        let mut pids = pids.filter_map(|it| it.file_name().to_str()?.parse().ok());
        let pid = pids.find(is_it).and_then(Pid::from_raw).expect("the node's process");
        kill_process(pid, Signal::TERM).expect("it runs");
    }

    fn stop(mut self) {
        let pid = Pid::from_child(&self.command);
        kill_process(pid, Signal::TERM).expect("it runs");
        self.await_event("stopped");
        assert!(self.command.wait().expect("it is our child").success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A test that failed leaves it running; twice means at once.
        let pid = Pid::from_child(&self.command);
        if self.command.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::INT);
            let _ = self.command.wait();
        }
    }
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn quorum_features_and_endpoints_are_told_by_brokers_and_controllers() {
    let cluster = Cluster::start();
    let status = cluster.run("metadata-quorum describe", &["--status"]);
    assert!(status.starts_with("ClusterId:              "), "{status}");
    assert_eq!(status.lines().count(), 8, "{status}");
    let controller = format!("localhost:{}", cluster.base + 3);
    let table = said(&[
        "metadata-quorum",
        "--bootstrap-controller",
        &controller,
        "describe",
        "--replication",
    ]);
    let statuses: Vec<&str> = table.lines().filter_map(|line| line.split('\t').nth(6)).collect();
    assert_eq!(statuses, ["Status  ", "Leader  ", "Follower", "Follower"], "{table}");
    let endpoints = said(&["cluster", "list-endpoints", "-C", &controller]);
    assert_eq!(endpoints.lines().filter(|line| line.contains("controller")).count(), 3);
    let id = cluster.run("cluster cluster-id", &[]);
    assert_eq!(id, said(&["cluster", "cluster-id", "-C", &controller]));

    let features = ["--feature", "transaction.version=1"];
    let line = cluster.run("features downgrade", &[&features[..], &["--dry-run"]].concat());
    assert_eq!(line, "transaction.version can be downgraded to 1.\n");
    let line = cluster.run("features downgrade", &features);
    assert_eq!(line, "transaction.version was downgraded to 1.\n");
    let described = said(&["features", "--bootstrap-controller", &controller, "describe"]);
    let line = described.lines().find(|line| line.contains("transaction.version"));
    assert!(line.is_some_and(|line| line.contains("FinalizedVersionLevel: 1\t")), "{described}");
    let (code, said) = cluster.code("features upgrade", &["--feature", "nope=1"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("Could not upgrade nope to 1. "), "{said}");
    cluster.stop();
}

#[test]
fn partitions_are_moved_and_leaders_elected() {
    let cluster = Cluster::start();
    cluster.run("topics", &["--create", "--topic", "t", "--replica-assignment", "1:2,2:3"]);
    let plan = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2,1]},{"topic":"t","partition":1,"replicas":[3,1]}]}"#;
    let file = write(cluster.dir.path(), "plan.json", plan);
    let file = ["--reassignment-json-file", &file];
    let execute = ["--execute", "--throttle", "10000000"];
    let started = cluster.run("reassign-partitions", &[&execute, &file[..]].concat());
    assert!(started.ends_with("Successfully started partition reassignments for t-0,t-1\n"));
    assert!(started.contains(r#""replicas":[1,2]"#), "the way back is printed: {started}");
    let done = "Reassignment of partition t-1 is completed.";
    let verified = loop {
        let verified = cluster.run("reassign-partitions", &[&["--verify"], &file[..]].concat());
        if verified.contains(done) {
            break verified;
        }
        assert!(verified.contains("is still in progress"), "{verified}");
    };
    assert!(verified.ends_with("Clearing topic-level throttles on topic t\n"), "{verified}");
    let listed = cluster.run("reassign-partitions", &["--list"]);
    assert_eq!(listed, "No partition reassignments found.\n");

    let one = ["--topic", "t", "--partition", "0", "--election-type", "preferred"];
    let elected = cluster.run("leader-election", &one);
    assert_eq!(elected, "Successfully completed leader election (PREFERRED) for partitions t-0\n");
    let again = cluster.run("leader-election", &one);
    assert_eq!(again, "Valid replica already elected for partitions t-0\n");
    cluster.stop();
}

#[test]
fn a_broker_is_drained_and_goes() {
    let cluster = Cluster::start();
    let create = ["--create", "--topic", "t", "--partitions", "9", "--replication-factor", "2"];
    cluster.run("topics", &create);
    let healthy = cluster.run("cluster health", &[]);
    assert!(healthy.contains("Health:                      healthy\n"), "{healthy}");
    assert!(healthy.contains("3 of 3 up\n"), "{healthy}");

    let drained = cluster.run("broker drain 3", &[]);
    assert!(drained.contains("Broker 3 leads nothing."), "{drained}");
    let described = cluster.run("topics", &["--describe", "--topic", "t"]);
    assert!(!described.contains("Leader: 3\t"), "{described}");
    assert!(described.contains("3\tIsr"), "it keeps its replicas: {described}");

    let gone = cluster.run("broker decommission 3", &[]);
    assert!(gone.contains("is no longer registered"), "{gone}");
    let described = cluster.run("topics", &["--describe", "--topic", "t"]);
    let replicas: Vec<&str> =
        described.lines().skip(1).filter_map(|line| line.split('\t').nth(4)).collect();
    assert_eq!(replicas.len(), 9);
    assert!(replicas.iter().all(|text| !text.contains('3')), "{described}");
    let (code, _) = cluster.code("broker decommission 2", &[]);
    assert_eq!(code, Some(1), "one broker cannot hold two replicas");
    cluster.stop();
}

#[test]
fn health_is_an_exit_code() {
    let mut cluster = Cluster::start();
    let topic = ["--create", "--topic", "t", "--replica-assignment", "1:2:3,3:1:2"];
    cluster.run("topics", &topic);
    let (code, _) = cluster.code("cluster health", &[]);
    assert_eq!(code, Some(0));
    // A node ends; the command says so, and goes on.
    cluster.end_node(3);
    let ended = cluster.await_event("ended");
    assert_eq!((&ended["node"], &ended["left"]), (&3.into(), &2.into()));
    let (code, told) = cluster.code("cluster health", &["--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((code, &told["health"]), (Some(1), &"degraded".into()), "{told}");
    cluster.stop();
    let nobody = kalda(&["cluster", "health", "-b", &format!("localhost:{}", free_ports())]);
    assert_eq!(nobody.status.code(), Some(2));
}

/// A node whose controllers can change.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn config(dir: &Path, id: u16, base: u16) -> String {
        let port = |id: u16| base + 2 * (id - 1);
        let text = format!(
            "node.id={id}\nprocess.roles=broker,controller\nlisteners=PLAINTEXT://localhost:{},CONTROLLER://localhost:{}\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=localhost:{},localhost:{}\nlog.dirs={}\n",
            port(id),
            port(id) + 1,
            port(1) + 1,
            port(2) + 1,
            dir.join(id.to_string()).display()
        );
        write(dir, &format!("{id}.properties"), &text)
    }

    fn start(config: &str, base: u16, id: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kalda"));
        command.args(["start", config]).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().expect("the binary runs");
        Self { child, address: format!("localhost:{}", base + 2 * (id - 1)) }
    }

    fn await_ready(&mut self) {
        let output = self.child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(output).lines();
        let is_ready = lines.any(|line| line.expect("a line").contains("Kafka Server started"));
        assert!(is_ready, "it ended");
        // The rest must be read, or the node's log would fill the pipe.
        std::thread::spawn(move || lines.count());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn formatted_controllers_form_a_quorum_that_can_change() {
    let (dir, base) = (tempfile::tempdir().expect("a directory"), free_ports());
    let uuid = || said(&["storage", "random-uuid"]).trim().to_owned();
    let (cluster, ids) = (uuid(), [uuid(), uuid()]);
    let configs: Vec<String> = (1..=3).map(|id| Node::config(dir.path(), id, base)).collect();
    let controllers =
        format!("1@localhost:{}:{},2@localhost:{}:{}", base + 1, ids[0], base + 3, ids[1]);
    for config in &configs[..2] {
        let line = ["storage", "format", "-c", config, "-t", &cluster, "-I", &controllers];
        assert!(said(&line).starts_with("Formatting dynamic metadata voter directory "));
        let again = kalda(&line);
        assert!(String::from_utf8_lossy(&again.stderr).contains("is already formatted."));
        assert!(said(&["storage", "info", "-c", config]).contains(&cluster));
    }
    let third = ["storage", "format", "-c", &configs[2], "-t", &cluster, "-N"];
    assert!(said(&third).starts_with("Formatting metadata directory "));
    let mut nodes: Vec<Node> =
        (1..=3).zip(&configs).map(|(id, config)| Node::start(config, base, id)).collect();
    nodes.iter_mut().for_each(Node::await_ready);
    let servers = ["--bootstrap-server", &nodes[0].address];
    let voters = || {
        let line = [&["metadata-quorum", "describe", "--json"], &servers[..]].concat();
        let told: Value = serde_json::from_str(&said(&line)).expect("JSON");
        let replicas = told["replicas"].as_array().expect("a list").clone();
        let votes = |it: &&Value| it["status"] != "Observer";
        let mut ids: Vec<i64> =
            replicas.iter().filter(votes).filter_map(|it| it["id"].as_i64()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(voters(), [1, 2]);
    let add = ["metadata-quorum", "--command-config", &configs[2], "add-controller"];
    let added = said(&[&add, &servers[..]].concat());
    assert!(added.starts_with("Added controller 3 with directory id "), "{added}");
    assert_eq!(voters(), [1, 2, 3]);
    let remove = ["metadata-quorum", "remove-controller", "-i", "2", "-d", &ids[1]];
    said(&[&remove, &servers[..]].concat());
    assert_eq!(voters(), [1, 3]);
}
