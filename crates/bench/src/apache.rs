//! Apache Kafka, from Maven, started with its defaults, as one node or as one of a cluster.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use super::broker::{Broker, free_address};

/// The version measured against.
pub(crate) const VERSION: &str = "4.1.1";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// The cluster of whatever is formatted here.
pub(crate) const CLUSTER_ID: &str = "a2FsZGEtYmVuY2htYXJrcw";

/// The directory with its class path, fetched once into `target/`.
pub(crate) fn jars(root: &Path) -> Outcome<PathBuf> {
    let directory = root.join(format!("target/bench/kafka-{VERSION}"));
    let jars = directory.join("jars");
    let complete = directory.join("complete");
    if complete.exists() {
        return Ok(jars);
    }
    fs::create_dir_all(&jars)?;
    fs::write(directory.join("pom.xml"), pom())?;
    let status = Command::new("mvn")
        .args(["-q", "-B", COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .current_dir(&directory)
        .status()
        .map_err(|error| format!("mvn: {error}"))?;
    if !status.success() {
        return Err(format!("mvn ended with {status}").into());
    }
    fs::write(complete, "")?;
    Ok(jars)
}

fn pom() -> String {
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>kalda</groupId>\
         <artifactId>bench</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies><dependency><groupId>org.apache.kafka</groupId>\
         <artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>\
         </dependencies></project>\n"
    )
}

/// Starts the broker with some settings, each `key=value`, and a heap of 1 GiB as Kafka's script gives it.
/// The directory is formatted first unless it was used before.
pub(crate) fn start_with(jars: &Path, directory: &Path, settings: &[&str]) -> Outcome<Broker> {
    let (address, controller) = (free_address()?, free_address()?);
    let data = directory.join("data");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n{}\n",
        data.display(),
        settings.join("\n")
    );
    start_node(jars, directory, &Node { address, properties: &text, heap: "1G" })
}

/// How a node is started.
pub(crate) struct Node<'a> {
    /// Where its clients find it.
    pub(crate) address: SocketAddr,
    /// The file of its settings, which lets the data lie in `data`.
    pub(crate) properties: &'a str,
    /// As Java wants to have it.
    pub(crate) heap: &'a str,
}

/// Starts a node in a directory, which is formatted first unless it was used before.
pub(crate) fn start_node(jars: &Path, directory: &Path, node: &Node<'_>) -> Outcome<Broker> {
    let properties = directory.join("server.properties");
    fs::write(&properties, node.properties)?;
    let java = || {
        let mut command = Command::new("java");
        command.args([format!("-Xmx{}", node.heap), format!("-Xms{}", node.heap)]);
        command.args(["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp"]);
        command.arg(format!("{}/*", jars.display()));
        command
    };
    if !directory.join("data").exists() {
        let mut format = java();
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
        let formatted = format.output()?;
        if !formatted.status.success() {
            return Err(String::from_utf8_lossy(&formatted.stderr).into_owned().into());
        }
    }
    let mut command = java();
    command.arg("kafka.Kafka").arg(&properties);
    Broker::spawn(command, node.address, directory)
}
