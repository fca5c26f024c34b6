//! Every entry of `vectors/protocol.json`, made by an independent implementation of the protocol, is a test here.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

#[path = "vectors/agreement.rs"]
mod agreement;
#[path = "vectors/basics.rs"]
mod basics;
#[path = "vectors/chain.rs"]
mod chain;
#[path = "vectors/reader.rs"]
mod reader;
#[path = "vectors/transactions.rs"]
mod transactions;

use reader::entry;
use std::collections::BTreeSet;

macro_rules! tests_of_entries {
    ($($entry:ident => $test:path;)*) => {
        const TESTED: &[&str] = &[$(stringify!($entry)),*];

        $(#[test]
        fn $entry() {
            $test(entry(stringify!($entry)));
        })*
    };
}

tests_of_entries! {
    about => basics::about;
    addresses => basics::addresses;
    bad_addresses => basics::bad_addresses;
    bad_transactions => transactions::bad_transactions;
    bft_votes => agreement::bft_votes;
    chain_id => basics::chain_id;
    commit => agreement::commit;
    derive_key => basics::derive_key;
    finality_votes => agreement::finality_votes;
    genesis_masternode_ids => chain::genesis_masternode_ids;
    header => agreement::header;
    leaders => chain::leaders;
    lthash => basics::lthash;
    masternode_transactions => transactions::masternode_transactions;
    merkle => basics::merkle;
    proposals => agreement::proposals;
    register_proof => transactions::register_proof;
    reward_split => chain::reward_split;
    state_entry => chain::state_entry;
    state_root => chain::state_root;
    subsidy_log_height => chain::subsidy_log_height;
    subsidy_log_masternodes => chain::subsidy_log_masternodes;
    transactions => transactions::transactions;
    validators => agreement::validators;
    vdf => basics::vdf;
    vdf_bad => basics::vdf_bad;
    vdf_seed => chain::vdf_seed;
}

#[test]
fn every_entry_of_the_file_has_a_test() {
    let tested: BTreeSet<&str> = TESTED.iter().copied().collect();
    let entries: BTreeSet<&str> = reader::names().collect();
    assert_eq!(entries, tested);
}
