//! The small text files: offset checkpoints of a log directory, leader epochs and topic id of a
//! partition. Kafka's layouts, to the line.

use kalda_model::{LeaderEpoch, Offset, TopicId, TopicPartition, validate_topic_name};

/// A checkpoint file that cannot be read, with the line (from 1) at which it stops making sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MalformedCheckpoint {
    /// The line, from 1.
    pub line: usize,
}

impl std::fmt::Display for MalformedCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is not what a checkpoint holds there", self.line)
    }
}

impl std::error::Error for MalformedCheckpoint {}

/// Writes an offset checkpoint (`recovery-point-offset-checkpoint` and its kin).
#[must_use]
pub fn write_offsets<'a>(
    entries: impl ExactSizeIterator<Item = (&'a TopicPartition, Offset)>,
) -> String {
    let mut text = format!("0\n{}\n", entries.len());
    for (partition, offset) in entries {
        text.push_str(&format!("{} {} {offset}\n", partition.topic, partition.partition));
    }
    text
}

/// Reads an offset checkpoint.
///
/// # Errors
/// Another version, a count that does not fit, or a line that is not `topic partition offset`.
pub fn read_offsets(text: &str) -> Result<Vec<(TopicPartition, Offset)>, MalformedCheckpoint> {
    read_entries(text, |line| {
        let mut fields = line.split(' ');
        let topic = fields.next()?;
        validate_topic_name(topic).ok()?;
        let partition: i32 = fields.next()?.parse().ok().filter(|index| *index >= 0)?;
        let offset = Offset(fields.next()?.parse().ok()?);
        fields.next().is_none().then(|| (TopicPartition::new(topic, partition), offset))
    })
}

/// Writes a `leader-epoch-checkpoint`.
#[must_use]
pub fn write_epochs(entries: &[(LeaderEpoch, Offset)]) -> String {
    let mut text = format!("0\n{}\n", entries.len());
    for (epoch, start) in entries {
        text.push_str(&format!("{epoch} {start}\n"));
    }
    text
}

/// Reads a `leader-epoch-checkpoint`.
///
/// # Errors
/// Another version, a count that does not fit, or a line that is not `epoch offset`.
pub fn read_epochs(text: &str) -> Result<Vec<(LeaderEpoch, Offset)>, MalformedCheckpoint> {
    read_entries(text, |line| {
        let (epoch, start) = line.split_once(' ')?;
        Some((LeaderEpoch(epoch.parse().ok()?), Offset(start.parse().ok()?)))
    })
}

fn read_entries<T>(
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, MalformedCheckpoint> {
    let mut lines = text.lines().map(str::trim_end).zip(1..);
    let malformed = |line: usize| MalformedCheckpoint { line };
    match lines.next() {
        Some(("0", _)) => {}
        _ => return Err(malformed(1)),
    }
    let (count, _) = lines.next().ok_or(malformed(2))?;
    let count: usize = count.parse().map_err(|_| malformed(2))?;
    let mut entries = Vec::new();
    for (line, number) in lines.filter(|(line, _)| !line.is_empty()) {
        entries.push(parse(line).ok_or(malformed(number))?);
    }
    if entries.len() == count { Ok(entries) } else { Err(malformed(2)) }
}

/// Writes a `partition.metadata`.
#[must_use]
pub fn write_partition_metadata(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads a `partition.metadata`.
///
/// # Errors
/// Another version, or no id.
pub fn read_partition_metadata(text: &str) -> Result<TopicId, MalformedCheckpoint> {
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("version: 0") {
        return Err(MalformedCheckpoint { line: 1 });
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id:"));
    id.and_then(|id| id.trim().parse().ok()).ok_or(MalformedCheckpoint { line: 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_round_trips_in_kafkas_layout() {
        let entries =
            [(TopicPartition::new("a.b", 0), Offset(7)), (TopicPartition::new("c", 12), Offset(0))];
        let text = write_offsets(entries.iter().map(|(partition, offset)| (partition, *offset)));
        assert_eq!(text, "0\n2\na.b 0 7\nc 12 0\n");
        assert_eq!(read_offsets(&text).unwrap(), entries);

        let epochs = [(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(90))];
        assert_eq!(write_epochs(&epochs), "0\n2\n0 0\n3 90\n");
        assert_eq!(read_epochs("0\n2\n0 0\n3 90\n").unwrap(), epochs);

        let id: TopicId = "mpav7dCVQWSJYovnmjBlpw".parse().unwrap();
        assert_eq!(read_partition_metadata(&write_partition_metadata(id)), Ok(id));
    }

    #[test]
    fn damage_is_named_by_its_line() {
        for (text, line) in [
            ("", 1),
            ("1\n0\n", 1),
            ("0\n", 2),
            ("0\nx\n", 2),
            ("0\n2\na 0 1\n", 2),
            ("0\n1\na 0\n", 3),
            ("0\n1\n../a 0 1\n", 3),
            ("0\n1\na -1 1\n", 3),
            ("0\n1\na 0 1 2\n", 3),
        ] {
            assert_eq!(read_offsets(text), Err(MalformedCheckpoint { line }), "{text:?}");
        }
    }
}
