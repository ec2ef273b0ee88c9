//! The log of one replica, and what of it a power cut leaves.

use kalda_model::{LeaderEpoch, Offset};
use kalda_storage::EpochCache;

use crate::chance::Chance;
use crate::controller::at;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) value: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) log: Vec<Record>,
    pub(crate) epochs: EpochCache,
    /// Everything below is durable.
    pub(crate) flushed: usize,
    /// What was durable when it was flushed last.
    pub(crate) durable: Vec<Record>,
    /// The log was cut since.
    pub(crate) is_cut: bool,
    /// Grows with every cut.
    pub(crate) generation: u64,
    pub(crate) high_watermark: Offset,
}

impl Disk {
    pub(crate) fn end(&self) -> Offset {
        Offset(i64::try_from(self.log.len()).unwrap())
    }

    pub(crate) fn append(&mut self, record: Record) {
        let end = self.end();
        self.epochs.assign(record.epoch, end);
        self.log.push(record);
    }

    pub(crate) fn truncate(&mut self, to: Offset) {
        self.log.truncate(at(to));
        self.epochs.truncate_from_end(self.end());
        self.flushed = self.flushed.min(self.log.len());
        self.is_cut = true;
        self.generation += 1;
    }

    /// A flush that was begun when the log was that long, under that generation, is done.
    pub(crate) fn on_flushed(&mut self, upto: usize, generation: u64) {
        if generation == self.generation {
            self.flushed = self.flushed.max(upto);
            self.durable = self.log[..self.flushed].to_vec();
            self.is_cut = false;
        }
    }

    /// What was not flushed is lost, or a part of it; a cut may be undone. Answers whether that was so.
    pub(crate) fn power_cut(&mut self, chance: &mut Chance) -> bool {
        let is_undone = self.is_cut && chance.percent(50);
        if is_undone {
            self.log = self.durable.clone();
        } else {
            let lost = chance.index(self.log.len() - self.flushed + 1);
            self.log.truncate(self.log.len() - lost);
        }
        self.recover();
        is_undone
    }

    /// What a start finds is made durable before it is used.
    pub(crate) fn recover(&mut self) {
        self.epochs = EpochCache::default();
        for (index, record) in self.log.iter().enumerate() {
            self.epochs.assign(record.epoch, Offset(i64::try_from(index).unwrap()));
        }
        self.flushed = self.log.len();
        self.durable = self.log.clone();
        self.is_cut = false;
        self.generation += 1;
        self.high_watermark = self.high_watermark.min(self.end());
    }
}
