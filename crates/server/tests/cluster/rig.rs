//! Nodes under test in one process: the first is controller and broker, the others are brokers.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use kalda_server::{BrokerConfig, Server};
use tempfile::TempDir;

use crate::client::Client;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster; stopped when dropped.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    controller_port: u16,
    settings: Vec<(String, String)>,
}

struct Node {
    home: TempDir,
    port: u16,
    server: Option<Server>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The controller last: the others tell it that they go.
        for node in self.nodes.iter_mut().rev() {
            if let Some(server) = node.server.take() {
                server.stop();
                let stopped = server.wait();
                assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
            }
        }
    }
}

/// What the nodes say, as `RUST_LOG` wants it.
pub(crate) fn init_logging() {
    let _set_once = tracing_subscriber::fmt()
        .with_env_filter(std::env::var("RUST_LOG").unwrap_or_default())
        .with_test_writer()
        .try_init();
}

/// A port that nobody has, and that no outgoing connection is given: those come from 32768 on.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Cluster {
    pub(crate) fn start(count: usize, settings: &[(&str, &str)]) -> Self {
        Self::start_at(free_port(), count, settings)
    }

    /// With the controller at a port of the test's own choice.
    pub(crate) fn start_at(controller_port: u16, count: usize, settings: &[(&str, &str)]) -> Self {
        init_logging();
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let mut cluster = Self { nodes: Vec::new(), controller_port, settings: settings.collect() };
        for index in 0..count {
            let home = tempfile::tempdir().unwrap();
            cluster.nodes.push(Node { home, port: free_port(), server: None });
            cluster.format(index);
            cluster.start_node(index);
        }
        cluster
    }

    fn format(&self, index: usize) {
        let meta = format!("version=1\ncluster.id=cluster-under-test\nnode.id={}\n", index + 1);
        let directory = self.nodes[index].home.path().join("a");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("meta.properties"), meta).unwrap();
    }

    /// Puts an empty disk in the place of that of a node that is stopped.
    pub(crate) fn replace_disk(&self, index: usize) {
        assert!(self.nodes[index].server.is_none());
        std::fs::remove_dir_all(self.nodes[index].home.path().join("a")).unwrap();
        self.format(index);
    }

    pub(crate) fn start_node(&mut self, index: usize) {
        let controller = format!("127.0.0.1:{}", self.controller_port);
        let node = &mut self.nodes[index];
        let client = format!("PLAINTEXT://127.0.0.1:{}", node.port);
        let is_controller = index == 0;
        let listeners = match is_controller {
            true => format!("{client},CONTROLLER://{controller}"),
            false => client.clone(),
        };
        let mut all = vec![
            ("node.id", (index + 1).to_string()),
            ("broker.rack", format!("rack-{}", index + 1)),
            ("process.roles", if is_controller { "broker,controller" } else { "broker" }.into()),
            ("listeners", listeners),
            ("advertised.listeners", client),
            ("controller.listener.names", "CONTROLLER".into()),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".into()),
            ("controller.quorum.voters", format!("1@{controller}")),
            // Who is gone is noticed soon.
            ("broker.session.timeout.ms", "1000".into()),
            ("broker.heartbeat.interval.ms", "100".into()),
            // The records of the tests are very old.
            ("log.retention.ms", "-1".into()),
            ("log.dirs", node.home.path().join("a").display().to_string()),
        ];
        all.extend(self.settings.iter().map(|(key, value)| (&**key, value.clone())));
        let all: Vec<_> = all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let (config, warnings) = BrokerConfig::load(None, [], &all).unwrap();
        assert_eq!(warnings, []);
        let started = Server::start(config);
        node.server = Some(started.unwrap_or_else(|error| panic!("node {}: {error}", index + 1)));
    }

    pub(crate) fn stop_node(&mut self, index: usize) {
        let server = self.nodes[index].server.take().unwrap();
        server.stop();
        server.wait().unwrap();
    }

    /// Whether a node has the directory of a partition.
    pub(crate) fn has_log(&self, index: usize, partition: &str) -> bool {
        self.nodes[index].home.path().join("a").join(partition).exists()
    }

    /// The first log file of a partition.
    pub(crate) fn log_file(&self, index: usize, partition: &str) -> PathBuf {
        let directory = self.nodes[index].home.path().join("a").join(partition);
        directory.join("00000000000000000000.log")
    }

    /// `None` if the node is not there.
    pub(crate) fn try_client(&self, index: usize) -> Option<Client> {
        Client::try_connect(SocketAddr::from(([127, 0, 0, 1], self.nodes[index].port))).ok()
    }

    pub(crate) fn client(&self, index: usize) -> Client {
        Client::connect(SocketAddr::from(([127, 0, 0, 1], self.nodes[index].port)))
    }
}

/// Waits until `look` sees what it wants.
pub(crate) fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
