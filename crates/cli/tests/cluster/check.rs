//! The look at everything after a round, from outside, while nobody writes: is all there that was
//! acknowledged, once, in order, whole, and is nothing there that was aborted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kalda_client::admin::NewTopic;
use kalda_client::{Client, Record, Seek};
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::client::Client as Raw;
use crate::mover::{Fate, Mover};
use crate::nodes::{Cluster, NODES};
use crate::process::pause;
use crate::reader::{Seen, partitions, read_committed};
use crate::workers::Workers;
use crate::{PATIENCE, appender, copier, member, mover};

/// What was seen so far, and up to where.
#[derive(Default)]
pub(crate) struct Known {
    numbers: Topic,
    lines: Topic,
    /// What the groups had committed when they were looked at last.
    committed: BTreeMap<(&'static str, TopicPartition), i64>,
    /// Topics that were made to see whether the cluster still works.
    fresh: u64,
}

#[derive(Default)]
struct Topic {
    seen: Seen,
    read_to: BTreeMap<TopicPartition, i64>,
}

impl Topic {
    /// Reads on to the end; answers what is new.
    async fn read(&mut self, client: &Client, name: &str, is_whole: bool) -> Seen {
        let new = read_committed(client, name, &mut self.read_to).await;
        self.seen.extend(new.clone());
        if is_whole {
            let all = read_committed(client, name, &mut BTreeMap::new()).await;
            assert!(all == self.seen, "{name}: what was seen stays as it was");
        }
        new
    }
}

impl Known {
    /// Everything; `is_whole` also reads again what was read before.
    pub(crate) async fn check(
        &mut self,
        client: &Client,
        cluster: &Cluster,
        workers: &mut Workers,
        is_whole: bool,
    ) {
        self.numbers.read(client, mover::TOPIC, is_whole).await;
        check_transactions(&self.numbers.seen, &mut workers.movers);
        let lines = self.lines.read(client, appender::TOPIC, is_whole).await;
        for (at, value) in &lines {
            let mut appenders = workers.appenders.iter_mut();
            assert!(appenders.any(|one| one.on_found(*at, value)), "nobody wrote {value}");
        }
        workers.appenders.iter_mut().for_each(appender::Appender::on_end);
        workers.watchers[0].check(&self.lines.seen);
        workers.watchers[1].check(&self.numbers.seen);
        self.check_copies(client, cluster).await;
        self.check_member(cluster, &workers.member);
        self.fresh += 1;
        use_a_fresh_topic(client, self.fresh).await;
    }

    /// What is copied is what is below the committed offsets: nothing twice, nothing left out.
    async fn check_copies(&mut self, client: &Client, cluster: &Cluster) {
        let offsets = committed(cluster, copier::GROUP);
        self.check_forward(copier::GROUP, &offsets);
        let copies = read_committed(client, copier::TOPIC, &mut BTreeMap::new()).await;
        for partition in partitions(mover::TOPIC) {
            let index = partition.partition;
            let end = offsets.get(&partition).copied().unwrap_or(0);
            let read = self.numbers.seen.range((index, 0)..(index, end)).map(|(_, value)| value);
            let written = copies.range((index, 0)..(index + 1, 0)).map(|(_, value)| value);
            let (read, written): (Vec<_>, Vec<_>) = (read.collect(), written.collect());
            assert_eq!(written, read, "{partition} is copied up to {end}");
        }
    }

    /// No commit that was acknowledged is lost.
    fn check_member(&mut self, cluster: &Cluster, member: &member::Member) {
        let offsets = committed(cluster, member::GROUP);
        self.check_forward(member::GROUP, &offsets);
        for (partition, acknowledged) in &member.acknowledged {
            let found = offsets.get(partition).copied().unwrap_or(-1);
            assert!(found >= *acknowledged, "{partition}: {acknowledged} became {found}");
        }
    }

    /// Committed offsets never move back.
    fn check_forward(&mut self, group: &'static str, offsets: &BTreeMap<TopicPartition, i64>) {
        for (partition, offset) in offsets {
            let before = self.committed.insert((group, partition.clone()), *offset).unwrap_or(0);
            assert!(*offset >= before, "{group}: {partition} went from {before} to {offset}");
        }
        let known = self.committed.keys().filter(|(of, _)| *of == group).count();
        assert_eq!(known, offsets.len(), "{group}: no partition is forgotten");
    }
}

/// Every transaction is there as a whole and once, or not at all, as its producer was told.
fn check_transactions(seen: &Seen, movers: &mut [Mover]) {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for value in seen.values() {
        *times.entry(value).or_default() += 1;
    }
    for mover in movers {
        for (number, written) in &mut mover.book {
            let values = &written.values;
            let seen: u64 = values.iter().filter_map(|value| times.remove(&**value)).sum();
            let all = values.len() as u64;
            let name = format!("transaction {number} of {}", mover.transactional_id);
            match written.fate {
                Fate::Committed => assert_eq!(seen, all, "{name} was committed"),
                Fate::Aborted => assert_eq!(seen, 0, "{name} was aborted"),
                Fate::InDoubt => assert!(seen == 0 || seen == all, "{name}: {seen} of {all}"),
            }
            written.fate = if seen == 0 { Fate::Aborted } else { Fate::Committed };
        }
    }
    assert!(times.is_empty(), "nobody wrote these: {times:?}");
}

/// Makes a topic, writes to it, reads it and takes it away.
async fn use_a_fresh_topic(client: &Client, number: u64) {
    let name = format!("fresh-{number}");
    let topic = NewTopic { name: name.clone(), partitions: Some(3), ..NewTopic::default() };
    client.admin().create_topic(&topic, false).await.unwrap();
    let producer = client.producer().unwrap();
    let mut consumer = client.consumer().unwrap();
    let all = [0, 1, 2].map(|index| TopicPartition::new(name.as_str(), index));
    consumer.assign(all.clone());
    for at in &all {
        let record = Record { partition: Some(at.partition), ..Record::to(&name) };
        let sent = producer.send(record.value(format!("{number}"))).await.unwrap();
        assert_eq!(sent.await.unwrap().offset, Some(0), "{name}");
        consumer.seek(at, Seek::Earliest).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < all.len() {
        seen += consumer.poll(Duration::from_millis(50)).await.unwrap().len();
        assert!(Instant::now() < deadline, "{name}: {seen} of 3 were read");
    }
    producer.close().await;
    client.admin().delete_topic(&name).await.unwrap();
}

/// What a group has committed of the movers' topic, when no transaction is about to change it.
fn committed(cluster: &Cluster, group: &str) -> BTreeMap<TopicPartition, i64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match try_committed(cluster, group) {
            Ok(found) => return found,
            Err(said) => assert!(Instant::now() < deadline, "{group}: {said}"),
        }
        pause(Duration::from_millis(20));
    }
}

fn try_committed(cluster: &Cluster, group: &str) -> Result<BTreeMap<TopicPartition, i64>, String> {
    let group_id = group.to_owned();
    let find =
        FindCoordinatorRequest { coordinator_keys: vec![group_id.clone()], ..Default::default() };
    let found = Raw::connect(cluster.address(NODES[0])).call(4, &find);
    let coordinator = &found.coordinators[0];
    let node = u8::try_from(coordinator.node_id).map_err(|_| format!("{coordinator:?}"))?;
    let topics = vec![OffsetFetchRequestTopics {
        name: mover::TOPIC.to_owned(),
        partition_indexes: (0..mover::PARTITIONS).collect(),
        ..Default::default()
    }];
    let groups =
        vec![OffsetFetchRequestGroup { group_id, topics: Some(topics), ..Default::default() }];
    let request = OffsetFetchRequest { groups, require_stable: true, ..Default::default() };
    let response = Raw::connect(cluster.address(node)).call(8, &request);
    let answer = &response.groups[0];
    let mut offsets = BTreeMap::new();
    let mut codes = vec![answer.error_code];
    for at in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        codes.push(at.error_code);
        if at.committed_offset >= 0 {
            let partition = TopicPartition::new(mover::TOPIC, at.partition_index);
            offsets.insert(partition, at.committed_offset);
        }
    }
    let is_ok = codes.iter().all(|code| *code == ErrorCode::None.code());
    if is_ok { Ok(offsets) } else { Err(format!("{codes:?} of node {node}")) }
}
