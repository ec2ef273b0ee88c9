//! The voters of the metadata quorum change while it runs (KIP-853): one joins, the leader is removed, one comes
//! back at another address, one comes back by itself (KIP-1186); static ones become records.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use kalda_env::FsDisk;
use kalda_model::{BrokerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::add_raft_voter::{AddRaftVoterRequest, Listener};
use kalda_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, ReplicaState, RequestPartitionData,
    RequestTopicData,
};
use kalda_protocol::messages::remove_raft_voter::RemoveRaftVoterRequest;
use kalda_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use kalda_raft::quorum::{ReplicaKey, Voter, VoterEndpoint, VoterSet};
use kalda_server::{BrokerConfig, Server};
use tempfile::TempDir;

use crate::client::Client;
use crate::rig::{await_some, free_port, init_logging};

/// A node that is controller and broker.
struct Node {
    id: i32,
    home: TempDir,
    directory: Uuid,
    port: u16,
    controller_port: u16,
    server: Option<Server>,
}

/// Nodes of which the first are formatted as voters: so many.
struct Nodes(Vec<Node>, usize);

impl Node {
    fn new(id: i32) -> Self {
        let home = tempfile::tempdir().unwrap();
        let directory = Uuid::from_bytes([u8::try_from(id).unwrap(); 16]);
        let meta = format!(
            "version=1\ncluster.id=voters-under-test\nnode.id={id}\ndirectory.id={directory}\n"
        );
        std::fs::write(home.path().join("meta.properties"), meta).unwrap();
        Self { id, home, directory, port: free_port(), controller_port: free_port(), server: None }
    }

    fn endpoint(&self) -> VoterEndpoint {
        VoterEndpoint {
            listener: "CONTROLLER".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.controller_port,
        }
    }

    fn start(&mut self, bootstrap: &str, more: &[(&str, &str)]) {
        let (client, controller) = (self.port, self.controller_port);
        let listeners =
            format!("PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}");
        let mut all = vec![
            ("node.id", self.id.to_string()),
            ("process.roles", "broker,controller".into()),
            ("advertised.listeners", listeners.clone()),
            ("listeners", listeners),
            ("controller.listener.names", "CONTROLLER".into()),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".into()),
            ("controller.quorum.bootstrap.servers", bootstrap.to_owned()),
            ("log.dirs", self.home.path().display().to_string()),
        ];
        all.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let all: Vec<_> = all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let (config, _) = BrokerConfig::load(None, [], &all).unwrap();
        self.server = Some(Server::start(config).unwrap());
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.stop_all();
    }
}

impl Nodes {
    fn formatted(voter_count: usize, ids: RangeInclusive<i32>) -> Self {
        init_logging();
        let nodes: Vec<_> = ids.map(Node::new).collect();
        let voters = VoterSet::new(nodes[..voter_count].iter().map(|node| Voter {
            key: ReplicaKey { id: BrokerId(node.id), directory: Some(node.directory) },
            endpoints: vec![node.endpoint()],
            kraft_versions: (0, 1),
        }));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        for node in &nodes[..voter_count] {
            let now_ms = i64::try_from(now.as_millis()).unwrap();
            kalda_raft::format(&FsDisk, node.home.path(), &voters, now_ms).unwrap();
        }
        Self(nodes, voter_count)
    }

    fn bootstrap(&self) -> String {
        let address = |node: &Node| format!("127.0.0.1:{}", node.controller_port);
        self.0[..self.1].iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Together: none of them is up before a majority is.
    fn start(&mut self, ids: &[i32], joining: Option<i32>) {
        let bootstrap = self.bootstrap();
        std::thread::scope(|scope| {
            for node in self.0.iter_mut().filter(|node| ids.contains(&node.id)) {
                let joins = (joining == Some(node.id)).to_string();
                let bootstrap = &bootstrap;
                scope.spawn(move || {
                    node.start(bootstrap, &[("controller.quorum.auto.join.enable", &joins)]);
                });
            }
        });
    }

    /// With voters that a setting names: no disk knows of any.
    fn start_static(&mut self) {
        let voter = |node: &Node| format!("{}@127.0.0.1:{}", node.id, node.controller_port);
        let voters = self.0.iter().map(voter).collect::<Vec<_>>().join(",");
        std::thread::scope(|scope| {
            for node in &mut self.0 {
                let voters = &voters;
                scope.spawn(move || node.start("", &[("controller.quorum.voters", voters)]));
            }
        });
    }

    fn raise_kraft_version(&self, at: i32, level: i16) -> ErrorCode {
        let update = FeatureUpdateKey {
            feature: "kraft.version".to_owned(),
            max_version_level: level,
            upgrade_type: 1,
            ..FeatureUpdateKey::default()
        };
        let feature_updates = vec![update];
        let request = UpdateFeaturesRequest { feature_updates, ..UpdateFeaturesRequest::default() };
        let answer = self.client(at).unwrap().call(2, &request);
        ErrorCode::from_code(answer.error_code).unwrap()
    }

    /// Together: without a majority nobody could say goodbye to the controller.
    fn stop_all(&mut self) {
        let servers: Vec<_> = self.0.iter_mut().filter_map(|node| node.server.take()).collect();
        servers.iter().for_each(Server::stop);
        for server in servers {
            let _ended = server.wait();
        }
    }

    fn node(&mut self, id: i32) -> &mut Node {
        self.0.iter_mut().find(|node| node.id == id).unwrap()
    }

    /// At the clients' listener of a node.
    fn client(&self, id: i32) -> Option<Client> {
        let node = self.0.iter().find(|node| node.id == id)?;
        Client::try_connect(SocketAddr::from(([127, 0, 0, 1], node.port))).ok()
    }

    fn describe(&self, at: i32) -> Option<DescribeQuorumResponse> {
        let partitions = vec![RequestPartitionData { partition_index: 0 }];
        let topic = RequestTopicData { topic_name: "__cluster_metadata".to_owned(), partitions };
        let request = DescribeQuorumRequest { topics: vec![topic] };
        let described = self.client(at)?.try_call(2, &request).ok()?;
        let partition = described.topics.first()?.partitions.first()?;
        (partition.error_code == 0 && partition.leader_id > 0).then_some(described)
    }

    /// Waits until a node knows a leader who knows these voters; answers who leads.
    fn await_voters(&self, at: i32, expected: &[i32]) -> i32 {
        await_some(&format!("the voters {expected:?}"), || {
            let described = self.describe(at)?;
            let partition = &described.topics[0].partitions[0];
            let is_voted = ids(&partition.current_voters) == expected;
            (is_voted && expected.contains(&partition.leader_id)).then_some(partition.leader_id)
        })
    }

    fn add(&self, at: i32, voter: &Node, port: u16) -> ErrorCode {
        let request = AddRaftVoterRequest {
            cluster_id: Some("voters-under-test".to_owned()),
            timeout_ms: 30_000,
            voter_id: voter.id,
            voter_directory_id: voter.directory,
            listeners: vec![Listener {
                name: "CONTROLLER".to_owned(),
                host: "127.0.0.1".to_owned(),
                port,
            }],
        };
        let answer = self.client(at).unwrap().call(0, &request);
        ErrorCode::from_code(answer.error_code).unwrap()
    }

    fn remove(&self, at: i32, id: i32) -> ErrorCode {
        let directory = Uuid::from_bytes([u8::try_from(id).unwrap(); 16]);
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: id,
            voter_directory_id: directory,
        };
        let answer = self.client(at).unwrap().call(0, &request);
        ErrorCode::from_code(answer.error_code).unwrap()
    }
}

fn ids(replicas: &[ReplicaState]) -> Vec<i32> {
    let mut ids: Vec<_> = replicas.iter().map(|replica| replica.replica_id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn voters_come_go_and_move() {
    let mut nodes = Nodes::formatted(3, 1..=4);
    nodes.start(&[1, 2, 3], None);
    nodes.await_voters(1, &[1, 2, 3]);
    let made = nodes.client(1).unwrap().try_create("before", 1, &[]).unwrap();
    assert_eq!(made.error_code, 0, "{:?}", made.error_message);

    // Where nobody listens nobody can say what the new voter supports.
    assert_eq!(nodes.add(1, &nodes.0[3], free_port()), ErrorCode::RequestTimedOut);
    // Nobody waited for it to catch up: the request does.
    nodes.start(&[4], None);
    assert_eq!(nodes.add(1, &nodes.0[3], nodes.0[3].controller_port), ErrorCode::None);
    let leader = nodes.await_voters(4, &[1, 2, 3, 4]);
    assert_eq!(nodes.add(2, &nodes.0[3], nodes.0[3].controller_port), ErrorCode::DuplicateVoter);

    // The leader that is removed hands over.
    let others: Vec<_> = (1..=4).filter(|id| *id != leader).collect();
    assert_eq!(nodes.remove(others[0], leader), ErrorCode::None);
    nodes.await_voters(others[0], &others);
    await_some("a leader that may change voters", || {
        let refused = nodes.remove(others[0], leader);
        // Before the first record of its epoch is committed it may not.
        (refused != ErrorCode::RequestTimedOut)
            .then(|| assert_eq!(refused, ErrorCode::VoterNotFound))
    });

    // All of them start anew, one of them elsewhere, and the removed one joins by itself.
    nodes.stop_all();
    let moved = others[1];
    let port = free_port();
    nodes.node(moved).controller_port = port;
    nodes.start(&[1, 2, 3, 4], Some(leader));
    await_some("the address of the voter that moved", || {
        let described = nodes.describe(others[0])?;
        let node = described.nodes.iter().find(|node| node.node_id == moved)?;
        node.listeners.iter().any(|listener| listener.port == port).then_some(())
    });
    nodes.await_voters(others[0], &[1, 2, 3, 4]);
    let mut client = nodes.client(moved).unwrap();
    await_some("a controller that decides", || {
        let made = client.try_create("after", 1, &[]).ok()?;
        (made.error_code == 0).then_some(())
    });
    assert_eq!(client.describe("before").error_code, 0);
}

#[test]
fn static_voters_become_records_and_can_be_changed_then() {
    let mut nodes = Nodes::formatted(0, 1..=3);
    nodes.start_static();
    nodes.await_voters(1, &[1, 2, 3]);
    assert_eq!(nodes.remove(1, 3), ErrorCode::UnsupportedVersion, "a setting cannot be changed");
    await_some("voters that have told the leader who they are", || {
        let refused = nodes.raise_kraft_version(2, 1);
        (refused != ErrorCode::InvalidUpdateVersion).then(|| assert_eq!(refused, ErrorCode::None))
    });
    let described = nodes.describe(1).unwrap();
    for voter in &described.topics[0].partitions[0].current_voters {
        let node = nodes.0.iter().find(|node| node.id == voter.replica_id).unwrap();
        assert_eq!(voter.replica_directory_id, node.directory, "voter {}", node.id);
    }
    assert_eq!(nodes.raise_kraft_version(1, 1), ErrorCode::None, "it may be said again");
    assert_eq!(nodes.raise_kraft_version(1, 2), ErrorCode::InvalidUpdateVersion);

    // Without the setting: the log says who votes.
    nodes.stop_all();
    nodes.1 = 3;
    nodes.start(&[1, 2, 3], None);
    let leader = nodes.await_voters(1, &[1, 2, 3]);
    let removed = (1..=3).find(|id| *id != leader).unwrap();
    let others: Vec<_> = (1..=3).filter(|id| *id != removed).collect();
    await_some("a leader that may change voters", || {
        let refused = nodes.remove(leader, removed);
        (refused != ErrorCode::RequestTimedOut).then(|| assert_eq!(refused, ErrorCode::None))
    });
    nodes.await_voters(leader, &others);
    let again = nodes.0.iter().find(|node| node.id == removed).unwrap();
    assert_eq!(nodes.add(leader, again, again.controller_port), ErrorCode::None);
    nodes.await_voters(leader, &[1, 2, 3]);
}

#[test]
fn five_controllers_go_on_without_two_of_them() {
    let mut nodes = Nodes::formatted(5, 1..=5);
    let mut left = vec![1, 2, 3, 4, 5];
    nodes.start(&left, None);
    for round in 0..3 {
        let leader = nodes.await_voters(left[0], &[1, 2, 3, 4, 5]);
        assert!(left.contains(&leader), "{leader} leads, and is gone");
        let name = format!("made-by-{}", left.len());
        await_some("a controller that decides", || {
            let made = nodes.client(left[0])?.try_create(&name, 1, &[]).ok()?;
            (made.error_code == 0).then_some(())
        });
        if round < 2 {
            let server = nodes.node(leader).server.take().unwrap();
            server.stop();
            server.wait().unwrap();
            left.retain(|id| *id != leader);
            // Whoever leads now, it is not the one that left.
            await_some("another leader", || {
                let described = nodes.describe(left[0])?;
                left.contains(&described.topics[0].partitions[0].leader_id).then_some(())
            });
        }
    }
}
