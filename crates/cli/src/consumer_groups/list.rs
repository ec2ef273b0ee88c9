//! `--list`: the names of all groups of consumers, or a table with their types and states.

use kalda_client::admin::GroupListing;

use super::columns::{row, width};
use super::options::GRAMMAR;
use crate::failure::Outcome;
use crate::options::Parsed;

/// The states that a group of consumers can be in.
const STATES: &[&str] = &[
    "Assigning",
    "Stable",
    "Empty",
    "Dead",
    "Reconciling",
    "PreparingRebalance",
    "CompletingRebalance",
];
/// The types that a group of consumers can have.
const TYPES: &[&str] = &["Consumer", "Classic"];
/// What a table leaves between the longest name and the next column.
const GROUP_MARGIN: usize = 10;

/// What is listed, and with which columns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Listing {
    states: Option<Vec<&'static str>>,
    types: Option<Vec<&'static str>>,
}

impl Listing {
    pub(super) fn from_options(parsed: &Parsed) -> Outcome<Self> {
        let filter = |option: &str, (what, all): (&str, &str), known: &'static [&'static str]| {
            if !parsed.has(option) {
                return Ok(None);
            }
            let text = parsed.value(option)?.unwrap_or_default();
            let chosen = choose(text, known).ok_or_else(|| {
                let valid = known.join(", ");
                GRAMMAR.usage(format!("Invalid {what} list '{text}'. Valid {all} are: {valid}"))
            });
            chosen.map(Some)
        };
        Ok(Self {
            states: filter("state", ("state", "states"), STATES)?,
            types: filter("type", ("types", "types"), TYPES)?,
        })
    }

    /// Kafka's lines.
    pub(super) fn render(&self, groups: &[GroupListing]) -> String {
        let fits = |chosen: &Option<Vec<&str>>, name: &str| {
            chosen.as_ref().is_none_or(|chosen| {
                chosen.is_empty() || chosen.iter().any(|one| one.eq_ignore_ascii_case(name))
            })
        };
        let shown: Vec<&GroupListing> = groups
            .iter()
            .filter(|group| group.is_of_consumers())
            .filter(|group| {
                fits(&self.states, &group.state) && fits(&self.types, &group.group_type)
            })
            .collect();
        if self.states.is_none() && self.types.is_none() {
            return shown.iter().map(|group| format!("{}\n", group.group_id)).collect();
        }
        let longest = width(15, shown.iter().map(|group| group.group_id.as_str()));
        let widths = [longest + GROUP_MARGIN, 20, 20];
        let mut text = self.line(&widths, "GROUP", "TYPE", "STATE");
        for group in shown {
            let state = if group.state.is_empty() { "Unknown" } else { &group.state };
            text.push_str(&self.line(&widths, &group.group_id, type_name(group), state));
        }
        text
    }

    fn line(&self, widths: &[usize], group: &str, group_type: &str, state: &str) -> String {
        let mut cells = vec![group];
        cells.extend(self.types.is_some().then_some(group_type));
        cells.extend(self.states.is_some().then_some(state));
        format!("{}\n", row(widths, &cells))
    }
}

/// A type as Kafka prints it.
pub(crate) fn type_name(group: &GroupListing) -> &str {
    let named = ["Classic", "Consumer", "Share", "Streams"];
    named.into_iter().find(|name| name.eq_ignore_ascii_case(&group.group_type)).unwrap_or("Unknown")
}

/// The known names that a list separated by commas has; `None` if it has one that is not known.
fn choose(text: &str, known: &'static [&'static str]) -> Option<Vec<&'static str>> {
    let names = text.split(',').map(str::trim).filter(|_| !text.is_empty());
    names.map(|name| known.iter().copied().find(|known| known.eq_ignore_ascii_case(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, protocol: &str, state: &str) -> GroupListing {
        GroupListing {
            group_id: id.into(),
            protocol_type: protocol.into(),
            state: state.into(),
            group_type: "classic".into(),
        }
    }

    #[test]
    fn names_alone_or_a_table() {
        let groups = [
            group("g1", "", "Empty"),
            group("g2", "consumer", "Stable"),
            group("w", "connect", "Stable"),
        ];
        assert_eq!(Listing::default().render(&groups), "g1\ng2\n");
        let states = Listing { states: Some(vec![]), types: None };
        let expected = format!(
            "{:<25} {:<20}\n{:<25} {:<20}\n{:<25} {:<20}\n",
            "GROUP", "STATE", "g1", "Empty", "g2", "Stable"
        );
        assert_eq!(states.render(&groups), expected);
        let both = Listing { states: Some(vec!["Stable"]), types: Some(vec![]) };
        let expected = format!(
            "{:<25} {:<20} {:<20}\n{:<25} {:<20} {:<20}\n",
            "GROUP", "TYPE", "STATE", "g2", "Classic", "Stable"
        );
        assert_eq!(both.render(&groups), expected);
    }

    #[test]
    fn names_of_states_have_any_case_and_must_be_known() {
        assert_eq!(choose("stable, EMPTY", STATES), Some(vec!["Stable", "Empty"]));
        assert_eq!(choose("", STATES), Some(vec![]));
        assert_eq!(choose("stable,bogus", STATES), None);
    }
}
