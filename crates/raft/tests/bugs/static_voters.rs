//! `kraft.version` from 0 to 1.

use kalda_model::{BrokerId, Offset};
use kalda_raft::quorum::{QuorumSettings, Refusal, Request, UpgradeRefused, Voter, VoterEndpoint};

use super::one::{One, key, static_voters};
use crate::{fetch, high_watermarks};

#[test]
fn static_voters_become_a_record_once_all_have_told_of_themselves() {
    let endpoint = VoterEndpoint { listener: "C".to_owned(), host: "h".to_owned(), port: 9093 };
    let settings =
        QuorumSettings { endpoints: vec![endpoint.clone()], ..QuorumSettings::default() };
    let mut one = One::with_settings(1, static_voters(3), settings);
    assert_eq!(one.upgrade(1).unwrap_err(), UpgradeRefused::NotLeader);
    one.elect();
    one.flush();
    let epoch = one.quorum.epoch();
    let tell = |one: &mut One, id: i32, kraft_versions: (i16, i16)| {
        let voter = Voter { key: key(id), endpoints: vec![endpoint.clone()], kraft_versions };
        let effects = one.request(Request::UpdateVoter { epoch, voter });
        one.answers(&effects)[0].refusal
    };
    assert_eq!(tell(&mut one, 2, (0, 1)), None);
    assert_eq!(tell(&mut one, 3, (0, 0)), None, "it follows, but cannot follow there");
    assert_eq!(tell(&mut one, 4, (0, 1)), Some(Refusal::VoterNotFound));
    assert_eq!(tell(&mut one, 2, (1, 1)), Some(Refusal::InvalidRequest));
    let missing = vec![BrokerId(3)];
    assert_eq!(one.upgrade(1).unwrap_err(), UpgradeRefused::NotSupported { to: 1, missing });
    assert_eq!(tell(&mut one, 3, (0, 1)), None);
    assert_eq!(one.upgrade(1).unwrap_err(), UpgradeRefused::Changing(1), "nothing is committed");
    one.request(fetch(2, epoch.0, one.quorum.log().end()));
    let end = one.upgrade(1).unwrap();
    assert_eq!(one.quorum.log().kraft_version(), 1);
    let keys: Vec<_> = one.quorum.log().voters().iter().map(|voter| voter.key).collect();
    assert_eq!(keys, [key(1), key(2), key(3)], "by their directories from here on");
    assert_eq!(one.quorum.log().kraft_version_at(Offset(1)), 0, "a snapshot of before says so");
    one.flush();
    let effects = one.request(fetch(2, epoch.0, one.quorum.log().end()));
    assert_eq!(high_watermarks(&effects), [end.0]);
    assert_eq!(one.upgrade(1), Ok(end), "there is nothing to do");
    assert_eq!(one.upgrade(0).unwrap_err(), UpgradeRefused::Downgrade { from: 1, to: 0 });
    let one = one.restart();
    assert_eq!(one.quorum.log().kraft_version(), 1);
}
