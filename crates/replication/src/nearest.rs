//! From which replica a consumer should read (KIP-392): the leader's word, by racks
//! (`RackAwareReplicaSelector`).

use kalda_model::{BrokerId, Offset};

use crate::partition::{Partition, Role};

/// A consumer that may read from a follower.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Where it says to be (`client.rack`).
    pub rack: &'a str,
    /// From where on it reads.
    pub offset: Offset,
}

impl Partition {
    /// The follower in the reader's rack that it should ask instead: in sync, and with the record that it asks
    /// for (KAFKA-14372); of several the one that has most. `None` if it is right here.
    #[must_use]
    pub fn nearest<'r>(
        &self,
        reader: &Reader<'_>,
        rack_of: impl Fn(BrokerId) -> Option<&'r str>,
    ) -> Option<BrokerId> {
        let Role::Leader(leading) = &self.role else { return None };
        if reader.rack.is_empty() || rack_of(self.local) == Some(reader.rack) {
            return None;
        }
        let fits = leading.remotes.iter().filter(|remote| {
            self.isr.committed().contains(&remote.id)
                && remote.end.is_some_and(|end| reader.offset <= end)
                && remote.log_start.is_some_and(|start| start <= reader.offset)
                && rack_of(remote.id) == Some(reader.rack)
        });
        fits.max_by_key(|remote| remote.end).map(|remote| remote.id)
    }
}
