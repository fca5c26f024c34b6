//! Frames: the same whatever pieces they come in, never longer than they may be, and what a node sends is read as it was.

use bytes::Bytes;
use timed::limits::{MAX_HANDSHAKE_BYTES, MAX_MESSAGE_BYTES};
use timed::network::{Frame, FrameError, FrameParser};

/// The first byte chooses the pieces and the limit, the rest is the stream.
pub fn check(data: &[u8]) {
    let Some((choice, stream)) = data.split_first() else { return };
    let limit = if choice & 1 == 0 { MAX_MESSAGE_BYTES } else { MAX_HANDSHAKE_BYTES };
    let whole = read([stream].into_iter(), limit);
    let piece = usize::from(choice >> 1) + 1;
    assert_eq!(read(stream.chunks(piece), limit), whole, "in pieces of {piece}");
    assert_eq!(read(pieces(stream), limit), whole, "in pieces of growing length");
    let frame = Frame::new(stream).expect("shorter than the longest message");
    let sent = [Ok(Bytes::copy_from_slice(stream))];
    assert_eq!(read([frame.bytes().as_ref()].into_iter(), MAX_MESSAGE_BYTES), sent);
}

/// Pieces of 1, 2, 3, .. bytes.
fn pieces(mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    (1..).map_while(move |length: usize| {
        let (piece, rest) = stream.split_at(length.min(stream.len()));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The bodies of all frames, and the error that ends them if one does.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Vec<Result<Bytes, FrameError>> {
    let mut parser = FrameParser::new(limit);
    let mut bodies = Vec::new();
    for piece in pieces {
        parser.buffer().extend_from_slice(piece);
        loop {
            match parser.next_frame() {
                Ok(Some(frame)) => {
                    let size = frame.size();
                    assert!(size <= limit, "{size} bytes");
                    let body = frame.unpack();
                    assert!(body.as_ref().is_ok_and(|body| body.len() <= size) || body.is_err(), "longer than it said");
                    bodies.push(body);
                }
                Ok(None) => break,
                Err(error) => {
                    bodies.push(Err(error));
                    return bodies;
                }
            }
        }
    }
    bodies
}
