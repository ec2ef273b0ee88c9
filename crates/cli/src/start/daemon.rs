//! `-daemon`: the broker goes on in a process of its own, and the one that was called ends when it
//! serves, or says why it does not.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{DAEMON_LOG, StartArgs, load};
use crate::logging;

/// What the background process writes to the pipe when it serves.
pub(super) const READY: &str = "serving";

/// Starts the same line again in the background, and waits until it serves.
pub(super) fn spawn(args: &StartArgs) -> Result<(), String> {
    let (config, _) = load(args)?;
    let log = log_file(&config.log_dirs[0])?;
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let mut command = Command::new(program);
    command.arg("start").args(&args.file);
    for (key, value) in &args.overrides {
        command.arg("--override").arg(format!("{key}={value}"));
    }
    command.env(DAEMON_LOG, &log).stdin(Stdio::null()).stdout(Stdio::piped());
    let errors = OpenOptions::new().append(true).create(true).open(&log);
    command
        .stderr(errors.map_err(|error| format!("{} cannot be written: {error}", log.display()))?);
    let mut child = command.spawn().map_err(|error| format!("cannot start a process: {error}"))?;
    let pipe = child.stdout.take().ok_or("the background process has no output")?;
    let said = BufReader::new(pipe).lines().next();
    if matches!(said, Some(Ok(line)) if line == READY) {
        println!(
            "kalda runs in the background as process {}, logging to {}",
            child.id(),
            log.display()
        );
        return Ok(());
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let last = text.lines().last().unwrap_or("it said nothing").trim_start_matches("kalda: ");
    Err(format!("the background process ended ({status}): {last}"))
}

/// In the background process: leaves the caller's session and logs to the file. Answers whether
/// this is one; logs go to the standard output otherwise.
pub(super) fn detach() -> Result<bool, String> {
    let Some(path) = std::env::var_os(DAEMON_LOG).map(PathBuf::from) else {
        logging::of_broker(std::io::stdout);
        return Ok(false);
    };
    if std::env::var_os(super::nodes::WITH_PARENT).is_some() {
        let told = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
        told.map_err(|error| format!("cannot be tied to its parent: {error}"))?;
    }
    // It fails only for a process that leads a session already, which is what is wanted.
    let _session = rustix::process::setsid();
    let log = OpenOptions::new().append(true).create(true).open(&path);
    let log = log.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    logging::of_broker(std::sync::Mutex::new(log));
    Ok(true)
}

/// Lets the process that was called end.
pub(super) fn report_ready() {
    // The caller may be gone; the broker serves all the same.
    let _ = writeln!(std::io::stdout(), "{READY}");
}

fn log_file(dir: &Path) -> Result<PathBuf, String> {
    let made = std::fs::create_dir_all(dir);
    made.map_err(|error| format!("log directory {} cannot be made: {error}", dir.display()))?;
    Ok(dir.join("kalda.log"))
}
