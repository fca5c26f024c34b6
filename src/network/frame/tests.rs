use super::*;
use crate::limits::MAX_HANDSHAKE_BYTES;
use proptest::prelude::*;
use std::io::Write as _;

fn header(length: u32, flags: u8) -> Vec<u8> {
    [&length.to_le_bytes()[..], &[flags]].concat()
}

fn compressed(packed: &[u8]) -> Vec<u8> {
    [header(packed.len() as u32, COMPRESSED), packed.to_vec()].concat()
}

fn parse(bytes: &[u8]) -> Result<Option<Bytes>, FrameError> {
    let mut parser = FrameParser::new(MAX_MESSAGE_BYTES);
    parser.buffer().extend_from_slice(bytes);
    parser.next_frame()?.map(ReceivedFrame::unpack).transpose()
}

/// Bodies short and long, some that compress and some that do not.
fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2_000),
        (any::<u8>(), 0..20_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    proptest::collection::vec(body, 0..8)
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
        bodies in bodies(),
        cuts in proptest::collection::vec(1..4_000_usize, 1..50),
    ) {
        let frames = bodies.iter().map(|body| Frame::new(body).unwrap());
        let stream: Vec<u8> = frames.flat_map(|frame| frame.bytes().to_vec()).collect();
        let mut parser = FrameParser::new(MAX_MESSAGE_BYTES);
        let mut parsed = Vec::new();
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            parser.buffer().extend_from_slice(part);
            while let Some(frame) = parser.next_frame().unwrap() {
                let size = frame.size();
                let body = frame.unpack().unwrap();
                prop_assert_eq!(body.len(), size, "a frame says how long it is unpacked");
                parsed.push(body.to_vec());
            }
            rest = after;
        }
        prop_assert_eq!(parsed, bodies);
        prop_assert!(parser.buffer().is_empty());
    }

    #[test]
    fn no_bytes_make_the_parser_panic_or_give_more_than_it_may(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        flags in 0..2_u8,
    ) {
        let mut stream = header(bytes.len() as u32, flags);
        stream.extend_from_slice(&bytes);
        for stream in [stream, bytes] {
            if let Ok(Some(body)) = parse(&stream) {
                prop_assert!(body.len() <= MAX_MESSAGE_BYTES);
            }
        }
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_else_is_there() {
    for (limit, length) in [(MAX_HANDSHAKE_BYTES, 1_025), (MAX_MESSAGE_BYTES, 4_194_305), (MAX_MESSAGE_BYTES, u32::MAX)]
    {
        let mut parser = FrameParser::new(limit);
        parser.buffer().extend_from_slice(&length.to_le_bytes());
        assert_eq!(parser.next_frame(), Err(FrameError::TooLong { length: length.into(), limit }));
    }
}

#[test]
fn a_claimed_length_makes_no_room_for_itself() {
    let mut parser = FrameParser::new(MAX_MESSAGE_BYTES);
    parser.buffer().extend_from_slice(&header(MAX_MESSAGE_BYTES as u32, PLAIN));
    assert_eq!(parser.next_frame(), Ok(None));
    assert!(parser.buffer().capacity() < 1_024);
}

#[test]
fn the_limit_itself_is_allowed_and_can_be_raised() {
    let body = vec![1; 100];
    let mut parser = FrameParser::new(100);
    parser.buffer().extend_from_slice(Frame::new(&body).unwrap().bytes());
    assert_eq!(parser.next_frame().unwrap().unwrap().unpack().unwrap(), body);
    parser.set_limit(99);
    parser.buffer().extend_from_slice(Frame::new(&body).unwrap().bytes());
    assert_eq!(parser.next_frame(), Err(FrameError::TooLong { length: 100, limit: 99 }));
    parser.set_limit(100);
    assert_eq!(parser.next_frame().unwrap().unwrap().unpack().unwrap(), body);
}

#[test]
fn nobody_makes_a_frame_that_nobody_takes() {
    assert!(Frame::new(&vec![0; MAX_MESSAGE_BYTES]).is_ok());
    let too_long = FrameError::TooLong { length: MAX_MESSAGE_BYTES as u64 + 1, limit: MAX_MESSAGE_BYTES };
    assert_eq!(Frame::new(&vec![0; MAX_MESSAGE_BYTES + 1]), Err(too_long));
}

#[test]
fn what_compresses_is_compressed_and_what_does_not_is_not() {
    let flags = |body: &[u8]| Frame::new(body).unwrap().bytes()[4];
    assert_eq!(flags(&[0; COMPRESSED_FROM_BYTES]), PLAIN, "short");
    assert_eq!(flags(&[0; COMPRESSED_FROM_BYTES + 1]), COMPRESSED);
    let mut noise = vec![0; 4_096];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    assert_eq!(flags(&noise), PLAIN, "no shorter when compressed");
}

#[test]
fn unknown_flags_are_refused_before_the_body_is_there() {
    assert_eq!(parse(&header(100, 2)), Err(FrameError::UnknownFlags(2)));
    assert_eq!(parse(&header(100, 0xff)), Err(FrameError::UnknownFlags(0xff)));
}

#[test]
fn what_would_unpack_to_too_much_is_refused_unseen() {
    let bomb = zstd::bulk::compress(&vec![0; MAX_MESSAGE_BYTES + 1], LEVEL).unwrap();
    assert!(bomb.len() < 1_024);
    let too_long = FrameError::TooLong { length: MAX_MESSAGE_BYTES as u64 + 1, limit: MAX_MESSAGE_BYTES };
    assert_eq!(parse(&compressed(&bomb)), Err(too_long));
    let half = zstd::bulk::compress(&vec![0; MAX_MESSAGE_BYTES / 2 + 1], LEVEL).unwrap();
    let too_long = FrameError::TooLong { length: MAX_MESSAGE_BYTES as u64 + 2, limit: MAX_MESSAGE_BYTES };
    assert_eq!(parse(&compressed(&[half.clone(), half].concat())), Err(too_long), "in two parts");
}

#[test]
fn what_does_not_say_to_how_much_it_unpacks_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL).unwrap();
    encoder.write_all(&[0; 10_000]).unwrap();
    assert_eq!(parse(&compressed(&encoder.finish().unwrap())), Err(FrameError::SizeMissing));
    assert_eq!(parse(&compressed(b"no zstd at all")), Err(FrameError::SizeMissing));
}

#[test]
fn what_was_damaged_does_not_unpack() {
    let body: Vec<u8> = (0..5_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
    let good = zstd::bulk::compress(&body, LEVEL).unwrap();
    assert_eq!(parse(&compressed(&good)).unwrap().unwrap(), body);
    assert_eq!(parse(&compressed(&good[..good.len() - 1])), Err(FrameError::SizeMissing), "cut short");
    for at in 6..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        match parse(&compressed(&damaged)) {
            Ok(Some(unpacked)) => assert!(unpacked.len() <= MAX_MESSAGE_BYTES),
            Ok(None) => panic!("all of it is there"),
            Err(_) => {}
        }
    }
}
