//! Assignors: how the leader of a group divides partitions among the members.
//!
//! Asked by the membership when it leads. Pure; the rules are those of Kafka's classes of the same
//! names, so that members of other clients may lead in turn.

use std::collections::BTreeMap;

use kalda_model::TopicPartition;

/// A member as an assignor sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Subscriber {
    /// Its id.
    pub(crate) member_id: String,
    /// The id of a static member.
    pub(crate) instance_id: Option<String>,
    /// The topics that it wants.
    pub(crate) topics: Vec<String>,
}

/// How many partitions each topic has; a topic that is not there is left out.
pub(crate) type PartitionCounts = BTreeMap<String, i32>;

/// The partitions of each member, by its id.
pub(crate) type Assignments = BTreeMap<String, Vec<TopicPartition>>;

/// A way to divide partitions (`partition.assignment.strategy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignor {
    /// Topic by topic, in consecutive ranges; the first members get what does not divide evenly.
    Range,
    /// All partitions in turn.
    RoundRobin,
}

impl Assignor {
    /// All of them.
    const ALL: [Self; 2] = [Self::Range, Self::RoundRobin];

    /// Its name in the group's protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The one of that protocol name, or with that Java class.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let class = name.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(name);
        let short = class.strip_suffix("Assignor").unwrap_or(class);
        Self::ALL.into_iter().find(|assignor| assignor.name().eq_ignore_ascii_case(short))
    }

    /// Divides the partitions of all topics that somebody wants.
    pub(crate) fn assign(self, members: &[Subscriber], counts: &PartitionCounts) -> Assignments {
        let mut sorted: Vec<&Subscriber> = members.iter().collect();
        // Static members first, by the id that they keep; so they get the same again.
        sorted.sort_by_key(|member| {
            let instance = member.instance_id.as_deref();
            (instance.is_none(), instance.unwrap_or(&member.member_id))
        });
        let mut assignments: Assignments =
            members.iter().map(|member| (member.member_id.clone(), Vec::new())).collect();
        let mut give = |member: &Subscriber, topic: &str, partition| {
            if let Some(assigned) = assignments.get_mut(&member.member_id) {
                assigned.push(TopicPartition::new(topic, partition));
            }
        };
        match self {
            Self::Range => range(&sorted, counts, &mut give),
            Self::RoundRobin => round_robin(&sorted, counts, &mut give),
        }
        assignments
    }
}

impl Subscriber {
    fn wants(&self, topic: &str) -> bool {
        self.topics.iter().any(|wanted| wanted == topic)
    }
}

fn range(
    members: &[&Subscriber],
    counts: &PartitionCounts,
    give: &mut impl FnMut(&Subscriber, &str, i32),
) {
    for (topic, &count) in counts {
        let wanting: Vec<&&Subscriber> =
            members.iter().filter(|member| member.wants(topic)).collect();
        let Ok(readers) = i32::try_from(wanting.len()) else { continue };
        if readers == 0 {
            continue;
        }
        let (share, left_over) = (count / readers, count % readers);
        let mut next = 0;
        for (index, member) in (0..).zip(wanting) {
            let end = next + share + i32::from(index < left_over);
            (next..end).for_each(|partition| give(member, topic, partition));
            next = end;
        }
    }
}

fn round_robin(
    members: &[&Subscriber],
    counts: &PartitionCounts,
    give: &mut impl FnMut(&Subscriber, &str, i32),
) {
    let mut turn = 0;
    for (topic, &count) in counts {
        if !members.iter().any(|member| member.wants(topic)) {
            continue;
        }
        for partition in 0..count {
            while !members[turn % members.len()].wants(topic) {
                turn += 1;
            }
            give(members[turn % members.len()], topic, partition);
            turn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, topics: &[&str]) -> Subscriber {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Subscriber { member_id: id.to_owned(), instance_id: None, topics }
    }

    fn counts(counts: &[(&str, i32)]) -> PartitionCounts {
        counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect()
    }

    fn of(assignments: &Assignments, member: &str) -> Vec<String> {
        assignments[member].iter().map(ToString::to_string).collect()
    }

    /// Three topics of one, two and three partitions, and consumers that want one, two and three.
    #[test]
    fn round_robin_passes_over_members_that_do_not_want_the_topic() {
        let members =
            [member("C0", &["t0"]), member("C1", &["t0", "t1"]), member("C2", &["t0", "t1", "t2"])];
        let counts = counts(&[("t0", 1), ("t1", 2), ("t2", 3)]);
        let assigned = Assignor::RoundRobin.assign(&members, &counts);
        assert_eq!(of(&assigned, "C0"), ["t0-0"]);
        assert_eq!(of(&assigned, "C1"), ["t1-0"]);
        assert_eq!(of(&assigned, "C2"), ["t1-1", "t2-0", "t2-1", "t2-2"]);
    }

    /// Two topics of three partitions each, and two consumers of both.
    #[test]
    fn range_gives_the_first_member_what_does_not_divide() {
        let members = [member("C1", &["t0", "t1"]), member("C0", &["t1", "t0"])];
        let counts = counts(&[("t0", 3), ("t1", 3)]);
        let assigned = Assignor::Range.assign(&members, &counts);
        assert_eq!(of(&assigned, "C0"), ["t0-0", "t0-1", "t1-0", "t1-1"]);
        assert_eq!(of(&assigned, "C1"), ["t0-2", "t1-2"]);
    }

    #[test]
    fn more_members_than_partitions_leave_some_without() {
        let members = [member("a", &["t"]), member("b", &["t"]), member("c", &["t"])];
        for assignor in Assignor::ALL {
            let assigned = assignor.assign(&members, &counts(&[("t", 2)]));
            assert_eq!(of(&assigned, "a"), ["t-0"]);
            assert_eq!(of(&assigned, "b"), ["t-1"]);
            assert!(of(&assigned, "c").is_empty());
        }
    }

    #[test]
    fn static_members_come_first_and_absent_topics_give_nothing() {
        let mut fixed = member("z", &["t", "gone"]);
        fixed.instance_id = Some("i".to_owned());
        let members = [member("a", &["t"]), fixed];
        let assigned = Assignor::Range.assign(&members, &counts(&[("t", 1), ("other", 4)]));
        assert_eq!(of(&assigned, "z"), ["t-0"]);
        assert!(of(&assigned, "a").is_empty());
    }

    #[test]
    fn names_are_protocol_names_or_java_classes() {
        let range = Some(Assignor::Range);
        assert_eq!(Assignor::from_name("range"), range);
        assert_eq!(Assignor::from_name("org.apache.kafka.clients.consumer.RangeAssignor"), range);
        let class = "org.apache.kafka.clients.consumer.RoundRobinAssignor";
        assert_eq!(Assignor::from_name(class), Some(Assignor::RoundRobin));
        assert_eq!(Assignor::from_name("sticky"), None);
    }
}
