//! What an operator does meanwhile: leaders are elected, partitions move.

use std::rc::Rc;
use std::time::Duration;

use kalda_client::admin::{Admin, ElectionType, FactorChange};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::lines::LINES;
use crate::workload::{Phase, Workload};

impl Workload {
    /// Elects and reassigns, now and then; whether it works out is the cluster's business.
    pub(crate) async fn operate(self: Rc<Self>) {
        let chance = Chance::of(self.seed, 6_000_000);
        let builder = self.builder("operator", 5).set("default.api.timeout.ms", "3000");
        let admin = builder.build().expect("the settings hold").admin();
        loop {
            sleep(Duration::from_millis(chance.between(1000, 6000))).await;
            if self.phase.get() != Phase::Trouble {
                return;
            }
            if chance.percent(40) {
                self.oracle.borrow_mut().counts.elections += 1;
                let elected = admin.elect_leaders(ElectionType::Preferred, None).await;
                self.trace.note("elect", format!("{elected:?}").as_bytes());
            } else {
                let mut replicas = self.brokers.clone();
                replicas.rotate_left(chance.index(self.brokers.len()));
                // Two are enough for `min.insync.replicas`.
                replicas.truncate(if chance.percent(40) { 2 } else { 3 });
                self.oracle.borrow_mut().counts.reassignments += 1;
                let moved = self.reassign(&admin, &replicas, chance.index(3) as i32).await;
                self.trace.tell(&format!("reassigned to {replicas:?}: {moved:?}"));
            }
        }
    }

    /// Every partition gets its three replicas back.
    pub(crate) async fn spread(&self, admin: &Admin) -> Result<(), String> {
        for partition in 0..LINES.partitions {
            self.reassign(admin, &self.brokers[..3], partition).await?;
        }
        Ok(())
    }

    async fn reassign(
        &self,
        admin: &Admin,
        replicas: &[i32],
        partition: i32,
    ) -> Result<(), String> {
        let at = kalda_model::TopicPartition::new(LINES.name, partition);
        let targets = [(at, Some(replicas.to_vec()))].into();
        let moved = admin.alter_reassignments(&targets, FactorChange::Allowed).await;
        let outcomes = moved.map_err(|error| error.to_string())?;
        outcomes.into_values().try_for_each(|moved| moved.map_err(|error| error.to_string()))
    }
}
