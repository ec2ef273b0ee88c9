//! A network in which each node has a machine of its own: a network namespace, joined to the others
//! and to the test by a bridge, that can be cut at any place. Nothing is answered from beyond a cut,
//! not even with a refusal.
//!
//! Made and healed by the cluster; it never outlives the test's process by more than an idle bridge.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

/// A namespace per node. Nodes count from 1, as their ids do.
pub(crate) struct Network {
    /// Of this process, in the names of links and in addresses.
    mark: u32,
    /// Each keeps a namespace alive until its standard input is closed.
    keepers: Vec<Child>,
}

impl Network {
    /// Makes it. A machine that does not allow it cannot run this test, which must not pass there as
    /// if it had.
    pub(crate) fn new(nodes: u8) -> Self {
        let mark = std::process::id();
        let mut network = Self { mark, keepers: Vec::new() };
        let (bridge, own) = (network.bridge(), format!("{}/24", network.address(254)));
        run(Command::new("ip").args(["link", "add", &bridge, "type", "bridge"]));
        run(Command::new("ip").args(["addr", "add", &own, "dev", &bridge]));
        run(Command::new("ip").args(["link", "set", &bridge, "up"]));
        for node in 1..=nodes {
            network.add(node);
        }
        network
    }

    fn add(&mut self, node: u8) {
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "sh", "-c", "echo ready; exec cat"]);
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "{HINT}");
        let pid = keeper.id().to_string();
        self.keepers.push(keeper);
        let (link, bridge) = (self.link(node), self.bridge());
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &pid];
        run(Command::new("ip").args(["link", "add", &link]).args(peer));
        run(Command::new("ip").args(["link", "set", &link, "master", &bridge, "up"]));
        let own = format!("{}/24", self.address(node));
        run(self.within(node).args(["ip", "addr", "add", &own, "dev", "eth0"]));
        run(self.within(node).args(["ip", "link", "set", "eth0", "up"]));
        run(self.within(node).args(["ip", "link", "set", "lo", "up"]));
    }

    /// Of the block that is kept for tests of networks, which no other has.
    pub(crate) fn address(&self, node: u8) -> Ipv4Addr {
        let [.., high, low] = self.mark.to_be_bytes();
        Ipv4Addr::new(198, 18 + (high & 1), low, node)
    }

    fn bridge(&self) -> String {
        format!("kb{}", self.mark)
    }

    fn link(&self, node: u8) -> String {
        format!("kv{}n{node}", self.mark)
    }

    /// The beginning of a command that runs on a node's machine.
    pub(crate) fn within(&self, node: u8) -> Command {
        let mut command = Command::new("nsenter");
        let keeper = &self.keepers[usize::from(node) - 1];
        command.args(["--target", &keeper.id().to_string(), "--net", "--"]);
        command
    }

    /// Nobody reaches the node any more, and it reaches nobody.
    pub(crate) fn cut_off(&self, node: u8) {
        run(Command::new("ip").args(["link", "set", &self.link(node), "down"]));
    }

    /// Joins it again.
    pub(crate) fn join(&self, node: u8) {
        run(Command::new("ip").args(["link", "set", &self.link(node), "up"]));
    }

    /// The two do not reach each other any more; others reach both.
    pub(crate) fn cut_between(&self, one: u8, other: u8) {
        self.black_hole("add", one, other);
        self.black_hole("add", other, one);
    }

    /// Joins them again.
    pub(crate) fn join_both(&self, one: u8, other: u8) {
        self.black_hole("del", one, other);
        self.black_hole("del", other, one);
    }

    fn black_hole(&self, verb: &str, from: u8, to: u8) {
        let to = self.address(to).to_string();
        run(self.within(from).args(["ip", "route", verb, "blackhole", &to]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for keeper in &mut self.keepers {
            let _ended_already = keeper.kill();
            let _waited = keeper.wait();
        }
        let _gone = Command::new("ip").args(["link", "del", &self.bridge()]).status();
    }
}

const HINT: &str = "this test needs network namespaces and may not make them. Run it as root, or with `unshare --map-root-user --net --mount cargo test …`";

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}. {HINT}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}. {HINT}");
}
