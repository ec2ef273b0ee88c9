//! The first voters of a quorum that can change: `id@host:port:directory-id,…`. Pure.

use kalda_model::{BrokerId, Uuid};
use kalda_raft::quorum::{ReplicaKey, Voter, VoterEndpoint, VoterSet};

/// The lowest and the highest `kraft.version` that this binary supports.
const KRAFT_VERSIONS: (i16, i16) = (0, 1);

/// A voter on that listener.
pub(super) fn voter(key: ReplicaKey, endpoint: VoterEndpoint) -> Voter {
    Voter { key, endpoints: vec![endpoint], kraft_versions: KRAFT_VERSIONS }
}

/// Reads the value of `--initial-controllers`; all voters have their address on `listener`.
pub(super) fn parse_voters(text: &str, listener: &str) -> Result<VoterSet, String> {
    let mut voters: Vec<Voter> = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let one = parse_voter(entry, listener)?;
        if voters.iter().any(|other| other.key.id == one.key.id) {
            let id = one.key.id;
            return Err(format!("--initial-controllers: node {id} is named twice"));
        }
        if voters.iter().any(|other| other.key.directory == one.key.directory) {
            return Err(format!(
                "--initial-controllers: the directory id of `{entry}` is named twice"
            ));
        }
        voters.push(one);
    }
    if voters.is_empty() {
        return Err("--initial-controllers: name at least one controller".to_owned());
    }
    Ok(VoterSet::new(voters))
}

fn parse_voter(entry: &str, listener: &str) -> Result<Voter, String> {
    let parts = entry.split_once('@').and_then(|(id, rest)| {
        let (address, directory) = rest.rsplit_once(':')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None => host,
        };
        let id = BrokerId(id.trim().parse().ok().filter(|id| *id >= 0)?);
        let endpoint = VoterEndpoint {
            listener: listener.to_owned(),
            host: Some(host).filter(|host| !host.is_empty())?.to_owned(),
            port: port.parse().ok()?,
        };
        let directory: Uuid = directory.parse().ok()?;
        Some(voter(ReplicaKey { id, directory: Some(directory) }, endpoint))
    });
    parts.ok_or_else(|| {
        format!("--initial-controllers: `{entry}` is not of the form ID@HOST:PORT:DIRECTORY-ID")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "JEXY6aqzQY-32P5TStzaFg";
    const B: &str = "MvDxzVmcRsaTz33bUuRU6A";

    #[test]
    fn voters_are_read() {
        let voters = parse_voters(&format!("1@a:9093:{A},2@[::1]:9094:{B}"), "CONTROLLER").unwrap();
        let second = voters.voter(BrokerId(2)).unwrap();
        assert_eq!(second.key.directory.unwrap().to_string(), B);
        let endpoint = &second.endpoints[0];
        let shown = (&*endpoint.listener, &*endpoint.host, endpoint.port);
        assert_eq!(shown, ("CONTROLLER", "::1", 9094));
        assert_eq!(voters.len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| parse_voters(text, "C").unwrap_err();
        assert!(error("1@a:9093").contains("`1@a:9093` is not of the form"));
        assert!(error(&format!("1@a:b:{A}")).contains("is not of the form"));
        assert!(error(&format!("1@:9093:{A}")).contains("is not of the form"));
        assert!(error(&format!("1@a:1:{A},1@b:1:{B}")).contains("node 1 is named twice"));
        assert!(error(&format!("1@a:1:{A},2@b:1:{A}")).contains("directory id"));
        assert!(error(" ").contains("at least one"));
    }
}
