//! What happens to the nodes: drawn from the seed, done, and healed. At most one node of three at a
//! time, except that all are killed at once.

use std::time::Duration;

use kalda_client::Client;
use rustix::process::Signal;

use crate::mover;
use crate::nodes::{Cluster, NODES, SMALL, leader};
use crate::process::{Numbers, pause};

/// Whom it hits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Whoever leads a partition of the movers at the time.
    Leader(usize),
    /// Whoever leads the quorum at the time.
    Controller,
    Node(u8),
}

/// What happens. Times are how long it lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill(Target, Duration),
    /// Killed, started, and killed again after that time.
    KillAgain(Target, Duration),
    KillAll(Duration),
    /// Each in turn stops in order and is started again.
    Rolling,
    /// SIGSTOP.
    Pause(Target, Duration),
    /// From everybody.
    CutOff(Target, Duration),
    /// From the other nodes only: clients still reach it.
    CutFromPeers(Target, Duration),
    /// From one other node only.
    CutBetween(Target, Duration),
    FullDisk,
    /// Killed, and its disk is empty when it comes back.
    Wipe(Target),
}

/// The kinds, in the order in which the report counts them.
pub(crate) const KINDS: [&str; 10] = [
    "kill",
    "kill again",
    "kill all",
    "rolling restart",
    "pause",
    "cut off",
    "cut from peers",
    "cut between two",
    "full disk",
    "wipe",
];

impl Fault {
    pub(crate) fn draw(numbers: &mut Numbers, kinds: &[usize]) -> Self {
        let target = match numbers.below(4) {
            0 => Target::Controller,
            1 => Target::Node(NODES[numbers.below(3) as usize]),
            _ => Target::Leader(numbers.below(mover::PARTITIONS as u64) as usize),
        };
        let shortly = Duration::from_millis(numbers.below(2_000));
        // Some of it is shorter than what nodes wait for each other, some of it longer.
        let lasting = Duration::from_millis(match numbers.below(4) {
            0 => 10_000 + numbers.below(5_000),
            _ => 500 + numbers.below(4_000),
        });
        match kinds[numbers.below(kinds.len() as u64) as usize] {
            0 => Self::Kill(target, shortly),
            1 => Self::KillAgain(target, shortly / 2),
            2 => Self::KillAll(shortly),
            3 => Self::Rolling,
            4 => Self::Pause(target, lasting),
            5 => Self::CutOff(target, lasting),
            6 => Self::CutFromPeers(target, lasting),
            7 => Self::CutBetween(target, lasting),
            8 => Self::FullDisk,
            _ => Self::Wipe(target),
        }
    }

    pub(crate) fn kind(self) -> usize {
        match self {
            Self::Kill(..) => 0,
            Self::KillAgain(..) => 1,
            Self::KillAll(..) => 2,
            Self::Rolling => 3,
            Self::Pause(..) => 4,
            Self::CutOff(..) => 5,
            Self::CutFromPeers(..) => 6,
            Self::CutBetween(..) => 7,
            Self::FullDisk => 8,
            Self::Wipe(..) => 9,
        }
    }

    /// Does it, and undoes it.
    pub(crate) async fn perform(self, cluster: &mut Cluster, client: &Client) {
        match self {
            Self::Kill(target, time) => {
                let node = resolve(target, cluster, client).await;
                cluster.kill(node);
                pause(time);
                cluster.start(node);
            }
            Self::KillAgain(target, time) => {
                let node = resolve(target, cluster, client).await;
                cluster.kill(node);
                cluster.start(node);
                pause(time);
                cluster.kill(node);
                cluster.start(node);
            }
            Self::KillAll(time) => {
                cluster.kill_all();
                pause(time);
                cluster.start_all();
            }
            Self::Rolling => {
                for node in NODES {
                    // As an operator does it.
                    cluster.wait_until_whole().await;
                    cluster.stop(node);
                    cluster.start(node);
                }
            }
            Self::Pause(target, time) => {
                let node = resolve(target, cluster, client).await;
                cluster.signal(node, Signal::STOP);
                pause(time);
                cluster.signal(node, Signal::CONT);
            }
            Self::FullDisk => {
                cluster.fill_disk();
                cluster.start(SMALL);
            }
            Self::Wipe(target) => {
                // Another one of the quorum may lack what only this one and one more have.
                cluster.wait_until_whole().await;
                let node = resolve(target, cluster, client).await;
                cluster.kill(node);
                cluster.wipe(node);
                cluster.start(node);
            }
            Self::CutOff(..) | Self::CutFromPeers(..) | Self::CutBetween(..) => {
                self.cut(cluster, client).await;
            }
        }
    }

    async fn cut(self, cluster: &mut Cluster, client: &Client) {
        let (Self::CutOff(target, time)
        | Self::CutFromPeers(target, time)
        | Self::CutBetween(target, time)) = self
        else {
            return;
        };
        let node = resolve(target, cluster, client).await;
        let network = cluster.network();
        let peers = NODES.into_iter().filter(|peer| *peer != node);
        let peers: Vec<u8> = match self {
            Self::CutFromPeers(..) => peers.collect(),
            Self::CutBetween(..) => peers.take(1).collect(),
            _ => Vec::new(),
        };
        if peers.is_empty() {
            network.cut_off(node);
        }
        for peer in &peers {
            network.cut_between(node, *peer);
        }
        pause(time);
        if peers.is_empty() {
            network.join(node);
        }
        for peer in &peers {
            network.join_both(node, *peer);
        }
    }
}

async fn resolve(target: Target, cluster: &Cluster, client: &Client) -> u8 {
    match target {
        Target::Node(node) => node,
        Target::Leader(index) => leader(client, mover::TOPIC, index).await,
        Target::Controller => u8::try_from(cluster.quorum().leader_id).unwrap(),
    }
}
