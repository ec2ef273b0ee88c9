//! What must always hold of the records, whatever happens to the nodes.
//!
//! It hears of every record that is sent, acknowledged and read. What is neither acknowledged nor
//! refused may be there or not, but once.

use std::collections::{BTreeMap, BTreeSet};

use kalda_client::ConsumedRecord;

use crate::copies::COPIERS;
use crate::groups::Groups;
use crate::lines::LINES;
use crate::trace::Trace;

macro_rules! counts {
    (always: $($always:ident),*; often: $($often:ident),*; flips: $($flips:ident),*;) => {
        /// How often things happened.
        #[derive(Clone, Default, Debug, PartialEq, Eq)]
        pub struct Counts {
            $(#[allow(missing_docs)] pub $always: u64,)*
            $(#[allow(missing_docs)] pub $often: u64,)*
            $(#[allow(missing_docs)] pub $flips: u64,)*
        }

        impl Counts {
            /// Adds those of another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$always += other.$always;)*
                $(self.$often += other.$often;)*
                $(self.$flips += other.$flips;)*
            }

            /// What never happened, of all that comes in any [`SEEDS_FOR_MOST`] seeds and, if there were
            /// [`SEEDS_FOR_ALL`], of what is rarer.
            #[must_use]
            pub fn missing(&self, seeds: u64, flips_bits: bool) -> Vec<&'static str> {
                let always = [$((stringify!($always), self.$always)),*];
                let often = [$((stringify!($often), self.$often)),*];
                let flips = [$((stringify!($flips), self.$flips)),*];
                let of_most = always.into_iter().filter(|_| seeds >= SEEDS_FOR_MOST);
                let of_all = often.into_iter().filter(|_| seeds >= SEEDS_FOR_ALL);
                let of_flips = flips.into_iter().filter(|_| flips_bits && seeds >= SEEDS_FOR_ALL);
                let all = of_most.chain(of_all).chain(of_flips);
                all.filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
            }
        }
    };
}

/// From so many seeds on, of 30 seconds or more, most things have happened in one of them: each comes in
/// two seeds of three at the least.
pub const SEEDS_FOR_MOST: u64 = 10;
/// The same for all things. Each kind of fault was favoured three times by then, and the rarest comes in
/// a seed of four.
pub const SEEDS_FOR_ALL: u64 = 36;

counts!(
    always: acknowledged, committed, aborted, read, rereads, kills, power_cuts, partitions, holds, elections,
        reassignments, assignments, members_gone, commits, copied, copies_aborted;
    often: in_doubt, undecided, blackouts, terminations, one_way, slow_disks, broken_disks, full_disks,
        empty_disks, clock_jumps, copies_in_doubt;
    flips: flipped_bits;
);

/// Where a record is: topic, partition, offset.
type At = (String, i32, i64);

/// A value says who wrote it, and as which of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Value {
    pub(crate) writer: u64,
    pub(crate) number: u64,
}

impl Value {
    pub(crate) fn text(self) -> String {
        // Long enough for batches to go over blocks and segments.
        format!("{}:{}:{}", self.writer, self.number, "x".repeat((self.number % 700) as usize))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let value =
            Self { writer: parts.next()?.parse().ok()?, number: parts.next()?.parse().ok()? };
        (value.text() == text).then_some(value)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// What is known to be there: acknowledged there, or read.
    log: BTreeMap<At, Value>,
    places: BTreeMap<Value, At>,
    /// Acknowledged, some of it at an offset that was not told.
    acknowledged: BTreeMap<Value, (String, i32)>,
    sent: BTreeMap<Value, (String, i32)>,
    transactions: Vec<Transaction>,
    /// What no reader of committed records may ever see.
    aborted: BTreeSet<Value>,
    pub(crate) groups: Groups,
    pub(crate) counts: Counts,
    trace: Trace,
}

/// What became of a transaction, as far as its producer was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Committed,
    Aborted,
    InDoubt,
}

#[derive(Debug)]
struct Transaction {
    values: Vec<Value>,
    fate: Fate,
}

impl Oracle {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { trace, ..Self::default() }
    }

    pub(crate) fn on_sent(&mut self, topic: &str, partition: i32, value: Value) {
        let twice = self.sent.insert(value, (topic.to_owned(), partition));
        assert_eq!(twice, None, "the workload sends {value:?} twice");
    }

    pub(crate) fn on_acknowledged(&mut self, value: Value, offset: Option<i64>) {
        let (topic, partition) = self.sent[&value].clone();
        self.trace.note("ack", format!("{value:?} {topic} {partition} {offset:?}").as_bytes());
        self.counts.acknowledged += 1;
        if let Some(offset) = offset {
            self.place((topic.clone(), partition, offset), value, "acknowledged");
        }
        self.acknowledged.insert(value, (topic, partition));
    }

    pub(crate) fn on_doubt(&mut self, value: Value, why: &str) {
        self.trace.note("doubt", format!("{value:?} {why}").as_bytes());
        self.counts.in_doubt += 1;
    }

    pub(crate) fn on_read(&mut self, topic: &str, partition: i32, offset: i64, text: &[u8]) {
        self.trace.note("read", format!("{topic} {partition} {offset}").as_bytes());
        self.counts.read += 1;
        let text = String::from_utf8_lossy(text);
        let at = format!("{topic}-{partition} at {offset}");
        let value = Value::parse(&text).unwrap_or_else(|| panic!("{at}: nobody wrote {text}"));
        let sent = self.sent.get(&value);
        assert_eq!(
            sent,
            Some(&(topic.to_owned(), partition)),
            "{at}: {value:?} was not sent there"
        );
        assert!(!self.aborted.contains(&value), "{at}: {value:?} is aborted, and read");
        self.place((topic.to_owned(), partition, offset), value, "read");
    }

    /// A transaction has ended, or nobody knows.
    pub(crate) fn on_transaction(&mut self, values: Vec<Value>, fate: Fate) {
        self.trace.note("transaction", format!("{values:?} {fate:?}").as_bytes());
        match fate {
            Fate::Committed => self.counts.committed += 1,
            Fate::Aborted => {
                self.counts.aborted += 1;
                for value in &values {
                    assert!(!self.places.contains_key(value), "{value:?} was read, and is aborted");
                    self.aborted.insert(*value);
                }
            }
            Fate::InDoubt => self.counts.undecided += 1,
        }
        self.transactions.push(Transaction { values, fate });
    }

    /// A transaction that copies these lines has ended, or nobody knows.
    pub(crate) fn on_copied(&mut self, lines: &[ConsumedRecord], fate: Fate) {
        self.trace.note("copied", format!("{} {fate:?}", lines.len()).as_bytes());
        match fate {
            Fate::Committed => {
                self.counts.copied += 1;
                let offset = |line: &ConsumedRecord| (line.partition.partition, line.offset.0 + 1);
                self.groups.on_committed(COPIERS, &lines.iter().map(offset).collect());
            }
            Fate::Aborted => self.counts.copies_aborted += 1,
            Fate::InDoubt => self.counts.copies_in_doubt += 1,
        }
    }

    /// The copy of a line is read, as the `number`th of its partition: it is the copy of the line at
    /// that offset. So none is missing, and none is there twice.
    pub(crate) fn on_copy_read(&mut self, partition: i32, number: i64, text: &[u8]) {
        self.trace.note("copy", format!("{partition} {number}").as_bytes());
        self.counts.read += 1;
        let line = self.log.get(&(LINES.name.to_owned(), partition, number));
        let copy = String::from_utf8_lossy(text);
        let is_copy = line.is_some_and(|line| line.text() == copy);
        assert!(
            is_copy,
            "copy {number} of partition {partition} is of {copy}, and there is {line:?}"
        );
    }

    /// All that is committed was read: each transaction is there as a whole, or not at all.
    pub(crate) fn check_transactions(&self) {
        for Transaction { values, fate } in &self.transactions {
            let seen = values.iter().filter(|value| self.places.contains_key(value)).count();
            let is_right = match fate {
                Fate::Committed => seen == values.len(),
                Fate::Aborted => seen == 0,
                Fate::InDoubt => seen == 0 || seen == values.len(),
            };
            assert!(is_right, "{seen} of {values:?} are there, and they are {fate:?}");
        }
    }

    /// One value for each place, and one place for each value, for ever.
    fn place(&mut self, at: At, value: Value, how: &str) {
        let known = self.log.entry(at.clone()).or_insert(value);
        assert_eq!(*known, value, "{at:?} is {known:?}, and {value:?} is {how} there");
        let known = self.places.entry(value).or_insert_with(|| at.clone());
        assert_eq!(*known, at, "{value:?} is twice: at {known:?}, and {how} at {at:?}");
    }

    /// The whole of a partition was read, from its begin to `end`.
    pub(crate) fn on_whole_read(&self, topic: &str, partition: i32, end: i64) {
        let at = format!("{topic}-{partition}");
        let range = (topic.to_owned(), partition, 0)..=(topic.to_owned(), partition, i64::MAX);
        let last =
            self.log.range(range.clone()).next_back().map_or(-1, |((_, _, offset), _)| *offset);
        assert!(last < end, "{at}: ends at {end}, and {last} was acknowledged or read");
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for (at, value) in self.log.range(range) {
            let before = newest.insert(value.writer, value.number);
            assert!(before < Some(value.number), "{at:?}: {value:?} comes after {before:?}");
        }
        for (value, (of_topic, of_partition)) in &self.acknowledged {
            let is_here = of_topic == topic && *of_partition == partition;
            assert!(
                !is_here || self.places.contains_key(value),
                "{value:?} is acknowledged and lost"
            );
        }
    }
}
