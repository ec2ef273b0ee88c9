//! What always holds for one replica, asserted after every event, in release builds too.

use super::Quorum;
use super::role::Role;

impl Quorum {
    pub(super) fn check(&self) {
        let log = &self.log;
        assert!(self.high_watermark <= log.end_offset(), "what is committed is in the log");
        assert!(self.high_watermark >= log.start_offset(), "snapshots hold what is committed");
        assert!(log.flushed_offset() <= log.end_offset(), "nothing is flushed before it is there");
        assert!(log.end().epoch <= self.election.epoch, "records are of epochs that are known");
        let (leader, own) = (self.election.leader, self.local.id);
        match &self.role {
            Role::Unattached { .. } => {}
            Role::Prospective(_) => assert!(leader != Some(own), "a leader resigns first"),
            Role::Candidate(_) => {
                let voted = self.election.voted.map(|(id, _)| id);
                assert!(leader.is_none() && voted == Some(own), "a candidate votes for itself");
            }
            Role::Follower(following) => {
                assert!(leader == Some(following.leader) && leader != Some(own), "no other leader");
            }
            Role::Leader(leading) => {
                assert_eq!(leader, Some(own), "it leads its epoch");
                assert!(leading.epoch_start < log.end_offset(), "an epoch begins with a record");
            }
            Role::Resigned { .. } => assert_eq!(leader, Some(own), "it led its epoch"),
        }
    }
}
