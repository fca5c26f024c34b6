//! Several engines that ask one another.

use super::*;

/// Engines of a set of equals, all live to one another.
fn engines(count: usize, seed: u8) -> Vec<Snowball> {
    let set = set_of(&vec![10; count]);
    let start = |position: usize| {
        let mut bytes = [seed; 32];
        bytes[..8].copy_from_slice(&(position as u64).to_le_bytes());
        let mut engine = Snowball::new(spec(), Some(key(position)), bytes);
        engine.start_epoch(set.clone());
        set.members().iter().for_each(|member| engine.set_live(member.consensus_key, true));
        engine
    };
    (0..count).map(start).collect()
}

/// Runs rounds of `step_ms` until everybody of `who` accepted something, and returns what each accepted.
fn run(
    engines: &mut [Snowball],
    who: usize,
    mut lie: impl FnMut(usize, &Txid) -> Option<Answer>,
) -> Vec<BTreeSet<Txid>> {
    let mut accepted = vec![BTreeSet::new(); engines.len()];
    for round in 0..2_000 {
        for (position, newly_accepted) in ask_all(engines, round * 20, &mut lie).into_iter().enumerate() {
            accepted[position].extend(newly_accepted);
        }
        if accepted[..who].iter().all(|accepted| !accepted.is_empty()) {
            break;
        }
    }
    accepted
}

#[test]
fn honest_masternodes_split_evenly_between_two_rivals_agree_on_one() {
    for seed in 0..10 {
        let mut engines = engines(20, seed);
        for (position, engine) in engines.iter_mut().enumerate() {
            let (first, second) = if position % 2 == 0 { (1, 2) } else { (2, 1) };
            engine.add(TimeMs(0), txid(first), &[outpoint(1)]);
            engine.add(TimeMs(0), txid(second), &[outpoint(1)]);
        }
        let accepted = run(&mut engines, 20, |_, _| None);
        assert_eq!(accepted.iter().map(BTreeSet::len).max(), Some(1), "never both");
        assert_eq!(accepted.iter().flatten().collect::<BTreeSet<_>>().len(), 1, "seed {seed}: {accepted:?}");
    }
}

#[test]
fn liars_below_a_third_do_not_keep_an_honest_payment_from_being_accepted() {
    for seed in 0..5 {
        let mut engines = engines(20, seed);
        for engine in &mut engines {
            engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
        }
        let accepted = run(&mut engines, 14, |position, _| (position >= 14).then_some(Answer::Invalid));
        assert!(accepted[..14].iter().all(|accepted| accepted.contains(&txid(1))), "seed {seed}");
    }
}

#[test]
fn rivals_known_to_some_only_do_not_keep_the_rest_from_agreeing() {
    let mut engines = engines(20, 3);
    for (position, engine) in engines.iter_mut().enumerate() {
        if position < 3 {
            engine.add(TimeMs(0), txid(2), &[outpoint(1)]);
        }
        engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    }
    let accepted = run(&mut engines, 20, |_, _| None);
    assert!(accepted.iter().all(|accepted| *accepted == BTreeSet::from([txid(1)])), "{accepted:?}");
}
