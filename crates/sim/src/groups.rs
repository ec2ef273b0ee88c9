//! What must hold of consumer groups: one owner of a partition in a generation, commits that are not
//! forgotten, no record that is left out.

use std::collections::BTreeMap;

/// What is known of all groups.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

#[derive(Debug, Default)]
struct Group {
    /// Who has a partition in a generation.
    owners: BTreeMap<(i32, i32), String>,
    /// What was committed, as somebody was told.
    committed: BTreeMap<i32, i64>,
    /// Up to where every record was read by somebody.
    read: BTreeMap<i32, i64>,
}

impl Groups {
    /// What is committed by partition, as somebody was told.
    pub(crate) fn committed(&self, group: &str) -> BTreeMap<i32, i64> {
        self.0.get(group).map(|group| group.committed.clone()).unwrap_or_default()
    }

    /// Up to where a partition was read.
    pub(crate) fn read(&self, group: &str, partition: i32) -> i64 {
        let read = self.0.get(group).and_then(|group| group.read.get(&partition));
        read.copied().unwrap_or_default()
    }

    /// A member was given a partition.
    pub(crate) fn on_assigned(
        &mut self,
        group: &str,
        generation: i32,
        partition: i32,
        member: &str,
    ) {
        let owners = &mut self.0.entry(group.to_owned()).or_default().owners;
        let owner = owners.entry((generation, partition)).or_insert_with(|| member.to_owned());
        assert_eq!(owner, member, "{group}: two have {partition} in generation {generation}");
    }

    /// A member begins a partition: behind all that was `committed` before it asked, and not behind
    /// what was read.
    pub(crate) fn on_begin(&mut self, group: &str, partition: i32, offset: i64, committed: i64) {
        let read = self.read(group, partition);
        let at = format!("{group}: a member begins {partition} at {offset}");
        assert!(offset >= committed, "{at}, and {committed} is committed");
        assert!(offset <= read, "{at}, and it is read up to {read} only");
    }

    /// A member has read a record.
    pub(crate) fn on_read(&mut self, group: &str, partition: i32, offset: i64) {
        let group = self.0.entry(group.to_owned()).or_default();
        let read = group.read.entry(partition).or_default();
        if offset == *read {
            *read += 1;
        }
    }

    /// A member was told that these are committed.
    pub(crate) fn on_committed(&mut self, group: &str, offsets: &BTreeMap<i32, i64>) {
        let committed = &mut self.0.entry(group.to_owned()).or_default().committed;
        for (partition, offset) in offsets {
            let known = committed.entry(*partition).or_default();
            *known = (*known).max(*offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_to_three() -> Groups {
        let mut groups = Groups::default();
        groups.on_assigned("g", 1, 0, "a");
        groups.on_begin("g", 0, 0, 0);
        (0..3).for_each(|offset| groups.on_read("g", 0, offset));
        groups.on_committed("g", &[(0, 2)].into());
        groups
    }

    #[test]
    fn the_next_begins_between_what_is_committed_and_what_is_read() {
        let mut groups = read_to_three();
        groups.on_assigned("g", 2, 0, "b");
        let committed = groups.committed("g")[&0];
        (2..=3).for_each(|offset| groups.on_begin("g", 0, offset, committed));
        assert_eq!(groups.read("g", 0), 3);
    }

    #[test]
    #[should_panic(expected = "two have 0 in generation 1")]
    fn two_owners_are_noticed() {
        read_to_three().on_assigned("g", 1, 0, "b");
    }

    #[test]
    #[should_panic(expected = "and 2 is committed")]
    fn a_commit_that_is_forgotten_is_noticed() {
        read_to_three().on_begin("g", 0, 1, 2);
    }

    #[test]
    #[should_panic(expected = "it is read up to 3 only")]
    fn a_record_that_is_left_out_is_noticed() {
        read_to_three().on_begin("g", 0, 4, 2);
    }
}
