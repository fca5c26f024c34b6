//! What a hostile peer can do to a node over its socket.

use crate::intruder::{Fate, Intruder, Target, frame, header, hear_out_raw};
use crate::rpc;
use serde_json::json;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use timed::chain::spec::Chain;
use timed::limits::MAX_MESSAGE_BYTES;
use timed::network::Wire;
use timed::replica::{Message, SealedBlock};
use timed::types::block::{BftKind, BftVote, Block, Commit, Header, Proposal, commit_root, evidence_root, tx_root};
use timed::types::codec::encode;
use timed::types::hash::{BlockHash, ChainId, Hash, Txid};
use timed::types::keys::{SecretKey, Signature};
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Height, Slot, View};
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};

/// Payments in one message, each with a signature over something else.
const PAYMENTS: u64 = 1_000;
/// Votes in one go, likewise.
const VOTES: u64 = 500;
/// A frame of this flag is compressed.
const ZSTD: u8 = 1;
/// What a node tells who broke the protocol.
const FAULT: Option<&str> = Some("a breach of the protocol");
/// Pause of one who needs no preparation.
const OFTEN: Duration = Duration::from_millis(50);
/// Between two bytes of one socket.
const DRIP: Duration = Duration::from_millis(500);
/// A node that keeps a socket without a handshake for longer than this keeps it for ever.
const PATIENCE: Duration = Duration::from_secs(60);

type Commission = Box<dyn Fn(&Target, u64) -> io::Result<Fate> + Sync>;

/// One way to offend.
pub struct Offence {
    pub name: &'static str,
    /// Does it as the node of this number. An error is one before the offence was complete.
    pub commit: Commission,
    /// Least time from one time to the next, for each offender.
    pub every: Duration,
    /// Signatures that do not verify, each time.
    pub signatures: u64,
    /// What offenders are told.
    pub told: Option<&'static str>,
}

/// Offences that can be committed at once; see [`drip_on_many_sockets`] for the slow one. The node says at `rpc` how high
/// its chain is.
pub fn all(chain: &Chain, rpc: SocketAddr) -> Vec<Offence> {
    let offence = |name, told, commit| Offence { name, commit, every: OFTEN, signatures: 0, told };
    let inside = |plaintext: Vec<u8>| -> Commission {
        Box::new(move |target, number| {
            let mut intruder = Intruder::introduced(target, number, target.chain)?;
            intruder.say(&plaintext)?;
            Ok(intruder.hear_out())
        })
    };
    let (payments, votes) = (bad_payments(chain), bad_votes(chain));
    let once = |name, message: fn(Forged) -> Message| offence(name, FAULT, forged(chain, rpc, message, 1));
    // What nobody asked for costs nothing and is nobody's fault: who claims to have more is asked for it in its turn, and says
    // it until then. So much of it is unread when the link ends that the reason is lost with it.
    let answer = |name, message| offence(name, None, forged(chain, rpc, message, FORGED_ANSWERS));
    vec![
        offence("garbage before the handshake", None, Box::new(garbage_before)),
        offence("a long Noise message before the handshake", None, Box::new(long_before)),
        offence("a Hello of another chain", Some("another chain"), Box::new(hello_of_another_chain)),
        offence("a replayed conversation", None, Box::new(replayed)),
        offence("garbage in the stream after the handshake", FAULT, Box::new(garbage_after)),
        offence("garbage inside the channel", FAULT, inside((0..=255).cycle().skip(7).take(4_096).collect())),
        offence("a length prefix of 4 GiB", FAULT, inside([header(u32::MAX, 0), vec![0; 60_000]].concat())),
        offence("a compressed frame of 256 MiB", FAULT, inside(packed(&bomb(256 << 20)))),
        offence("one without its size", FAULT, inside(packed(&bomb_without_size()))),
        offence("one of 4 MiB that is no message", FAULT, inside(packed(&bomb(MAX_MESSAGE_BYTES)))),
        Offence { signatures: PAYMENTS, every: Duration::from_millis(400), ..offence("bad payments", FAULT, payments) },
        Offence { signatures: VOTES, every: Duration::from_millis(200), ..offence("bad votes", FAULT, votes) },
        answer("a block that nobody signed", |forged| Message::Blocks(forged.blocks())),
        once("a commit that nobody signed", |forged| Message::Commit(forged.blocks().remove(0).commit)),
        once("a proposal that its leader did not sign", |forged| Message::Proposal(Box::new(forged.proposal()))),
    ]
}

/// Bytes that look like nothing.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|_| rand::random()).collect()
}

fn garbage_before(target: &Target, _: u64) -> io::Result<Fate> {
    let mut stream = target.connect()?;
    // As long as a first message is, and its length says so: it is the bytes behind that are wrong.
    stream.write_all(&[&[0, 200][..], &noise(10_000)].concat())?;
    Ok(hear_out_raw(stream))
}

fn long_before(target: &Target, _: u64) -> io::Result<Fate> {
    let mut stream = target.connect()?;
    stream.write_all(&[0xff, 0xff])?;
    Ok(hear_out_raw(stream))
}

fn hello_of_another_chain(target: &Target, number: u64) -> io::Result<Fate> {
    Ok(Intruder::introduced(target, number, ChainId([9; 32]))?.hear_out())
}

/// What an honest peer said, word for word, to the same node.
fn replayed(target: &Target, number: u64) -> io::Result<Fate> {
    let mut first = Intruder::introduced(target, number, target.chain)?;
    first.say(&frame(&encode(&Wire::GetPeers)))?;
    let mut stream = target.connect()?;
    stream.write_all(&first.said)?;
    Ok(hear_out_raw(stream))
}

fn garbage_after(target: &Target, number: u64) -> io::Result<Fate> {
    let mut intruder = Intruder::introduced(target, number, target.chain)?;
    intruder.stream.write_all(&[&[0x10, 0][..], &noise(0x1000)].concat())?;
    Ok(intruder.hear_out())
}

fn packed(body: &[u8]) -> Vec<u8> {
    [header(u32::try_from(body.len()).unwrap(), ZSTD), body.to_vec()].concat()
}

/// So many zeros, honestly labelled.
fn bomb(length: usize) -> Vec<u8> {
    zstd::bulk::compress(&vec![0; length], 19).unwrap()
}

/// As a stream is compressed whose length nobody knows yet.
fn bomb_without_size() -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&vec![0; 64 << 20]).unwrap();
    encoder.finish().unwrap()
}

fn message(message: Message) -> Vec<u8> {
    frame(&encode(&Wire::Replica(Arc::new(message))))
}

/// Payments that nobody saw before, well-formed, all with good signatures of something else: each has to be looked at.
fn bad_payments(chain: &Chain) -> Commission {
    let key = SecretKey::from_bytes(&[0x66; 32]);
    let signature = key.sign(&Hash([1; 32]));
    let value = Amount::new(chain.min_output.get() * 10);
    Box::new(move |target, number| {
        let mut intruder = Intruder::introduced(target, number, target.chain)?;
        let payment = |index: u64| Transaction {
            body: TxBody {
                version: 1,
                inputs: vec![OutPoint { txid: Txid([7; 32]), index: u32::try_from(index).unwrap() }],
                outputs: vec![TxOut { value, lock: Lock::of_key(&key.public_key()) }],
                payload: Payload::Transfer,
                memo: number.to_le_bytes().to_vec(),
            },
            witnesses: vec![Witness::Key { pubkey: key.public_key(), signature }],
        };
        intruder.say(&message(Message::Txs((0..PAYMENTS).map(payment).collect())))?;
        Ok(intruder.hear_out())
    })
}

/// Votes on blocks by a masternode's key, as far as anybody can see before looking at the signature.
fn bad_votes(chain: &Chain) -> Commission {
    let voter = chain.masternodes[1].consensus_key;
    let signature: Signature = SecretKey::from_bytes(&[0x66; 32]).sign(&Hash([1; 32]));
    Box::new(move |target, number| {
        let mut intruder = Intruder::introduced(target, number, target.chain)?;
        let vote = |view: u64| {
            let block_hash = Some(BlockHash([u8::try_from(number % 251).unwrap(); 32]));
            let (height, view) = (Height::new(1 + number), View::new(u32::try_from(view).unwrap()));
            message(Message::BftVote(BftVote { height, view, kind: BftKind::Prepare, block_hash, voter, signature }))
        };
        let all: Vec<u8> = (0..VOTES).flat_map(vote).collect();
        intruder.say(&all)?;
        Ok(intruder.hear_out())
    })
}

/// A block of this height by a masternode, with everything but signatures.
struct Forged {
    header: Header,
    masternodes: usize,
}

/// Heights of forged messages from the next one on: blocks are made meanwhile.
const FORGED_HEIGHTS: u64 = 3;
/// How often a forger says it.
const FORGED_ANSWERS: u32 = 100;
/// What it waits between.
const FORGED_PAUSE: Duration = Duration::from_millis(100);

/// Says what `message` makes of blocks that nobody made, for the next heights.
fn forged(chain: &Chain, rpc: SocketAddr, message_of: fn(Forged) -> Message, times: u32) -> Commission {
    let (chain, leader) = (chain.clone(), chain.masternodes[1].consensus_key);
    Box::new(move |target, number| {
        let tip = rpc::call(rpc, "get_block_count", json!([])).ok().and_then(|count| count.as_u64()).unwrap_or(0);
        let mut intruder = Intruder::introduced(target, number, target.chain)?;
        let forge = |height: u64| {
            let header = Header {
                version: 1,
                chain_id: chain.id(),
                height: Height::new(height),
                slot: Slot::new(number),
                opened: height,
                prev: BlockHash([1; 32]),
                tx_root: tx_root([]),
                tx_count: 0,
                state_root: Hash([2; 32]),
                last_commit_root: commit_root(None),
                evidence_root: evidence_root(&[]),
                validators_hash: Hash([3; 32]),
                next_validators_hash: Hash([3; 32]),
                beacon: Hash([4; 32]),
                proposer: leader,
                reward: Amount::ZERO,
            };
            message(message_of(Forged { header, masternodes: chain.masternodes.len() }))
        };
        let all: Vec<u8> = (1..=FORGED_HEIGHTS).flat_map(|further| forge(tip + further)).collect();
        let claim = Message::Status {
            height: Height::new(tip + FORGED_HEIGHTS),
            hash: BlockHash([5; 32]),
            lowest: Height::new(1),
        };
        intruder.say(&message(claim))?;
        for _ in 0..times {
            if intruder.say(&all).is_err() || times == 1 {
                break;
            }
            std::thread::sleep(FORGED_PAUSE);
        }
        Ok(intruder.hear_out())
    })
}

impl Forged {
    fn signature(&self) -> Signature {
        SecretKey::from_bytes(&[0x66; 32]).sign(&self.header.tx_root)
    }

    fn blocks(self) -> Vec<SealedBlock> {
        let signatures = vec![Some(self.signature()); self.masternodes];
        let (height, block_hash) = (self.header.height, self.header.hash());
        let commit = Commit { height, view: View::ZERO, block_hash, signatures };
        let block = Block { header: self.header, txs: vec![], last_commit: None, evidence: vec![], vdf: None };
        vec![SealedBlock { block, commit }]
    }

    fn proposal(self) -> Proposal {
        Proposal {
            view: View::ZERO,
            proof: None,
            signature: self.signature(),
            leader: self.header.proposer,
            header: self.header,
            txids: vec![],
            last_commit: None,
            evidence: vec![],
            vdf: None,
        }
    }
}

/// Begins a handshake on that many sockets and goes on byte by byte; one that the node closes is opened anew, for that
/// long. Then waits until the node has closed all of them. Returns how many it closed.
pub fn drip_on_many_sockets(target: &Target, sockets: usize, length: Duration) -> usize {
    let mut closed = 0;
    let mut open: Vec<TcpStream> = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < length || !open.is_empty() {
        assert!(begin.elapsed() < length + PATIENCE, "{} sockets are still open", open.len());
        while begin.elapsed() < length && open.len() < sockets {
            let Ok(mut stream) = target.connect() else { break };
            stream.set_nonblocking(true).unwrap();
            // Of 32 bytes that never all come.
            stream.write_all(&[0, 32]).ok();
            open.push(stream);
        }
        let before = open.len();
        open.retain_mut(|stream| {
            let is_over = matches!(stream.read(&mut [0]), Ok(0))
                || matches!(stream.write(&[1]), Err(error) if error.kind() != ErrorKind::WouldBlock);
            !is_over
        });
        closed += before - open.len();
        // The pace of the attack.
        std::thread::sleep(DRIP);
    }
    closed
}
