//! Connections: what is not a request, who may connect and for how long, what clients are told to
//! dial, and how a stop ends them.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use kalda_protocol::messages::api_versions::ApiVersionsRequest;
use kalda_protocol::messages::fetch::FetchRequest;
use kalda_protocol::messages::metadata::MetadataRequest;
use kalda_protocol::messages::produce::ProduceRequest;

use crate::client::{Client, batch, fetch_request, produce_request};
use crate::rig::Rig;

fn hello(client: &mut Client) -> bool {
    client.try_call(0, &ApiVersionsRequest::default()).is_ok()
}

#[test]
fn what_is_no_request_costs_only_its_connection() {
    let rig = Rig::start(&[("socket.request.max.bytes", "100000")]);
    let mut other = rig.client();
    let frames: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x01\x86\xa1",                 // one byte more than is allowed
        b"\x00\x00\x00\x00",                 // an empty frame
        b"\x00\x00\x00\x04\x00\x12\x00\x00", // half a header
        b"\x00\x00\x00\x0a\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff", // an unknown key
        b"\x00\x00\x00\x0a\x00\x03\x00\x63\x00\x00\x00\x01\xff\xff", // an unknown version
        b"\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xff", // a huge array
    ];
    for frame in frames {
        let mut client = rig.client();
        client.write(frame).unwrap();
        assert!(client.is_closed_by_broker(), "{frame:x?}");
        assert!(hello(&mut other));
    }
    // A version of ApiVersions that is too new is answered with those that are served (KIP-511).
    let mut stream = TcpStream::connect(rig.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"\0\0\0\x0a\0\x12\0\x63\0\0\0\x07\xff\xff").unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7, 0, 35]);
}

#[test]
fn requests_that_come_together_or_in_pieces_are_all_answered() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    for _ in 0..300 {
        client.send(9, &produce_request("t", 0, -1, batch(["x"]))).unwrap();
    }
    client.send(0, &ApiVersionsRequest::default()).unwrap();
    for offset in 0..300 {
        let response = client.receive::<ProduceRequest>(9).unwrap();
        assert_eq!(response.responses[0].partition_responses[0].base_offset, offset);
    }
    client.receive::<ApiVersionsRequest>(0).unwrap();
    let mut stream = TcpStream::connect(rig.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff" {
        std::io::Write::write_all(&mut stream, &[*byte]).unwrap();
    }
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7, 0, 0]);
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let rig = Rig::start(&[("max.connections.per.ip", "3")]);
    let mut clients: Vec<_> = (0..3).map(|_| rig.client()).collect();
    assert!(clients.iter_mut().all(hello));
    assert!(!hello(&mut rig.client()), "the fourth is refused");
    assert!(clients.iter_mut().all(hello), "the others stay");
    drop(clients);
    let mut is_in = false;
    for _ in 0..10_000 {
        is_in = is_in || hello(&mut rig.client());
    }
    assert!(is_in, "a place that was given back is free");
}

#[test]
fn idle_connections_are_closed_and_those_that_wait_are_not() {
    let rig = Rig::start(&[("connections.max.idle.ms", "1000")]);
    rig.client().create("t", 1, &[]);
    let mut waiting = rig.client();
    let request = FetchRequest { max_wait_ms: 3000, min_bytes: 1, ..fetch_request("t", 0, 0) };
    waiting.send(11, &request).unwrap();
    let mut idle = rig.client();
    assert!(hello(&mut idle));
    let mut half = rig.client();
    half.write(b"\0\0\0\x0a\0\x12").unwrap();
    assert!(idle.is_closed_by_broker());
    assert!(half.is_closed_by_broker());
    assert!(waiting.receive::<FetchRequest>(11).is_ok());
}

#[test]
fn clients_are_told_what_was_configured_or_what_they_dialled() {
    let told = |rig: &Rig, listener: usize| {
        let mut client = Client::connect(rig.addresses()[listener]);
        let response = client.call(9, &MetadataRequest::default());
        (response.brokers[0].host.clone(), response.brokers[0].port)
    };
    let port = |rig: &Rig, listener: usize| i32::from(rig.addresses()[listener].port());
    let rig = Rig::start(&[("listeners", "PLAINTEXT://:0")]);
    let dialled = ("127.0.0.1", rig.address().port());
    let mut client = Client::connect(
        std::net::ToSocketAddrs::to_socket_addrs(&dialled).unwrap().next().unwrap(),
    );
    let broker = client.call(9, &MetadataRequest::default()).brokers.remove(0);
    assert_eq!((&*broker.host, broker.port), ("localhost", port(&rig, 0)));
    let rig = Rig::start(&[
        ("listeners", "IN://127.0.0.1:0,OUT://127.0.0.1:0"),
        ("listener.security.protocol.map", "IN:PLAINTEXT,OUT:PLAINTEXT"),
        ("inter.broker.listener.name", "IN"),
        ("advertised.listeners", "OUT://broker.example:29092"),
    ]);
    assert_eq!(told(&rig, 0), ("127.0.0.1".to_owned(), port(&rig, 0)));
    assert_eq!(told(&rig, 1), ("broker.example".to_owned(), 29092));
}

#[test]
fn a_stop_answers_what_is_in_flight_and_ends_the_waiting() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 4, &[]);
    let mut waiting = rig.client();
    let request =
        FetchRequest { max_wait_ms: 50_000, min_bytes: 1 << 20, ..fetch_request("t", 0, 0) };
    waiting.send(11, &request).unwrap();
    let mut producers: Vec<_> = (0..4).map(|_| rig.client()).collect();
    for (index, producer) in producers.iter_mut().enumerate() {
        for _ in 0..50 {
            let request = produce_request("t", index as i32, -1, batch([vec![b'x'; 2000]]));
            producer.send(9, &request).unwrap();
        }
    }
    // The first answer of each shows that its requests are being served.
    let mut answered = vec![1_i64; 4];
    for producer in &mut producers {
        producer.receive::<ProduceRequest>(9).unwrap();
    }
    rig.server().stop();
    for (producer, answered) in producers.iter_mut().zip(&mut answered) {
        while let Ok(response) = producer.receive::<ProduceRequest>(9) {
            assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
            *answered += 1;
        }
    }
    assert!(waiting.receive::<FetchRequest>(11).is_ok(), "a waiting fetch is answered");
    let rig = rig.restart();
    let mut client = rig.client();
    client.produce_ok("t", 0, batch(["after"]));
    for (index, answered) in answered.iter().enumerate() {
        let there = client.list_offset("t", index as i32, -1).offset;
        assert!(there >= *answered, "{there} of {answered} acknowledged");
        let unanswered = there - answered - i64::from(index == 0);
        assert_eq!(unanswered, 0, "whatever was appended was answered");
    }
}

#[test]
fn a_client_that_does_not_take_its_answers_does_not_hold_up_a_stop() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    for _ in 0..10 {
        client.produce_ok("t", 0, batch([vec![b'x'; 900_000]]));
    }
    let mut deaf = rig.client();
    for _ in 0..20 {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].partition_max_bytes = 10 << 20;
        deaf.send(11, &request).unwrap();
    }
    let start = std::time::Instant::now();
    rig.stop();
    assert!(start.elapsed() < Duration::from_secs(30));
    drop(deaf);
}
