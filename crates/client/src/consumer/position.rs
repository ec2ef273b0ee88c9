//! Where a partition is being read. Kept by the consumer.

use kalda_model::LeaderEpoch;

use crate::offsets::OffsetSpec;

/// The next offset to be returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Position {
    /// It has to be asked for first.
    Unknown(OffsetSpec),
    /// It is this one.
    At(i64),
}

impl Position {
    /// The offset, if it is known.
    pub(super) fn offset(self) -> Option<i64> {
        match self {
            Self::At(offset) => Some(offset),
            Self::Unknown(_) => None,
        }
    }

    /// What has to be asked, if anything.
    pub(super) fn spec(self) -> Option<OffsetSpec> {
        match self {
            Self::Unknown(spec) => Some(spec),
            Self::At(_) => None,
        }
    }
}

/// What the consumer knows of a partition that it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assigned {
    pub(super) position: Position,
    /// The epoch of the record before the position, if whoever committed it knew.
    pub(super) epoch: Option<LeaderEpoch>,
    /// As the last fetch told it.
    pub(super) high_watermark: Option<i64>,
}

impl Assigned {
    pub(super) fn new(position: Position) -> Self {
        Self { position, epoch: None, high_watermark: None }
    }

    /// Whether the position comes from a later reign than that of a leader who lacks it: who was replaced,
    /// and does not know it yet, may end before it (KIP-320).
    pub(super) fn is_later_than(&self, leader: LeaderEpoch) -> bool {
        leader != LeaderEpoch::UNKNOWN && self.epoch.is_some_and(|epoch| epoch > leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_a_later_reign_is_no_business_of_an_earlier_leader() {
        let mut assigned = Assigned::new(Position::At(295));
        assert!(!assigned.is_later_than(LeaderEpoch(3)), "nobody knows");
        assigned.epoch = Some(LeaderEpoch(4));
        assert!(assigned.is_later_than(LeaderEpoch(3)));
        assert!(!assigned.is_later_than(LeaderEpoch(4)));
        assert!(!assigned.is_later_than(LeaderEpoch::UNKNOWN), "a broker without epochs");
    }
}
