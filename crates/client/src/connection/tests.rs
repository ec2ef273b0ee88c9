//! Against a broker of a few lines: negotiation, order, damage, and what is left after a drop.

use kalda_net::SystemNet;
use kalda_protocol::RequestPrefix;
use kalda_protocol::messages::api_versions::ApiVersion;
use kalda_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker,
};
use tokio::net::TcpListener;

use super::*;
use crate::World;
use crate::cluster::{AutoCreate, Cluster};
use crate::config::Properties;

/// A socket that a test answers by hand.
struct Broker(TcpStream);

impl Broker {
    /// The prefix of the next request; `None` when the client has gone.
    async fn request(&mut self) -> Option<RequestPrefix> {
        let length = self.0.read_u32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.ok()?;
        Some(RequestPrefix::peek(&frame).unwrap())
    }

    async fn answer<M: Message>(&mut self, id: i32, key: ApiKey, version: i16, message: &M) {
        let mut frame = BytesMut::new();
        ResponseHeader { correlation_id: id }.encode(&mut frame, key, version);
        message.encode(&mut frame, version).unwrap();
        self.0.write_u32(frame.len() as u32).await.unwrap();
        self.0.write_all(&frame).await.unwrap();
    }

    /// Takes one client and agrees on versions.
    async fn accept(listener: &TcpListener) -> Self {
        let mut broker = Self(listener.accept().await.unwrap().0);
        let asked = broker.request().await.unwrap();
        assert_eq!((asked.api_key, asked.api_version), (18, 4));
        broker.answer(asked.correlation_id, ApiKey::ApiVersions, 4, &offer(0)).await;
        broker
    }
}

fn offer(error_code: i16) -> ApiVersionsResponse {
    let api =
        |key: ApiKey, max_version| ApiVersion { api_key: key.value(), min_version: 0, max_version };
    ApiVersionsResponse {
        error_code,
        api_keys: vec![api(ApiKey::Metadata, 9), api(ApiKey::ApiVersions, 2)],
        ..Default::default()
    }
}

async fn listen() -> (TcpListener, HostPort) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, HostPort { host: "127.0.0.1".to_owned(), port })
}

fn config(servers: &str) -> ClientConfig {
    let mut properties = Properties::default();
    properties.set("bootstrap.servers", servers);
    properties.set("reconnect.backoff.ms", "1");
    ClientConfig::from_properties(&properties).unwrap().0
}

fn metadata(node_id: i32) -> MetadataResponse {
    let host = "127.0.0.1".to_owned();
    let broker = MetadataResponseBroker { node_id, host, port: 1, rack: None };
    MetadataResponse { brokers: vec![broker], ..Default::default() }
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_a_version_that_it_knows() {
    let (listener, address) = listen().await;
    let config = config("127.0.0.1:1");
    let serving = async {
        let mut broker = Broker(listener.accept().await.unwrap().0);
        let first = broker.request().await.unwrap();
        assert_eq!(first.api_version, 4);
        // What is not understood is answered in version 0 (KIP-511).
        let refusal = offer(ErrorCode::UnsupportedVersion.code());
        broker.answer(first.correlation_id, ApiKey::ApiVersions, 0, &refusal).await;
        let second = broker.request().await.unwrap();
        assert_eq!(second.api_version, 2);
        broker.answer(second.correlation_id, ApiKey::ApiVersions, 2, &offer(0)).await;
    };
    let (connection, ()) = tokio::join!(Connection::open(&SystemNet, &address, &config), serving);
    assert_eq!(connection.unwrap().version::<MetadataRequest>(i16::MAX), Ok(9));
}

#[tokio::test]
async fn requests_are_pipelined_and_answers_find_theirs() {
    let (listener, address) = listen().await;
    let config = config("127.0.0.1:1");
    let (connection, mut broker) =
        tokio::join!(Connection::open(&SystemNet, &address, &config), Broker::accept(&listener));
    let connection = connection.unwrap();
    let request = MetadataRequest::default();
    let first = connection.start(&request, 9).unwrap();
    let second = connection.start(&request, 9).unwrap();
    for node_id in [5, 6] {
        let asked = broker.request().await.unwrap();
        broker.answer(asked.correlation_id, ApiKey::Metadata, 9, &metadata(node_id)).await;
    }
    assert_eq!(second.answer(&connection).await.unwrap().brokers[0].node_id, 6);
    assert_eq!(first.answer(&connection).await.unwrap().brokers[0].node_id, 5);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let (listener, address) = listen().await;
    let config = config("127.0.0.1:1");
    let (connection, mut broker) =
        tokio::join!(Connection::open(&SystemNet, &address, &config), Broker::accept(&listener));
    let connection = connection.unwrap();
    let pending = connection.start(&MetadataRequest::default(), 9).unwrap();
    broker.request().await.unwrap();
    broker.answer(4711, ApiKey::Metadata, 9, &metadata(1)).await;
    let error = pending.answer(&connection).await.unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert!(!connection.is_open());
    assert!(connection.start(&MetadataRequest::default(), 9).is_err());
}

#[tokio::test]
async fn a_length_beyond_belief_ends_the_connection_without_memory() {
    let (listener, address) = listen().await;
    let config = config("127.0.0.1:1");
    let serving = async {
        let mut broker = Broker(listener.accept().await.unwrap().0);
        broker.request().await.unwrap();
        // What a web server says to a Kafka request.
        broker.0.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        broker
    };
    let (connection, _broker) =
        tokio::join!(Connection::open(&SystemNet, &address, &config), serving);
    let error = connection.unwrap_err();
    assert!(error.to_string().contains("is this a Kafka port?"), "{error}");
}

#[tokio::test]
async fn a_dropped_connection_is_closed() {
    let (listener, address) = listen().await;
    let config = config("127.0.0.1:1");
    let (connection, mut broker) =
        tokio::join!(Connection::open(&SystemNet, &address, &config), Broker::accept(&listener));
    drop(connection.unwrap());
    assert!(broker.request().await.is_none());
}

#[tokio::test]
async fn every_bootstrap_server_is_tried() {
    let (listener, address) = listen().await;
    // Nobody listens on port 1.
    let cluster = Cluster::new(config(&format!("127.0.0.1:1,{address}")), World::default());
    let serving = async {
        let mut broker = Broker::accept(&listener).await;
        let asked = broker.request().await.unwrap();
        broker.answer(asked.correlation_id, ApiKey::Metadata, 9, &metadata(7)).await;
        broker
    };
    let (response, _broker) =
        tokio::join!(cluster.refresh(Some(Vec::new()), AutoCreate::Forbidden), serving);
    assert_eq!(response.unwrap().brokers[0].node_id, 7);
    assert!(cluster.with_metadata(|metadata| metadata.nodes.contains_key(&7)));
}
