//! What a coordinator remembers is told only while nobody who could follow on it knows of a later one.

use super::*;
use crate::coordinators::reign::Reign;
use crate::groups::OFFSETS_TOPIC;

async fn confirm(rig: &Rig) -> Result<(), ErrorCode> {
    rig.broker.groups.confirm_reign(&rig.broker, "g").await
}

async fn says(rig: &Rig, to: i32, epoch: LeaderEpoch) -> ErrorCode {
    Gathering::send(&rig.broker, BrokerId(to), Reign { index: 0, epoch }).answer().await.unwrap()
}

#[test]
fn a_successor_says_that_the_reign_is_over() {
    let brokers = Rig::start_cluster::<2>(&[]);
    run(async {
        let [first, second] = &brokers;
        first.make_topic_on(OFFSETS_TOPIC, &[1, 2]).await;
        second.know(OFFSETS_TOPIC).await;
        let epoch = first.epoch(OFFSETS_TOPIC);
        assert_eq!(confirm(first).await, Ok(()));
        assert_eq!(confirm(second).await, Err(ErrorCode::NotCoordinator), "it does not lead");
        assert_eq!(says(first, 2, epoch).await, ErrorCode::NotLeaderOrFollower);
        assert_eq!(says(first, 2, LeaderEpoch(epoch.0 + 1)).await, ErrorCode::UnknownLeaderEpoch);
        first.elect(OFFSETS_TOPIC, 2).await;
        let is_led = || second.epoch(OFFSETS_TOPIC) > epoch;
        second.broker.groups.metadata_until(is_led).await;
        assert_eq!(says(first, 2, epoch).await, ErrorCode::FencedLeaderEpoch);
        assert_eq!(confirm(second).await, Ok(()));
    });
}

#[test]
fn who_hears_from_no_member_of_the_isr_tells_nothing() {
    let mut brokers = Rig::start_cluster::<2>(&[("offsets.commit.timeout.ms", "300")]);
    run(async {
        brokers[0].make_topic_on(OFFSETS_TOPIC, &[1, 2]).await;
        brokers[1].know(OFFSETS_TOPIC).await;
        assert_eq!(confirm(&brokers[0]).await, Ok(()));
    });
    brokers[1].end();
    run(async {
        let first = &brokers[0];
        // It left the ISR in order.
        assert_eq!(confirm(first).await, Ok(()));
        // As one has it that does not hear what the controllers decide.
        let isr = Some(vec![1, 2]);
        first.change(OFFSETS_TOPIC, PartitionChangeRecord { isr, ..Default::default() }).await;
        assert_eq!(confirm(first).await, Err(ErrorCode::NotCoordinator));
    });
}
