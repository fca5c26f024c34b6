use super::*;
use crate::chain::spec::Chain;
use crate::ledger::testing::spec;
use crate::ledger::verify::Verifier;
use crate::limits::MAX_INPUTS;
use crate::types::hash::{ChainId, Txid};
use crate::types::keys::SecretKey;
use crate::types::transaction::HashedTx;
use proptest::prelude::*;

const RULES: Rules = Rules { fee_rate: 100, min_output: Amount::new(10_000), max_tx_bytes: 100_000 };
const TO: Lock = Lock::Multisig([5; 32]);

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32])
}

fn coin(index: u32, units: u64, owner: u8) -> Coin {
    let outpoint = OutPoint { txid: Txid([8; 32]), index };
    Coin { outpoint, value: Amount::new(units), lock: Lock::of_key(&key(owner).public_key()) }
}

fn coins(values: &[u64]) -> Vec<Coin> {
    (0..).zip(values).map(|(index, units)| coin(index, *units, 1)).collect()
}

fn pay(coins: &[Coin], units: u64) -> Result<Plan, BuildError> {
    plan_payment(coins, to(units), &memo(b""), &RULES)
}

fn to(units: u64) -> TxOut {
    TxOut { value: Amount::new(units), lock: TO }
}

fn memo(memo: &[u8]) -> Content {
    Content::of_payment(memo)
}

fn sum(amounts: impl IntoIterator<Item = Amount>) -> u64 {
    Amount::checked_sum(amounts).unwrap().get()
}

/// The rules of every plan.
fn check_plan(plan: &Plan, rules: &Rules) {
    let outputs = sum(plan.outputs.iter().map(|out| out.value));
    assert_eq!(plan.spent().unwrap().get(), outputs + plan.fee.get(), "value is conserved");
    assert!(plan.fee.get() >= plan.size_bytes() * rules.fee_rate, "the fee is at least the least");
    assert!(plan.outputs.iter().all(|out| out.value >= rules.min_output), "no dust");
    assert!(
        (1..=MAX_INPUTS).contains(&plan.coins.len()) && plan.size_bytes() <= rules.max_tx_bytes,
        "within the limits"
    );
    let distinct: BTreeSet<OutPoint> = plan.coins.iter().map(|coin| coin.outpoint).collect();
    assert_eq!(distinct.len(), plan.coins.len(), "nothing is spent twice");
}

#[test]
fn what_is_left_comes_back_to_the_largest_coin_and_the_fee_is_exact() {
    let plan = pay(&[coin(0, 50_000, 1), coin(1, 10_000_000, 2), coin(2, 9_000_000, 1)], 12_000_000).unwrap();
    check_plan(&plan, &RULES);
    let spent: Vec<u32> = plan.coins.iter().map(|coin| coin.outpoint.index).collect();
    assert_eq!(spent, [1, 2], "the largest first, and no more than needed");
    assert_eq!(plan.fee.get(), plan.size_bytes() * 100);
    assert_eq!(plan.outputs[0], TxOut { value: Amount::new(12_000_000), lock: TO });
    assert_eq!(plan.outputs[1].lock, coin(1, 0, 2).lock);
}

#[test]
fn too_little_to_come_back_goes_to_the_fee() {
    let without_change = pay(&coins(&[1_000_000]), 900_000).unwrap();
    let fee = |plan: &Plan| plan.size_bytes() * 100;
    assert_eq!(without_change.outputs.len(), 2);
    // Exactly the fee of one output, then up to where an output and its own fee are there.
    let base = {
        let mut one = without_change.clone();
        one.outputs.truncate(1);
        fee(&one)
    };
    for (extra, outputs) in [(0, 1), (9_999, 1), (10_000, 1), (10_000 + 3_599, 1), (10_000 + 3_600, 2)] {
        let plan = pay(&coins(&[900_000 + base + extra]), 900_000).unwrap();
        check_plan(&plan, &RULES);
        assert_eq!(plan.outputs.len(), outputs, "{extra} units beyond payment and fee");
    }
    assert!(matches!(pay(&coins(&[900_000 + base - 1]), 900_000), Err(BuildError::Insufficient { .. })));
}

#[test]
fn a_coin_is_added_where_the_fee_needs_it() {
    let plan = pay(&coins(&[1_000_000, 1_000_000]), 999_000).unwrap();
    check_plan(&plan, &RULES);
    assert_eq!(plan.coins.len(), 2);
}

#[test]
fn too_little_money_is_said_with_what_there_is() {
    let refused = pay(&coins(&[50_000, 60_000]), 1_000_000).unwrap_err();
    assert!(matches!(refused, BuildError::Insufficient { spendable, .. } if spendable == Amount::new(110_000)));
    assert!(refused.to_string().contains("0.0011 TIME can be spent"), "{refused}");
    assert!(matches!(pay(&[], 1_000_000), Err(BuildError::Insufficient { .. })));
}

#[test]
fn too_many_small_outputs_are_said_with_what_to_do() {
    let many = coins(&vec![20_000; 3_000]);
    let refused = pay(&many, 40_000_000).unwrap_err();
    let BuildError::TooFragmented { inputs: 1_024, reach } = refused else { panic!("{refused}") };
    assert!(refused.to_string().contains("timed wallet sweep"), "{refused}");
    check_plan(&pay(&many, reach.get()).unwrap(), &RULES);
    assert!(pay(&many, reach.get() + 1).is_err(), "what is said to be within reach is all that is");
}

#[test]
fn a_chain_with_small_transactions_is_heeded() {
    let rules = Rules { max_tx_bytes: 400, ..RULES };
    let many = coins(&[1_000_000; 20]);
    let planned = |units| plan_payment(&many, to(units), &memo(b""), &rules);
    check_plan(&planned(3_500_000).unwrap(), &rules);
    let refused = planned(15_000_000).unwrap_err();
    assert!(matches!(refused, BuildError::TooFragmented { .. }), "{refused}");
}

#[test]
fn what_does_not_fit_beside_the_inputs_is_never_given_away_as_a_fee() {
    let many = coins(&[1_000_000; 20]);
    for max_tx_bytes in 150..700 {
        let rules = Rules { max_tx_bytes, ..RULES };
        for units in (10_000..20_000_000).step_by(499_999) {
            if let Ok(plan) = plan_payment(&many, to(units), &memo(b""), &rules) {
                check_plan(&plan, &rules);
                assert!(plan.fee.get() < plan.size_bytes() * 100 + 10_000 + 4_200, "{max_tx_bytes} {units}");
            }
        }
    }
}

#[test]
fn nonsense_is_refused() {
    assert!(matches!(pay(&coins(&[1_000_000]), 9_999), Err(BuildError::AmountTooSmall { .. })));
    let refused = plan_payment(&coins(&[1_000_000]), to(10_000), &memo(&[0; 81]), &RULES);
    assert_eq!(refused, Err(BuildError::MemoTooLong { bytes: 81 }));
    assert_eq!(pay(&coins(&[u64::MAX / 2, u64::MAX / 2, u64::MAX / 2]), u64::MAX), Err(BuildError::Overflow));
    let rules = Rules { fee_rate: u64::MAX, ..RULES };
    assert_eq!(plan_payment(&coins(&[1_000_000]), to(10_000), &memo(b""), &rules), Err(BuildError::Overflow));
}

#[test]
fn a_sweep_takes_all_that_is_worth_its_fee() {
    let mut all = coins(&vec![20_000; 2_500]);
    all.push(coin(9_999, 3_300, 1));
    let plans = plan_sweep(&all, TO, &memo(b""), &RULES).unwrap();
    assert_eq!(plans.len(), 3);
    plans.iter().for_each(|plan| check_plan(plan, &RULES));
    let spent: BTreeSet<OutPoint> = plans.iter().flat_map(|plan| &plan.coins).map(|coin| coin.outpoint).collect();
    assert_eq!(spent.len(), 2_500, "each once, and not the one that costs more than it holds");
    assert!(plans.iter().all(|plan| plan.outputs.len() == 1 && plan.outputs[0].lock == TO));
    assert_eq!(plan_sweep(&coins(&[3_000, 1]), TO, &memo(b""), &RULES), Err(BuildError::NothingToSweep));
    assert_eq!(plan_sweep(&[], TO, &memo(b""), &RULES), Err(BuildError::NothingToSweep));
}

#[test]
fn a_coin_of_a_stranger_is_not_signed_for() {
    let plan = pay(&coins(&[1_000_000]), 20_000).unwrap();
    let refused = plan.sign(&ChainId([1; 32]), |_| None).unwrap_err();
    assert_eq!(refused, SignError::NoKey { lock: coin(0, 0, 1).lock });
}

proptest! {
    #[test]
    fn every_payment_conserves_value_and_is_within_the_limits(
        values in prop::collection::vec((1_u64..3_000_000, 1_u8..4), 0..60),
        units in 10_000_u64..40_000_000,
        fee_rate in 100_u64..1_000,
        memo in prop::collection::vec(any::<u8>(), 0..=80),
    ) {
        let all: Vec<Coin> = (0..).zip(&values).map(|(i, (units, owner))| coin(i, *units, *owner)).collect();
        let rules = Rules { fee_rate, ..RULES };
        if let Ok(plan) = plan_payment(&all, to(units), &Content::of_payment(&memo), &rules) {
            check_plan(&plan, &rules);
            prop_assert_eq!(plan.outputs[0], TxOut { value: Amount::new(units), lock: TO });
            // At most: what was too little to come back, the fee of the output it would have come back in, the edge
            // between two lengths of a number.
            let most = plan.size_bytes() * fee_rate + 10_000 + (32 + 1 + 9 + 4) * fee_rate;
            prop_assert!(plan.fee.get() <= most);
        }
    }

    #[test]
    fn every_signed_payment_is_valid_alone(
        values in prop::collection::vec((20_000_u64..3_000_000, 1_u8..4), 1..20),
        units in 10_000_u64..10_000_000,
    ) {
        let chain = Chain::new(spec()).unwrap();
        let rules = Rules { fee_rate: chain.min_fee_rate, min_output: chain.min_output, max_tx_bytes: chain.max_tx_bytes };
        let all: Vec<Coin> = (0..).zip(&values).map(|(i, (units, owner))| coin(i, *units, *owner)).collect();
        let plans = plan_payment(&all, to(units), &memo(b""), &rules).into_iter();
        let keys: Vec<(Lock, SecretKey)> = (1..4).map(|n| (coin(0, 0, n).lock, key(n))).collect();
        for plan in plans.chain(plan_sweep(&all, TO, &memo(b""), &rules).into_iter().flatten()) {
            let key_of = |lock: &Lock| keys.iter().find(|(own, _)| own == lock).map(|(_, key)| key);
            let tx = HashedTx::new(plan.sign(&chain.id(), key_of).unwrap());
            prop_assert_eq!(u64::from(tx.size_bytes()), plan.size_bytes(), "the size was known before signing");
            prop_assert!(plan.fee >= chain.min_fee(tx.size_bytes()));
            let locks: Vec<Lock> = tx.tx().witnesses.iter().map(Witness::lock).collect();
            prop_assert_eq!(locks, plan.locks(), "one witness a lock, in the order of first need");
            prop_assert!(Verifier::new(chain.clone()).transaction(tx).is_ok());
        }
    }
}

fn registered(units: u64) -> (Plan, SecretKey) {
    let consensus = key(40);
    let identity =
        Identity { consensus_key: consensus.public_key(), payout: TO, endpoint: "mn.example:24000".to_owned() };
    let collateral = TxOut { value: Amount::new(units), lock: coin(0, 0, 2).lock };
    let all = [coin(0, 60_000_000_000, 1), coin(1, 90_000_000_000, 2)];
    (plan_registration(&all, collateral, &identity, memo(b""), &RULES).unwrap(), consensus)
}

#[test]
fn a_registration_is_valid_with_the_proof_of_its_key_and_only_so() {
    let chain = Chain::new(spec()).unwrap();
    let (mut plan, consensus) = registered(100_000_000_000);
    check_plan(&plan, &RULES);
    let verifies = |plan: &Plan| {
        let keys = [1, 2].map(|n| (coin(0, 0, n).lock, key(n)));
        let key_of = |lock: &Lock| keys.iter().find(|(own, _)| own == lock).map(|(_, key)| key);
        let tx = HashedTx::new(plan.sign(&chain.id(), key_of).unwrap());
        assert_eq!(u64::from(tx.size_bytes()), plan.size_bytes(), "the size was known before signing");
        Verifier::new(chain.clone()).transaction(tx).is_ok()
    };
    assert!(!verifies(&plan), "without a proof");
    plan.set_proof(consensus.sign(&plan.proof_digest(&chain.id()).unwrap()));
    assert!(verifies(&plan));
    let mut elsewhere = plan.clone();
    elsewhere.coins.reverse();
    assert!(!verifies(&elsewhere), "the proof covers the first input");
    assert!(pay(&coins(&[1_000_000]), 20_000).unwrap().proof_digest(&chain.id()).is_none());
}

#[test]
fn what_is_missing_for_a_collateral_is_said() {
    let identity = Identity { consensus_key: key(40).public_key(), payout: TO, endpoint: String::new() };
    let collateral = TxOut { value: Amount::new(100_000_000_000), lock: TO };
    let refused = plan_registration(&coins(&[40_000_000_000]), collateral, &identity, memo(b""), &RULES).unwrap_err();
    let BuildError::Insufficient { fee, .. } = refused else { panic!("{refused}") };
    let said = format!("{} TIME are missing", amounts::format(Amount::new(60_000_000_000 + fee.get())));
    assert!(refused.to_string().ends_with(&said), "{refused}");
}

fn unregistration(consent: Lock) -> Content {
    let masternode = crate::types::hash::MasternodeId([7; 32]);
    Content { payload: Payload::Unregister { masternode }, consent: Some(consent), ..memo(b"") }
}

#[test]
fn what_pays_nobody_takes_a_coin_for_its_fee_and_the_rest_comes_back() {
    let owner = coin(0, 0, 9).lock;
    for (consent, witnesses) in [(owner, 2), (coin(0, 0, 1).lock, 1)] {
        let content = unregistration(consent);
        let plan = plan_change(&coins(&[500_000, 9_000]), &content, &RULES).unwrap();
        check_plan(&plan, &RULES);
        assert_eq!((plan.coins.len(), plan.outputs.len(), plan.locks().len()), (1, 1, witnesses));
        assert_eq!(plan.locks().last(), Some(&consent));
        // A second coin where one leaves too little to come back.
        let size = plan.size_bytes();
        let plan = plan_change(&coins(&[size * 100 + 5_000, 9_000 + 3_500]), &content, &RULES).unwrap();
        check_plan(&plan, &RULES);
        assert_eq!((plan.coins.len(), plan.outputs.len()), (2, 1));
        let refused = plan_change(&coins(&[size * 100 + 5_000]), &content, &RULES).unwrap_err();
        assert!(matches!(refused, BuildError::Insufficient { amount, .. } if amount == RULES.min_output));
    }
    assert!(matches!(plan_change(&[], &unregistration(owner), &RULES), Err(BuildError::Insufficient { .. })));
}

/// Two of three keys, and wallets with the first, the second and the third of them.
struct Owners {
    chain: Chain,
    multisig: Multisig,
    keys: Vec<SecretKey>,
}

impl Owners {
    fn new() -> Self {
        let mut keys: Vec<SecretKey> = (50..53).map(key).collect();
        keys.sort_by_key(|key| key.public_key());
        let multisig = Multisig::new(2, keys.iter().map(SecretKey::public_key).collect()).unwrap();
        Self { chain: Chain::new(spec()).unwrap(), multisig, keys }
    }

    fn coin(&self, index: u32, units: u64) -> Coin {
        Coin { lock: self.multisig.lock(), ..coin(index, units, 0) }
    }

    fn content(&self) -> Content {
        memo(b"").with_multisig(Some(self.multisig.clone()))
    }

    /// `tx` with what a wallet of these keys adds.
    fn sign(&self, tx: &Transaction, locks: &[Lock], keys: &[&SecretKey]) -> Result<Transaction, SignError> {
        let key_of = |lock: &Lock| keys.iter().find(|key| Lock::of_key(&key.public_key()) == *lock).copied();
        complete(tx.clone(), locks, Some(&self.multisig), &self.chain.id(), key_of)
    }

    fn unsigned(plan: &Plan) -> Transaction {
        Transaction { body: plan.body(), witnesses: Vec::new() }
    }

    fn is_valid(&self, tx: &Transaction) -> bool {
        Verifier::new(self.chain.clone()).transaction(HashedTx::new(tx.clone())).is_ok()
    }
}

#[test]
fn owners_of_a_multisig_lock_sign_one_after_the_other() {
    let owners = Owners::new();
    let (content, all) = (owners.content(), [owners.coin(0, 5_000_000), owners.coin(1, 4_000_000)]);
    let consent = unregistration(owners.multisig.lock()).with_multisig(Some(owners.multisig.clone()));
    let [one, two, three] = [0, 1, 2].map(|n| &owners.keys[n]);
    let payer = key(1);
    for (plan, witnesses) in [
        (plan_payment(&all, to(8_000_000), &content, &RULES).unwrap(), 1),
        (plan_sweep(&all, TO, &content, &RULES).unwrap().remove(0), 1),
        (plan_change(&all, &consent, &RULES).unwrap(), 1),
        (plan_change(&coins(&[5_000_000]), &consent, &RULES).unwrap(), 2),
    ] {
        check_plan(&plan, &RULES);
        let locks = plan.locks();
        let sign = |tx: &Transaction, keys: &[&SecretKey]| owners.sign(tx, &locks, keys);
        let begun = sign(&Owners::unsigned(&plan), &[&payer, three]).unwrap();
        assert_eq!((missing_signatures(&begun), begun.witnesses.len()), (1, witnesses));
        assert!(!owners.is_valid(&begun), "one is too few");
        let done = sign(&begun, &[one, two]).unwrap();
        assert_eq!(missing_signatures(&done), 0);
        assert_eq!(done.witnesses.len(), witnesses);
        assert_eq!(u64::try_from(encoded_size(&done)).unwrap(), plan.size_bytes(), "no more than are asked for");
        assert!(owners.is_valid(&done));
        assert_eq!(sign(&done, &[one]).unwrap(), done, "who signs what is signed changes nothing");
        // One who has two of the keys needs nobody else.
        assert!(owners.is_valid(&sign(&Owners::unsigned(&plan), &[&payer, one, three]).unwrap()));
    }
}

#[test]
fn a_transaction_that_is_signed_in_part_is_added_to_only_if_what_it_has_is_good() {
    let owners = Owners::new();
    let [one, two, three] = [0, 1, 2].map(|n| &owners.keys[n]);
    let plan = plan_payment(&[owners.coin(0, 5_000_000)], to(1_000_000), &owners.content(), &RULES).unwrap();
    let locks = plan.locks();
    let begun = owners.sign(&Owners::unsigned(&plan), &locks, &[one]).unwrap();
    let add = |tx: &Transaction| owners.sign(tx, &locks, &[two]);
    assert!(add(&begun).is_ok());
    assert_eq!(owners.sign(&begun, &locks, &[one]), Err(SignError::NothingToAdd { missing: 1 }), "once each");
    assert_eq!(owners.sign(&begun, &locks, &[&key(1)]), Err(SignError::NothingToAdd { missing: 1 }));
    let nobody = owners.sign(&Owners::unsigned(&plan), &locks, &[]);
    assert_eq!(nobody, Err(SignError::NothingToAdd { missing: 2 }));
    // Changed after the first signature.
    let mut other = begun.clone();
    other.body.outputs[0].value = Amount::new(2_000_000);
    assert_eq!(add(&other), Err(SignError::BadSignature { key: one.public_key() }));
    let changed = |change: &dyn Fn(&mut Vec<Option<Signature>>)| {
        let mut tx = begun.clone();
        let Some(Witness::Multi { signatures, .. }) = tx.witnesses.first_mut() else { panic!("{tx:?}") };
        change(signatures);
        add(&tx)
    };
    let malformed = Err(SignError::Malformed { lock: owners.multisig.lock() });
    assert_eq!(changed(&|signatures| signatures.truncate(2)), malformed);
    assert_eq!(changed(&|signatures| signatures.push(None)), malformed);
    assert_eq!(changed(&|signatures| signatures.fill(Some(Signature([0; 64])))), malformed, "more than it takes");
    let moved = changed(&|signatures| signatures.swap(0, 2));
    assert_eq!(moved, Err(SignError::BadSignature { key: three.public_key() }));
    // Nobody says whose keys they are.
    let refused = complete(Owners::unsigned(&plan), &locks, None, &owners.chain.id(), |_| None).unwrap_err();
    assert_eq!(refused, SignError::KeysUnknown { lock: owners.multisig.lock() });
}
