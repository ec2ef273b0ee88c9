//! Checks what can drift, in the whole workspace: `cargo xtask tidy`, and a test of its own.
//!
//! Each check owns a file below; it takes what was read and returns complaints, and prints nothing.

mod apis;
mod dependencies;
mod directions;
mod glossary;
mod paths;
mod shape;
mod words;

use std::path::Path;

use crate::workspace::{self, Source};

/// What the checks found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What must be mended, one line each.
    pub(crate) failures: Vec<String>,
    /// What asks to be looked at.
    pub(crate) warnings: Vec<String>,
}

/// Runs every check.
pub(crate) fn check(root: &Path) -> Result<Report, String> {
    let sources = workspace::sources(root).map_err(|error| format!("the workspace: {error}"))?;
    let packages = workspace::packages(root, "Cargo.toml")?;
    let fuzz = workspace::packages(root, "fuzz/Cargo.toml")?;
    let mut report = Report { warnings: shape::long_functions(&sources), ..Report::default() };
    let failures = &mut report.failures;
    failures.extend(directions::check(&packages));
    failures.extend(shape::check(&sources));
    failures.extend(paths::check(root, &sources));
    failures.extend(apis::check(&sources));
    let manifest = text_of(&sources, "Cargo.toml")?;
    let page = text_of(&sources, dependencies::PAGE)?;
    failures.extend(dependencies::check(manifest, &[packages, fuzz].concat(), page));
    failures.extend(words::check(&sources));
    failures.extend(glossary::check(text_of(&sources, glossary::PAGE)?));
    Ok(report)
}

/// `cargo xtask tidy`.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let report = check(root)?;
    for warning in &report.warnings {
        println!("warning: {warning}");
    }
    if report.failures.is_empty() {
        println!("tidy: {} warnings, nothing to mend", report.warnings.len());
        return Ok(());
    }
    let count = report.failures.len();
    Err(format!("{}\ntidy: {count} to mend", report.failures.join("\n")))
}

/// `cargo xtask apis`.
pub(crate) fn write_apis(root: &Path) -> Result<(), String> {
    let sources = workspace::sources(root).map_err(|error| format!("the workspace: {error}"))?;
    let page = apis::page(text_of(&sources, apis::DISPATCH)?)?;
    let path = root.join(apis::PAGE);
    std::fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()))
}

fn text_of<'a>(sources: &'a [Source], path: &str) -> Result<&'a str, String> {
    let source = sources.iter().find(|source| source.path == path);
    source.map(|source| source.text.as_str()).ok_or_else(|| format!("{path} is missing"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let report = super::check(&crate::workspace::root()).expect("the workspace can be read");
        assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    }
}
