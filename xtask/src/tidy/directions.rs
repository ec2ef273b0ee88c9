//! Crates depend downwards only: the order of `docs/decisions/0001-workspace-and-directions.md`.

use crate::workspace::Package;

/// The floors of the house, from the ground up. A crate may use those of lower floors.
const FLOORS: &[&[&str]] = &[
    &["kalda-model", "kalda-env", "kalda-protocol-derive"],
    &["kalda-records", "kalda-protocol"],
    &["kalda-storage", "kalda-raft", "kalda-metadata", "kalda-security"],
    &["kalda-replication", "kalda-controller", "kalda-coordinator"],
    &["kalda-server"],
    &["kalda"],
];

/// The last floor of the core, which takes time, chance and disk from outside and knows no runtime.
const CORE: usize = 3;

/// Steps sideways, each with its reason.
const SIDEWAYS: &[(&str, &str)] = &[
    // The metadata log is a partition's log: segments, epochs and recovery are written once.
    ("kalda-raft", "kalda-storage"),
    // Brokers ask each other as clients do: one connection, written once.
    ("kalda-server", "kalda-client"),
    // Who listens and connects is taken from outside, as time and the disk are; it knows tokio, and so has no floor.
    ("kalda-server", "kalda-net"),
];

/// Crates beside the floors, with all they may use of the workspace.
const BESIDE: &[(&str, &[&str])] = &[
    ("kalda-net", &[]),
    ("kalda-client", &["kalda-model", "kalda-env", "kalda-net", "kalda-records", "kalda-protocol"]),
    ("kalda-console", &["kalda-model", "kalda-client"]),
];

/// Crates that may use everything and that nothing may use.
const OUTSIDE: &[&str] = &["kalda-sim", "kalda-bench", "xtask"];

/// Complaints about what the manifests list.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let is_known = floor(name).is_some()
        || BESIDE.iter().any(|(beside, _)| *beside == name)
        || OUTSIDE.contains(&name);
    if !is_known {
        return vec![format!("{name}: has no place in xtask/src/tidy/directions.rs")];
    }
    let mut complaints = Vec::new();
    for dependency in &package.dependencies {
        let used = dependency.name.as_str();
        if used == "tokio" && floor(name).is_some_and(|floor| floor <= CORE) {
            complaints.push(format!("{name}: a core crate does not list tokio"));
        }
        if !dependency.is_own || used == name {
            continue;
        }
        // Tests may look upwards, for whatever plays the other side.
        let is_allowed = !OUTSIDE.contains(&used) && (dependency.is_dev || may_use(name, used));
        if !is_allowed {
            complaints.push(format!("{name}: may not depend on {used}"));
        }
    }
    complaints
}

fn may_use(name: &str, used: &str) -> bool {
    if OUTSIDE.contains(&name) || SIDEWAYS.contains(&(name, used)) {
        return true;
    }
    if let Some((_, allowed)) = BESIDE.iter().find(|(beside, _)| *beside == name) {
        return allowed.contains(&used);
    }
    // The binary is where the client's tools and the server meet.
    if name == "kalda" && BESIDE.iter().any(|(beside, _)| *beside == used) {
        return true;
    }
    floor(used) < floor(name) && floor(used).is_some()
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn complaints(name: &str, used: &str, is_dev: bool) -> usize {
        let is_own = used != "tokio";
        let dependency = Dependency { name: used.to_owned(), is_own, is_dev };
        check(&[Package { name: name.to_owned(), dependencies: vec![dependency] }]).len()
    }

    #[test]
    fn downwards_is_allowed_and_upwards_is_not() {
        assert_eq!(complaints("kalda-server", "kalda-storage", false), 0);
        assert_eq!(complaints("kalda-storage", "kalda-server", false), 1);
        assert_eq!(complaints("kalda-storage", "kalda-raft", false), 1);
        assert_eq!(complaints("kalda-raft", "kalda-storage", false), 0);
    }

    #[test]
    fn the_client_knows_no_server_but_its_tests_may() {
        assert_eq!(complaints("kalda-client", "kalda-protocol", false), 0);
        assert_eq!(complaints("kalda-client", "kalda-storage", false), 1);
        assert_eq!(complaints("kalda-client", "kalda-server", true), 0);
        assert_eq!(complaints("kalda", "kalda-client", false), 0);
        assert_eq!(complaints("kalda-server", "kalda-client", false), 0);
        assert_eq!(complaints("kalda-client", "kalda-raft", false), 1);
    }

    #[test]
    fn the_core_has_no_runtime_and_nothing_uses_the_tools() {
        assert_eq!(complaints("kalda-replication", "tokio", true), 1);
        assert_eq!(complaints("kalda-client", "tokio", false), 0);
        assert_eq!(complaints("kalda-server", "xtask", true), 1);
        assert_eq!(complaints("kalda-newcomer", "kalda-model", false), 1);
    }
}
