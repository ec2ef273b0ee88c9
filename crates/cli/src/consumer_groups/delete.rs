//! `--delete` and `--delete-offsets`.

use std::collections::BTreeMap;

use kalda_client::admin::TopicRef;
use kalda_client::{Admin, Error};
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;

use super::columns::{row, width};
use super::print_error;
use super::topics::TopicArg;
use crate::failure::{Blame, Failure, Outcome};
use crate::output::{Output, print_line};

/// How the deletion of each went.
type Results<K> = Vec<(K, Option<Error>)>;

/// Deletes groups, and says which could not be.
pub(super) async fn groups(admin: &Admin, groups: &[String]) -> Outcome {
    let mut results = Results::new();
    for group in groups {
        results.push((group.clone(), admin.delete_group(group).await.err()));
    }
    let (text, blame) = groups_text(&results);
    print_line(&text)?;
    blame.map_or(Ok(()), |blame| Err(Failure::Reported(blame)))
}

fn groups_text(results: &Results<String>) -> (String, Option<Blame>) {
    let deleted: Vec<String> = results
        .iter()
        .filter(|(_, error)| error.is_none())
        .map(|(group, _)| format!("'{group}'"))
        .collect();
    let deleted = deleted.join(", ");
    let mut blame = None;
    let mut text = String::from("\nError: Deletion of some consumer groups failed:");
    for (group, error) in results {
        if let Some(error) = error {
            blame = Some(Blame::of(error));
            let name = error.exception_name();
            text.push_str(&format!(
                "\n* Group '{group}' could not be deleted due to: {name}: {error}"
            ));
        }
    }
    if blame.is_none() {
        let text = format!("Deletion of requested consumer groups ({deleted}) was successful.");
        return (text, None);
    }
    if !deleted.is_empty() {
        let line = format!("\n\nThese consumer groups were deleted successfully: {deleted}");
        text.push_str(&line);
    }
    (text, blame)
}

/// Deletes what a group has committed for these topics, and says for each partition how it went.
pub(super) async fn offsets(
    admin: &Admin,
    output: &mut Output,
    group: &str,
    topics: &[TopicArg],
) -> Outcome {
    let mut results: BTreeMap<(String, i32), Option<Error>> = BTreeMap::new();
    let mut partitions = Vec::new();
    for topic in topics {
        match &topic.partitions {
            Some(chosen) => partitions.extend(
                chosen.iter().map(|index| TopicPartition::new(topic.name.as_str(), *index)),
            ),
            None => {
                let by_name = TopicRef::Name(topic.name.clone());
                match admin.describe_topic(&by_name, i32::from(i16::MAX)).await {
                    Ok(found) => partitions.extend((0..found.partitions.len()).map(|index| {
                        let index = i32::try_from(index).unwrap_or(i32::MAX);
                        TopicPartition::new(topic.name.as_str(), index)
                    })),
                    Err(Error::InvalidArgument(_)) => {
                        let error = Error::from(ErrorCode::UnknownTopicOrPartition);
                        results.insert((topic.name.clone(), -1), Some(error));
                    }
                    Err(error) => drop(results.insert((topic.name.clone(), -1), Some(error))),
                }
            }
        }
    }
    let asked = if partitions.is_empty() {
        Ok(BTreeMap::new())
    } else {
        admin.delete_group_offsets(group, &partitions).await
    };
    let overall = asked.as_ref().err().cloned();
    let mut answers = asked.unwrap_or_default();
    for partition in partitions {
        let error = match (&overall, answers.remove(&partition)) {
            (Some(error), _) => Some(error.clone()),
            (None, Some(Ok(()))) => None,
            (None, Some(Err(error))) => Some(error),
            (None, None) => Some(Error::from(ErrorCode::UnknownServerError)),
        };
        results.insert((partition.topic.to_string(), partition.partition), error);
    }
    let first = overall.as_ref().or_else(|| results.values().flatten().next());
    // As in Kafka, a topic that is not there shows in the table only.
    let refused = results.iter().filter(|((_, partition), _)| *partition >= 0);
    let refused =
        overall.as_ref().or_else(|| refused.filter_map(|(_, error)| error.as_ref()).next());
    match headline(group, overall.as_ref(), refused) {
        Ok(line) => print_line(&line)?,
        Err(line) => print_error(output, &line)?,
    }
    print_line(&offsets_table(&results))?;
    first.map_or(Ok(()), |error| Err(Failure::Reported(Blame::of(error))))
}

/// The first line; `Err` if it is an error's.
fn headline(group: &str, overall: Option<&Error>, first: Option<&Error>) -> Result<String, String> {
    match (overall, first) {
        (Some(error), _) => match error.code() {
            Some(
                ErrorCode::InvalidGroupId
                | ErrorCode::GroupIdNotFound
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::NonEmptyGroup,
            ) => Err(error.to_string()),
            Some(code) => Err(format!("Encountered some unknown error: {}", code.name())),
            None => Err(format!("Encountered some unknown error: {error}")),
        },
        (None, Some(_)) => {
            Err("Encountered some partition-level error, see the follow-up details.".to_owned())
        }
        (None, None) => Ok(format!("Request succeeded for deleting offsets from group {group}.")),
    }
}

fn offsets_table(results: &BTreeMap<(String, i32), Option<Error>>) -> String {
    let widths = [width(15, results.keys().map(|(topic, _)| topic.as_str())), 10, 15];
    let mut text = format!("\n{}", row(&widths, &["TOPIC", "PARTITION", "STATUS"]));
    for ((topic, partition), error) in results {
        let partition = if *partition < 0 { "-".to_owned() } else { partition.to_string() };
        let status = match error {
            Some(error) => format!("Error: {}: {error}", error.exception_name()),
            None => "Successful".to_owned(),
        };
        text.push_str(&format!("\n{}", row(&widths, &[topic, &partition, &status])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_are_told_one_by_one() {
        let done = vec![("g1".to_owned(), None), ("g2".to_owned(), None)];
        let (text, blame) = groups_text(&done);
        assert_eq!(text, "Deletion of requested consumer groups ('g1', 'g2') was successful.");
        assert_eq!(blame, None);
        let some =
            vec![("g1".to_owned(), None), ("g2".to_owned(), Some(ErrorCode::NonEmptyGroup.into()))];
        let (text, blame) = groups_text(&some);
        assert_eq!(
            text,
            "
Error: Deletion of some consumer groups failed:
* Group 'g2' could not be deleted due to: org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty.

These consumer groups were deleted successfully: 'g1'"
        );
        assert_eq!(blame, Some(Blame::Refused));
    }

    #[test]
    fn statuses_stand_beside_their_partitions() {
        let unknown = Error::from(ErrorCode::UnknownTopicOrPartition);
        let results = [(("foo".to_owned(), 0), None), (("nope".to_owned(), -1), Some(unknown))];
        let expected = "
TOPIC           PARTITION  STATUS         \n\
foo             0          Successful     \n\
nope            -          Error: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition.";
        assert_eq!(offsets_table(&results.into_iter().collect()), expected);
    }

    #[test]
    fn the_first_line_tells_a_groups_error_from_a_partitions() {
        let absent = Error::from(ErrorCode::GroupIdNotFound);
        assert_eq!(headline("g", Some(&absent), Some(&absent)), Err(absent.to_string()));
        let busy = Error::from(ErrorCode::GroupSubscribedToTopic);
        assert!(headline("g", None, Some(&busy)).unwrap_err().contains("partition-level"));
        let done = "Request succeeded for deleting offsets from group g.";
        assert_eq!(headline("g", None, None), Ok(done.to_owned()));
    }
}
