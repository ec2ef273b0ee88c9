//! What others made and this benchmark runs: fetched and built once, each in a directory of its own below
//! `target/bench`, by the ordinary clients of their registries.
//!
//! Called by the parts that drive foreign programs. It pins versions and never installs anything outside of
//! `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// The directory of this name after `make` filled it. What was cut off is made again, in the same directory,
/// so `make` has to bear what it left there.
pub(crate) fn once(name: &str, make: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<PathBuf> {
    let directory = directory(name)?;
    if !is_complete(name)? {
        println!("  fetching and building {name}");
        fs::create_dir_all(&directory)?;
        make(&directory)?;
        fs::write(directory.join("complete"), "")?;
    }
    Ok(directory)
}

/// Whether [`once`] has it already.
pub(crate) fn is_complete(name: &str) -> Outcome<bool> {
    Ok(directory(name)?.join("complete").exists())
}

fn directory(name: &str) -> Outcome<PathBuf> {
    Ok(std::env::current_dir()?.join("target/bench").join(name))
}

/// The class path of a Maven artifact with all it needs at run time: the jars are below the directory.
pub(crate) fn class_path(
    name: &str,
    group: &str,
    artifact: &str,
    version: &str,
) -> Outcome<String> {
    let directory = once(name, |directory| {
        let pom = format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>kalda</groupId>\
             <artifactId>bench</artifactId><version>1</version><packaging>pom</packaging>\
             <dependencies><dependency><groupId>{group}</groupId>\
             <artifactId>{artifact}</artifactId><version>{version}</version></dependency>\
             </dependencies></project>\n"
        );
        fs::write(directory.join("pom.xml"), pom)?;
        let jars = directory.join("jars");
        let mut command = Command::new("mvn");
        command.args(["-q", "-B", COPY, "-DincludeScope=runtime"]);
        command.arg(format!("-DoutputDirectory={}", jars.display())).current_dir(directory);
        succeed(&mut command).map(drop)
    })?;
    Ok(format!("{}/jars/*", directory.display()))
}

/// Runs it to its end. Answers what it printed; a failure tells the last of what it complained about.
pub(crate) fn succeed(command: &mut Command) -> Outcome<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // Some, Maven among them, complain on the standard output.
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES_TOLD)..];
    Err(format!("{program} ended with {}: {}", output.status, last.join(" | ")).into())
}

/// Of a failure's output.
const LINES_TOLD: usize = 4;
