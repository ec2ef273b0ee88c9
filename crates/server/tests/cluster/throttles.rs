//! A move under a throttle goes at its pace, and nothing else does (KIP-73).

use std::time::Instant;

use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::client::{Client, batch};
use crate::replicas::{await_leader, create_on, in_sync, move_to, produce};
use crate::rig::{Cluster, await_some};

const RECORD_LEN: usize = 32 * 1024;
const RECORDS: usize = 64;
/// Bytes a second.
const RATE: usize = 1 << 20;

fn set_rate(client: &mut Client, broker: i32, name: &str, rate: usize) {
    let config = AlterableConfig {
        name: name.to_owned(),
        config_operation: 0,
        value: Some(rate.to_string()),
    };
    let resource = AlterConfigsResource {
        resource_type: 4,
        resource_name: broker.to_string(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let altered = client.call(1, &request).responses.remove(0);
    assert_eq!(altered.error_code, 0, "{:?}", altered.error_message);
}

/// Topic `t` moves from broker 2 to brokers 2 and 3, with the rate `name` set on `broker`.
fn moves_at_its_rate(broker: i32, name: &str, replicas: (&str, &str)) {
    let cluster = Cluster::start(3, &[]);
    create_on(&cluster, "t", &[2], &[("compression.type", "uncompressed"), replicas]);
    create_on(&cluster, "other", &[2, 3], &[]);
    create_on(&cluster, "free", &[2], &[]);
    await_leader(&cluster, 1, "t", 1);
    await_leader(&cluster, 1, "other", 2);
    await_leader(&cluster, 1, "free", 1);
    let mut client = cluster.client(1);
    for number in 0..RECORDS {
        let record = vec![number as u8; RECORD_LEN];
        assert_eq!(produce(&mut client, "t", -1, batch([record])).1, number as i64);
    }
    produce(&mut client, "free", -1, batch(["v"]));

    // At first nothing may pass.
    set_rate(&mut client, broker, name, 0);
    move_to(&cluster, "t", &[2, 3]);
    move_to(&cluster, "free", &[3]);
    await_some("a move that is not throttled", || {
        (in_sync(&cluster, 1, "free") == [3]).then_some(())
    });
    for number in 0..20 {
        assert_eq!(produce(&mut client, "other", -1, batch(["v"])).1, number);
    }
    assert_eq!(in_sync(&cluster, 1, "t"), [2], "nothing may pass");

    let begun = Instant::now();
    set_rate(&mut client, broker, name, RATE);
    await_some("the end of the move", || (in_sync(&cluster, 1, "t") == [2, 3]).then_some(()));
    let taken_ms = begun.elapsed().as_millis();
    // The bucket was empty. What goes beyond it is the answer that was under way, of one MiB at most.
    let at_least_ms = ((RECORDS * RECORD_LEN - (1 << 20)) * 1000 / RATE) as u128;
    assert!(taken_ms >= at_least_ms, "{taken_ms} ms instead of {at_least_ms}");

    // Who is in sync is not limited, however low the rate.
    set_rate(&mut client, broker, name, 0);
    assert_eq!(produce(&mut client, "t", -1, batch(["v"])).1, RECORDS as i64);
    assert_eq!(in_sync(&cluster, 1, "t"), [2, 3]);
}

#[test]
fn a_move_goes_at_the_rate_of_the_leader() {
    let replicas = ("leader.replication.throttled.replicas", "0:2");
    moves_at_its_rate(2, "leader.replication.throttled.rate", replicas);
}

#[test]
fn a_move_goes_at_the_rate_of_the_follower() {
    let replicas = ("follower.replication.throttled.replicas", "*");
    moves_at_its_rate(3, "follower.replication.throttled.rate", replicas);
}
