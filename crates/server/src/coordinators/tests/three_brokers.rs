//! Three brokers: the coordinator dies, and the next one has all of it.

use kalda_coordinator::{GroupShard, TransactionShard};

use super::groups::{commit, committed, describe, heartbeat, join, sync};
use super::transactions::{
    STATE_TOPIC, end, init, produce, stable_and_end, state, try_produce, until,
};
use super::*;
use crate::groups::OFFSETS_TOPIC;

/// What each broker but the one that dies knows.
async fn until_known(brokers: &[&Rig], topic: &str, is_known: impl Fn(BrokerId) -> bool) {
    for rig in brokers {
        let leader = || rig.broker.image().topics.by_name(topic).unwrap().partitions[&0].leader;
        rig.broker.groups.metadata_until(|| is_known(leader())).await;
    }
}

#[test]
fn the_next_coordinator_has_all_that_was_acknowledged() {
    let mut brokers = Rig::start_cluster::<3>(&[
        ("broker.session.timeout.ms", "2000"),
        ("broker.heartbeat.interval.ms", "200"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let (joined, group, producer) = run(async {
        // All are led by the third, and followed by the second.
        for topic in [OFFSETS_TOPIC, STATE_TOPIC] {
            brokers[0].make_topic_on(topic, &[3, 2, 1]).await;
            brokers[2].know(topic).await;
        }
        brokers[0].make_topic_on("t", &[1]).await;
        brokers[2].know("t").await;
        let old = &brokers[2];
        let joined = join(old, "").await.unwrap();
        assert_eq!((joined.error_code, sync(old, &joined).await), (0, ErrorCode::None));
        let group = describe(old).await;
        let producer = init(old).await.unwrap();
        produce(&brokers[0], producer, "t").await;
        assert_eq!(state(old).await.as_deref(), Ok("Ongoing"));
        (joined, group, producer)
    });
    brokers[2].end();
    run(async {
        let [first, second, _] = &brokers;
        for topic in [OFFSETS_TOPIC, STATE_TOPIC] {
            until_known(&[first, second], topic, |leader| leader == BrokerId(2)).await;
        }
        second.live::<GroupShard>().loaded().await;
        second.live::<TransactionShard>().loaded().await;
        let found = first.broker.groups.leader_of(&first.broker, "g");
        assert_eq!(found, Ok(BrokerId(2)));
        assert_eq!(committed(first).await, Err(ErrorCode::NotCoordinator));
        assert_eq!(describe(second).await, group);
        assert_eq!(heartbeat(second, &joined).await, ErrorCode::None);
        assert_eq!(commit(second, 5).await, ErrorCode::UnknownMemberId);
        assert_eq!(state(second).await.as_deref(), Ok("Ongoing"));
        assert_eq!(end(second, producer, true).await, ErrorCode::None);
        until(second, "CompleteCommit").await;
        assert_eq!(stable_and_end(first, "t"), (2, 2));
    });
}

/// Whoever is asked first has the topic made, with as many replicas as there are brokers for it.
#[test]
fn coordinators_topics_are_made_on_all_three() {
    let brokers = Rig::start_cluster::<3>(&[]);
    run(async {
        let [first, second, third] = &brokers;
        for rig in [first, second, third] {
            let registered = || rig.broker.image().brokers.len() == 3;
            rig.broker.groups.metadata_until(registered).await;
        }
        let found = second.broker.groups.coordinator_of(&second.broker, "g").await.unwrap();
        first.know(OFFSETS_TOPIC).await;
        let image = first.broker.image();
        let topic = image.topics.by_name(OFFSETS_TOPIC).unwrap();
        assert_eq!((topic.partitions.len(), topic.partitions[&0].replicas.len()), (1, 3));
        assert_eq!(topic.partitions[&0].leader, found);
        let resource = ConfigResource::topic(OFFSETS_TOPIC);
        assert_eq!(image.configs.value(&resource, "min.insync.replicas"), Some("2"));
        assert_eq!(third.broker.groups.coordinator_of(&third.broker, "g").await, Ok(found));
        let leader = brokers.iter().find(|rig| rig.broker.node == found).unwrap();
        first.make_topic("t").await;
        leader.know("t").await;
        assert_eq!(committed(leader).await, Ok(-1));
        assert_eq!(commit(leader, 5).await, ErrorCode::None);
        assert_eq!(committed(leader).await, Ok(5));
    });
}

/// How often the coordinators move while they are asked, and how much is done meanwhile, at least.
const MOVES: usize = 40;
const DONE_MIN: i64 = 10;

/// Lets another replica that is in sync lead the first partition of a topic.
async fn move_on(brokers: &[Rig; 3], topic: &str) {
    let image = brokers[0].broker.image();
    let partition = &image.topics.by_name(topic).unwrap().partitions[&0];
    let others = partition.isr.iter().filter(|id| **id != partition.leader);
    if let Some(next) = others.max_by_key(|id| (id.0 + 3 - partition.leader.0) % 3) {
        brokers[0].elect(topic, next.0).await;
    }
}

/// Asks the brokers in turn until one coordinates and says yes; the ways of a client.
async fn insist(brokers: &[Rig; 3], ask: impl AsyncFn(&Rig) -> ErrorCode) {
    loop {
        for rig in brokers {
            match ask(rig).await {
                ErrorCode::None => return,
                ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::ConcurrentTransactions
                | ErrorCode::NetworkException => {}
                error => panic!("{error:?}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn nothing_is_lost_however_often_they_move() {
    let brokers = Rig::start_cluster::<3>(&[]);
    run(async {
        for topic in [OFFSETS_TOPIC, STATE_TOPIC] {
            brokers[0].make_topic_on(topic, &[1, 2, 3]).await;
        }
        brokers[0].make_topic("t").await;
        for rig in &brokers {
            rig.know("t").await;
        }
        let is_over = std::cell::Cell::new(false);
        let (committed_now, ended_now) = (std::cell::Cell::new(-1), std::cell::Cell::new(0));
        let moving = async {
            let mut moves = 0;
            while moves < MOVES || committed_now.get().min(ended_now.get()) <= DONE_MIN {
                moves += 1;
                for topic in [OFFSETS_TOPIC, STATE_TOPIC] {
                    move_on(&brokers, topic).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            is_over.set(true);
        };
        let committing = async {
            let mut acknowledged = -1;
            while !is_over.get() {
                insist(&brokers, async |rig| commit(rig, acknowledged + 1).await).await;
                acknowledged += 1;
                committed_now.set(acknowledged);
                let read = std::cell::Cell::new(-1);
                insist(&brokers, async |rig| {
                    committed(rig).await.map_or_else(
                        |error| error,
                        |offset| {
                            read.set(offset);
                            ErrorCode::None
                        },
                    )
                })
                .await;
                assert_eq!(read.get(), acknowledged, "what was acknowledged is what is read");
            }
        };
        let transacting = async {
            let mut ended = 0;
            while !is_over.get() {
                // Each takes the id over anew, and so fences what was before.
                let producer = std::cell::Cell::new(None);
                insist(&brokers, async |rig| match init(rig).await {
                    Ok(made) => {
                        producer.set(Some(made));
                        ErrorCode::None
                    }
                    Err(error) => error,
                })
                .await;
                let producer = producer.get().unwrap();
                insist(&brokers, async |_| try_produce(&brokers[0], producer, "t").await).await;
                insist(&brokers, async |rig| end(rig, producer, true).await).await;
                ended += 1;
                ended_now.set(ended);
            }
            ended
        };
        let ((), (), ended) = tokio::join!(moving, committing, transacting);
        let is_complete = async |rig: &Rig| match state(rig).await.as_deref() {
            Ok("CompleteCommit") => ErrorCode::None,
            Ok(_) => ErrorCode::ConcurrentTransactions,
            Err(error) => *error,
        };
        insist(&brokers, is_complete).await;
        // A record and a marker of each, and nothing that hangs.
        assert_eq!(stable_and_end(&brokers[0], "t"), (2 * ended, 2 * ended));
    });
}
