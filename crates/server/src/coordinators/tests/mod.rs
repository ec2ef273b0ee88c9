//! Coordinators whose partitions change their leader: in one whole broker, where the controller takes
//! the leadership away and gives it back.

mod groups;
mod reign;
mod three_brokers;
mod transactions;
mod two_brokers;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kalda_controller::Decision;
use kalda_coordinator::Caller;
use kalda_metadata::ConfigResource;
use kalda_model::{BrokerId, LeaderEpoch};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use kalda_protocol::stored::metadata::{ConfigRecord, MetadataRecord, PartitionChangeRecord};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::{Gathered, Gathering, Hosted, LiveShard, Shards};
use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::hosted::HostedPartition;
use crate::start::Server;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// No broker.
const NOBODY: i32 = -1;

/// A broker under test, stopped when dropped.
struct Rig {
    server: Option<Server>,
    _home: TempDir,
    broker: Arc<Broker>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
            let stopped = server.wait();
            assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
        }
    }
}

impl Rig {
    /// Starts a broker whose coordinators have one partition each.
    fn start(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("listeners", "PLAINTEXT://127.0.0.1:0")];
        all.extend(settings);
        Self::start_node(&all)
    }

    /// Starts the brokers of one cluster; the first is its controller too.
    fn start_cluster<const BROKERS: usize>(settings: &[(&str, &str)]) -> [Self; BROKERS] {
        let mut controller = None;
        std::array::from_fn(|at| {
            let id = (at + 1).to_string();
            let mut of_node = vec![("node.id", &*id), ("controller.listener.names", "CONTROLLER")];
            of_node.extend(settings);
            let Some(controller) = &controller else {
                of_node.extend([
                    ("process.roles", "broker,controller"),
                    ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
                ]);
                let first = Self::start_node(&of_node);
                let address = first.server.as_ref().unwrap().controller_address().unwrap();
                controller = Some(address.to_string());
                return first;
            };
            of_node.extend([
                ("process.roles", "broker"),
                ("listeners", "PLAINTEXT://127.0.0.1:0"),
                ("controller.quorum.bootstrap.servers", controller.as_str()),
            ]);
            Self::start_node(&of_node)
        })
    }

    fn start_node(settings: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut all = vec![
            ("log.dirs".to_owned(), home.path().join("a").display().to_string()),
            ("offsets.topic.num.partitions".to_owned(), "1".to_owned()),
            ("transaction.state.log.num.partitions".to_owned(), "1".to_owned()),
        ];
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let cluster = [("CLUSTER_ID".to_owned(), "two-of-a-kind".to_owned())];
        let (config, warnings) = BrokerConfig::load(None, cluster, &all).unwrap();
        assert_eq!(warnings, []);
        let server = Server::start(config).unwrap();
        let broker = Arc::clone(server.broker());
        Self { server: Some(server), _home: home, broker }
    }

    /// Makes a topic of one partition, led by `leader`.
    async fn make_topic_at(&self, name: &str, leader: BrokerId) {
        self.make_topic_on(name, &[leader.0]).await;
    }

    /// Makes a topic of one partition, led by the first of the replicas.
    async fn make_topic_on(&self, name: &str, replicas: &[i32]) {
        let assignment =
            CreatableReplicaAssignment { partition_index: 0, broker_ids: replicas.to_vec() };
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![assignment],
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let made = self.broker.controller_channel.call(&self.broker, &request).await.unwrap();
        assert_eq!(made.topics[0].error_code, 0);
        self.know(name).await;
    }

    async fn make_topic(&self, name: &str) {
        self.make_topic_at(name, self.broker.node).await;
    }

    /// Returns when this broker knows the topic.
    async fn know(&self, name: &str) {
        let is_known = || self.broker.image().topics.by_name(name).is_some();
        self.broker.groups.metadata_until(is_known).await;
    }

    fn hosted(&self, topic: &str) -> Arc<HostedPartition> {
        let id = self.broker.image().topics.by_name(topic).unwrap().id;
        self.broker.partitions.find(id, 0).unwrap()
    }

    fn epoch(&self, topic: &str) -> LeaderEpoch {
        self.broker.image().topics.by_name(topic).unwrap().partitions[&0].leader_epoch
    }

    /// Has the controller change the first partition of a topic; returns when this broker has done so.
    async fn change(&self, topic: &str, change: PartitionChangeRecord) {
        let id = self.broker.image().topics.by_name(topic).unwrap().id;
        let before = self.broker.image().topics.by_name(topic).unwrap().partitions[&0].clone();
        let change = PartitionChangeRecord { partition_id: 0, topic_id: id, ..change };
        let records = vec![MetadataRecord::PartitionChange(change)];
        let decided = self.broker.controller.decide(move |_| Decision { records, response: () });
        assert!(decided.await.is_ok());
        let broker = &self.broker;
        let is_changed = || {
            let image = broker.image();
            let after = &image.topics.by_name(topic).unwrap().partitions[&0];
            after.partition_epoch > before.partition_epoch
        };
        broker.transactions.metadata_until(is_changed).await;
    }

    /// Gives the first partition of a topic to this broker or to nobody, under a new epoch.
    async fn elect(&self, topic: &str, leader: i32) {
        self.change(topic, PartitionChangeRecord { leader, ..Default::default() }).await;
    }

    /// Like [`Rig::elect`], for a coordinator's topic: returns when its shard has come or gone.
    async fn move_to<C: Hosted>(&self, leader: i32) {
        self.elect(C::TOPIC.name, leader).await;
        let shards: &Shards<C> = C::shards(&self.broker);
        let epoch = self.epoch(C::TOPIC.name);
        let live = || shards.live.lock().get(&0).map(|shard| shard.leader_epoch());
        let expected = (leader != NOBODY).then_some(epoch);
        shards.metadata_until(|| live() == expected).await;
    }

    /// Takes a coordinator's partition away and gives it back.
    /// Stops at once, without handing anything over.
    fn end(&mut self) {
        let server = self.server.take().unwrap();
        server.stop();
        server.wait().unwrap();
    }

    async fn move_away_and_back<C: Hosted>(&self) {
        self.move_to::<C>(NOBODY).await;
        self.move_to::<C>(self.broker.node.0).await;
    }

    fn live<C: Hosted>(&self) -> Arc<LiveShard<C>> {
        C::shards(&self.broker).shard(&self.broker, 0).unwrap()
    }
}

/// Runs a test in an event loop of its own.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(PATIENCE, test).await.expect("the test comes to its end")
    })
}

fn caller(api_version: i16) -> Caller {
    Caller { client_id: "test".to_owned(), client_host: "/127.0.0.1".to_owned(), api_version }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

/// Sets `min.insync.replicas` of a topic; returns when its partition goes by it.
async fn set_min_isr(rig: &Rig, topic: &str, value: &str) {
    let record = ConfigRecord {
        resource_type: 2,
        resource_name: topic.to_owned(),
        name: "min.insync.replicas".to_owned(),
        value: Some(value.to_owned()),
    };
    let records = vec![MetadataRecord::Config(record)];
    let decided = rig.broker.controller.decide(move |_| Decision { records, response: () });
    assert!(decided.await.is_ok());
    let is_set = || {
        let image = rig.broker.image();
        let resource = ConfigResource::topic(topic);
        image.configs.value(&resource, "min.insync.replicas") == Some(value)
    };
    rig.broker.groups.metadata_until(is_set).await;
}

/// Broker 7 answers when it is let; what it was asked at once is the answer to each.
#[derive(Debug)]
struct Question(u32);

static QUESTIONS: LazyLock<Gathering<Question>> = LazyLock::new(Gathering::default);
static MAY_ANSWER: Semaphore = Semaphore::const_new(0);

impl Gathered for Question {
    type Answer = Vec<u32>;

    fn gathering(_: &Broker) -> &Gathering<Self> {
        &QUESTIONS
    }

    fn excludes(&self, earlier: &Self) -> bool {
        self.0 % 10 == earlier.0 % 10
    }

    async fn ask(
        _: &Arc<Broker>,
        to: BrokerId,
        gathered: &[Self],
    ) -> Result<Vec<Vec<u32>>, ErrorCode> {
        MAY_ANSWER.acquire().await.unwrap().forget();
        assert_eq!(to, BrokerId(7));
        let all: Vec<u32> = gathered.iter().map(|question| question.0).collect();
        Ok(vec![all; gathered.len()])
    }
}

#[test]
fn what_is_for_one_broker_goes_together_while_it_is_busy() {
    let rig = Rig::start(&[("node.id", "7")]);
    run(async {
        let ask = |number| Gathering::send(&rig.broker, BrokerId(7), Question(number));
        let first = ask(1);
        while QUESTIONS.waiting(BrokerId(7)) == Some(1) {
            tokio::task::yield_now().await;
        }
        let rest = [2, 3, 13, 4].map(ask);
        MAY_ANSWER.add_permits(3);
        assert_eq!(first.answer().await, Ok(vec![1]));
        let [second, third, excluded, behind] = rest;
        assert_eq!(second.answer().await, Ok(vec![2, 3]));
        assert_eq!(third.answer().await, Ok(vec![2, 3]));
        assert_eq!(excluded.answer().await, Ok(vec![13, 4]));
        assert_eq!(behind.answer().await, Ok(vec![13, 4]));
        // Nobody has to wait for one that is not there.
        let lost = Gathering::send(&rig.broker, BrokerId(8), Question(5));
        assert_eq!(lost.answer().await, Err(ErrorCode::NetworkException));
        // Nothing is kept of who is not spoken to.
        while [7, 8].iter().any(|id| QUESTIONS.waiting(BrokerId(*id)).is_some()) {
            tokio::task::yield_now().await;
        }
    });
}
