//! `start --nodes N`: a cluster on one machine. Each node is a process of its own and a child of this
//! one, which waits until they serve, tells when one ends, and ends all of them with it.
//!
//! Nothing is kept but the nodes' own directories: the same line finds the same cluster again.

mod layout;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::{DAEMON_LOG, StartArgs};
use crate::connect::block_on;
use crate::failure::Failure;
use crate::output::{complain, print_line};
use layout::{Layout, Node};

/// Set for the nodes: they end when this process does, however it ends.
pub(super) const WITH_PARENT: &str = "KALDA_WITH_PARENT";

/// How long one node may take for its end before the next one is told. A node that waits for
/// controllers that have ended before gives up by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What nodes tell by what they do.
enum Event {
    Serves(u16),
    Ended(u16, Ending, String),
}

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Clean,
    Failed,
}

/// Runs the cluster until it is told to end.
pub(super) fn run(args: &StartArgs, count: u16) -> Result<(), String> {
    let layout = Layout::new(args, count)?;
    let (sender, events) = unbounded_channel();
    let mut cluster = Cluster { is_json: args.is_json, layout, running: BTreeMap::new(), events };
    cluster.start(args, &sender)?;
    let outcome = block_on(async { cluster.watch().await.map_err(Failure::Message) });
    outcome.map_err(|failure| match failure {
        Failure::Message(line) => line,
        other => format!("{other:?}"),
    })
}

struct Cluster {
    is_json: bool,
    layout: Layout,
    /// By node id.
    running: BTreeMap<u16, Pid>,
    events: UnboundedReceiver<Event>,
}

impl Cluster {
    fn start(&mut self, args: &StartArgs, sender: &UnboundedSender<Event>) -> Result<(), String> {
        for node in &self.layout.nodes {
            let child = spawn(args, &self.layout, node)?;
            self.running.insert(node.id, Pid::from_child(&child));
            let (id, sender, log) = (node.id, sender.clone(), node.log.clone());
            let follow = move || follow(id, child, &log, &sender);
            let thread = std::thread::Builder::new().name(format!("node-{id}")).spawn(follow);
            thread.map_err(|error| format!("cannot start a thread: {error}"))?;
            let Node { id, .. } = node;
            let (address, dirs, log) = (node.address(), node.log_dirs(), node.log.display());
            self.say(
                json!({ "event": "started", "node": id, "address": address, "logDirs": dirs, "log": log.to_string() }),
                &format!("node {id}: {address}, data in {dirs}, log in {log}"),
            );
        }
        Ok(())
    }

    fn say(&self, event: serde_json::Value, line: &str) {
        let line = if self.is_json { event.to_string() } else { line.to_owned() };
        // Nobody may be reading; the nodes serve all the same.
        let _ = print_line(&line);
    }

    async fn watch(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("signals cannot be waited for: {error}");
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut starting: Vec<u16> = self.running.keys().copied().collect();
        let (mut is_told, mut has_failed) = (false, false);
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            };
            let Some(event) = event else { break };
            match event {
                Event::Serves(id) => starting.retain(|other| *other != id),
                Event::Ended(id, ending, why) => {
                    starting.retain(|other| *other != id);
                    has_failed |= ending == Ending::Failed;
                    self.on_end(id, &why);
                }
            }
            if self.running.is_empty() {
                // All may have been stopped from elsewhere.
                return if has_failed { Err("no node is left".to_owned()) } else { Ok(()) };
            }
            if starting.is_empty() && !is_told {
                is_told = true;
                self.tell_ready();
            }
        }
        self.say(json!({ "event": "stopping" }), "Ending all nodes; once more ends them at once.");
        tokio::select! {
            () = self.stop_in_order() => {}
            _ = interrupt.recv() => self.signal_all(Signal::KILL),
            _ = terminate.recv() => self.signal_all(Signal::KILL),
        }
        while !self.running.is_empty() {
            match self.events.recv().await {
                Some(Event::Ended(id, ..)) => drop(self.running.remove(&id)),
                Some(Event::Serves(_)) => {}
                None => break,
            }
        }
        self.say(json!({ "event": "stopped" }), "All nodes have ended.");
        Ok(())
    }

    fn on_end(&mut self, id: u16, why: &str) {
        self.running.remove(&id);
        let left = self.running.len();
        self.say(
            json!({ "event": "ended", "node": id, "reason": why, "left": left }),
            &format!("node {id} has ended: {why}; {left} go on"),
        );
    }

    fn tell_ready(&self) {
        let running = self.layout.nodes.iter().filter(|it| self.running.contains_key(&it.id));
        let servers: Vec<String> = running.map(Node::address).collect();
        let (cluster, servers) = (&self.layout.cluster_id, servers.join(","));
        self.say(
            json!({ "event": "ready", "clusterId": cluster, "bootstrapServers": servers }),
            &format!("Cluster {cluster} serves: --bootstrap-server {servers}\nCtrl-C ends it; the same line starts it again."),
        );
    }

    /// One after another, the last node first, each handing over what it leads, for as long as there
    /// is a majority of controllers to take part in that; then all others together.
    async fn stop_in_order(&mut self) {
        while let Some((&id, &pid)) = self.running.last_key_value() {
            let majority = self.layout.voters().len() / 2 + 1;
            let voters = self.layout.voters().iter();
            let left = voters.filter(|it| it.id != id && self.running.contains_key(&it.id)).count();
            if left < majority {
                self.signal_all(Signal::TERM);
            } else {
                send(pid, Signal::TERM);
            }
            let ended = timeout(STOP_PATIENCE, async {
                while self.running.contains_key(&id) {
                    match self.events.recv().await {
                        Some(Event::Ended(ended, ..)) => drop(self.running.remove(&ended)),
                        Some(Event::Serves(_)) => {}
                        None => self.running.clear(),
                    }
                }
            });
            if ended.await.is_err() {
                complain!("node {id} does not end; it is killed");
                send(pid, Signal::KILL);
            }
        }
    }

    fn signal_all(&self, with: Signal) {
        for pid in self.running.values() {
            send(*pid, with);
        }
    }
}

fn send(pid: Pid, with: Signal) {
    // It may have ended by itself; that is what was wanted.
    let _ = kill_process(pid, with);
}

fn spawn(args: &StartArgs, layout: &Layout, node: &Node) -> Result<Child, String> {
    for dir in &node.dirs {
        let made = std::fs::create_dir_all(dir);
        made.map_err(|error| format!("log directory {} cannot be made: {error}", dir.display()))?;
    }
    let log = &node.log;
    let errors = OpenOptions::new().append(true).create(true).open(log);
    let errors = errors.map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let mut command = Command::new(program);
    command.arg("start").args(&args.file);
    for (key, value) in layout.settings(node, &args.overrides) {
        command.arg("--override").arg(format!("{key}={value}"));
    }
    command.env("CLUSTER_ID", &layout.cluster_id);
    command.env(DAEMON_LOG, log).env(WITH_PARENT, "true");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    command.spawn().map_err(|error| format!("cannot start a process: {error}"))
}

/// Waits until a node serves, then until it ends. Runs on a thread of its own.
fn follow(id: u16, mut child: Child, log: &std::path::Path, sender: &UnboundedSender<Event>) {
    if let Some(pipe) = child.stdout.take()
        && matches!(BufReader::new(pipe).lines().next(), Some(Ok(line)) if line == super::daemon::READY)
    {
        // Nobody may be waiting any more.
        let _ = sender.send(Event::Serves(id));
    }
    let (ending, why) = match child.wait() {
        Ok(status) if status.success() => (Ending::Clean, "it was stopped".to_owned()),
        Ok(status) => (Ending::Failed, last_words(status, log)),
        Err(error) => (Ending::Failed, error.to_string()),
    };
    let _ = sender.send(Event::Ended(id, ending, why));
}

/// What a node said at its end, if that was no clean one.
fn last_words(status: ExitStatus, log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().last().filter(|line| line.starts_with("kalda: "));
    match last {
        Some(line) => format!("{status}: {}", line.trim_start_matches("kalda: ")),
        None => status.to_string(),
    }
}
