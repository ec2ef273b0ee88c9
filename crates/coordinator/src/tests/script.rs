//! Runs the scripts under `testdata/`. A line that starts in the first column is an event, the
//! indented lines after it are what must come of it. `KALDA_REWRITE=1 cargo test` writes them anew.
//!
//! After every script, a shard that loads the log must equal the live one.

use std::collections::BTreeMap;
use std::path::Path;

use kalda_model::{ProducerId, Uuid};
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
use kalda_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kalda_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kalda_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::words;
use super::world::{Entry, World};
use crate::{Caller, Decision, GroupRequest, GroupSettings, MigrationPolicy, Token};

const TOPICS: &[(&str, i32)] = &[("logs", 4), ("clicks", 2)];

#[test]
fn scripts_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut scripts: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty());
    for path in scripts {
        let written = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let actual = Run::new().all(&written);
        if std::env::var_os("KALDA_REWRITE").is_some() {
            std::fs::write(&path, actual).unwrap();
        } else {
            assert_eq!(actual, written, "{name}; KALDA_REWRITE=1 takes the new outcome over");
        }
    }
}

struct Run {
    world: World,
    /// Tokens by their names in the script.
    tokens: BTreeMap<String, Token>,
    out: String,
}

/// The words of an event: a verb, plain words, and `key=value`.
struct Line<'a> {
    text: &'a str,
    words: Vec<&'a str>,
    pairs: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn new(text: &'a str) -> Self {
        let (pairs, words): (Vec<&str>, Vec<&str>) =
            text.split_whitespace().partition(|word| word.contains('='));
        let pairs = pairs.into_iter().filter_map(|pair| pair.split_once('=')).collect();
        Self { text, words, pairs }
    }

    fn word(&self, index: usize) -> &'a str {
        self.words.get(index).unwrap_or_else(|| panic!("a word is missing: {}", self.text))
    }

    fn text(&self, key: &str) -> String {
        self.pairs.get(key).copied().unwrap_or_default().to_owned()
    }

    fn optional(&self, key: &str) -> Option<String> {
        self.pairs.get(key).map(|value| (*value).to_owned())
    }

    fn number<N: std::str::FromStr>(&self, key: &str, default: N) -> N {
        let Some(value) = self.pairs.get(key) else { return default };
        value.parse().unwrap_or_else(|_| panic!("{key} is no number: {}", self.text))
    }

    /// The value under a key as a list; no list at all if it is missing or empty.
    fn list(&self, key: &str) -> Vec<&'a str> {
        let list = self.pairs.get(key).copied().unwrap_or_default();
        list.split(',').filter(|item| !item.is_empty()).collect()
    }

    /// Keys that name partitions, with their values.
    fn partitions(&self) -> Vec<(&'a str, i32, &'a str)> {
        let split = |(key, value): (&&'a str, &&'a str)| {
            let (topic, partition) = key.rsplit_once('-')?;
            Some((topic, partition.parse().ok()?, *value))
        };
        self.pairs.iter().filter_map(split).collect()
    }
}

impl Run {
    fn new() -> Self {
        let world = World::new(GroupSettings::default(), TOPICS);
        Self { world, tokens: BTreeMap::new(), out: String::new() }
    }

    fn all(mut self, script: &str) -> String {
        for text in script.lines().filter(|text| !text.starts_with("  ")) {
            self.out += text;
            self.out += "\n";
            if !text.is_empty() && !text.starts_with('#') {
                self.event(&Line::new(text));
                self.world.assert_reload_equals_live();
            }
        }
        for (name, token) in &self.tokens {
            if self.world.unanswered.contains(token) {
                self.out += &format!("  {name} still waits\n");
            }
        }
        self.out
    }

    fn event(&mut self, line: &Line<'_>) {
        match line.word(0) {
            "max-size" => {
                self.world.settings.max_group_size = line.word(1).parse().unwrap();
                self.world.shard = self.world.reloaded();
            }
            "max-metadata" => {
                self.world.settings.offset_metadata_max_bytes = line.word(1).parse().unwrap();
                self.world.shard = self.world.reloaded();
            }
            "unload" => {
                let answers = self.world.shard.unload();
                self.world.answered(&answers);
                self.show(&Decision { answers, ..Decision::default() });
                assert_eq!(self.world.shard.next_timer_ms(), None, "nothing fires any more");
            }
            "policy" => {
                let policy = MigrationPolicy::from_name(line.word(1));
                self.world.settings.consumer_migration_policy = policy.unwrap();
                self.world.shard = self.world.reloaded();
            }
            "topic" => self.world.put_topic(line.word(1), line.word(2).parse().unwrap()),
            "wait" => {
                let until_ms = self.world.now_ms + line.word(1).parse::<i64>().unwrap();
                let mut seen = Vec::new();
                self.world.pass_until(until_ms, |now_ms, decision| {
                    seen.push((now_ms, decision.clone()));
                });
                for (now_ms, decision) in seen {
                    if !decision.is_empty() {
                        self.out += &format!("  at {now_ms}\n");
                        self.show(&decision);
                    }
                }
            }
            "wall" => self.world.wall_ahead_ms = line.word(1).parse().unwrap(),
            "fail" => {
                let named = |error: &&ErrorCode| error.name() == line.word(1);
                self.world.fail_next = ErrorCode::ALL.iter().find(named).copied();
                assert!(self.world.fail_next.is_some());
            }
            "reload" => {
                let answers = self.world.shard.unload();
                self.world.answered(&answers);
                self.show(&Decision { answers, ..Decision::default() });
                self.world.shard = self.world.reloaded();
            }
            "marker" => {
                let producer = ProducerId(line.number("producer", 0));
                self.world.append_entry(Entry::Marker(producer, line.word(1) == "commit"));
            }
            "delete-topic" => {
                let decision = self.world.delete_topic(line.word(1));
                self.show(&decision);
            }
            verb => {
                let token = Token(self.tokens.len() as u64);
                let name = line.word(1).to_owned();
                assert!(self.tokens.insert(name, token).is_none(), "used twice: {}", line.text);
                let caller = Caller {
                    client_id: line.optional("client").unwrap_or_else(|| "c".to_owned()),
                    client_host: "/127.0.0.1".to_owned(),
                    api_version: line.number("v", default_version(verb)),
                };
                let request = request(verb, line);
                let decision = self.world.request(token, &caller, request);
                self.show(&decision);
            }
        }
    }

    fn show(&mut self, decision: &Decision) {
        for record in &decision.records {
            self.out += &format!("  log {}\n", words::record(record));
        }
        for (token, response) in &decision.answers {
            let name = self.tokens.iter().find(|(_, named)| *named == token).unwrap().0;
            let line = format!("  {name} <- {}", words::response(response));
            self.out += line.trim_end();
            self.out += "\n";
        }
    }
}

fn default_version(verb: &str) -> i16 {
    match verb {
        "join" | "commit" | "fetch" => 9,
        "describe" => 6,
        "heartbeat" => 4,
        "consumer" => 1,
        _ => 5,
    }
}

fn request(verb: &str, line: &Line<'_>) -> GroupRequest {
    let group_id = || line.word(2).trim_matches('"').to_owned();
    let ids = || line.words.iter().skip(2).map(|id| (*id).to_owned()).collect();
    match verb {
        "join" => GroupRequest::Join(join(group_id(), line)),
        "sync" => GroupRequest::Sync(SyncGroupRequest {
            group_id: group_id(),
            generation_id: line.number("generation", 0),
            member_id: line.text("member"),
            group_instance_id: line.optional("instance"),
            protocol_type: line.optional("type"),
            protocol_name: line.optional("protocol"),
            assignments: line
                .list("assign")
                .into_iter()
                .filter_map(|item| item.split_once(':'))
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id: member_id.to_owned(),
                    assignment: words::metadata(assignment),
                })
                .collect(),
        }),
        "heartbeat" => GroupRequest::Heartbeat(HeartbeatRequest {
            group_id: group_id(),
            generation_id: line.number("generation", 0),
            member_id: line.text("member"),
            group_instance_id: line.optional("instance"),
        }),
        "leave" => GroupRequest::Leave(LeaveGroupRequest {
            group_id: group_id(),
            member_id: line.text("member"),
            members: line.list("members").into_iter().map(identity).collect(),
        }),
        "describe" => GroupRequest::Describe(ids()),
        "list" => GroupRequest::List {
            states: line.list("states").into_iter().map(str::to_owned).collect(),
            types: line.list("types").into_iter().map(str::to_owned).collect(),
        },
        "delete" => GroupRequest::Delete(ids()),
        "consumer-describe" => GroupRequest::ConsumerGroupDescribe(ids()),
        "consumer" => GroupRequest::ConsumerGroupHeartbeat(consumer(group_id(), line)),
        _ => offset_request(verb, group_id(), line),
    }
}

fn join(group_id: String, line: &Line<'_>) -> JoinGroupRequest {
    let protocols = line.list("protocols").into_iter().filter_map(|item| item.split_once(':'));
    JoinGroupRequest {
        group_id,
        session_timeout_ms: line.number("session", 10_000),
        rebalance_timeout_ms: line.number("rebalance", 60_000),
        member_id: line.text("member"),
        group_instance_id: line.optional("instance"),
        protocol_type: line.optional("type").unwrap_or_else(|| "consumer".to_owned()),
        protocols: protocols
            .map(|(name, metadata)| JoinGroupRequestProtocol {
                name: name.to_owned(),
                metadata: words::metadata(metadata),
            })
            .collect(),
        reason: None,
    }
}

/// What it owns is written `1-0,1-3`: the number of the topic in the world's list, and the partition.
fn consumer(group_id: String, line: &Line<'_>) -> ConsumerGroupHeartbeatRequest {
    let joins = line.number("epoch", 0) == 0;
    let owned = line.list("owned").into_iter().filter_map(|item| item.split_once('-'));
    let owned = owned.map(|(topic, partition)| TopicPartitions {
        topic_id: Uuid::from_bytes([topic.parse().unwrap(); 16]),
        partitions: vec![partition.parse().unwrap()],
    });
    let topics = line.optional("topics");
    ConsumerGroupHeartbeatRequest {
        group_id,
        member_id: line.text("member"),
        member_epoch: line.number("epoch", 0),
        instance_id: line.optional("instance"),
        rebalance_timeout_ms: line.number("rebalance", if joins { 60_000 } else { -1 }),
        subscribed_topic_names: topics.map(|topics| {
            topics.split('+').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        }),
        subscribed_topic_regex: line.optional("regex"),
        rack_id: line.optional("rack"),
        server_assignor: line.optional("assignor"),
        topic_partitions: (joins || line.pairs.contains_key("owned")).then(|| owned.collect()),
    }
}

/// `member`, `member/instance` or `/instance`.
fn identity(text: &str) -> MemberIdentity {
    let (member, instance) = match text.split_once('/') {
        Some((member, instance)) => (member, Some(instance.to_owned())),
        None => (text, None),
    };
    MemberIdentity {
        member_id: member.to_owned(),
        group_instance_id: instance,
        ..MemberIdentity::default()
    }
}

fn offset_request(verb: &str, group_id: String, line: &Line<'_>) -> GroupRequest {
    match verb {
        "commit" => GroupRequest::OffsetCommit(OffsetCommitRequest {
            group_id,
            generation_id_or_member_epoch: line.number("generation", -1),
            member_id: line.text("member"),
            group_instance_id: line.optional("instance"),
            retention_time_ms: line.number("retention", -1),
            topics: line
                .partitions()
                .into_iter()
                .map(|(topic, partition, offset)| OffsetCommitRequestTopic {
                    name: topic.to_owned(),
                    partitions: vec![OffsetCommitRequestPartition {
                        partition_index: partition,
                        committed_offset: offset.parse().unwrap(),
                        committed_leader_epoch: line.number("epoch", -1),
                        commit_timestamp: line.number("timestamp", -1),
                        committed_metadata: line.optional("metadata"),
                    }],
                    ..OffsetCommitRequestTopic::default()
                })
                .collect(),
        }),
        "txn-commit" => GroupRequest::TxnOffsetCommit(TxnOffsetCommitRequest {
            transactional_id: "txn".to_owned(),
            group_id,
            producer_id: line.number("producer", 0),
            producer_epoch: 0,
            generation_id: line.number("generation", -1),
            member_id: line.text("member"),
            group_instance_id: line.optional("instance"),
            topics: line
                .partitions()
                .into_iter()
                .map(|(topic, partition, offset)| TxnOffsetCommitRequestTopic {
                    name: topic.to_owned(),
                    partitions: vec![TxnOffsetCommitRequestPartition {
                        partition_index: partition,
                        committed_offset: offset.parse().unwrap(),
                        committed_leader_epoch: line.number("epoch", -1),
                        committed_metadata: line.optional("metadata"),
                    }],
                })
                .collect(),
        }),
        "fetch" => {
            let named: Vec<_> = line
                .partitions()
                .into_iter()
                .map(|(topic, partition, _)| OffsetFetchRequestTopics {
                    name: topic.to_owned(),
                    partition_indexes: vec![partition],
                    ..OffsetFetchRequestTopics::default()
                })
                .collect();
            GroupRequest::OffsetFetch {
                group: OffsetFetchRequestGroup {
                    group_id,
                    member_id: line.optional("member"),
                    member_epoch: line.number("generation", -1),
                    topics: (!named.is_empty()).then_some(named),
                },
                require_stable: line.words.contains(&"stable"),
            }
        }
        "delete-offsets" => GroupRequest::OffsetDelete(OffsetDeleteRequest {
            group_id,
            topics: line
                .partitions()
                .into_iter()
                .map(|(topic, partition, _)| OffsetDeleteRequestTopic {
                    name: topic.to_owned(),
                    partitions: vec![OffsetDeleteRequestPartition { partition_index: partition }],
                })
                .collect(),
        }),
        other => panic!("no such event: {other}"),
    }
}
