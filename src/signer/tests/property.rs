//! Random requests, random crashes, a disk that loses, tears and flips: over all lives of a key, no two signatures
//! that were ever released contradict each other. The oracle knows nothing of the policy.

use super::*;
use crate::types::vote::FinalityKind;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked or happens.
#[derive(Clone, Debug)]
enum Op {
    Proposal { height: u64, view: u32, content: u8, proof_view: Option<u32> },
    Vote { kind: BftKind, height: u64, view: u32, value: Option<u8>, lock: Option<(u32, u8)>, proof_view: Option<u32> },
    Closing { height: u64, view: u32, epoch_offset: u64, txids: Vec<u8>, fresh: bool },
    Votes { epoch_offset: u64, txs: Vec<u8> },
    Receipts { epoch_offset: u64, txids: Vec<u8> },
    Sync { writes: usize },
    Rewrite,
    Archived(u8),
    EpochClosed,
    Crash { surviving: usize, fault: Fault },
}

/// What the disk does in a crash, besides losing what was not synced.
#[derive(Clone, Debug)]
enum Fault {
    None,
    /// Part of the next append, per mille; zeros in place of the rest, or nothing.
    Torn {
        written: usize,
        has_zeros: bool,
    },
    /// One bit pattern in the last record, acknowledged or not; per mille.
    Flip {
        at: usize,
        mask: u8,
    },
    /// Everything from here to the end of the last record, per mille.
    Garbage {
        from: usize,
    },
}

fn transactions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..8u8, 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    let fault = prop_oneof![
        2 => Just(Fault::None),
        3 => (0..1_000usize, any::<bool>()).prop_map(|(written, has_zeros)| Fault::Torn { written, has_zeros }),
        3 => (0..1_000usize, 1..=255u8).prop_map(|(at, mask)| Fault::Flip { at, mask }),
        1 => (0..1_000usize).prop_map(|from| Fault::Garbage { from }),
    ];
    let kind = prop_oneof![Just(BftKind::Prepare), Just(BftKind::Precommit)];
    let proof = || prop::option::of(0..3u32);
    let place = || (1..5u64, 0..3u32);
    prop_oneof![
        2 => (place(), 0..3u8, proof()).prop_map(|((height, view), content, proof_view)| Op::Proposal {
            height, view, content, proof_view
        }),
        8 => (kind, place(), prop::option::of(0..3u8), prop::option::of((0..3u32, 0..3u8)), proof()).prop_map(
            |(kind, (height, view), value, lock, proof_view)| Op::Vote { kind, height, view, value, lock, proof_view }
        ),
        2 => (place(), 0..2u64, transactions(), any::<bool>()).prop_map(
            |((height, view), epoch_offset, txids, fresh)| Op::Closing { height, view, epoch_offset, txids, fresh }
        ),
        8 => (0..5u64, transactions()).prop_map(|(offset, txs)| Op::Votes { epoch_offset: offset / 4, txs }),
        4 => (0..5u64, transactions()).prop_map(|(offset, txids)| Op::Receipts { epoch_offset: offset / 4, txids }),
        8 => (1..4usize).prop_map(|writes| Op::Sync { writes }),
        1 => Just(Op::Rewrite),
        1 => (0..8u8).prop_map(Op::Archived),
        1 => Just(Op::EpochClosed),
        5 => (0..4usize, fault).prop_map(|(surviving, fault)| Op::Crash { surviving, fault }),
    ]
}

/// Rivals abound: eight transactions share five outpoints.
fn inputs(tx: u8) -> Vec<u8> {
    vec![tx % 3, 3 + tx % 2]
}

/// What a closing block that was granted may leave unarchived of the epoch's receipts: nothing but what is not here.
#[derive(Clone, Debug)]
struct ClosingGrant {
    epoch: Epoch,
    archives: Option<BTreeSet<Txid>>,
}

/// Judges by what was released, and by what was asked when it was granted.
#[derive(Default)]
struct Oracle {
    blocks: BTreeMap<(Height, View, BftKind), Option<BlockHash>>,
    proposals: BTreeMap<(Height, View), (Option<View>, BlockHash)>,
    voted: BTreeMap<(Epoch, OutPoint), Txid>,
    receipted: BTreeSet<(Epoch, Txid)>,
    granted_closing: BTreeMap<(Height, View), ClosingGrant>,
    closed: Vec<ClosingGrant>,
}

impl Oracle {
    fn released(&mut self, messages: Vec<SignedMessage>) {
        for message in messages {
            match message {
                SignedMessage::Proposal(p) => {
                    let value = (p.proof_view(), p.header.hash());
                    let first = *self.proposals.entry((p.header.height, p.view)).or_insert(value);
                    assert_eq!(first, value, "two proposals");
                }
                SignedMessage::Bft(v) => {
                    let first = *self.blocks.entry((v.height, v.view, v.kind)).or_insert(v.block_hash);
                    assert_eq!(first, v.block_hash, "two values");
                    if let (BftKind::Prepare, Some(grant)) = (v.kind, self.granted_closing.get(&(v.height, v.view))) {
                        self.closed.push(grant.clone());
                    }
                }
                SignedMessage::Votes(batch) => self.batch(batch.epoch, batch.kind, batch.txids),
            }
        }
        for grant in &self.closed {
            let Some(archives) = &grant.archives else { continue };
            let left_out =
                self.receipted.iter().find(|(epoch, txid)| *epoch == grant.epoch && !archives.contains(txid));
            assert_eq!(left_out, None, "a fresh closing block was prepared that leaves out a receipt");
        }
    }

    fn batch(&mut self, epoch: Epoch, kind: FinalityKind, txids: Vec<Txid>) {
        for txid in txids {
            match kind {
                FinalityKind::Receipt => {
                    self.receipted.insert((epoch, txid));
                }
                FinalityKind::Vote => {
                    for input in inputs(txid.0[0]) {
                        let first = *self.voted.entry((epoch, outpoint(input))).or_insert(txid);
                        assert_eq!(first, txid, "two votes for one outpoint in one epoch");
                    }
                }
            }
        }
    }

    /// A prepare against a released precommit needs a newer proof, or a newer lock than that precommit.
    fn check_lock(&self, request: &SignRequest) {
        let SignRequest::Bft { height, view, kind: BftKind::Prepare, block_hash: Some(hash), lock, proof_view, .. } =
            request
        else {
            return;
        };
        let mut votes = self.blocks.range((*height, View::ZERO, BftKind::Prepare)..(*height, *view, BftKind::Prepare));
        let locked = votes.rfind(|((_, _, kind), value)| *kind == BftKind::Precommit && value.is_some());
        if let Some(((_, locked_view, _), Some(locked))) = locked {
            let is_newer = (*proof_view).max(lock.map(|(view, _)| view)).is_some_and(|view| view > *locked_view);
            assert!(locked == hash || is_newer, "prepared {hash:?} against the lock on {locked:?}");
        }
    }

    fn check_epoch_is_open(&self, epoch: Epoch) {
        assert!(self.closed.iter().all(|grant| grant.epoch != epoch), "signed of an epoch after its end was prepared");
    }
}

struct World {
    node: Node,
    oracle: Oracle,
    epoch: u64,
    archived: BTreeSet<Txid>,
    granted: usize,
}

impl World {
    fn new() -> Self {
        Self { node: Node::fresh(), oracle: Oracle::default(), epoch: 0, archived: BTreeSet::new(), granted: 0 }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Proposal { height, view, content, proof_view } => {
                self.ask(proposal(height, view, content, proof_view));
            }
            Op::Vote { kind, height, view, value, lock: locked, proof_view } => {
                let locked = locked.and_then(|(view, n)| lock(view, n));
                // Half of all precommits of a block come as an engine makes them.
                let own = value.filter(|n| kind == BftKind::Precommit && n % 2 == 0).and_then(|n| lock(view, n));
                let extra = Extra { lock: own.or(locked), proof_view, closing: None };
                self.ask(vote(kind, height, view, value, extra));
            }
            Op::Closing { height, view, epoch_offset, txids, fresh } => {
                self.ask(closing_prepare(height, view, self.epoch + epoch_offset, &txids, fresh));
            }
            Op::Votes { epoch_offset, txs } => {
                let inputs: Vec<Vec<u8>> = txs.iter().map(|tx| inputs(*tx)).collect();
                let txs: Vec<(u8, &[u8])> = txs.iter().zip(&inputs).map(|(tx, i)| (*tx, i.as_slice())).collect();
                self.ask(votes(self.epoch.saturating_sub(epoch_offset), &txs));
            }
            Op::Receipts { epoch_offset, txids } => {
                self.ask(receipts(self.epoch.saturating_sub(epoch_offset), &txids));
            }
            Op::Sync { writes } => self.sync(writes),
            Op::Rewrite => {
                let rewritten = self.node.signer.rewrite();
                self.node.replace(rewritten);
            }
            Op::Archived(n) => {
                self.archived.insert(txid(n));
                self.node.signer.archived(&[txid(n)]);
            }
            Op::EpochClosed => {
                self.epoch += 1;
                self.archived.clear();
                assert_eq!(self.node.signer.epoch_closed(Epoch::new(self.epoch - 1)), None, "too small to rewrite");
            }
            Op::Crash { surviving, fault } => self.crash(surviving, fault),
        }
    }

    fn ask(&mut self, request: SignRequest) {
        let Ok(appended) = self.node.ask(request.clone()) else { return };
        if appended.bytes.is_empty() {
            return;
        }
        self.granted += 1;
        self.oracle.check_lock(&request);
        match request {
            SignRequest::Votes { epoch, .. } | SignRequest::Receipts { epoch, .. } => {
                self.oracle.check_epoch_is_open(epoch);
            }
            SignRequest::Bft { height, view, kind: BftKind::Prepare, closing, .. } => {
                let grant = closing.map(|closing| ClosingGrant {
                    epoch: closing.epoch,
                    archives: closing.fresh.then(|| closing.txids.union(&self.archived).copied().collect()),
                });
                match grant {
                    Some(grant) => self.oracle.granted_closing.insert((height, view), grant),
                    None => self.oracle.granted_closing.remove(&(height, view)),
                };
            }
            _ => {}
        }
    }

    fn sync(&mut self, writes: usize) {
        for _ in 0..writes.min(self.node.unsynced.len()) {
            let (write, seq) = self.node.unsynced.remove(0);
            self.node.write(write);
            let released = self.node.signer.flushed(seq);
            self.oracle.released(released);
        }
    }

    fn crash(&mut self, surviving: usize, fault: Fault) {
        let mut unsynced = std::mem::take(&mut self.node.unsynced).into_iter().map(|(write, _)| write);
        for write in unsynced.by_ref().take(surviving) {
            self.node.write(write);
        }
        let mut file = std::mem::take(&mut self.node.file);
        let starts = boundaries(&file);
        let last = starts[starts.len() - 2];
        let length = file.len() - last;
        let (is_garbage, undamaged) = (matches!(fault, Fault::Garbage { .. }), file.clone());
        match (fault.clone(), unsynced.next()) {
            (Fault::Torn { written, has_zeros }, Some(Write::Append(bytes))) => {
                let whole = file.len() + bytes.len();
                file.extend_from_slice(&bytes[..bytes.len() * written / 1_000]);
                file.resize(if has_zeros { whole } else { file.len() }, 0);
            }
            (Fault::Flip { at, mask }, _) => file[last + length * at / 1_000] ^= mask,
            (Fault::Garbage { from }, _) => file[last + length * from / 1_000..].fill(0x11),
            _ => {}
        }
        self.node = match Node::open(LogContents::Bytes(file)) {
            Ok(node) => node,
            // Known to have been acknowledged: it does not start, and the disk is given a second chance.
            Err(SignerError::Damaged { .. }) if is_garbage => Node::open(LogContents::Bytes(undamaged)).unwrap(),
            Err(error) => panic!("{fault:?}: {error}"),
        };
        if let Some(closed) = self.epoch.checked_sub(1) {
            let _not_worthwhile = self.node.signer.epoch_closed(Epoch::new(closed));
        }
        self.node.signer.archived(&self.archived.iter().copied().collect::<Vec<_>>());
        self.oracle.released(self.node.signer.repeat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn no_two_signatures_of_all_lives_contradict(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.sync(usize::MAX);
        // The signer is asked to serve, too, not only to refuse.
        let height = world.node.recovered.floor.0.max(Height::new(9));
        let request = prepare(height.get(), 0, Some(1));
        prop_assert_eq!(world.node.sign(request).unwrap().len(), 1);
    }

    #[test]
    fn a_rewritten_log_says_the_same(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.sync(usize::MAX);
        let rewritten = world.node.signer.rewrite();
        let before = (world.node.signer.repeat(), world.node.signer.epoch());
        let again = Node::open(LogContents::Bytes(rewritten.bytes)).unwrap();
        prop_assert_eq!((again.signer.repeat(), again.signer.epoch()), before);
    }
}

#[test]
fn random_requests_are_granted_often_enough_to_mean_something() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut granted = 0;
    for _ in 0..200 {
        let ops = prop::collection::vec(op(), 80).new_tree(&mut runner).unwrap().current();
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        granted += world.granted;
    }
    assert!(granted > 200 * 5, "{granted}");
}
