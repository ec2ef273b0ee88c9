//! Every foreign crate has its line in `docs/dependencies.md`, and no line outlives its crate.

use std::collections::BTreeSet;

use crate::workspace::Package;

/// The page.
pub(crate) const PAGE: &str = "docs/dependencies.md";

/// Complaints about the page and about the workspace's list.
pub(crate) fn check(manifest: &str, packages: &[Package], page: &str) -> Vec<String> {
    let all = packages.iter().flat_map(|package| &package.dependencies);
    let used: BTreeSet<&str> =
        all.filter(|dependency| !dependency.is_own).map(|foreign| foreign.name.as_str()).collect();
    let offered: BTreeSet<&str> = offered(manifest).collect();
    let described: BTreeSet<&str> = page.lines().filter_map(row).collect();
    let mut complaints = Vec::new();
    for name in offered.difference(&used) {
        complaints.push(format!("Cargo.toml: no crate uses {name}"));
    }
    for name in used.difference(&described) {
        complaints.push(format!("{PAGE}: does not say what {name} is for"));
    }
    for name in described.difference(&used) {
        complaints.push(format!("{PAGE}: {name} is not used any more"));
    }
    complaints
}

/// The foreign crates of `[workspace.dependencies]`.
fn offered(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| !line.starts_with('#') && !line.contains("path ="))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim())
}

/// The crate that a row of the page's tables is about.
fn row(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[test]
    fn missing_stale_and_unused_crates_are_seen() {
        let manifest = "[workspace.dependencies]\nown = { path = \"x\" }\nbytes = \"1\"\nsnap = \"1\"\n\n[lints]\na = 1\n";
        let dependency = Dependency { name: "bytes".to_owned(), is_own: false, is_dev: false };
        let package = Package { name: "x".to_owned(), dependencies: vec![dependency] };
        let packages = [package];
        let complaints = check(manifest, &packages, "| `tokio` | runtime |\n");
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert_eq!(check("", &packages, "| `bytes` | buffers |\n"), Vec::<String>::new());
    }
}
