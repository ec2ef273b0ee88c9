//! Lines as Kafka 4.1 prints them.

use kalda_client::admin::GroupEpochs;
use kalda_client::{CommittedOffset, HostPort, Node};
use kalda_model::BrokerId;

use super::*;

fn group(state: &str, members: Vec<GroupMember>) -> GroupDescription {
    let address = HostPort { host: "127.0.0.1".to_owned(), port: 39392 };
    GroupDescription {
        group_id: "g1".to_owned(),
        state: state.to_owned(),
        assignor: if members.is_empty() { String::new() } else { "range".to_owned() },
        coordinator: Node { id: BrokerId(1), address, rack: None },
        epochs: None,
        members,
    }
}

fn member(id: &str, instance: Option<&str>, partitions: &[(&str, i32)]) -> GroupMember {
    GroupMember {
        member_id: id.to_owned(),
        instance_id: instance.map(str::to_owned),
        client_id: "console-consumer".to_owned(),
        host: "/127.0.0.1".to_owned(),
        assignment: partitions.iter().map(|(t, p)| TopicPartition::new(*t, *p)).collect(),
        epoch: None,
        target_assignment: Vec::new(),
        is_upgraded: None,
    }
}

fn committed(offsets: &[(&str, i32, i64)]) -> CommittedOffsets {
    let entry = |(topic, partition, offset): &(&str, i32, i64)| {
        let committed = CommittedOffset { leader_epoch: Some(0), ..CommittedOffset::at(*offset) };
        (TopicPartition::new(*topic, *partition), committed)
    };
    offsets.iter().map(entry).collect()
}

fn ends(ends: &[(&str, i32, i64)]) -> LogEnds {
    ends.iter().map(|(t, p, end)| (TopicPartition::new(*t, *p), *end)).collect()
}

#[test]
fn an_empty_group_has_offsets_without_members() {
    let section = offsets(
        &group("Empty", vec![]),
        &committed(&[("foo", 0, 0), ("foo", 1, 7), ("gone", 0, 3)]),
        &ends(&[("foo", 0, 0), ("foo", 1, 9)]),
        Width::Usual,
    );
    assert_eq!(section.note.as_deref(), Some("\nConsumer group 'g1' has no active members."));
    assert_eq!(
        section.table,
        "
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
g1              foo             0          0               0               0               -               -               -
g1              foo             1          7               9               2               -               -               -
g1              gone            0          3               -               -               -               -               -
"
    );
}

#[test]
fn members_with_most_partitions_come_first_and_what_nobody_reads_last() {
    let one = member("m-0123456789-one", None, &[("foo", 2)]);
    let two = member("m-two", None, &[("foo", 0), ("foo", 1)]);
    let section = offsets(
        &group("Stable", vec![one, two]),
        &committed(&[("foo", 0, 4), ("bar", 0, 1)]),
        &ends(&[("foo", 0, 5), ("foo", 1, 5), ("foo", 2, 5), ("bar", 0, 1)]),
        Width::Verbose,
    );
    assert_eq!(section.note, None);
    assert_eq!(
        section.table,
        "
GROUP           TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID      HOST            CLIENT-ID
g1              foo             0          0               4               5               1               m-two            /127.0.0.1      console-consumer
g1              foo             1          -               -               5               -               m-two            /127.0.0.1      console-consumer
g1              foo             2          -               -               5               -               m-0123456789-one /127.0.0.1      console-consumer
g1              bar             0          0               1               1               0               -                -               -
"
    );
}

#[test]
fn members_have_a_blank_after_the_last_column() {
    let usual = members(&group("Stable", vec![member("m", None, &[("bar", 0)])]), Width::Usual);
    assert_eq!(
        usual.table,
        "
GROUP           CONSUMER-ID     HOST            CLIENT-ID        #PARTITIONS     \n\
g1              m               /127.0.0.1      console-consumer 1               \n"
    );
    let partitions = [("foo", 1), ("bar", 0), ("foo", 0)];
    let one = member("m", Some("i"), &partitions);
    let verbose = members(&group("Stable", vec![one, member("n", None, &[])]), Width::Verbose);
    assert_eq!(
        verbose.table,
        "
GROUP           CONSUMER-ID     GROUP-INSTANCE-ID HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   \n\
g1              m               i                 /127.0.0.1      console-consumer 3               -               bar:0;foo:0,1        -               -                   \n\
g1              n                                 /127.0.0.1      console-consumer 0               -               -                    -               -                   \n"
    );
}

#[test]
fn a_group_on_its_way_to_the_new_protocol_says_who_has_arrived() {
    let mut new = member("m", None, &[("bar", 0)]);
    new.epoch = Some(3);
    new.target_assignment = vec![TopicPartition::new("bar", 0)];
    new.is_upgraded = Some(true);
    let mut old = member("n", None, &[]);
    old.epoch = Some(2);
    old.is_upgraded = Some(false);
    let mut group = group("Reconciling", vec![new, old]);
    group.epochs = Some(GroupEpochs { group: 4, target_assignment: 4 });
    let section = members(&group, Width::Verbose);
    assert_eq!(
        section.table,
        "
GROUP           CONSUMER-ID     HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT    UPGRADED
g1              m               /127.0.0.1      console-consumer 1               3               bar:0                4               bar:0                true
g1              n               /127.0.0.1      console-consumer 0               2               -                    4               -                    false
"
    );
    assert!(state(&group, Width::Verbose).table.contains(" 4               4 "));
}

#[test]
fn states_name_the_coordinator() {
    let stable = group("Stable", vec![member("m", None, &[])]);
    assert_eq!(
        state(&stable, Width::Usual).table,
        "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
g1              127.0.0.1:39392  (1)      range                Stable               1
"
    );
    assert_eq!(
        state(&group("Empty", vec![]), Width::Verbose).table,
        "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS
g1              127.0.0.1:39392  (1)      -                    Empty                -               -                         0
"
    );
}

#[test]
fn a_dead_group_is_an_error_and_a_rebalance_is_noted() {
    let dead = state(&group("Dead", vec![]), Width::Usual);
    assert_eq!(dead.error.as_deref(), Some("Consumer group 'g1' does not exist."));
    assert!(dead.table.is_empty());
    let busy = offsets(
        &group("PreparingRebalance", vec![]),
        &CommittedOffsets::new(),
        &LogEnds::new(),
        Width::Usual,
    );
    assert_eq!(busy.note.as_deref(), Some("\nWarning: Consumer group 'g1' is rebalancing."));
    assert!(busy.table.is_empty());
}
