//! `cargo xtask`: the workspace's own commands, which are no part of the product.
//!
//! Called by people, by `.ci/run` and (tidy) by `cargo test`. Nothing of the product may depend on it.

mod bench;
mod fuzz;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  tidy              checks what can drift: crate directions, headers, names, documents
  apis              writes the table of docs/apis.md
  bench [OPTION ...]
                    measures the release binary beside Apache Kafka; `bench --help` tells how
  fuzz [--minutes N] [TARGET ...]
                    runs the fuzz targets, ten minutes each";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = workspace::root();
    let (command, options) = match arguments.split_first() {
        Some((command, options)) => (command.as_str(), options),
        None => ("", &[][..]),
    };
    let outcome = match (command, options) {
        ("tidy", []) => tidy::run(&root),
        ("apis", []) => tidy::write_apis(&root),
        ("bench", options) => bench::run(&root, options),
        ("fuzz", options) => fuzz::run(&root, options),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
