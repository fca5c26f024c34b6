use super::*;
use crate::ledger::VerifiedTx;
use crate::ledger::testing::{Draft, World, consensus, lock, spec};
use crate::types::keys::Signature;
use crate::types::lock::Witness;
use crate::types::number::Height;
use crate::types::transaction::{Transaction, TxOut};

fn judged(world: &World, draft: &Draft) -> Result<VerifiedTx, TxError> {
    world.verifier.transaction(draft.hashed(&world.chain))
}

/// The error of a valid payment after `change`.
fn after(change: impl FnOnce(&mut Draft)) -> TxError {
    let world = World::default();
    let mut draft = world.draft(&[world.coin(0), world.coin(1)], &[2, 3], Payload::Transfer, 0);
    assert!(judged(&world, &draft).is_ok(), "valid before the change");
    change(&mut draft);
    judged(&world, &draft).unwrap_err()
}

/// The error of a valid payment with its encoding tampered with by `change`.
fn after_tampering(change: impl FnOnce(&mut Transaction)) -> TxError {
    let world = World::default();
    let mut tx = world.pay(&[world.coin(0), world.coin(1)], &[2]).tx().clone();
    change(&mut tx);
    world.verifier.transaction(HashedTx::new(tx)).unwrap_err()
}

#[test]
fn only_version_1_is_valid() {
    assert_eq!(after(|d| d.body.version = 2), TxError::Version { found: 2 });
}

#[test]
fn a_coinbase_stands_only_in_a_block() {
    let coinbase = Payload::Coinbase { height: Height::new(1) };
    assert_eq!(after(|d| d.body.payload = coinbase), TxError::Coinbase);
}

#[test]
fn inputs_are_1_to_1024_and_distinct() {
    assert_eq!(after(|d| d.body.inputs.clear()), TxError::NoInputs);
    let repeated = World::default().coin(0).outpoint;
    assert_eq!(after(|d| d.body.inputs.push(repeated)), TxError::DuplicateInput { outpoint: repeated });
    let many = |count: u32| (0..count).map(move |index| OutPoint { index, ..repeated }).collect();
    assert_eq!(after(|d| d.body.inputs = many(1_025)), TxError::TooManyInputs { count: 1_025 });
    // The number is allowed; the bytes of this chain are not enough for it.
    assert!(matches!(after(|d| d.body.inputs = many(1_024)), TxError::TooLarge { .. }));
}

#[test]
fn outputs_are_1_to_1024_each_of_the_least_value_and_add_up() {
    assert_eq!(after(|d| d.body.outputs.clear()), TxError::NoOutputs);
    let out = TxOut { value: spec().min_output, lock: lock(1) };
    assert_eq!(after(|d| d.body.outputs = vec![out; 1_025]), TxError::TooManyOutputs { count: 1_025 });
    assert!(matches!(after(|d| d.body.outputs = vec![out; 1_024]), TxError::TooLarge { .. }));
    let (value, least) = (Amount::new(9_999), Amount::new(10_000));
    assert_eq!(after(|d| d.body.outputs[1].value = value), TxError::OutputTooSmall { index: 1, value, least });
    assert_eq!(after(|d| d.body.outputs[1].value = Amount::MAX), TxError::OutputsOverflow);
}

#[test]
fn a_memo_has_at_most_80_bytes() {
    let world = World::default();
    let mut draft = world.draft(&[world.coin(0)], &[2], Payload::Transfer, 0);
    draft.body.memo = vec![7; 80];
    assert!(judged(&world, &draft).is_ok());
    assert_eq!(after(|d| d.body.memo = vec![7; 81]), TxError::MemoTooLong { bytes: 81 });
}

#[test]
fn a_transaction_is_at_most_as_large_as_the_chain_allows() {
    let mut spec = spec();
    spec.max_tx_bytes = {
        let world = World::default();
        u64::from(world.pay(&[world.coin(0)], &[1]).size_bytes())
    };
    let world = World::of(spec.clone());
    let fits = world.draft(&[world.coin(0)], &[1], Payload::Transfer, 0);
    assert!(judged(&world, &fits).is_ok());
    spec.max_tx_bytes -= 1;
    let world = World::of(spec.clone());
    let large = world.draft(&[world.coin(0)], &[1], Payload::Transfer, 0).hashed(&world.chain);
    let (size, limit) = (large.size_bytes(), spec.max_tx_bytes);
    assert_eq!(world.verifier.transaction(large).unwrap_err(), TxError::TooLarge { size, limit });
}

#[test]
fn no_lock_has_two_witnesses() {
    assert_eq!(after(|d| d.signers.push(0)), TxError::DuplicateWitness { lock: lock(0) });
}

#[test]
fn a_multisig_witness_has_the_shape_of_its_lock() {
    let error = after_tampering(|tx| {
        tx.witnesses[1] = Witness::Multi { threshold: 0, keys: Vec::new(), signatures: Vec::new() };
    });
    assert_eq!(error, TxError::MalformedWitness { position: 1 });
}

#[test]
fn every_signature_is_valid() {
    let error = after_tampering(|tx| {
        let Witness::Key { signature, .. } = &mut tx.witnesses[1] else { panic!("one key") };
        signature.0[40] ^= 1;
    });
    assert_eq!(error, TxError::BadSignature { key: crate::ledger::testing::secret(1).public_key() });
    let error = after_tampering(|tx| tx.body.memo = b"changed after signing".to_vec());
    assert!(matches!(error, TxError::BadSignature { .. }));
}

#[test]
fn a_registration_is_proved_by_its_consensus_key_for_this_input_and_output() {
    let world = World::default();
    let good = world.registration(&[world.coin(0)], 20);
    assert!(judged(&world, &good).is_ok());
    let key = consensus(20).public_key();

    let mut elsewhere = good.clone();
    elsewhere.body.inputs = vec![world.coin(8).outpoint];
    assert_eq!(judged(&world, &elsewhere).unwrap_err(), TxError::BadProof { key });
    let mut other_output = good.clone();
    other_output.body.outputs[0].lock = lock(5);
    assert_eq!(judged(&world, &other_output).unwrap_err(), TxError::BadProof { key });
    let mut unproved = good.clone();
    let Payload::Register(register) = &mut unproved.body.payload else { panic!("a registration") };
    register.proof = Signature([0; 64]);
    assert_eq!(judged(&world, &unproved).unwrap_err(), TxError::BadProof { key });
    let mut nowhere = good;
    let Payload::Register(register) = &mut nowhere.body.payload else { panic!("a registration") };
    register.collateral_index = 1;
    assert_eq!(judged(&world, &nowhere).unwrap_err(), TxError::NoCollateralOutput { index: 1, outputs: 1 });
}
