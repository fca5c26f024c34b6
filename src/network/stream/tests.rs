use super::*;
use crate::limits::{MAX_HANDSHAKE_BYTES, MAX_MESSAGE_BYTES};
use crate::network::frame::Frame;
use crate::network::noise::handshake;
use crate::network::testing::{identity, within};
use crate::types::link::Role;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::duplex;

const SILENCE: Duration = Duration::from_secs(15);

async fn keys() -> (Sealer, Opener) {
    let (mut one, mut other) = duplex(4_096);
    let (mut a, mut b) = tokio::io::split(&mut one);
    let (mut c, mut d) = tokio::io::split(&mut other);
    let (node, peer) = (identity(1), identity(2));
    let channels = within(async {
        tokio::join!(
            handshake(&mut a, &mut b, Role::Initiator, &node),
            handshake(&mut c, &mut d, Role::Responder, &peer)
        )
    })
    .await;
    (channels.0.unwrap().sealer, channels.1.unwrap().opener)
}

fn reader<R: AsyncRead + Unpin>(source: R, opener: Opener, limit: usize) -> FrameReader<R> {
    FrameReader::new(source, opener, limit, SILENCE, Arc::default())
}

/// Frames of all sizes, one of them longer than a batch.
fn frames() -> Vec<Vec<u8>> {
    [1, 10, 1_000, 3 * WRITE_BATCH_BYTES + 5, 0, 65_519, 7].iter().map(|size| vec![0x5a; *size]).collect()
}

fn plain(body: &[u8]) -> Bytes {
    [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], &[0], body].concat().into()
}

/// Polls a future once and drops it; what it gave, if it was ready.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn dropped_reads_and_writes_lose_nothing_and_repeat_nothing() {
    let (sealer, opener) = keys().await;
    let (near, far) = duplex(97);
    let mut writer = FrameWriter::new(near, sealer, Arc::default());
    let mut reader = reader(far, opener, MAX_MESSAGE_BYTES);
    let mut queue = frames().into_iter();
    let mut read = Vec::new();
    let all = frames();
    while read.len() < all.len() {
        if let Some(written) = poll_once(writer.write_all(|| queue.next().map(|body| plain(&body)))).await {
            written.unwrap();
        }
        if let Some(frame) = poll_once(reader.next_frame()).await {
            read.push(frame.unwrap().unpack().unwrap().to_vec());
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(read, all);
}

/// Counts what a socket would be asked to do.
#[derive(Default)]
struct Counting {
    writes: usize,
    bytes: usize,
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        self.bytes += bytes.len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn frames_that_wait_leave_together() {
    let (sealer, _) = keys().await;
    let traffic = Arc::new(Traffic::default());
    let mut writer = FrameWriter::new(Counting::default(), sealer, traffic.clone());
    let frame = Frame::new(&[1; 95]).unwrap().bytes().clone();
    let mut frames = std::iter::repeat_n(frame, 1_000);
    writer.write_all(|| frames.next()).await.unwrap();
    assert_eq!(writer.sink.writes, 1, "1,000 frames of 100 bytes fit one batch");
    assert_eq!(writer.sink.bytes, 100_000 + 2 * (LENGTH_BYTES + TAG_BYTES));
    assert_eq!(traffic.sent(), writer.sink.bytes as u64);
    let most = WRITE_BATCH_BYTES + 2 * (LENGTH_BYTES + TAG_BYTES);
    let mut long = Some(plain(&vec![0; MAX_MESSAGE_BYTES]));
    writer.write_all(|| long.take()).await.unwrap();
    assert!(writer.sealed.capacity() <= 2 * most && writer.plain.capacity() <= 2 * most, "whatever a frame's length");
}

#[tokio::test]
async fn before_hello_no_message_longer_than_the_handshakes_limit_is_taken() {
    let (_, opener) = keys().await;
    let (mut near, far) = duplex(4_096);
    let mut reader = reader(far, opener, MAX_HANDSHAKE_BYTES);
    let most = MAX_HANDSHAKE_BYTES + HEADER_BYTES + TAG_BYTES;
    near.write_all(&u16::try_from(most + 1).unwrap().to_be_bytes()).await.unwrap();
    let refused = NoiseError::Length { found: most + 1, least: TAG_BYTES + 1, most };
    assert_eq!(within(reader.next_frame()).await, Err(refused.into()));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_given_up() {
    let (_, opener) = keys().await;
    let (near, far) = duplex(4_096);
    let mut reader = reader(far, opener, MAX_MESSAGE_BYTES);
    let start = tokio::time::Instant::now();
    assert_eq!(reader.next_frame().await, Err(LinkError::Silent(15_000)));
    assert_eq!(start.elapsed().as_secs(), 15);
    drop(near);
    assert_eq!(reader.next_frame().await, Err(LinkError::HungUp));
}
