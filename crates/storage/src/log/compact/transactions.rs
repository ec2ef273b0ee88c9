//! Which batches belong to aborted transactions, and which markers nobody needs any more
//! (`CleanedTransactionMetadata`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kalda_records::{BatchView, ControlType};

use crate::index::AbortedTxn;

/// What is known of the transactions while batches pass in the order of the log.
#[derive(Debug)]
pub(super) struct Transactions {
    /// Those that have not begun yet, by first offset.
    ahead: VecDeque<AbortedTxn>,
    /// Aborted ones that have begun, by producer.
    aborted: BTreeMap<i64, Aborted>,
    /// Producers of which a batch passed that was committed.
    committed: BTreeSet<i64>,
}

#[derive(Debug)]
struct Aborted {
    txn: AbortedTxn,
    /// Whether a batch of it is still in the log.
    has_batch: bool,
}

/// What is to become of a control batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Marker {
    /// It ends a transaction of which batches were still there. Of an aborted one the transaction
    /// index must go on telling.
    Needed(Option<AbortedTxn>),
    /// Nothing is left of its transaction.
    Unneeded,
}

impl Transactions {
    pub(super) fn new(aborted: &[AbortedTxn]) -> Self {
        Self {
            ahead: aborted.iter().copied().collect(),
            aborted: BTreeMap::new(),
            committed: BTreeSet::new(),
        }
    }

    /// A batch of records passes. Answers whether it belongs to an aborted transaction.
    pub(super) fn on_batch(&mut self, view: &BatchView<'_>) -> bool {
        self.begin_upto(view.last_offset().0);
        if !view.is_transactional() {
            return false;
        }
        let id = view.producer_id().0;
        match self.aborted.get_mut(&id) {
            Some(aborted) => {
                aborted.has_batch = true;
                true
            }
            None => {
                self.committed.insert(id);
                false
            }
        }
    }

    /// A control batch passes.
    pub(super) fn on_control(&mut self, view: &BatchView<'_>) -> Marker {
        self.begin_upto(view.last_offset().0);
        if view.count() == 0 {
            return Marker::Unneeded;
        }
        let record = view.records().next().and_then(Result::ok);
        let key = record.and_then(|record| record.key);
        let id = view.producer_id().0;
        match key.and_then(ControlType::from_key) {
            Some(ControlType::Abort) => match self.aborted.remove(&id) {
                Some(aborted) if aborted.has_batch => Marker::Needed(Some(aborted.txn)),
                _ => Marker::Unneeded,
            },
            Some(ControlType::Commit) if !self.committed.remove(&id) => Marker::Unneeded,
            _ => Marker::Needed(None),
        }
    }

    fn begin_upto(&mut self, offset: i64) {
        while let Some(txn) = self.ahead.front()
            && txn.first_offset.0 <= offset
        {
            let txn = *txn;
            self.ahead.pop_front();
            let begun = Aborted { txn, has_batch: false };
            self.aborted.entry(txn.producer_id.0).or_insert(begun);
        }
    }
}
