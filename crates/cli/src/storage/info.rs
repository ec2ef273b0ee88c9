//! `storage info`: what the log directories of a node are. It only looks: the node may be running.

use std::path::Path;

use kalda_server::BrokerConfig;
use kalda_storage::MetaProperties;

use crate::failure::{Blame, Failure, Outcome};
use crate::output::print_line;

/// Prints what is there; problems make it fail.
pub(super) fn run(config: &BrokerConfig) -> Outcome {
    let mut dirs: Vec<&Path> = config.log_dirs.iter().map(AsRef::as_ref).collect();
    dirs.sort();
    let report = Report::of(&dirs);
    print_line(&report.text())?;
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::Reported(Blame::Refused)),
    }
}

#[derive(Default)]
struct Report {
    found: Vec<String>,
    metadata: Option<MetaProperties>,
    problems: Vec<String>,
}

impl Report {
    fn of(dirs: &[&Path]) -> Self {
        let mut report = Self::default();
        for dir in dirs {
            report.look(dir);
        }
        report
    }

    fn look(&mut self, dir: &Path) {
        let shown = dir.display();
        if !dir.is_dir() {
            let what = if dir.exists() { "is not a directory" } else { "does not exist" };
            return self.problems.push(format!("{shown} {what}"));
        }
        self.found.push(shown.to_string());
        let path = dir.join("meta.properties");
        if !path.exists() {
            return self.problems.push(format!("{shown} is not formatted."));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let meta =
            text.and_then(|text| MetaProperties::parse(&text).map_err(|error| error.to_string()));
        match (meta, &self.metadata) {
            (Err(error), _) => {
                self.problems.push(format!("Error loading {}: {error}", path.display()));
            }
            (Ok(meta), None) => self.metadata = Some(meta),
            (Ok(meta), Some(first)) if meta.cluster_id != first.cluster_id => {
                self.problems
                    .push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            (Ok(meta), Some(first)) if meta.node_id != first.node_id => {
                self.problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            (Ok(_), Some(_)) => {}
        }
    }

    fn text(&self) -> String {
        let mut text = list("Found log directory:", "Found log directories:", &self.found);
        if let Some(meta) = &self.metadata {
            let id = meta.directory_id.map(|id| format!("directory.id={id}, ")).unwrap_or_default();
            text.push_str(&format!(
                "Found metadata: {{cluster.id={}, {id}node.id={}, version=1}}\n\n",
                meta.cluster_id, meta.node_id
            ));
        }
        text.push_str(&list("Found problem:", "Found problems:", &self.problems));
        // The last line's end is the printer's.
        text.pop();
        text
    }
}

fn list(one: &str, many: &str, entries: &[String]) -> String {
    let head = if entries.len() == 1 { one } else { many };
    match entries.is_empty() {
        true => String::new(),
        false => format!("{head}\n  {}\n\n", entries.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_problems_are_listed_as_kafka_lists_them() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        let report = Report::of(&[&a, &b]);
        assert_eq!(
            report.text(),
            format!(
                "Found log directory:\n  {a}\n\nFound problems:\n  {a} is not formatted.\n  {b} does not exist\n",
                a = a.display(),
                b = b.display()
            )
        );
        let meta = "version=1\nnode.id=1\ncluster.id=c\ndirectory.id=07R5amHmR32VDA6jHkGbTA\n";
        std::fs::write(a.join("meta.properties"), meta).unwrap();
        assert_eq!(
            Report::of(&[&a]).text(),
            format!(
                "Found log directory:\n  {}\n\nFound metadata: {{cluster.id=c, directory.id=07R5amHmR32VDA6jHkGbTA, node.id=1, version=1}}\n",
                a.display()
            )
        );
        std::fs::create_dir(&b).unwrap();
        std::fs::write(b.join("meta.properties"), meta.replace("node.id=1", "node.id=2")).unwrap();
        assert_eq!(
            Report::of(&[&a, &b]).problems,
            ["Mismatched node IDs between storage directories."]
        );
    }
}
