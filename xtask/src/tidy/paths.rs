//! What documents name exists: paths in backticks, functions behind a colon, links.

use std::path::Path;

use super::shape::function_name;
use crate::workspace::Source;

/// Where a path that is worth checking begins.
const ROOTS: &[&str] = &["crates/", "docs/", "conformance/", "fuzz/", "xtask/", ".ci/", ".cargo/"];

/// What was true when it was written and need not stay so.
const HISTORY: &str = "CHANGELOG.md";

/// Complaints about the documents.
pub(crate) fn check(root: &Path, sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for page in sources.iter().filter(|source| source.path.ends_with(".md")) {
        if page.path == HISTORY {
            continue;
        }
        let mut complain = |what: String| complaints.push(format!("{}: {what}", page.path));
        for named in quoted(&page.text).filter(|named| is_path(named)) {
            expand(named)
                .iter()
                .filter_map(|named| missing(root, sources, named))
                .for_each(&mut complain);
        }
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&page.text) {
            if !root.join(folder).join(link).exists() {
                complain(format!("links to {link}, which does not exist"));
            }
        }
    }
    complaints
}

fn is_path(named: &str) -> bool {
    ROOTS.iter().any(|root| named.starts_with(root)) && !named.contains(['<', '…', ' '])
}

/// What stands between backticks on one line, outside of blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

/// Targets of `[text](target)` within the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    targets
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// `a/{b,c}.rs` is two paths.
fn expand(named: &str) -> Vec<String> {
    let inner = named.split_once('{').and_then(|(before, rest)| {
        rest.split_once('}').map(|(choices, after)| (before, choices, after))
    });
    let Some((before, choices, after)) = inner else { return vec![named.to_owned()] };
    let paths = choices.split(',').map(|choice| format!("{before}{}{after}", choice.trim()));
    paths.flat_map(|path| expand(&path)).collect()
}

/// What is wrong with a path, or with a path and what should be in it.
fn missing(root: &Path, sources: &[Source], named: &str) -> Option<String> {
    let (path, item) = match named.split_once(':') {
        Some((path, item)) => (path, Some(item.trim_start_matches(':').trim_end_matches("()"))),
        None => (named, None),
    };
    // Of a pattern, the part before the first star must be there.
    let fixed = match path.split_once('*') {
        Some((before, _)) => before.rsplit_once('/').map_or(before, |(folder, _)| folder),
        None => path,
    };
    if !root.join(fixed).exists() {
        return Some(format!("names {path}, which does not exist"));
    }
    let item = item?;
    if item.starts_with(|char: char| char.is_ascii_digit()) {
        return Some(format!("names a line of {path}; name the function, lines drift"));
    }
    let Some(source) = sources.iter().find(|source| source.path == path) else {
        return Some(format!("names {item} in {path}, which is no source file"));
    };
    let is_there = item.split("::").all(|part| declares(&source.text, part));
    (!is_there).then(|| format!("names {item}, which {path} does not declare"))
}

/// Whether a file declares a function or an item of that name, or implements the type.
fn declares(text: &str, name: &str) -> bool {
    let holds = |line: &str| {
        let line = line.trim_start();
        function_name(line) == Some(name)
            || (KINDS.iter().any(|kind| line.contains(kind)) || line.starts_with("impl"))
                && line
                    .split(|char: char| !char.is_alphanumeric() && char != '_')
                    .any(|word| word == name)
    };
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(holds)
}

const KINDS: &[&str] =
    &["struct ", "enum ", "trait ", "const ", "static ", "type ", "macro_rules! ", "mod "];

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().expect("a directory for the test");
        std::fs::create_dir_all(root.path().join("crates/x/src")).expect("it is writable");
        let code = "//! X.\npub struct Thing;\nimpl Thing {\n    pub fn work(&self) {}\n}\n";
        std::fs::write(root.path().join("crates/x/src/y.rs"), code).expect("it is writable");
        let source =
            |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        check(root.path(), &[source("A.md", text), source("crates/x/src/y.rs", code)])
    }

    #[test]
    fn what_exists_is_fine() {
        let text = "`crates/x/src/y.rs`, `crates/x/src/{y}.rs:Thing::work`, `crates/x/src/*.rs`, \
                    [y](crates/x/src/y.rs#top), `crates/x/src/y.rs:work()`, `crates/<name>`\n\
                    ```\n`crates/none`\n```\n";
        assert_eq!(complaints(text), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_exist_is_not() {
        for text in [
            "`crates/none`",
            "`crates/x/src/{y,z}.rs`",
            "`crates/x/src/y.rs:other`",
            "`crates/x/src/y.rs:Other::work`",
            "`crates/x/src/y.rs:4`",
            "[gone](docs/gone.md)",
        ] {
            assert_eq!(complaints(text).len(), 1, "{text}");
        }
    }
}
