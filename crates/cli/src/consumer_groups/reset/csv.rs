//! The CSV of `--from-file` and `--export`: `topic,partition,offset` of one group, or
//! `group,topic,partition,offset` of several.

use kalda_model::TopicPartition;

use super::Plans;

/// Which columns a file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    OneGroup,
    ManyGroups,
}

impl Shape {
    pub(super) fn for_groups(count: usize) -> Self {
        if count == 1 { Self::OneGroup } else { Self::ManyGroups }
    }
}

/// Reads a file. Without the group's column the lines are of the one group that the call names.
pub(super) fn parse(text: &str, groups: &[String]) -> Result<Plans, String> {
    let mut plans = Plans::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.split(',').map(|cell| unquote(cell.trim())).collect();
        let (group, topic, partition, offset) = match (cells.as_slice(), groups) {
            ([topic, partition, offset], [group]) => (group.as_str(), topic, partition, offset),
            ([group, topic, partition, offset], _) => (*group, topic, partition, offset),
            ([_, _, _], _) => {
                return Err(format!(
                    "line {number} names no group: with several groups lines are group,topic,partition,offset"
                ));
            }
            _ => {
                return Err(format!(
                    "line {number} is neither topic,partition,offset nor group,topic,partition,offset: {line}"
                ));
            }
        };
        let wrong = |what: &str, value: &str| format!("line {number}: {what} {value} is no number");
        let partition = partition.parse().map_err(|_| wrong("partition", partition))?;
        let offset: i64 = offset.parse().map_err(|_| wrong("offset", offset))?;
        let at = TopicPartition::new(*topic, partition);
        plans.entry(group.to_owned()).or_default().insert(at, offset);
    }
    Ok(plans)
}

/// A cell as other tools may write it; neither groups in files nor topics hold quotes.
fn unquote(cell: &str) -> &str {
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
}

/// Writes a file.
pub(super) fn render(plans: &Plans, shape: Shape) -> String {
    let mut text = String::new();
    for (group, plan) in plans {
        for (at, offset) in plan {
            let (topic, partition) = (&at.topic, at.partition);
            match shape {
                Shape::OneGroup => text.push_str(&format!("{topic},{partition},{offset}\n")),
                Shape::ManyGroups => {
                    text.push_str(&format!("{group},{topic},{partition},{offset}\n"));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(groups: &[&str]) -> Vec<String> {
        groups.iter().map(|group| (*group).to_owned()).collect()
    }

    #[test]
    fn files_are_read_as_they_are_written() {
        let one = "foo,0,1\nfoo,1,2\n";
        let plans = parse(one, &names(&["g"])).unwrap();
        assert_eq!(render(&plans, Shape::for_groups(1)), one);
        let many = "a,foo,0,1\nb,bar,0,2\n";
        let plans = parse(many, &names(&["a", "b"])).unwrap();
        assert_eq!(render(&plans, Shape::for_groups(2)), many);
        // A file with groups serves for one of them too.
        assert_eq!(parse(many, &names(&["a"])).unwrap(), plans);
    }

    #[test]
    fn damaged_lines_are_named() {
        let group = names(&["g"]);
        assert_eq!(parse("foo,x,1", &group), Err("line 1: partition x is no number".to_owned()));
        assert_eq!(parse("\nfoo,0,y", &group), Err("line 2: offset y is no number".to_owned()));
        assert!(parse("foo,0", &group).unwrap_err().starts_with("line 1 is neither"));
        assert!(parse("foo,0,1", &names(&["a", "b"])).unwrap_err().contains("names no group"));
    }
}
