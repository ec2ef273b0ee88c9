//! The connection to the controller breaks after it has done what it was asked: the client that asked
//! hears of what was done, and not that somebody did it already.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use kalda_protocol::messages::create_topics::CreateTopicsRequest;
use kalda_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use parking_lot::Mutex;

use crate::client::new_topic;
use crate::rig::{Cluster, await_some, free_port};

/// The key of Envelope.
const ENVELOPE: [u8; 2] = [0, 58];

/// Between the nodes and the controller. The answer to an Envelope that speaks of a topic named `lost`
/// does not get through while `to_lose` is above 0.
struct Between {
    port: u16,
    to_lose: Arc<AtomicUsize>,
}

impl Between {
    fn listen(controller_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let to_lose = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&to_lose);
        std::thread::spawn(move || {
            for node in listener.incoming().flatten() {
                match TcpStream::connect(("127.0.0.1", controller_port)) {
                    Ok(controller) => relay(node, controller, &left),
                    Err(_) => drop(node),
                }
            }
        });
        Self { port, to_lose }
    }

    fn lose_one(&self) {
        self.to_lose.store(1, Ordering::SeqCst);
    }

    fn has_lost(&self) -> bool {
        self.to_lose.load(Ordering::SeqCst) == 0
    }
}

fn relay(node: TcpStream, controller: TcpStream, to_lose: &Arc<AtomicUsize>) {
    let marked = Arc::new(Mutex::new(None));
    let (mut from, mut to) = (node.try_clone().unwrap(), controller.try_clone().unwrap());
    let questions = Arc::clone(&marked);
    std::thread::spawn(move || {
        while let Some(frame) = read_frame(&mut from) {
            if frame[4..6] == ENVELOPE && frame.windows(4).any(|it| it == b"lost") {
                *questions.lock() = Some(frame[8..12].to_vec());
            }
            if to.write_all(&frame).is_err() {
                break;
            }
        }
        let _gone = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to, to_lose) = (controller, node, Arc::clone(to_lose));
    std::thread::spawn(move || {
        while let Some(frame) = read_frame(&mut from) {
            let is_marked = marked.lock().as_deref() == Some(&frame[4..8]);
            let is_lost = is_marked && to_lose.load(Ordering::SeqCst) > 0;
            if is_lost {
                to_lose.fetch_sub(1, Ordering::SeqCst);
            }
            if is_lost || to.write_all(&frame).is_err() {
                break;
            }
        }
        let _gone = to.shutdown(Shutdown::Both);
        let _gone = from.shutdown(Shutdown::Both);
    });
}

/// With its length in front.
fn read_frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).ok()?;
    let len = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    frame.resize(4 + usize::try_from(len).unwrap(), 0);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

#[test]
fn what_was_done_before_the_answer_was_lost_is_not_refused() {
    let controller_port = free_port();
    let between = Between::listen(controller_port);
    let voters = format!("1@127.0.0.1:{}", between.port);
    let settings = [("controller.quorum.voters", voters.as_str())];
    let cluster = Cluster::start_at(controller_port, 2, &settings);
    let mut client = cluster.client(1);

    between.lose_one();
    let mut request = CreateTopicsRequest::default();
    request.topics.push(new_topic("lost", 3, &[("retention.ms", "1234567")]));
    let made = client.call(7, &request).topics.remove(0);
    assert!(between.has_lost());
    assert_eq!((made.error_code, made.num_partitions), (0, 3), "{:?}", made.error_message);
    assert_eq!(made.topic_id, client.describe("lost").topic_id);
    let configs = made.configs.unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("1234567"));
    // Whoever asks for it again asks for another topic of that name.
    let again = client.call(7, &request).topics.remove(0);
    assert_eq!(again.error_code, ErrorCode::TopicAlreadyExists.code());
    between.lose_one();
    let again = client.call(7, &request).topics.remove(0);
    assert_eq!(again.error_code, ErrorCode::TopicAlreadyExists.code());

    between.lose_one();
    let topic = CreatePartitionsTopic { name: "lost".into(), count: 5, assignments: None };
    let more =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1000, validate_only: false };
    let grown = client.call(3, &more).results.remove(0);
    assert!(between.has_lost());
    assert_eq!(grown.error_code, 0, "{:?}", grown.error_message);
    await_some("five partitions", || (client.describe("lost").partitions.len() == 5).then_some(()));

    between.lose_one();
    let topic = DeleteTopicState { name: Some("lost".into()), ..DeleteTopicState::default() };
    let delete = DeleteTopicsRequest { topics: vec![topic], ..DeleteTopicsRequest::default() };
    let deleted = client.call(6, &delete).responses.remove(0);
    assert!(between.has_lost());
    assert_eq!(deleted.error_code, 0, "{:?}", deleted.error_message);
}
