//! Key-value settings as Java's `.properties` files write them.
//!
//! Used by the builder and by every tool that takes `--command-config` or `--…-property`.

use std::collections::BTreeMap;

/// Settings by key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Reads the text of a `.properties` file: comments, continued lines and escapes included.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut properties = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = line.to_owned();
            while is_continued(&logical) {
                logical.pop();
                let Some(next) = lines.next() else { break };
                logical.push_str(next.trim_start());
            }
            let (key, value) = split_key(&logical);
            properties.set(unescape(key), unescape(value));
        }
        properties
    }

    /// Sets one key, replacing what was there.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// Sets the key of a `key=value` argument; the value may be empty and may hold more `=`.
    ///
    /// # Errors
    /// The argument has no `=`, or nothing in front of it; it is handed back.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), String> {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                self.set(key, value);
                Ok(())
            }
            _ => Err(pair.to_owned()),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// All keys with their values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Takes over all of `other`, which wins.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Whether a line ends in an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Splits at the first `=`, `:` or blank that is not escaped.
fn split_key(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    for (at, char) in line.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if char == '\\' {
            is_escaped = true;
        } else if matches!(char, '=' | ':' | ' ' | '\t') {
            let rest = line[at..].trim_start();
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..at], rest.trim_start());
        }
    }
    (line, "")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                out.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_java_reads_them() {
        let text = "# c\n! c\n a = b\nc:d\ne f g\nlong=one,\\\n   two\npath=C\\:\\\\x\nempty\ntab=\\t.\\u0041\n";
        let properties = Properties::parse(text);
        let pairs: Vec<_> = properties.iter().collect();
        let expected = [
            ("a", "b"),
            ("c", "d"),
            ("e", "f g"),
            ("empty", ""),
            ("long", "one,two"),
            ("path", "C:\\x"),
            ("tab", "\t.A"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn pairs_keep_what_follows_the_first_equals_sign() {
        let mut properties = Properties::default();
        properties.set_pair("a=b=c").unwrap();
        assert_eq!(properties.get("a"), Some("b=c"));
        assert_eq!(properties.set_pair("novalue"), Err("novalue".to_owned()));
        assert!(properties.set_pair("=x").is_err());
    }
}
