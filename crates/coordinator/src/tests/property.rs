//! Random requests, time, failing appends, transactions and reloads.

use kalda_model::ProducerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use proptest::prelude::*;

use super::words;
use super::world::{Entry, World};
use crate::{Caller, GroupRequest, GroupSettings, MigrationPolicy, Token};

#[derive(Clone, Debug)]
enum Step {
    Join { group: u8, member: u8, instance: Option<u8>, version: i16, protocol: u8, owned: u8 },
    Sync { group: u8, member: u8, behind: bool },
    Heartbeat { group: u8, member: u8 },
    Leave { group: u8, member: u8, instance: Option<u8> },
    Commit { group: u8, member: Option<u8>, partition: i32, offset: i64 },
    TxnCommit { group: u8, producer: i64, partition: i32, offset: i64 },
    Marker { producer: i64, commit: bool },
    Consumer { group: u8, member: u8, epoch: i8, instance: bool, wants: u8, owned: u8 },
    Delete { group: u8 },
    DeleteTopic,
    PutTopic { partitions: i32, matches: bool },
    Wait { ms: i64 },
    FailNext,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let group = 0..3_u8;
    let member = 0..6_u8;
    let instance = proptest::option::weighted(0.3, 0..2_u8);
    prop_oneof![
        10 => (group.clone(), member.clone(), instance.clone(), 0..=9_i16, 0..4_u8, 0..3_u8)
            .prop_map(|(group, member, instance, version, protocol, owned)| {
                let instance = instance.filter(|_| version >= 5);
                Step::Join { group, member, instance, version, protocol, owned }
            }),
        8 => (group.clone(), member.clone(), any::<bool>())
            .prop_map(|(group, member, behind)| Step::Sync { group, member, behind }),
        6 => (group.clone(), member.clone())
            .prop_map(|(group, member)| Step::Heartbeat { group, member }),
        2 => (group.clone(), member.clone(), instance)
            .prop_map(|(group, member, instance)| Step::Leave { group, member, instance }),
        4 => (group.clone(), proptest::option::of(member), 0..4, 0..100_i64).prop_map(
            |(group, member, partition, offset)| Step::Commit { group, member, partition, offset }
        ),
        3 => (group.clone(), 0..3_i64, 0..4, 0..100_i64).prop_map(
            |(group, producer, partition, offset)| {
                Step::TxnCommit { group, producer, partition, offset }
            }
        ),
        14 => (group.clone(), 0..4_u8, 0..12_i8, any::<bool>(), 0..5_u8, 0..3_u8).prop_map(
            |(group, member, epoch, instance, wants, owned)| {
                Step::Consumer { group, member, epoch, instance, wants, owned }
            }
        ),
        2 => (0..3_i64, any::<bool>())
            .prop_map(|(producer, commit)| Step::Marker { producer, commit }),
        1 => group.prop_map(|group| Step::Delete { group }),
        1 => Just(Step::DeleteTopic),
        2 => (1..4, any::<bool>())
            .prop_map(|(partitions, matches)| Step::PutTopic { partitions, matches }),
        6 => prop_oneof![Just(1), Just(3_000), Just(10_000), Just(61_000), Just(700_000_000)]
            .prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::FailNext),
        1 => Just(Step::Reload),
    ]
}

struct Walk {
    world: World,
    tokens: u64,
}

impl Walk {
    /// A member of the group, a real one if there are any: random ids would hit nothing.
    fn member(&self, group: u8, pick: u8) -> (String, i32) {
        if let Some(group) = self.world.shard.consumers.get(&format!("g{group}")) {
            let members: Vec<_> = group.state.members.iter().collect();
            return match members.get(usize::from(pick)) {
                Some((id, member)) => ((*id).clone(), member.current.epoch),
                None => (if pick < 5 { String::new() } else { format!("c-{pick}") }, 1),
            };
        }
        let Some(group) = self.world.shard.groups.get(&format!("g{group}")) else {
            return ("stranger".to_owned(), 1);
        };
        let mut ids: Vec<String> = group.member_ids().map(str::to_owned).collect();
        ids.push(String::new());
        (ids[usize::from(pick) % ids.len()].clone(), group.generation())
    }

    fn ask(&mut self, api_version: i16, request: GroupRequest) {
        let caller =
            Caller { client_id: "c".to_owned(), client_host: "/127.0.0.1".to_owned(), api_version };
        self.tokens += 1;
        self.world.request(Token(self.tokens), &caller, request);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Join { .. } => self.join(step),
            Step::Sync { group, member, behind } => {
                let (member_id, generation) = self.member(*group, *member);
                let everybody = self.world.shard.groups.get(&format!("g{group}"));
                let assignments = (0..)
                    .zip(everybody.into_iter().flat_map(|group| group.member_ids()))
                    .map(|(index, id)| SyncGroupRequestAssignment {
                        member_id: id.to_owned(),
                        assignment: words::metadata(&format!("#logs-{index}.clicks-{index}")),
                    })
                    .collect();
                let request = SyncGroupRequest {
                    group_id: format!("g{group}"),
                    generation_id: generation - i32::from(*behind),
                    member_id,
                    assignments,
                    ..SyncGroupRequest::default()
                };
                self.ask(5, GroupRequest::Sync(request));
            }
            Step::Heartbeat { group, member } => {
                let (member_id, generation_id) = self.member(*group, *member);
                let group_id = format!("g{group}");
                let request = HeartbeatRequest {
                    group_id,
                    generation_id,
                    member_id,
                    ..HeartbeatRequest::default()
                };
                self.ask(4, GroupRequest::Heartbeat(request));
            }
            Step::Leave { group, member, instance } => {
                let (member_id, _) = self.member(*group, *member);
                let identity = MemberIdentity {
                    member_id,
                    group_instance_id: instance.map(|index| format!("i{index}")),
                    ..MemberIdentity::default()
                };
                let group_id = format!("g{group}");
                let members = vec![identity];
                let request = LeaveGroupRequest { group_id, members, ..Default::default() };
                self.ask(5, GroupRequest::Leave(request));
            }
            Step::Delete { group } => {
                self.ask(2, GroupRequest::Delete(vec![format!("g{group}")]));
            }
            Step::Wait { ms } => {
                let until_ms = self.world.now_ms + ms;
                self.world.pass_until(until_ms, |_, _| {});
            }
            Step::FailNext => self.world.fail_next = Some(ErrorCode::NotEnoughReplicas),
            Step::Reload => {
                let answers = self.world.shard.unload();
                self.world.answered(&answers);
                self.world.shard = self.world.reloaded();
            }
            Step::Consumer { .. } => self.consumer(step),
            offsets => self.take_offsets(offsets),
        }
    }

    fn join(&mut self, step: &Step) {
        let Step::Join { group, member, instance, version, protocol, owned } = step else { return };
        let (member_id, _) = self.member(*group, *member);
        let names = ["range", "sticky"];
        let offered = match protocol {
            0 => &names[..1],
            1 => &names[1..],
            _ => &names[..],
        };
        let metadata = self.subscription(*group, &member_id, *owned);
        let request = JoinGroupRequest {
            group_id: format!("g{group}"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            member_id,
            group_instance_id: instance.map(|index| format!("i{index}")),
            protocol_type: "consumer".to_owned(),
            protocols: offered
                .iter()
                .map(|name| JoinGroupRequestProtocol {
                    name: (*name).to_owned(),
                    metadata: metadata.clone(),
                })
                .collect(),
            reason: None,
        };
        self.ask(*version, GroupRequest::Join(request));
    }

    /// An eager member owns nothing when it joins, a cooperative one what it has not given up yet.
    fn subscription(&self, group: u8, member_id: &str, owned: u8) -> bytes::Bytes {
        let group = self.world.shard.consumers.get(&format!("g{group}"));
        let member = group.and_then(|group| group.state.members.get(member_id));
        let current = member.map(|member| &member.current);
        let assigned = current.into_iter().flat_map(|current| &current.assigned);
        let revoking = current.into_iter().flat_map(|current| &current.revoking);
        let holds: Vec<_> = match owned {
            0 => Vec::new(),
            1 => assigned.collect(),
            _ => assigned.chain(revoking).collect(),
        };
        let named = holds.into_iter().filter_map(|(topic, partition)| {
            Some(format!("{}-{partition}", self.world.image.topics.by_id(*topic)?.name))
        });
        let named: Vec<String> = named.collect();
        let topics = if owned == 1 { "logs+clicks" } else { "logs" };
        words::metadata(&format!("@{topics}/{}", named.join(".")))
    }

    fn consumer(&mut self, step: &Step) {
        let Step::Consumer { group, member, epoch, instance, wants, owned } = step else { return };
        let group_id = format!("g{group}");
        let member_id = format!("m{member}");
        let state = self.world.shard.consumers.get(&group_id).map(|group| &group.state);
        let known = state.and_then(|state| state.members.get(&member_id));
        let member_epoch = match epoch {
            0 => -1,
            1 => -2,
            2..=4 => 0,
            _ => known.map_or(0, |member| member.current.epoch.max(0)),
        };
        let assigned = known.map(|member| &member.current.assigned);
        let holds = assigned.into_iter().flatten().map(|(topic_id, partition)| TopicPartitions {
            topic_id: *topic_id,
            partitions: vec![*partition],
        });
        let joins = member_epoch == 0;
        let (topics, regex) = match wants {
            0 => (&["logs"][..], None),
            1 => (&["logs", "clicks"][..], None),
            2 => (&[][..], Some("lo.*")),
            3 => (&["clicks"][..], Some("(cl|lo).*")),
            _ => (&["clicks"][..], Some("")),
        };
        let topics = topics.iter().map(|name| (*name).to_owned()).collect();
        let speaks = joins || *owned == 2;
        let request = ConsumerGroupHeartbeatRequest {
            group_id,
            // Two members share an instance, and come and go in its name.
            instance_id: instance.then(|| format!("i{}", member % 2)),
            member_id,
            member_epoch,
            rebalance_timeout_ms: if joins { 20_000 } else { -1 },
            subscribed_topic_names: speaks.then_some(topics),
            subscribed_topic_regex: regex.filter(|_| speaks).map(str::to_owned),
            topic_partitions: match owned {
                _ if joins => Some(Vec::new()),
                0 => None,
                _ => Some(holds.collect()),
            },
            ..ConsumerGroupHeartbeatRequest::default()
        };
        self.ask(1, GroupRequest::ConsumerGroupHeartbeat(request));
    }

    fn take_offsets(&mut self, step: &Step) {
        match step {
            Step::Commit { group, member, partition, offset } => {
                let (member_id, generation) = match member {
                    Some(pick) => self.member(*group, *pick),
                    None => (String::new(), -1),
                };
                let request = OffsetCommitRequest {
                    group_id: format!("g{group}"),
                    generation_id_or_member_epoch: generation,
                    member_id,
                    topics: vec![OffsetCommitRequestTopic {
                        name: "clicks".to_owned(),
                        partitions: vec![OffsetCommitRequestPartition {
                            partition_index: *partition,
                            committed_offset: *offset,
                            ..OffsetCommitRequestPartition::default()
                        }],
                        ..OffsetCommitRequestTopic::default()
                    }],
                    ..OffsetCommitRequest::default()
                };
                self.ask(9, GroupRequest::OffsetCommit(request));
            }
            Step::TxnCommit { group, producer, partition, offset } => {
                let request = TxnOffsetCommitRequest {
                    group_id: format!("g{group}"),
                    producer_id: *producer,
                    topics: vec![TxnOffsetCommitRequestTopic {
                        name: "clicks".to_owned(),
                        partitions: vec![TxnOffsetCommitRequestPartition {
                            partition_index: *partition,
                            committed_offset: *offset,
                            ..TxnOffsetCommitRequestPartition::default()
                        }],
                    }],
                    ..TxnOffsetCommitRequest::default()
                };
                self.ask(4, GroupRequest::TxnOffsetCommit(request));
            }
            Step::Marker { producer, commit } => {
                self.world.append_entry(Entry::Marker(ProducerId(*producer), *commit));
            }
            Step::PutTopic { partitions, matches } => {
                self.world.put_topic(if *matches { "lost" } else { "clicks" }, *partitions);
            }
            _ => {
                self.world.delete_topic("clicks");
            }
        }
    }
}

fn policy() -> impl Strategy<Value = MigrationPolicy> {
    prop_oneof![
        6 => Just(MigrationPolicy::Bidirectional),
        1 => Just(MigrationPolicy::Upgrade),
        1 => Just(MigrationPolicy::Downgrade),
        1 => Just(MigrationPolicy::Disabled),
    ]
}

proptest! {
    #[test]
    fn a_loaded_shard_equals_the_live_one(
        policy in policy(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let settings =
            GroupSettings { consumer_migration_policy: policy, ..GroupSettings::default() };
        let world = World::new(settings, &[("logs", 4), ("clicks", 2)]);
        let mut walk = Walk { world, tokens: 0 };
        for step in &steps {
            walk.take(step);
            walk.world.assert_reload_equals_live();
            walk.world.shard.assert_timers();
            for group in walk.world.shard.groups.values() {
                group.assert_consistent();
            }
            for (id, group) in &walk.world.shard.consumers {
                prop_assert!(!walk.world.shard.groups.contains_key(id), "{id} is of one type");
                group.assert_consistent();
            }
        }
        // Nobody waits for ever: time alone answers everything, or a new coordinator does.
        let until_ms = walk.world.now_ms + 3_600_000;
        walk.world.pass_until(until_ms, |_, _| {});
        prop_assert!(walk.world.unanswered.is_empty(), "{:?}", walk.world.unanswered);
    }
}
