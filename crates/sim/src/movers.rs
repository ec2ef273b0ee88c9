//! Values in transactions over several partitions, some of which are aborted on purpose.

use std::rc::Rc;
use std::time::Duration;

use kalda_client::{Error, Producer, Result};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::lines::{producer_of, send};
use crate::oracle::{Fate, Value};
use crate::workload::{Content, Phase, Topic, Workload};

/// What is written in transactions: their markers take offsets, too.
pub(crate) const MOVES: Topic =
    Topic { name: "moves", partitions: 2, is_dense: false, content: Content::Values };

/// What their transactional ids begin with.
pub(crate) const MOVERS: &str = "movers";

impl Workload {
    /// One transaction after the other, under one transactional id. After a failure another producer
    /// takes over, which fences the one before.
    pub(crate) async fn move_values(self: Rc<Self>, mover: u64) {
        let chance = Chance::of(self.seed, 5_000_000 + mover);
        let client = self.transactional_client(MOVERS, mover);
        let (mut generation, mut number) = (0, 0);
        while self.phase.get() == Phase::Trouble {
            generation += 1;
            let producer = producer_of(&client);
            if let Err(error) = producer.init_transactions().await {
                self.trace.note("init", error.to_string().as_bytes());
                sleep(Duration::from_millis(chance.between(50, 500))).await;
                continue;
            }
            loop {
                let values: Vec<Value> = (0..chance.between(1, 6))
                    .map(|_| {
                        number += 1;
                        Value { writer: 50_000 + mover * 10_000 + generation, number }
                    })
                    .collect();
                let commits = chance.percent(70);
                let ended = self.transact(&producer, &values, commits, &chance).await;
                let fate = match &ended {
                    Ok(()) if commits => Fate::Committed,
                    Ok(()) => Fate::Aborted,
                    Err(_) => Fate::InDoubt,
                };
                self.oracle.borrow_mut().on_transaction(values, fate);
                if let Err(error) = ended {
                    self.trace.note("move", error.to_string().as_bytes());
                    break;
                }
                if self.phase.get() != Phase::Trouble {
                    return producer.close().await;
                }
                sleep(Duration::from_millis(chance.between(5, 200))).await;
            }
        }
    }

    async fn transact(
        &self,
        producer: &Producer,
        values: &[Value],
        commits: bool,
        chance: &Chance,
    ) -> Result<()> {
        producer.begin_transaction()?;
        let mut under_way = Vec::new();
        for value in values {
            let partition = chance.index(MOVES.partitions as usize) as i32;
            self.oracle.borrow_mut().on_sent(MOVES.name, partition, *value);
            under_way.push(send(producer, MOVES, partition, *value).await?);
        }
        if commits || chance.percent(80) {
            for delivery in under_way {
                delivery.await?;
            }
        }
        // Open for a while: a reader that is shown too much has the time to see it.
        if chance.percent(50) {
            sleep(Duration::from_millis(chance.between(20, 600))).await;
        }
        if !commits {
            return producer.abort_transaction().await;
        }
        match producer.commit_transaction().await {
            // Nobody knows yet: it may be asked again.
            Err(Error::Timeout(_)) => producer.commit_transaction().await,
            ended => ended,
        }
    }
}
