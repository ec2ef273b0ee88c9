//! Which topics a tool's `--topic` or `--include` means: a pattern that must match the whole name.

use kalda_client::admin::TopicListing;
use regex_lite::Regex;

use crate::failure::{Failure, Outcome};

/// A pattern of topic names.
#[derive(Clone, Debug)]
pub(crate) struct TopicFilter(Option<Regex>);

impl TopicFilter {
    /// From an option's value; none matches every topic. As in Kafka, commas separate alternatives,
    /// and quotes and blanks around are dropped.
    pub(crate) fn new(pattern: Option<&str>) -> Outcome<Self> {
        let Some(pattern) = pattern else { return Ok(Self(None)) };
        let cleaned = pattern.trim().replace(',', "|").replace(' ', "");
        let cleaned = cleaned.trim_matches(['"', '\'']);
        let regex = Regex::new(&format!("^(?:{cleaned})$"))
            .map_err(|error| Failure::usage(format!("{pattern} is an invalid regex: {error}")))?;
        Ok(Self(Some(regex)))
    }

    /// Whether it matches a name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(name))
    }

    /// The names that match, sorted.
    pub(crate) fn select(&self, topics: &[TopicListing], with_internal: bool) -> Vec<String> {
        let chosen = topics.iter().filter(|topic| with_internal || !topic.is_internal);
        let mut names: Vec<String> = chosen
            .filter(|topic| self.matches(&topic.name))
            .map(|topic| topic.name.clone())
            .collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_has_to_match() {
        let filter = TopicFilter::new(Some("m.*,web_log")).unwrap();
        let matching = ["many", "web_log", "amany", "web_log2"].map(|name| filter.matches(name));
        assert_eq!(matching, [true, true, false, false]);
        assert!(TopicFilter::new(None).unwrap().matches("any"));
        assert!(TopicFilter::new(Some("\"a.b\"")).unwrap().matches("a.b"));
        assert!(TopicFilter::new(Some("(")).is_err());
    }
}
