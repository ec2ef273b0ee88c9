//! The Java properties format, as far as `server.properties` files use it
//! (`java.util.Properties.load`).

/// The keys and values of a properties file, in order. A later line with the same key wins.
#[must_use]
pub(crate) fn parse(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_with_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some(next) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        pairs.push(split(&logical));
    }
    pairs
}

fn ends_with_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The key ends at the first `=`, `:` or blank that no backslash protects.
fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, char)| {
        let ends = !escaped && (matches!(char, '=' | ':') || char.is_whitespace());
        escaped = !escaped && *char == '\\';
        ends
    });
    let end = end.map_or(line.len(), |(index, _)| index);
    let rest = line[end..].trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    // Java keeps blanks at the end of a value; Kafka trims when it parses. Trimmed here, once.
    (unescape(&line[..end]), unescape(value).trim_end().to_owned())
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
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn comments_separators_continuations_and_escapes() {
        let text = "# a comment\n! another\n\n  node.id = 1\nlog.dirs:/a,\\\n   /b  \nempty=\nkey\\=x value\nu=\\u0041\\tB\n";
        let expected = [
            ("node.id", "1"),
            ("log.dirs", "/a,/b"),
            ("empty", ""),
            ("key=x", "value"),
            ("u", "A\tB"),
        ];
        let parsed = parse(text);
        let parsed: Vec<_> = parsed.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(parsed, expected);
    }
}
