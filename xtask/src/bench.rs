//! `cargo xtask bench`: builds what is measured and what measures, both as they are released, and hands over
//! to the latter (`crates/bench`).

use std::path::Path;
use std::process::Command;

/// Runs `kalda-bench` with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let build = ["build", "--release", "--package", "kalda", "--package", "kalda-bench"];
    succeed(Command::new("cargo").args(build).current_dir(root))?;
    let bench = root.join("target/release/kalda-bench");
    succeed(Command::new(bench).args(arguments).current_dir(root))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
