//! Words that must not be committed: unfinished work, paths of a machine, hosts of registries.

use crate::workspace::Source;

// Written in two parts, so that this file does not accuse itself.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("unimplemented", "!"),
    concat!("todo", "!"),
];
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("proxy.golang", ".org"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("deb.debian", ".org"),
];

/// How Cargo itself names the default registry in a lock file.
const LOCKED: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

/// Complaints about lines that hold one of them.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            let mut complain = |what: &str, word: &str| {
                complaints.push(format!("{}:{}: {what}: {word}", source.path, number + 1));
            };
            if source.is_rust() {
                for word in UNFINISHED.iter().filter(|word| holds_word(line, word)) {
                    complain("unfinished", word);
                }
            }
            for path in MACHINE_PATHS.iter().filter(|path| holds_path(line, path)) {
                complain("a path of one machine", path);
            }
            let line = if source.name() == "Cargo.lock" { &line.replace(LOCKED, "") } else { line };
            for host in REGISTRIES.iter().filter(|host| line.contains(**host)) {
                complain("a registry's host", host);
            }
        }
    }
    complaints
}

/// Whether the word stands alone.
fn holds_word(line: &str, word: &str) -> bool {
    let is_letter = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

/// Whether an absolute path begins there: a relative one may go through a directory of that name.
fn holds_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '.' | '_' | '-' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        check(&[Source { path: path.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn unfinished_work_is_seen_in_rust_only() {
        assert_eq!(complaints("a.rs", concat!("//! A.\n// TO", "DO: more\nto", "do!()")), 2);
        assert_eq!(complaints("a.rs", concat!("let to", "dos = METO", "DO;")), 0);
        assert_eq!(complaints("a.md", concat!("TO", "DO")), 0);
    }

    #[test]
    fn machine_paths_and_registries_are_seen_everywhere() {
        assert_eq!(complaints("a.py", concat!("open('/wo", "rk/x')")), 1);
        assert_eq!(complaints("a.py", concat!("open('a/wo", "rk/x')")), 0);
        assert_eq!(complaints("a.toml", concat!("url = 'https://crates", ".io'")), 1);
        assert_eq!(complaints("Cargo.lock", &format!("source = \"{LOCKED}\"")), 0);
    }
}
