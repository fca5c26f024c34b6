use super::*;
use crate::limits::MAX_VALIDATORS;

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn lock(byte: u8) -> Lock {
    Lock::KeyHash([byte; 32])
}

fn dev() -> ChainSpec {
    let allocations = vec![Allocation { address: lock(9), amount: Amount::new(5) }];
    ChainSpec::dev(1_700_000_000_000, key(1), lock(2), allocations).unwrap()
}

#[test]
fn every_built_in_chain_has_the_values_of_the_table() {
    let mainnet = ChainSpec::builtin("mainnet").unwrap();
    let testnet = ChainSpec::builtin("testnet").unwrap();
    let dev = ChainSpec::builtin("dev").unwrap();
    for spec in [&mainnet, &testnet, &dev] {
        spec.check().unwrap();
        assert_eq!((spec.max_block_bytes, spec.overflow_min_bytes), (2_000_000, 1_000_000));
        assert_eq!((spec.max_tx_bytes, spec.min_fee_rate, spec.min_output.get()), (100_000, 100, 10_000));
        let s = &spec.snowball;
        assert_eq!((s.k, s.alpha, s.beta, s.beta_virtuous, s.concurrent_polls), (20, 14, 20, 5, 4));
        assert_eq!((s.round_timeout_ms, s.fallback_ms), (500, 2_000));
        let reward = RewardSpec {
            schedule: RewardSchedule::LogHeight,
            base: Amount::new(100 * 100_000_000),
            proposer_bps: 1_000,
        };
        assert_eq!(spec.reward, reward);
        let tiers: Vec<_> =
            spec.tiers.iter().map(|t| (t.name.as_str(), t.collateral.get() / 100_000_000, t.weight.get())).collect();
        assert_eq!(tiers, [("bronze", 1_000, 10), ("silver", 10_000, 100), ("gold", 100_000, 1_000)]);
        assert_eq!(spec.slash_bps, 1_000);
    }
    assert_eq!((mainnet.slot_ms, mainnet.epoch_slots, mainnet.vdf_iterations), (600_000, 24, 24_000_000));
    let t = &mainnet.tsdc;
    assert_eq!((t.propose_ms, t.prepare_ms, t.precommit_ms, t.delta_ms), (600, 600, 600, 500));
    assert_eq!((mainnet.inclusion_grace_ms, mainnet.clock_tolerance_ms), (10_000, 5_000));
    assert_eq!((mainnet.churn_bps, mainnet.unbonding_epochs), (500, 84));
    assert_eq!((mainnet.name.as_str(), mainnet.address_hrp.as_str()), ("mainnet", "time"));
    assert_eq!((testnet.name.as_str(), testnet.address_hrp.as_str()), ("testnet", "ttime"));
    assert_eq!(ChainSpec { name: mainnet.name.clone(), address_hrp: "time".into(), ..testnet }, mainnet);
    assert_eq!((dev.slot_ms, dev.epoch_slots, dev.vdf_iterations), (2_000, 10, 20_000));
    let t = &dev.tsdc;
    assert_eq!((t.propose_ms, t.prepare_ms, t.precommit_ms, t.delta_ms), (200, 200, 200, 100));
    assert_eq!((dev.inclusion_grace_ms, dev.clock_tolerance_ms), (2_000, 500));
    assert_eq!((dev.churn_bps, dev.unbonding_epochs), (3_333, 3));
    assert_eq!((dev.name.as_str(), dev.address_hrp.as_str()), ("dev", "rtime"));
    assert_eq!(ChainSpec::builtin("other"), None);
}

#[test]
fn a_chain_without_masternodes_is_not_launched() {
    for name in BUILTIN_CHAINS {
        let refused = Chain::new(ChainSpec::builtin(name).unwrap()).unwrap_err();
        assert_eq!(refused, SpecError::NotLaunched { name: name.into() });
    }
    let started = ChainSpec { genesis_time_ms: 1, ..ChainSpec::builtin("mainnet").unwrap() };
    assert!(matches!(started.check(), Err(SpecError::BadValue { key, .. }) if key == "masternodes"));
    assert!(Chain::new(dev()).is_ok());
}

#[test]
fn what_is_written_reads_back_as_the_same_chain() {
    let mut spec = dev();
    spec.masternodes[0].payout = Lock::Multisig([3; 32]);
    spec.min_output = Amount::new(u64::MAX);
    let text = spec.to_toml().unwrap();
    let read = ChainSpec::from_toml(&text).unwrap();
    assert_eq!(read, spec);
    assert_eq!(read.id(), spec.id());
}

#[test]
fn the_id_covers_every_field() {
    let spec = dev();
    let mut ids = std::collections::BTreeSet::from([spec.id()]);
    let mut changed = |change: &dyn Fn(&mut ChainSpec)| {
        let mut other = spec.clone();
        change(&mut other);
        assert!(ids.insert(other.id()), "{other:?}");
    };
    changed(&|s| s.name.push('x'));
    changed(&|s| s.address_hrp.push('x'));
    changed(&|s| s.genesis_time_ms += 1);
    changed(&|s| s.slot_ms += 1);
    changed(&|s| s.snowball.alpha += 1);
    changed(&|s| s.reward.schedule = RewardSchedule::Constant);
    changed(&|s| s.tiers[0].weight = Weight::new(11));
    changed(&|s| s.slash_bps += 1);
    changed(&|s| s.masternodes[0].payout = lock(7));
    changed(&|s| s.allocations.clear());
}

#[test]
fn the_id_hashes_the_fields_in_the_order_of_the_table() {
    let s = dev();
    let mut bytes = encode(&(&s.name, &s.address_hrp, s.genesis_time_ms, s.slot_ms, s.epoch_slots));
    bytes.extend(encode(&(s.max_block_bytes, s.overflow_min_bytes, s.max_tx_bytes, s.min_fee_rate, s.min_output)));
    let p = s.snowball;
    bytes.extend(encode(&(p.k, p.alpha, p.beta, p.beta_virtuous, p.concurrent_polls)));
    bytes.extend(encode(&(p.round_timeout_ms, p.fallback_ms)));
    let t = s.tsdc;
    bytes.extend(encode(&(t.propose_ms, t.prepare_ms, t.precommit_ms, t.delta_ms)));
    bytes.extend(encode(&(s.inclusion_grace_ms, s.clock_tolerance_ms, s.vdf_iterations)));
    bytes.extend(encode(&(0u32, s.reward.base, s.reward.proposer_bps)));
    bytes.push(3);
    for tier in &s.tiers {
        bytes.extend(encode(&(&tier.name, tier.collateral, tier.weight)));
    }
    bytes.extend(encode(&(s.churn_bps, s.unbonding_epochs, s.slash_bps)));
    let m = &s.masternodes[0];
    bytes.extend(encode(&(1u64, m.consensus_key, m.owner, m.payout, &m.tier, &m.endpoint)));
    bytes.extend(encode(&(1u64, s.allocations[0].address, s.allocations[0].amount)));
    assert_eq!(s.id(), Domain::CHAIN.hash(&bytes).into());
}

#[test]
fn unknown_missing_and_repeated_keys_are_refused_by_name() {
    let good = dev().to_toml().unwrap();
    let refused = |text: String, named: &str| match ChainSpec::from_toml(&text) {
        Err(SpecError::Syntax(message)) => assert!(message.contains(named), "{message}"),
        other => panic!("{other:?}"),
    };
    refused(format!("slto_ms = 1\n{good}"), "slto_ms");
    refused(format!("slot_ms = 1\n{good}"), "slot_ms");
    refused(good.replace("alpha = 14\n", ""), "alpha");
    refused(good.replace("alpha = 14", "alpha = 14\ngamma = 1"), "gamma");
    refused(good.replace("alpha = 14", "alpha = -14"), "alpha");
    refused(good.replace("alpha = 14", "alpha = 1.5"), "alpha");
    refused(good.replace("log_height", "log_hieght"), "log_hieght");
    refused(good.replace(&key(1).to_string(), "0102"), "consensus_key");
    refused(good.replace("collateral = 100000000000\n", "collateral = \"1000\"\n"), "collateral");
}

#[test]
fn an_address_of_another_chain_is_refused_by_key() {
    let mainnet = crate::types::address::to_address(&lock(9), "time").unwrap();
    let ours = crate::types::address::to_address(&lock(9), "rtime").unwrap();
    let text = dev().to_toml().unwrap().replace(&ours, &mainnet);
    assert!(matches!(
        ChainSpec::from_toml(&text),
        Err(SpecError::BadAddress { key, .. }) if key == "allocations[0].address"
    ));
}

#[test]
fn values_no_chain_can_run_on_are_refused_by_key() {
    let refused = |key: &str, change: &dyn Fn(&mut ChainSpec)| {
        let mut spec = dev();
        spec.check().unwrap();
        change(&mut spec);
        match spec.check() {
            Err(SpecError::BadValue { key: named, .. }) => assert_eq!(named, key),
            other => panic!("{key}: {other:?}"),
        }
    };
    refused("name", &|s| s.name = "a/b".into());
    refused("name", &|s| s.name.clear());
    refused("address_hrp", &|s| s.address_hrp = "Time".into());
    refused("address_hrp", &|s| s.address_hrp.clear());
    refused("slot_ms", &|s| s.slot_ms = 0);
    refused("epoch_slots", &|s| s.epoch_slots = 0);
    refused("tsdc.propose_ms", &|s| s.tsdc.propose_ms = 0);
    refused("tsdc.delta_ms", &|s| s.tsdc.delta_ms = 1 << 32);
    refused("vdf_iterations", &|s| s.vdf_iterations = 0);
    refused("max_block_bytes", &|s| s.max_block_bytes = 4_000_000);
    refused("max_block_bytes", &|s| s.overflow_min_bytes = 1_900_001);
    refused("overflow_min_bytes", &|s| s.overflow_min_bytes = 0);
    refused("max_tx_bytes", &|s| s.max_tx_bytes = 400_001);
    refused("min_fee_rate", &|s| s.min_fee_rate = u64::MAX / 100_000 + 1);
    refused("min_output", &|s| s.min_output = Amount::ZERO);
    refused("snowball.k", &|s| s.snowball.k = 0);
    refused("snowball.alpha", &|s| s.snowball.alpha = 10);
    refused("snowball.alpha", &|s| s.snowball.alpha = 21);
    refused("snowball.beta", &|s| s.snowball.beta = 4);
    refused("snowball.beta_virtuous", &|s| s.snowball.beta_virtuous = 0);
    refused("snowball.concurrent_polls", &|s| s.snowball.concurrent_polls = 0);
    refused("snowball.round_timeout_ms", &|s| s.snowball.round_timeout_ms = 0);
    refused("snowball.fallback_ms", &|s| s.snowball.fallback_ms = 0);
    refused("reward.base", &|s| s.reward.base = Amount::new(u64::MAX / 46 + 1));
    refused("reward.proposer_bps", &|s| s.reward.proposer_bps = 10_001);
    refused("churn_bps", &|s| s.churn_bps = 10_001);
    refused("unbonding_epochs", &|s| s.unbonding_epochs = 0);
    refused("slash_bps", &|s| s.slash_bps = 10_001);
    refused("tiers", &|s| s.tiers.clear());
    refused("tiers[0].collateral", &|s| s.tiers[0].collateral = Amount::ZERO);
    refused("tiers[1].collateral", &|s| s.tiers.swap(0, 1));
    refused("tiers[0].collateral", &|s| s.min_output = Amount::new(100_000_000_001));
    refused("tiers[0].weight", &|s| s.tiers[0].weight = Weight::ZERO);
    refused("tiers[2].weight", &|s| s.tiers[2].weight = Weight::new(u64::MAX / MAX_VALIDATORS as u64 + 1));
    refused("tiers[1].name", &|s| s.tiers[1].name = "bronze".into());
    refused("masternodes[1].consensus_key", &|s| s.masternodes.push(s.masternodes[0].clone()));
    refused("masternodes[0].tier", &|s| s.masternodes[0].tier = "iron".into());
    refused("masternodes[0].endpoint", &|s| s.masternodes[0].endpoint = "x".repeat(256));
    refused("masternodes", &|s| s.masternodes.clear());
    refused("masternodes", &|s| s.masternodes = vec![s.masternodes[0].clone(); MAX_VALIDATORS + 1]);
    refused("allocations", &|s| s.allocations = vec![s.allocations[0].clone(); 9_000]);
    refused("allocations[0].amount", &|s| s.allocations[0].amount = Amount::ZERO);
    refused("allocations", &|s| s.allocations[0].amount = Amount::MAX);
}

#[test]
fn a_collateral_picks_the_highest_tier_it_reaches() {
    let spec = dev();
    let tier = |value: u64| spec.tier_for(Amount::new(value)).map(|t| t.name.as_str());
    assert_eq!(tier(99_999_999_999), None);
    assert_eq!(tier(100_000_000_000), Some("bronze"));
    assert_eq!(tier(999_999_999_999), Some("bronze"));
    assert_eq!(tier(1_000_000_000_000), Some("silver"));
    assert_eq!(tier(u64::MAX), Some("gold"));
}
