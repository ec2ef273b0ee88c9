//! Subscriptions by regular expression. The broker resolves them, in RE2's syntax, so that all members
//! see the same topics.
//!
//! What an expression stands for is a record of its own. It is looked at again when the metadata has
//! changed, at most every ten seconds for a group, and all its expressions together, so that one
//! change of topics makes one rebalance.

use std::collections::BTreeSet;

use kalda_metadata::Image;
use kalda_model::Offset;
use regex::bytes::{Regex, RegexBuilder};

use super::draft::Draft;
use super::state::{ConsumerState, ResolvedRegex};
use crate::decision::Context;

/// The shortest time between two looks of one group; a constant in Kafka.
const REFRESH_PAUSE_MS: i64 = 10_000;
/// The most memory that one compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// An expression that matches whole names of topics.
pub(super) struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// What is wrong with the expression, in a few words.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let text = with_quotes_escaped(text);
        // By itself first: brackets that do not belong together could match those around it.
        build(&text)?;
        build(&format!(r"\A(?:{text})\z")).map(Self)
    }

    fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic.as_bytes())
    }
}

/// Names of topics are ASCII, and so are the classes of RE2: bytes will do.
fn build(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).unicode(false).size_limit(COMPILED_BYTES_MAX).build();
    built.map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit_once("error: ").map_or(text.as_str(), |(_, reason)| reason);
        reason.trim_end_matches('.').to_owned()
    })
}

/// RE2 takes what stands between `\Q` and `\E` literally, and Java's `Pattern.quote` makes that.
fn with_quotes_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out += before;
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out += &regex::escape(literal);
            rest = after;
        } else {
            let end = escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at);
            out += &escape[..end];
            rest = &escape[end..];
        }
    }
    out + rest
}

/// When a group last looked at the topics, and when it will again. In memory only.
#[derive(Clone, Default, Debug)]
pub(super) struct RegexChecks {
    /// The metadata that was looked through, and when.
    last: Option<(Offset, i64)>,
    /// A look that came too soon, and is put off until then.
    due_ms: Option<i64>,
}

impl RegexChecks {
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.due_ms
    }

    /// Whether the longest time that an answer may stand is over.
    pub(super) fn is_stale(&self, wall_ms: i64, refresh_interval_ms: i32) -> bool {
        let interval_ms = i64::from(refresh_interval_ms);
        self.last.is_some_and(|(_, at_ms)| wall_ms > at_ms.saturating_add(interval_ms))
    }

    /// The next look need not wait: what the last one found was lost.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Looks at the topics again if there is reason to, now or when enough time has passed. Whether
    /// an expression stands for other topics than before.
    pub(super) fn refresh(
        &mut self,
        draft: &mut Draft<'_>,
        cx: &Context<'_>,
        refresh_interval_ms: i32,
    ) -> bool {
        let Context { image, wall_ms, .. } = *cx;
        self.due_ms = None;
        let used = draft.state.subscribed_regexes();
        if used.is_empty() {
            return false;
        }
        // The first expression of a group need not wait for others.
        let last = last_of(&draft.state).map(|logged| self.last.unwrap_or(logged));
        let stale = self.is_stale(wall_ms, refresh_interval_ms);
        let unresolved = used.iter().any(|regex| !draft.state.regexes.contains_key(*regex));
        if !stale && !unresolved && last.is_some_and(|(seen, _)| seen == image.end_offset) {
            return false;
        }
        let free_ms = last.map_or(wall_ms, |(_, at_ms)| at_ms.saturating_add(REFRESH_PAUSE_MS));
        // A clock that was set back must not put the look off for longer than the pause.
        let free_ms = free_ms.min(wall_ms.saturating_add(REFRESH_PAUSE_MS));
        if free_ms > wall_ms {
            self.due_ms = Some(cx.now_ms.saturating_add(free_ms - wall_ms));
            return false;
        }
        self.last = Some((image.end_offset, wall_ms));
        resolve(draft, image, wall_ms)
    }
}

/// When the group looked last, as far as the log tells.
fn last_of(state: &ConsumerState) -> Option<(Offset, i64)> {
    let newest = state.regexes.values().max_by_key(|resolved| resolved.timestamp_ms)?;
    Some((Offset(newest.version), newest.timestamp_ms))
}

fn resolve(draft: &mut Draft<'_>, image: &Image, wall_ms: i64) -> bool {
    let used: Vec<String> =
        draft.state.subscribed_regexes().into_iter().map(str::to_owned).collect();
    let mut changed = false;
    for regex in used {
        // One that the log holds and that does not compile here matches nothing.
        let pattern = Pattern::compile(&regex).ok();
        let matches = |name: &str| pattern.as_ref().is_some_and(|pattern| pattern.matches(name));
        let names = image.topics.iter().map(|topic| &topic.name);
        let topics: BTreeSet<String> =
            names.filter(|name| matches(name)).map(ToString::to_string).collect();
        let known = draft.state.regexes.get(&regex);
        // Topics that are gone went with their partitions; nothing moves because of their names.
        let there = |name: &&String| image.topics.by_name(name).is_some();
        changed |= known.is_none_or(|known| known.topics.iter().filter(there).ne(&topics));
        if known.is_none_or(|known| known.topics != topics) {
            let version = image.end_offset.0;
            draft.put_regex(regex, ResolvedRegex { topics, version, timestamp_ms: wall_ms });
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, topic: &str) -> bool {
        Pattern::compile(pattern).unwrap().matches(topic)
    }

    #[test]
    fn the_whole_name_has_to_match() {
        assert!(matched("lo.*", "logs"));
        assert!(!matched("lo", "logs"));
        assert!(!matched("ogs", "logs"));
        assert!(matched("a|logs", "logs"), "the bounds hold for every alternative");
        assert!(!matched("a|log", "logs"));
        assert!(matched("(?i)LOGS", "logs"));
        assert!(matched(r"logs-\d+", "logs-17"));
        assert!(matched("^logs$", "logs"));
    }

    #[test]
    fn quotes_are_taken_literally() {
        assert!(matched(r"\Qa.b\E.*", "a.b-c"));
        assert!(!matched(r"\Qa.b\E", "axb"));
        assert!(matched(r"\Qa.b", "a.b"));
        assert!(matched(r"a\.\w", "a.b"));
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in ["[", "a)(b", "(?=a)", r"(a)\1", "*", "a{2000}{2000}", "\\"] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert_eq!(Pattern::compile("[").err().unwrap(), "unclosed character class");
    }
}
