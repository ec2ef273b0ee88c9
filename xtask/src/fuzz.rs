//! `cargo xtask fuzz`: runs every target of `fuzz/` for some minutes, with a limit on what one
//! allocation may take, so that memory given on a stranger's word is a finding.
//!
//! Called by hand and before a release. Needs a nightly compiler and cargo-fuzz.

use std::path::Path;
use std::process::Command;

const MINUTES: u64 = 10;
/// More than the window of 128 MiB that a Zstandard frame of twenty bytes may claim: levels up to 22
/// write such frames, so they cannot be refused.
const ALLOCATION_MB_MAX: u32 = 192;
const RESIDENT_MB_MAX: u32 = 2048;
const INPUT_BYTES_MAX: u32 = 65_536;

/// `cargo xtask fuzz [--minutes N] [TARGET …]`.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), String> {
    let (minutes, named) = match options {
        [flag, minutes, named @ ..] if flag == "--minutes" => {
            let parsed = minutes.parse().ok().filter(|minutes: &u64| *minutes > 0);
            (parsed.ok_or(format!("--minutes takes a number above 0, not {minutes}"))?, named)
        }
        named => (MINUTES, named),
    };
    let known = targets(root)?;
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        return Err(format!("{unknown}: no such target; there are {}", known.join(", ")));
    }
    let chosen = if named.is_empty() { &known[..] } else { named };
    // Each is built before any runs, so that a target that does not compile costs no minutes.
    for target in chosen {
        cargo_fuzz(root, &["build", target])?;
    }
    let mut findings = Vec::new();
    for target in chosen {
        println!("== {target}: {minutes} minutes");
        if let Err(problem) = cargo_fuzz(root, &arguments(target, minutes)) {
            findings.push(format!("{target}: {problem}"));
        }
    }
    if findings.is_empty() {
        println!("fuzz: {} targets, {minutes} minutes each, no finding", chosen.len());
        return Ok(());
    }
    Err(format!("{}\nthe inputs are in fuzz/artifacts/", findings.join("\n")))
}

fn arguments(target: &str, minutes: u64) -> Vec<String> {
    vec![
        "run".to_owned(),
        target.to_owned(),
        "--".to_owned(),
        format!("-max_total_time={}", minutes * 60),
        format!("-malloc_limit_mb={ALLOCATION_MB_MAX}"),
        format!("-rss_limit_mb={RESIDENT_MB_MAX}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        "-timeout=10".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]
}

/// The targets that the manifest names.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let path = root.join("fuzz/Cargo.toml");
    let manifest = std::fs::read_to_string(&path);
    let manifest = manifest.map_err(|error| format!("{}: {error}", path.display()))?;
    let bins = manifest.split("[[bin]]").skip(1);
    let name = |bin: &str| bin.split('"').nth(1).map(str::to_owned);
    Ok(bins.filter_map(name).collect())
}

fn cargo_fuzz<S: AsRef<std::ffi::OsStr>>(root: &Path, arguments: &[S]) -> Result<(), String> {
    // The cargo that runs this set variables that would bind the child to its own toolchain.
    let status = Command::new("cargo")
        .args(["+nightly", "fuzz"])
        .args(arguments)
        .current_dir(root)
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("cargo +nightly fuzz ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_target_has_its_file() {
        let root = crate::workspace::root();
        let targets = super::targets(&root).expect("the manifest can be read");
        assert!(targets.len() >= 5, "{targets:?}");
        for target in targets {
            assert!(root.join(format!("fuzz/fuzz_targets/{target}.rs")).exists(), "{target}");
        }
    }
}
