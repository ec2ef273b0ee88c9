//! `stop`: ends the brokers of this machine, found by their command lines, and waits until they
//! are gone.

use std::fs;
use std::time::Duration;

use kalda_client::Properties;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::connect::block_on;
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Parsed, Show};
use crate::output::print_line;
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool stops the brokers and controllers that run on this machine.",
    options: &[
        ("node-id", Arg::Int("node id"), "Only the one with this node.id.", Show::Yes),
        (
            "process-role",
            Arg::Text("broker or controller"),
            "Only those with this role.",
            Show::Yes,
        ),
    ],
};

/// How often it is looked whether a process is gone: the kernel tells only a parent.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is told that we still wait.
const TELL_EVERY: u32 = 50;

/// A running broker.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Running {
    pid: i32,
    properties: Properties,
}

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let parsed = if call.args.is_empty() {
        Parsed::default()
    } else {
        let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
        parsed
    };
    let (role, node_id) = (parsed.value("process-role")?, parsed.number::<i32>("node-id")?);
    let chosen: Vec<Running> =
        running().into_iter().filter(|it| is_meant(&it.properties, role, node_id)).collect();
    if chosen.is_empty() {
        return Err(Failure::Message("No kafka server to stop".to_owned()));
    }
    let signal = signal()?;
    for process in &chosen {
        let pid = process.pid;
        let sent = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
        if let Some(Err(error)) = sent {
            return Err(Failure::Message(format!("process {pid} cannot be signalled: {error}")));
        }
    }
    block_on(async {
        for process in &chosen {
            await_end(process.pid).await?;
        }
        Ok(())
    })
}

/// The signal that the environment names, as for Kafka's script.
fn signal() -> Outcome<Signal> {
    let name = std::env::var("SIGNAL").unwrap_or_default();
    match name.strip_prefix("SIG").unwrap_or(&name) {
        "" | "TERM" | "15" => Ok(Signal::TERM),
        "INT" | "2" => Ok(Signal::INT),
        "KILL" | "9" => Ok(Signal::KILL),
        "QUIT" | "3" => Ok(Signal::QUIT),
        "HUP" | "1" => Ok(Signal::HUP),
        _ => Err(Failure::Message(format!("SIGNAL={name} is not a signal to stop with"))),
    }
}

async fn await_end(pid: i32) -> Outcome {
    let Some(raw) = Pid::from_raw(pid) else { return Ok(()) };
    let mut looks: u32 = 0;
    while test_kill_process(raw).is_ok() && !is_zombie(pid) {
        looks += 1;
        if looks.is_multiple_of(TELL_EVERY) {
            print_line(&format!("Waiting for process {pid} to stop..."))?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Whether a process has ended and only waits for its parent to notice.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// The brokers of this machine that we can see.
fn running() -> Vec<Running> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own = std::process::id().cast_signed();
    pids.filter(|pid: &i32| *pid != own)
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let words: Vec<String> = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            let args = start_args(&words)?;
            let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            Some(Running { pid, properties: settings(args, &directory) })
        })
        .collect()
}

/// The arguments after `kalda start`, or after a link's name; `None` for any other process, and for
/// the one that only looks after the nodes of `--nodes`.
fn start_args(words: &[String]) -> Option<&[String]> {
    let (program, args) = words.split_first()?;
    let args = match program.rsplit('/').next()? {
        "kalda" => args.split_first().filter(|(tool, _)| *tool == "start").map(|(_, rest)| rest),
        "kafka-server-start" | "kafka-server-start.sh" => Some(args),
        _ => None,
    };
    args.filter(|args| !args.iter().any(|arg| arg == "--nodes"))
}

/// What the broker was started with: its file as it is now, and its overrides.
fn settings(args: &[String], directory: &std::path::Path) -> Properties {
    let mut properties = Properties::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let pair = match arg.strip_prefix("--override") {
            Some("") => args.next().map(String::as_str),
            Some(inline) => inline.strip_prefix('='),
            None if arg.starts_with('-') || arg.is_empty() => None,
            None => {
                if let Ok(text) = fs::read(directory.join(arg)) {
                    properties.extend(Properties::parse(&String::from_utf8_lossy(&text)));
                }
                None
            }
        };
        if let Some((key, value)) = pair.and_then(|pair| pair.split_once('=')) {
            properties.set(key.trim(), value);
        }
    }
    properties
}

/// Whether a broker is one of those asked for. Without a setting it has both roles and node id 1.
fn is_meant(properties: &Properties, role: Option<&str>, node_id: Option<i32>) -> bool {
    let roles = properties.get("process.roles").unwrap_or("broker,controller");
    let id = properties.get("node.id").or(properties.get("broker.id")).unwrap_or("1");
    role.is_none_or(|role| roles.split(',').any(|has| has.trim() == role))
        && node_id.is_none_or(|wanted| id.trim().parse() == Ok(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn only_start_lines_are_brokers() {
        assert!(start_args(&words("/usr/bin/kalda start")).is_some());
        assert!(start_args(&words("bin/kafka-server-start.sh server.properties")).is_some());
        assert!(start_args(&words("kalda stop")).is_none());
        assert!(start_args(&words("kalda start --nodes 3")).is_none());
        assert!(start_args(&words("grep kalda start")).is_none());
        assert!(start_args(&words("kalda")).is_none());
    }

    #[test]
    fn role_and_id_come_from_file_and_overrides() {
        let dir = std::env::temp_dir().join(format!("kalda-stop-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("s.properties"), "node.id=3\nprocess.roles=broker\n").unwrap();
        let args = words("-daemon s.properties --override node.id=4");
        let properties = settings(&args, &dir);
        fs::remove_dir_all(&dir).unwrap();
        assert!(is_meant(&properties, Some("broker"), Some(4)));
        assert!(!is_meant(&properties, Some("controller"), None));
        assert!(!is_meant(&properties, None, Some(3)));
        assert!(is_meant(&Properties::default(), Some("controller"), Some(1)));
    }
}
