//! Three nodes, each a process on a machine of its own, and what may be done to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kalda_client::Client;
use kalda_client::admin::{Admin, TopicRef};
use kalda_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, RequestPartitionData, RequestTopicData, ResponsePartitionData,
};
use rustix::process::Signal;

use crate::network::Network;
use crate::process::{Broker, Ended, pause};
use crate::{PATIENCE, client_of};

pub(crate) const NODES: [u8; 3] = [1, 2, 3];
/// Whose disk is small enough to be filled.
pub(crate) const SMALL: u8 = 3;
const PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const SETTINGS: [(&str, &str); 7] = [
    ("process.roles", "broker,controller"),
    ("controller.listener.names", "CONTROLLER"),
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.num.partitions", "3"),
    ("transaction.state.log.num.partitions", "3"),
];

/// The processes, and where they live.
pub(crate) struct Cluster {
    home: PathBuf,
    /// Dropped before the machines that they run on.
    running: [Option<Broker>; 3],
    /// How often each was started.
    lives: [u32; 3],
    network: Network,
    disk: SmallDisk,
}

impl Cluster {
    pub(crate) fn new(home: &Path) -> Self {
        for node in NODES {
            std::fs::create_dir_all(home.join(node.to_string()).join("data")).unwrap();
        }
        let disk = SmallDisk::mount(home.join(SMALL.to_string()).join("data"));
        let (running, lives) = ([None, None, None], [0; 3]);
        Self { home: home.to_owned(), running, lives, network: Network::new(3), disk }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn data(&self, node: u8) -> PathBuf {
        self.home.join(node.to_string()).join("data")
    }

    pub(crate) fn address(&self, node: u8) -> SocketAddr {
        (self.network.address(node), PORT).into()
    }

    pub(crate) fn bootstrap(&self) -> String {
        NODES.map(|node| self.address(node).to_string()).join(",")
    }

    fn command(&self, node: u8) -> Command {
        let at =
            |node, port| format!("{}:{port}", Ipv4Addr::to_string(&self.network.address(node)));
        let voters = NODES.map(|node| format!("{node}@{}", at(node, CONTROLLER_PORT))).join(",");
        let (broker, controller) = (at(node, PORT), at(node, CONTROLLER_PORT));
        let own = [
            ("node.id", node.to_string()),
            ("log.dirs", self.data(node).display().to_string()),
            ("listeners", format!("PLAINTEXT://{broker},CONTROLLER://{controller}")),
            ("controller.quorum.voters", voters),
        ];
        let mut command = self.network.within(node);
        command.arg(binary()).arg("start").env("CLUSTER_ID", CLUSTER_ID);
        for (key, value) in own {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        for (key, value) in SETTINGS {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        command
    }

    /// Starts a node. It may not be ready yet.
    pub(crate) fn start(&mut self, node: u8) {
        let index = usize::from(node) - 1;
        self.lives[index] += 1;
        let output = self.home.join(format!("node-{node}-life-{}.log", self.lives[index]));
        let broker = Broker::run(self.command(node), self.address(node), &output);
        assert!(self.running[index].replace(broker).is_none(), "node {node} runs");
    }

    pub(crate) fn start_all(&mut self) {
        for node in NODES {
            self.start(node);
        }
    }

    /// Waits until they serve.
    pub(crate) fn wait_until_ready(&mut self) {
        for broker in self.running.iter_mut().flatten() {
            broker.wait_until_ready();
        }
    }

    fn take(&mut self, node: u8) -> Broker {
        self.running[usize::from(node) - 1].take().expect("it runs")
    }

    pub(crate) fn kill(&mut self, node: u8) {
        assert_clean(node, &self.take(node).kill());
    }

    /// At one moment, as a loss of power.
    pub(crate) fn kill_all(&mut self) {
        for broker in self.running.iter().flatten() {
            broker.signal(Signal::KILL);
        }
        for node in NODES {
            assert_clean(node, &self.take(node).wait());
        }
    }

    pub(crate) fn stop(&mut self, node: u8) {
        let ended = self.take(node).stop();
        assert!(ended.status.success(), "node {node}: {:?}", ended.status);
        assert_clean(node, &ended);
    }

    pub(crate) fn stop_all(&mut self) {
        for broker in self.running.iter().flatten() {
            broker.signal(Signal::TERM);
        }
        for node in NODES {
            let ended = self.take(node).wait();
            assert!(ended.status.success(), "node {node}: {:?}", ended.status);
            assert_clean(node, &ended);
        }
    }

    pub(crate) fn signal(&self, node: u8, signal: Signal) {
        self.running[usize::from(node) - 1].as_ref().expect("it runs").signal(signal);
    }

    /// Takes the last free byte of the small disk, until the node ends by that, and gives it back.
    pub(crate) fn fill_disk(&mut self) {
        self.disk.fill_up();
        let ended = self.take(SMALL).wait();
        assert!(!ended.status.success(), "{ended:?}");
        assert!(!ended.output.contains("panicked"), "{}", ended.output);
        assert!(ended.output.contains("No space left"), "{}", ended.output);
        self.disk.free();
    }

    /// Takes all that a node has on its disk, while it is down.
    pub(crate) fn wipe(&self, node: u8) {
        assert!(self.running[usize::from(node) - 1].is_none());
        for entry in std::fs::read_dir(self.data(node)).unwrap() {
            let path = entry.unwrap().path();
            let is_dir = path.is_dir();
            if is_dir { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
                .unwrap();
        }
    }

    /// The quorum as the active controller sees it, as soon as there is one who does.
    pub(crate) fn quorum(&self) -> ResponsePartitionData {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            for node in NODES {
                match self.ask_quorum(node) {
                    Ok(partition) => return partition,
                    Err(error) => said = format!("{said}\nnode {node}: {error}"),
                }
            }
            assert!(Instant::now() < deadline, "no active controller: {said}");
            said.clear();
            pause(Duration::from_millis(50));
        }
    }

    fn ask_quorum(&self, node: u8) -> Result<ResponsePartitionData, String> {
        let partitions = vec![RequestPartitionData { partition_index: 0 }];
        let topics =
            vec![RequestTopicData { topic_name: "__cluster_metadata".to_owned(), partitions }];
        let client = crate::client::Client::try_connect(self.address(node));
        let answer = client
            .and_then(|mut client| client.try_call(2, &DescribeQuorumRequest { topics }))
            .map_err(|error| error.to_string())?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        match found {
            Some(partition) if answer.error_code == 0 && partition.error_code == 0 => {
                Ok(partition.clone())
            }
            _ => Err(format!("{answer:?}")),
        }
    }

    /// Waits until every partition has a leader and all of its replicas in sync, and every voter has
    /// what the active controller committed.
    pub(crate) async fn wait_until_whole(&mut self) {
        self.wait_until_ready();
        let admin = client_of(&self.bootstrap(), &[]).admin();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lacking = match lacking(&admin).await {
                Ok(lacking) => lacking,
                Err(error) => vec![error.to_string()],
            };
            if lacking.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "after all faults are over: {lacking:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        loop {
            let quorum = self.quorum();
            let mut voters = quorum.current_voters.iter();
            if voters.all(|voter| voter.log_end_offset >= quorum.high_watermark) {
                return;
            }
            assert!(Instant::now() < deadline, "a voter does not follow: {quorum:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What partitions do not have that they should.
async fn lacking(admin: &Admin) -> kalda_client::Result<Vec<String>> {
    let mut lacking = Vec::new();
    for topic in admin.list_topics().await? {
        let described = admin.describe_topic(&TopicRef::Name(topic.name.clone()), 1000).await?;
        for partition in described.partitions {
            if partition.leader.is_none() || partition.isr.len() < partition.replicas.len() {
                lacking.push(format!("{}: {partition:?}", topic.name));
            }
        }
    }
    let nodes = admin.nodes().await?;
    if nodes.len() < NODES.len() {
        lacking.push(format!("nodes: {nodes:?}"));
    }
    Ok(lacking)
}

/// Whom a partition has as its leader, as soon as it has one.
pub(crate) async fn leader(client: &Client, topic: &str, index: usize) -> u8 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let described =
            client.admin().describe_topic(&TopicRef::Name(topic.to_owned()), 1000).await;
        if let Ok(topic) = &described
            && let Some(leader) = topic.partitions[index].leader
        {
            return u8::try_from(leader).unwrap();
        }
        assert!(Instant::now() < deadline, "{topic}-{index} has no leader: {described:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn assert_clean(node: u8, ended: &Ended) {
    assert_eq!(ended.errors(), Vec::<&str>::new(), "node {node}");
    assert!(!ended.output.contains("panicked"), "node {node}: {}", ended.output);
}

/// A file system in memory whose size may change, taken away when dropped.
struct SmallDisk(PathBuf);

const ROOMY: &str = "size=8g";

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        mount(&["-t", "tmpfs", "-o", ROOMY, "tmpfs"], &at);
        Self(at)
    }

    /// Leaves next to nothing free.
    fn fill_up(&self) {
        // What is written meanwhile may make the size too small to be had.
        for _ in 0..100 {
            let used = rustix::fs::statvfs(&self.0).unwrap();
            let bytes = (used.f_blocks - used.f_bfree) * used.f_frsize;
            let size = format!("remount,size={bytes}");
            let made = Command::new("mount").args(["-o", &size]).arg(&self.0).output().unwrap();
            if made.status.success() {
                return;
            }
        }
        panic!("the disk cannot be made smaller");
    }

    fn free(&self) {
        mount(&["-o", &format!("remount,{ROOMY}")], &self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What led to a failure is kept.
            let kept = self.0.with_file_name("kept");
            let _as_far_as_it_goes = Command::new("cp").arg("-a").args([&self.0, &kept]).status();
        }
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn mount(options: &[&str], at: &Path) {
    let output = Command::new("mount").args(options).arg(at).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs a small file system: {said}");
}

/// The one that was built with this test, unless `KALDA_BINARY` names another.
fn binary() -> std::ffi::OsString {
    std::env::var_os("KALDA_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_kalda").into())
}
