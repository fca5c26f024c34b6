use super::*;
use crate::network::testing::{CHAIN, identity, key, node_id, within};
use crate::types::hash::Hash;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

type Ends = (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>);

fn connection() -> (Ends, Ends) {
    let (one, other) = duplex(65_536);
    (split(one), split(other))
}

async fn shake(initiator: &Identity, responder: &Identity) -> [Result<Channel, HandshakeError>; 2] {
    let ((mut a, mut b), (mut c, mut d)) = connection();
    let one = async move { handshake(&mut a, &mut b, Role::Initiator, initiator).await };
    let other = async move { handshake(&mut c, &mut d, Role::Responder, responder).await };
    let (one, other) = within(async { tokio::join!(one, other) }).await;
    [one, other]
}

async fn channels() -> [Channel; 2] {
    shake(&identity(1), &identity(2)).await.map(Result::unwrap)
}

fn noise_error(result: Result<Channel, HandshakeError>) -> NoiseError {
    match result {
        Err(HandshakeError::Noise(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_ends_know_each_other_and_the_name_of_their_channel() {
    let [one, other] = channels().await;
    assert_eq!((one.node_id, other.node_id), (node_id(2), node_id(1)));
    assert_eq!(one.handshake_hash, other.handshake_hash);
    let [again, _] = channels().await;
    assert_ne!(again.handshake_hash, one.handshake_hash, "another channel has another name");
}

#[tokio::test]
async fn nodes_of_different_chains_have_no_channel() {
    let elsewhere = Identity::new(ChainId([8; 32]), key(2)).unwrap();
    let [one, other] = shake(&identity(1), &elsewhere).await;
    assert!(matches!(noise_error(one), NoiseError::Protocol(_)));
    assert!(matches!(other, Err(HandshakeError::Io(_))), "the initiator hung up");
}

/// Runs a node against an initiator that sends `payloads` in its two messages.
async fn answer_to(early: &[u8], payload: impl FnOnce(&Identity) -> Vec<u8>) -> Result<Channel, HandshakeError> {
    let ((mut a, mut b), (mut c, mut d)) = connection();
    let (node, liar) = (identity(1), identity(2));
    let lie = async {
        let mut state = liar.start(Role::Initiator)?;
        send(&mut b, &mut state, early).await?;
        receive(&mut a, &mut state).await?;
        send(&mut b, &mut state, &payload(&liar)).await
    };
    let lie = async {
        let told: Result<(), HandshakeError> = lie.await;
        told.unwrap();
        std::future::pending().await
    };
    within(async {
        tokio::select! {
            answer = handshake(&mut c, &mut d, Role::Responder, &node) => answer,
            answer = lie => answer,
        }
    })
    .await
}

#[tokio::test]
async fn an_identity_has_to_sign_this_noise_key_for_this_role_on_this_chain() {
    answer_to(&[], |liar| liar.payload(Role::Initiator)).await.unwrap();
    let refused = NoiseError::Identity(node_id(2));
    let signed = |digest: Hash, n: u8| encode(&Payload { node_id: node_id(2), signature: key(n).sign(&digest) });
    let digest = |liar: &Identity| noise_static_digest(&CHAIN, Role::Initiator, &liar.noise_public);
    let by_another = answer_to(&[], |liar| signed(digest(liar), 3)).await;
    assert_eq!(noise_error(by_another), refused);
    let of_the_other_role = answer_to(&[], |liar| liar.payload(Role::Responder)).await;
    assert_eq!(noise_error(of_the_other_role), refused);
    let of_another_key = answer_to(&[], |_| identity(2).payload(Role::Initiator)).await;
    assert_eq!(noise_error(of_another_key), refused);
    let other_chain = |liar: &Identity| noise_static_digest(&ChainId([8; 32]), Role::Initiator, &liar.noise_public);
    let of_another_chain = answer_to(&[], |liar| signed(other_chain(liar), 2)).await;
    assert_eq!(noise_error(of_another_chain), refused);
}

#[tokio::test]
async fn payloads_are_what_they_have_to_be_and_nothing_else() {
    let short = answer_to(&[], |liar| liar.payload(Role::Initiator)[..95].to_vec()).await;
    assert!(matches!(noise_error(short), NoiseError::Payload(_)));
    let long = answer_to(&[], |liar| [liar.payload(Role::Initiator), vec![0]].concat()).await;
    assert!(matches!(noise_error(long), NoiseError::Payload(_)));
    let early = answer_to(&[1, 2], |liar| liar.payload(Role::Initiator)).await;
    assert_eq!(noise_error(early), NoiseError::EarlyPayload(2));
}

/// What a node makes of these bytes as the beginning of a handshake.
async fn answer_to_bytes(bytes: &[u8]) -> Result<Channel, HandshakeError> {
    let ((_a, mut b), (mut c, mut d)) = connection();
    b.write_all(bytes).await.unwrap();
    within(handshake(&mut c, &mut d, Role::Responder, &identity(1))).await
}

#[tokio::test]
async fn a_handshake_message_has_a_bounded_length() {
    for length in [0_u16, 1_025, u16::MAX] {
        let answer = answer_to_bytes(&length.to_be_bytes()).await;
        let expected = NoiseError::Length { found: length.into(), least: 1, most: 1_024 };
        assert_eq!(noise_error(answer), expected, "refused at its length");
    }
}

#[tokio::test]
async fn garbage_is_no_handshake() {
    let garbage = [&10_u16.to_be_bytes()[..], &[0x55; 10]].concat();
    assert!(matches!(noise_error(answer_to_bytes(&garbage).await), NoiseError::Protocol(_)));
}

fn sealed(channel: &mut Channel, plaintext: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    channel.sealer.encrypt(plaintext, &mut out).unwrap();
    out
}

fn opened(channel: &mut Channel, message: &[u8]) -> Result<BytesMut, NoiseError> {
    let mut out = BytesMut::new();
    channel.opener.decrypt(message, &mut out).map(|()| out)
}

#[tokio::test]
async fn both_directions_carry_what_was_said() {
    let [mut one, mut other] = channels().await;
    for text in [&b"first"[..], b"second"] {
        let message = sealed(&mut one, text);
        assert!(!message.windows(text.len()).any(|window| window == text), "nobody reads along");
        assert_eq!(opened(&mut other, &message[LENGTH_BYTES..]).unwrap(), text);
        let message = sealed(&mut other, text);
        assert_eq!(opened(&mut one, &message[LENGTH_BYTES..]).unwrap(), text);
    }
}

#[tokio::test]
async fn what_was_changed_repeated_left_out_or_reflected_does_not_open() {
    let [mut one, mut other] = channels().await;
    let messages = [sealed(&mut one, b"first"), sealed(&mut one, b"second")];
    let [first, second] = messages.each_ref().map(|message| &message[LENGTH_BYTES..]);
    assert!(opened(&mut other, second).is_err(), "the first was left out");
    let mut changed = first.to_vec();
    changed[0] ^= 1;
    assert!(opened(&mut other, &changed).is_err());
    assert!(opened(&mut one, first).is_err(), "its own");
    assert_eq!(opened(&mut other, first).unwrap(), &b"first"[..]);
    assert!(opened(&mut other, first).is_err(), "repeated");
    assert_eq!(opened(&mut other, second).unwrap(), &b"second"[..]);
}

#[tokio::test]
async fn long_texts_are_cut_at_the_longest_message() {
    let [mut one, mut other] = channels().await;
    let text: Vec<u8> = (0..2 * MAX_NOISE_PLAINTEXT_BYTES + 1).map(|i| i as u8).collect();
    let mut rest = sealed(&mut one, &text);
    let mut lengths = Vec::new();
    let mut out = BytesMut::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let message = rest.split_to(LENGTH_BYTES + length);
        other.opener.decrypt(&message[LENGTH_BYTES..], &mut out).unwrap();
        lengths.push(length);
    }
    assert_eq!(lengths, [65_535, 65_535, 1 + TAG_BYTES]);
    assert_eq!(out, text);
}

#[tokio::test]
async fn a_message_that_carries_nothing_is_refused() {
    let [one, mut other] = channels().await;
    let mut empty = [0; TAG_BYTES];
    one.sealer.state.write_message(0, &[], &mut empty).unwrap();
    assert!(matches!(opened(&mut other, &empty), Err(NoiseError::Length { found: TAG_BYTES, .. })));
}
