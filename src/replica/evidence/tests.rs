use super::*;
use crate::chain::spec::Chain;
use crate::ledger::testing;
use crate::ledger::verify::Verifier;
use crate::types::block::{BftKind, bft_digest};
use crate::types::evidence::BftPart;
use crate::types::hash::BlockHash;
use crate::types::keys::SecretKey;
use crate::types::merkle::root_of_path;
use crate::types::number::{Epoch, Height, View};
use crate::types::transaction::{OutPoint, Payload};
use crate::types::vote::{FinalityKind, VotePart, finality_digest};

const NOW: TimeMs = TimeMs(1_000_000);

struct Scene {
    chain: Chain,
    verifier: Verifier,
}

impl Scene {
    fn new() -> Self {
        let mut spec = testing::spec();
        (spec.max_block_bytes, spec.max_tx_bytes, spec.overflow_min_bytes) = (1_000_000, 100_000, 400_000);
        let chain = Chain::new(spec).unwrap();
        Self { verifier: Verifier::new(chain.clone()), chain }
    }

    fn key(n: u64) -> SecretKey {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        SecretKey::from_bytes(&bytes)
    }

    /// Masternode `n` prepared two blocks.
    fn small(&self, n: u64) -> Verified<Evidence> {
        let key = Self::key(n);
        let part = |block: u8| {
            let (height, view, kind, block_hash) =
                (Height::new(1), View::ZERO, BftKind::Prepare, Some(BlockHash([block; 32])));
            let signature = key.sign(&bft_digest(&self.chain.id(), height, view, kind, block_hash));
            BftPart { height, view, kind, block_hash, signature }
        };
        self.verifier.evidence(Evidence::of_bft(key.public_key(), part(1), part(2))).unwrap()
    }

    /// Masternode `n` voted for two payments with memos of so many bytes.
    fn large(&self, n: u64, memo_bytes: usize) -> Verified<Evidence> {
        let key = Self::key(n);
        let part = |fill: u8| {
            let inputs = vec![OutPoint { txid: Txid([9; 32]), index: 0 }];
            let memo = vec![fill; memo_bytes];
            let body = TxBody { version: 1, inputs, outputs: Vec::new(), payload: Payload::Transfer, memo };
            let root = root_of_path(&body.txid().0, 0, 1, &[]).unwrap();
            let digest = finality_digest(&self.chain.id(), Epoch::ZERO, FinalityKind::Vote, &key.public_key(), &root);
            VotePart { body, index: 0, count: 1, path: Vec::new(), signature: key.sign(&digest) }
        };
        self.verifier.evidence(Evidence::of_votes(key.public_key(), Epoch::ZERO, part(1), part(2))).unwrap()
    }

    fn add(&self, pool: &mut EvidencePool, now: TimeMs, piece: Verified<Evidence>) -> bool {
        pool.add(now, &self.chain, piece)
    }
}

#[test]
fn what_no_block_would_take_keeps_out_nothing_else() {
    let scene = Scene::new();
    let mut pool = EvidencePool::default();
    // Larger than two payments can be: 4 MB fit a message.
    for memo_bytes in [110_000, 1_900_000] {
        assert!(!scene.add(&mut pool, NOW, scene.large(1, memo_bytes)));
    }
    assert!(scene.add(&mut pool, NOW, scene.small(1)));
    assert!(!scene.add(&mut pool, NOW, scene.large(1, 10)), "the first against a signer is enough");
    // But not if a much smaller one comes: that finds room sooner.
    assert!(scene.add(&mut pool, NOW, scene.large(3, 50_000)) && !scene.add(&mut pool, NOW, scene.large(3, 26_000)));
    assert!(scene.add(&mut pool, NOW, scene.small(3)) && pool.len().0 == 2);
    pool.retain(|voter| *voter != Scene::key(3).public_key());
    // As large as it may be: a block has room for it.
    let largest = scene.large(2, 101_000);
    assert!(encoded_size(&*largest) > 202_000 && scene.add(&mut pool, NOW, largest));
    assert_eq!(pool.within(scene.chain.max_block_bytes / 2).len(), 2);
    assert_eq!(pool.within(200_000).len(), 1);
    assert!(pool.within(100).is_empty());
    // A chain whose blocks hold no two of its payments.
    let spec = ChainSpec { max_block_bytes: 150_000, ..(*scene.chain).clone() };
    assert!(!EvidencePool::default().add(NOW, &spec, scene.large(2, 101_000)));
    assert!(EvidencePool::default().add(NOW, &spec, scene.small(2)));
}

#[test]
fn it_is_told_at_once_and_then_ever_more_rarely() {
    let scene = Scene::new();
    let mut pool = EvidencePool::default();
    scene.add(&mut pool, NOW, scene.small(1));
    let told: Vec<u64> = (0..600_000).filter(|ms| !pool.due(NOW.plus(*ms)).is_empty()).collect();
    assert_eq!(told[..6], [0, 500, 1_500, 3_500, 7_500, 15_500]);
    assert!(told.windows(2).all(|pair| pair[1] - pair[0] <= EVIDENCE_AGAIN_MAX_MS) && told.len() < 20, "{told:?}");
    assert!(told[told.len() - 1] > 530_000, "and never stops");
    // A clock that is set back by an hour.
    assert_eq!(pool.due(TimeMs(NOW.0 - 500_000)).len(), 1);
    pool.retain(|_| false);
    assert!(pool.due(NOW.plus(10_000_000)).is_empty());
}

#[test]
fn many_large_pieces_take_turns_and_hold_up_no_small_one() {
    let scene = Scene::new();
    let mut pool = EvidencePool::default();
    (0..20).for_each(|n| assert!(scene.add(&mut pool, NOW, scene.large(n, 90_000))));
    let bytes = |messages: &[Message]| messages.iter().map(|message| encoded_size(message) as u64).sum::<u64>();
    assert_eq!(pool.greeting().len(), 1, "one, though it is larger than a turn");
    let (mut seen, mut told) = (BTreeMap::new(), 0);
    for turn in 0..200 {
        let now = NOW.plus(turn * REPEAT_HEIGHT_MS);
        if turn == 50 {
            assert!(scene.add(&mut pool, now, scene.small(100)));
        }
        for message in [pool.due(now), pool.due(now.plus(1))].concat() {
            told += bytes(std::slice::from_ref(&message));
            let Message::Evidence(piece) = message else { panic!("{message:?}") };
            seen.entry(piece.voter()).or_insert(turn);
        }
        assert!(told <= (turn + 1) * MAX_EVIDENCE_TOLD_BYTES + max_piece_bytes(&scene.chain), "{turn}: {told}");
    }
    assert_eq!(seen.len(), 21, "each had its turn");
    assert!(seen[&Scene::key(100).public_key()] <= 54, "{seen:?}");
    let in_block = pool.within(200_000);
    assert!(in_block.len() == 2 && in_block.iter().any(|piece| piece.voter() == Scene::key(100).public_key()));
    assert_eq!(pool.greeting().len(), 1);
    assert!(bytes(&pool.greeting()) < 1_000, "the small one");
}

#[test]
fn where_there_are_too_many_the_largest_give_way() {
    let scene = Scene::new();
    let mut pool = EvidencePool::default();
    let most = u64::try_from(MAX_EVIDENCE).unwrap();
    (0..most).for_each(|n| assert!(scene.add(&mut pool, NOW, scene.large(n, 1_000))));
    assert!(
        !scene.add(&mut pool, NOW, scene.large(most, 1_000)) && !scene.add(&mut pool, NOW, scene.large(most, 5_000))
    );
    assert!(scene.add(&mut pool, NOW, scene.small(most)));
    assert_eq!(pool.len().0, MAX_EVIDENCE);
    assert_eq!(pool.within(1_000).len(), 1);
}
