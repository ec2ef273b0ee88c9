//! The glossary's terms stand in the order of the alphabet, each once, each with a meaning.

/// The page.
pub(crate) const PAGE: &str = "docs/glossary.md";

/// Complaints about the page.
pub(crate) fn check(text: &str) -> Vec<String> {
    let terms: Vec<(String, &str)> = text.lines().filter_map(row).collect();
    let mut complaints = Vec::new();
    if terms.is_empty() {
        complaints.push(format!("{PAGE}: has no rows of the form `| **term** | meaning |`"));
    }
    for pair in terms.windows(2) {
        let [(first, _), (second, _)] = pair else { continue };
        if first >= second {
            complaints.push(format!("{PAGE}: {second:?} must stand before {first:?}, once"));
        }
    }
    for (term, meaning) in terms {
        if !meaning.ends_with('.') {
            complaints.push(format!("{PAGE}: the meaning of {term:?} is no sentence"));
        }
    }
    complaints
}

/// Term, in small letters, and meaning.
fn row(line: &str) -> Option<(String, &str)> {
    let (term, rest) = line.strip_prefix("| **")?.split_once("** |")?;
    Some((term.to_lowercase(), rest.trim().trim_end_matches('|').trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_doubles_and_empty_meanings_are_seen() {
        let row = |term: &str, meaning: &str| format!("| **{term}** | {meaning} |\n");
        let good = [row("batch", "Records."), row("ELR", "A set."), row("epoch", "A number.")];
        assert_eq!(check(&good.concat()), Vec::<String>::new());
        assert_eq!(check(&[row("b", "B."), row("a", "A.")].concat()).len(), 1);
        assert_eq!(check(&[row("a", "A."), row("a", "A.")].concat()).len(), 1);
        assert_eq!(check(&row("a", "")).len(), 1);
        assert_eq!(check("# Glossary\n").len(), 1);
    }
}
