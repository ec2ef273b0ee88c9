//! Identities of nodes and producers, and the epochs that fence their former lives.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A node of the cluster (`node.id`). Non-negative for a real node; -1 means "nobody".
    BrokerId(i32)
}
number! {
    /// One registration of a broker: the offset of its registration record in the metadata log.
    BrokerEpoch(i64)
}
number! {
    /// An idempotent or transactional producer. -1 means "not idempotent".
    ProducerId(i64)
}
number! {
    /// The incarnation of a [`ProducerId`]; a higher one fences the lower. -1 means "none".
    ProducerEpoch(i16)
}

impl BrokerId {
    /// "No broker": the leader of a partition that has none.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// The value that a batch carries when its producer is not idempotent.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// The value that a batch carries when its producer is not idempotent.
    pub const NONE: Self = Self(-1);
}
