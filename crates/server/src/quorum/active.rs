//! What this node has as the active controller: the state that it decides on, ahead of what is
//! committed, and those who wait for the commit.

use std::collections::VecDeque;

use kalda_controller::{BrokerSessions, bootstrap_records};
use kalda_metadata::{Changes, Image, MetadataLoader};
use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::stored::metadata::MetadataRecord;

use super::handle::{Answer, Unavailable};
use crate::broker::Broker;
use crate::directory::DataDirectory;

/// What a new cluster's log begins with: what its directories were formatted with, else what is the
/// default of this binary.
pub(super) fn first_records(broker: &Broker, directory: &DataDirectory) -> Vec<MetadataRecord> {
    let found = kalda_raft::read_bootstrap(&*broker.disk, directory.path());
    let records = found.unwrap_or_else(|error| {
        tracing::error!("{error}; a new cluster begins with the default features");
        None
    });
    let records = records.filter(|records| !records.is_empty());
    records.unwrap_or_else(bootstrap_records)
}

/// The controller while this node leads.
pub(super) struct Active {
    pub(super) epoch: LeaderEpoch,
    /// With every decision in it, committed or not.
    pub(super) loader: MetadataLoader,
    pub(super) sessions: BrokerSessions,
    pending: VecDeque<Pending>,
    /// When preferred leaders are looked at next.
    pub(super) balance_at: i64,
    /// When partitions without a leader are looked at next.
    pub(super) unclean_at: i64,
    /// When a record is written so that brokers see how far behind they are.
    pub(super) noop_at: i64,
}

/// One decision that is not committed.
struct Pending {
    /// It holds once the high watermark is here.
    end: Offset,
    /// The state after it.
    loader: MetadataLoader,
    changes: Changes,
    answers: Vec<Answer>,
}

/// Decisions that hold.
pub(super) struct Committed {
    pub(super) loader: MetadataLoader,
    pub(super) end: Offset,
    pub(super) changes: Changes,
    pub(super) answers: Vec<(Offset, Answer)>,
}

impl Active {
    pub(super) fn new(
        epoch: LeaderEpoch,
        loader: MetadataLoader,
        sessions: BrokerSessions,
    ) -> Self {
        let pending = VecDeque::new();
        Self { epoch, loader, sessions, pending, balance_at: 0, unclean_at: 0, noop_at: 0 }
    }

    pub(super) fn image(&self) -> &Image {
        self.loader.image()
    }

    /// A decision was appended and replayed.
    pub(super) fn push(&mut self, end: Offset, changes: Changes, answer: Option<Answer>) {
        let answers = answer.into_iter().collect();
        self.pending.push_back(Pending { end, loader: self.loader.clone(), changes, answers });
    }

    /// An answer that rests on the newest state: it waits for it. Handed back if all is committed.
    pub(super) fn await_newest(&mut self, answer: Answer) -> Option<Answer> {
        match self.pending.back_mut() {
            Some(newest) => {
                newest.answers.push(answer);
                None
            }
            None => Some(answer),
        }
    }

    /// What holds now that the high watermark is at `to`.
    pub(super) fn commit(&mut self, to: Offset) -> Option<Committed> {
        let mut committed: Option<Committed> = None;
        while self.pending.front().is_some_and(|pending| pending.end <= to) {
            let Some(Pending { end, loader, changes, answers }) = self.pending.pop_front() else {
                break;
            };
            let (mut all, mut earlier) = match committed.take() {
                Some(before) => (before.changes, before.answers),
                None => (Changes::default(), Vec::new()),
            };
            all.extend(changes);
            earlier.extend(answers.into_iter().map(|answer| (end, answer)));
            committed = Some(Committed { loader, end, changes: all, answers: earlier });
        }
        committed
    }

    /// Another one leads, or nobody: whether these decisions hold is not for this node to say.
    pub(super) fn fail(self, why: &Unavailable) {
        for answer in self.pending.into_iter().flat_map(|pending| pending.answers) {
            answer(Err(why.clone()));
        }
    }
}
