//! The one binary: broker, controller and every tool.
//!
//! It is `kalda <tool> …`, and each tool itself when called through a link with a tool's name, as
//! `kafka-topics` or `kafka-topics.sh`. Nothing is decided here but who runs and with which code
//! the process ends.

mod broker;
mod broker_api_versions;
mod cluster;
mod configs;
mod connect;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod delete_records;
mod dump_log;
mod failure;
mod features;
mod get_offsets;
mod groups;
mod leader_election;
mod links;
mod log_dirs;
mod logging;
mod metadata_quorum;
mod options;
mod output;
mod reassign_partitions;
mod start;
mod stop;
mod storage;
mod table;
mod tool;
mod topic_filter;
mod topics;
mod transactions;

use std::process::ExitCode;

use failure::Outcome;
use output::complain;
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
        complain!("{}", tool::overview().trim_end());
        return ExitCode::FAILURE;
    };
    match name.as_str() {
        "help" | "--help" | "-h" => {
            finish(output::print_line(tool::overview().trim_end()).map_err(Into::into), false)
        }
        "--version" | "-V" | "version" => {
            let line = concat!("kalda ", env!("CARGO_PKG_VERSION"));
            finish(output::print_line(line).map_err(Into::into), false)
        }
        _ => match Tool::by_name(&name) {
            Some(tool) => run(tool, format!("{program} {name}"), args),
            None => {
                complain!("{}", tool::unknown(&name));
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
    finish(tool.run(&Call { name, args }), is_strict)
}

fn finish(outcome: Outcome, is_strict: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(is_strict),
    }
}
