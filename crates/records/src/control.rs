//! Control records: what brokers and controllers write between the users' records.
//!
//! The key is `version i16, type i16`; the value is a small versioned message. Markers are read and
//! written here because storage must know them; the quorum's own (leader change, snapshot header and
//! footer, voters, KRaft version) are decoded by raft, here only named.

/// What a control record is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlType {
    /// The end of an aborted transaction.
    Abort,
    /// The end of a committed transaction.
    Commit,
    /// A leader of the quorum took office.
    LeaderChange,
    /// The first record of a metadata snapshot.
    SnapshotHeader,
    /// The last record of a metadata snapshot.
    SnapshotFooter,
    /// The level of the quorum's protocol (KIP-853).
    KRaftVersion,
    /// The voters of the quorum (KIP-853).
    KRaftVoters,
    /// A type that a newer version writes.
    Unknown(i16),
}

impl ControlType {
    /// Its number on disk.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// The type that the key of a control record names; `None` when the key is too short or its
    /// version is negative.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (version, id) = (key.get(..2)?, key.get(2..4)?);
        if i16::from_be_bytes([version[0], version[1]]) < 0 {
            return None;
        }
        Some(match i16::from_be_bytes([id[0], id[1]]) {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            id => Self::Unknown(id),
        })
    }

    /// The key that says it.
    #[must_use]
    pub fn to_key(self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }
}

/// The end of a transaction in one partition (`EndTxnMarker`, version 0).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTxnMarker {
    /// Commit or abort.
    pub committed: bool,
    /// The epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads key and value of a control record; `None` when it is not a marker.
    #[must_use]
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let committed = match ControlType::from_key(key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            _ => return None,
        };
        let version = i16::from_be_bytes(value.get(..2)?.try_into().ok()?);
        let epoch = i32::from_be_bytes(value.get(2..6)?.try_into().ok()?);
        (version >= 0).then_some(Self { committed, coordinator_epoch: epoch })
    }

    /// Its key.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        if self.committed { ControlType::Commit } else { ControlType::Abort }.to_key()
    }

    /// Its value.
    #[must_use]
    pub fn value(self) -> [u8; 6] {
        let mut value = [0; 6];
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_round_trip_and_strangers_are_named() {
        for committed in [true, false] {
            let marker = EndTxnMarker { committed, coordinator_epoch: 7 };
            assert_eq!(EndTxnMarker::parse(&marker.key(), &marker.value()), Some(marker));
        }
        assert_eq!(ControlType::from_key(&[0, 0, 0, 9]), Some(ControlType::Unknown(9)));
        assert_eq!(ControlType::from_key(&[0, 0, 0]), None);
        assert_eq!(EndTxnMarker::parse(&[0, 0, 0, 2], &[0; 6]), None);
        assert_eq!(EndTxnMarker::parse(&[0, 0, 0, 1], &[0; 5]), None);
    }
}
