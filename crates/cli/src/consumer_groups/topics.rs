//! `--topic T` and `--topic T:0,1`: topics, or some of their partitions.

use crate::failure::{Failure, Outcome};
use crate::options::Parsed;

use super::options::GRAMMAR;

/// A topic, or some of its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TopicArg {
    pub(super) name: String,
    /// `None` means all.
    pub(super) partitions: Option<Vec<i32>>,
}

impl TopicArg {
    pub(super) fn all(parsed: &Parsed) -> Outcome<Vec<Self>> {
        parsed.values("topic").map(Self::parse).collect()
    }

    fn parse(text: &str) -> Outcome<Self> {
        let Some((name, partitions)) = text.split_once(':') else {
            return Ok(Self { name: text.to_owned(), partitions: None });
        };
        if partitions.is_empty() || partitions.contains(':') {
            return Err(refuse(format!(
                "Invalid topic arg '{text}', expected topic name and partitions"
            )));
        }
        let number = |partition: &str| {
            partition.parse().map_err(|_| {
                refuse(format!("Invalid partition '{partition}' specified in topic arg '{text}''"))
            })
        };
        let partitions = partitions.split(',').map(number).collect::<Outcome<_>>()?;
        Ok(Self { name: name.to_owned(), partitions: Some(partitions) })
    }
}

fn refuse(message: String) -> Failure {
    GRAMMAR.usage(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_a_colon() {
        let all = TopicArg::parse("t").unwrap();
        assert_eq!(all, TopicArg { name: "t".to_owned(), partitions: None });
        assert_eq!(TopicArg::parse("t:0,2").unwrap().partitions, Some(vec![0, 2]));
        for text in ["t:", "t:0:1", "t:x", "t:0,"] {
            assert!(TopicArg::parse(text).is_err(), "{text}");
        }
    }
}
