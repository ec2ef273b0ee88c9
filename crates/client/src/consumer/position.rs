//! Where a partition is being read. Kept by the consumer.

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
    /// As the last fetch told it.
    pub(super) high_watermark: Option<i64>,
}

impl Assigned {
    pub(super) fn new(position: Position) -> Self {
        Self { position, high_watermark: None }
    }
}
