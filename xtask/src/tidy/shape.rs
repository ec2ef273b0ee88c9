//! The shape of a source file: its header, its name, its length.

use crate::workspace::Source;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about what is inside.
const DRAWERS: &[&str] =
    &["utils", "util", "common", "helpers", "misc", "manager", "service", "impls"];

/// Files that are longer for a reason, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Complaints about files.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let path = &source.path;
        if !source.text.starts_with("//!") {
            complaints.push(format!("{path}: does not open with `//!`"));
        }
        let is_drawer = |part: &str| DRAWERS.contains(&part.trim_end_matches(".rs"));
        if path.split('/').any(is_drawer) {
            complaints.push(format!("{path}: is named like a drawer; name what it holds"));
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX && !LONG_FILES.iter().any(|(long, _)| long == path) {
            complaints.push(format!("{path}: {lines} lines, more than {FILE_LINES_MAX}"));
        }
    }
    for (path, _) in LONG_FILES {
        let lines = sources.iter().find(|source| source.path == *path);
        if lines.is_none_or(|source| source.text.lines().count() <= FILE_LINES_MAX) {
            complaints.push(format!("{path}: needs no place in the list of long files any more"));
        }
    }
    complaints
}

/// Functions that ask for more names.
pub(crate) fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut long = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for (name, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}:{name}: {lines} lines", source.path));
            }
        }
    }
    long
}

/// Every function with a body, and how many lines it takes. Relies on rustfmt: a body's closing
/// brace stands alone, as far right as the line that the function begins with.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = indent_of(line);
        if line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let body = &lines[at..];
        let is_end = |line: &&str| line.trim() == "}" && indent_of(line) == indent;
        if let Some(end) = body.iter().position(is_end) {
            found.push((name, end + 1));
        }
    }
    found
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The name of the function that a line declares.
pub(crate) fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    loop {
        if let Some(rest) = words.strip_prefix("fn ") {
            let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_')?;
            return Some(&rest[..end]).filter(|name| !name.is_empty());
        }
        let (word, rest) = words.split_once(' ')?;
        let is_qualifier =
            matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" | "default")
                || word.starts_with("pub(");
        words = is_qualifier.then_some(rest)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn headers_names_and_lengths_are_seen() {
        let long = format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX));
        let complaints = check(&[
            source("a/good.rs", "//! Good.\n"),
            source("a/bare.rs", "use std::io;\n"),
            source("a/helpers/x.rs", "//! A drawer.\n"),
            source("a/utils.rs", "//! A drawer.\n"),
            source("a/long.rs", &long),
            source("a/utils.py", "import os\n"),
        ]);
        assert_eq!(complaints.len(), 4, "{complaints:?}");
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let text = "\
impl X {
    pub(crate) async fn one(&self) -> u8 {
        if a {
            b();
        }
    }
    fn declared(&self);
    fn short() {}
}
fn two(
    a: u8,
) {
    a
}
";
        assert_eq!(functions(text), [("one", 5), ("two", 5)]);
        assert_eq!(function_name("    pub const fn three() {"), Some("three"));
        assert_eq!(function_name("// the fn that"), None);
    }
}
