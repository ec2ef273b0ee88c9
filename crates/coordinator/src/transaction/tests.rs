//! Runs the scripts under `testdata/transactions`. A line in the first column is an event, the
//! indented lines after it are what must come of it; `KALDA_REWRITE=1 cargo test` writes them anew.
//! After every script a shard that loads the log must equal the live one.
//!
//! Producers' own words stand for `PRODUCER:EPOCH`, as in `add a 1000:0 logs-0`; `v2` marks a client
//! that has a new epoch for every transaction.

use std::fmt::Write as _;
use std::path::Path;

use kalda_metadata::{Delta, Image};
use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::end_txn::EndTxnRequest;
use kalda_protocol::messages::init_producer_id::InitProducerIdRequest;
use kalda_protocol::messages::list_transactions::ListTransactionsRequest;
use kalda_protocol::stored::MetadataRecord;
use kalda_protocol::stored::metadata::FeatureLevelRecord;

use super::records::Replayed;
use super::state::State;
use super::{
    AddPartitions, Decision, TransactionRequest, TransactionResponse, TransactionSettings,
    TransactionShard, records,
};
use crate::contract::Coordinator;
use crate::decision::{Context, CoordinatorRecord, Token, TopicPartitions, TransactionEnding};
use crate::request::Caller;

#[test]
fn scripts_come_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/transactions");
    let mut scripts: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    for path in scripts {
        let written = std::fs::read_to_string(&path).unwrap();
        let actual = Run::new().all(&written);
        if std::env::var_os("KALDA_REWRITE").is_some() {
            std::fs::write(&path, actual).unwrap();
        } else {
            let name = path.display();
            assert_eq!(actual, written, "{name}; KALDA_REWRITE=1 takes the new outcome over");
        }
    }
}

#[test]
fn a_value_of_an_unknown_version_or_state_is_refused() {
    let mut shard = TransactionShard::new(TransactionSettings::default(), 0);
    let record = |value: &'static [u8]| CoordinatorRecord {
        key: b"\0\0\0\x01a".as_slice().into(),
        value: Some(value.into()),
    };
    assert!(shard.replay(Offset(0), &record(b"\0\x02")).is_err());
    assert!(shard.replay(Offset(0), &record(b"\xff\xff")).is_err());
    let state_9 = b"\0\0\0\0\0\0\0\0\x03\xe8\0\0\0\0\xea\x60\x09\xff\xff\xff\xff\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let error = shard.replay(Offset(0), &record(state_9)).unwrap_err().to_string();
    assert_eq!(error, "the transaction of a is in the unknown state 9");
}

#[test]
fn records_are_written_as_kafka_writes_them() {
    let begun = super::Transaction::begin(ProducerId(1000), 60_000, 0, 7);
    let written = records::encode("a", &begun, 0);
    assert_eq!(&written.key[..], b"\0\0\0\x01a");
    let expected = b"\0\0\0\0\0\0\0\0\x03\xe8\0\0\0\0\xea\x60\0\xff\xff\xff\xff\
        \0\0\0\0\0\0\0\x07\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(written.value.as_deref(), Some(expected.as_slice()));
    // From transaction.version 1 on: the flexible layout, tagged fields only where they say something.
    let partitions = TopicPartitions::from([("t".to_owned(), [0, 2].into())]);
    let ended = begun.add(&partitions, 2, 8).end(true, 2, None, 9);
    let expected = b"\0\x01\0\0\0\0\0\0\x03\xe8\0\x01\0\0\xea\x60\x02\
        \x02\x02t\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x08\
        \x01\x02\x02\0\x02";
    assert_eq!(records::encode("a", &ended, 2).value.as_deref(), Some(expected.as_slice()));
}

struct Run {
    shard: TransactionShard,
    log: Vec<CoordinatorRecord>,
    endings: Vec<TransactionEnding>,
    image: Image,
    now_ms: i64,
    /// How far the wall clock is ahead of the clock of timers.
    ahead_ms: i64,
    next_id: i64,
    asked: Vec<String>,
    fail_next: Option<ErrorCode>,
    out: String,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            shard: TransactionShard::new(settings(), 7),
            log: Vec::new(),
            endings: Vec::new(),
            image: image(2),
            now_ms: 0,
            ahead_ms: 0,
            next_id: 1000,
            asked: Vec::new(),
            fail_next: None,
            out: String::new(),
        };
        run.event(|shard, cx| shard.on_loaded(cx));
        run
    }

    fn all(mut self, script: &str) -> String {
        self.out.clear();
        for line in script.lines().filter(|line| !line.starts_with("  ")) {
            self.out += line;
            self.out += "\n";
            if !line.is_empty() && !line.starts_with('#') {
                self.line(&line.split_whitespace().collect::<Vec<_>>());
            }
        }
        let mut loaded = TransactionShard::new(settings(), 7);
        for (offset, record) in (0..).zip(&self.log) {
            loaded.replay(Offset(offset), record).unwrap();
        }
        assert_eq!(self.shard.logged(), loaded.logged(), "state is a function of the log");
        if self.ahead_ms != 0 {
            return self.out;
        }
        let _endings = loaded.on_loaded(&context(self.clocks(), &self.image));
        assert_eq!(self.shard.timers, loaded.timers);
        self.out
    }

    fn line(&mut self, words: &[&str]) {
        match *words {
            ["version", level] => self.image = image(level.parse().unwrap()),
            ["fail", "append"] => self.fail_next = Some(ErrorCode::NotEnoughReplicas),
            // The wall clock is set to that.
            ["wall", ms] => self.ahead_ms = ms.parse::<i64>().unwrap() - self.now_ms,
            ["pass", ms] => self.pass(ms.parse().unwrap()),
            ["markers"] => {
                let ending = self.endings.remove(0);
                self.event(|shard, cx| shard.on_markers_written(&ending, cx));
            }
            ["again", "markers"] => {
                let ending = self.endings[0].clone();
                self.event(|shard, cx| shard.on_markers_written(&ending, cx));
            }
            ["lose", "markers"] => drop(self.endings.remove(0)),
            ["load"] => self.load(),
            ["unload"] => {
                for (token, answer) in self.shard.unload() {
                    self.answer(token, &answer);
                }
            }
            // Puts an id near the end of its epochs, as many transactions would.
            ["at", id, producer] => {
                let (producer_id, epoch) = producer_of(producer);
                let mut transaction = self.shard.ids[id].clone();
                (transaction.producer_id, transaction.epoch) = (producer_id, epoch);
                self.replay(vec![records::encode(id, &transaction, 2)]);
            }
            ["init", id, ref rest @ ..] => self.ask(words, init(id, rest)),
            ["add" | "verify", id, producer, ref rest @ ..] => {
                let (producer_id, producer_epoch) = producer_of(producer);
                let request = AddPartitions {
                    transactional_id: id.to_owned(),
                    producer_id,
                    producer_epoch,
                    partitions: partitions(rest),
                    verify_only: words[0] == "verify",
                    client_version: client_version(rest),
                };
                self.ask(words, TransactionRequest::AddPartitions(request));
            }
            ["commit" | "abort", id, producer, ref rest @ ..] => {
                let (producer_id, producer_epoch) = producer_of(producer);
                let request = EndTxnRequest {
                    transactional_id: id.to_owned(),
                    producer_id: producer_id.0,
                    producer_epoch: producer_epoch.0,
                    committed: words[0] == "commit",
                };
                let client_version = client_version(rest);
                self.ask(
                    words,
                    TransactionRequest::EndTxn { request, spare: None, client_version },
                );
            }
            ["describe", id] => self.ask(words, TransactionRequest::Describe(id.to_owned())),
            ["list", ref filters @ ..] => {
                let mut request = ListTransactionsRequest::default();
                for filter in filters {
                    match filter.split_once('=').unwrap() {
                        ("state", state) => request.state_filters.push(state.to_owned()),
                        ("producer", id) => request.producer_id_filters.push(id.parse().unwrap()),
                        ("longer", ms) => request.duration_filter = ms.parse().unwrap(),
                        ("like", pattern) => {
                            request.transactional_id_pattern = Some(pattern.to_owned());
                        }
                        other => panic!("{other:?}"),
                    }
                }
                self.ask(words, TransactionRequest::List(request));
            }
            ref other => panic!("no such event: {other:?}"),
        }
    }

    fn ask(&mut self, words: &[&str], request: TransactionRequest) {
        let token = Token(self.asked.len() as u64);
        self.asked.push(words.iter().take(2).copied().collect::<Vec<_>>().join(" "));
        let caller =
            Caller { client_id: String::new(), client_host: String::new(), api_version: 0 };
        let needs_id = {
            let (clocks, image) = (self.clocks(), self.image.clone());
            let cx = context(clocks, &image);
            let decision = self.shard.handle(token, &caller, request.clone(), &cx);
            let needs_id = decision.answers == [(token, TransactionResponse::NeedsProducerId)];
            if needs_id { None } else { Some(decision) }
        };
        match needs_id {
            Some(decision) => self.carry_out(decision),
            None => {
                let spare = Some(ProducerId(self.next_id));
                self.next_id += 1;
                let request = match request {
                    TransactionRequest::InitProducerId { request, .. } => {
                        TransactionRequest::InitProducerId { request, spare }
                    }
                    TransactionRequest::EndTxn { request, client_version, .. } => {
                        TransactionRequest::EndTxn { request, spare, client_version }
                    }
                    other => other,
                };
                self.event(|shard, cx| shard.handle(token, &caller, request, cx));
            }
        }
        self.go_on();
    }

    fn clocks(&self) -> (i64, i64) {
        (self.now_ms, self.now_ms + self.ahead_ms)
    }

    fn event(&mut self, event: impl FnOnce(&mut TransactionShard, &Context<'_>) -> Decision) {
        let image = self.image.clone();
        let clocks = self.clocks();
        let decision = event(&mut self.shard, &context(clocks, &image));
        self.carry_out(decision);
        self.go_on();
    }

    /// What is due at once, as the server does it.
    fn go_on(&mut self) {
        while self.shard.next_timer_ms().is_some_and(|due_ms| due_ms <= self.now_ms) {
            let image = self.image.clone();
            let clocks = self.clocks();
            let decision = self.shard.on_timer(&context(clocks, &image));
            self.carry_out(decision);
        }
    }

    fn carry_out(&mut self, decision: Decision) {
        let image = self.image.clone();
        let decision = match self.fail_next.take_if(|_| !decision.records.is_empty()) {
            Some(error) => {
                let cx = context(self.clocks(), &image);
                self.shard.on_append_failed(decision, error, &cx)
            }
            None => decision,
        };
        self.replay(decision.records);
        for (token, answer) in &decision.answers {
            self.answer(*token, answer);
        }
        for ending in decision.endings {
            let end = if ending.commit { "commit" } else { "abort" };
            let _infallible = writeln!(
                self.out,
                "  markers {end} {} {}:{} v{} {}",
                ending.transactional_id,
                ending.producer_id,
                ending.producer_epoch,
                ending.transaction_version,
                names(&ending.partitions)
            );
            assert_eq!(ending.coordinator_epoch, 7);
            self.endings.push(ending);
        }
    }

    fn replay(&mut self, written: Vec<CoordinatorRecord>) {
        for record in written {
            let text = match records::decode(&record).unwrap() {
                Replayed::Id(id, None) => format!("  log {id} forgotten\n"),
                Replayed::Id(id, Some(step)) => {
                    let mut text =
                        format!("  log {id} {:?} {}:{}", step.state, step.producer_id, step.epoch);
                    if step.previous_producer_id.0 >= 0 {
                        let _infallible = write!(text, " previous={}", step.previous_producer_id);
                    }
                    if step.next_producer_id.0 >= 0 {
                        let _infallible = write!(text, " next={}", step.next_producer_id);
                    }
                    if !step.partitions.is_empty() {
                        let _infallible = write!(text, " {}", names(&step.partitions));
                    }
                    text + "\n"
                }
                Replayed::Skipped => panic!("a record that nobody knows"),
            };
            self.out += &text;
            self.shard.replay(Offset(self.log.len() as i64), &record).unwrap();
            self.log.push(record);
        }
    }

    fn answer(&mut self, token: Token, answer: &TransactionResponse) {
        let name = &self.asked[token.0 as usize];
        let code = |code: i16| ErrorCode::from_code(code).unwrap();
        let text = match answer {
            TransactionResponse::InitProducerId(answer) => format!(
                "{} {}:{}",
                code(answer.error_code),
                answer.producer_id,
                answer.producer_epoch
            ),
            TransactionResponse::EndTxn(answer) => format!(
                "{} {}:{}",
                code(answer.error_code),
                answer.producer_id,
                answer.producer_epoch
            ),
            TransactionResponse::AddPartitions(added) => {
                let one = |(topic, index, error): &(String, i32, ErrorCode)| {
                    format!("{topic}-{index}={error}")
                };
                added.iter().map(one).collect::<Vec<_>>().join(" ")
            }
            TransactionResponse::Describe(described) => format!(
                "{} {} {}:{} timeout={} start={} {:?}",
                code(described.error_code),
                described.transaction_state,
                described.producer_id,
                described.producer_epoch,
                described.transaction_timeout_ms,
                described.transaction_start_time_ms,
                described.topics.iter().map(|topic| &topic.partitions).collect::<Vec<_>>()
            ),
            TransactionResponse::List(Ok(listed)) => {
                let one =
                    |listed: &kalda_protocol::messages::list_transactions::TransactionState| {
                        format!("{} {}", listed.transactional_id, listed.transaction_state)
                    };
                listed.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            TransactionResponse::List(Err(error)) => error.to_string(),
            TransactionResponse::NeedsProducerId => "needs a producer id".to_owned(),
        };
        let _infallible = writeln!(self.out, "  {name}: {text}");
    }

    fn pass(&mut self, ms: i64) {
        let until_ms = self.now_ms + ms;
        while let Some(at_ms) = self.shard.next_timer_ms().filter(|at_ms| *at_ms <= until_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.go_on();
        }
        self.now_ms = until_ms;
    }

    fn load(&mut self) {
        self.endings.clear();
        self.shard = TransactionShard::new(settings(), 7);
        for (offset, record) in (0..).zip(&self.log) {
            self.shard.replay(Offset(offset), record).unwrap();
        }
        self.event(|shard, cx| shard.on_loaded(cx));
    }
}

fn settings() -> TransactionSettings {
    TransactionSettings { id_expiration_ms: 3_600_000 * 24, ..TransactionSettings::default() }
}

fn context((now_ms, wall_ms): (i64, i64), image: &Image) -> Context<'_> {
    Context { now_ms, wall_ms, image, new_member_id: &|| panic!("a transaction has no members") }
}

fn image(transaction_version: i16) -> Image {
    let mut delta = Delta::new(&Image::default());
    let level = FeatureLevelRecord {
        name: "transaction.version".to_owned(),
        feature_level: transaction_version,
    };
    delta.replay(&MetadataRecord::FeatureLevel(level)).unwrap();
    delta.finish(Offset(1), LeaderEpoch(1)).0
}

fn init(id: &str, rest: &[&str]) -> TransactionRequest {
    let mut request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    for word in rest {
        match word.split_once('=') {
            Some(("timeout", ms)) => request.transaction_timeout_ms = ms.parse().unwrap(),
            Some(("as", producer)) => {
                let (producer_id, epoch) = producer_of(producer);
                (request.producer_id, request.producer_epoch) = (producer_id.0, epoch.0);
            }
            _ => panic!("{word}"),
        }
    }
    TransactionRequest::InitProducerId { request, spare: None }
}

fn producer_of(word: &str) -> (ProducerId, ProducerEpoch) {
    let (id, epoch) = word.split_once(':').unwrap();
    (ProducerId(id.parse().unwrap()), ProducerEpoch(epoch.parse().unwrap()))
}

fn client_version(words: &[&str]) -> i16 {
    if words.contains(&"v2") { 2 } else { 0 }
}

fn partitions(words: &[&str]) -> TopicPartitions {
    let mut partitions = TopicPartitions::new();
    for word in words.iter().filter(|word| **word != "v2") {
        let (topic, index) = word.rsplit_once('-').unwrap();
        partitions.entry(topic.to_owned()).or_default().insert(index.parse().unwrap());
    }
    partitions
}

fn names(partitions: &TopicPartitions) -> String {
    let one = |(topic, indexes): (&String, &std::collections::BTreeSet<i32>)| {
        indexes.iter().map(|index| format!("{topic}-{index}")).collect::<Vec<_>>().join(" ")
    };
    partitions.iter().map(one).collect::<Vec<_>>().join(" ")
}

mod property {
    //! Producers, operators, time, failures and restarts in any order: what has been promised stays.

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Run, State};

    const IDS: [&str; 2] = ["a", "b"];

    #[derive(Clone, Debug)]
    enum Event {
        Line(String),
        /// The oldest or the newest ending has reached its partitions.
        Markers,
        MarkersTwice,
        FailAppend,
        Load,
    }

    fn event() -> impl Strategy<Value = Event> {
        let id = prop::sample::select(&IDS[..]);
        // Epochs near each other, and near the last one, so that requests meet their state.
        let producer = (1000_i64..1004, prop_oneof![0_i16..5, 32_764_i16..=32_767]);
        let producer = producer.prop_map(|(id, epoch)| format!("{id}:{epoch}"));
        let words = (prop::sample::select(&["", " v2"][..]), 0..3);
        prop_oneof![
            2 => id.clone().prop_map(|id| Event::Line(format!("init {id}"))),
            2 => (id.clone(), producer.clone())
                .prop_map(|(id, producer)| Event::Line(format!("init {id} as={producer}"))),
            1 => (id.clone(), producer.clone())
                .prop_map(|(id, producer)| Event::Line(format!("at {id} {producer}"))),
            6 => (id.clone(), producer.clone(), words.clone()).prop_map(|(id, producer, (v, n))| {
                Event::Line(format!("add {id} {producer} t-{n}{v}"))
            }),
            6 => (id, producer, words, any::<bool>()).prop_map(|(id, producer, (v, _), commit)| {
                let verb = if commit { "commit" } else { "abort" };
                Event::Line(format!("{verb} {id} {producer}{v}"))
            }),
            4 => Just(Event::Markers),
            1 => Just(Event::MarkersTwice),
            1 => Just(Event::FailAppend),
            1 => Just(Event::Load),
            1 => (1..100_000).prop_map(|ms| Event::Line(format!("pass {ms}"))),
        ]
    }

    /// The outcome of each transaction that was decided, by id, producer and epoch of its markers.
    type Decided = BTreeMap<(String, i64, i16), bool>;

    fn run(events: &[Event]) {
        let mut run = Run::new();
        let mut decided = Decided::new();
        for event in events {
            match event {
                // Only an id that is at rest can be put elsewhere.
                Event::Line(line) if line.starts_with("at ") => {
                    let words: Vec<_> = line.split_whitespace().collect();
                    let rests = run.shard.ids.get(words[1]).is_some_and(|transaction| {
                        transaction.state == State::Empty && transaction.epoch.0 < 32_000
                    });
                    let (id, epoch) = super::producer_of(words[2]);
                    let is_newer = rests
                        && id == run.shard.ids[words[1]].producer_id
                        && epoch > run.shard.ids[words[1]].epoch;
                    if is_newer && epoch.0 < i16::MAX {
                        run.line(&words);
                    }
                }
                Event::Line(line) => run.line(&line.split_whitespace().collect::<Vec<_>>()),
                Event::Markers if !run.endings.is_empty() => run.line(&["markers"]),
                Event::MarkersTwice if !run.endings.is_empty() => run.line(&["again", "markers"]),
                Event::FailAppend => run.line(&["fail", "append"]),
                Event::Load => {
                    run.fail_next = None;
                    run.line(&["load"]);
                }
                Event::Markers | Event::MarkersTwice => {}
            }
            check(&run, &mut decided);
        }
        // Everything that was decided comes to its end, with this coordinator and with the next one.
        run.fail_next = None;
        for _ in 0..5 {
            run.line(&["pass", "1000"]);
            while !run.endings.is_empty() {
                run.line(&["markers"]);
            }
        }
        let is_stuck = |id: &&String| run.shard.ids[*id].state.is_ending();
        assert_eq!(run.shard.ids.keys().find(is_stuck), None, "it never ends");
        run.line(&["load"]);
        while !run.endings.is_empty() {
            run.line(&["markers"]);
            run.line(&["pass", "1000"]);
        }
        assert!(run.shard.ids.values().all(|transaction| !transaction.state.is_ending()));
        assert!(run.shard.held.take_all().is_empty(), "whoever waited was answered");
        let log = std::mem::take(&mut run.log);
        let mut loaded = super::TransactionShard::new(super::settings(), 7);
        for (offset, record) in (0..).zip(&log) {
            super::Coordinator::replay(&mut loaded, super::Offset(offset), record).unwrap();
        }
        assert_eq!(run.shard.logged(), loaded.logged());
        let cx = super::context(run.clocks(), &run.image);
        let _endings = super::Coordinator::on_loaded(&mut loaded, &cx);
        assert_eq!(run.shard.timers, loaded.timers);
    }

    fn check(run: &Run, decided: &mut Decided) {
        for transaction in run.shard.ids.values() {
            let is_open =
                matches!(transaction.state, State::Ongoing) || transaction.state.is_ending();
            assert_eq!(
                is_open && transaction.state == State::Ongoing,
                transaction.left_ms(run.now_ms).is_some()
            );
            assert!(is_open || transaction.partitions.is_empty(), "{transaction:?}");
            assert!(transaction.epoch.0 >= 0, "{transaction:?}");
            if transaction.state == State::Ongoing {
                assert!(transaction.epoch.0 < i16::MAX, "no producer has the last epoch");
            }
        }
        for ending in &run.endings {
            let (id, producer) = (ending.transactional_id.clone(), ending.producer_id.0);
            let key = (id, producer, ending.producer_epoch.0);
            // Under version 2 an epoch is one transaction: it has one outcome, whoever asks and loads.
            if ending.transaction_version >= 2 {
                let before = decided.insert(key, ending.commit);
                assert!(before.is_none_or(|before| before == ending.commit), "{ending:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn what_is_decided_stays_decided(events in prop::collection::vec(event(), 0..120)) {
            run(&events);
        }
    }
}
