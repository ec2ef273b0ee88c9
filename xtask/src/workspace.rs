//! The workspace as the checks see it: where it lies, its text files, its crates.
//!
//! Called by every command. Reads only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde_json::Value;

/// Directories that hold what is built, fetched or written by a running broker.
const NOT_SOURCE: &[&str] = &["target", ".git", "node_modules", "__pycache__"];
/// The same, by their path from the root.
const NOT_SOURCE_PATHS: &[&str] = &["bin", "kalda-data", "fuzz/corpus", "fuzz/artifacts"];

/// The directory of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// One text file.
pub(crate) struct Source {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    /// The name without directory.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every text file that belongs to the workspace, in the order of their paths.
pub(crate) fn sources(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    collect(root, root, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let relative = relative(root, &path);
        let name = entry.file_name();
        let is_skipped = NOT_SOURCE.iter().any(|skipped| name == *skipped)
            || NOT_SOURCE_PATHS.contains(&relative.as_str());
        if is_skipped {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(root, &path, found)?;
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(&path)?)
        {
            found.push(Source { path: relative, text });
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// A crate and what its manifest lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Dependency {
    /// The crate depended on.
    pub(crate) name: String,
    /// Whether it lies in this workspace.
    pub(crate) is_own: bool,
    /// Whether only tests and benchmarks see it.
    pub(crate) is_dev: bool,
}

/// The packages of the workspace that `manifest` (from the root) belongs to.
pub(crate) fn packages(root: &Path, manifest: &str) -> Result<Vec<Package>, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(root.join(manifest))
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata printed what is no JSON: {error}"))?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(packages.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = value["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    let dependency = |value: &Value| Dependency {
        name: text(&value["name"]),
        is_own: value["path"].is_string(),
        is_dev: value["kind"] == "dev",
    };
    Package { name: text(&value["name"]), dependencies: listed.iter().map(dependency).collect() }
}
