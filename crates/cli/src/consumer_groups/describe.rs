//! What `--describe` prints of groups, from what the brokers told. Pure.

use std::collections::BTreeMap;

use kalda_client::CommittedOffsets;
use kalda_client::admin::{GroupDescription, GroupMember};
use kalda_model::TopicPartition;

use super::columns::{row, width};

/// What stands for a value that is not there.
const MISSING: &str = "-";

/// The ends of partitions, where they are known.
pub(super) type LogEnds = BTreeMap<TopicPartition, i64>;

/// Whether the additional columns are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Width {
    Usual,
    Verbose,
}

/// What is printed of one group, in this order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Section {
    /// A note to the standard error.
    pub(super) note: Option<String>,
    /// An error, which goes to the standard output, as in Kafka.
    pub(super) error: Option<String>,
    /// The table.
    pub(super) table: String,
}

impl Section {
    /// What the state alone has to say.
    fn of_state(group: &GroupDescription) -> Self {
        let id = &group.group_id;
        let mut section = Self::default();
        match group.state.as_str() {
            "Dead" => section.error = Some(format!("Consumer group '{id}' does not exist.")),
            "Empty" => {
                section.note = Some(format!("\nConsumer group '{id}' has no active members."))
            }
            "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
                section.note = Some(format!("\nWarning: Consumer group '{id}' is rebalancing."));
            }
            _ => {}
        }
        section
    }
}

/// The partitions whose ends are needed to describe a group.
pub(super) fn partitions(
    group: &GroupDescription,
    committed: &CommittedOffsets,
) -> Vec<TopicPartition> {
    let assigned = group.members.iter().flat_map(|member| &member.assignment);
    let mut all: Vec<TopicPartition> = assigned.chain(committed.keys()).cloned().collect();
    all.sort();
    all.dedup();
    all
}

/// The offsets of a group, partition by partition.
pub(super) fn offsets(
    group: &GroupDescription,
    committed: &CommittedOffsets,
    ends: &LogEnds,
    columns: Width,
) -> Section {
    let mut section = Section::of_state(group);
    let mut rows: Vec<[String; 10]> = Vec::new();
    let mut members: Vec<&GroupMember> =
        group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let describe = |partition: &TopicPartition, member: Option<&GroupMember>| {
        let at = committed.get(partition);
        let end = ends.get(partition).copied();
        let lag = at.zip(end).map(|(at, end)| end - at.offset);
        let number = |value: Option<i64>| value.map_or(MISSING.to_owned(), |n| n.to_string());
        let text = |pick: fn(&GroupMember) -> &String| {
            member.map_or(MISSING.to_owned(), |member| pick(member).clone())
        };
        [
            group.group_id.clone(),
            partition.topic.to_string(),
            partition.partition.to_string(),
            number(at.and_then(|at| at.leader_epoch).map(i64::from)),
            number(at.map(|at| at.offset)),
            number(end),
            number(lag),
            text(|member| &member.member_id),
            text(|member| &member.host),
            text(|member| &member.client_id),
        ]
    };
    for member in &members {
        rows.extend(member.assignment.iter().map(|partition| describe(partition, Some(member))));
    }
    let is_assigned = |partition: &TopicPartition| {
        members.iter().any(|member| member.assignment.contains(partition))
    };
    rows.extend(
        committed.keys().filter(|at| !is_assigned(at)).map(|partition| describe(partition, None)),
    );
    if section.error.is_none() && !rows.is_empty() {
        section.table = offsets_table(&rows, columns);
    }
    section
}

fn offsets_table(rows: &[[String; 10]], columns: Width) -> String {
    let header = [
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]
    .map(str::to_owned);
    let column = |index: usize| width(15, rows.iter().map(|row| row[index].as_str()));
    let widths = [column(0), column(1), 10, 15, 15, 15, 15, column(7), column(8), 0];
    let mut text = String::new();
    for cells in std::iter::once(&header).chain(rows) {
        let shown = |index: &usize| columns == Width::Verbose || *index != 3;
        let indexes: Vec<usize> = (0..cells.len()).filter(shown).collect();
        let widths: Vec<usize> = indexes.iter().map(|index| widths[*index]).collect();
        let cells: Vec<&str> = indexes.iter().map(|index| cells[*index].as_str()).collect();
        text.push('\n');
        text.push_str(&row(&widths, &cells));
    }
    text.push('\n');
    text
}

/// The members of a group.
pub(super) fn members(group: &GroupDescription, columns: Width) -> Section {
    let mut section = Section::of_state(group);
    let has_instances = group.members.iter().any(|member| member.instance_id.is_some());
    let column =
        |least, pick: fn(&GroupMember) -> &str| width(least, group.members.iter().map(pick));
    let texts = |pick: fn(&GroupMember) -> &[TopicPartition]| -> Vec<String> {
        group.members.iter().map(|member| assignment_text(pick(member))).collect()
    };
    let assignments = texts(|member| &member.assignment);
    let targets = texts(|member| &member.target_assignment);
    let has = |upgraded| group.members.iter().any(|member| member.is_upgraded == Some(upgraded));
    let is_migrating = has(true) && has(false);
    let mut widths = vec![
        width(15, std::iter::once(group.group_id.as_str()).filter(|_| !group.members.is_empty())),
        column(15, |member| &member.member_id),
    ];
    if has_instances {
        widths.push(column(17, |member| member.instance_id.as_deref().unwrap_or_default()));
    }
    widths.push(column(15, |member| &member.host));
    widths.push(column(15, |member| &member.client_id));
    widths.push(15);
    widths.push(15);
    widths.push(width(20, assignments.iter().map(String::as_str)));
    widths.push(15);
    widths.push(width(20, targets.iter().map(String::as_str)));
    let line = |cells: [&str; 6], more: [&str; 5]| {
        let [group, member, instance, host, client, count] = cells;
        let mut cells = vec![group, member];
        cells.extend(has_instances.then_some(instance));
        cells.extend([host, client, count]);
        let mut fits = cells.len();
        match columns {
            Width::Verbose => {
                let count = if is_migrating { 5 } else { 4 };
                cells.extend(&more[..count]);
                fits += count;
            }
            // What follows the last column is a blank, as in Kafka.
            Width::Usual => cells.push(""),
        }
        format!("{}\n", row(&widths[..fits.min(widths.len())], &cells))
    };
    let header = ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS"];
    let more =
        ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT", "UPGRADED"];
    section.table = format!("\n{}", line(header, more));
    // A classic group has no epochs and no target.
    let target_epoch = number(group.epochs.map(|epochs| epochs.target_assignment));
    for ((member, assignment), target) in group.members.iter().zip(&assignments).zip(&targets) {
        let count = member.assignment.len().to_string();
        let instance = member.instance_id.as_deref().unwrap_or_default();
        let cells =
            [&group.group_id, &member.member_id, instance, &member.host, &member.client_id, &count];
        let epoch = number(member.epoch);
        let upgraded = member.is_upgraded.map_or(MISSING.to_owned(), |is| is.to_string());
        let more = [epoch.as_str(), assignment, &target_epoch, target, &upgraded];
        section.table.push_str(&line(cells, more));
    }
    section
}

fn number(value: Option<i32>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| value.to_string())
}

/// `foo:0,1;bar:2`, by topic.
fn assignment_text(assignment: &[TopicPartition]) -> String {
    if assignment.is_empty() {
        return MISSING.to_owned();
    }
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in assignment {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topic = |(topic, mut partitions): (&str, Vec<i32>)| {
        partitions.sort_unstable();
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", partitions.join(","))
    };
    let topics: Vec<String> = topics.into_iter().map(topic).collect();
    topics.join(";")
}

/// The state of a group.
pub(super) fn state(group: &GroupDescription, columns: Width) -> Section {
    let mut section = Section::of_state(group);
    if section.error.is_some() {
        return section;
    }
    let node = &group.coordinator;
    let coordinator = format!("{}:{}  ({})", node.address.host, node.address.port, node.id);
    let widths = [
        width(15, std::iter::once(group.group_id.as_str())),
        width(25, std::iter::once(coordinator.as_str())),
        20,
        20,
    ];
    let line = |cells: [&str; 4], epochs: [&str; 2], count: &str| {
        let (mut widths, mut cells) = (widths.to_vec(), cells.to_vec());
        if columns == Width::Verbose {
            widths.extend([15, 25]);
            cells.extend(epochs);
        }
        cells.push(count);
        format!("\n{}", row(&widths, &cells))
    };
    let header = ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"];
    let epochs = ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"];
    let strategy = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let cells = [group.group_id.as_str(), &coordinator, strategy, &group.state];
    let count = group.members.len().to_string();
    section.table = line(header, epochs, "#MEMBERS");
    let epochs = [
        number(group.epochs.map(|epochs| epochs.group)),
        number(group.epochs.map(|epochs| epochs.target_assignment)),
    ];
    section.table.push_str(&line(cells, [&epochs[0], &epochs[1]], &count));
    section.table.push('\n');
    section
}

#[cfg(test)]
mod tests;
