//! Records in, images out: holds back the records of an open metadata transaction (KIP-868).

use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::delta::{Changes, Delta, ReplayError};
use crate::image::Image;

/// Follows the metadata log.
#[derive(Clone, Debug, Default)]
pub struct MetadataLoader {
    image: Image,
    /// The transaction that has begun and not ended.
    open: Option<Transaction>,
}

#[derive(Clone, Debug)]
struct Transaction {
    /// What to go back to if it aborts.
    before: Delta,
    /// Everything replayed so far.
    delta: Delta,
}

impl MetadataLoader {
    /// A loader that goes on from `image`.
    #[must_use]
    pub fn new(image: Image) -> Self {
        Self { image, open: None }
    }

    /// The newest published image.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether a metadata transaction has begun and not ended.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Replays one committed batch whose last record ends at `end_offset`. `None` while a
    /// transaction is open: nothing is published before its end, and nothing of it if it aborts.
    ///
    /// # Errors
    /// A record contradicts the image. The loader is of no use after that.
    pub fn replay(
        &mut self,
        records: &[MetadataRecord],
        end_offset: Offset,
        epoch: LeaderEpoch,
    ) -> Result<Option<Changes>, ReplayError> {
        let (mut before, mut delta) = match self.open.take() {
            Some(Transaction { before, delta }) => (Some(before), delta),
            None if records.iter().any(is_begin) => (None, Delta::new(&self.image)),
            // Nothing can make this image be needed again: it is changed in place.
            None => (None, Delta::from(std::mem::take(&mut self.image))),
        };
        for record in records {
            match record {
                MetadataRecord::BeginTransaction(_) => {
                    if before.replace(delta.clone()).is_some() {
                        return Err(ReplayError::Transaction("began inside another"));
                    }
                }
                MetadataRecord::EndTransaction(_) => {
                    before.take().ok_or(ReplayError::Transaction("ended that had not begun"))?;
                }
                MetadataRecord::AbortTransaction(_) => {
                    let saved = before.take();
                    delta = saved.ok_or(ReplayError::Transaction("aborted that had not begun"))?;
                }
                record => delta.replay(record)?,
            }
        }
        if let Some(before) = before {
            self.open = Some(Transaction { before, delta });
            return Ok(None);
        }
        let (image, changes) = delta.finish(end_offset, epoch);
        self.image = image;
        Ok(Some(changes))
    }
}

fn is_begin(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::BeginTransaction(_))
}

#[cfg(test)]
mod tests {
    use kalda_model::TopicId;
    use kalda_protocol::stored::metadata::{
        AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, TopicRecord,
    };

    use super::*;

    fn topic(name: &str, id: u128) -> MetadataRecord {
        let topic_id = TopicId::from_bytes(id.to_be_bytes());
        MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id })
    }

    #[test]
    fn a_transaction_is_published_at_its_end_and_an_aborted_one_never() {
        let begin = MetadataRecord::BeginTransaction(BeginTransactionRecord::default());
        let end = MetadataRecord::EndTransaction(EndTransactionRecord::default());
        let abort = MetadataRecord::AbortTransaction(AbortTransactionRecord::default());
        let mut loader = MetadataLoader::default();
        let mut replay = |records: &[MetadataRecord], end_offset: i64| {
            let changes = loader.replay(records, Offset(end_offset), LeaderEpoch(1)).unwrap();
            (changes.is_some(), loader.image().topics.len())
        };
        assert_eq!(replay(&[topic("a", 101), begin.clone(), topic("b", 102)], 3), (false, 0));
        assert_eq!(replay(&[abort], 4), (true, 1));
        assert_eq!(replay(&[begin, topic("c", 103)], 6), (false, 1));
        assert_eq!(replay(&[end], 7), (true, 2));
    }
}
