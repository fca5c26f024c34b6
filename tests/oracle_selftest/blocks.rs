//! S1, locks, S2, S4, S5, S6, S11 and the rules of blocks.

use crate::history::{COIN, HONEST, History, secret};
use crate::invariants::recovery::StateClaim;
use crate::oracle::{Heard, Released};
use std::collections::BTreeSet;
use timed::types::block::{BftKind, BftVote, Block, PrepareProof};
use timed::types::hash::BlockHash;
use timed::types::keys::Signature;
use timed::types::lock::Lock;
use timed::types::number::{Amount, View};
use timed::types::transaction::{OutPoint, Payload, Register, Transaction, TxOut, Update};

fn only(invariant: &'static str) -> BTreeSet<&'static str> {
    BTreeSet::from([invariant])
}

/// A registration, an update, evidence, overflow blocks and closing blocks over several epochs.
#[test]
fn a_clean_history_is_silent() {
    let mut history = History::new();
    let first = history.pay(history.coin(0), COIN, 1);
    history.slot(std::slice::from_ref(&first));
    let change = history.oracle.replay().at(1).unwrap().txids.clone();
    assert!(change.contains(&first.body.txid()));

    let crowd: Vec<_> = (1..4).map(|n| history.pay(history.coin(n), COIN, 2)).collect();
    history.finalize(&crowd);
    let (overflow, executed) = history.build(0, &crowd, &[]);
    assert_eq!(overflow.header.reward, Amount::ZERO);
    history.commit(&overflow, &executed);

    let byzantine = history.double_precommit(3, 1);
    let (closing, executed) = history.build(3, &[], &[byzantine]);
    assert!(executed.changes.closed_epoch.is_some());
    history.commit(&closing, &executed);
    assert_eq!(history.state.validators.len(), 3);
    assert!(history.oracle.is_slashed(&history.key(3)));

    let id = history.state.registry.by_key(&history.key(0)).unwrap().id;
    let update = Update { masternode: id, payout: None, endpoint: Some("elsewhere:1".into()) };
    let owner = secret(1);
    let update = history.spend(history.coin(5), vec![COIN - 200_000], Payload::Update(update), 0, &[&owner]);
    history.slot(&[update]);
    for _ in 0..4 {
        history.slot(&[]);
    }
    history.oracle.check_submitted_final();
    assert_eq!(history.fired(), BTreeSet::new(), "{:#?}", history.oracle.violations());
    let counts = history.oracle.counts();
    assert_eq!((counts.blocks, counts.epochs_closed, counts.finals, counts.slashed), (8, 3, 5, 1));
}

/// A registration of the key with the seed 50, whose collateral is the first output.
fn registration(history: &History, coin: u32) -> Transaction {
    let (key, value) = (secret(50), COIN - 1_000_000);
    let collateral = TxOut { value: Amount::new(value), lock: Lock::of_key(&secret(100).public_key()) };
    let mut register = Register {
        consensus_key: key.public_key(),
        payout: collateral.lock,
        endpoint: "host:1".into(),
        collateral_index: 0,
        proof: Signature([0; 64]),
    };
    let digest = register.proof_digest(&history.chain.id(), &history.coin(coin), &collateral);
    register.proof = key.sign(&digest);
    history.spend(history.coin(coin), vec![value], Payload::Register(register), 0, &[])
}

#[test]
fn a_registration_enters_the_set_and_another_with_its_key_has_no_effect() {
    let mut history = History::new();
    let mut two = [registration(&history, 0), registration(&history, 1)];
    two.sort_by_key(|tx| tx.body.txid());
    history.slot(&two);
    let ordinary = history.pay(OutPoint { txid: two[1].body.txid(), index: 0 }, COIN - 1_000_000, 0);
    history.slot(&[ordinary]);
    assert_eq!(history.state.validators.len(), 5);
    assert_eq!(history.fired(), BTreeSet::new(), "{:#?}", history.oracle.violations());
}

#[test]
fn who_asks_to_leave_serves_until_the_boundary() {
    let mut history = History::new();
    let masternode = history.state.registry.by_key(&history.key(0)).unwrap().id;
    let payload = Payload::Unregister { masternode };
    let leave = history.spend(history.coin(0), vec![COIN - 200_000], payload, 0, &[&secret(1)]);
    history.slot(&[leave]);
    assert_eq!(history.state.validators.len(), 4);
    history.slot(&[]);
    assert_eq!(history.state.validators.len(), 3);
    assert_eq!(history.fired(), BTreeSet::new(), "{:#?}", history.oracle.violations());
}

#[test]
fn rule_a_bonded_collateral_is_spent() {
    let mut history = History::new();
    let bonded = OutPoint { index: 0, ..history.coin(0) };
    let (mut block, executed) = history.build(1, &[], &[]);
    block.txs.push(history.pay(bonded, COIN, 1));
    seal(&mut history, block, &executed);
    let texts: Vec<_> = history.oracle.violations().iter().map(|v| v.text.clone()).collect();
    assert!(texts.iter().any(|text| text.contains("spends the collateral")), "{texts:#?}");
}

#[test]
fn s1_two_blocks_at_one_height() {
    let mut history = History::new();
    let (one, executed) = history.build(1, &[], &[]);
    let (other, executed_other) = history.build(2, &[], &[]);
    let commit = history.commit_by(&one, &[0, 1, 2]);
    let rival = history.commit_by(&other, &[0, 1, 2]);
    let claim = |e: &timed::ledger::execute::Executed| crate::history::claim_of(&e.changes.state);
    history.oracle.commit(0, 0, &one, &commit, &claim(&executed));
    history.oracle.commit(0, 1, &other, &rival, &claim(&executed_other));
    assert!(history.fired().contains("S1"));
}

#[test]
fn s2_a_commit_without_a_quorum() {
    let mut history = History::new();
    let (block, executed) = history.build(1, &[], &[]);
    history.agree(&block);
    let commit = history.commit_by(&block, &[0, 1]);
    history.oracle.commit(0, 0, &block, &commit, &crate::history::claim_of(&executed.changes.state));
    assert_eq!(history.fired(), only("S2"));
}

#[test]
fn s2_a_commit_with_a_forged_signature() {
    let mut history = History::new();
    let (block, executed) = history.build(1, &[], &[]);
    history.agree(&block);
    let mut commit = history.commit_by(&block, &[0, 1, 2]);
    let forged = commit.signatures.iter_mut().flatten().next().unwrap();
    forged.0[0] ^= 1;
    history.oracle.commit(0, 0, &block, &commit, &crate::history::claim_of(&executed.changes.state));
    assert_eq!(history.fired(), only("S2"));
}

#[test]
fn s2_a_parents_commit_without_a_quorum() {
    let mut history = History::new();
    history.slot(&[]);
    let (mut block, executed) = history.build(1, &[], &[]);
    block.last_commit.as_mut().unwrap().signatures.fill(None);
    seal(&mut history, block, &executed);
    assert!(history.fired().contains("S2"));
}

/// Commits a block that was bent after it was built, under the hash that its header has now.
fn seal(history: &mut History, block: Block, executed: &timed::ledger::execute::Executed) {
    let hash = block.header.hash();
    history.commit_bent(&block, executed, |claim| {
        claim.hash = hash;
        claim.last_opening = hash;
    });
}

#[test]
fn s4_a_reward_above_the_subsidy() {
    let mut history = History::new();
    let (mut block, executed) = history.build(1, &[], &[]);
    block.header.reward = Amount::new(block.header.reward.get() + 1);
    seal(&mut history, block, &executed);
    assert_eq!(history.fired(), only("S4"));
}

#[test]
fn s4_a_coinbase_that_pays_too_much() {
    let mut history = History::new();
    history.slot(&[]);
    let (mut block, executed) = history.build(1, &[], &[]);
    block.txs[0].body.outputs[0].value = Amount::new(block.txs[0].body.outputs[0].value.get() + 1);
    seal(&mut history, block, &executed);
    assert!(history.fired().contains("S4"));
}

#[test]
fn s5_a_header_with_another_state_root() {
    let mut history = History::new();
    let (mut block, executed) = history.build(1, &[], &[]);
    block.header.state_root.0[0] ^= 1;
    seal(&mut history, block, &executed);
    assert_eq!(history.fired(), only("S5"));
}

#[test]
fn s5_a_node_whose_state_differs_from_the_replayed_one() {
    let bends: [fn(&mut StateClaim); 5] = [
        |c| c.supply += 1,
        |c| c.utxos.0[0] ^= 1,
        |c| c.registry.0[0] ^= 1,
        |c| c.next_validators.0[0] ^= 1,
        |c| c.accrued_fees += 1,
    ];
    for bend in bends {
        let mut history = History::new();
        let (block, executed) = history.build(1, &[], &[]);
        history.commit_bent(&block, &executed, bend);
        assert_eq!(history.fired(), only("S5"));
    }
}

#[test]
fn lock_a_precommitted_block_is_given_up_only_for_one_that_a_quorum_prepared_since() {
    // Precommitted at view 1; another block at view 3, fresh or on prepares of the view given.
    for (proved_at, is_fine) in [(None, false), (Some(0), false), (Some(1), true), (Some(2), true)] {
        let mut history = History::new();
        let (one, other) = (history.build(1, &[], &[]).0, history.build(2, &[], &[]).0);
        let release = |history: &mut History, signer: usize, view: u32, kind: BftKind, block: &Block| {
            let vote = history.vote(signer, 1, view, kind, Some(block.header.hash()));
            history.oracle.release(0, Released::Vote(&vote), false);
            vote
        };
        let mut proposal = history.proposal(&other, 3);
        if let Some(view) = proved_at {
            let prepares: Vec<BftVote> = vec![
                release(&mut history, 1, view, BftKind::Prepare, &other),
                release(&mut history, 2, view, BftKind::Prepare, &other),
                history.vote(3, 1, view, BftKind::Prepare, Some(other.header.hash())),
            ];
            let of_member = |key| prepares.iter().find(|vote| vote.voter == key).map(|vote| vote.signature);
            let members = history.state.validators.members().iter();
            let signatures = members.map(|member| of_member(member.consensus_key)).collect();
            proposal.proof = Some(PrepareProof { view: View::new(view), signatures });
        }
        let digest = proposal.digest(&history.chain.id());
        let by = history.keys.iter().find(|key| key.public_key() == proposal.leader).unwrap();
        proposal.signature = by.sign(&digest);
        if (0..HONEST).any(|i| history.key(i) == proposal.leader) {
            history.oracle.release(0, Released::Proposal(&proposal), false);
        }
        history.oracle.hear(0, Heard::Proposal(&proposal));
        release(&mut history, 0, 1, BftKind::Precommit, &one);
        release(&mut history, 0, 3, BftKind::Prepare, &other);
        let expected = if is_fine { BTreeSet::new() } else { only("lock") };
        assert_eq!(history.fired(), expected, "{proved_at:?}");
    }
}

#[test]
fn s6_two_values_for_one_step_across_a_restart() {
    let mut history = History::new();
    let one = history.vote(0, 1, 0, BftKind::Prepare, None);
    let other = history.vote(0, 1, 0, BftKind::Prepare, Some(BlockHash([7; 32])));
    history.oracle.release(0, Released::Vote(&one), false);
    history.oracle.release(0, Released::Vote(&one), true);
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.release(0, Released::Vote(&other), true);
    assert_eq!(history.fired(), only("S6"));
}

#[test]
fn s6_two_proposals_in_one_view() {
    let mut history = History::new();
    let (mut one, _) = history.build(1, &[], &[]);
    one.header.proposer = history.key(0);
    let mut other = one.clone();
    other.header.slot = timed::types::number::Slot::new(9);
    for block in [&one, &other] {
        let proposal = history.proposal(block, 3);
        history.oracle.release(0, Released::Proposal(&proposal), false);
    }
    assert_eq!(history.fired(), only("S6"));
}

#[test]
fn s6_a_signature_that_no_signer_released() {
    let mut history = History::new();
    let forged = BftVote { signature: Signature([1; 64]), ..history.vote(0, 1, 0, BftKind::Prepare, None) };
    history.oracle.hear(0, Heard::Vote(&forged));
    let byzantine = history.vote(3, 1, 0, BftKind::Prepare, None);
    history.oracle.hear(0, Heard::Vote(&byzantine));
    assert_eq!(history.fired(), BTreeSet::new());
    let vote = history.vote(0, 1, 0, BftKind::Prepare, None);
    history.oracle.hear(0, Heard::Vote(&vote));
    assert_eq!(history.fired(), only("S6"));
}

#[test]
fn s6_a_commit_holds_signatures_that_no_signer_released() {
    let mut history = History::new();
    let (block, _) = history.build(1, &[], &[]);
    let commit = history.commit_by(&block, &[0, 1, 3]);
    history.oracle.hear(0, Heard::Commit(&commit));
    assert_eq!(history.fired(), only("S6"));

    let mut history = History::new();
    history.oracle.hear(0, Heard::Block(&block, &commit));
    assert_eq!(history.fired(), only("S6"));
}

#[test]
fn byzantine_double_signers_are_known_and_no_violation() {
    let mut history = History::new();
    for block in [None, Some(BlockHash([7; 32]))] {
        let vote = history.vote(3, 1, 0, BftKind::Prepare, block);
        history.oracle.hear(0, Heard::Vote(&vote));
    }
    assert_eq!(history.fired(), BTreeSet::new());
    assert!(history.oracle.double_signers().0.contains_key(&history.key(3)));
}

#[test]
fn s8_a_step_lower_than_one_signed_before() {
    let mut history = History::new();
    let later = history.vote(0, 1, 2, BftKind::Prepare, None);
    let earlier = history.vote(0, 1, 1, BftKind::Precommit, None);
    history.oracle.release(0, Released::Vote(&later), false);
    history.oracle.release(0, Released::Vote(&earlier), false);
    assert_eq!(history.fired(), only("S8"));
}

#[test]
fn s11_evidence_names_an_honest_masternode() {
    let mut history = History::new();
    let against_byzantine = history.double_precommit(3, 1);
    history.oracle.hear(0, Heard::Evidence(&against_byzantine));
    assert_eq!(history.fired(), BTreeSet::new());
    let against_honest = history.double_precommit(0, 1);
    history.oracle.hear(0, Heard::Evidence(&against_honest));
    assert_eq!(history.fired(), only("S11"));
}

#[test]
fn s11_evidence_in_a_block_does_not_verify() {
    let mut history = History::new();
    let evidence = history.double_precommit(3, 1);
    let (mut block, executed) = history.build(1, &[], std::slice::from_ref(&evidence));
    let timed::types::evidence::Evidence::Bft { a, .. } = &mut block.evidence[0] else { unreachable!() };
    a.signature.0[40] ^= 1;
    seal(&mut history, block, &executed);
    assert!(history.fired().contains("S11"));
}

#[test]
fn rule_a_transaction_with_a_bad_witness() {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    history.finalize(std::slice::from_ref(&tx));
    let (mut block, executed) = history.build(1, &[tx], &[]);
    let timed::types::lock::Witness::Key { signature, .. } = &mut block.txs[1].witnesses[0] else { unreachable!() };
    signature.0[40] ^= 1;
    history.commit(&block, &executed);
    assert_eq!(history.fired(), only("rule"));
}

#[test]
fn rule_a_copy_of_a_block_with_another_witness_is_as_good_only_if_it_verifies() {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    history.finalize(std::slice::from_ref(&tx));
    let (block, executed) = history.build(1, &[tx], &[]);
    history.agree(&block);
    let commit = history.commit_by(&block, &[0, 1, 2]);
    let claim = crate::history::claim_of(&executed.changes.state);
    history.oracle.commit(0, 0, &block, &commit, &claim);
    let mut copy = block;
    copy.txs[1].witnesses.clear();
    history.oracle.commit(0, 1, &copy, &commit, &claim);
    assert_eq!(history.fired(), only("rule"));
}

#[test]
fn rule_an_output_spent_twice_in_the_chain() {
    let mut history = History::new();
    let (one, other) = (history.pay(history.coin(0), COIN, 1), history.pay(history.coin(0), COIN, 2));
    history.finalize(std::slice::from_ref(&one));
    let (mut block, executed) = history.build(1, std::slice::from_ref(&one), &[]);
    block.txs.push(other);
    seal(&mut history, block, &executed);
    assert!(history.fired().contains("rule"));
}

#[test]
fn rule_a_block_of_who_did_not_lead() {
    let mut history = History::new();
    let (mut block, executed) = history.build(1, &[], &[]);
    let other = (0..3).find(|i| history.key(*i) != block.header.proposer).unwrap();
    block.header.proposer = history.key(other);
    seal(&mut history, block, &executed);
    assert_eq!(history.fired(), only("rule"));
}

#[test]
fn a_later_view_has_its_own_leader() {
    let mut history = History::new();
    let (block, _) = history.build(1, &[], &[]);
    let mut vote = history.vote(0, 1, 0, BftKind::Precommit, Some(block.header.hash()));
    vote.view = View::new(1);
    // The signature is of view 0: nobody is bound by it.
    history.oracle.hear(0, Heard::Vote(&vote));
    assert_eq!(history.fired(), BTreeSet::new());
}
