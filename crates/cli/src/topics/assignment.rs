//! Replicas by hand: `1:2,2:1` gives partition 0 to brokers 1 and 2, partition 1 to 2 and 1.

use std::collections::BTreeSet;

/// Reads the value of `--replica-assignment`.
pub(super) fn parse_assignment(text: &str) -> Result<Vec<Vec<i32>>, String> {
    let mut assignment: Vec<Vec<i32>> = Vec::new();
    for partition in text.split(',') {
        let mut brokers = Vec::new();
        for id in partition.split(':') {
            let id = id.trim();
            let broker = id.parse().map_err(|_| format!("For input string: \"{id}\""))?;
            brokers.push(broker);
        }
        let distinct: BTreeSet<i32> = brokers.iter().copied().collect();
        if distinct.len() < brokers.len() {
            let mut twice = brokers.clone();
            twice.retain(|id| brokers.iter().filter(|other| *other == id).count() > 1);
            let twice: BTreeSet<String> = twice.iter().map(ToString::to_string).collect();
            let twice: Vec<String> = twice.into_iter().collect();
            return Err(format!(
                "Partition replica lists may not contain duplicate entries: {}",
                twice.join(",")
            ));
        }
        if assignment.first().is_some_and(|first| first.len() != brokers.len()) {
            let index = assignment.len();
            return Err(format!("Partition {index} has different replication factor: {brokers:?}"));
        }
        assignment.push(brokers);
    }
    Ok(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_order() {
        assert_eq!(parse_assignment("1:2,2:1").unwrap(), [[1, 2], [2, 1]]);
        assert_eq!(parse_assignment("1,1").unwrap(), [[1], [1]]);
    }

    #[test]
    fn contradictions_are_named() {
        let twice = parse_assignment("1:1").unwrap_err();
        assert_eq!(twice, "Partition replica lists may not contain duplicate entries: 1");
        let uneven = parse_assignment("1:2,1").unwrap_err();
        assert_eq!(uneven, "Partition 1 has different replication factor: [1]");
        assert!(parse_assignment("a").is_err());
    }
}
