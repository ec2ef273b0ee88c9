//! Small requests: one record each, on many connections, each of which waits for its answer.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Run, batch, own_cpu_seconds, produce_frame};
use crate::Outcome;

const RECORD_LEN: usize = 100;
/// An answer that is longer than this is not one to these requests.
const ANSWER_LEN_MAX: usize = 512;

/// Sends so many requests over so many connections; each connection has one of these topics, by turns.
pub(crate) fn produce(
    address: SocketAddr,
    topics: &[String],
    connections: usize,
    requests: u64,
) -> Outcome<Run> {
    let batch = batch(1, RECORD_LEN)?;
    let size = batch.len() as u64;
    let each = requests.div_ceil(connections as u64);
    let frames: Vec<Bytes> =
        topics.iter().map(|topic| produce_frame(topic, batch.clone())).collect::<Outcome<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tasks = tokio::task::LocalSet::new();
    let run = tasks.block_on(&runtime, async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let (begun, own_before) = (Instant::now(), own_cpu_seconds());
        let clients: Vec<_> = streams
            .into_iter()
            .zip(frames.iter().cycle())
            .map(|(stream, frame)| tokio::task::spawn_local(client(stream, frame.clone(), each)))
            .collect();
        let mut latencies_ms = Vec::new();
        for client in clients {
            latencies_ms
                .extend(client.await?.map_err(|error| format!("a small produce: {error}"))?);
        }
        let requests = each * connections as u64;
        Ok::<_, Box<dyn std::error::Error>>(Run {
            bytes: requests * size,
            requests,
            seconds: begun.elapsed().as_secs_f64(),
            own_cpu_seconds: own_cpu_seconds() - own_before,
            latencies_ms,
        })
    })?;
    Ok(run.sort())
}

async fn client(mut stream: TcpStream, frame: Bytes, requests: u64) -> std::io::Result<Vec<f64>> {
    let mut latencies_ms = Vec::with_capacity(requests as usize);
    let mut answer = [0; ANSWER_LEN_MAX];
    for _ in 0..requests {
        let asked = Instant::now();
        stream.write_all(&frame).await?;
        let mut read = 0;
        while read < 4 || read < 4 + frame_len(&answer) {
            match stream.read(&mut answer[read..]).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        if let Some(error) = error_of(&answer[..read]) {
            return Err(std::io::Error::other(format!("error {error}")));
        }
        latencies_ms.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies_ms)
}

fn frame_len(answer: &[u8]) -> usize {
    u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]) as usize
}

/// The error code of the only partition, if it is one.
fn error_of(answer: &[u8]) -> Option<i16> {
    // Length, correlation, tags, topics; the name's length and the name; partitions, index.
    let at = 4 + 4 + 1 + 1 + usize::from(answer[10]) + 1 + 4;
    match answer.get(at..at + 2) {
        Some([0, 0]) => None,
        Some(code) => Some(i16::from_be_bytes([code[0], code[1]])),
        None => Some(-1),
    }
}
