//! The one binary: broker, controller and every tool.
//!
//! It is `kalda <tool> …`, and each tool itself when called through a link with a tool's name, as
//! `kafka-topics` or `kafka-topics.sh`. Nothing is decided here but who runs and with which code
//! the process ends.

mod broker_api_versions;
mod cluster;
mod configs;
mod connect;
mod console_consumer;
mod console_producer;
mod delete_records;
mod dump_log;
mod failure;
mod get_offsets;
mod links;
mod log_dirs;
mod logging;
mod options;
mod output;
mod start;
mod stop;
mod storage;
mod tool;
mod topic_filter;
mod topics;

use std::process::ExitCode;

use tool::{Call, Tool};

fn main() -> ExitCode {
    let mut args: Vec<String> =
        std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let program = if args.is_empty() { String::new() } else { args.remove(0) };
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(tool) = Tool::by_link(&program) {
        return run(tool, program, args);
    }
    let Some(name) = (!args.is_empty()).then(|| args.remove(0)) else {
        eprint!("{}", tool::overview());
        return ExitCode::FAILURE;
    };
    match name.as_str() {
        "help" | "--help" | "-h" => {
            print!("{}", tool::overview());
            ExitCode::SUCCESS
        }
        "--version" | "-V" | "version" => {
            println!("kalda {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => match Tool::by_name(&name) {
            Some(tool) => run(tool, format!("{program} {name}"), args),
            None => {
                eprintln!("{}", tool::unknown(&name));
                ExitCode::FAILURE
            }
        },
    }
}

fn run(tool: Tool, name: String, args: Vec<String>) -> ExitCode {
    // The broker sets up its own logging, and its start line is its own grammar.
    if tool == Tool::Start {
        let mut line = vec![name];
        line.extend(args);
        return start::run(&line);
    }
    logging::to_stderr();
    let is_strict = args.iter().any(|arg| arg == "--strict-exit");
    let args = args.into_iter().filter(|arg| arg != "--strict-exit").collect();
    match tool.run(&Call { name, args }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(is_strict),
    }
}
