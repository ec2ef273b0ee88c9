//! Three nodes of one cluster, ours or Apache Kafka's, each broker and controller: started from the same
//! lines of settings, killed, stopped, wiped, started again.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::broker::Broker;
use crate::subjects::Who;
use crate::wire::Connection;
use crate::{Bench, Outcome, apache};

/// The ids of the nodes.
pub(super) const NODES: [i32; 3] = [1, 2, 3];
/// Of each of Kafka's nodes: three of them and the page cache have to find room.
pub(super) const HEAP: &str = "768m";
/// Below the ports that this machine gives to who dials, so that the port of a dead node stays free.
const PORTS: std::ops::Range<u16> = 21_000..32_000;
/// What the files begin with that a wiped node keeps.
const KEPT: [&str; 4] = ["__cluster_metadata", "meta.properties", "bootstrap.checkpoint", ".lock"];
/// What was deleted is gone by then.
const DELETION_MAX: Duration = Duration::from_secs(60);
/// The same for both.
const SETTINGS: [&str; 8] = [
    "process.roles=broker,controller",
    "controller.listener.names=CONTROLLER",
    "default.replication.factor=3",
    "min.insync.replicas=2",
    "offsets.topic.replication.factor=3",
    "transaction.state.log.replication.factor=3",
    "transaction.state.log.min.isr=2",
    // What one load leaves is gone before the next one.
    "log.segment.delete.delay.ms=0",
];

/// The cluster. Dropping it kills its nodes.
pub(super) struct Cluster {
    pub(super) who: Who,
    nodes: Vec<Node>,
    directory: TempDir,
}

struct Node {
    id: i32,
    address: SocketAddr,
    /// What it is started with.
    settings: Vec<String>,
    broker: Broker,
}

impl Cluster {
    /// Starts all on empty directories and waits until each knows of all.
    pub(super) fn start(bench: &Bench, who: Who) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let ports = free_ports(2 * NODES.len())?;
        let (clients, controllers) = ports.split_at(NODES.len());
        let voters: Vec<String> =
            NODES.iter().zip(controllers).map(|(id, address)| format!("{id}@{address}")).collect();
        let mut nodes = Vec::new();
        for ((id, &address), controller) in NODES.into_iter().zip(clients).zip(controllers) {
            let own = directory.path().join(id.to_string());
            fs::create_dir(&own)?;
            let mut settings = SETTINGS.map(str::to_owned).to_vec();
            settings.extend([
                format!("node.id={id}"),
                format!("listeners=PLAINTEXT://{address},CONTROLLER://{controller}"),
                format!("controller.quorum.voters={}", voters.join(",")),
                format!("log.dirs={}", own.join("data").display()),
            ]);
            let broker = spawn(bench, who, &own, address, &settings)?;
            nodes.push(Node { id, address, settings, broker });
        }
        for node in &mut nodes {
            node.broker.await_ready(|_, metadata| Ok(metadata.brokers.len() == NODES.len()))?;
        }
        Ok(Self { who, nodes, directory })
    }

    /// Where clients find a node.
    pub(super) fn address(&self, id: i32) -> Outcome<SocketAddr> {
        Ok(self.node(id)?.address)
    }

    /// Dials a node.
    pub(super) fn dial(&self, id: i32) -> Outcome<Connection> {
        Connection::open(self.address(id)?)
    }

    /// All but one, with their addresses.
    pub(super) fn others(&self, id: i32) -> Vec<(i32, SocketAddr)> {
        self.nodes.iter().filter(|n| n.id != id).map(|n| (n.id, n.address)).collect()
    }

    /// Ends a node as a crash does.
    pub(super) fn kill(&mut self, id: i32) -> Outcome<()> {
        self.node_mut(id)?.broker.kill()
    }

    /// Asks a node to end, and waits.
    pub(super) fn stop(&mut self, id: i32) -> Outcome<()> {
        self.node_mut(id)?.broker.stop_process()?;
        Ok(())
    }

    /// Removes every partition that a node had on disk, and what it noted about them; it must have ended. Who it
    /// is and its copy of the metadata stay: a voter of the quorum that forgets its vote is another matter.
    pub(super) fn wipe(&self, id: i32) -> Outcome<()> {
        for entry in fs::read_dir(self.own(id).join("data"))? {
            let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            if KEPT.iter().any(|kept| entry.to_string_lossy().starts_with(kept)) {
                continue;
            }
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Starts a node that has ended, and does not wait.
    pub(super) fn respawn(&mut self, bench: &Bench, id: i32) -> Outcome<()> {
        let (who, own) = (self.who, self.own(id));
        let node = self.node_mut(id)?;
        node.broker = spawn(bench, who, &own, node.address, &node.settings)?;
        Ok(())
    }

    /// Waits until a node that was started answers and knows of all.
    pub(super) fn await_ready(&mut self, id: i32) -> Outcome<()> {
        let node = self.node_mut(id)?;
        node.broker.await_ready(|_, metadata| Ok(metadata.brokers.len() == NODES.len()))?;
        Ok(())
    }

    /// User and system time of all nodes so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Outcome<f64> {
        self.nodes.iter().map(|node| node.broker.cpu_seconds()).sum()
    }

    /// Resident memory of all nodes.
    pub(super) fn resident_mib(&self) -> Outcome<f64> {
        self.nodes.iter().map(|node| node.broker.resident_mib()).sum()
    }

    /// Waits until the topics that were deleted are gone from the disk, and writes what a load has left in
    /// the page cache: the next one is to pay for neither.
    pub(super) fn settle(&self) -> Outcome<()> {
        let deadline = Instant::now() + DELETION_MAX;
        for node in &self.nodes {
            while self.is_deleting(node.id)? {
                if Instant::now() > deadline {
                    return Err("deleted topics stay on the disk".into());
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(rustix::fs::syncfs(fs::File::open(self.directory.path())?)?)
    }

    /// Ends all and leaves the directory, for whoever wants to know what went wrong.
    pub(super) fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    fn is_deleting(&self, id: i32) -> Outcome<bool> {
        for entry in fs::read_dir(self.own(id).join("data"))? {
            if entry?.file_name().to_string_lossy().ends_with("-delete") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn own(&self, id: i32) -> PathBuf {
        self.directory.path().join(id.to_string())
    }

    fn node(&self, id: i32) -> Outcome<&Node> {
        Ok(self.nodes.iter().find(|node| node.id == id).ok_or("there is no such node")?)
    }

    fn node_mut(&mut self, id: i32) -> Outcome<&mut Node> {
        Ok(self.nodes.iter_mut().find(|node| node.id == id).ok_or("there is no such node")?)
    }
}

fn spawn(
    bench: &Bench,
    who: Who,
    own: &std::path::Path,
    address: SocketAddr,
    settings: &[String],
) -> Outcome<Broker> {
    if who == Who::Kafka {
        let jars = bench.jars.as_deref().ok_or("Apache Kafka was not fetched")?;
        let properties = settings.join("\n") + "\n";
        let node = apache::Node { address, properties: &properties, heap: HEAP };
        return apache::start_node(jars, own, &node);
    }
    let mut command = Command::new(&bench.kalda.binary);
    command.arg("start").env("CLUSTER_ID", apache::CLUSTER_ID);
    for setting in settings {
        command.args(["--override", setting]);
    }
    Broker::spawn(command, address, own)
}

/// Addresses of this machine that nobody listens on, each another.
fn free_ports(count: usize) -> Outcome<Vec<SocketAddr>> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port))?.local_addr();
    let begin = PORTS.start + (std::process::id() % 10_000) as u16;
    let found: Vec<SocketAddr> =
        (begin..PORTS.end).filter_map(|port| free(port).ok()).take(count).collect();
    if found.len() < count { Err("no ports are free".into()) } else { Ok(found) }
}
