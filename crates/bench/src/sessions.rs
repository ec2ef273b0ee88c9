//! Many partitions in one fetch session, of which one goes on: what a consumer of a large topic costs whose
//! traffic is small.

use std::net::SocketAddr;
use std::time::Instant;

use kalda_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};

use crate::load::{FETCH, await_produced, batch, own_cpu_seconds, produce_frame};
use crate::report::{Part, Row};
use crate::rounds::{Measured, of_figure};
use crate::subjects::{Habit, Subject};
use crate::wire::{Connection, frame};
use crate::{Bench, Outcome, idle};

const PARTITIONS: i32 = 1_000;
const LEN_MAX: i32 = 1024 * 1024;
const WAIT_MS: i32 = 500;

/// One record to one partition, then the fetch that brings it; again and again.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let fetches = bench.scale.session_fetches;
    part.note(format!(
        "A session (KIP-227) of {PARTITIONS} partitions; {fetches} times a record is produced to one of them and the \
         session fetched until it brings it. The figures are those of both requests together."
    ));
    let subjects: Vec<Subject> = idle::brokers(bench)
        .into_iter()
        .map(|who| Subject::start(bench, who, &[]))
        .collect::<Outcome<_>>()?;
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let samples = bench.scale.rounds.run(part, &subjects, |subject, round| {
        let topic = format!("session-{round}");
        subject.create_topic(&topic, PARTITIONS, Habit::PageCache)?;
        let (begun, own) = (Instant::now(), own_cpu_seconds());
        let mut session = Session::open(subject.broker.address, &topic)?;
        let before = subject.broker.cpu_seconds()?;
        for _ in 0..fetches {
            session.produce_and_fetch()?;
        }
        let cpu = subject.broker.cpu_seconds()? - before;
        let seconds = begun.elapsed().as_secs_f64();
        subject.delete_topic(&topic)?;
        let by_million = 1e6 / f64::from(fetches);
        let figures = vec![f64::from(fetches) / seconds, cpu * by_million];
        Ok(Measured { figures, control: own_cpu_seconds() - own })
    })?;
    part.row(Row::rate("records/s, one at a time", of_figure(&subjects, &samples, 0)));
    part.row(Row::cost("broker CPU s for a million records", of_figure(&subjects, &samples, 1)));
    Ok(())
}

struct Session {
    connection: Connection,
    topic: String,
    id: i32,
    epoch: i32,
    next_offset: i64,
    produce: bytes::Bytes,
}

impl Session {
    fn open(address: SocketAddr, topic: &str) -> Outcome<Self> {
        let mut session = Self {
            connection: Connection::open(address)?,
            topic: topic.to_owned(),
            id: 0,
            epoch: 0,
            next_offset: 0,
            produce: produce_frame(topic, batch(1, 100)?)?,
        };
        let all: Vec<i32> = (0..PARTITIONS).collect();
        let answer = session.connection.call(&session.request(&all, 0), FETCH)?;
        if answer.session_id == 0 {
            return Err("the broker gave no fetch session".into());
        }
        session.id = answer.session_id;
        session.epoch = 1;
        Ok(session)
    }

    fn request(&self, partitions: &[i32], max_wait_ms: i32) -> FetchRequest {
        let partition = |index: &i32| FetchPartition {
            partition: *index,
            fetch_offset: self.next_offset,
            partition_max_bytes: LEN_MAX,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: self.topic.clone(),
            partitions: partitions.iter().map(partition).collect(),
            ..FetchTopic::default()
        };
        FetchRequest {
            max_wait_ms,
            min_bytes: 1,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: vec![topic],
            ..FetchRequest::default()
        }
    }

    fn produce_and_fetch(&mut self) -> Outcome<()> {
        self.connection.send(&self.produce)?;
        await_produced(&mut self.connection)?;
        let mut is_here = false;
        while !is_here {
            self.connection.send(&frame(&self.request(&[0], WAIT_MS), FETCH)?)?;
            let answer = self.connection.receive::<FetchRequest>(FETCH)?;
            if answer.error_code != 0 {
                return Err(format!("fetch: error {}", answer.error_code).into());
            }
            self.epoch += 1;
            let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
            is_here = partitions.any(|one| one.records.as_ref().is_some_and(|r| !r.is_empty()));
        }
        self.next_offset += 1;
        Ok(())
    }
}
